/* Spans and sizes: what systemd reads is read the same, what is none is refused, and back. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/clock.h>

#include "daemon/config.h"
#include "lib/macro.h"

#define DAY (24 * QS_HOUR)

static const struct {
	const char *text;
	uint64_t span;
} spans[] = {
	{ "0", 0 },
	{ "5", 5 * QS_SEC },
	{ "30s", 30 * QS_SEC },
	{ "500ms", 500 * QS_MSEC },
	{ "1min 30s", 90 * QS_SEC },
	{ "1min30s", 90 * QS_SEC },
	{ " 1 min  30 s ", 90 * QS_SEC },
	{ "1h 30", QS_HOUR + 30 * QS_SEC },
	{ "1.5s", 1500 * QS_MSEC },
	{ ".5", 500 * QS_MSEC },
	{ "2.s", 2 * QS_SEC },
	{ "0.1min", 6 * QS_SEC },
	{ "0.123456789s", 123456789 },
	{ "0.0000000001s", 0 },
	{ "3ns 2nsec", 5 },
	{ "1us 1usec 1\u00b5s 1\u03bcs", 4 * QS_USEC },
	{ "1ms 1msec", 2 * QS_MSEC },
	{ "1s 1sec 1second 2seconds", 5 * QS_SEC },
	{ "1m 1min 1minute 2minutes", 5 * QS_MIN },
	{ "1h 1hr 1hour 2hours", 5 * QS_HOUR },
	{ "1d 1day 2days", 4 * DAY },
	{ "1w 1week 2weeks", 28 * DAY },
	{ "18446744073709551614ns", UINT64_MAX - 1 },
	{ "infinity", QS_FOREVER },
};

static const struct {
	const char *text;
	int error;
} bad_spans[] = {
	{ "", -EINVAL },
	{ "  ", -EINVAL },
	{ "s", -EINVAL },
	{ ".", -EINVAL },
	{ ".s", -EINVAL },
	{ "-1s", -EINVAL },
	{ "+1s", -EINVAL },
	{ "1x", -EINVAL },
	{ "1 sS", -EINVAL },
	{ "1MS", -EINVAL },
	{ "1,5s", -EINVAL },
	{ "1e3s", -EINVAL },
	{ "0x10", -EINVAL },
	{ "1s;", -EINVAL },
	{ "infinitys", -EINVAL },
	{ "18446744073709551615ns", -ERANGE },
	{ "18446744073709551616ns", -ERANGE },
	{ "99999999999999999999999", -ERANGE },
	{ "30501w", -ERANGE },
	{ "18446744073s 1s", -ERANGE },
};

static const struct {
	const char *text;
	uint64_t bytes;
	int error;
} sizes[] = {
	{ "0", 0, 0 },
	{ "4096", 4096, 0 },
	{ "12B", 12, 0 },
	{ "4KiB", 4096, 0 },
	{ "4 K", 4096, 0 },
	{ "256MiB", UINT64_C(256) << 20, 0 },
	{ "1M", UINT64_C(1) << 20, 0 },
	{ "1.5GiB", UINT64_C(3) << 29, 0 },
	{ "2G", UINT64_C(2) << 30, 0 },
	{ "1TiB 1T", UINT64_C(2) << 40, 0 },
	{ "1KB", 0, -EINVAL },
	{ "1kib", 0, -EINVAL },
	{ "MiB", 0, -EINVAL },
	{ "-1", 0, -EINVAL },
	{ "infinity", 0, -EINVAL },
	{ "16777216TiB", 0, -ERANGE },
};

static const struct {
	uint64_t span;
	const char *text;
} formats[] = {
	{ 0, "0s" },
	{ 12, "12ns" },
	{ 345 * QS_USEC, "345us" },
	{ 345600, "345.6us" },
	{ 12 * QS_MSEC, "12ms" },
	{ 12340 * QS_USEC, "12.34ms" },
	{ 999999999, "999.999ms" },
	{ QS_SEC, "1s" },
	{ 2345 * QS_MSEC, "2.345s" },
	{ 2005 * QS_MSEC, "2.005s" },
	{ 59999999999, "59.999s" },
	{ QS_MIN, "1min" },
	{ 90 * QS_SEC + 5 * QS_MSEC, "1min 30s" },
	{ 2 * QS_HOUR + 3 * QS_SEC, "2h 3s" },
	{ 9 * DAY + QS_HOUR, "1w 2d 1h" },
	{ QS_FOREVER, "infinity" },
};

START_TEST(a_span_is_read_as_systemd_reads_it)
{
	uint64_t span = 1;
	ck_assert_int_eq(span_parse(spans[_i].text, &span), 0);
	ck_assert_msg(span == spans[_i].span, "%s is %lu", spans[_i].text, (unsigned long)span);
}
END_TEST

START_TEST(what_is_no_span_is_refused_and_changes_nothing)
{
	uint64_t span = 42;
	ck_assert_msg(span_parse(bad_spans[_i].text, &span) == bad_spans[_i].error, "%s",
	        bad_spans[_i].text);
	ck_assert_uint_eq(span, 42);
}
END_TEST

START_TEST(a_size_counts_in_powers_of_two)
{
	uint64_t bytes = 0;
	ck_assert_msg(size_parse(sizes[_i].text, &bytes) == sizes[_i].error, "%s", sizes[_i].text);
	ck_assert_msg(bytes == sizes[_i].bytes, "%s is %lu", sizes[_i].text, (unsigned long)bytes);
}
END_TEST

START_TEST(a_span_is_written_for_people)
{
	char buffer[64];
	ck_assert_ptr_eq(span_format(formats[_i].span, buffer, sizeof(buffer)), buffer);
	ck_assert_str_eq(buffer, formats[_i].text);
}
END_TEST

START_TEST(a_span_is_cut_to_the_room_there_is)
{
	char buffer[6] = "#####";
	span_format(9 * DAY + QS_HOUR, buffer, sizeof(buffer));
	ck_assert_str_eq(buffer, "1w 2d");
	span_format(9 * DAY + QS_HOUR, buffer, 1);
	ck_assert_str_eq(buffer, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_units");
	TCase *units = tcase_create("units");
	tcase_add_loop_test(units, a_span_is_read_as_systemd_reads_it, 0, (int)ARRAY_SIZE(spans));
	tcase_add_loop_test(units, what_is_no_span_is_refused_and_changes_nothing, 0,
	        (int)ARRAY_SIZE(bad_spans));
	tcase_add_loop_test(units, a_size_counts_in_powers_of_two, 0, (int)ARRAY_SIZE(sizes));
	tcase_add_loop_test(units, a_span_is_written_for_people, 0, (int)ARRAY_SIZE(formats));
	tcase_add_test(units, a_span_is_cut_to_the_room_there_is);
	suite_add_tcase(suite, units);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
