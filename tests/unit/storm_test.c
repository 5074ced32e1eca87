/* Storms: what is new is told at once, what is the same is counted, and nothing is ever lost. */
#include "daemon/storm.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct storms *storms;
static struct storm_sum last;
static uint64_t told, summed; /* sums, and what they add up to */

static void take(void *arg, const struct storm_sum *sum)
{
	ck_assert_ptr_eq(arg, &last);
	last = *sum;
	told++;
	summed += sum->count;
}

static void set_up(void)
{
	told = summed = 0;
	ck_assert_int_eq(storms_new(take, &last, &storms), 0);
}

static void tear_down(void)
{
	storms_free(storms);
}

static bool fail_with(const char *host, int status, uint64_t now)
{
	const struct storm_key key = { .worker = "w", .host = host, .status = status };
	return storms_count(storms, &key, "504 from api.example", now);
}

START_TEST(the_first_is_news_and_its_like_are_counted_until_the_minute_is_over)
{
	ck_assert(fail_with("api.example", 504, QS_SEC));
	ck_assert_uint_eq(storms_due(storms), QS_FOREVER);
	for (int i = 0; i < 1204; i++)
		ck_assert(!fail_with("api.example", 504, 2 * QS_SEC));
	ck_assert_uint_eq(storms_due(storms), QS_SEC + QS_MIN);
	storms_tell(storms, QS_MIN);
	ck_assert_uint_eq(told, 0);
	storms_tell(storms, QS_SEC + QS_MIN);
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(last.count, 1204);
	ck_assert_uint_eq(last.span, QS_MIN);
	ck_assert_str_eq(last.text, "504 from api.example");
	ck_assert_str_eq(last.worker, "w");
	ck_assert_str_eq(last.host, "api.example");
	ck_assert_int_eq(last.status, 504);
	ck_assert_uint_eq(storms_due(storms), QS_FOREVER);
}
END_TEST

START_TEST(one_that_lasts_is_summed_up_each_minute_and_never_news_again)
{
	uint64_t now = 0;
	ck_assert(fail_with("a", 504, now));
	for (unsigned second = 1; second <= 300; second++) {
		now += QS_SEC;
		if (storms_due(storms) <= now)
			storms_tell(storms, now);
		ck_assert(!fail_with("a", 504, now));
	}
	storms_flush(storms, now);
	ck_assert_uint_eq(told, 6);
	ck_assert_uint_eq(summed, 300);
}
END_TEST

START_TEST(after_a_quiet_minute_it_is_news_again)
{
	ck_assert(fail_with("a", 504, 0));
	ck_assert(!fail_with("a", 504, QS_SEC));
	storms_tell(storms, QS_MIN);
	ck_assert(fail_with("a", 504, 2 * QS_MIN));
	ck_assert(!fail_with("a", 504, 2 * QS_MIN + QS_SEC));
	ck_assert_uint_eq(told, 1);
}
END_TEST

START_TEST(one_whose_minute_is_over_before_anybody_looked_is_summed_up_first)
{
	ck_assert(fail_with("a", 504, 0));
	ck_assert(!fail_with("a", 504, QS_SEC));
	ck_assert(!fail_with("a", 504, 5 * QS_MIN));
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(last.count, 1);
	ck_assert_uint_eq(last.span, QS_MIN);
	ck_assert_uint_eq(storms_due(storms), 6 * QS_MIN);
}
END_TEST

START_TEST(others_are_news_of_their_own)
{
	const struct storm_key keys[] = {
		{ "w", "a", 504, 0 },
		{ "w", "a", 503, 0 },
		{ "w", "b", 504, 0 },
		{ "v", "a", 504, 0 },
		{ "w", "a", 504, -1 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		ck_assert(storms_count(storms, &keys[i], "x", 0));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		ck_assert(!storms_count(storms, &keys[i], "x", 1));
	storms_flush(storms, QS_SEC);
	ck_assert_uint_eq(told, ARRAY_SIZE(keys));
	ck_assert_uint_eq(last.span, QS_SEC);
}
END_TEST

START_TEST(of_too_many_the_quietest_is_summed_up_and_forgotten)
{
	char host[16];
	for (int i = 0; i < STORMS_MAX; i++) {
		snprintf(host, sizeof(host), "h%d", i);
		ck_assert(fail_with(host, 504, 0));
		ck_assert(!fail_with(host, 504, i == 7 ? 1 : 2));
	}
	ck_assert(fail_with("one.more", 504, 3));
	ck_assert_uint_eq(told, 1);
	ck_assert_str_eq(last.host, "h7");
	ck_assert_uint_eq(last.count, 1);
	ck_assert(!fail_with("h8", 504, 4));
	ck_assert(fail_with("h7", 504, 5));
}
END_TEST

START_TEST(long_texts_are_cut_and_still_the_same)
{
	static char host[1000], worker[1000], text[1000];
	memset(host, 'h', sizeof(host) - 1);
	memset(worker, 'w', sizeof(worker) - 1);
	memset(text, 't', sizeof(text) - 1);
	const struct storm_key key = { .worker = worker, .host = host };
	ck_assert(storms_count(storms, &key, text, 0));
	ck_assert(!storms_count(storms, &key, text, 0));
	storms_flush(storms, 1);
	ck_assert_uint_eq(strlen(last.text), STORM_TEXT - 1);
	ck_assert_uint_eq(strlen(last.host), sizeof(last.host) - 1);
}
END_TEST

START_TEST(however_they_come_every_failure_is_told_or_counted_once)
{
	uint64_t now = 0, news = 0, seed = 88172645463325252U;
	const uint64_t failures = 200000;
	char host[16];
	for (uint64_t i = 0; i < failures; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		now += seed % (3 * QS_SEC);
		snprintf(host, sizeof(host), "h%u", (unsigned)(seed >> 40) % 300);
		if (seed % 3 == 0 && storms_due(storms) <= now)
			storms_tell(storms, now);
		news += fail_with(host, (int)(seed >> 20) % 3, now);
	}
	storms_flush(storms, now);
	ck_assert_uint_eq(news + summed, failures);
	ck_assert_uint_gt(news, 300);
	ck_assert_uint_gt(told, 300);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storm");
	TCase *tcase = tcase_create("storms");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, the_first_is_news_and_its_like_are_counted_until_the_minute_is_over);
	tcase_add_test(tcase, one_that_lasts_is_summed_up_each_minute_and_never_news_again);
	tcase_add_test(tcase, after_a_quiet_minute_it_is_news_again);
	tcase_add_test(tcase, one_whose_minute_is_over_before_anybody_looked_is_summed_up_first);
	tcase_add_test(tcase, others_are_news_of_their_own);
	tcase_add_test(tcase, of_too_many_the_quietest_is_summed_up_and_forgotten);
	tcase_add_test(tcase, long_texts_are_cut_and_still_the_same);
	tcase_add_test(tcase, however_they_come_every_failure_is_told_or_counted_once);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
