/* What the log says of calls: a line for each, and a storm is folded on the loop's own clock. */
#include "daemon/call_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/template.h"
#include "tests/unit/loop_fixture.h"

static int ends[2]; /* of the pipe that is the log */
static struct call_log calls;

static void set_up(void)
{
	const struct log_options options = { .level = LOG_LEVEL_INFO, .max_line = 4096, .fd = -1 };
	struct log_options mine = options;
	set_up_virtual();
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	mine.fd = ends[1];
	ck_assert_int_eq(log_init(&mine), 0);
	ck_assert_int_eq(call_log_init(&calls, loop), 0);
}

/* All that was said since the beginning, without the times. */
static const char *said(void)
{
	static char text[1 << 16], plain[1 << 16];
	size_t used = 0;
	char *to = plain;
	call_log_done(&calls);
	log_done(qs_time_add(qs_time_now(), 30 * QS_SEC));
	close(ends[1]);
	for (ssize_t got; (got = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0;)
		used += (size_t)got;
	text[used] = 0;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		to += sprintf(to, "%s\n", strchr(line, ' ') + 1);
	*to = 0;
	return plain;
}

static void close_all(void)
{
	close(ends[0]);
	tear_down();
}

static void advance(uint64_t span)
{
	uint64_t until = qs_time_add(qs_loop_now(loop), span);
	struct qs_timer timer;
	ck_assert_int_eq(qs_timer_init(loop, &timer, qs_timer_disarm), 0);
	qs_timer_arm(&timer, until);
	while (qs_loop_now(loop) < until)
		ck_assert_int_ge(qs_loop_turn(loop, true), 0);
	qs_timer_done(&timer);
}

static const struct call_finished good = {
	.worker = "images",
	.task = 17,
	.verdict = QS_VERDICT_FINISHED,
	.host = "api.example",
	.status = 200,
	.attempts = 1,
	.duration = 812 * QS_MSEC,
	.bytes = 1234567,
	.source = "server",
};
static const struct call_finished bad = {
	.worker = "images",
	.task = 18,
	.verdict = QS_VERDICT_FAILED,
	.host = "api.example",
	.status = 504,
	.attempts = 3,
	.duration = 12 * QS_SEC,
	.bytes = 20,
	.source = "server",
};

START_TEST(a_call_is_one_line)
{
	struct call_finished cached = good, refused = bad, program = bad;
	cached.source = "cache";
	cached.attempts = 0;
	refused.status = 0;
	refused.error = -ECONNREFUSED;
	refused.problem = "nobody listens there";
	refused.bytes = 0;
	program.host = NULL;
	program.status = 3;
	program.problem = "exited with status 3";
	program.source = NULL;
	program.attempts = 1;
	call_log_finished(&calls, &good);
	call_log_finished(&calls, &cached);
	call_log_finished(&calls, &bad);
	call_log_finished(&calls, &refused);
	call_log_finished(&calls, &program);
	ck_assert_str_eq(said(),
	        "info images: call 17 finished: 200 from api.example, 812 ms, 1,234,567 bytes\n"
	        "info images: call 17 finished: 200 from api.example, 812 ms, 1,234,567 bytes, "
	        "from the cache\n"
	        "warning images: call 18 failed: 504 from api.example, 3 attempts, 12000 ms, 20 "
	        "bytes\n"
	        "warning images: call 18 failed: api.example: nobody listens there, 3 attempts, "
	        "12000 ms, 0 bytes\n"
	        "warning images: call 18 failed: exited with status 3, 12000 ms, 20 bytes\n");
}
END_TEST

START_TEST(an_unexpected_status_is_not_told_twice_and_a_poll_is_no_call)
{
	struct call_finished polled = bad;
	polled.polled = true;
	polled.problem = "status 504 is not expected";
	call_log_finished(&calls, &polled);
	polled.problem = "the answer has no /a";
	polled.status = 200;
	call_log_finished(&calls, &polled);
	ck_assert_str_eq(said(),
	        "warning images: poll 18 failed: 504 from api.example, 3 attempts, 12000 ms, 20 "
	        "bytes\n"
	        "warning images: poll 18 failed: 200 from api.example: the answer has no /a, 3 "
	        "attempts, 12000 ms, 20 bytes\n");
}
END_TEST

START_TEST(a_storm_is_one_line_and_then_one_a_minute)
{
	for (int i = 0; i < 1205; i++)
		call_log_finished(&calls, &bad);
	advance(QS_MIN);
	advance(QS_MIN);
	ck_assert(!qs_timer_armed(&calls.timer));
	ck_assert_str_eq(said(),
	        "warning images: call 18 failed: 504 from api.example, 3 attempts, 12000 ms, 20 "
	        "bytes\n"
	        "warning images: 504 from api.example, 1,204 times in the last minute\n");
}
END_TEST

START_TEST(what_is_folded_at_the_end_is_told_at_the_end)
{
	for (int i = 0; i < 8; i++)
		call_log_finished(&calls, &bad);
	advance(12 * QS_SEC);
	ck_assert(qs_timer_armed(&calls.timer));
	const char *text = said();
	ck_assert_msg(strstr(text, "warning images: 504 from api.example, 7 more times in the last "
	                           "12s\n") != NULL,
	        "%s", text);
}
END_TEST

START_TEST(calls_that_were_ended_are_folded_as_such)
{
	struct call_finished ended = bad;
	ended.verdict = QS_VERDICT_CANCELLED;
	ended.status = 0;
	for (int i = 0; i < 2; i++)
		call_log_finished(&calls, &ended);
	advance(300 * QS_USEC);
	const char *text = said();
	ck_assert_msg(strstr(text, "warning images: cancelled: api.example, 1 more time in the "
	                           "last 1ms\n") != NULL,
	        "%s", text);
}
END_TEST

/* As in a reload, where those in flight are asked, and are answered all the same. */
START_TEST(good_calls_are_never_folded)
{
	struct call_finished asked = good;
	asked.verdict = QS_VERDICT_STOPPED;
	for (int i = 0; i < 25; i++) {
		call_log_finished(&calls, &good);
		call_log_finished(&calls, &asked);
	}
	ck_assert(!qs_timer_armed(&calls.timer));
	const char *text = said();
	int lines = 0;
	while ((text = strchr(text, '\n')) != NULL && *text++)
		lines++;
	ck_assert_int_eq(lines, 50);
}
END_TEST

START_TEST(those_that_were_stopped_are_no_warning)
{
	struct call_finished stopped = bad;
	stopped.verdict = QS_VERDICT_STOPPED;
	stopped.status = 0;
	stopped.error = -ESHUTDOWN;
	stopped.problem = "the daemon stops";
	call_log_finished(&calls, &stopped);
	ck_assert_str_eq(said(), "info images: call 18 stopped: api.example: the daemon stops, 3 "
	                         "attempts, 12000 ms, 20 bytes\n");
}
END_TEST

START_TEST(bodies_are_told_only_when_wanted_and_then_folded)
{
	static char blob[5000], name[] = "images";
	memset(blob, 'A', sizeof(blob));
	struct http_header_config none = { 0 };
	const struct worker_config worker = {
		.name = name, .when = WHEN_CALL, .http.headers = &none
	};
	call_log_body(&worker, 17, "payload", "{\"prompt\": \"secret\"}", 20);
	log_set_bodies(true);
	call_log_body(&worker, 17, "answer", blob, sizeof(blob));
	call_log_body(&worker, 17, "answer", "", 0);
	log_set_bodies(false);
	const char *text = said();
	ck_assert_ptr_null(strstr(text, "prompt"));
	ck_assert_ptr_nonnull(strstr(text, "info images: call 17, answer: …[5000 bytes, sha256 "));
	ck_assert_uint_lt(strlen(text), 200);
}
END_TEST

static int resolve(void *arg, const char *text, char **ret_text)
{
	*ret_text = strdup(strcmp(text, "${credential:short}") == 0 ? "abc" : arg);
	return *ret_text ? 1 : -ENOMEM;
}

START_TEST(a_credential_that_an_answer_repeats_is_blotted_out)
{
	static const char answer[] = "{\"token\": \"hunter2\", \"again\": \"hunter2hunter2\", "
	                             "\"abc\": \"hunter\"}";
	static char secret[] = "hunter2", name[] = "images", header_name[] = "A";
	const struct template_credentials credentials = { resolve, secret };
	struct http_header_config headers[2] = { { .name = header_name }, { 0 } };
	struct worker_config worker = { .name = name, .http.headers = headers };
	char problem[100];
	ck_assert_int_eq(template_parse("x ${credential:key} ${credential:short}", &credentials,
	                         &headers[0].value, problem, sizeof(problem)),
	        1);
	log_set_bodies(true);
	call_log_body(&worker, 17, "answer", answer, strlen(answer));
	call_log_body(&worker, 17, "answer", "hunter2", 7);
	log_set_bodies(false);
	template_free(headers[0].value);
	ck_assert_str_eq(said(),
	        "info images: poll 17, answer: {\"token\": \"*******\", \"again\": "
	        "\"**************\", \"abc\": \"hunter\"}\n"
	        "info images: poll 17, answer: *******\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("call_log");
	TCase *tcase = tcase_create("lines");
	tcase_add_checked_fixture(tcase, set_up, close_all);
	tcase_add_test(tcase, a_call_is_one_line);
	tcase_add_test(tcase, a_storm_is_one_line_and_then_one_a_minute);
	tcase_add_test(tcase, what_is_folded_at_the_end_is_told_at_the_end);
	tcase_add_test(tcase, calls_that_were_ended_are_folded_as_such);
	tcase_add_test(tcase, good_calls_are_never_folded);
	tcase_add_test(tcase, those_that_were_stopped_are_no_warning);
	tcase_add_test(tcase, an_unexpected_status_is_not_told_twice_and_a_poll_is_no_call);
	tcase_add_test(tcase, a_credential_that_an_answer_repeats_is_blotted_out);
	tcase_add_test(tcase, bodies_are_told_only_when_wanted_and_then_folded);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
