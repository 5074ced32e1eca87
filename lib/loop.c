/*
 * The loop over libevent. Two descriptors of our own sit in the event base beside the watches: an
 * eventfd that other threads and signal handlers write, and a timerfd set to the absolute time of
 * our earliest timer. The timerfd costs a system call only when the earliest timer has changed,
 * holds to the microsecond and never fires early; libevent's own precise timers are relative and
 * cost a call in each turn. Nothing here is periodic, so an idle loop sleeps.
 *
 * A turn begins, with its one reading of the clock, at the first thing of ours that runs in it. The
 * callbacks of evhttp come through the same base without passing by here, so for them it begins
 * when they first ask for qs_loop_now or say for whom they work with qs_loop_hold.
 */
#include "lib/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/eventfd.h"
#include "lib/macro.h"
#include "lib/post_queue.h"
#include "lib/supervise.h"

/* What event_base_new opens: an epoll and a pair for signals. */
#define BASE_DESCRIPTORS 3

enum loop_state {
	LOOP_OUTSIDE, /* no turn */
	LOOP_WAITING, /* in a turn, nothing has happened yet */
	LOOP_TURNING, /* things run */
};

struct qs_loop {
	struct qs_clock *clock;
	struct event_base *base;
	struct event *wake_event, *timer_event;
	int wake_fd, timer_fd;

	enum loop_state state;
	bool ran;   /* in this turn something ran */
	bool leave; /* qs_loop_run is to return */
	uint64_t now;
	struct qs_loop_pulse pulse;

	struct heap timers;
	size_t timer_count; /* initialized, armed or not: the room in the heap */
	uint64_t armed_at;  /* what the timerfd is set to, QS_FOREVER while it is off */
	struct list jobs;
	struct qs_random random; /* 0: jobs run in the order in which they came */

	struct post_queue posts;
};

/* --- the turn --- */

/*
 * The guard says that it sleeps and then looks whether a turn has begun; here a turn begins and
 * then it is looked whether the guard sleeps. In one order of all four, one of both sees the other.
 */
static void wake_guard(struct qs_loop_pulse *pulse)
{
	if (atomic_load(&pulse->guard_sleeps) && atomic_exchange(&pulse->guard_sleeps, 0))
		eventfd_raise(atomic_load(&pulse->guard_fd));
}

static void begin_turn(struct qs_loop *loop)
{
	struct qs_loop_pulse *pulse = &loop->pulse;

	if (loop->state != LOOP_WAITING)
		return;
	loop->state = LOOP_TURNING;
	loop->now = qs_clock_read(loop->clock);
	atomic_fetch_add_explicit(&pulse->turns, 1, memory_order_relaxed);
	atomic_store(&pulse->turn_began, loop->now);
	wake_guard(pulse);
}

static bool timer_is_due(struct qs_loop *loop)
{
	return heap_first(&loop->timers) && heap_first_key(&loop->timers) <= loop->now;
}

static void set_timerfd(struct qs_loop *loop)
{
	uint64_t at = heap_first_key(&loop->timers);
	struct itimerspec spec = { 0 };

	if (at == loop->armed_at)
		return;
	if (at != QS_FOREVER) {
		spec.it_value.tv_sec = (time_t)(at / QS_SEC);
		spec.it_value.tv_nsec = (long)(at % QS_SEC);
	}
	/* Setting it also takes back that it fired. It cannot fail: the time is well formed. */
	(void)timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	loop->armed_at = at;
}

/* Waits for descriptors and runs their callbacks. */
static void run_watches(struct qs_loop *loop, bool wait)
{
	int flags = EVLOOP_ONCE;

	if (!wait || loop->clock->is_virtual || !list_empty(&loop->jobs) || timer_is_due(loop)) {
		begin_turn(loop);
		flags |= EVLOOP_NONBLOCK;
	} else {
		set_timerfd(loop);
	}
	(void)event_base_loop(loop->base, flags);
	begin_turn(loop);
}

static void jump_to_first_timer(struct qs_loop *loop)
{
	const struct heap_node *first = heap_first(&loop->timers);

	if (loop->ran || !list_empty(&loop->jobs) || !first)
		return;
	qs_clock_advance_to(loop->clock, heap_first_key(&loop->timers));
	loop->now = qs_clock_read(loop->clock);
}

/* A timer that is armed meanwhile waits for the next turn, or one that is always due would keep
 * this one from ending. */
static void run_timers(struct qs_loop *loop)
{
	uint64_t newer = loop->timers.next_order;

	while (timer_is_due(loop)) {
		struct heap_node *node = heap_first(&loop->timers);
		struct qs_timer *timer = container_of(node, struct qs_timer, node);

		if (heap_first_order(&loop->timers) >= newer)
			break;
		heap_remove(&loop->timers, node);
		loop->ran = true;
		timer->due(timer);
	}
}

