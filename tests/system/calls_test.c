/*
 * Calls on a real daemon with a real server upstream: their outcomes, who hangs up, who is
 * detached, who is refused, and how all of them end with the daemon.
 */
#include <signal.h>

#include "tests/system/calls_scene.h"

/* --- outcomes --- */

START_TEST(a_call_is_answered_with_what_the_server_says)
{
	start("", "  echo: { when: call, http: { method: POST, url: '%s/echo/{{payload.who}}', "
	          "body: '{{payload}}' } }\n");
	struct told told = call("echo", "{\"who\":\"a b\",\"n\":1}");

	assert_told(told, 200, "Quiesced-Source: server\r\n");
	assert_told(told, 200, "Quiesced-Attempts: 1\r\n");
	assert_told(told, 200, "\"path\":\"/echo/a%20b\"");
	assert_told(told, 200, "\\\"who\\\":\\\"a b\\\"");
	told_done(&told);
	finish(0);
}
END_TEST

START_TEST(what_is_wrong_with_a_payload_is_said)
{
	start("", "  echo: { when: call, http: { url: '%s/echo/{{payload.who}}' } }\n"
	          "  other: { exec: [sleep, '1000'] }\n");
	struct told told[] = {
		call("echo", "{\"who\":"),
		call("echo", "{\"whom\":\"x\"}"),
		call_with("/v1/workers/echo/call", "Content-Type: text/plain\r\n", "x"),
		call("other", "1"),
		call("nobody", "1"),
	};
	static const int statuses[] = { 400, 422, 415, 409, 404 };
	static const char *const parts[] = { "line 1", "who", "text/plain", "when: call",
		"nobody" };

	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		assert_told(told[i], statuses[i], parts[i]);
		assert_told(told[i], statuses[i], "application/problem+json");
		told_done(&told[i]);
	}
	ck_assert_uint_eq(http_server_count(&server, "requests"), 0);
	finish(0);
}
END_TEST

START_TEST(what_goes_wrong_upstream_is_a_problem_that_tells_it)
{
	start("", "  missing: { when: call, http: { url: '%s/status/404' } }\n"
	          "  late: { when: call, http: { url: '%S/x', timeout: 100ms } }\n"
	          "  gone: { when: call, http: { url: '%s/drop' } }\n");
	struct told told[] = { call("missing", ""), call("late", ""), call("gone", "") };

	assert_told(told[0], 502, "\"upstream\":{\"status\":404");
	assert_told(told[0], 502, "\"body\":\"for ever\\n\"");
	assert_told(told[1], 504, "\"phase\":\"waiting\"");
	assert_told(told[1], 504, "\"verdict\":\"failed\"");
	assert_told(told[2], 502, "\"attempts\":1");
	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		told_done(&told[i]);
	finish(0);
}
END_TEST

/* Nothing of it has been passed on: it is no stream. */
START_TEST(an_answer_that_breaks_off_is_asked_for_again)
{
	start("", "  half: { when: call, http: { url: '%s/half?size=1000', retry: { attempts: 3, "
	          "base: 1ms, cap: 5ms, unsafe: true } } }\n");
	struct told told = call("half", "");

	assert_told(told, 502, "\"attempts\":3");
	told_done(&told);
	ck_assert_uint_eq(http_server_count(&server, "requests"), 3);
	finish(0);
}
END_TEST

/* As curl says of whatever it is given with -d. */
START_TEST(a_payload_that_is_called_a_form_is_json_all_the_same)
{
	start("", "  echo: { when: call, http: { url: '%s/echo/{{payload.who}}' } }\n");
	struct told told = call_with("/v1/workers/echo/call",
	        "Content-Type: application/x-www-form-urlencoded\r\n", "{\"who\": \"me\"}");

	assert_told(told, 200, "\"path\":\"/echo/me\"");
	told_done(&told);
	finish(0);
}
END_TEST

START_TEST(the_same_again_comes_from_the_cache)
{
	start("",
	        "  c: { when: call, cache: { size: 1MiB }, http: { url: '%s/answer?size=99' } }\n");
	struct told first = call("c", ""), second = call("c", "");

	assert_told(first, 200, "Quiesced-Source: server");
	assert_told(second, 200, "Quiesced-Source: cache");
	assert_told(second, 200, "Quiesced-Attempts: 0");
	told_done(&first);
	told_done(&second);
	json_t *worker = rig_json(&rig, "GET", "/v1/workers/c", 200);
	json_t *calls = json_object_get(worker, "calls");
	ck_assert_int_eq(json_integer_value(json_object_get(calls, "cache_hits")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(calls, "requests")), 1);
	json_decref(worker);
	int status;
	char *metrics = rig_request(&rig, "GET", "/metrics", &status);
	ck_assert_ptr_nonnull(
	        strstr(metrics, "quiesced_worker_call_cache_hits_total{worker=\"c\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(
	        metrics, "quiesced_worker_calls_total{worker=\"c\",outcome=\"answered\"} 2\n"));
	free(metrics);
	finish(0);
}
END_TEST

