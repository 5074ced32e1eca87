/* Polls of the real daemon against a server that misbehaves as told. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/http/http_server.h"
#include "tests/system/rig.h"
#include "tests/system/suite.h"

static struct http_server server;
static struct rig rig;
static char yaml[16384];

/* What the rig counts as there before comes first. */
static void begin(void)
{
	rig_init(&rig, "");
	http_server_start(&server, NULL);
}

/* The configuration: %s is the server's URL. */
static void configure(const char *format)
{
	char *to = yaml, *end = yaml + sizeof(yaml) - 64;

	for (; *format && to < end; format++) {
		if (format[0] == '%' && format[1] == 's')
			to += sprintf(to, "%s", server.url), format++;
		else
			*to++ = *format;
	}
	*to = '\0';
	rig_configure(&rig, yaml);
}

static void start(const char *format)
{
	begin();
	configure(format);
	rig_start(&rig);
}

static void clean_up(void)
{
	http_server_stop(&server);
	rig_done(&rig);
}

static void finish(int status)
{
	int exited = rig_stop(&rig);

	ck_assert_msg(
	        exited == status, "exit status %d instead of %d\n%s", exited, status, rig.log);
	clean_up();
}

/* What of the status of the worker the text must be found in; it is waited for. */
static void await_status(const char *worker, const char *text)
{
	uint64_t until = rig_now_ms() + RIG_PATIENCE_MS;
	char target[128];
	int status;

	snprintf(target, sizeof(target), "/v1/workers/%s", worker);
	for (;;) {
		char *body = rig_request(&rig, "GET", target, &status);
		bool is = body && strstr(body, text);

		if (!is && rig_now_ms() > until)
			ck_abort_msg("no %s in %.2000s", text, body);
		free(body);
		if (is)
			return;
		(void)usleep(1000);
	}
}

static const char *content(const char *name)
{
	static char text[4096];
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", rig.directory, name);
	FILE *file = fopen(path, "re");
	size_t size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	text[size] = '\0';
	if (file)
		fclose(file);
	return text;
}

START_TEST(a_good_answer_is_saved_and_shown)
{
	start("workers: { p: { when: every 20ms, http: { url: \"%s/answer?body=hello\", "
	      "save: out.txt } } }\n");
	await_status("p", "\"outcome\":\"answered\"");
	await_status("p", "\"status\":200");
	await_status("p", "\"bytes\":5");
	await_status("p", "\"kind\":\"http\"");
	ck_assert_str_eq(content("out.txt"), "hello");
	http_server_await_least(&server, "requests", 3);
	int status;
	char *metrics = rig_request(&rig, "GET", "/metrics", &status);
	ck_assert_ptr_nonnull(strstr(
	        metrics, "quiesced_http_requests_total{worker=\"p\",outcome=\"unexpected\"} 0"));
	ck_assert_ptr_nonnull(
	        strstr(metrics, "quiesced_http_request_seconds_sum{worker=\"p\"} 0."));
	free(metrics);
	rig_expect(&rig, "finished: 200 from 127.0.0.1");
	finish(0);
}
END_TEST

START_TEST(an_answer_that_was_not_expected_is_a_failure_and_the_old_file_stays)
{
	start("workers:\n"
	      "  p: { when: every 20ms, http: { url: \"%s/answer?body=new\", save: out.txt, "
	      "expect: { status: [204] } } }\n"
	      "  j: { when: every 20ms, http: { url: "
	      "\"%s/answer?type=application/json&body=%7B%22ok%22%3Afalse%7D\", "
	      "expect: { pointer: /ok, equals: true } } }\n"
	      "  m: { when: every 20ms, http: { url: \"%s/status/404\" } }\n");
	rig_write(&rig, "out.txt", "old");
	await_status("p", "\"outcome\":\"unexpected\"");
	await_status("j", "\"outcome\":\"unexpected\"");
	await_status("m", "\"status\":404");
	await_status("m", "\"last_verdict\":\"failed\"");
	http_server_await_least(&server, "requests", 9);
	ck_assert_str_eq(content("out.txt"), "old");
	finish(0);
}
END_TEST

