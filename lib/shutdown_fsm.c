/*
 * The shutdown as a table. Each step moves at most one state, so that every phase is announced,
 * also one without length: while `wake_at` is not in the future the caller feeds FSM_TIME again.
 *
 * The end is fixed when the stop is requested. A step that comes late does not push it back: the
 * next deadline is counted from when this one was due, not from when somebody noticed.
 */
#include "lib/shutdown_fsm.h"

#include <assert.h>
#include <errno.h>

#include "lib/macro.h"

#define NAME(value, name) [value] = (name),
static const char *const state_names[] = { FSM_STATE_MAP(NAME) };
static const char *const event_names[] = { FSM_EVENT_MAP(NAME) };
#undef NAME

static_assert(ARRAY_SIZE(state_names) == FSM_STATE_COUNT, "every state has a name");
static_assert(ARRAY_SIZE(event_names) == FSM_EVENT_COUNT, "every event has a name");

const char *fsm_state_name(enum fsm_state state)
{
	return (size_t)state < ARRAY_SIZE(state_names) ? state_names[(size_t)state] : "?";
}

const char *fsm_event_name(enum fsm_event event)
{
	return (size_t)event < ARRAY_SIZE(event_names) ? event_names[(size_t)event] : "?";
}

/* The one setter: each change of state says when time alone changes it again. */
static void enter(struct shutdown_fsm *fsm, enum fsm_state state, uint64_t wake_at)
{
	fsm->state = state;
	fsm->wake_at = wake_at;
}

static int stay(struct shutdown_fsm *fsm _unused_, uint64_t now _unused_)
{
	return 0;
}

static int hold(struct shutdown_fsm *fsm, uint64_t now _unused_)
{
	enter(fsm, FSM_DRAINED, QS_FOREVER);
	return FSM_DO_HOLD | FSM_DO_ANNOUNCE;
}

static int admit(struct shutdown_fsm *fsm, uint64_t now _unused_)
{
	enter(fsm, FSM_RUNNING, QS_FOREVER);
	return FSM_DO_ADMIT | FSM_DO_ANNOUNCE;
}

static int drain(struct shutdown_fsm *fsm, uint64_t now)
{
	const struct shutdown_plan *plan = &fsm->plan;
	int held = fsm->state == FSM_DRAINED ? 0 : FSM_DO_HOLD;

	fsm->requested_at = now;
	fsm->cancel_at = qs_time_add(now, plan->deadline);
	fsm->kill_at = qs_time_add(fsm->cancel_at, plan->cancel_grace);
	fsm->leave_at = qs_time_add(fsm->kill_at, plan->kill_grace);
	enter(fsm, FSM_DRAINING, qs_time_add(now, MIN(plan->drain, plan->deadline)));
	return held | FSM_DO_ANNOUNCE;
}

/* With k stages left, this one included, it gets the remaining time / k. */
static uint64_t stage_ends_at(const struct shutdown_fsm *fsm, uint64_t now)
{
	uint64_t remaining = qs_time_sub(fsm->cancel_at, now);
	unsigned left = fsm->stages - fsm->asked_stages + 1;

	if (fsm->cancel_at == QS_FOREVER || left == 1)
		return fsm->cancel_at;
	return qs_time_add(now, remaining / left);
}

static int ask(struct shutdown_fsm *fsm, uint64_t now)
{
	bool first = fsm->state != FSM_STOPPING;

	fsm->asked_stages++;
	enter(fsm, FSM_STOPPING, stage_ends_at(fsm, now));
	return FSM_DO_ASK | (first ? FSM_DO_ANNOUNCE : 0);
}

/* When all are asked and none lives, FSM_ALL_EMPTY is on its way. */
static int ask_next(struct shutdown_fsm *fsm, uint64_t now)
{
	return fsm->asked_stages < fsm->stages ? ask(fsm, now) : 0;
}

static int cancel(struct shutdown_fsm *fsm, uint64_t now)
{
	fsm->asked_stages = fsm->stages;
	fsm->cancel_at = MIN(fsm->cancel_at, now);
	fsm->kill_at = qs_time_add(fsm->cancel_at, fsm->plan.cancel_grace);
	fsm->leave_at = qs_time_add(fsm->kill_at, fsm->plan.kill_grace);
	enter(fsm, FSM_CANCELLING, fsm->kill_at);
	return FSM_DO_CANCEL | FSM_DO_ANNOUNCE;
}