static struct qs_job *next_job(struct qs_loop *loop)
{
	struct list *chosen = loop->jobs.next;
	uint64_t count = 0;

	if (loop->random.state != 0)
		for (struct list *node = chosen; node != &loop->jobs; node = node->next)
			if (qs_random_below(&loop->random, ++count) == 0)
				chosen = node;
	return list_entry(chosen, struct qs_job, node);
}

static void run_jobs(struct qs_loop *loop)
{
	while (!list_empty(&loop->jobs)) {
		struct qs_job *job = next_job(loop);

		list_remove(&job->node);
		loop->ran = true;
		job->run(job);
	}
}

int qs_loop_turn(struct qs_loop *loop, bool wait)
{
	loop->state = LOOP_WAITING;
	loop->ran = false;
	run_watches(loop, wait);
	if (loop->clock->is_virtual && wait)
		jump_to_first_timer(loop);
	run_timers(loop);
	run_jobs(loop);
	loop->state = LOOP_OUTSIDE;
	atomic_store(&loop->pulse.turn_began, 0);
	return loop->ran;
}

void qs_loop_set_seed(struct qs_loop *loop, uint64_t seed)
{
	struct qs_random source = { seed };

	if (seed == 0)
		return;
	loop->random.state = qs_random_next(&source) | 1;
	loop->timers.random = qs_random_next(&source) | 1;
}

void qs_loop_run(struct qs_loop *loop)
{
	while (!loop->leave)
		(void)qs_loop_turn(loop, true);
	loop->leave = false;
}

void qs_loop_leave(struct qs_loop *loop)
{
	loop->leave = true;
}

uint64_t qs_loop_now(struct qs_loop *loop)
{
	begin_turn(loop);
	if (loop->state == LOOP_OUTSIDE)
		loop->now = qs_clock_read(loop->clock);
	return loop->now;
}

struct qs_clock *qs_loop_clock(const struct qs_loop *loop)
{
	return loop->clock;
}

struct event_base *qs_loop_base(const struct qs_loop *loop)
{
	return loop->base;
}

struct qs_loop_pulse *qs_loop_pulse(struct qs_loop *loop)
{
	return &loop->pulse;
}

void qs_loop_count_threads(struct qs_loop *loop, int change)
{
	atomic_fetch_add(&loop->pulse.threads, change);
	wake_guard(&loop->pulse);
}

uint64_t qs_loop_hold(struct qs_loop *loop, uint64_t task_id)
{
	uint64_t before = atomic_load_explicit(&loop->pulse.holder, memory_order_relaxed);

	begin_turn(loop);
	atomic_store_explicit(&loop->pulse.holder, task_id, memory_order_relaxed);
	return before;
}

/* --- descriptors --- */

static void watch_is_ready(_unused_ evutil_socket_t fd, short what, void *arg)
{
	struct qs_watch *watch = arg;
	struct qs_loop *loop = watch->loop;

	begin_turn(loop);
	loop->ran = true;
	watch->ready(watch, (what & EV_READ ? QS_READ : 0U) | (what & EV_WRITE ? QS_WRITE : 0U));
}

/* Makes an event and adds it to the base: a negative errno instead of libevent's -1. */
static int add_event(struct event_base *base, int fd, short what, event_callback_fn fn, void *arg,
        struct event **ret_event)
{
	struct event *event = qs_refused(ENOMEM)
	                              ? NULL
	                              : event_new(base, fd, (short)(what | EV_PERSIST), fn, arg);

	if (!event)
		return -ENOMEM;
	errno = 0;
	if (event_add(event, NULL) < 0) {
		int r = errno > 0 ? -errno : -ENOMEM;

		event_free(event);
		return r;
	}
	*ret_event = event;
	return 0;
}

int qs_watch_start(struct qs_loop *loop, struct qs_watch *watch, int fd, unsigned what)
{
	int events = (what & QS_READ ? EV_READ : 0) | (what & QS_WRITE ? EV_WRITE : 0);
	int r = add_event(loop->base, fd, (short)events, watch_is_ready, watch, &watch->event);

	if (r < 0)
		return r;
	watch->loop = loop;
	watch->fd = fd;
	return 0;
}

void qs_watch_stop(struct qs_watch *watch)
{
	if (watch->event)
		event_free(TAKE(watch->event, NULL));
}

/* --- timers --- */

/* The turn runs what is due. It stays readable until it is set again: before the next wait, because
 * by then the earliest timer is another. */
static void timerfd_is_ready(_unused_ evutil_socket_t fd, _unused_ short what, void *arg)
{
	begin_turn(arg);
}

int qs_timer_init(struct qs_loop *loop, struct qs_timer *timer, void (*due)(struct qs_timer *))
{
	int r = heap_reserve(&loop->timers, loop->timer_count + 1);

	if (r < 0)
		return r;
	loop->timer_count++;
	*timer = (struct qs_timer){ .loop = loop, .due = due };
	return 0;
}