START_TEST(what_cannot_be_saved_has_failed_and_says_so)
{
	start("workers: { p: { when: every 20ms, http: { url: \"%s/answer\", "
	      "save: missing/out.txt } } }\n");
	await_status("p", "\"outcome\":\"not-saved\"");
	await_status("p", "cannot save to missing/out.txt: No such file or directory");
	finish(0);
}
END_TEST

START_TEST(what_passes_is_tried_again_within_the_slot)
{
	start("workers: { p: { when: every 1h, http: { url: "
	      "\"%s/retry?status=503&times=2&key=k\", "
	      "retry: { attempts: 5, base: 1ms, cap: 2ms } } } }\n");
	await_status("p", "\"attempts\":3");
	await_status("p", "\"last_verdict\":\"finished\"");
	finish(0);
}
END_TEST

START_TEST(once_with_restart_on_failure_tries_until_it_is_well)
{
	start("workers: { p: { when: once, restart: on-failure, backoff: { base: 1ms, cap: 1ms }, "
	      "http: { url: \"%s/retry?status=503&times=3&key=k\", save: out.txt } } }\n");
	rig_await_state(&rig, "p", "stopped");
	await_status("p", "\"last_verdict\":\"finished\"");
	await_status("p", "\"restarts\":3");
	finish(0);
}
END_TEST

START_TEST(once_without_it_fails_once)
{
	begin();
	configure("workers: { p: { when: once, http: { url: \"%s/drop\" } } }\n");
	rig_launch(&rig, NULL);
	rig_await_process("quiesced --config", true);
	rig_expect(&rig, "failed");
	rig_await_state(&rig, "p", "failed");
	ck_assert_uint_eq(http_server_count(&server, "requests"), 1);
	finish(0);
}
END_TEST

/* The ten minutes of back-off are those of the chat bot that needed ten minutes for a Ctrl+C. */
START_TEST(a_storm_of_504_ends_at_once)
{
	size_t used = 0;

	begin();
	used += (size_t)snprintf(yaml, sizeof(yaml), "workers:\n");
	for (int i = 0; i < 50; i++)
		used += (size_t)snprintf(yaml + used, sizeof(yaml) - used,
		        "  p%d: { when: every 1h, http: { url: \"%s/status/504\", retry: { "
		        "attempts: 1000, base: 10min, cap: 1h, budget: off } } }\n",
		        i, server.url);
	rig_configure(&rig, yaml);
	rig_start(&rig);
	http_server_await_least(&server, "requests", 50);
	http_server_await(&server, "in_flight", 0);
	uint64_t before = rig_now_ms();
	ck_assert_int_eq(rig_stop(&rig), 0);
	ck_assert_uint_le(rig_now_ms() - before, 5000);
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(rig_verdict(report, "p0"), "stopped");
	ck_assert_int_lt(json_integer_value(json_object_get(report, "duration_ms")), 1000);
	json_decref(report);
	clean_up();
}
END_TEST

START_TEST(a_black_hole_ends_at_the_deadline_and_is_named)
{
	begin();
	snprintf(yaml, sizeof(yaml),
	        "shutdown: { deadline: 300ms, cancel_grace: 5s }\n"
	        "workers: { p: { when: every 1h, http: { url: \"%s/\" } } }\n",
	        server.silent_url);
	rig_configure(&rig, yaml);
	rig_start(&rig);
	http_server_await(&server, "silent", 1);
	rig_signal(&rig, SIGTERM);
	rig_expect(&rig, "p: not gone by its deadline: cancelled: 127.0.0.1");
	ck_assert_int_eq(rig_wait(&rig), 150);
	json_t *report = rig_report(&rig), *task;
	task = json_array_get(json_object_get(report, "tasks"), 0);
	const char *waited = json_string_value(json_object_get(task, "waiting_on"));
	ck_assert_str_eq(rig_verdict(report, "p"), "cancelled");
	ck_assert_msg(waited && strstr(waited, "127.0.0.1") && strstr(waited, "waiting"),
	        "it waited for: %s", waited);
	/* Not the grace. */
	ck_assert_int_lt(json_integer_value(json_object_get(report, "duration_ms")), 3000);
	json_decref(report);
	clean_up();
}
END_TEST

