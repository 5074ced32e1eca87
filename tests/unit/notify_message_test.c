/* The notify parser: all fields, and that no bad value gets through. */
#include "lib/notify_message.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/clock.h>

#include "lib/macro.h"

static struct qs_notify_message parse_bytes(const char *data, size_t size)
{
	struct qs_notify_message message;
	ck_assert_int_eq(qs_notify_message_parse(data, size, &message), 0);
	return message;
}

static struct qs_notify_message parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

START_TEST(every_flag_is_read)
{
	struct qs_notify_message message =
	        parse("READY=1\nSTOPPING=1\nRELOADING=1\nWATCHDOG=1\nBARRIER=1\n");
	ck_assert(message.ready && message.stopping && message.reloading);
	ck_assert(message.watchdog && message.barrier && !message.watchdog_trigger);
	ck_assert(parse("READY=1").ready);
}
END_TEST

START_TEST(a_flag_is_1_or_not_set)
{
	struct qs_notify_message message = parse("READY=0\nSTOPPING=yes\nRELOADING=\nWATCHDOG=11\n"
	                                         "BARRIER= 1\nready=1\nREADY =1");
	ck_assert(!message.ready && !message.stopping && !message.reloading);
	ck_assert(!message.watchdog && !message.barrier);
}
END_TEST

START_TEST(a_watchdog_trigger_is_no_beat)
{
	struct qs_notify_message message = parse("WATCHDOG=trigger");
	ck_assert(message.watchdog_trigger && !message.watchdog);
}
END_TEST

START_TEST(numbers_are_read)
{
	struct qs_notify_message message =
	        parse("EXTEND_TIMEOUT_USEC=1500000\nWATCHDOG_USEC=7\nMAINPID=4711\nERRNO=2");
	ck_assert_uint_eq(message.extend_timeout, 1500 * QS_MSEC);
	ck_assert_uint_eq(message.watchdog_span, 7 * QS_USEC);
	ck_assert_int_eq(message.main_pid, 4711);
	ck_assert_int_eq(message.error_number, 2);
	ck_assert_int_eq(parse("MAINPID=2147483647").main_pid, INT32_MAX);
}
END_TEST

START_TEST(a_number_that_is_none_is_left_out)
{
	static const char *const values[] = { "", "0", "-1", "+1", " 1", "1 ", "1s", "0x10", "1.5",
		"18446744073709551616", "99999999999999999999999999999999" };
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		char text[256];
		snprintf(text, sizeof(text),
		        "EXTEND_TIMEOUT_USEC=%s\nWATCHDOG_USEC=%s\nMAINPID=%s\nERRNO=%s", values[i],
		        values[i], values[i], values[i]);
		struct qs_notify_message message = parse(text);
		ck_assert_uint_eq(message.extend_timeout, 0);
		ck_assert_uint_eq(message.watchdog_span, 0);
		ck_assert_int_eq(message.main_pid, 0);
		ck_assert_int_eq(message.error_number, 0);
	}
}
END_TEST

START_TEST(a_number_beyond_its_range_is_left_out)
{
	struct qs_notify_message message = parse("EXTEND_TIMEOUT_USEC=18446744073709552\n"
	                                         "MAINPID=2147483648\nERRNO=4096");
	ck_assert_uint_eq(message.extend_timeout, 0);
	ck_assert_int_eq(message.main_pid, 0);
	ck_assert_int_eq(message.error_number, 0);
	ck_assert_uint_lt(
	        parse("EXTEND_TIMEOUT_USEC=18446744073709551").extend_timeout, QS_FOREVER);
}
END_TEST

START_TEST(a_bad_value_does_not_take_a_good_one_back)
{
	ck_assert_int_eq(parse("MAINPID=12\nMAINPID=x").main_pid, 12);
	ck_assert(parse("READY=1\nREADY=0").ready);
}
END_TEST

START_TEST(unknown_fields_and_odd_lines_pass)
{
	ck_assert(parse("X_MINE=y\n\nno field\n=empty name\nREADY=1\nMONOTONIC_USEC=3").ready);
}
END_TEST

