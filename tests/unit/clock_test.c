/* Saturating time, the virtual clock, and the wall time as text beside what libc makes of it. */
#include "lib/clock.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define USEC_PER_SEC UINT64_C(1000000)

START_TEST(adding_ends_at_forever)
{
	ck_assert_uint_eq(qs_time_add(1, 2), 3);
	ck_assert_uint_eq(qs_time_add(QS_FOREVER - 1, 1), QS_FOREVER);
	ck_assert_uint_eq(qs_time_add(QS_FOREVER - 1, 2), QS_FOREVER);
	ck_assert_uint_eq(qs_time_add(5, QS_FOREVER), QS_FOREVER);
	ck_assert_uint_eq(qs_time_add(QS_FOREVER, 0), QS_FOREVER);
}
END_TEST

START_TEST(subtracting_ends_at_zero_and_forever_stays)
{
	ck_assert_uint_eq(qs_time_sub(7, 3), 4);
	ck_assert_uint_eq(qs_time_sub(3, 3), 0);
	ck_assert_uint_eq(qs_time_sub(3, 7), 0);
	ck_assert_uint_eq(qs_time_sub(QS_FOREVER, 7), QS_FOREVER);
	ck_assert_uint_eq(qs_time_sub(7, QS_FOREVER), 0);
}
END_TEST

START_TEST(the_kernel_clock_never_goes_back)
{
	uint64_t last = qs_time_now();

	for (int i = 0; i < 1000; i++) {
		uint64_t now = qs_time_now();

		ck_assert_uint_ge(now, last);
		last = now;
	}
}
END_TEST

START_TEST(coarse_time_is_the_latest_reading)
{
	struct qs_clock clock;
	uint64_t now;

	qs_clock_init(&clock);
	now = qs_clock_read(&clock);
	while (qs_time_now() == now)
		;
	ck_assert_uint_eq(qs_clock_coarse(&clock), now);
	ck_assert_uint_gt(qs_clock_read(&clock), now);
	ck_assert_uint_gt(qs_clock_coarse(&clock), now);
}
END_TEST

START_TEST(a_virtual_clock_moves_only_when_told_and_never_back)
{
	struct qs_clock clock;

	qs_clock_init_virtual(&clock, 1000);
	ck_assert_uint_eq(qs_clock_read(&clock), 1000);
	ck_assert_uint_eq(qs_clock_read(&clock), 1000);
	qs_clock_advance_to(&clock, 5000);
	ck_assert_uint_eq(qs_clock_coarse(&clock), 1000);
	ck_assert_uint_eq(qs_clock_read(&clock), 5000);
	ck_assert_uint_eq(qs_clock_coarse(&clock), 5000);
	qs_clock_advance_to(&clock, 4000);
	ck_assert_uint_eq(qs_clock_read(&clock), 5000);
}
END_TEST

static void check_wall_text(uint64_t wall_usec)
{
	time_t seconds = (time_t)(wall_usec / USEC_PER_SEC);
	char text[QS_WALL_TEXT_SIZE], date[32], expected[48];
	struct tm parts;

	ck_assert_ptr_nonnull(gmtime_r(&seconds, &parts));
	ck_assert_uint_gt(strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts), 0);
	(void)snprintf(
	        expected, sizeof(expected), "%s.%03uZ", date, (unsigned)(wall_usec / 1000 % 1000));
	ck_assert_ptr_eq(qs_clock_format_wall(wall_usec, text), text);
	ck_assert_str_eq(text, expected);
}

START_TEST(every_day_of_four_centuries_reads_as_libc_reads_it)
{
	for (uint64_t day = 0; day < 146100; day++)
		check_wall_text((day * 86400 + day % 86400) * USEC_PER_SEC + day * 7919 % 1000000);
}
END_TEST

START_TEST(wall_text_ends_with_the_year_9999)
{
	char text[QS_WALL_TEXT_SIZE];

	ck_assert_str_eq(qs_clock_format_wall(0, text), "1970-01-01T00:00:00.000Z");
	ck_assert_str_eq(
	        qs_clock_format_wall(UINT64_C(951827696789000), text), "2000-02-29T12:34:56.789Z");
	ck_assert_str_eq(qs_clock_format_wall(UINT64_MAX, text), "9999-12-31T23:59:59.999Z");
}
END_TEST

/* Between the two readings of each clock this process may be held up, but not for a minute. */
START_TEST(wall_time_of_a_point_is_as_far_away_as_the_point)
{
	uint64_t now = qs_time_now(), wall = qs_clock_wall_usec();
	uint64_t later = qs_clock_wall_usec_of(now + QS_HOUR);
	uint64_t earlier = qs_clock_wall_usec_of(now - QS_SEC);

	ck_assert_uint_ge(later, wall + 3540 * USEC_PER_SEC);
	ck_assert_uint_le(later, wall + 3660 * USEC_PER_SEC);
	ck_assert_uint_le(earlier, wall + 59 * USEC_PER_SEC);
	ck_assert_uint_ge(earlier, wall - 61 * USEC_PER_SEC);
	ck_assert_uint_gt(later, earlier);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clock");
	TCase *tcase = tcase_create("clock");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, adding_ends_at_forever);
	tcase_add_test(tcase, subtracting_ends_at_zero_and_forever_stays);
	tcase_add_test(tcase, the_kernel_clock_never_goes_back);
	tcase_add_test(tcase, coarse_time_is_the_latest_reading);
	tcase_add_test(tcase, a_virtual_clock_moves_only_when_told_and_never_back);
	tcase_add_test(tcase, every_day_of_four_centuries_reads_as_libc_reads_it);
	tcase_add_test(tcase, wall_text_ends_with_the_year_9999);
	tcase_add_test(tcase, wall_time_of_a_point_is_as_far_away_as_the_point);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
