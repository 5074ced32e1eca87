/*
 * Bells that were rung wait in a list under a lock that is never held for long. The first one to
 * come into the empty list calls the loop: by an eventfd, or by a job if it is the loop's thread.
 */
#include "lib/bell.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "lib/alloc.h"
#include "lib/eventfd.h"

static void hear_all(struct qs_bells *bells)
{
	struct list batch;

	list_init(&batch);
	pthread_mutex_lock(&bells->lock);
	list_move_all(&batch, &bells->rung);
	/* One may be silenced by another that is heard: so each is taken under the lock. */
	while (!list_empty(&batch)) {
		struct qs_bell *bell = list_entry(batch.next, struct qs_bell, node);

		list_remove(&bell->node);
		pthread_mutex_unlock(&bells->lock);
		bell->heard(bell);
		pthread_mutex_lock(&bells->lock);
	}
	pthread_mutex_unlock(&bells->lock);
}

static void fd_ready(struct qs_watch *watch, unsigned what _unused_)
{
	eventfd_lower(watch->fd);
	hear_all(container_of(watch, struct qs_bells, watch));
}

static void job_runs(struct qs_job *job)
{
	hear_all(container_of(job, struct qs_bells, job));
}

int qs_bells_init(struct qs_bells *bells, struct qs_loop *loop)
{
	*bells = (struct qs_bells){ .loop = loop, .home = pthread_self() };
	list_init(&bells->rung);
	qs_job_init(&bells->job, job_runs);
	bells->watch = (struct qs_watch){ .ready = fd_ready, .fd = -1 };
	int fd = qs_refused(EMFILE) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	int r = qs_watch_start(loop, &bells->watch, fd, QS_READ);
	if (r < 0) {
		closep(&fd);
		return r;
	}
	pthread_mutex_init(&bells->lock, NULL);
	return 0;
}

void qs_bells_done(struct qs_bells *bells)
{
	if (bells->watch.fd < 0)
		return;
	qs_job_cancel(&bells->job);
	qs_watch_stop(&bells->watch);
	closep(&bells->watch.fd);
	pthread_mutex_destroy(&bells->lock);
}

void qs_bell_init(struct qs_bell *bell, void (*heard)(struct qs_bell *bell))
{
	list_init(&bell->node);
	bell->heard = heard;
}

void qs_bell_ring(struct qs_bells *bells, struct qs_bell *bell)
{
	bool at_home = pthread_equal(bells->home, pthread_self());
	bool first, fresh;

	pthread_mutex_lock(&bells->lock);
	first = list_empty(&bells->rung);
	fresh = list_empty(&bell->node);
	if (fresh)
		list_append(&bells->rung, &bell->node);
	pthread_mutex_unlock(&bells->lock);
	if (at_home)
		qs_job_schedule(bells->loop, &bells->job);
	else if (first && fresh)
		eventfd_raise(bells->watch.fd);
}

void qs_bell_silence(struct qs_bells *bells, struct qs_bell *bell)
{
	pthread_mutex_lock(&bells->lock);
	list_remove(&bell->node);
	pthread_mutex_unlock(&bells->lock);
}