static int overtake(struct shutdown_fsm *fsm, uint64_t now)
{
	if (now >= fsm->cancel_at)
		return cancel(fsm, now);
	fsm->overdue_stages++;
	return ask(fsm, now);
}

static int force(struct shutdown_fsm *fsm, uint64_t now)
{
	fsm->kill_at = MIN(fsm->kill_at, now);
	fsm->leave_at = qs_time_add(fsm->kill_at, fsm->plan.kill_grace);
	enter(fsm, FSM_KILLING, fsm->leave_at);
	return FSM_DO_KILL | FSM_DO_ANNOUNCE;
}

static int leave(struct shutdown_fsm *fsm, uint64_t now)
{
	fsm->leave_at = MIN(fsm->leave_at, now);
	enter(fsm, FSM_QUIESCED, QS_FOREVER);
	return FSM_DO_LEAVE | FSM_DO_ANNOUNCE;
}

typedef int fsm_move(struct shutdown_fsm *fsm, uint64_t now);

/* 0: refused. */
/* clang-format off */
static fsm_move *const table[FSM_STATE_COUNT][FSM_EVENT_COUNT] = {
	/*                   FSM_STOP  FSM_DRAIN  FSM_RESUME  FSM_TIME  FSM_STAGE_EMPTY  FSM_ALL_EMPTY */
	[FSM_RUNNING]    = { drain,    hold,      stay,       stay,     stay,            stay },
	[FSM_DRAINED]    = { drain,    stay,      admit,      stay,     stay,            stay },
	[FSM_DRAINING]   = { ask,      0,         0,          ask,      stay,            leave },
	[FSM_STOPPING]   = { cancel,   0,         0,          overtake, ask_next,        leave },
	[FSM_CANCELLING] = { force,    0,         0,          force,    stay,            leave },
	[FSM_KILLING]    = { leave,    0,         0,          leave,    stay,            leave },
	[FSM_QUIESCED]   = { 0,        0,         0,          stay,     stay,            stay },
};
/* clang-format on */
static_assert(FSM_STOP == 0 && FSM_DRAIN == 1 && FSM_RESUME == 2 && FSM_TIME == 3 &&
                      FSM_STAGE_EMPTY == 4 && FSM_ALL_EMPTY == 5 && FSM_EVENT_COUNT == 6,
        "the columns of the table");

void fsm_init(struct shutdown_fsm *fsm, const struct shutdown_plan *plan)
{
	*fsm = (struct shutdown_fsm){
		.plan = *plan,
		.state = FSM_RUNNING,
		.wake_at = QS_FOREVER,
		.cancel_at = QS_FOREVER,
		.kill_at = QS_FOREVER,
		.leave_at = QS_FOREVER,
	};
}

int fsm_step(struct shutdown_fsm *fsm, enum fsm_event event, uint64_t now, unsigned stages)
{
	fsm_move *move = table[fsm->state][event];

	if (!move)
		return -EINVAL;
	if (event == FSM_TIME && now < fsm->wake_at)
		return 0;
	if (event == FSM_STOP && !fsm_stopping(fsm))
		fsm->stages = MAX(stages, 1U);
	return move(fsm, now);
}

enum qs_phase fsm_phase(const struct shutdown_fsm *fsm)
{
	static const enum qs_phase phases[] = {
		[FSM_RUNNING] = QS_PHASE_RUNNING,
		[FSM_DRAINED] = QS_PHASE_DRAINING,
		[FSM_DRAINING] = QS_PHASE_DRAINING,
		[FSM_STOPPING] = QS_PHASE_STOPPING,
		[FSM_CANCELLING] = QS_PHASE_CANCELLING,
		[FSM_KILLING] = QS_PHASE_KILLING,
		[FSM_QUIESCED] = QS_PHASE_QUIESCED,
	};
	static_assert(ARRAY_SIZE(phases) == FSM_STATE_COUNT, "every state is in a phase");

	return phases[fsm->state];
}

bool fsm_stopping(const struct shutdown_fsm *fsm)
{
	return fsm->state >= FSM_DRAINING;
}

uint64_t fsm_cancel_at(const struct shutdown_fsm *fsm)
{
	return fsm->cancel_at;
}

uint64_t fsm_leave_at(const struct shutdown_fsm *fsm)
{
	return fsm->leave_at;
}
