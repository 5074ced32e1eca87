/* Back-off, limits and their seedable randomness: pure, so that all of it is exact. */
#include <check.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/macro.h"
#include "lib/supervise.h"

START_TEST(the_random_numbers_are_those_of_splitmix64)
{
	struct qs_random random = { .state = 1234567 };

	ck_assert_uint_eq(qs_random_next(&random), UINT64_C(6457827717110365317));
	ck_assert_uint_eq(qs_random_next(&random), UINT64_C(3203168211198807973));
	ck_assert_uint_eq(qs_random_next(&random), UINT64_C(9817491932198370423));
}
END_TEST

START_TEST(a_random_number_stays_below_its_bound)
{
	struct qs_random random = { .state = 1 };
	unsigned seen[10] = { 0 };

	ck_assert_uint_eq(qs_random_below(&random, 0), 0);
	for (unsigned i = 0; i < 10000; i++)
		seen[qs_random_below(&random, 10)]++;
	for (unsigned i = 0; i < 10; i++)
		ck_assert_msg(seen[i] > 800 && seen[i] < 1200, "%u came %u times", i, seen[i]);
	ck_assert_uint_eq(qs_random_below(&random, 1), 0);
}
END_TEST

static const struct qs_backoff_plan plan = {
	.base = QS_SEC, .cap = 5 * QS_MIN, .reset_after = 10 * QS_MIN
};

/* The largest of many draws of the n-th delay comes close to its bound, the smallest to 0. */
START_TEST(the_delay_is_drawn_from_the_whole_of_its_doubling_range)
{
	static const uint64_t bounds[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300 };
	uint64_t bound = bounds[_i] * QS_SEC, least = QS_FOREVER, most = 0;
	struct qs_random random = { .state = 7 };

	for (unsigned i = 0; i < 1000; i++) {
		struct qs_backoff backoff = { .failures = (unsigned)_i };
		uint64_t delay = qs_backoff_next(&backoff, &plan, 0, &random);

		ck_assert_uint_eq(backoff.failures, (unsigned)_i + 1);
		least = MIN(least, delay);
		most = MAX(most, delay);
	}
	ck_assert_uint_le(most, bound);
	ck_assert_uint_gt(most, bound / 100 * 99);
	ck_assert_uint_lt(least, bound / 100);
}
END_TEST

START_TEST(a_healthy_while_begins_anew)
{
	struct qs_random random = { .state = 7 };
	struct qs_backoff backoff = { .failures = 8 };

	(void)qs_backoff_next(&backoff, &plan, 10 * QS_MIN - 1, &random);
	ck_assert_uint_eq(backoff.failures, 9);
	ck_assert_uint_le(qs_backoff_next(&backoff, &plan, 10 * QS_MIN, &random), QS_SEC);
	ck_assert_uint_eq(backoff.failures, 1);
}
END_TEST

START_TEST(without_a_reset_no_run_is_long_enough)
{
	struct qs_random random = { .state = 7 };
	struct qs_backoff backoff = { .failures = 3 };
	struct qs_backoff_plan strict = { .base = QS_SEC, .cap = QS_HOUR };

	(void)qs_backoff_next(&backoff, &strict, QS_FOREVER, &random);
	ck_assert_uint_eq(backoff.failures, 4);
}
END_TEST

START_TEST(no_number_of_failures_overflows)
{
	struct qs_random random = { .state = 7 };
	struct qs_backoff backoff = { .failures = UINT32_MAX };
	struct qs_backoff_plan endless = { .base = QS_FOREVER, .cap = QS_FOREVER };

	(void)qs_backoff_next(&backoff, &plan, 0, &random);
	ck_assert_uint_eq(backoff.failures, UINT32_MAX);
	for (unsigned failures = 0; failures < 70; failures++) {
		backoff.failures = failures;
		ck_assert_uint_le(qs_backoff_next(&backoff, &plan, 0, &random), plan.cap);
		backoff.failures = failures;
		(void)qs_backoff_next(&backoff, &endless, 0, &random);
	}
	backoff.failures = 70;
	ck_assert_uint_eq(
	        qs_backoff_next(&backoff, &(struct qs_backoff_plan){ .base = 0, .cap = QS_HOUR }, 0,
	                &random),
	        0);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_delays)
{
	struct qs_random one = { .state = 99 }, two = { .state = 99 };
	struct qs_backoff a = { 0 }, b = { 0 };

	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_eq(
		        qs_backoff_next(&a, &plan, 0, &one), qs_backoff_next(&b, &plan, 0, &two));
}
END_TEST

