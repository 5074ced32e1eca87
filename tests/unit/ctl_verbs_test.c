/* quiescectl against a daemon that is none: what its verbs ask for, and those that go on. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/unit/fake_daemon.h"

#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"
#define LINE_OF(worker, line)                                                           \
	"{\"seq\":1,\"time\":\"2026-01-01T10:01:02.345Z\",\"event\":\"worker-output\"," \
	"\"worker\":\"" worker "\",\"line\":\"" line "\"}\n"
#define STATE_EVENT                                                                         \
	"{\"seq\":2,\"time\":\"2026-01-01T10:01:02.345Z\",\"event\":\"worker-state\","      \
	"\"worker\":\"ticker\",\"state\":\"running\",\"before\":\"starting\",\"pid\":4711," \
	"\"detail\":\"\"}\n"

static struct fake_daemon fake;

static void teardown(void)
{
	fake_daemon_stop(&fake);
}

/* --- what is asked for --- */

START_TEST(a_wait_is_handed_on_in_milliseconds)
{
	static const struct canned canned[] = {
		{ .request = "POST /v1/workers/a/stop",
		        200,
		        "{\"name\": \"a\", \"state\": \"stopped\"}" },
		{ 0 },
	};
	static const struct {
		const char *words;
		unsigned least, most;
	} cases[] = {
		{ "stop a --wait", 50000, 60000 },
		{ "stop --wait 7s a", 5000, 7000 },
		{ "stop --wait=1min a", 50000, 60000 },
		{ "--wait a stop a", 0, 0 },
	};
	unsigned wait = 0;
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, cases[_i].words);
	if (cases[_i].most == 0) {
		ck_assert_int_eq(run.status, 2); /* "a" is no span, so it is the verb */
		ctl_done(&run);
		return;
	}
	ck_assert_int_eq(run.status, 0);
	ck_assert_ptr_nonnull(fake_daemon_request(&fake, 0));
	ck_assert_int_eq(sscanf(fake_daemon_request(&fake, 0),
	                         "POST /v1/workers/a/stop?wait=%ums HTTP/1.1", &wait),
	        1);
	ck_assert_uint_ge(wait, cases[_i].least);
	ck_assert_uint_le(wait, cases[_i].most);
	ctl_done(&run);
}
END_TEST

START_TEST(each_name_gets_its_turn_and_the_first_failure_counts)
{
	static const struct canned canned[] = {
		{ .request = "POST /v1/workers/a/restart ",
		        202,
		        "{\"name\": \"a\", \"state\": \"stopping\"}" },
		{ .request = "POST /v1/workers/b/restart ", 404, "{\"detail\": \"no b\"}" },
		{ .request = "POST /v1/workers/c/restart ", 409, "{\"detail\": \"not now\"}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "restart a b c");
	ck_assert_int_eq(run.status, 3);
	ck_assert_str_eq(run.out, "a stopping\n");
	ck_assert_str_eq(run.err, "quiescectl: b: no b\nquiescectl: c: not now\n");
	ck_assert_str_eq(fake_daemon_request(&fake, 2), "POST /v1/workers/c/restart HTTP/1.1");
	ctl_done(&run);
}
END_TEST

START_TEST(odd_names_are_escaped)
{
	static const struct canned canned[] = { { 0 } };
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "show ../a/b?c%d");
	ck_assert_int_eq(run.status, 3);
	ck_assert_str_eq(
	        fake_daemon_request(&fake, 0), "GET /v1/workers/..%2Fa%2Fb%3Fc%25d HTTP/1.1");
	ctl_done(&run);
}
END_TEST

START_TEST(show_tells_every_field)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/workers/ticker ",
		        200,
		        "{\"name\": \"ticker\", \"state\": \"running\", \"essential\": true,"
		        " \"since\": \"2026-01-01T10:01:02.345Z\", \"stop_lag_seconds\": null,"
		        " \"heartbeat_age_seconds\": 1.5, \"new_field\": [1, 2],"
		        " \"counts\": {\"started\": 3, \"failed\": 0, \"killed\": 2},"
		        " \"task\": {\"id\": 9, \"rung\": \"none\"},"
		        " \"lines\": [\"the last words\"], \"endings\": [{\"id\": 7,"
		        " \"verdict\": \"killed\", \"cause\": \"api\", \"detail\": \"signal 9 "
		        "(Killed)\","
		        " \"started_at\": \"2026-01-01T10:00:00.000Z\","
		        " \"ended_at\": \"2026-01-01T10:01:30.000Z\"}]}" },
		{ 0 },
	};
	static const char *const expected[] = {
		"name: ticker\n",
		"essential: yes\n",
		"since: 2026-01-01 10:01:02 (",
		"stop lag: -\n",
		"heartbeat age: 1.5s\n",
		"new field: [1,2]\n",
		"counts: 3 started, 2 killed\n",
		"task rung: none\n",
		"2026-01-01 10:01:30     7  killed   api    1min 30s  signal 9 (Killed)\n",
		"│ the last words\n",
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "show ticker");
	ck_assert_int_eq(run.status, 0);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		ck_assert_msg(
		        strstr(run.out, expected[i]), "no \"%s\" in:\n%s", expected[i], run.out);
	ctl_done(&run);
}
END_TEST

