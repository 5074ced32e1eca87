/* Simulation as a user has it: seeds, steps, stops, failures, and what is told at the end. */
#include <quiesce/sim.h>

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/fiber.h>
#include <quiesce/semaphore.h>
#include <quiesce/step.h>

#include "lib/macro.h"

static char order[64];
static unsigned cleaned, noted;

static void put(char letter)
{
	size_t length = strlen(order);

	if (length + 1 < sizeof(order))
		order[length] = letter;
}

static void run(const struct qs_sim_options *options, int (*set_up)(qs_runtime *, void *),
        struct qs_sim_result *ret_result)
{
	memset(order, 0, sizeof(order));
	cleaned = noted = 0;
	ck_assert_int_eq(qs_sim_run(options, set_up, NULL, ret_result), 0);
}

/* --- three fibers, three steps, three posts --- */

static int fiber_puts(qs_task *self, void *letter)
{
	int r = qs_sleep(self, QS_MIN);

	put(*(const char *)letter);
	return r;
}

static int step_puts(qs_task *self, void *letter, unsigned why)
{
	if (why & QS_STEP_FIRST) {
		qs_step_again(self, QS_HOUR);
		return QS_STEP_WAIT;
	}
	put(*(const char *)letter);
	return QS_STEP_DONE;
}

static void post_puts(void *letter)
{
	put(*(const char *)letter);
}

static int set_up_three_of_each(qs_runtime *runtime, void *arg _unused_)
{
	static char letters[] = "abcABC123";
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++)
		r = qs_spawn_fiber(qs_root(runtime), NULL, fiber_puts, &letters[i], NULL);
	for (int i = 3; i < 6 && r == 0; i++)
		r = qs_spawn_step(qs_root(runtime), NULL, step_puts, &letters[i], NULL);
	for (int i = 6; i < 9 && r == 0; i++)
		r = qs_post(runtime, post_puts, &letters[i]);
	return r;
}

START_TEST(a_run_of_an_hour_is_over_at_once_and_tells_all)
{
	struct qs_sim_result result;

	run(&(struct qs_sim_options){ .seed = 7 }, set_up_three_of_each, &result);
	ck_assert_int_eq(result.status, 0);
	ck_assert_uint_eq(result.steps, 12);
	ck_assert_uint_eq(result.verdicts[QS_VERDICT_FINISHED], 6);
	ck_assert_uint_eq(result.duration, QS_HOUR - QS_SEC);
	ck_assert_uint_eq(result.events, 6 + 12 + 6);
	ck_assert_uint_eq(result.tasks_left, 0);
	ck_assert_int_eq(result.memory_left, 0);
	ck_assert_uint_gt(result.chances, 10);
	ck_assert_uint_eq(result.refused, 0);
}
END_TEST

START_TEST(the_same_seed_is_the_same_run_and_seeds_find_every_order)
{
	struct qs_sim_result result, again;
	char seen[64][8] = { { 0 } }, first[64];
	unsigned fibers = 0, steps = 0;

	for (uint64_t seed = 1; seed <= 300; seed++) {
		run(&(struct qs_sim_options){ .seed = seed }, set_up_three_of_each, &result);
		memcpy(first, order, sizeof(first));
		run(&(struct qs_sim_options){ .seed = seed }, set_up_three_of_each, &again);
		ck_assert_uint_eq(result.digest, again.digest);
		ck_assert_str_eq(first, order);
		/* Posts are promised to be in order. */
		ck_assert_int_eq(strncmp(order, "123", 3), 0);
		for (int part = 3; part <= 6; part += 3) {
			unsigned i = 0;

			while (seen[i][0] && strncmp(seen[i], order + part, 3) != 0)
				i++;
			if (!seen[i][0]) {
				memcpy(seen[i], order + part, 3);
				*(part == 3 ? &fibers : &steps) += 1;
			}
		}
	}
	ck_assert_uint_eq(fibers, 6);
	ck_assert_uint_eq(steps, 6);
}
END_TEST

/* --- a stop, failures --- */

static void clean(void *arg _unused_)
{
	cleaned++;
}

static int tick(qs_task *self, void *arg _unused_)
{
	if (qs_defer(self, clean, NULL) < 0)
		return -ENOMEM;
	while (qs_sleep(self, qs_in(self, QS_SEC)) == 0)
		;
	return qs_stopping(self) ? -ESHUTDOWN : -EIO;
}

static int set_up_tick(qs_runtime *runtime, void *arg _unused_)
{
	return qs_spawn_fiber(qs_root(runtime), NULL, tick, NULL, NULL);
}

START_TEST(a_stop_comes_just_before_the_step)
{
	struct qs_sim_result result;

	for (uint64_t step = 1; step < 20; step++) {
		run(&(struct qs_sim_options){ .stop_at = step }, set_up_tick, &result);
		ck_assert_int_eq(result.status, 0);
		ck_assert_uint_eq(result.verdicts[QS_VERDICT_STOPPED], 1);
		ck_assert_uint_eq(result.steps, step + 1);
		ck_assert_uint_eq(cleaned, 1);
	}
}
END_TEST

