/* Fibers: how they run, what they leave behind, and what the groups around them do. */
#include <errno.h>
#include <stdio.h>

#include <quiesce/event.h>

#include "tests/unit/fiber_world.h"

static void set_up(void)
{
	world_open(true, 0);
}

static void tear_down(void)
{
	world_close();
}

/* --- running and ending --- */

static int return_arg(qs_task *self, void *arg)
{
	(void)self;
	return *(int *)arg;
}

START_TEST(what_it_returns_is_its_result)
{
	int values[] = { 0, 7, -EIO, -ESHUTDOWN };
	enum qs_verdict verdicts[] = { QS_VERDICT_FINISHED, QS_VERDICT_FINISHED, QS_VERDICT_FAILED,
		QS_VERDICT_FAILED };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		qs_task *task = world_spawn(&world.root, return_arg, &values[i]);

		world_run();
		struct qs_result result = world_result(task);
		ck_assert_int_eq(result.verdict, verdicts[i]);
		ck_assert_int_eq(result.outcome.type, QS_OUTCOME_RETURN);
		ck_assert_int_eq(result.outcome.value, values[i]);
	}
	ck_assert_uint_eq(world.reports, 0);
}
END_TEST

START_TEST(a_living_task_has_no_result_yet)
{
	struct qs_result result;
	int value = 0;
	qs_task *task = world_spawn(&world.root, return_arg, &value);

	ck_assert_int_eq(qs_task_result(task, &result), -EINPROGRESS);
	world_run();
	ck_assert_int_eq(qs_task_result(task, &result), 0);
}
END_TEST

static int sleep_until_stopped(qs_task *self, void *arg)
{
	unsigned *naps = arg;

	while (!qs_stopping(self)) {
		++*naps;
		(void)qs_sleep(self, qs_in(self, QS_SEC));
	}
	return 0;
}

START_TEST(a_loop_of_sleeps_ends_at_once_when_it_is_asked)
{
	unsigned naps = 0;
	uint64_t began = world_now(), asked_at;
	qs_task *task = world_spawn(&world.root, sleep_until_stopped, &naps);

	while (world_now() < began + 10 * QS_SEC)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_ge(naps, 10);
	asked_at = world_now();
	qs_task_ask(task, QS_CAUSE_API, QS_FOREVER);
	world_run();
	ck_assert_uint_eq(world_now(), asked_at);
	ck_assert_int_eq(world_result(task).verdict, QS_VERDICT_STOPPED);
}
END_TEST

static int yield_thrice(qs_task *self, void *arg)
{
	for (int i = 0; i < 3; i++) {
		note(arg);
		ck_assert_int_eq(qs_yield(self), 0);
	}
	return 0;
}

START_TEST(those_that_are_ready_take_turns_in_their_order)
{
	order[0] = '\0';
	for (char c = 'a'; c < 'd'; c++)
		world_send_off(&world.root, yield_thrice, letter(c));
	world_run();
	ck_assert_str_eq(order, "abcabcabc");
}
END_TEST

static void run_seed(uint64_t seed, char result[static sizeof(order)])
{
	order[0] = '\0';
	world_open(true, seed);
	for (char c = 'a'; c < 'i'; c++)
		world_send_off(&world.root, yield_thrice, letter(c));
	world_run();
	world_close();
	memcpy(result, order, sizeof(order));
}

START_TEST(a_seed_decides_the_order_and_the_same_seed_the_same_order)
{
	char one[sizeof(order)], again[sizeof(order)], other[sizeof(order)];

	world_close();
	run_seed(11, one);
	run_seed(11, again);
	run_seed(12, other);
	ck_assert_str_eq(one, again);
	ck_assert_str_ne(one, other);
	world_open(true, 0);
}
END_TEST

static int never_ready_again(qs_task *self, void *arg)
{
	unsigned *turns = arg;

	while (qs_yield(self) == 0)
		++*turns;
	return 0;
}