/* --- what goes on --- */

START_TEST(events_come_as_they_happen)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/events ",
		        .raw = STREAM_HEAD STATE_EVENT,
		        .after = AFTER_HOLD },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl_begin(
	        fake.socket, &(struct ctl_where){ 0 }, _i == 0 ? "events" : "events --json");
	ctl_await(&run, "\n");
	if (_i == 0)
		ck_assert_str_eq(
		        run.out, "10:01:02 worker-state   ticker starting → running pid 4711\n");
	else
		ck_assert_str_eq(run.out, STATE_EVENT);
	kill(run.pid, SIGKILL);
	ctl_finish(&run);
	ctl_done(&run);
}
END_TEST

START_TEST(a_reader_that_goes_ends_it_quietly)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/events ",
		        .raw = STREAM_HEAD STATE_EVENT,
		        .after = AFTER_HOLD },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl_begin(fake.socket, &(struct ctl_where){ 0 }, "events");
	ctl_await(&run, "\n");
	close(run.out_fd);
	run.out_fd = -1;
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 0);
	ck_assert_str_eq(run.err, "");
	ctl_done(&run);
}
END_TEST

START_TEST(an_event_may_come_in_pieces)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/events ",
		        .raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		               "9\r\n{\"event\":\r\n5\r\n\"odd\"\r\nB\r\n,\"x\":1}\n{\"e\r\n"
		               "F\r\nvent\":\"more\"}\n\n\r\n0\r\n\r\n" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "--json events");
	ck_assert_str_eq(run.out, "{\"event\":\"odd\",\"x\":1}\n{\"event\":\"more\"}\n");
	ck_assert_int_eq(run.status, 0);
	ctl_done(&run);
}
END_TEST

START_TEST(a_stream_that_was_cut_is_a_failure)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/events ",
		        .raw = STREAM_HEAD STATE_EVENT "{\"event\":\"lost\"}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "events");
	ck_assert_int_eq(run.status, 1);
	ck_assert_ptr_nonnull(strstr(run.err, "not read fast enough"));
	ctl_done(&run);
}
END_TEST

START_TEST(logs_show_what_was_and_follow_one_worker)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/workers/ticker ",
		        200,
		        "{\"name\": \"ticker\", \"lines\": [\"one\", \"two\"]}" },
		{ .request = "GET /v1/events ",
		        .raw = STREAM_HEAD LINE_OF("other", "no")
		                STATE_EVENT LINE_OF("ticker", "three") },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, _i == 0 ? "logs ticker" : "logs ticker --follow");
	ck_assert_int_eq(run.status, 0);
	ck_assert_str_eq(run.out, _i == 0 ? "one\ntwo\n" : "one\ntwo\nthree\n");
	ctl_done(&run);
}
END_TEST

