/* What a module's host says: taken whole or not at all, and never further than it may go. */
#include "daemon/module_told.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/clock.h>

#include "lib/macro.h"

#define VERDICTS                                                                   \
	"\"verdicts\":{\"finished\":3,\"stopped\":0,\"failed\":1,\"cancelled\":0," \
	"\"killed\":0,\"abandoned\":0}"
#define TASK(id, lag, waits)                                                      \
	"{\"id\":" id ",\"name\":\"poller\",\"kind\":\"fiber\",\"rung\":\"ask\"," \
	"\"started_usec\":123456,\"stop_lag_usec\":" lag ",\"waiting_on\":" waits "}"

static struct module_told told;

static int take(const char *line)
{
	return module_told_parse(&told, line, strlen(line));
}

static void begin(void)
{
	told = (struct module_told){ 0 };
}

START_TEST(tasks_are_taken_with_all_that_is_said)
{
	ck_assert_int_eq(take("{\"type\":\"tasks\",\"live\":2," VERDICTS ",\"tasks\":[" TASK(
	                         "7", "15", "\"sleep\"") "," TASK("8", "null", "null") "]}\n"),
	        1);
	ck_assert_uint_eq(told.live, 2);
	ck_assert_uint_eq(told.count, 2);
	ck_assert_uint_eq(told.ended[QS_VERDICT_FINISHED], 3);
	ck_assert_uint_eq(told.ended[QS_VERDICT_FAILED], 1);
	ck_assert_uint_eq(told.tasks[0].id, 7);
	ck_assert_uint_eq(told.tasks[0].stop_lag, 15 * QS_USEC);
	ck_assert_uint_eq(told.tasks[0].started_at, 123456 * QS_USEC);
	ck_assert_int_eq(told.tasks[0].kind, QS_KIND_FIBER);
	ck_assert_int_eq(told.tasks[0].rung, QS_RUNG_ASK);
	ck_assert_str_eq(told.tasks[0].name, "poller");
	ck_assert_str_eq(told.tasks[0].waiting_on, "sleep");
	ck_assert_uint_eq(told.tasks[1].stop_lag, QS_FOREVER);
	ck_assert_str_eq(told.tasks[1].waiting_on, "");
	ck_assert_uint_eq(module_told_lag(&told), 15 * QS_USEC);
}
END_TEST

START_TEST(the_depth_of_a_stack_is_taken_where_it_is_told)
{
	ck_assert_int_eq(
	        take("{\"type\":\"tasks\",\"live\":2," VERDICTS ",\"tasks\":[" TASK("7",
	                "15,\"stack_bytes\":8192", "null") "," TASK("8", "null", "null") "]}\n"),
	        1);
	ck_assert_uint_eq(told.tasks[0].stack, 8192);
	ck_assert_uint_eq(told.tasks[1].stack, 0);
	ck_assert_int_eq(take("{\"type\":\"tasks\",\"live\":1," VERDICTS ",\"tasks\":[" TASK(
	                         "7", "15,\"stack_bytes\":\"deep\"", "null") "]}\n"),
	        -EBADMSG);
}
END_TEST

START_TEST(without_a_known_lag_there_is_none)
{
	ck_assert_uint_eq(module_told_lag(&told), QS_FOREVER);
	ck_assert_int_eq(take("{\"type\":\"tasks\",\"live\":1," VERDICTS
	                      ",\"tasks\":[" TASK("8", "null", "null") "]}"),
	        1);
	ck_assert_uint_eq(module_told_lag(&told), QS_FOREVER);
}
END_TEST

