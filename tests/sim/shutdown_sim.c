/*
 * The simulation. Everything random is drawn from one generator in the order in which it is needed;
 * all times are whole milliseconds. Each invariant is looked at where it could first be broken.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/report.h"
#include "tests/sim/shutdown_sim_internal.h"

#define TURNS_MAX 5000

uint64_t sim_now(const struct sim *sim)
{
	return qs_loop_now(sim->loop);
}

uint64_t sim_below(struct sim *sim, uint64_t bound)
{
	return qs_random_below(&sim->random, bound);
}

bool sim_chance(struct sim *sim, unsigned percent)
{
	return sim_below(sim, 100) < percent;
}

uint64_t sim_span_below(struct sim *sim, uint64_t milliseconds)
{
	return sim_below(sim, milliseconds) * QS_MSEC;
}

void sim_note(struct sim *sim, const char *what, uint64_t id, const char *name)
{
	uint64_t at = sim_now(sim) - sim->began_at;
	uint64_t digest = sim->result->digest;

	for (const char *text = what; *text; text++)
		digest = (digest ^ (unsigned char)*text) * UINT64_C(1099511628211);
	digest = (digest ^ id) * UINT64_C(1099511628211);
	sim->result->digest = (digest ^ at) * UINT64_C(1099511628211);
	if (sim->trace)
		printf("%8llu ms  %-8s %3llu  %s\n", (unsigned long long)(at / QS_MSEC), what,
		        (unsigned long long)id, name);
}

void sim_require(struct sim *sim, bool holds, const char *format, ...)
{
	va_list arguments;

	if (holds || sim->result->broken[0])
		return;
	va_start(arguments, format);
	(void)vsnprintf(sim->result->broken, sizeof(sim->result->broken), format, arguments);
	va_end(arguments);
	sim_note(sim, "BROKEN", 0, sim->result->broken);
}

/* --- what comes from outside --- */

static void request_stop(struct sim *sim)
{
	if (!sim->requested) {
		sim->requested = true;
		sim->requested_at = sim_now(sim);
		sim->leave_at = sim->requested_at + sim->plan.deadline + sim->plan.cancel_grace +
		                sim->plan.kill_grace;
		for (unsigned i = 0; i < sim->fake_count; i++)
			sim->fakes[i].over_before_request = sim->fakes[i].over;
	}
	qs_coordinator_stop(&sim->coordinator,
	        &(struct qs_stop_reason){ .cause = QS_CAUSE_SHUTDOWN, .detail = "api sim" });
}

static struct fake *any_living(struct sim *sim)
{
	struct fake *fake =
	        sim->fake_count > 0 ? &sim->fakes[sim_below(sim, sim->fake_count)] : NULL;

	return fake && !fake->over ? fake : NULL;
}

static enum qs_cause draw_cause(struct sim *sim)
{
	static const enum qs_cause causes[] = { QS_CAUSE_API, QS_CAUSE_RELOAD, QS_CAUSE_HEARTBEAT,
		QS_CAUSE_READY, QS_CAUSE_DEPENDENCY, QS_CAUSE_LEADER_EXIT };

	return causes[sim_below(sim, ARRAY_SIZE(causes))];
}

static void push_one(struct sim *sim, enum act_kind kind)
{
	struct fake *fake = any_living(sim);
	enum qs_cause cause = draw_cause(sim);

	if (!fake)
		return;
	if (kind == ACT_ASK)
		qs_task_ask(
		        &fake->task, cause, qs_time_add(sim_now(sim), sim_span_below(sim, 9000)));
	else if (kind == ACT_CANCEL)
		qs_task_cancel(&fake->task, cause);
	else
		qs_task_kill(&fake->task, cause);
}

static void act_is_due(struct qs_timer *timer)
{
	static const char *const names[] = { "stop!", "drain!", "resume!", "ask!", "cancel!",
		"kill!", "start!" };
	static_assert(ARRAY_SIZE(names) == ACT_COUNT, "every act has a name");
	struct act *act = container_of(timer, struct act, timer);
	struct sim *sim = act->sim;
	int busy = sim->requested ? -EBUSY : 0;

	sim_note(sim, names[act->kind], 0, "");
	switch (act->kind) {
	case ACT_STOP:
		request_stop(sim);
		break;
	case ACT_DRAIN:
		sim_require(
		        sim, qs_coordinator_drain(&sim->coordinator) == busy, "a drain's answer");
		break;
	case ACT_RESUME:
		sim_require(
		        sim, qs_coordinator_resume(&sim->coordinator) == busy, "resume's answer");
		break;
	case ACT_ASK:
	case ACT_CANCEL:
	case ACT_KILL:
		push_one(sim, act->kind);
		break;
	case ACT_START:
		sim_start_fake(sim);
		break;
	case ACT_COUNT:
		break;
	}
}