void qs_timer_done(struct qs_timer *timer)
{
	if (!timer->loop)
		return;
	qs_timer_disarm(timer);
	TAKE(timer->loop, NULL)->timer_count--;
}

void qs_timer_arm(struct qs_timer *timer, uint64_t at)
{
	struct heap *timers = &timer->loop->timers;

	timer->at = at;
	if (at == QS_FOREVER)
		heap_remove(timers, &timer->node);
	else if (qs_timer_armed(timer))
		heap_update(timers, &timer->node, at);
	else if (heap_add(timers, &timer->node, at) < 0)
		return; /* not reached: qs_timer_init reserved the room */
}

void qs_timer_disarm(struct qs_timer *timer)
{
	if (timer->loop)
		heap_remove(&timer->loop->timers, &timer->node);
}

/* --- jobs --- */

void qs_job_schedule(struct qs_loop *loop, struct qs_job *job)
{
	if (list_empty(&job->node))
		list_append(&loop->jobs, &job->node);
}

void qs_job_cancel(struct qs_job *job)
{
	list_remove(&job->node);
}

/* --- from other threads --- */

void qs_loop_wake(struct qs_loop *loop)
{
	eventfd_raise(loop->wake_fd);
}

int qs_loop_post(struct qs_loop *loop, void (*fn)(void *arg), void *arg)
{
	int r = post_queue_add(&loop->posts, fn, arg);

	if (r > 0)
		qs_loop_wake(loop);
	return MIN(r, 0);
}

static void run_posts(struct qs_loop *loop)
{
	if (post_queue_run(&loop->posts))
		loop->ran = true;
}

static void wakefd_is_ready(int fd, _unused_ short what, void *arg)
{
	begin_turn(arg);
	eventfd_lower(fd);
	run_posts(arg);
}

void qs_loop_close_posts(struct qs_loop *loop)
{
	post_queue_close(&loop->posts);
	run_posts(loop);
}

/* --- making and freeing --- */

/*
 * libevent ends the process when it finds no descriptors for its pair of signal sockets. So it is
 * asked only when there are some.
 */
static int check_descriptors(int like)
{
	int fds[BASE_DESCRIPTORS], r = 0;
	size_t n = 0;

	while (n < BASE_DESCRIPTORS && r == 0) {
		fds[n] = fcntl(like, F_DUPFD_CLOEXEC, 0);
		if (fds[n] < 0)
			r = -errno;
		else
			n++;
	}
	while (n > 0)
		(void)close(fds[--n]);
	return r;
}

/* Asks for a constant cost per event, which only epoll has: no fallback to poll or select. */
static struct event_base *new_base(void)
{
	struct event_config *config = qs_refused(ENOMEM) ? NULL : event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) ==
	                0 &&
	        event_config_require_features(config, EV_FEATURE_O1) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static int open_loop(struct qs_loop *loop)
{
	int r;

	loop->wake_fd = qs_refused(EMFILE) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0)
		return -errno;
	loop->timer_fd = qs_refused(EMFILE)
	                         ? -1
	                         : timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer_fd < 0)
		return -errno;
	r = check_descriptors(loop->wake_fd);
	if (r < 0)
		return r;
	loop->base = new_base();
	if (!loop->base)
		return -ENOMEM;
	r = add_event(loop->base, loop->wake_fd, EV_READ, wakefd_is_ready, loop, &loop->wake_event);
	if (r < 0)
		return r;
	return add_event(
	        loop->base, loop->timer_fd, EV_READ, timerfd_is_ready, loop, &loop->timer_event);
}

int qs_loop_new(struct qs_clock *clock, struct qs_loop **ret_loop)
{
	struct qs_loop *loop = qs_calloc(1, sizeof(*loop));
	int r;

	if (!loop)
		return -ENOMEM;
	loop->clock = clock;
	loop->wake_fd = loop->timer_fd = -1;
	loop->armed_at = QS_FOREVER;
	loop->now = qs_clock_read(clock);
	atomic_init(&loop->pulse.guard_fd, -1);
	list_init(&loop->jobs);
	post_queue_init(&loop->posts);
	r = open_loop(loop);
	if (r < 0) {
		qs_loop_free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

void qs_loop_free(struct qs_loop *loop)
{
	if (!loop)
		return;
	heap_done(&loop->timers);
	if (loop->timer_event)
		event_free(loop->timer_event);
	if (loop->wake_event)
		event_free(loop->wake_event);
	if (loop->base)
		event_base_free(loop->base);
	closep(&loop->timer_fd);
	closep(&loop->wake_fd);
	post_queue_done(&loop->posts);
	qs_free(loop);
}