static const char *const bad[] = {
	"",
	"nonsense",
	"[]",
	"{}",
	"{\"type\":7}",
	"{\"type\":\"tasks\"}",
	"{\"type\":\"tasks\",\"live\":-1," VERDICTS ",\"tasks\":[]}",
	"{\"type\":\"tasks\",\"live\":1.5," VERDICTS ",\"tasks\":[]}",
	"{\"type\":\"tasks\",\"live\":9223372036854775807," VERDICTS ",\"tasks\":[]}",
	"{\"type\":\"tasks\",\"live\":1," VERDICTS ",\"tasks\":{}}",
	"{\"type\":\"tasks\",\"live\":1,\"verdicts\":{},\"tasks\":[]}",
	"{\"type\":\"tasks\",\"live\":1," VERDICTS ",\"tasks\":[7]}",
	"{\"type\":\"tasks\",\"live\":0," VERDICTS ",\"tasks\":[" TASK("1", "1", "null") "]}",
	"{\"type\":\"tasks\",\"live\":1," VERDICTS ",\"tasks\":[" TASK("1", "-1", "null") "]}",
	"{\"type\":\"tasks\",\"live\":1," VERDICTS ",\"tasks\":[" TASK("1", "1", "7") "]}",
	"{\"type\":\"failed\",\"text\":7}",
};

START_TEST(what_is_none_changes_nothing)
{
	ck_assert_int_eq(take("{\"type\":\"tasks\",\"live\":1," VERDICTS ",\"tasks\":[]}"), 1);
	const struct module_told before = told;
	ck_assert_msg(take(bad[_i]) == -EBADMSG, "%s", bad[_i]);
	ck_assert_mem_eq(&told, &before, sizeof(told));
}
END_TEST

START_TEST(nothing_that_has_ended_comes_to_life_again)
{
	told.ended[QS_VERDICT_FINISHED] = 4;
	ck_assert_int_eq(
	        take("{\"type\":\"tasks\",\"live\":1," VERDICTS ",\"tasks\":[]}"), -EBADMSG);
}
END_TEST

START_TEST(more_tasks_than_are_shown_are_refused)
{
	static char line[MODULE_LINE_MAX];
	char *end =
	        line + sprintf(line, "{\"type\":\"tasks\",\"live\":65," VERDICTS ",\"tasks\":[");

	for (int i = 0; i <= MODULE_TASKS_MAX; i++)
		end += sprintf(end, "%s%s", i > 0 ? "," : "", TASK("1", "1", "null"));
	strcpy(end, "]}");
	ck_assert_int_eq(take(line), -EBADMSG);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_refused)
{
	static char line[MODULE_LINE_MAX + 64];

	memset(line, ' ', sizeof(line) - 1);
	memcpy(line, "{\"type\":\"later\"}", 16);
	ck_assert_int_eq(take(line), -EBADMSG);
	line[MODULE_LINE_MAX] = '\0';
	ck_assert_int_eq(take(line), 0);
}
END_TEST

START_TEST(texts_are_cut_at_a_character_and_steer_no_terminal)
{
	ck_assert_int_eq(take("{\"type\":\"failed\",\"text\":\"a\\u001b[2Jb\\n\"}"), 0);
	ck_assert_str_eq(told.failure, "a?[2Jb?");
	ck_assert_int_eq(take("{\"type\":\"tasks\",\"live\":1," VERDICTS ",\"tasks\":[{\"id\":1,"
	                      "\"name\":\"1234567890123456789012345678901\\u20ac\",\"kind\":"
	                      "\"step\",\"rung\":\"none\",\"started_usec\":1,\"stop_lag_usec\":0,"
	                      "\"waiting_on\":null}]}"),
	        1);
	ck_assert_str_eq(told.tasks[0].name, "1234567890123456789012345678901");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("module_told");
	TCase *tcase = tcase_create("lines");

	tcase_add_checked_fixture(tcase, begin, NULL);
	tcase_add_test(tcase, the_depth_of_a_stack_is_taken_where_it_is_told);
	tcase_add_test(tcase, tasks_are_taken_with_all_that_is_said);
	tcase_add_test(tcase, without_a_known_lag_there_is_none);
	tcase_add_loop_test(tcase, what_is_none_changes_nothing, 0, ARRAY_SIZE(bad));
	tcase_add_test(tcase, nothing_that_has_ended_comes_to_life_again);
	tcase_add_test(tcase, more_tasks_than_are_shown_are_refused);
	tcase_add_test(tcase, a_line_that_is_too_long_is_refused);
	tcase_add_test(tcase, texts_are_cut_at_a_character_and_steer_no_terminal);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
