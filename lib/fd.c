/* Which descriptors can be waited for. */
#include "lib/fd.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

int qs_fd_check(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	bool always_ready =
	        S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode);
	return always_ready ? -EPERM : 0;
}