START_TEST(one_that_is_always_ready_does_not_keep_timers_from_coming)
{
	unsigned turns = 0, naps = 0;
	qs_task *busy = world_spawn(&world.root, never_ready_again, &turns);
	qs_task *sleeper = world_spawn(&world.root, sleep_until_stopped, &naps);

	for (int i = 0; i < 50; i++) {
		(void)qs_loop_turn(world.loop, true);
		qs_clock_advance_to(&world.clock, world_now() + QS_SEC);
	}
	ck_assert_uint_gt(naps, 5);
	ck_assert_uint_gt(turns, 50);
	qs_task_cancel(busy, QS_CAUSE_API);
	qs_task_ask(sleeper, QS_CAUSE_API, QS_FOREVER);
	world_run();
	qs_task_forget(busy);
	qs_task_forget(sleeper);
}
END_TEST

/* --- clean-up and force --- */

static int defer_and_wait(qs_task *self, void *arg)
{
	int count = *(int *)arg;

	for (int i = 0; i < count; i++)
		ck_assert_int_eq(qs_defer(self, note_arg, letter((char)('a' + i % 26))), 0);
	(void)qs_sleep(self, qs_in(self, QS_HOUR));
	note("!");
	return 0;
}

static void expect_reverse(int count, const char *begin)
{
	char expected[256];
	size_t length = (size_t)snprintf(expected, sizeof(expected), "%s", begin);

	for (int i = count - 1; i >= 0; i--)
		expected[length++] = (char)('a' + i % 26);
	expected[length] = '\0';
	ck_assert_str_eq(order, expected);
}

/* _i is how many. */
START_TEST(clean_ups_run_last_in_first_out_when_it_returns)
{
	int count = _i;

	order[0] = '\0';
	world_send_off(&world.root, defer_and_wait, &count);
	world_run();
	expect_reverse(count, "!");
}
END_TEST

START_TEST(clean_ups_run_when_it_is_killed_and_it_never_comes_back)
{
	int count = _i;
	qs_task *task = world_spawn(&world.root, defer_and_wait, &count);

	order[0] = '\0';
	world_settle();
	qs_task_kill(task, QS_CAUSE_API);
	ck_assert_str_eq(order, "");
	world_run();
	expect_reverse(count, "");
	ck_assert_int_eq(world_result(task).verdict, QS_VERDICT_KILLED);
}
END_TEST

START_TEST(killed_before_it_began_it_never_runs)
{
	int count = 1;
	qs_task *task = world_spawn(&world.root, defer_and_wait, &count);

	order[0] = '\0';
	qs_task_kill(task, QS_CAUSE_API);
	world_run();
	ck_assert_str_eq(order, "");
	ck_assert_int_eq(world_result(task).verdict, QS_VERDICT_KILLED);
}
END_TEST

static qs_task *kill_me;

static int kill_itself(qs_task *self, void *arg)
{
	ck_assert_int_eq(qs_defer(self, note_arg, letter('d')), 0);
	qs_task_kill(self, QS_CAUSE_API);
	note("runs on,");
	if (arg)
		(void)qs_sleep(self, qs_in(self, QS_SEC));
	note("returns,");
	return 0;
}

START_TEST(one_that_runs_is_killed_when_it_next_waits)
{
	order[0] = '\0';
	kill_me = world_spawn(&world.root, kill_itself, order);
	world_run();
	ck_assert_str_eq(order, "runs on,d");
	ck_assert_int_eq(world_result(kill_me).verdict, QS_VERDICT_KILLED);
	order[0] = '\0';
	kill_me = world_spawn(&world.root, kill_itself, NULL);
	world_run();
	ck_assert_str_eq(order, "runs on,returns,d");
	qs_task_forget(kill_me);
}
END_TEST

struct sleepy {
	qs_task *self;
	int result;
	uint64_t slept;
};

static void sleep_in_clean_up(void *arg)
{
	struct sleepy *sleepy = arg;
	uint64_t outer = qs_shield_begin(sleepy->self, QS_FOREVER), began = world_now();

	sleepy->result = qs_sleep(sleepy->self, began + QS_SEC);
	sleepy->slept = world_now() - began;
	qs_shield_end(sleepy->self, outer);
}

static int clean_up_sleeping(qs_task *self, void *arg)
{
	struct sleepy *sleepy = arg;

	sleepy->self = self;
	ck_assert_int_eq(qs_defer(self, sleep_in_clean_up, sleepy), 0);
	(void)qs_sleep(self, qs_in(self, QS_HOUR));
	return 0;
}

