/*
 * The tasks of the simulation: each ends by itself, or some while after it was asked, cancelled or
 * killed, or never. They check what they are told, and when.
 */
#include <errno.h>
#include <stdio.h>

#include "tests/sim/shutdown_sim_internal.h"

static struct fake *fake_of(struct qs_task *task)
{
	return container_of(task, struct fake, task);
}

unsigned long long sim_number(const struct fake *fake)
{
	return fake->id;
}

/* A rung makes it end sooner, never later. */
static void impress(struct fake *fake, enum qs_rung rung)
{
	uint64_t at = qs_time_add(sim_now(fake->sim), fake->after[rung]);

	if (!qs_timer_armed(&fake->end) || at < fake->end.at)
		qs_timer_arm(&fake->end, at);
}

/* Its own ladder takes it on to the next rung at the latest when this one's time is over. */
static void keep_ladder(struct fake *fake)
{
	const struct qs_ladder *ladder = &fake->terms.ladder;
	uint64_t now = sim_now(fake->sim);

	sim_require(fake->sim, now <= fake->rung_ends_at, "task %llu stays too long on rung %u",
	        sim_number(fake), fake->told);
	fake->rung_ends_at = qs_time_add(now, fake->told == QS_RUNG_ASK      ? ladder->deadline
	                                      : fake->told == QS_RUNG_CANCEL ? ladder->cancel_grace
	                                                                     : QS_FOREVER);
}

static void climb(struct fake *fake, enum qs_rung rung)
{
	struct sim *sim = fake->sim;

	sim_note(sim, qs_rung_name(rung), fake->id, qs_cause_name(qs_task_cause(&fake->task)));
	sim_require(sim, !fake->over, "task %llu is pushed after its end", sim_number(fake));
	sim_require(sim, fake->told + 1 == (unsigned)rung, "task %llu goes from rung %u to %u",
	        sim_number(fake), fake->told, (unsigned)rung);
	fake->told = (unsigned)rung;
	keep_ladder(fake);
	impress(fake, rung);
}

/* Within one sweep of a rung over all tasks, those that have run longest go first. */
static void keep_order(struct sim *sim, struct sweep *sweep, uint64_t key, const struct fake *fake)
{
	if (sweep->key != key)
		*sweep = (struct sweep){ .key = key };
	sim_require(sim, fake->id > sweep->last_id, "task %llu goes after a younger one",
	        sim_number(fake));
	sweep->last_id = fake->id;
}

static bool lives_below_stage(const struct sim *sim, unsigned stage)
{
	for (unsigned i = 0; i < sim->fake_count; i++)
		if (!sim->fakes[i].over && sim->fakes[i].task.group->stage < stage)
			return true;
	return false;
}

static void fake_ask(struct qs_task *task)
{
	struct fake *fake = fake_of(task);
	struct sim *sim = fake->sim;
	const struct shutdown_fsm *fsm = &sim->coordinator.fsm;

	climb(fake, QS_RUNG_ASK);
	fake->cause = qs_task_cause(task);
	if (fake->cause != QS_CAUSE_SHUTDOWN)
		return;
	sim_require(sim, sim->phase >= QS_PHASE_STOPPING, "task %llu is asked in the phase %s",
	        sim_number(fake), qs_phase_name(sim->phase));
	if (sim->phase != QS_PHASE_STOPPING)
		return;
	keep_order(sim, &sim->asks, fsm->asked_stages, fake);
	sim_require(sim, task->group->stage < fsm->asked_stages,
	        "task %llu is asked before its stage", sim_number(fake));
	sim_require(sim,
	        !lives_below_stage(sim, fsm->asked_stages - 1) ||
	                (fsm->overdue_stages > 0 && sim->wake_before <= sim_now(sim)),
	        "task %llu is asked while an earlier stage lives and has time", sim_number(fake));
}

static void fake_cancel(struct qs_task *task)
{
	struct fake *fake = fake_of(task);

	climb(fake, QS_RUNG_CANCEL);
	if (fake->sim->phase == QS_PHASE_CANCELLING)
		keep_order(fake->sim, &fake->sim->cancels, 1, fake);
}

static void fake_kill(struct qs_task *task)
{
	struct fake *fake = fake_of(task);

	climb(fake, QS_RUNG_KILL);
	if (fake->sim->phase == QS_PHASE_KILLING)
		keep_order(fake->sim, &fake->sim->kills, 1, fake);
}

static void fake_describe(const struct qs_task *task _unused_, char *buffer, size_t size)
{
	(void)snprintf(buffer, size, "nothing");
}

