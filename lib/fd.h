/* What is known of a descriptor before anybody waits for it. */
#ifndef QS_FD_H
#define QS_FD_H

#include <quiesce/export.h>

/*
 * Whether it can be waited for: 0, -EBADF, or -EPERM for what is always ready. The event base would
 * find out too, and then write so to standard error.
 */
QS_MUST_CHECK int qs_fd_check(int fd);

#endif
