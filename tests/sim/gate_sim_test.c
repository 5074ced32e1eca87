/*
 * Many seeded worlds of calls through a gate. `--runs N` (or QUIESCE_SIM_RUNS) sets how many,
 * `--seed N` replays one and prints its trace, with `--stop-at N` stopped at that step.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/gate_sim.h"

static unsigned long runs = 20000;
static struct gate_world world, sum;

static void add_up(void)
{
	sum.returned += world.returned;
	sum.lost += world.lost;
	sum.answered += world.answered;
	sum.hits += world.hits;
	sum.shared += world.shared;
	sum.retries += world.retries;
	sum.refused += world.refused;
	sum.streamed += world.streamed;
	sum.late += world.late;
	sum.stopped += world.stopped;
}

START_TEST(no_seed_breaks_an_invariant)
{
	struct qs_sim_result result, again;

	for (uint64_t seed = 1; seed <= runs; seed++) {
		gate_world_run(&world, seed, 0, false, &result);
		ck_assert_msg(!world.broken[0], "--seed %" PRIu64 ": %s", seed, world.broken);
		add_up();
		if (seed % 16 != 0)
			continue;
		gate_world_run(&world, seed, 0, false, &again);
		ck_assert_msg(again.digest == result.digest,
		        "--seed %" PRIu64 ": another trace from the same seed", seed);
	}
	/* A simulation in which hardly anything happens would prove nothing. */
	const uint64_t happened[] = { sum.returned / 10, sum.lost, sum.answered / 5, sum.hits,
		sum.shared, sum.retries, sum.refused, sum.streamed, sum.late, sum.stopped };
	for (size_t i = 0; i < sizeof(happened) / sizeof(*happened); i++)
		ck_assert_msg(happened[i] > runs / 10, "the %zuth happened %" PRIu64 " times", i,
		        happened[i]);
}
END_TEST

START_TEST(a_stop_at_any_step_comes_to_a_good_end)
{
	unsigned long seeds = runs / 1000 + 1;
	struct qs_sim_result result;

	for (uint64_t seed = 1; seed <= seeds; seed++)
		for (uint64_t step = 1;; step++) {
			gate_world_run(&world, seed, step, false, &result);
			ck_assert_msg(!world.broken[0],
			        "--seed %" PRIu64 " --stop-at %" PRIu64 ": %s", seed, step,
			        world.broken);
			if (result.steps < step)
				break;
		}
}
END_TEST

static int replay(uint64_t seed, uint64_t stop_at)
{
	struct qs_sim_result result;

	gate_world_run(&world, seed, stop_at, true, &result);
	printf("digest %016" PRIx64 ", status %d, %u calls, %" PRIu64 " steps: %s\n", result.digest,
	        result.status, world.calls, result.steps,
	        world.broken[0] ? world.broken : "all is well");
	return world.broken[0] ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const char *number = getenv("QUIESCE_SIM_RUNS");
	uint64_t seed = 0, stop_at = 0;

	if (number)
		runs = strtoul(number, NULL, 10);
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--runs") == 0)
			runs = strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--stop-at") == 0)
			stop_at = strtoull(argv[i + 1], NULL, 10);
	}
	if (seed > 0)
		return replay(seed, stop_at);
	Suite *suite = suite_create("gate_sim");
	TCase *seeds = tcase_create("seeds");
	tcase_set_timeout(seeds, 0);
	tcase_add_test(seeds, a_stop_at_any_step_comes_to_a_good_end);
	tcase_add_test(seeds, no_seed_breaks_an_invariant);
	suite_add_tcase(suite, seeds);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