START_TEST(no_window_ever_holds_more_than_the_limit)
{
	struct qs_rate rate;
	struct qs_random random = { .state = 3 };
	uint64_t times[500], now = 0;

	ck_assert_int_eq(qs_rate_init(&rate, 5, 100), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(times); i++) {
		uint64_t at = qs_rate_free_at(&rate, now);

		ck_assert_uint_ge(at, now);
		now = at;
		qs_rate_add(&rate, now);
		times[i] = now;
		if (i >= 5)
			ck_assert_uint_ge(now, times[i - 5] + 100);
		now += qs_random_below(&random, 40);
	}
	qs_rate_done(&rate);
}
END_TEST

START_TEST(a_full_window_is_free_when_its_first_event_leaves_it)
{
	struct qs_rate rate;

	ck_assert_int_eq(qs_rate_init(&rate, 3, 100), 0);
	ck_assert_uint_eq(qs_rate_free_at(&rate, 0), 0);
	qs_rate_add(&rate, 0);
	qs_rate_add(&rate, 10);
	ck_assert_uint_eq(qs_rate_free_at(&rate, 10), 10);
	qs_rate_add(&rate, 20);
	ck_assert_uint_eq(qs_rate_free_at(&rate, 20), 100);
	ck_assert_uint_eq(qs_rate_free_at(&rate, 99), 100);
	ck_assert_uint_eq(qs_rate_free_at(&rate, 100), 100);
	ck_assert_uint_eq(qs_rate_free_at(&rate, 150), 150);
	qs_rate_add(&rate, 150);
	ck_assert_uint_eq(qs_rate_free_at(&rate, 50), 110);
	qs_rate_done(&rate);
}
END_TEST

START_TEST(no_limit_is_never_over)
{
	struct qs_rate rate;

	ck_assert_int_eq(qs_rate_init(&rate, 0, QS_HOUR), 0);
	for (unsigned i = 0; i < 100; i++)
		qs_rate_add(&rate, 5);
	ck_assert_uint_eq(qs_rate_free_at(&rate, 5), 5);
	qs_rate_done(&rate);
}
END_TEST

START_TEST(a_window_without_end_stays_full)
{
	struct qs_rate rate;

	ck_assert_int_eq(qs_rate_init(&rate, 1, QS_FOREVER), 0);
	qs_rate_add(&rate, 5);
	ck_assert_uint_eq(qs_rate_free_at(&rate, QS_HOUR), QS_FOREVER);
	qs_rate_done(&rate);
}
END_TEST

START_TEST(a_limit_that_the_backoff_never_reaches_is_known)
{
	/* The designed defaults: 1 + 2 + ... + 128 + 150 s of mean delays lie between 10 restarts.
	 */
	ck_assert(qs_backoff_can_reach(&plan, 10, 15 * QS_MIN));
	ck_assert(!qs_backoff_can_reach(&plan, 10, 1 * QS_MIN));
	ck_assert(!qs_backoff_can_reach(&plan, 100, 15 * QS_MIN));
	ck_assert(qs_backoff_can_reach(&plan, 1, 0));
	ck_assert(qs_backoff_can_reach(&plan, 3, 3 * QS_SEC));
	ck_assert(!qs_backoff_can_reach(&plan, 3, 3 * QS_SEC - 1));
	ck_assert(qs_backoff_can_reach(&plan, 1000000000, QS_FOREVER));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("supervise");
	TCase *randomness = tcase_create("random");
	TCase *backoff = tcase_create("backoff");
	TCase *rate = tcase_create("rate");

	tcase_add_test(randomness, the_random_numbers_are_those_of_splitmix64);
	tcase_add_test(randomness, a_random_number_stays_below_its_bound);
	tcase_add_loop_test(
	        backoff, the_delay_is_drawn_from_the_whole_of_its_doubling_range, 0, 11);
	tcase_add_test(backoff, a_healthy_while_begins_anew);
	tcase_add_test(backoff, without_a_reset_no_run_is_long_enough);
	tcase_add_test(backoff, no_number_of_failures_overflows);
	tcase_add_test(backoff, the_same_seed_gives_the_same_delays);
	tcase_add_test(backoff, a_limit_that_the_backoff_never_reaches_is_known);
	tcase_add_test(rate, no_window_ever_holds_more_than_the_limit);
	tcase_add_test(rate, a_full_window_is_free_when_its_first_event_leaves_it);
	tcase_add_test(rate, no_limit_is_never_over);
	tcase_add_test(rate, a_window_without_end_stays_full);
	suite_add_tcase(suite, randomness);
	suite_add_tcase(suite, backoff);
	suite_add_tcase(suite, rate);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
