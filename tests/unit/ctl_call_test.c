/* quiescectl call, calls, answer and cancel against a daemon that is none. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/unit/fake_daemon.h"

#define CALL "POST /v1/workers/api/call "
#define CHUNKED \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

static struct fake_daemon fake;

static void teardown(void)
{
	fake_daemon_stop(&fake);
}

static void assert_contains(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in: %s", part, text);
}

/* --- call --- */

START_TEST(the_answer_is_printed_as_it_is)
{
	static const struct canned canned[] = { { .request = CALL, 200, "{\"a\":\t1}\x1b[1m" },
		{ 0 } };
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "call api {\"prompt\":\"cat\"}");
	ck_assert_int_eq(run.status, 0);
	ck_assert_str_eq(run.out, "{\"a\":\t1}\x1b[1m");
	ck_assert_str_eq(run.err, "");
	ck_assert_str_eq(fake_daemon_body(&fake, 0), "{\"prompt\":\"cat\"}");
	ctl_done(&run);
}
END_TEST

START_TEST(an_answer_cannot_steer_the_terminal)
{
	static const struct canned canned[] = {
		{ .request = CALL,
		        200,
		        "a\x1b[1m\tb\xc2\x9b"
		        "c\x7f \xc3\xa4\n" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl_begin(fake.socket, &(struct ctl_where){ .columns = 80 }, "call api");
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 0);
	assert_contains(run.out, "a?[1m");
	assert_contains(run.out, "b\xc2?c? \xc3\xa4\r\n");
	ctl_done(&run);
}
END_TEST

START_TEST(an_answer_flows_while_it_comes)
{
	static const struct canned canned[] = {
		{ .request = CALL, .raw = CHUNKED "9\r\ndata: 1\n\n\r\n", .after = AFTER_HOLD },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl_begin(fake.socket, &(struct ctl_where){ 0 }, "call api");
	ctl_await(&run, "data: 1\n\n");
	kill(run.pid, SIGINT);
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 256 + SIGINT);
	ck_assert_str_eq(run.out, "data: 1\n\n");
	ck_assert_str_eq(run.err, "quiescectl: interrupted: hung up, which cancels the call\n");
	ctl_done(&run);
}
END_TEST

START_TEST(an_answer_that_is_cut_is_a_failure)
{
	static const struct canned canned[] = {
		{ .request = CALL, .raw = CHUNKED "9\r\ndata: 1\n\n\r\n" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "call api");
	ck_assert_int_eq(run.status, 1);
	ck_assert_str_eq(run.out, "data: 1\n\n");
	assert_contains(run.err, "hung up before the answer was complete");
	ctl_done(&run);
}
END_TEST

#define PROBLEM_504                                                                         \
	"{\"type\": \"about:blank\", \"title\": \"Gateway Timeout\", \"status\": 502,"      \
	" \"detail\": \"api.example answers 504\", \"call\": 17, \"worker\": \"api\","      \
	" \"verdict\": \"failed\", \"attempts\": 3, \"phase\": \"over\", \"received\": 12," \
	" \"upstream\": {\"status\": 504, \"type\": \"text/html\", \"body\": \"no \\u001b1\"}}"
#define PROBLEM_ENDED                                                            \
	"{\"status\": 503, \"detail\": \"the daemon shuts down\", \"call\": 18," \
	" \"verdict\": \"cancelled\", \"attempts\": 1, \"phase\": \"waiting\"}"

START_TEST(a_failed_call_is_told)
{
	static const struct {
		int http_status;
		const char *body, *words, *err;
		int status;
	} cases[] = {
		{ 502, PROBLEM_504, "call api",
		        "quiescectl: api: api.example answers 504\n"
		        "quiescectl: call 17: failed after 3 attempts, 12 bytes received\n"
		        "quiescectl: the server's answer: 504 text/html\n"
		        "quiescectl: no ?1\n",
		        1 },
		{ 503, PROBLEM_ENDED, "call api",
		        "quiescectl: api: the daemon shuts down\n"
		        "quiescectl: call 18: cancelled after 1 attempt, while waiting, 0 bytes "
		        "received\n",
		        1 },
		{ 503, "{\"detail\": \"it drains\"}", "call api", "quiescectl: api: it drains\n",
		        4 },
		{ 429, "{\"detail\": \"100 wait\"}", "call api", "quiescectl: api: 100 wait\n", 4 },
		{ 404, "{\"detail\": \"no api\"}", "call api", "quiescectl: api: no api\n", 3 },
		{ 403, "{\"detail\": \"not you\"}", "call api", "quiescectl: api: not you\n", 4 },
		{ 400, "{\"detail\": \"no JSON\"}", "call api", "quiescectl: api: no JSON\n", 1 },
		{ 404, "{\"detail\": \"no api\"}", "--json call api", "quiescectl: api: no api\n",
		        3 },
	};
	struct canned canned[] = { { CALL, cases[_i].http_status, cases[_i].body, NULL, 0, false },
		{ 0 } };
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, cases[_i].words);
	ck_assert_int_eq(run.status, cases[_i].status);
	ck_assert_str_eq(run.err, cases[_i].err);
	ck_assert_str_eq(run.out, _i == 7 ? "{\"detail\": \"no api\"}\n" : "");
	ctl_done(&run);
}
END_TEST

START_TEST(a_detached_call_is_an_id)
{
	static const struct canned canned[] = {
		{ .request = "POST /v1/workers/api/call?detach ",
		        202,
		        "{\"id\": 4711, \"worker\": \"api\", \"state\": \"queued\"}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "call --detach api 5");
	ck_assert_int_eq(run.status, 0);
	ck_assert_str_eq(run.out, "4711\n");
	ctl_done(&run);
}
END_TEST

START_TEST(a_payload_may_be_a_file_or_standard_input)
{
	static const struct canned canned[] = { { .request = CALL, 200, "" }, { 0 } };
	char words[128], path[96];
	struct ctl_run run;
	FILE *file;

	fake_daemon_start(&fake, canned);
	snprintf(path, sizeof(path), "%s/payload", fake.directory);
	file = fopen(path, "we");
	ck_assert(file && fputs("[1,\n2]\n", file) >= 0 && fclose(file) == 0);
	if (_i == 0)
		snprintf(words, sizeof(words), "call api @%s", path);
	else
		ck_assert(snprintf(words, sizeof(words), "call api -") > 0 &&
		          freopen(path, "r", stdin));
	run = ctl(fake.socket, words);
	ck_assert_int_eq(run.status, 0);
	ck_assert_str_eq(fake_daemon_body(&fake, 0), "[1,\n2]\n");
	unlink(path);
	ctl_done(&run);
}
END_TEST

START_TEST(wrong_words_ask_nothing)
{
	static const struct canned canned[] = { { 0 } };
	static const struct {
		const char *words, *err;
	} cases[] = {
		{ "call", "call needs the name of a worker" },
		{ "call api @/no/such/file", "/no/such/file: No such file" },
		{ "call api 1 2", "one word too many: '2'" },
		{ "call api --wait", "call does not take --wait" },
		{ "call api @/dev/zero", "16 MiB" },
		{ "cancel", "cancel needs the id of a call" },
		{ "answer", "answer needs the id of a call" },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, cases[_i].words);
	ck_assert_int_eq(run.status, 2);
	assert_contains(run.err, cases[_i].err);
	ck_assert_ptr_null(fake_daemon_request(&fake, 0));
	ctl_done(&run);
}
END_TEST

/* --- answer, calls, cancel --- */

START_TEST(an_answer_is_fetched_later)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/calls/17/answer ", 200, "well" },
		{ .request = "GET /v1/calls/18/answer?wait=7000ms ",
		        202,
		        "{\"state\": \"backoff\"}" },
		{ .request = "GET /v1/calls/19/answer ", 404, "{\"detail\": \"no call 19\"}" },
		{ .request = "GET /v1/calls/20/answer ", 502, PROBLEM_504 },
		{ 0 },
	};
	static const struct {
		const char *words, *out, *err;
		int status;
	} cases[] = {
		{ "answer 17", "well", "", 0 },
		{ "answer 18 --wait=7s", "", "quiescectl: call 18 is not over yet: backoff\n", 8 },
		{ "answer 19", "", "quiescectl: 19: no call 19\n", 3 },
		{ "answer 20", "", "quiescectl: 20: api.example answers 504\n", 1 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, cases[_i].words);
	ck_assert_int_eq(run.status, cases[_i].status);
	ck_assert_str_eq(run.out, cases[_i].out);
	assert_contains(run.err, cases[_i].err);
	ctl_done(&run);
}
END_TEST

START_TEST(calls_are_listed)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/calls ",
		        200,
		        "{\"calls\": [{\"id\": 17, \"worker\": \"api\", \"state\": \"running\","
		        " \"attempts\": 2, \"phase\": \"receiving\", \"host\": \"api.example\","
		        " \"age_seconds\": 75.5, \"received\": 1024},"
		        " {\"id\": 9, \"worker\": \"b\", \"state\": \"over\", \"verdict\": "
		        "\"failed\","
		        " \"attempts\": 1, \"age_seconds\": 1, \"status\": 504, \"host\": "
		        "\"x\"}]}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "calls");
	ck_assert_int_eq(run.status, 0);
	ck_assert_str_eq(run.out,
	        "17  api  running  1min 15s  2  api.example: receiving, 1024 bytes\n"
	        " 9  b    failed       1.0s  1  x: HTTP 504\n");
	ctl_done(&run);
}
END_TEST

START_TEST(calls_are_cancelled)
{
	static const struct canned canned[] = {
		{ .request = "DELETE /v1/calls/17 ", 202, "{}" },
		{ .request = "DELETE /v1/calls/18 ", 404, "{\"detail\": \"no call 18\"}" },
		{ .request = "DELETE /v1/calls/19 ", 200, "{}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "cancel 17 18 19");
	ck_assert_int_eq(run.status, 3);
	ck_assert_str_eq(run.out, "call 17 is being cancelled\ncall 19 is cancelled\n");
	ck_assert_str_eq(run.err, "quiescectl: 18: no call 18\n");
	ctl_done(&run);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl_call");
	TCase *call = tcase_create("call"), *later = tcase_create("later");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(call, NULL, teardown);
	tcase_add_test(call, the_answer_is_printed_as_it_is);
	tcase_add_test(call, an_answer_cannot_steer_the_terminal);
	tcase_add_test(call, an_answer_flows_while_it_comes);
	tcase_add_test(call, an_answer_that_is_cut_is_a_failure);
	tcase_add_loop_test(call, a_failed_call_is_told, 0, 8);
	tcase_add_test(call, a_detached_call_is_an_id);
	tcase_add_loop_test(call, a_payload_may_be_a_file_or_standard_input, 0, 2);
	tcase_add_loop_test(call, wrong_words_ask_nothing, 0, 7);
	suite_add_tcase(suite, call);
	tcase_add_checked_fixture(later, NULL, teardown);
	tcase_add_loop_test(later, an_answer_is_fetched_later, 0, 4);
	tcase_add_test(later, calls_are_listed);
	tcase_add_test(later, calls_are_cancelled);
	suite_add_tcase(suite, later);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
