/* Retry-After in all its forms, and what is none of them. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <quiesce/clock.h>

#include "lib/macro.h"
#include "lib/retry.h"

#define USEC UINT64_C(1000000)
#define NOW  (UINT64_C(784111777) * USEC) /* Sun, 06 Nov 1994 08:49:37 GMT */

static uint64_t span_of(const char *text)
{
	uint64_t span = 4711;

	ck_assert_msg(qs_retry_after_parse(text, NOW, &span) == 0, "\"%s\"", text);
	return span;
}

START_TEST(seconds_are_a_span)
{
	ck_assert_uint_eq(span_of("0"), 0);
	ck_assert_uint_eq(span_of("120"), 2 * QS_MIN);
	ck_assert_uint_eq(span_of(" 7 \t"), 7 * QS_SEC);
	ck_assert_uint_eq(span_of("0007"), 7 * QS_SEC);
}
END_TEST

START_TEST(parts_of_a_second_count_to_the_nanosecond)
{
	ck_assert_uint_eq(span_of("0.5"), 500 * QS_MSEC);
	ck_assert_uint_eq(span_of("1.000000001"), QS_SEC + 1);
	ck_assert_uint_eq(span_of("1.0000000009"), QS_SEC);
}
END_TEST

START_TEST(more_seconds_than_there_are_is_for_ever)
{
	ck_assert_uint_eq(span_of("18446744073"), UINT64_C(18446744073) * QS_SEC);
	ck_assert_uint_eq(span_of("18446744074"), QS_FOREVER);
	ck_assert_uint_eq(span_of("999999999999999999999999999999"), QS_FOREVER);
	ck_assert_uint_eq(span_of("999999999999999999999999999999.9"), QS_FOREVER);
}
END_TEST

START_TEST(a_date_in_each_of_its_forms_is_the_span_until_then)
{
	ck_assert_uint_eq(span_of("Sun, 06 Nov 1994 08:49:38 GMT"), QS_SEC);
	ck_assert_uint_eq(span_of("Sunday, 06-Nov-94 08:49:38 GMT"), QS_SEC);
	ck_assert_uint_eq(span_of("Sun Nov  6 08:49:38 1994"), QS_SEC);
	ck_assert_uint_eq(span_of("Wed Nov 16 08:49:37 1994"), 240 * QS_HOUR);
}
END_TEST

START_TEST(a_date_that_is_over_is_no_span)
{
	ck_assert_uint_eq(span_of("Sun, 06 Nov 1994 08:49:36 GMT"), 0);
	ck_assert_uint_eq(span_of("Sun, 06 Nov 1894 08:49:36 GMT"), 0);
}
END_TEST

START_TEST(parts_of_a_second_that_have_passed_are_taken_off)
{
	uint64_t span;

	ck_assert_int_eq(
	        qs_retry_after_parse("Sun, 06 Nov 1994 08:49:38 GMT", NOW + USEC / 4, &span), 0);
	ck_assert_uint_eq(span, 750 * QS_MSEC);
}
END_TEST

/* Against another calendar: that of the C library. */
START_TEST(every_day_of_four_centuries_is_where_the_calendar_has_it)
{
	for (time_t day = 0; day < 400 * 366; day++) {
		time_t second = day * 86400;
		char text[64];
		struct tm tm;
		uint64_t span;

		gmtime_r(&second, &tm);
		strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		if (qs_retry_after_parse(text, 0, &span) < 0 || span != (uint64_t)second * QS_SEC)
			ck_abort_msg("%s", text);
	}
}
END_TEST

START_TEST(two_digits_of_a_year_are_the_one_at_most_fifty_ahead)
{
	ck_assert_uint_gt(span_of("Sunday, 06-Nov-44 08:49:37 GMT"), 49 * 365 * 24 * QS_HOUR);
	ck_assert_uint_eq(span_of("Sunday, 06-Nov-45 08:49:37 GMT"), 0);
	/* In 2026, 94 is over and 70 is not. */
	uint64_t span, now = UINT64_C(1790000000) * USEC;
	ck_assert_int_eq(qs_retry_after_parse("Sunday, 06-Nov-94 08:49:37 GMT", now, &span), 0);
	ck_assert_uint_eq(span, 0);
	ck_assert_int_eq(qs_retry_after_parse("Sunday, 06-Nov-70 08:49:37 GMT", now, &span), 0);
	ck_assert_uint_gt(span, 43 * 365 * 24 * QS_HOUR);
}
END_TEST

START_TEST(a_date_beyond_all_time_is_for_ever)
{
	ck_assert_uint_eq(span_of("Sun, 06 Nov 9999 08:49:37 GMT"), QS_FOREVER);
}
END_TEST

START_TEST(anything_else_is_refused)
{
	static const char *const wrong[] = { "", " ", "soon", "-1", "+1", "1s", "1 2", "1.", ".5",
		"1..5", "0x10", "1e3", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
		"Sun, 06 Nov 1994 08:49:37 GMT and more", "Son, 06 Nov 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT", "Tue, 29 Feb 2100 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 0000 08:49:37 GMT",
		"Sun Nov 06 08:49:37", "Sunday, 06-Nov-1994 08:49:37 GMT" };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		uint64_t span = 4711;

		ck_assert_msg(qs_retry_after_parse(wrong[i], NOW, &span) == -EINVAL,
		        "\"%s\" is %lu", wrong[i], span);
		ck_assert_uint_eq(span, 4711);
	}
	ck_assert_uint_gt(span_of("Tue, 29 Feb 2000 23:59:60 GMT"), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("retry_after");
	TCase *all = tcase_create("retry-after");

	tcase_add_test(all, seconds_are_a_span);
	tcase_add_test(all, parts_of_a_second_count_to_the_nanosecond);
	tcase_add_test(all, more_seconds_than_there_are_is_for_ever);
	tcase_add_test(all, a_date_in_each_of_its_forms_is_the_span_until_then);
	tcase_add_test(all, a_date_that_is_over_is_no_span);
	tcase_add_test(all, parts_of_a_second_that_have_passed_are_taken_off);
	tcase_add_test(all, every_day_of_four_centuries_is_where_the_calendar_has_it);
	tcase_add_test(all, two_digits_of_a_year_are_the_one_at_most_fifty_ahead);
	tcase_add_test(all, a_date_beyond_all_time_is_for_ever);
	tcase_add_test(all, anything_else_is_refused);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