static const struct qs_task_kind fake_kind = { .id = QS_KIND_STEP,
	.ask = fake_ask,
	.cancel = fake_cancel,
	.kill = fake_kill,
	.describe = fake_describe };

static enum qs_verdict expected_verdict(const struct fake *fake)
{
	if (fake->told == QS_RUNG_KILL)
		return QS_VERDICT_KILLED;
	if (fake->told == QS_RUNG_CANCEL)
		return QS_VERDICT_CANCELLED;
	if (fake->told == QS_RUNG_NONE || fake->cause == QS_CAUSE_LEADER_EXIT)
		return fake->well ? QS_VERDICT_FINISHED : QS_VERDICT_FAILED;
	if (fake->cause == QS_CAUSE_HEARTBEAT || fake->cause == QS_CAUSE_READY)
		return QS_VERDICT_FAILED;
	return fake->well_when_asked ? QS_VERDICT_STOPPED : QS_VERDICT_FAILED;
}

static void fake_ended(struct qs_task *task, enum qs_verdict verdict, void *arg)
{
	struct fake *fake = arg;
	struct sim *sim = fake->sim;

	sim_require(sim, task == &fake->task, "the ending of another task");
	sim_note(sim, "ended", fake->id, qs_verdict_name(verdict));
	sim_require(sim, ++fake->endings == 1, "task %llu ends twice", sim_number(fake));
	sim_require(sim, verdict == expected_verdict(fake), "task %llu is %s instead of %s",
	        sim_number(fake), qs_verdict_name(verdict),
	        qs_verdict_name(expected_verdict(fake)));
	keep_ladder(fake);
	fake->over = true;
	fake->verdict = verdict;
	if (fake->restarts)
		sim_start_fake(sim);
}

static void fake_is_due(struct qs_timer *timer)
{
	struct fake *fake = container_of(timer, struct fake, end);
	struct qs_outcome outcome = { .type = QS_OUTCOME_RETURN, .value = fake->well ? 0 : -EIO };

	/* The turn in which it was abandoned goes on: that it ends now comes too late. */
	if (fake->sim->left)
		return;
	qs_task_end(&fake->task, outcome, fake->well, fake->well_when_asked);
}

/* A span after which it ends, or never with the given likelihood. */
static uint64_t patience(struct sim *sim, unsigned never_percent, uint64_t milliseconds)
{
	return sim_chance(sim, never_percent) ? QS_FOREVER : sim_span_below(sim, milliseconds);
}

static void draw_behaviour(struct sim *sim, struct fake *fake)
{
	fake->after[QS_RUNG_NONE] = patience(sim, 60, 40000);
	fake->after[QS_RUNG_ASK] = patience(sim, 25, sim_chance(sim, 50) ? 100 : 20000);
	fake->after[QS_RUNG_CANCEL] = patience(sim, 40, 3000);
	fake->after[QS_RUNG_KILL] = patience(sim, 5, sim_chance(sim, 80) ? 5 : 3000);
	fake->well = sim_chance(sim, 70);
	fake->well_when_asked = sim_chance(sim, 80);
	fake->restarts = sim_chance(sim, 20);
}

static struct qs_task_setup draw_options(struct sim *sim, struct fake *fake)
{
	fake->terms = (struct qs_task_terms){
		.ladder = { .deadline = patience(sim, 60, 15000),
		        .cancel_grace = patience(sim, 60, 4000) },
		.ended = fake_ended,
	};
	return (struct qs_task_setup){
		.name = "fake", .owner = sim->owner, .terms = &fake->terms, .arg = fake
	};
}

/* Nothing new is admitted in any phase but running. */
void sim_start_fake(struct sim *sim)
{
	if (sim->fake_count == TASKS_MAX)
		return;
	struct fake *fake = &sim->fakes[sim->fake_count];
	*fake = (struct fake){ .sim = sim, .rung_ends_at = QS_FOREVER };
	draw_behaviour(sim, fake);
	struct qs_task_setup options = draw_options(sim, fake);
	struct qs_group *group = &sim->groups[sim_below(sim, sim->group_count)];
	int r = qs_timer_init(sim->loop, &fake->end, fake_is_due);

	if (r == 0) {
		r = qs_task_init(&fake->task, &fake_kind, group, &options);
		if (r < 0)
			qs_timer_done(&fake->end);
	}
	sim_require(sim, r == (sim->phase == QS_PHASE_RUNNING ? 0 : -ESHUTDOWN),
	        "a start in the phase %s: %d", qs_phase_name(sim->phase), r);
	if (r < 0)
		return;
	fake->id = qs_task_id(&fake->task);
	sim->fake_count++;
	sim_note(sim, "started", fake->id, "");
	impress(fake, QS_RUNG_NONE);
}