START_TEST(logs_of_all_say_whose_they_are)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/workers ",
		        200,
		        "{\"workers\": [{\"name\": \"a\"}, {\"name\": \"b\"}]}" },
		{ .request = "GET /v1/workers/a ", 200, "{\"lines\": [\"one\"]}" },
		{ .request = "GET /v1/workers/b ", 200, "{\"lines\": [\"two\"]}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "logs");
	ck_assert_int_eq(run.status, 0);
	ck_assert_str_eq(run.out, "a: one\nb: two\n");
	ctl_done(&run);
}
END_TEST

/* --- the end --- */

#define STATUS_OF_PID "{\"daemon\": {\"pid\": 1, \"phase\": \"running\"}}"

START_TEST(shutdown_wait_is_back_when_the_process_is_gone)
{
	static const struct canned answers[] = {
		{ .request = "GET /v1/status ", 200, STATUS_OF_PID },
		{ .request = "POST /v1/shutdown?wait=",
		        200,
		        "{\"report\": {\"duration_ms\": 1500, \"counts\": {\"stopped\": 2}}}",
		        .after = AFTER_DIE },
		{ 0 },
	};
	static const struct canned hangs_up[] = {
		{ .request = "GET /v1/status ", 200, STATUS_OF_PID },
		{ .request = "POST /v1/shutdown?wait=", .raw = "", .after = AFTER_DIE },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, _i == 0 ? answers : hangs_up);
	run = ctl(fake.socket, "shutdown --wait");
	ck_assert_str_eq(run.err, "");
	ck_assert_str_eq(
	        run.out, _i == 0 ? "● quiesced in 1.5s: 2 stopped\n" : "quiesced has ended\n");
	ck_assert_int_eq(run.status, 0);
	ctl_done(&run);
}
END_TEST

START_TEST(shutdown_wait_is_over_when_its_time_is)
{
	static const struct canned answers_late[] = {
		{ .request = "GET /v1/status ", 200, STATUS_OF_PID },
		{ .request = "POST /v1/shutdown?wait=", 202, "{}" },
		{ 0 },
	};
	static const struct canned stays[] = {
		{ .request = "GET /v1/status ", 200, STATUS_OF_PID },
		{ .request = "POST /v1/shutdown?wait=", 200, "{}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, _i == 0 ? answers_late : stays);
	run = ctl(fake.socket, "shutdown --wait=50ms");
	ck_assert_int_eq(run.status, 8);
	ck_assert_ptr_nonnull(strstr(run.err, "the wait is over"));
	ctl_done(&run);
}
END_TEST

START_TEST(shutdown_alone_does_not_wait)
{
	static const struct canned canned[] = {
		{ .request = "POST /v1/shutdown ", 202, "{}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "shutdown");
	ck_assert_int_eq(run.status, 0);
	ck_assert_str_eq(run.out, "quiesced is shutting down\n");
	ctl_done(&run);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl_verbs");
	TCase *asks = tcase_create("asks"), *streams = tcase_create("streams");
	TCase *ends = tcase_create("ends");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(asks, NULL, teardown);
	tcase_add_loop_test(asks, a_wait_is_handed_on_in_milliseconds, 0, 4);
	tcase_add_test(asks, each_name_gets_its_turn_and_the_first_failure_counts);
	tcase_add_test(asks, odd_names_are_escaped);
	tcase_add_test(asks, show_tells_every_field);
	suite_add_tcase(suite, asks);
	tcase_add_checked_fixture(streams, NULL, teardown);
	tcase_add_loop_test(streams, events_come_as_they_happen, 0, 2);
	tcase_add_test(streams, a_reader_that_goes_ends_it_quietly);
	tcase_add_test(streams, an_event_may_come_in_pieces);
	tcase_add_test(streams, a_stream_that_was_cut_is_a_failure);
	tcase_add_loop_test(streams, logs_show_what_was_and_follow_one_worker, 0, 2);
	tcase_add_test(streams, logs_of_all_say_whose_they_are);
	suite_add_tcase(suite, streams);
	tcase_add_checked_fixture(ends, NULL, teardown);
	tcase_add_loop_test(ends, shutdown_wait_is_back_when_the_process_is_gone, 0, 2);
	tcase_add_loop_test(ends, shutdown_wait_is_over_when_its_time_is, 0, 2);
	tcase_add_test(ends, shutdown_alone_does_not_wait);
	suite_add_tcase(suite, ends);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
