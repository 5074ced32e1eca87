/*
 * Drives the pure state machine with what happens in one loop. Whatever the machine answers is done
 * in one place, perform(), in the order of its bits.
 */
#include <errno.h>

#include "lib/coordinator.h"

static uint64_t now_of(const struct qs_coordinator *c)
{
	return qs_loop_now(c->loop);
}

static void chronicle_phase(struct qs_coordinator *c)
{
	struct qs_chronicle *chronicle = &c->chronicle;
	enum qs_phase before = (enum qs_phase)atomic_load(&chronicle->phase);
	enum qs_phase phase = fsm_phase(&c->fsm);
	uint64_t now = now_of(c);

	if (phase == before)
		return;
	atomic_store(&chronicle->phase_ended[before], now);
	atomic_store(&chronicle->phase_began[phase], now);
	atomic_store(&chronicle->phase, (int)phase);
	if (c->hooks.phase)
		c->hooks.phase(c->hooks.arg, phase);
}

static void hold(struct qs_coordinator *c, bool held)
{
	if (held)
		qs_group_close(c->root);
	else
		qs_group_open(c->root);
	if (c->hooks.hold)
		c->hooks.hold(c->hooks.arg, held);
}

static void leave(struct qs_coordinator *c)
{
	atomic_store(&c->chronicle.left_at, now_of(c));
	qs_group_abandon(c->root);
	if (c->hooks.leave)
		c->hooks.leave(c->hooks.arg);
	qs_loop_leave(c->loop);
}

static void perform(struct qs_coordinator *c, unsigned actions)
{
	if (actions & FSM_DO_HOLD)
		hold(c, true);
	if (actions & FSM_DO_ADMIT)
		hold(c, false);
	if (actions & FSM_DO_ANNOUNCE)
		chronicle_phase(c);
	if (actions & FSM_DO_ASK)
		qs_group_ask(
		        c->root, c->fsm.asked_stages, QS_CAUSE_SHUTDOWN, fsm_cancel_at(&c->fsm));
	if (actions & FSM_DO_CANCEL)
		qs_group_cancel(c->root, QS_CAUSE_SHUTDOWN);
	if (actions & FSM_DO_KILL)
		qs_group_kill(c->root, QS_CAUSE_SHUTDOWN);
	if (actions & FSM_DO_LEAVE)
		leave(c);
	if (fsm_stopping(&c->fsm))
		qs_job_schedule(c->loop, &c->check);
	atomic_store(&c->chronicle.overdue_stages, c->fsm.overdue_stages);
}

/* Feeds what happened at that time, then the present for as long as the machine asks for it at
 * once. */
static int feed_at(struct qs_coordinator *c, enum fsm_event event, uint64_t at, unsigned stages)
{
	int actions = fsm_step(&c->fsm, event, at, stages);

	if (actions < 0)
		return actions;
	perform(c, (unsigned)actions);
	while (c->fsm.wake_at <= now_of(c)) {
		actions = fsm_step(&c->fsm, FSM_TIME, now_of(c), 0);
		if (actions <= 0)
			break;
		perform(c, (unsigned)actions);
	}
	qs_timer_arm(&c->timer, c->fsm.wake_at);
	return 0;
}

static int feed(struct qs_coordinator *c, enum fsm_event event)
{
	return feed_at(c, event, now_of(c), 0);
}

static void time_due(struct qs_timer *timer)
{
	(void)feed(container_of(timer, struct qs_coordinator, timer), FSM_TIME);
}

static bool asked_are_gone(const struct qs_coordinator *c)
{
	return c->fsm.state == FSM_STOPPING && c->fsm.asked_stages < c->fsm.stages &&
	       qs_group_live_in_stages(c->root, c->fsm.asked_stages) == 0;
}

static void check_emptiness(struct qs_job *job)
{
	struct qs_coordinator *c = container_of(job, struct qs_coordinator, check);

	if (!fsm_stopping(&c->fsm) || c->fsm.state == FSM_QUIESCED)
		return;
	if (c->root->live == 0)
		(void)feed(c, FSM_ALL_EMPTY);
	else if (asked_are_gone(c))
		(void)feed(c, FSM_STAGE_EMPTY);
}

static void task_left(struct qs_group *root _unused_, void *arg)
{
	struct qs_coordinator *c = arg;

	if (fsm_stopping(&c->fsm))
		qs_job_schedule(c->loop, &c->check);
}

int qs_coordinator_init(struct qs_coordinator *coordinator, struct qs_group *root,
        const struct shutdown_plan *plan, const struct qs_coordinator_hooks *hooks)
{
	*coordinator = (struct qs_coordinator){
		.loop = root->context->loop, .root = root, .hooks = *hooks
	};
	fsm_init(&coordinator->fsm, plan);
	qs_job_init(&coordinator->check, check_emptiness);
	int r = qs_timer_init(coordinator->loop, &coordinator->timer, time_due);
	if (r < 0)
		return r;
	root->left = task_left;
	root->arg = coordinator;
	atomic_store(&coordinator->chronicle.phase_began[QS_PHASE_RUNNING], now_of(coordinator));
	return 0;
}

void qs_coordinator_done(struct qs_coordinator *coordinator)
{
	if (!coordinator->root)
		return;
	coordinator->root->left = NULL;
	qs_job_cancel(&coordinator->check);
	qs_timer_done(&coordinator->timer);
}

void qs_coordinator_stop(struct qs_coordinator *coordinator, const struct qs_stop_reason *reason)
{
	uint64_t now = now_of(coordinator), at = reason->at == 0 ? now : MIN(reason->at, now);
	unsigned stages = 1;

	/* The loop may hear of it late, but the time runs from the request, as it does for the
	 * guard. */
	if (!fsm_stopping(&coordinator->fsm)) {
		coordinator->chronicle.reason = *reason;
		atomic_store(&coordinator->chronicle.requested_at, at);
		qs_ledger_retain(coordinator->root->context->ledger);
		if (coordinator->count_stages)
			stages = MAX(1U, coordinator->count_stages(coordinator->hooks.arg));
	}
	(void)feed_at(coordinator, FSM_STOP, at, stages);
}

int qs_coordinator_drain(struct qs_coordinator *coordinator)
{
	int r = feed(coordinator, FSM_DRAIN);

	return r == -EINVAL ? -EBUSY : r;
}

int qs_coordinator_resume(struct qs_coordinator *coordinator)
{
	int r = feed(coordinator, FSM_RESUME);

	return r == -EINVAL ? -EBUSY : r;
}

void qs_coordinator_set_plan(struct qs_coordinator *coordinator, const struct shutdown_plan *plan)
{
	if (!fsm_stopping(&coordinator->fsm))
		coordinator->fsm.plan = *plan;
}

enum qs_phase qs_coordinator_phase(const struct qs_coordinator *coordinator)
{
	return fsm_phase(&coordinator->fsm);
}
