/*
 * Many seeded worlds of tasks. `--runs N` (or QUIESCE_SIM_RUNS) sets how many, `--seed N` replays
 * one and prints its trace, with `--stop-at N` stopped at that step.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/sim/tasks_sim.h"

#define WORKERS 2

static unsigned long runs = 100000;

struct tally {
	uint64_t verdicts[QS_VERDICT_COUNT];
	uint64_t tasks, steps, refused, stopped, hurried, timed_out_by_group;
};

static void count(
        struct tally *tally, const struct world *world, const struct qs_sim_result *result)
{
	for (int i = 0; i < QS_VERDICT_COUNT; i++)
		tally->verdicts[i] += result->verdicts[i];
	tally->tasks += world->begun;
	tally->steps += result->steps;
	tally->refused += result->refused;
	tally->stopped += world->requested_at > 0;
	tally->hurried += world->hurried;
	tally->timed_out_by_group += world->timed_out_by_group;
}

static void report_broken(uint64_t seed, uint64_t stop_at, const char *broken)
{
	fprintf(stderr, "tasks_sim: --seed %" PRIu64, seed);
	if (stop_at > 0)
		fprintf(stderr, " --stop-at %" PRIu64, stop_at);
	fprintf(stderr, ": %s\n", broken);
	_exit(1);
}

/* A run printed twice from one seed is identical. */
static void run_again(struct world *world, uint64_t seed, const struct qs_sim_result *first)
{
	struct qs_sim_result again;

	world_run(world, seed, 0, false, &again);
	if (again.digest != first->digest || again.events != first->events)
		report_broken(seed, 0, "another trace from the same seed");
}

static void run_share(unsigned worker, int pipe_fd)
{
	static struct world world;
	struct tally tally = { 0 };
	struct qs_sim_result result;

	for (uint64_t seed = worker + 1; seed <= runs; seed += WORKERS) {
		world_run(&world, seed, 0, false, &result);
		if (world.broken[0])
			report_broken(seed, 0, world.broken);
		count(&tally, &world, &result);
		if (seed % 8 == 0)
			run_again(&world, seed, &result);
	}
	_exit(write(pipe_fd, &tally, sizeof(tally)) == sizeof(tally) ? 0 : 1);
}

static struct tally run_all(void)
{
	struct tally sum = { 0 }, share;
	pid_t workers[WORKERS];
	int fds[2], status;

	ck_assert_int_eq(pipe(fds), 0);
	fflush(NULL);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = fork();
		ck_assert_int_ge(workers[i], 0);
		if (workers[i] == 0)
			run_share(i, fds[1]);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(waitpid(workers[i], &status, 0), workers[i]);
		ck_assert_msg(status == 0, "worker %u of %u ended with %#x", i, WORKERS, status);
		ck_assert_int_eq(read(fds[0], &share, sizeof(share)), sizeof(share));
		for (int j = 0; j < QS_VERDICT_COUNT; j++)
			sum.verdicts[j] += share.verdicts[j];
		sum.tasks += share.tasks;
		sum.steps += share.steps;
		sum.refused += share.refused;
		sum.stopped += share.stopped;
		sum.hurried += share.hurried;
		sum.timed_out_by_group += share.timed_out_by_group;
	}
	close(fds[0]);
	close(fds[1]);
	return sum;
}

START_TEST(no_seed_breaks_an_invariant)
{
	struct tally sum = run_all();

	/* A simulation in which hardly anything happens would prove nothing. */
	if (runs < 1000)
		return;
	for (int verdict = QS_VERDICT_FINISHED; verdict < QS_VERDICT_ABANDONED; verdict++)
		ck_assert_msg(sum.verdicts[verdict] > runs / 50, "hardly anything was %s",
		        qs_verdict_name((enum qs_verdict)verdict));
	ck_assert_uint_gt(sum.tasks, runs * 8);
	ck_assert_uint_gt(sum.steps, runs * 20);
	ck_assert_uint_gt(sum.refused, runs / 10);
	ck_assert_uint_gt(sum.stopped, runs / 2);
	ck_assert_uint_gt(sum.hurried, runs / 100);
	ck_assert_uint_gt(sum.timed_out_by_group, runs / 200);
}
END_TEST

START_TEST(a_stop_at_any_step_comes_to_a_good_end)
{
	static struct world world;
	struct qs_sim_result result;
	unsigned long seeds = runs / 2000 + 1;

	for (uint64_t seed = 1; seed <= seeds; seed++)
		for (uint64_t step = 1;; step++) {
			world_run(&world, seed, step, false, &result);
			if (world.broken[0])
				ck_abort_msg("--seed %" PRIu64 " --stop-at %" PRIu64 ": %s", seed,
				        step, world.broken);
			if (result.steps < step)
				break;
		}
}
END_TEST

/* But for those whose first fiber did not get the memory it needs. */
START_TEST(another_seed_is_another_run)
{
	static struct world world;
	struct qs_sim_result one, other;
	unsigned same = 0;

	for (uint64_t seed = 1; seed <= 100; seed++) {
		world_run(&world, seed, 0, false, &one);
		world_run(&world, seed + 1000000, 0, false, &other);
		same += one.digest == other.digest;
	}
	ck_assert_uint_lt(same, 10);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tasks_sim");
	TCase *seeds = tcase_create("seeds");

	tcase_set_timeout(seeds, 0);
	tcase_add_test(seeds, another_seed_is_another_run);
	tcase_add_test(seeds, a_stop_at_any_step_comes_to_a_good_end);
	tcase_add_test(seeds, no_seed_breaks_an_invariant);
	suite_add_tcase(s, seeds);
	return s;
}

static int replay(uint64_t seed, uint64_t stop_at)
{
	static struct world world;
	struct qs_sim_result result;

	world_run(&world, seed, stop_at, true, &result);
	printf("digest %016" PRIx64 ", status %d, %" PRIu64 " tasks, %" PRIu64 " steps: %s\n",
	        result.digest, result.status, world.begun, result.steps,
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
	SRunner *runner = srunner_create(suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