START_TEST(a_clean_up_may_wait_in_a_shield_but_not_after_force)
{
	struct sleepy cancelled = { 0 }, killed = { 0 };
	qs_task *one = world_spawn(&world.root, clean_up_sleeping, &cancelled);
	qs_task *other = world_spawn(&world.root, clean_up_sleeping, &killed);

	world_settle();
	qs_task_cancel(one, QS_CAUSE_API);
	qs_task_kill(other, QS_CAUSE_API);
	world_run();
	ck_assert_int_eq(cancelled.result, 0);
	ck_assert_uint_eq(cancelled.slept, QS_SEC);
	ck_assert_int_eq(killed.result, -ECANCELED);
	ck_assert_uint_eq(killed.slept, 0);
	qs_task_forget(one);
	qs_task_forget(other);
}
END_TEST

static int shield_too_long(qs_task *self, void *arg)
{
	uint64_t outer = qs_shield_begin(self, world_now() + 3 * QS_SEC);

	*(int *)arg = qs_sleep(self, qs_in(self, QS_HOUR));
	qs_shield_end(self, outer);
	return qs_sleep(self, qs_in(self, QS_HOUR));
}

START_TEST(a_shield_ends_by_its_own_deadline)
{
	int inside = 0;
	uint64_t began = world_now();
	qs_task *task = world_spawn(&world.root, shield_too_long, &inside);

	world_settle();
	qs_task_cancel(task, QS_CAUSE_API);
	world_run();
	ck_assert_int_eq(inside, -ETIMEDOUT);
	ck_assert_uint_eq(world_now(), began + 3 * QS_SEC);
	ck_assert_int_eq(world_result(task).outcome.value, -ECANCELED);
}
END_TEST

/* --- many --- */

START_TEST(a_hundred_thousand_come_and_go_and_nothing_is_left)
{
#ifdef QUIESCE_TSAN
	enum { ROUNDS = 2, FIBERS = 500 }; /* a fiber costs it a millisecond */
#else
	enum { ROUNDS = 20, FIBERS = 5000 };
#endif
	static unsigned naps;

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < FIBERS; i++)
			world_send_off(&world.root, sleep_until_stopped, &naps);
		world_settle();
		qs_group_stop(&world.root);
		world_run();
	}
	ck_assert_uint_eq(world.fibers->count, 0);
	ck_assert_uint_eq(naps, ROUNDS * FIBERS);
}
END_TEST

START_TEST(stacks_have_the_size_that_is_asked_for)
{
	const struct qs_task_options big = { .stack_size = 1024 * 1024 };
	int success = 0;
	qs_task *task;

	ck_assert_int_eq(qs_spawn_fiber(&world.root, &big, return_arg, &success, &task), 0);
	const struct qs_fiber *fiber = qs_fiber_of(task);
	ck_assert_uint_ge(fiber->context.size, 1000 * 1024);
	ck_assert_str_eq(qs_fibers_name_at(world.fibers, (char *)fiber->context.base + 5), "fiber");
	ck_assert_ptr_null(qs_fibers_name_at(world.fibers, &success));
	world_run();
	qs_task_forget(task);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, what_it_returns_is_its_result);
	tcase_add_test(tcase, a_living_task_has_no_result_yet);
	tcase_add_test(tcase, a_loop_of_sleeps_ends_at_once_when_it_is_asked);
	tcase_add_test(tcase, those_that_are_ready_take_turns_in_their_order);
	tcase_add_test(tcase, a_seed_decides_the_order_and_the_same_seed_the_same_order);
	tcase_add_test(tcase, one_that_is_always_ready_does_not_keep_timers_from_coming);
	tcase_add_loop_test(tcase, clean_ups_run_last_in_first_out_when_it_returns, 0, 50);
	tcase_add_loop_test(tcase, clean_ups_run_when_it_is_killed_and_it_never_comes_back, 0, 50);
	tcase_add_test(tcase, killed_before_it_began_it_never_runs);
	tcase_add_test(tcase, one_that_runs_is_killed_when_it_next_waits);
	tcase_add_test(tcase, a_clean_up_may_wait_in_a_shield_but_not_after_force);
	tcase_add_test(tcase, a_shield_ends_by_its_own_deadline);
	tcase_add_test(tcase, a_hundred_thousand_come_and_go_and_nothing_is_left);
	tcase_add_test(tcase, stacks_have_the_size_that_is_asked_for);
}

int main(void)
{
	Suite *suite = suite_create("fiber");
	TCase *tcase = tcase_create("fibers");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
