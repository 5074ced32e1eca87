/*
 * The guard: one small thread that reads TERM, INT, HUP, USR1 and USR2 (blocked in all others),
 * sets the stop event, and owns the hard deadline. It runs a copy of the shutdown state machine of
 * its own, so that it knows when the process has to be gone even when the loop hears nothing any
 * more. While the loop is stuck it withholds the watchdog ping. It sleeps when all is idle.
 */
#ifndef QS_GUARD_H
#define QS_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <quiesce/stop.h>

#include "lib/loop.h"
#include "lib/shutdown_fsm.h"

struct qs_guard;

struct qs_guard_options {
	struct qs_loop *loop;
	qs_stop *stop; /* set at the first request to stop */
	struct shutdown_plan plan;
	bool keep_signals; /* none is read: they are somebody else's */
	uint64_t watchdog; /* `alive` is called twice in this span; 0: never */
	/* In the loop's thread: */
	void (*stop_requested)(
	        const struct qs_stop_reason *reason, void *arg); /* once for each request */
	void (*signalled)(int signo, void *arg);                 /* HUP, USR1, USR2 */
	/* In the thread that asks, before the request gets its time. May be NULL. */
	void (*asked)(void *arg);
	/* In the guard's thread, without allocation where the loop may be stuck: */
	void (*alive)(void *arg); /* the loop turns */
	void (*stalled)(
	        uint64_t holder, uint64_t span, void *arg); /* once a stall, after a second */
	/* A line of the stuck loop's backtrace, after `stalled`; may be NULL. */
	void (*traced)(const char *line, void *arg);
	int (*last_words)(
	        void *arg); /* the hard deadline is over; returns the exit status for _exit */
	void *arg;
};

/* Blocks these signals in the calling thread; call it before any other thread is made. */
QS_MUST_CHECK int qs_guard_block_signals(void);

/* By the loop's thread. -ENOMEM, -EMFILE, -EAGAIN. */
QS_MUST_CHECK int qs_guard_start(
        const struct qs_guard_options *options, struct qs_guard **ret_guard);

/* Ends the thread and frees it. NULL is fine. */
void qs_guard_stop(struct qs_guard *guard);

/* A request to stop from anywhere but a signal; with a deadline (0: none) that is earlier than the
 * plan's, that counts. Any thread. */
void qs_guard_request_stop(struct qs_guard *guard, const struct qs_stop_reason *reason);

/* Whether anybody has asked for a stop. Any thread. */
bool qs_guard_stopping(struct qs_guard *guard);

/* A new plan, from a reload. Loop thread. */
void qs_guard_set_plan(struct qs_guard *guard, const struct shutdown_plan *plan);

/*
 * The loop is through and the process is on its way out by itself: the guard gives it `span` more
 * for that, then leaves with `status`. Loop thread.
 */
void qs_guard_farewell(struct qs_guard *guard, uint64_t span, int status);

/* All is over and told: from now on it ends the process no more. Loop thread. */
void qs_guard_stand_down(struct qs_guard *guard);

#endif
