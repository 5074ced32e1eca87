/*
 * The socket file. It is made under another name, listened on, and only then moved to its place, so
 * that nobody finds it half ready. What stood there before is looked at once more after it was
 * moved aside: a daemon that came up in the meantime gets its place back.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/control_listen.h"
#include "daemon/log.h"

#define DEFAULT_GROUP "quiesced"
#define BACKLOG       4096
#define SOCKET_MODE   0660

static int set_address(struct sockaddr_un *address, const char *path)
{
	size_t length = strlen(path);

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (length >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, length + 1);
	return 0;
}

/* 0: nothing there, or a socket that nobody listens on (1). -EADDRINUSE, -EEXIST, …. */
static int probe(const char *path)
{
	struct sockaddr_un address;
	struct stat status;
	int r = set_address(&address, path);

	if (r < 0)
		return r;
	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return -EADDRINUSE;
	if (errno == ECONNREFUSED)
		return 1;
	if (errno == ENOENT)
		return 0;
	/* A full backlog, or another kind of socket: it is somebody's. */
	return errno == EAGAIN || errno == EPROTOTYPE ? -EADDRINUSE : -errno;
}

/* "DIRECTORY/.qPID": hardly ever longer than the name it is for. */
static int make_temporary_name(const char *path, char **ret_name)
{
	const char *slash = strrchr(path, '/');
	int directory = slash ? (int)(slash - path) + 1 : 0;

	return asprintf(ret_name, "%.*s.q%x", directory, path, (unsigned)getpid()) < 0 ? -ENOMEM
	                                                                               : 0;
}

/* The default group is a matter of packaging; that it is not there is nothing to warn of. */
static void give_to_group(const char *path, const char *named)
{
	const char *name = named ? named : DEFAULT_GROUP;
	struct group entry, *found = NULL;
	char buffer[4096];

	if (!*name)
		return;
	int r = getgrnam_r(name, &entry, buffer, sizeof(buffer), &found);
	if (!found && named)
		log_warning("control socket: no group \"%s\"%s%s: only our own group may open it",
		        name, r ? ": " : "", r ? strerror(r) : "");
	else if (found && found->gr_gid != getegid() && chown(path, (uid_t)-1, found->gr_gid) < 0)
		log_warning(
		        "control socket: cannot give it to group %s: %s", name, strerror(errno));
}

/* Moves `name` to `path`, whatever stale socket stands there. */
static int move_into_place(const char *name, const char *path)
{
	if (renameat2(AT_FDCWD, name, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST && renameat2(AT_FDCWD, name, AT_FDCWD, path, RENAME_EXCHANGE) == 0) {
		int r = probe(name);

		if (r < 0) {
			(void)renameat2(AT_FDCWD, name, AT_FDCWD, path, RENAME_EXCHANGE);
			return r;
		}
		return unlink(name) < 0 && errno != ENOENT ? -errno : 0;
	}
	/* A file system that cannot exchange: it was stale a moment ago. */
	if (errno == EINVAL || errno == ENOSYS || errno == ENOENT)
		return rename(name, path) < 0 ? -errno : 0;
	return -errno;
}

/* Binds and listens at `name`. The mode is right before anybody can connect. */
static int bind_and_listen(const char *name, const char *group, int *ret_fd)
{
	struct sockaddr_un address;
	int r = set_address(&address, name);

	if (r < 0)
		return r;
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (unlink(name) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (chmod(name, SOCKET_MODE) < 0)
		goto fail;
	give_to_group(name, group);
	if (listen(fd, BACKLOG) < 0)
		goto fail;
	*ret_fd = TAKE(fd, -1);
	return 0;

fail:
	r = -errno;
	(void)unlink(name);
	return r;
}

int control_listen(const char *path, const char *group, struct socket_file *ret_file, int *ret_fd)
{
	_cleanup_(freep) char *name = NULL, *copy = strdup(path);
	_cleanup_(closep) int fd = -1;
	struct stat status;
	int r = copy ? probe(path) : -ENOMEM;

	if (r < 0)
		return r;
	r = make_temporary_name(path, &name);
	if (r < 0)
		return r;
	r = bind_and_listen(name, group, &fd);
	if (r < 0)
		return r;
	r = lstat(name, &status) < 0 ? -errno : move_into_place(name, path);
	if (r < 0) {
		(void)unlink(name);
		return r;
	}
	*ret_file = (struct socket_file){ TAKE(copy, NULL), status.st_dev, status.st_ino };
	*ret_fd = TAKE(fd, -1);
	return 0;
}

void socket_file_remove(struct socket_file *file)
{
	struct stat status;

	if (file->path && lstat(file->path, &status) == 0 && status.st_dev == file->device &&
	        status.st_ino == file->inode)
		(void)unlink(file->path);
	free(TAKE(file->path, NULL));
}