START_TEST(what_holds_no_field_at_all_is_refused)
{
	static const char *const texts[] = { "", "\n\n", "READY", "=1", "READY\n=\n" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct qs_notify_message message = { .main_pid = 99 };
		ck_assert_int_eq(
		        qs_notify_message_parse(texts[i], strlen(texts[i]), &message), -EBADMSG);
		ck_assert_int_eq(message.main_pid, 99);
	}
}
END_TEST

START_TEST(a_status_is_kept)
{
	struct qs_notify_message message = parse("STATUS=läuft: 3 = 4?\nREADY=1");
	ck_assert(message.has_status && message.ready);
	ck_assert_str_eq(message.status, "läuft: 3 = 4?");
	ck_assert_str_eq(parse("STATUS=one\nSTATUS=two").status, "two");
	ck_assert(parse("STATUS=").has_status);
	ck_assert_str_eq(parse("STATUS=").status, "");
	ck_assert(!parse("READY=1").has_status);
}
END_TEST

START_TEST(a_status_shows_no_control_characters)
{
	ck_assert_str_eq(parse("STATUS=a\x1b[31m\tb\x7f\xc2\x85").status, "a [31m b  ");
	ck_assert_str_eq(parse_bytes("STATUS=a\0b", 10).status, "a b");
}
END_TEST

START_TEST(a_status_is_valid_utf8)
{
	ck_assert_str_eq(
	        parse("STATUS=a\xff z\xe6\xbc").status, "a\xef\xbf\xbd z\xef\xbf\xbd\xef\xbf\xbd");
}
END_TEST

/* The status in `message.status` is cut between characters, not in the middle of one. */
START_TEST(a_long_status_is_cut_at_a_characters_edge)
{
	char text[1024] = "STATUS=x";
	while (strlen(text) < 900)
		strcat(text, "漢");
	struct qs_notify_message message = parse(text);
	ck_assert_uint_eq(strlen(message.status), 253);
	ck_assert_int_eq(strncmp(message.status, text + 7, 253), 0);
	memset(text + 7, 'y', 900);
	ck_assert_uint_eq(strlen(parse(text).status), QS_NOTIFY_STATUS_MAX - 1);
}
END_TEST

/* With AddressSanitizer a read beyond the end is seen, as there is no NUL behind these. */
START_TEST(nothing_is_read_beyond_the_end)
{
	static const char text[] = "READY=1\nSTATUS=\xe6\xbc\xa2\nMAINPID=12\nWATCHDOG=trigger";
	for (size_t size = 0; size < sizeof(text); size++) {
		struct qs_notify_message message;
		_cleanup_(freep) char *copy = malloc(size + 1);
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, text, size);
		copy = realloc(copy, MAX(size, (size_t)1));
		int r = qs_notify_message_parse(copy, size, &message);
		ck_assert_int_eq(r, size < 6 ? -EBADMSG : 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify_message");
	TCase *fields = tcase_create("fields");
	TCase *status = tcase_create("status");
	TCase *bounds = tcase_create("bounds");
	tcase_add_test(fields, every_flag_is_read);
	tcase_add_test(fields, a_flag_is_1_or_not_set);
	tcase_add_test(fields, a_watchdog_trigger_is_no_beat);
	tcase_add_test(fields, numbers_are_read);
	tcase_add_test(fields, a_number_that_is_none_is_left_out);
	tcase_add_test(fields, a_number_beyond_its_range_is_left_out);
	tcase_add_test(fields, a_bad_value_does_not_take_a_good_one_back);
	tcase_add_test(fields, unknown_fields_and_odd_lines_pass);
	tcase_add_test(fields, what_holds_no_field_at_all_is_refused);
	tcase_add_test(status, a_status_is_kept);
	tcase_add_test(status, a_status_shows_no_control_characters);
	tcase_add_test(status, a_status_is_valid_utf8);
	tcase_add_test(status, a_long_status_is_cut_at_a_characters_edge);
	tcase_add_test(bounds, nothing_is_read_beyond_the_end);
	suite_add_tcase(suite, fields);
	suite_add_tcase(suite, status);
	suite_add_tcase(suite, bounds);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
