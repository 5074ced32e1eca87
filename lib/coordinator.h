/*
 * The shutdown coordinator: drives the pure state machine with what happens in one loop, and does
 * what it says to the root group. Loop thread only, but for the chronicle, which a guard may read.
 */
#ifndef QS_COORDINATOR_H
#define QS_COORDINATOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <quiesce/stop.h>

#include "lib/group.h"
#include "lib/loop.h"
#include "lib/shutdown_fsm.h"

/* What will be told of the shutdown. Absolute times in ns; 0: not yet. */
struct qs_chronicle {
	_Atomic uint64_t requested_at, left_at;
	_Atomic uint64_t phase_began[QS_PHASE_COUNT];
	_Atomic uint64_t phase_ended[QS_PHASE_COUNT];
	_Atomic unsigned overdue_stages;
	_Atomic int phase;            /* enum qs_phase */
	struct qs_stop_reason reason; /* written before requested_at */
	_Atomic bool failure;         /* the daemon stops because of a failure of its own */
};

struct qs_coordinator_hooks {
	void (*hold)(void *arg, bool held);            /* admit nothing new / admit again */
	void (*phase)(void *arg, enum qs_phase phase); /* it has just changed */
	void (*leave)(void *arg);                      /* it is over: the loop is being left */
	void *arg;
};

struct qs_coordinator {
	struct shutdown_fsm fsm;
	struct qs_loop *loop;
	struct qs_group *root;
	struct qs_timer timer;
	struct qs_job check; /* looks at the end of a turn whether stages have become empty */
	struct qs_coordinator_hooks hooks;
	struct qs_chronicle chronicle;
	unsigned (*count_stages)(void *arg); /* when the stop begins; NULL: one */
};

/* Takes over the root group's `emptied`. -ENOMEM. */
QS_MUST_CHECK int qs_coordinator_init(struct qs_coordinator *coordinator, struct qs_group *root,
        const struct shutdown_plan *plan, const struct qs_coordinator_hooks *hooks);
void qs_coordinator_done(struct qs_coordinator *coordinator);

/* A request to stop: the first begins, each further one moves a phase on. What has a time (`at` of
 * its reason) is counted from then, otherwise from now. */
void qs_coordinator_stop(struct qs_coordinator *coordinator, const struct qs_stop_reason *reason);

/* -EBUSY once a stop was asked for; drain twice or resume without drain is 0. */
QS_MUST_CHECK int qs_coordinator_drain(struct qs_coordinator *coordinator);
QS_MUST_CHECK int qs_coordinator_resume(struct qs_coordinator *coordinator);

/* A new plan, from a reload: counts for a stop that has not begun yet. */
void qs_coordinator_set_plan(struct qs_coordinator *coordinator, const struct shutdown_plan *plan);

enum qs_phase qs_coordinator_phase(const struct qs_coordinator *coordinator);

#endif
