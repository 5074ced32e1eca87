/* The line that tells a child to stop: what is written, and what is made of what strangers write.
 */
#include <quiesce/stop.h>

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/clock.h>

#include "lib/macro.h"

/* _i is the cause. */
START_TEST(each_cause_is_written_and_read_back)
{
	struct qs_stop_reason reason = { .cause = (enum qs_cause)_i,
		.deadline = 1234567 * QS_USEC };
	struct qs_stop_reason read_back = { .deadline = 1 };
	char line[128];
	int length = qs_stop_format(&reason, line, sizeof(line));

	ck_assert_int_eq(length, (int)strlen(line));
	ck_assert_int_eq(line[length - 1], '\n');
	ck_assert_int_eq(qs_stop_parse(line, (size_t)length, &read_back), 0);
	ck_assert_int_eq(read_back.cause, reason.cause);
	ck_assert_uint_eq(read_back.deadline, reason.deadline);
	ck_assert_int_eq(qs_stop_parse(line, (size_t)length - 1, &read_back), 0);
	ck_assert_int_eq(read_back.cause, reason.cause);
}
END_TEST

START_TEST(the_line_is_what_the_manual_says)
{
	struct qs_stop_reason reason = { .cause = QS_CAUSE_LEADER_EXIT, .deadline = 9999 };
	char line[128];

	ck_assert_int_gt(qs_stop_format(&reason, line, sizeof(line)), 0);
	ck_assert_str_eq(line, "stop reason=leader-exit deadline_usec=9\n");
	reason.deadline = QS_FOREVER;
	ck_assert_int_gt(qs_stop_format(&reason, line, sizeof(line)), 0);
	ck_assert_str_eq(line, "stop reason=leader-exit deadline_usec=18446744073709551615\n");
}
END_TEST

START_TEST(a_line_that_does_not_fit_is_refused)
{
	struct qs_stop_reason reason = { .cause = QS_CAUSE_API, .deadline = 5000 };
	char line[128];
	int length = qs_stop_format(&reason, line, sizeof(line));

	ck_assert_int_eq(qs_stop_format(&reason, line, (size_t)length), -ENOBUFS);
	ck_assert_int_eq(qs_stop_format(&reason, line, (size_t)length + 1), length);
	ck_assert_int_eq(qs_stop_format(&reason, line, 0), -ENOBUFS);
}
END_TEST

static const struct {
	const char *line;
	enum qs_cause cause;
	uint64_t deadline;
} good_lines[] = {
	{ "stop ", QS_CAUSE_NONE, QS_FOREVER },
	{ "stop \n", QS_CAUSE_NONE, QS_FOREVER },
	{ "stop reason=api", QS_CAUSE_API, QS_FOREVER },
	{ "stop  reason=api   deadline_usec=0 \n", QS_CAUSE_API, 0 },
	{ "stop deadline_usec=007 reason=reload", QS_CAUSE_RELOAD, 7000 },
	{ "stop reason=moonlight deadline_usec=1", QS_CAUSE_NONE, 1000 },
	{ "stop reason=ap", QS_CAUSE_NONE, QS_FOREVER },
	{ "stop reason=apis", QS_CAUSE_NONE, QS_FOREVER },
	{ "stop colour=blue reason=api flag =x deadline_usec=3", QS_CAUSE_API, 3000 },
	{ "stop reason=api reason=ready", QS_CAUSE_READY, QS_FOREVER },
	{ "stop deadline_usec=18446744073709551", QS_CAUSE_NONE, UINT64_C(18446744073709551000) },
	{ "stop deadline_usec=18446744073709552", QS_CAUSE_NONE, QS_FOREVER },
	{ "stop deadline_usec=18446744073709551615", QS_CAUSE_NONE, QS_FOREVER },
};

START_TEST(good_lines_are_read)
{
	struct qs_stop_reason reason = { .detail = "before", .at = 1 };

	ck_assert_int_eq(
	        qs_stop_parse(good_lines[_i].line, strlen(good_lines[_i].line), &reason), 0);
	ck_assert_int_eq(reason.cause, good_lines[_i].cause);
	ck_assert_uint_eq(reason.deadline, good_lines[_i].deadline);
	ck_assert_str_eq(reason.detail, "");
	ck_assert_uint_eq(reason.at, 0);
}
END_TEST

static const char *const bad_lines[] = { "", "\n", "stop", "stop\n", " stop ", "Stop reason=api",
	"stopp reason=api", "start ", "stop deadline_usec=", "stop deadline_usec=-1",
	"stop deadline_usec=+1", "stop deadline_usec=0x10", "stop deadline_usec=1e3",
	"stop deadline_usec=1s", "stop deadline_usec=18446744073709551616",
	"stop deadline_usec=99999999999999999999999", "stop deadline_usec=1\n\n",
	"stop deadline_usec=\t1" };

START_TEST(bad_lines_are_refused_and_change_nothing)
{
	struct qs_stop_reason reason, before;

	memset(&reason, 'x', sizeof(reason));
	memcpy(&before, &reason, sizeof(before));
	ck_assert_int_eq(qs_stop_parse(bad_lines[_i], strlen(bad_lines[_i]), &reason), -EBADMSG);
	ck_assert_mem_eq(&reason, &before, sizeof(before));
}
END_TEST

/* The line is a copy of just its length, so that AddressSanitizer sees a byte too many. */
START_TEST(no_byte_behind_the_line_is_read)
{
	static const char line[] = "stop reason=api deadline_usec=12\n";

	for (size_t length = 0; length < sizeof(line); length++) {
		struct qs_stop_reason reason;
		char *copy = malloc(length + !length);

		memcpy(copy, line, length);
		if (qs_stop_parse(copy, length, &reason) == 0)
			ck_assert_uint_ge(length, strlen("stop "));
		free(copy);
	}
}
END_TEST

static TCase *line_case(void)
{
	TCase *tcase = tcase_create("line");

	tcase_add_loop_test(tcase, each_cause_is_written_and_read_back, 0, QS_CAUSE_COUNT);
	tcase_add_test(tcase, the_line_is_what_the_manual_says);
	tcase_add_test(tcase, a_line_that_does_not_fit_is_refused);
	tcase_add_loop_test(tcase, good_lines_are_read, 0, ARRAY_SIZE(good_lines));
	tcase_add_loop_test(
	        tcase, bad_lines_are_refused_and_change_nothing, 0, ARRAY_SIZE(bad_lines));
	tcase_add_test(tcase, no_byte_behind_the_line_is_read);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("stop_line");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, line_case());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
