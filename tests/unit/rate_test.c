/* The token bucket: exact to the nanosecond, however long it runs. */
#include <check.h>
#include <limits.h>
#include <stdlib.h>

#include <quiesce/clock.h>

#include "lib/rate.h"
#include "lib/supervise.h"

#define NOW (100 * QS_SEC)

static unsigned take_all(struct qs_bucket *bucket, uint64_t now)
{
	unsigned count = 0;

	for (; count < 100000 && qs_bucket_available(bucket, now) > 0; count++)
		qs_bucket_take(bucket, now);
	return count;
}

START_TEST(a_full_bucket_gives_all_at_once_and_then_one_by_one)
{
	struct qs_bucket bucket;

	qs_bucket_init(&bucket, 10, QS_SEC);
	ck_assert_uint_eq(qs_bucket_available(&bucket, NOW), 10);
	ck_assert_uint_eq(qs_bucket_free_at(&bucket, NOW), NOW);
	ck_assert_uint_eq(take_all(&bucket, NOW), 10);
	ck_assert_uint_eq(qs_bucket_free_at(&bucket, NOW), NOW + 100 * QS_MSEC);
	ck_assert_uint_eq(qs_bucket_available(&bucket, NOW + 100 * QS_MSEC - 1), 0);
	ck_assert_uint_eq(take_all(&bucket, NOW + 100 * QS_MSEC), 1);
	ck_assert_uint_eq(take_all(&bucket, NOW + 350 * QS_MSEC), 2);
	ck_assert_uint_eq(qs_bucket_free_at(&bucket, NOW + 350 * QS_MSEC), NOW + 400 * QS_MSEC);
}
END_TEST

START_TEST(it_never_holds_more_than_it_can)
{
	struct qs_bucket bucket;

	qs_bucket_init(&bucket, 10, QS_SEC);
	ck_assert_uint_eq(take_all(&bucket, NOW), 10);
	ck_assert_uint_eq(qs_bucket_available(&bucket, NOW + QS_SEC), 10);
	ck_assert_uint_eq(qs_bucket_available(&bucket, NOW + 1000 * QS_HOUR), 10);
	ck_assert_uint_eq(take_all(&bucket, NOW + 1000 * QS_HOUR), 10);
}
END_TEST

START_TEST(no_limit_is_no_limit)
{
	struct qs_bucket bucket;

	qs_bucket_init(&bucket, 0, QS_SEC);
	ck_assert_uint_eq(qs_bucket_available(&bucket, NOW), UINT_MAX);
	qs_bucket_take(&bucket, NOW);
	ck_assert_uint_eq(qs_bucket_free_at(&bucket, NOW), NOW);
	qs_bucket_init(&bucket, 7, 0);
	ck_assert_uint_eq(take_all(&bucket, NOW), 100000);
}
END_TEST

/* 7 a second divide no nanosecond evenly: after a million seconds not one is too many or missing.
 */
START_TEST(a_rate_that_does_not_divide_does_not_drift)
{
	struct qs_bucket bucket;
	uint64_t now = NOW;
	unsigned wrong = 0;

	qs_bucket_init(&bucket, 7, QS_SEC);
	ck_assert_uint_eq(take_all(&bucket, now), 7);
	for (unsigned i = 1; i <= 7000000; i++) {
		now = qs_bucket_free_at(&bucket, now);
		wrong += now != NOW + (i * QS_SEC + 6) / 7;
		qs_bucket_take(&bucket, now);
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(now, NOW + 1000000 * QS_SEC);
}
END_TEST

START_TEST(free_at_is_the_first_moment_at_which_one_is_there)
{
	struct qs_random random = { .state = (uint64_t)_i + 1 };

	for (unsigned i = 0; i < 200; i++) {
		unsigned count = (unsigned)qs_random_below(&random, 1000) + 1;
		uint64_t within = qs_random_below(&random, 10 * QS_SEC) + 1, now = NOW;
		struct qs_bucket bucket;

		qs_bucket_init(&bucket, count, within);
		for (unsigned j = 0; j < 50; j++) {
			now += qs_random_below(&random, within / 4 + 1);
			(void)take_all(&bucket, now);
			uint64_t at = qs_bucket_free_at(&bucket, now);
			ck_assert_uint_gt(at, now);
			ck_assert_uint_ge(qs_bucket_available(&bucket, at), 1);
			ck_assert_uint_eq(qs_bucket_available(&bucket, at - 1), 0);
		}
	}
}
END_TEST

/* Whatever is taken whenever: in any stretch of time no more than a bucket and what comes in. */
START_TEST(in_no_stretch_of_time_is_more_taken_than_promised)
{
	struct qs_random random = { .state = (uint64_t)_i + 1 };
	struct qs_bucket bucket;
	uint64_t taken[500], now = NOW;
	unsigned wrong = 0;

	qs_bucket_init(&bucket, 5, QS_SEC);
	for (unsigned i = 0; i < 500; i++) {
		if (qs_random_below(&random, 10) == 0)
			now += qs_random_below(&random, 3 * QS_SEC);
		now = qs_bucket_free_at(&bucket, now);
		qs_bucket_take(&bucket, now);
		taken[i] = now;
	}
	for (unsigned i = 0; i < 500; i++)
		for (unsigned j = i; j < 500; j++)
			wrong += j - i + 1 > 5 + (taken[j] - taken[i]) / (QS_SEC / 5);
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(a_span_without_end_gives_what_it_holds_and_nothing_more)
{
	struct qs_bucket bucket;

	qs_bucket_init(&bucket, 3, QS_FOREVER);
	ck_assert_uint_eq(take_all(&bucket, NOW), 3);
	ck_assert_uint_eq(qs_bucket_free_at(&bucket, NOW), QS_FOREVER);
	qs_bucket_init(&bucket, UINT_MAX, QS_FOREVER - 1);
	qs_bucket_take(&bucket, NOW);
	ck_assert_uint_eq(qs_bucket_available(&bucket, NOW), UINT_MAX - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rate");
	TCase *bucket = tcase_create("bucket");

	tcase_add_test(bucket, a_full_bucket_gives_all_at_once_and_then_one_by_one);
	tcase_add_test(bucket, it_never_holds_more_than_it_can);
	tcase_add_test(bucket, no_limit_is_no_limit);
	tcase_add_test(bucket, a_rate_that_does_not_divide_does_not_drift);
	tcase_add_loop_test(bucket, free_at_is_the_first_moment_at_which_one_is_there, 0, 20);
	tcase_add_loop_test(bucket, in_no_stretch_of_time_is_more_taken_than_promised, 0, 20);
	tcase_add_test(bucket, a_span_without_end_gives_what_it_holds_and_nothing_more);
	suite_add_tcase(suite, bucket);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
