/* Raising and lowering an eventfd: a flag that another thread can wait for. */
#ifndef QS_LIB_EVENTFD_H
#define QS_LIB_EVENTFD_H

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

/* Makes it readable; -1 is left alone. Any thread; async-signal-safe, errno included. */
static inline void eventfd_raise(int fd)
{
	static const uint64_t one = 1;
	int saved = errno;

	/* The one failure is a full counter, and then it is readable already. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		errno = saved;
}

/* Makes it not readable until it is raised again. The descriptor must be non-blocking. */
static inline void eventfd_lower(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

#endif