static void add_act(struct sim *sim, enum act_kind kind, uint64_t at)
{
	struct act *act = &sim->acts[sim->act_count];

	*act = (struct act){ .sim = sim, .kind = kind };
	if (qs_timer_init(sim->loop, &act->timer, act_is_due) < 0) {
		sim_require(sim, false, "no memory");
		return;
	}
	sim->act_count++;
	qs_timer_arm(&act->timer, at);
}

/* At least one stop, at times several of them in a hurry. */
static void draw_acts(struct sim *sim)
{
	uint64_t stop_at = qs_time_add(sim->began_at, sim_span_below(sim, 20000));
	uint64_t hurry = sim_chance(sim, 30) ? 1 + sim_below(sim, 4) : 0;

	add_act(sim, ACT_STOP, stop_at);
	for (; hurry > 0; hurry--)
		add_act(sim, ACT_STOP,
		        stop_at + sim_span_below(sim, sim_chance(sim, 50) ? 3 : 8000));
	for (uint64_t others = sim_below(sim, ACTS_MAX - sim->act_count); others > 0; others--)
		add_act(sim, (enum act_kind)(ACT_DRAIN + sim_below(sim, ACT_COUNT - ACT_DRAIN)),
		        sim->began_at + sim_span_below(sim, 40000));
}

/* --- what the coordinator tells --- */

static void phase_changed(void *arg, enum qs_phase phase)
{
	struct sim *sim = arg;

	sim_note(sim, "phase", (uint64_t)phase, qs_phase_name(phase));
	if (sim->requested)
		sim_require(sim, phase > sim->phase, "from %s back to %s",
		        qs_phase_name(sim->phase), qs_phase_name(phase));
	else
		sim_require(
		        sim, phase <= QS_PHASE_DRAINING, "%s without a stop", qs_phase_name(phase));
	if (phase != QS_PHASE_QUIESCED && sim->requested)
		sim_require(sim, phase == sim->phase + 1, "from %s to %s",
		        qs_phase_name(sim->phase), qs_phase_name(phase));
	sim->phase = phase;
}

static void left(void *arg)
{
	struct sim *sim = arg;

	sim_note(sim, "left", 0, "");
	sim_require(sim, !sim->left, "it leaves twice");
	sim->left = true;
}

static unsigned count_stages(void *arg)
{
	return ((const struct sim *)arg)->stages;
}

/* --- one run --- */

static void draw_plan(struct sim *sim)
{
	sim->plan = (struct shutdown_plan){
		.drain = sim_chance(sim, 60) ? 0 : sim_span_below(sim, 5000),
		.deadline = sim_chance(sim, 5) ? 0 : sim_span_below(sim, 30000),
		.cancel_grace = sim_chance(sim, 10) ? 0 : sim_span_below(sim, 5000),
		.kill_grace = sim_chance(sim, 10) ? 0 : sim_span_below(sim, 3000),
	};
}

static void draw_groups(struct sim *sim)
{
	sim->stages = 1 + (unsigned)sim_below(sim, STAGES_MAX);
	sim->group_count = 1 + (unsigned)sim_below(sim, GROUPS_MAX);
	qs_context_init(&sim->context, sim->loop, sim->ledger);
	qs_group_init(&sim->root, &sim->context, NULL);
	for (unsigned i = 0; i < sim->group_count; i++) {
		struct qs_group *parent =
		        i > 0 && sim_chance(sim, 30) ? &sim->groups[sim_below(sim, i)] : &sim->root;

		qs_group_init(&sim->groups[i], &sim->context, parent);
		sim->groups[i].stage = (unsigned)sim_below(sim, sim->stages);
	}
}

static int set_up(struct sim *sim)
{
	struct qs_coordinator_hooks hooks = { .phase = phase_changed, .leave = left, .arg = sim };
	int r = qs_ledger_new(&sim->ledger);

	if (r < 0)
		return r;
	r = qs_ledger_owner(sim->ledger, "sim", &sim->owner);
	if (r < 0)
		return r;
	sim->began_at = sim_now(sim);
	draw_plan(sim);
	draw_groups(sim);
	r = qs_coordinator_init(&sim->coordinator, &sim->root, &sim->plan, &hooks);
	if (r < 0)
		return r;
	sim->coordinator.count_stages = count_stages;
	for (uint64_t tasks = sim_below(sim, 30); tasks > 0; tasks--)
		sim_start_fake(sim);
	draw_acts(sim);
	return 0;
}

static void tear_down(struct sim *sim)
{
	for (unsigned i = 0; i < sim->act_count; i++)
		qs_timer_done(&sim->acts[i].timer);
	for (unsigned i = 0; i < sim->fake_count; i++)
		qs_timer_done(&sim->fakes[i].end);
	qs_coordinator_done(&sim->coordinator);
	/* After a broken run tasks may live, and the next run uses the same loop. */
	qs_group_abandon(&sim->root);
	for (unsigned i = sim->group_count; i-- > 0;)
		qs_group_done(&sim->groups[i]);
	qs_group_done(&sim->root);
	qs_context_done(&sim->context);
	qs_ledger_free(sim->ledger);
}

