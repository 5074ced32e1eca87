/* Whom supervisors start again, when, and how often. */
#include <limits.h>

#include "tests/unit/supervisor_scene.h"

/* --- strategies --- */

/* What has to happen when one of three ends by itself. */
static void expect(char *line, enum qs_strategy strategy, unsigned who, bool restarts)
{
	static const char *const names[] = { "a", "b", "c" };
	unsigned first = strategy == QS_ONE_FOR_ALL ? 0 : who;
	unsigned last = strategy == QS_ONE_FOR_ONE ? who : 2;

	line += sprintf(line, "+a+b+c-%s", names[who]);
	for (unsigned i = last + 1; restarts && i-- > first;)
		if (i != who)
			line += sprintf(line, "-%s", names[i]);
	for (unsigned i = first; restarts && i <= last; i++)
		line += sprintf(line, "+%s", names[i]);
	for (unsigned i = 3; i-- > 0;)
		if (i != who || restarts)
			line += sprintf(line, "-%s", names[i]);
}

static void check_strategy(
        enum qs_strategy strategy, unsigned who, enum qs_restart restart, int result)
{
	struct worker workers[3] = { 0 };
	struct qs_child children[3];
	struct qs_supervision plan = { .children = children, .count = 3, .strategy = strategy };
	char expected[100];
	bool restarts =
	        restart == QS_RESTART_PERMANENT || (restart == QS_RESTART_TRANSIENT && result < 0);

	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "a", "b", "c" };

		workers[i] = (struct worker){ .runs_for = NEVER };
		children[i] =
		        (struct qs_child){ .name = names[i], .fiber = work, .arg = &workers[i] };
	}
	workers[who] = (struct worker){ .runs_for = QS_SEC, .result = result, .times = 1 };
	children[who].restart = restart;
	run_for(&plan, QS_HOUR);
	expect(expected, strategy, who, restarts);
	ck_assert_str_eq(scene.line, expected);
	ck_assert_int_eq(scene.result.verdict, QS_VERDICT_STOPPED);
	ck_assert_uint_eq(scene.ended_at, scene.asked_at);
}

START_TEST(each_strategy_restarts_whom_it_must_in_order)
{
	static const int results[] = { 0, -EIO };

	for (enum qs_strategy s = QS_ONE_FOR_ONE; s <= QS_REST_FOR_ONE; s++)
		for (unsigned who = 0; who < 3; who++)
			for (enum qs_restart k = QS_RESTART_PERMANENT; k <= QS_RESTART_TEMPORARY;
			        k++)
				for (unsigned i = 0; i < 2; i++)
					check_strategy(s, who, k, results[i]);
}
END_TEST

START_TEST(a_temporary_child_is_stopped_with_all_and_stays_so)
{
	struct worker a = { .runs_for = NEVER }, b = { QS_SEC, -EIO, 1, 0, 0, 0 };
	const struct qs_child children[] = {
		{ .name = "a", .fiber = work, .arg = &a, .restart = QS_RESTART_TEMPORARY },
		{ .name = "b", .fiber = work, .arg = &b },
	};
	struct qs_supervision plan = { children, 2, QS_ONE_FOR_ALL, { 0 }, { 0 } };

	run_for(&plan, QS_HOUR);
	ck_assert_str_eq(scene.line, "+a+b-b-a+b-b");
}
END_TEST

START_TEST(it_is_over_when_all_have_ended_for_good)
{
	struct worker a = { QS_SEC, 0, 9, 0, 0, 0 }, b = { 2 * QS_SEC, -EIO, 9, 0, 0, 0 };
	const struct qs_child children[] = {
		{ .name = "a", .fiber = work, .arg = &a, .restart = QS_RESTART_TRANSIENT },
		{ .name = "b", .fiber = work, .arg = &b, .restart = QS_RESTART_TEMPORARY },
	};
	struct qs_supervision plan = { children, 2, QS_ONE_FOR_ONE, { 0 }, { 0 } };

	run_for(&plan, QS_HOUR);
	ck_assert_str_eq(scene.line, "+a+b-a-b");
	ck_assert_int_eq(scene.result.verdict, QS_VERDICT_FINISHED);
}
END_TEST

/* --- back-off and intensity --- */

