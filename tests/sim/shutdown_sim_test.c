/*
 * Many seeded shutdowns. `--runs N` sets how many, `--seed N` replays one and tells what happens.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/shutdown_fsm.h"
#include "lib/supervise.h"
#include "tests/sim/shutdown_sim.h"

static unsigned long runs = 100000;
static struct qs_clock clock_;
static struct qs_loop *loop;

static void set_up(void)
{
	qs_clock_init_virtual(&clock_, QS_HOUR);
	ck_assert_int_eq(qs_loop_new(&clock_, &loop), 0);
}

static void tear_down(void)
{
	qs_loop_free(loop);
}

START_TEST(no_seed_breaks_an_invariant)
{
	struct sim_result result;
	unsigned verdicts = 0;
	unsigned long tasks = 0, overdue = 0;

	for (unsigned long seed = 1; seed <= runs; seed++) {
		sim_run(loop, seed, false, &result);
		if (result.broken[0])
			ck_abort_msg("--seed %lu: %s", seed, result.broken);
		verdicts |= result.verdicts;
		tasks += result.tasks;
		overdue += result.overdue;
	}
	/* A simulation in which hardly anything happens would prove nothing. */
	if (runs >= 1000) {
		for (int verdict = QS_VERDICT_FINISHED; verdict < QS_VERDICT_COUNT; verdict++)
			ck_assert_msg(verdicts & 1U << verdict, "nothing was ever %s",
			        qs_verdict_name((enum qs_verdict)verdict));
		ck_assert_uint_gt(tasks, runs * 10);
		ck_assert_uint_gt(overdue, runs / 20);
	}
}
END_TEST

START_TEST(the_same_seed_is_the_same_shutdown)
{
	for (unsigned long seed = 1; seed <= 200; seed++) {
		struct sim_result first, again, other;

		sim_run(loop, seed, false, &first);
		sim_run(loop, seed, false, &again);
		sim_run(loop, seed + 1000000, false, &other);
		ck_assert_uint_eq(first.digest, again.digest);
		ck_assert_uint_ne(first.digest, other.digest);
	}
}
END_TEST

/* --- the machine alone, with any event at any time --- */

static struct shutdown_plan draw_plan(struct qs_random *random)
{
	uint64_t spans[4];

	for (unsigned i = 0; i < ARRAY_SIZE(spans); i++)
		spans[i] = qs_random_below(random, 20) == 0 ? QS_FOREVER
		                                            : qs_random_below(random, 1000);
	return (struct shutdown_plan){ spans[0], spans[1], spans[2], spans[3] };
}

/* What must hold after any step; returns what does not, NULL if all does. */
static const char *broken_by_step(const struct shutdown_fsm *before, const struct shutdown_fsm *fsm,
        int actions, uint64_t now)
{
	bool changed = fsm_phase(before) != fsm_phase(fsm);

	if (actions < 0)
		return memcmp(before, fsm, sizeof(*fsm)) != 0 ? "refused, and yet changed" : NULL;
	if (fsm_stopping(before) && fsm->state < before->state)
		return "a phase went back";
	if (fsm->state > before->state + 2 && fsm->state != FSM_QUIESCED)
		return "a phase was passed over";
	if (fsm_stopping(before) && fsm->leave_at > before->leave_at)
		return "the end moved away";
	if (fsm_stopping(before) && fsm->requested_at != before->requested_at)
		return "the request moved";
	if (changed && !(actions & FSM_DO_ANNOUNCE))
		return "a phase was not announced";
	if ((actions & FSM_DO_LEAVE) && fsm->state != FSM_QUIESCED)
		return "left before the end";
	if (fsm_stopping(fsm) && fsm->state != FSM_QUIESCED &&
	        fsm->wake_at > MAX(fsm->leave_at, now))
		return "sleeps past the end";
	if (fsm->asked_stages > fsm->stages || fsm->overdue_stages > fsm->stages)
		return "more stages than there are";
	return NULL;
}

static const char *broken_by_walk(uint64_t seed)
{
	struct qs_random random = { .state = seed };
	struct shutdown_plan plan = draw_plan(&random);
	struct shutdown_fsm fsm;
	uint64_t now = 1 + qs_random_below(&random, 1000);
	unsigned left = 0;

	fsm_init(&fsm, &plan);
	for (unsigned step = 0; step < 60; step++) {
		struct shutdown_fsm before = fsm;
		enum fsm_event event = (enum fsm_event)qs_random_below(&random, FSM_EVENT_COUNT);
		int actions = fsm_step(&fsm, event, now, (unsigned)qs_random_below(&random, 6));
		const char *broken = broken_by_step(&before, &fsm, actions, now);

		if (broken)
			return broken;
		left += actions > 0 && (actions & FSM_DO_LEAVE);
		now += qs_random_below(&random, 4) * qs_random_below(&random, 300);
	}
	/* Time alone finishes what has begun. */
	while (fsm_stopping(&fsm) && fsm.wake_at != QS_FOREVER) {
		int actions = fsm_step(&fsm, FSM_TIME, MAX(now, fsm.wake_at), 0);

		if (actions <= 0)
			return "time stands still";
		left += (actions & FSM_DO_LEAVE) != 0;
	}
	if (left > 1)
		return "left twice";
	if (fsm.leave_at != QS_FOREVER && left != 1)
		return "never left";
	return NULL;
}

START_TEST(the_bare_machine_keeps_its_promises_whatever_comes)
{
	for (unsigned long seed = 1; seed <= runs; seed++) {
		const char *broken = broken_by_walk(seed);

		if (broken)
			ck_abort_msg("walk %lu: %s", seed, broken);
	}
}
END_TEST

static int replay(uint64_t seed)
{
	struct sim_result result;
	int r;

	qs_clock_init_virtual(&clock_, QS_HOUR);
	r = qs_loop_new(&clock_, &loop);
	if (r < 0)
		return EXIT_FAILURE;
	sim_run(loop, seed, true, &result);
	printf("seed %llu: %u tasks, %u stages overtaken, digest %016llx: %s\n",
	        (unsigned long long)seed, result.tasks, result.overdue,
	        (unsigned long long)result.digest,
	        result.broken[0] ? result.broken : "all invariants hold");
	qs_loop_free(loop);
	return result.broken[0] ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The number after `option`; -1: it is not on the command line. */
static long long number_after(int argc, char **argv, const char *option)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return strtoll(argv[i + 1], NULL, 10);
	return -1;
}

int main(int argc, char **argv)
{
	long long seed = number_after(argc, argv, "--seed");
	long long wanted = number_after(argc, argv, "--runs");

	if (seed >= 0)
		return replay((uint64_t)seed);
	if (wanted >= 0)
		runs = (unsigned long)wanted;
	Suite *suite = suite_create("shutdown_sim");
	TCase *simulation = tcase_create("simulation");

	tcase_set_timeout(simulation, 900);
	tcase_add_checked_fixture(simulation, set_up, tear_down);
	tcase_add_test(simulation, no_seed_breaks_an_invariant);
	tcase_add_test(simulation, the_same_seed_is_the_same_shutdown);
	tcase_add_test(simulation, the_bare_machine_keeps_its_promises_whatever_comes);
	suite_add_tcase(suite, simulation);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
