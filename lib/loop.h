/*
 * The event loop: descriptors, timers, jobs at the end of a turn, and functions posted from other
 * threads. The only file with event2/ behind it. Timers are our own heap over the runtime's clock,
 * with one timerfd set to the earliest.
 *
 * Watches, timers and jobs are embedded in what they serve and may be stopped, disarmed and freed
 * in their own callback or in anybody else's: none of them is called after it was stopped.
 */
#ifndef QS_LOOP_H
#define QS_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/clock.h"
#include "lib/heap.h"
#include "lib/list.h"

struct qs_loop;
struct event;
struct event_base;

/* Takes no ownership of the clock. -ENOMEM, -EMFILE, -ENFILE. */
QS_MUST_CHECK int qs_loop_new(struct qs_clock *clock, struct qs_loop **ret_loop);

/* All watches and timers must have been stopped. NULL is fine. */
void qs_loop_free(struct qs_loop *loop);

/* Timers that are due at the same time, and jobs, come in an order drawn from it. Before the first
 * of them; 0 changes nothing. */
void qs_loop_set_seed(struct qs_loop *loop, uint64_t seed);

QS_SIBLING struct qs_clock *qs_loop_clock(const struct qs_loop *loop);

/* The time at which the present turn began: one reading a turn. Outside of a turn: the present. */
QS_SIBLING uint64_t qs_loop_now(struct qs_loop *loop);

/* The event_base, for the one other user of libevent (a control server over evhttp). */
struct event_base *qs_loop_base(const struct qs_loop *loop);

/* --- descriptors --- */

#define QS_READ  1U
#define QS_WRITE 2U

struct qs_watch {
	struct event *event; /* NULL while stopped */
	struct qs_loop *loop;
	void (*ready)(struct qs_watch *watch, unsigned what);
	int fd;
};

/* Level-triggered and persistent. The watch must be stopped and zeroed but for `ready`. -ENOMEM,
 * -EEXIST, -EPERM. */
QS_SIBLING QS_MUST_CHECK int qs_watch_start(
        struct qs_loop *loop, struct qs_watch *watch, int fd, unsigned what);

/* Stop before closing the descriptor. A stopped watch is left alone. */
QS_SIBLING void qs_watch_stop(struct qs_watch *watch);

/* --- timers --- */

struct qs_timer {
	struct heap_node node;
	uint64_t at; /* what it was last armed for */
	struct qs_loop *loop;
	void (*due)(struct qs_timer *timer);
};

/*
 * Arming cannot fail after this, which reserves the room (-ENOMEM). Pair it with qs_timer_done,
 * which disarms and gives the room back.
 */
QS_SIBLING QS_MUST_CHECK int qs_timer_init(
        struct qs_loop *loop, struct qs_timer *timer, void (*due)(struct qs_timer *));
QS_SIBLING void qs_timer_done(struct qs_timer *timer);

/* One shot at an absolute time; armed again it moves. QS_FOREVER disarms. */
QS_SIBLING void qs_timer_arm(struct qs_timer *timer, uint64_t at);
QS_SIBLING void qs_timer_disarm(struct qs_timer *timer);
static inline bool qs_timer_armed(const struct qs_timer *timer)
{
	return timer->node.index != HEAP_NOT_IN;
}

/* --- jobs: run once at the end of the present turn, or of the next if the loop is idle --- */

struct qs_job {
	struct list node;
	void (*run)(struct qs_job *job);
};

static inline void qs_job_init(struct qs_job *job, void (*run)(struct qs_job *))
{
	list_init(&job->node);
	job->run = run;
}

/* Scheduled twice it runs once. Jobs scheduled by jobs run in the same turn. */
QS_SIBLING void qs_job_schedule(struct qs_loop *loop, struct qs_job *job);
QS_SIBLING void qs_job_cancel(struct qs_job *job);

/* --- from other threads --- */

/* Runs `fn` in the loop's thread. -ENOMEM; -ESHUTDOWN after qs_loop_close_posts. Any thread. */
QS_MUST_CHECK int qs_loop_post(struct qs_loop *loop, void (*fn)(void *arg), void *arg);

/* Nothing can be posted any more; what was posted runs now. Loop thread. */
void qs_loop_close_posts(struct qs_loop *loop);

/* Wakes the loop up without a job. Any thread; async-signal-safe. */
void qs_loop_wake(struct qs_loop *loop);

/* --- running --- */

/*
 * One turn: waits for the first thing to happen (with `wait` false: does not wait), runs what is
 * due, then the jobs. With a virtual clock it never waits: with `wait` it jumps to the earliest
 * timer when nothing else is due. Returns 1 if anything ran, 0 if nothing did.
 */
int qs_loop_turn(struct qs_loop *loop, bool wait);

/* Turns until qs_loop_leave is called, which is remembered if it comes first. */
void qs_loop_run(struct qs_loop *loop);
void qs_loop_leave(struct qs_loop *loop);

/* --- the heartbeat, for a guard in another thread --- */

struct qs_loop_pulse {
	_Atomic uint64_t turn_began; /* 0 while the loop waits for something to happen */
	_Atomic uint64_t turns;      /* how many have begun */
	_Atomic uint64_t holder;     /* id of the task on whose behalf the loop works, 0 for none */
	_Atomic int guard_sleeps; /* the guard wants `guard_fd` written when the next turn begins */
	_Atomic int guard_fd;     /* an eventfd, -1 for none */
	_Atomic int threads; /* tasks that are threads: while there are any the guard looks in */
};

QS_SIBLING struct qs_loop_pulse *qs_loop_pulse(struct qs_loop *loop);

/* A task that is a thread has begun (1) or is over (-1). */
void qs_loop_count_threads(struct qs_loop *loop, int change);

/* Says on whose behalf the loop works from now on; returns who it was before, to be put back. */
uint64_t qs_loop_hold(struct qs_loop *loop, uint64_t task_id);

#endif