START_TEST(a_request_in_flight_may_finish_before_the_deadline)
{
	start("workers: { p: { when: every 1h, http: { url: \"%s/hold?key=k\", save: out.txt } } "
	      "}\n");
	http_server_await(&server, "in_flight", 1);
	rig_signal(&rig, SIGTERM);
	rig_expect(&rig, "phase: stopping");
	free(http_server_get(&server, "/release?key=k"));
	ck_assert_int_eq(rig_wait(&rig), 0);
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(rig_verdict(report, "p"), "stopped");
	json_decref(report);
	struct stat status;
	char path[192];
	snprintf(path, sizeof(path), "%s/out.txt", rig.directory);
	ck_assert_int_eq(stat(path, &status), 0);
	clean_up();
}
END_TEST

START_TEST(a_server_that_hangs_up_is_a_failure_and_the_next_slot_asks_again)
{
	start("workers: { p: { when: every 20ms, http: { url: \"%s/drop\" } } }\n");
	await_status("p", "\"outcome\":\"error\"");
	await_status("p", "\"status\":null");
	http_server_await_least(&server, "requests", 3);
	finish(0);
}
END_TEST

START_TEST(one_that_is_too_slow_runs_out_of_time)
{
	start("workers: { p: { when: every 1h, http: { url: \"%s/silent\", timeout: 100ms } } "
	      "}\n");
	await_status("p", "\"outcome\":\"timeout\"");
	finish(0);
}
END_TEST

START_TEST(a_reload_changes_what_is_asked_and_leaves_others_alone)
{
	start("workers:\n  p: { when: every 20ms, http: { url: \"%s/answer?body=one\", "
	      "save: out.txt } }\n"
	      "  q: { when: every 1h, http: { url: \"%s/hold?key=k\", save: held.txt } }\n");
	http_server_await_least(&server, "requests", 3);
	configure("workers:\n  p: { when: every 20ms, http: { url: \"%s/answer?body=other\", "
	          "save: out.txt } }\n"
	          "  q: { when: every 1h, http: { url: \"%s/hold?key=k\", save: held.txt } }\n");
	rig_signal(&rig, SIGHUP);
	for (uint64_t until = rig_now_ms() + RIG_PATIENCE_MS; strcmp(content("out.txt"), "other");)
		ck_assert_msg(rig_now_ms() < until, "it asks as before\n%s", rig.log);
	free(http_server_get(&server, "/release?key=k"));
	await_status("q", "\"outcome\":\"answered\"");
	finish(0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_good_answer_is_saved_and_shown,
		an_answer_that_was_not_expected_is_a_failure_and_the_old_file_stays,
		what_cannot_be_saved_has_failed_and_says_so,
		what_passes_is_tried_again_within_the_slot,
		once_with_restart_on_failure_tries_until_it_is_well,
		once_without_it_fails_once,
		a_storm_of_504_ends_at_once,
		a_black_hole_ends_at_the_deadline_and_is_named,
		a_request_in_flight_may_finish_before_the_deadline,
		a_server_that_hangs_up_is_a_failure_and_the_next_slot_asks_again,
		one_that_is_too_slow_runs_out_of_time,
		a_reload_changes_what_is_asked_and_leaves_others_alone,
	};

	return suite_run("poll", tests, ARRAY_SIZE(tests));
}