START_TEST(a_stop_interrupts_the_back_off_at_once)
{
	struct worker a = { .runs_for = NEVER }, b = { QS_SEC, -EIO, 99, 0, 0, 0 };
	const struct qs_child children[] = {
		{ .name = "a", .fiber = work, .arg = &a },
		{ .name = "b", .fiber = work, .arg = &b },
	};

	/* With any strategy: the rest is down as well. */
	for (enum qs_strategy s = QS_ONE_FOR_ONE; s <= QS_REST_FOR_ONE; s++) {
		struct qs_supervision plan = { children, 2, s,
			{ .base = 1000 * QS_HOUR, .cap = 1000 * QS_HOUR }, { 0 } };

		b.runs = 0;
		run_for(&plan, 2 * QS_SEC);
		ck_assert_str_eq(scene.line, "+a+b-b-a");
		ck_assert_uint_eq(scene.ended_at, scene.asked_at);
		ck_assert_int_eq(scene.result.verdict, QS_VERDICT_STOPPED);
	}
}
END_TEST

/* It took memory for all of them. */
START_TEST(without_a_limit_no_number_of_restarts_is_too_many)
{
	struct worker a = { 0, -EIO, 99, 0, 0, 0 };
	const struct qs_child children[] = { { .name = "a", .fiber = work, .arg = &a } };
	struct qs_supervision plan = { children, 1, QS_ONE_FOR_ONE,
		{ .count = UINT_MAX, .within = QS_HOUR }, { 0 } };

	run_for(&plan, 2 * QS_HOUR);
	ck_assert_uint_eq(a.runs, 100);
	ck_assert_int_eq(scene.error, 0);
}
END_TEST

START_TEST(too_many_restarts_are_its_own_failure)
{
	struct worker a = { .runs_for = NEVER }, b = { 0, -EIO, 99, 0, 0, 0 },
	              c = { .runs_for = NEVER };
	const struct qs_child children[] = {
		{ .name = "a", .fiber = work, .arg = &a },
		{ .name = "b", .fiber = work, .arg = &b },
		{ .name = "c", .fiber = work, .arg = &c },
	};
	struct qs_supervision plan = { children, 3, QS_ONE_FOR_ONE,
		{ .count = 3, .within = QS_HOUR }, { 0 } };

	run_for(&plan, QS_HOUR);
	ck_assert_str_eq(scene.line, "+a+b+c-b+b-b+b-b+b-b!b-c-a");
	ck_assert_int_eq(scene.error, -EDQUOT);
	ck_assert_int_eq(scene.result.verdict, QS_VERDICT_FAILED);
	ck_assert_int_eq(scene.result.outcome.value, -EDQUOT);
	ck_assert_uint_eq(scene.asked_at, 0);
}
END_TEST

START_TEST(restarts_far_apart_are_never_too_many)
{
	struct worker a = { 10 * QS_SEC, -EIO, 1000, 0, 0, 0 };
	const struct qs_child children[] = { { .name = "a", .fiber = work, .arg = &a } };
	struct qs_supervision plan = { children, 1, QS_ONE_FOR_ONE,
		{ .count = 1, .within = 5 * QS_SEC, .base = 1, .cap = 1 }, { 0 } };

	run_for(&plan, 1000 * QS_SEC);
	ck_assert_uint_ge(count("+a"), 99);
	ck_assert_uint_eq(count("!"), 0);
}
END_TEST

/* Each run lasts for 20 s; how many fit into the time tells how long the back-offs were. */
static unsigned runs_in(uint64_t reset_after, uint64_t lasts)
{
	struct worker a = { 20 * QS_SEC, -EIO, 1000, 0, 0, 0 };
	const struct qs_child children[] = { { .name = "a", .fiber = work, .arg = &a } };
	struct qs_supervision plan = { children, 1, QS_ONE_FOR_ONE,
		{ .count = 1000,
		        .within = 1,
		        .base = QS_SEC,
		        .cap = 1024 * QS_SEC,
		        .reset_after = reset_after },
		{ 0 } };

	run_for(&plan, lasts);
	return a.runs;
}

START_TEST(a_healthy_while_resets_the_back_off)
{
	ck_assert_uint_ge(runs_in(10 * QS_SEC, 2100 * QS_SEC), 100);
	ck_assert_uint_le(runs_in(30 * QS_SEC, 2100 * QS_SEC), 30);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("supervisor");
	TCase *strategies = tcase_create("strategies");
	TCase *restarts = tcase_create("restarts");

	tcase_add_test(strategies, each_strategy_restarts_whom_it_must_in_order);
	tcase_add_test(strategies, a_temporary_child_is_stopped_with_all_and_stays_so);
	tcase_add_test(strategies, it_is_over_when_all_have_ended_for_good);
	suite_add_tcase(s, strategies);
	tcase_add_test(restarts, a_stop_interrupts_the_back_off_at_once);
	tcase_add_test(restarts, too_many_restarts_are_its_own_failure);
	tcase_add_test(restarts, without_a_limit_no_number_of_restarts_is_too_many);
	tcase_add_test(restarts, restarts_far_apart_are_never_too_many);
	tcase_add_test(restarts, a_healthy_while_resets_the_back_off);
	suite_add_tcase(s, restarts);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