START_TEST(a_full_backlog_is_429)
{
	start("shutdown: { deadline: 100ms }",
	        "  b: { when: call, concurrency: 1, backlog: 1, http: { url: '%S/x' } }\n");
	detach("b");
	detach("b");
	await_calls(2);
	struct told told = call("b", "");

	assert_told(told, 429, "wait for their turn");
	told_done(&told);
	finish(150);
}
END_TEST

/* --- who leaves --- */

START_TEST(who_hangs_up_cancels_his_call)
{
	start("", "  black: { when: call, http: { url: '%S/x' } }\n");
	int fd = ask("POST", "/v1/workers/black/call", "", "");

	await_calls(1);
	close(fd);
	rig_expect(&rig, "cancelled");
	await_calls(0);
	http_server_await(&server, "silent", 0);
	finish(0);
}
END_TEST

START_TEST(who_only_says_no_more_still_gets_his_answer)
{
	start("", "  hold: { when: call, http: { url: '%s/hold?key=k' } }\n");
	struct told told = { 0 };
	int fd = ask("POST", "/v1/workers/hold/call", "", "");

	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	http_server_await(&server, "in_flight", 1);
	free(http_server_get(&server, "/release?key=k"));
	hear(fd, NULL, &told);
	assert_told(told, 200, "Quiesced-Source");
	told_done(&told);
	close(fd);
	finish(0);
}
END_TEST

START_TEST(a_detached_call_goes_on_and_is_kept)
{
	char target[64];
	int status;

	start("", "  hold: { when: call, http: { url: '%s/hold?key=k' } }\n");
	uint64_t id = detach("hold");
	snprintf(
	        target, sizeof(target), "/v1/calls/%llu/answer?wait=100ms", (unsigned long long)id);
	json_decref(rig_json(&rig, "GET", target, 202));
	http_server_await(&server, "in_flight", 1);
	free(http_server_get(&server, "/release?key=k"));
	snprintf(target, sizeof(target), "/v1/calls/%llu?wait=10s", (unsigned long long)id);
	json_t *json = rig_json(&rig, "GET", target, 200);
	ck_assert_str_eq(json_string_value(json_object_get(json, "state")), "over");
	ck_assert_str_eq(json_string_value(json_object_get(json, "verdict")), "finished");
	ck_assert_int_eq(json_integer_value(json_object_get(json, "status")), 200);
	json_decref(json);
	snprintf(target, sizeof(target), "/v1/calls/%llu/answer", (unsigned long long)id);
	for (int i = 0; i < 2; i++) {
		free(rig_request(&rig, "GET", target, &status));
		ck_assert_int_eq(status, 200);
	}
	*strrchr(target, '/') = '\0';
	free(rig_request(&rig, "DELETE", target, &status));
	ck_assert_int_eq(status, 200);
	free(rig_request(&rig, "GET", target, &status));
	ck_assert_int_eq(status, 404);
	finish(0);
}
END_TEST

START_TEST(an_outcome_is_kept_as_long_as_is_said)
{
	char target[64];
	int status;

	start("", "  fast: { when: call, call: { keep: 200ms }, http: { url: '%s/answer' } }\n");
	uint64_t id = detach("fast"), until = rig_now_ms() + RIG_PATIENCE_MS;
	snprintf(target, sizeof(target), "/v1/calls/%llu?wait=10s", (unsigned long long)id);
	json_decref(rig_json(&rig, "GET", target, 200));
	do
		free(rig_request(&rig, "GET", target, &status));
	while (status != 404 && rig_now_ms() < until);
	ck_assert_int_eq(status, 404);
	finish(0);
}
END_TEST

START_TEST(a_call_is_cancelled_by_its_id)
{
	char target[64];

	start("", "  black: { when: call, http: { url: '%S/x' } }\n");
	uint64_t id = detach("black");
	snprintf(target, sizeof(target), "/v1/calls/%llu?wait=10s", (unsigned long long)id);
	await_calls(1);
	json_t *json = rig_json(&rig, "DELETE", target, 200);
	ck_assert_str_eq(json_string_value(json_object_get(json, "verdict")), "cancelled");
	ck_assert_str_eq(json_string_value(json_object_get(json, "cause")), "api");
	json_decref(json);
	finish(0);
}
END_TEST

