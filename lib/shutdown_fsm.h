/*
 * The shutdown as a pure state machine: events and the time go in, actions come out. No I/O, no
 * loop, no clock of its own. The table in shutdown_fsm.c is the whole of it.
 *
 *   running --stop--> draining --> stopping --deadline--> cancelling --grace--> killing -->
 * quiesced
 */
#ifndef QS_SHUTDOWN_FSM_H
#define QS_SHUTDOWN_FSM_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/words.h>

#include "lib/clock.h"

#define FSM_STATE_MAP(X)                \
	X(FSM_RUNNING, "running")       \
	X(FSM_DRAINED, "drained")       \
	X(FSM_DRAINING, "draining")     \
	X(FSM_STOPPING, "stopping")     \
	X(FSM_CANCELLING, "cancelling") \
	X(FSM_KILLING, "killing")       \
	X(FSM_QUIESCED, "quiesced")

/* FSM_DRAINED is an administrator's drain: the phase is draining, but no stop was asked for. */
#define FSM_EVENT_MAP(X)                                                          \
	X(FSM_STOP, "stop")   /* a first or a further request to stop */          \
	X(FSM_DRAIN, "drain") /* an administrator's drain */                      \
	X(FSM_RESUME, "resume")                                                   \
	X(FSM_TIME, "time")               /* `now` has reached `wake_at` */       \
	X(FSM_STAGE_EMPTY, "stage-empty") /* no task of the asked stages lives */ \
	X(FSM_ALL_EMPTY, "all-empty")     /* no task lives at all */

#define FSM_VALUE(value, name) value,
enum fsm_state { FSM_STATE_MAP(FSM_VALUE) FSM_STATE_COUNT };
enum fsm_event { FSM_EVENT_MAP(FSM_VALUE) FSM_EVENT_COUNT };
#undef FSM_VALUE

const char *fsm_state_name(enum fsm_state state);
const char *fsm_event_name(enum fsm_event event);

/* All spans in nanoseconds. */
struct shutdown_plan {
	uint64_t drain;        /* counted in the deadline */
	uint64_t deadline;     /* from the request to the cancel, all stages together */
	uint64_t cancel_grace; /* from the cancel to the kill */
	uint64_t kill_grace;   /* from the kill to leaving, whatever is left */
};

/* What the coordinator has to do, in the order of these bits. */
enum fsm_action {
	FSM_DO_HOLD = 1 << 0,    /* admit nothing new from now on */
	FSM_DO_ADMIT = 1 << 1,   /* admit again */
	FSM_DO_ASK = 1 << 2,     /* ask the tasks of all stages below `asked_stages` */
	FSM_DO_CANCEL = 1 << 3,  /* cancel every task (asking first whom nobody asked) */
	FSM_DO_KILL = 1 << 4,    /* kill every task */
	FSM_DO_LEAVE = 1 << 5,   /* it is over: what still lives is abandoned */
	FSM_DO_ANNOUNCE = 1 << 6 /* the phase has changed */
};

struct shutdown_fsm {
	struct shutdown_plan plan;
	enum fsm_state state;
	unsigned stages;       /* how many there are, asked in the order 0, 1, … ; at least 1 once
	                          stopping */
	unsigned asked_stages; /* how many of them have been asked */
	unsigned overdue_stages; /* how many were overtaken by the next while something of them
	                            lived */
	uint64_t requested_at;   /* of the first stop; 0 before */
	uint64_t wake_at;        /* when FSM_TIME is due; QS_FOREVER for never */
	/* When each phase begins at the latest; QS_FOREVER before the first stop. */
	uint64_t cancel_at, kill_at, leave_at;
};

void fsm_init(struct shutdown_fsm *fsm, const struct shutdown_plan *plan);

/*
 * Feeds one event at the time `now` and returns the actions it calls for. `stages` is looked at
 * with the first FSM_STOP only. -EINVAL when the event is refused in this state: nothing changed.
 * One step moves at most one state, so that each phase is announced, also one without length:
 * as long as `wake_at` is not after `now`, feed FSM_TIME again. FSM_TIME before `wake_at` does
 * nothing.
 */
QS_MUST_CHECK int fsm_step(
        struct shutdown_fsm *fsm, enum fsm_event event, uint64_t now, unsigned stages);

enum qs_phase fsm_phase(const struct shutdown_fsm *fsm);

/* Whether a stop has been asked for. */
bool fsm_stopping(const struct shutdown_fsm *fsm);

/* When all are cancelled and when the process leaves, at the latest; further stops move it to
 * earlier. QS_FOREVER while no stop was asked for. */
uint64_t fsm_cancel_at(const struct shutdown_fsm *fsm);
uint64_t fsm_leave_at(const struct shutdown_fsm *fsm);

#endif