START_TEST(a_run_without_end_is_broken_off)
{
	struct qs_sim_result result;

	run(&(struct qs_sim_options){ .limit = 1000 }, set_up_tick, &result);
	ck_assert_int_eq(result.status, -ETIME);
	ck_assert_uint_eq(result.steps, 1000);
	ck_assert_uint_eq(result.tasks_left, 1);
	ck_assert_uint_eq(cleaned, 1);
	ck_assert_int_eq(result.memory_left, 0);
}
END_TEST

/* Each of them, one after the other, until a run is through without one. */
START_TEST(any_allocation_and_system_call_may_fail)
{
	struct qs_sim_result result;
	unsigned failed_to_begin = 0;
	uint64_t n = 0;

	do {
		struct qs_sim_options options = { .fail_at = ++n, .stop_at = 3 };

		cleaned = 0;
		int r = qs_sim_run(&options, set_up_tick, NULL, &result);
		ck_assert(r == 0 || r == -ENOMEM || r == -EMFILE);
		ck_assert_msg(result.memory_left == 0, "memory was left after failure %d", (int)n);
		ck_assert_uint_eq(result.tasks_left, 0);
		failed_to_begin += r < 0;
	} while (result.refused > 0);
	ck_assert_uint_gt(failed_to_begin, 10);
	ck_assert_uint_eq(n, result.chances + 1);
}
END_TEST

static int asks_for_failure(qs_task *self, void *arg _unused_)
{
	for (int i = 0; i < 1000; i++)
		noted += qs_sim_fails();
	qs_sim_note(self, "asked");
	return 0;
}

static int set_up_asker(qs_runtime *runtime, void *arg _unused_)
{
	return qs_spawn_fiber(qs_root(runtime), NULL, asks_for_failure, NULL, NULL);
}

START_TEST(the_programs_own_steps_fail_at_that_rate_too)
{
	struct qs_sim_result result;

	run(&(struct qs_sim_options){ .seed = 3, .fail_rate = 500000 }, set_up_asker, &result);
	ck_assert_uint_gt(noted, 400);
	ck_assert_uint_lt(noted, 600);
	ck_assert_uint_ge(result.refused, noted);
	ck_assert(!qs_sim_fails());
}
END_TEST

/* --- the trace, and ends that are none --- */

static void see(const struct qs_sim_event *event, void *arg _unused_)
{
	put(event->what[0]);
}

START_TEST(a_trace_has_beginnings_steps_notes_and_verdicts)
{
	struct qs_sim_result result;

	run(&(struct qs_sim_options){ .trace = see }, set_up_asker, &result);
	/* begin, run, asked, finished */
	ck_assert_str_eq(order, "braf");
	ck_assert_uint_eq(result.events, 4);
}
END_TEST

static qs_semaphore *semaphore;

static int waits_for_ever(qs_task *self, void *arg _unused_)
{
	return qs_semaphore_acquire(self, semaphore, QS_FOREVER);
}

static int set_up_waiter(qs_runtime *runtime, void *arg _unused_)
{
	int r = qs_semaphore_new(0, &semaphore);

	return r < 0 ? r : qs_spawn_fiber(qs_root(runtime), NULL, waits_for_ever, NULL, NULL);
}

START_TEST(who_waits_for_what_never_comes_is_a_deadlock_and_what_is_not_freed_is_seen)
{
	struct qs_sim_result result;

	run(&(struct qs_sim_options){ 0 }, set_up_waiter, &result);
	ck_assert_int_eq(result.status, -EDEADLK);
	ck_assert_uint_eq(result.tasks_left, 1);
	ck_assert_int_eq(result.memory_left, 1);
	qs_semaphore_free(semaphore);
}
END_TEST

static int set_up_nothing(qs_runtime *runtime _unused_, void *arg _unused_)
{
	return -EBADMSG;
}

START_TEST(a_set_up_that_fails_is_told)
{
	struct qs_sim_result result;

	ck_assert_int_eq(
	        qs_sim_run(&(struct qs_sim_options){ 0 }, set_up_nothing, NULL, &result), -EBADMSG);
	ck_assert_int_eq(result.memory_left, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim");
	TCase *tests = tcase_create("sim");

	tcase_add_test(tests, a_run_of_an_hour_is_over_at_once_and_tells_all);
	tcase_add_test(tests, the_same_seed_is_the_same_run_and_seeds_find_every_order);
	tcase_add_test(tests, a_stop_comes_just_before_the_step);
	tcase_add_test(tests, a_run_without_end_is_broken_off);
	tcase_add_test(tests, any_allocation_and_system_call_may_fail);
	tcase_add_test(tests, the_programs_own_steps_fail_at_that_rate_too);
	tcase_add_test(tests, a_trace_has_beginnings_steps_notes_and_verdicts);
	tcase_add_test(
	        tests, who_waits_for_what_never_comes_is_a_deadlock_and_what_is_not_freed_is_seen);
	tcase_add_test(tests, a_set_up_that_fails_is_told);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
