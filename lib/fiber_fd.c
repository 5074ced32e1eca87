/* Waits for descriptors, and for stop events, which have one. */
#include <errno.h>

#include "lib/fd.h"
#include "lib/fiber_internal.h"

struct fd_wait {
	struct qs_wait wait;
	struct qs_watch watch;
	struct qs_fiber *fiber;
};

static void fd_ready(struct qs_watch *watch, unsigned what)
{
	struct fd_wait *ready = container_of(watch, struct fd_wait, watch);

	qs_watch_stop(watch);
	qs_fiber_wake(ready->fiber, (int)((what & QS_READ ? QS_FD_READABLE : 0U) |
	                                    (what & QS_WRITE ? QS_FD_WRITABLE : 0U)));
}

static void stop_watching(struct qs_wait *wait)
{
	qs_watch_stop(&container_of(wait, struct fd_wait, wait)->watch);
}

static int wait_fd(struct fd_wait *fd_wait, int fd, unsigned what, uint64_t deadline)
{
	struct qs_fiber *fiber = fd_wait->fiber;
	unsigned events =
	        (what & QS_FD_READABLE ? QS_READ : 0U) | (what & QS_FD_WRITABLE ? QS_WRITE : 0U);
	int r = qs_fiber_check(fiber, fd_wait->wait.nature);

	if (r == 0)
		r = events ? qs_fd_check(fd) : -EINVAL;
	if (r < 0)
		return r;
	fd_wait->wait.abort = stop_watching;
	fd_wait->watch = (struct qs_watch){ .ready = fd_ready };
	r = qs_watch_start(fiber->fibers->context->loop, &fd_wait->watch, fd, events);
	return r < 0 ? r : qs_fiber_wait(fiber, &fd_wait->wait, deadline);
}

int qs_wait_fd(qs_task *self, int fd, unsigned what, uint64_t deadline)
{
	bool idle = what == QS_FD_READABLE;
	struct fd_wait fd_wait = {
		.wait = { .name = what & QS_FD_WRITABLE ? "writable" : "readable",
		        .nature = idle ? QS_WAIT_IDLE : QS_WAIT_IN_FLIGHT },
		.fiber = qs_fiber_of(self),
	};

	return wait_fd(&fd_wait, fd, what, deadline);
}

int qs_wait_stop(qs_task *self, qs_stop *stop, uint64_t deadline)
{
	struct fd_wait fd_wait = {
		.wait = { .name = "stop event", .nature = QS_WAIT_IDLE },
		.fiber = qs_fiber_of(self),
	};
	int fd;

	if (qs_stop_is_set(stop))
		return qs_fiber_check(fd_wait.fiber, QS_WAIT_IN_FLIGHT);
	fd = qs_stop_fd(stop);
	if (fd < 0)
		return fd;
	int r = wait_fd(&fd_wait, fd, QS_FD_READABLE, deadline);
	return r > 0 ? 0 : r;
}