/* --- who is refused, and who is replaced --- */

START_TEST(a_drain_refuses_new_calls_and_lets_others_go_on)
{
	struct told told = { 0 };

	start("", "  hold: { when: call, http: { url: '%s/hold?key=k' } }\n");
	int fd = ask("POST", "/v1/workers/hold/call", "", "");
	http_server_await(&server, "in_flight", 1);
	json_decref(rig_json(&rig, "POST", "/v1/drain", 200));
	struct told refused = call("hold", "");
	assert_told(refused, 503, "\"phase\":\"draining\"");
	told_done(&refused);
	free(http_server_get(&server, "/release?key=k"));
	hear(fd, NULL, &told);
	assert_told(told, 200, "Quiesced-Source");
	told_done(&told);
	close(fd);
	finish(0);
}
END_TEST

START_TEST(a_worker_that_is_stopped_asks_its_calls_and_takes_no_more)
{
	struct told told = { 0 };

	start("", "  hold: { when: call, stop: { deadline: 10s }, http: { url: '%s/hold?key=k' } "
	          "}\n");
	int fd = ask("POST", "/v1/workers/hold/call", "", "");
	http_server_await(&server, "in_flight", 1);
	json_decref(rig_json(&rig, "POST", "/v1/workers/hold/stop", 202));
	rig_await_state(&rig, "hold", "stopping");
	struct told refused = call("hold", "");
	assert_told(refused, 503, "\"state\":\"stopping\"");
	told_done(&refused);
	free(http_server_get(&server, "/release?key=k"));
	hear(fd, NULL, &told);
	assert_told(told, 200, "Quiesced-Source");
	told_done(&told);
	close(fd);
	rig_await_state(&rig, "hold", "stopped");
	json_decref(rig_json(&rig, "POST", "/v1/workers/hold/start?wait=10s", 200));
	rig_await_state(&rig, "hold", "running");
	finish(0);
}
END_TEST

START_TEST(its_own_deadline_cancels_the_calls_of_a_worker)
{
	struct told told = { 0 };

	start("", "  black: { when: call, stop: { deadline: 100ms }, http: { url: '%S/x' } }\n");
	int fd = ask("POST", "/v1/workers/black/call", "", "");
	await_calls(1);
	json_decref(rig_json(&rig, "POST", "/v1/workers/black/stop?wait=10s", 200));
	hear(fd, NULL, &told);
	assert_told(told, 503, "\"verdict\":\"cancelled\"");
	assert_told(told, 503, "\"cause\":\"api\"");
	told_done(&told);
	close(fd);
	finish(0);
}
END_TEST

START_TEST(a_reload_gives_new_calls_the_new_worker)
{
	struct told told = { 0 };
	char yaml[512];

	start("", "  w: { when: call, stop: { deadline: 10s }, http: { url: '%s/hold?key=k' } }\n");
	int fd = ask("POST", "/v1/workers/w/call", "", "");
	http_server_await(&server, "in_flight", 1);
	snprintf(yaml, sizeof(yaml),
	        "workers:\n  w: { when: call, http: { url: '%s/answer?body=new' } }\n", server.url);
	rig_configure(&rig, yaml);
	json_decref(rig_json(&rig, "POST", "/v1/reload", 200));
	struct told fresh = call("w", "");
	assert_told(fresh, 200, "\r\n\r\nnew");
	told_done(&fresh);
	free(http_server_get(&server, "/release?key=k"));
	hear(fd, NULL, &told);
	assert_told(told, 200, "Quiesced-Source");
	told_done(&told);
	close(fd);
	finish(0);
}
END_TEST

/* --- the end of the daemon --- */