/* Every task has exactly one verdict, and the books say the same as the tasks. */
static void check_books(struct sim *sim, uint64_t counts[static QS_VERDICT_COUNT])
{
	uint64_t totals[QS_VERDICT_COUNT] = { 0 };

	for (unsigned i = 0; i < sim->fake_count; i++) {
		struct fake *fake = &sim->fakes[i];

		if (!fake->over)
			fake->verdict = QS_VERDICT_ABANDONED;
		sim_require(sim, fake->endings == (fake->over ? 1U : 0U),
		        "task %llu ended %u times", sim_number(fake), fake->endings);
		sim_require(sim, fake->task.record == NULL, "task %llu has no verdict",
		        sim_number(fake));
		sim_require(sim, fake->over || fake->told == QS_RUNG_KILL,
		        "task %llu is abandoned on rung %u", sim_number(fake), fake->told);
		totals[fake->verdict]++;
		if (!fake->over_before_request)
			counts[fake->verdict]++;
		sim->result->verdicts |= 1U << fake->verdict;
	}
	for (unsigned i = 0; i < QS_VERDICT_COUNT; i++)
		sim_require(sim, atomic_load(&sim->owner->ended[i]) == totals[i], "the total of %s",
		        qs_verdict_name((enum qs_verdict)i));
	sim_require(
	        sim, atomic_load(&sim->owner->started) == sim->fake_count, "the count of starts");
	sim_require(sim, qs_ledger_live(sim->ledger) == 0, "something lives in the ledger");
}

static void check_report(struct sim *sim, const uint64_t counts[static QS_VERDICT_COUNT])
{
	struct qs_report report = { .ledger = sim->ledger,
		.chronicle = &sim->coordinator.chronicle };
	uint64_t reported[QS_VERDICT_COUNT];
	int status = counts[QS_VERDICT_ABANDONED] > 0                                    ? 151
	             : counts[QS_VERDICT_KILLED] > 0 || counts[QS_VERDICT_CANCELLED] > 0 ? 150
	                                                                                 : 0;

	qs_report_count(&report, reported);
	for (unsigned i = 0; i < QS_VERDICT_COUNT; i++)
		sim_require(sim, reported[i] == counts[i], "the report's count of %s",
		        qs_verdict_name((enum qs_verdict)i));
	sim_require(sim, qs_report_exit_status(&report) == status, "the exit status");
}

static void check_chronicle(struct sim *sim)
{
	const struct qs_chronicle *chronicle = &sim->coordinator.chronicle;
	uint64_t before = sim->requested_at;

	sim_require(
	        sim, sim->phase == QS_PHASE_QUIESCED, "it leaves in %s", qs_phase_name(sim->phase));
	sim_require(sim, atomic_load(&chronicle->requested_at) == sim->requested_at, "the request");
	sim_require(sim, atomic_load(&chronicle->left_at) == sim_now(sim), "when it left");
	for (int phase = QS_PHASE_STOPPING; phase < QS_PHASE_COUNT; phase++) {
		uint64_t at = atomic_load(&chronicle->phase_began[phase]);

		if (at == 0)
			continue;
		sim_require(
		        sim, at >= before, "%s began early", qs_phase_name((enum qs_phase)phase));
		before = at;
	}
	sim_require(sim, sim_now(sim) <= sim->leave_at, "it leaves %llu ms too late",
	        (unsigned long long)(qs_time_sub(sim_now(sim), sim->leave_at) / QS_MSEC));
}

static void run(struct sim *sim)
{
	uint64_t counts[QS_VERDICT_COUNT] = { 0 };
	unsigned turns = 0;

	while (!sim->left && !sim->result->broken[0]) {
		sim->wake_before = sim->coordinator.fsm.wake_at;
		(void)qs_loop_turn(sim->loop, true);
		sim_require(sim, ++turns < TURNS_MAX, "it never ends");
	}
	if (sim->result->broken[0])
		return;
	check_chronicle(sim);
	check_books(sim, counts);
	check_report(sim, counts);
}

void sim_run(struct qs_loop *loop, uint64_t seed, bool trace, struct sim_result *ret_result)
{
	static struct sim sim;

	*ret_result = (struct sim_result){ .digest = UINT64_C(14695981039346656037) };
	sim = (struct sim){
		.loop = loop, .random = { .state = seed }, .trace = trace, .result = ret_result
	};
	if (set_up(&sim) < 0)
		sim_require(&sim, false, "no memory");
	else
		run(&sim);
	ret_result->tasks = sim.fake_count;
	ret_result->overdue = sim.coordinator.fsm.overdue_stages;
	tear_down(&sim);
}
