/* The file of the control socket. */
#ifndef QUIESCED_CONTROL_LISTEN_H
#define QUIESCED_CONTROL_LISTEN_H

#include <sys/stat.h>

#include <quiesce/export.h>

/* A socket file of ours, so that nobody else's is removed. */
struct socket_file {
	char *path; /* NULL: there is none */
	dev_t device;
	ino_t inode;
};

/* Listens at `path` with mode 0660, for `group` if that can be. Errors as control_new's. */
QS_MUST_CHECK int control_listen(
        const char *path, const char *group, struct socket_file *ret_file, int *ret_fd);
/* Removes it if it is still ours. */
void socket_file_remove(struct socket_file *file);

#endif