START_TEST(a_shutdown_answers_what_it_ends)
{
	struct told told[3] = { 0 };

	start("shutdown: { deadline: 300ms, cancel_grace: 5s }",
	        "  black: { when: call, http: { url: '%S/x' } }\n"
	        "  storm: { when: call, http: { method: GET, url: '%s/status/504', retry: { "
	        "attempts: 20, base: 10min, cap: 10min } } }\n"
	        "  slots: { when: call, concurrency: 1, http: { url: '%S/y' } }\n");
	int black = ask("POST", "/v1/workers/black/call", "", "");
	int storm = ask("POST", "/v1/workers/storm/call", "", "");
	detach("slots");
	int queued = ask("POST", "/v1/workers/slots/call", "", "");

	await_calls(4);
	http_server_await(&server, "requests", 1);
	int exited = rig_stop(&rig);
	ck_assert_msg(exited == 150, "exit status %d\n%s", exited, rig.log);
	hear(black, NULL, &told[0]);
	hear(storm, NULL, &told[1]);
	hear(queued, NULL, &told[2]);
	assert_told(told[0], 503, "\"verdict\":\"cancelled\"");
	assert_told(told[0], 503, "\"phase\":\"waiting\"");
	assert_told(told[1], 503, "\"verdict\":\"stopped\"");
	assert_told(told[2], 503, "\"verdict\":\"stopped\"");
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(rig_verdict(report, "black"), "cancelled");
	ck_assert_str_eq(rig_verdict(report, "storm"), "stopped");
	json_decref(report);
	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		told_done(&told[i]);
	close(black);
	close(storm);
	close(queued);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

START_TEST(a_straggler_is_named_with_host_phase_and_bytes)
{
	char host[64];

	start("shutdown: { deadline: 200ms }", "  black: { when: call, http: { url: '%S/x' } }\n");
	detach("black");
	await_calls(1);
	int exited = rig_stop(&rig);
	ck_assert_msg(exited == 150, "exit status %d\n%s", exited, rig.log);
	snprintf(host, sizeof(host), "127.0.0.1:%u: waiting, ", server.silent_port);
	ck_assert_msg(strstr(rig.log, host) != NULL, "%s", rig.log);
	json_t *report = rig_report(&rig);
	const char *waited = json_string_value(
	        json_object_get(json_array_get(json_object_get(report, "tasks"), 0), "waiting_on"));
	ck_assert_ptr_nonnull(waited);
	ck_assert_ptr_nonnull(strstr(waited, host));
	json_decref(report);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

START_TEST(a_stage_holds_for_calls)
{
	struct told told = { 0 };

	start("shutdown: { deadline: 10s }",
	        "  api: { when: call, http: { url: '%s/hold?key=k' } }\n"
	        "  user: { after: [api], exec: [sh, -c, \"trap 'echo asked; exit 0' TERM; echo up; "
	        "while :; do sleep 0.05; done\"] }\n");
	int fd = ask("POST", "/v1/workers/api/call", "", "");
	http_server_await(&server, "in_flight", 1);
	rig_signal(&rig, SIGTERM);
	/* The other has ended when the call is asked; which does not end it. */
	rig_expect(&rig, "user: ended");
	free(http_server_get(&server, "/release?key=k"));
	hear(fd, NULL, &told);
	assert_told(told, 200, "Quiesced-Source");
	told_done(&told);
	close(fd);
	ck_assert_int_eq(rig_wait(&rig), 0);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

START_TEST(a_thousand_calls_in_back_off_do_not_hold_a_shutdown)
{
	enum { CALLS = 1000 };

	start("shutdown: { deadline: 20s }",
	        "  storm: { when: call, http: { method: GET, url: '%s/status/504', retry: { "
	        "attempts: 20, base: 10min, cap: 10min, budget: off } } }\n");
	for (int i = 0; i < CALLS; i++)
		detach("storm");
	http_server_await_least(&server, "requests", CALLS);
	uint64_t begun = rig_now_ms();
	rig_signal(&rig, SIGTERM);
	ck_assert_int_eq(rig_wait(&rig), 0);
	/* Far below any back-off, and any deadline; how fast exactly is for the benchmarks. */
	ck_assert_uint_lt(rig_now_ms() - begun, 5000);
	json_t *report = rig_report(&rig), *counts = json_object_get(report, "counts");
	ck_assert_int_eq(json_integer_value(json_object_get(counts, "stopped")), CALLS);
	json_decref(report);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_call_is_answered_with_what_the_server_says,
		what_is_wrong_with_a_payload_is_said,
		what_goes_wrong_upstream_is_a_problem_that_tells_it,
		an_answer_that_breaks_off_is_asked_for_again,
		a_payload_that_is_called_a_form_is_json_all_the_same,
		the_same_again_comes_from_the_cache,
		a_full_backlog_is_429,
		who_hangs_up_cancels_his_call,
		who_only_says_no_more_still_gets_his_answer,
		a_detached_call_goes_on_and_is_kept,
		an_outcome_is_kept_as_long_as_is_said,
		a_call_is_cancelled_by_its_id,
		a_drain_refuses_new_calls_and_lets_others_go_on,
		a_worker_that_is_stopped_asks_its_calls_and_takes_no_more,
		its_own_deadline_cancels_the_calls_of_a_worker,
		a_reload_gives_new_calls_the_new_worker,
		a_shutdown_answers_what_it_ends,
		a_straggler_is_named_with_host_phase_and_bytes,
		a_stage_holds_for_calls,
		a_thousand_calls_in_back_off_do_not_hold_a_shutdown,
	};

	return suite_run("calls", tests, ARRAY_SIZE(tests));
}
