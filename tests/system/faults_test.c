/*
 * Thousands of calls of which one request in ten comes to grief: each call has one outcome, and the
 * daemon's figures are those that the server has counted by itself.
 */
#include <inttypes.h>
#include <signal.h>

#include "tests/system/calls_scene.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CALLS 2000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CALLS 2000
#endif
#endif
#ifndef CALLS
#define CALLS 10000
#endif

/* All over one connection, each when the one before has been taken. */
static void detach_all(void)
{
	int fd = rig_connect(&rig);
	char request[256], answer[1024], body[64];

	ck_assert_int_ge(fd, 0);
	for (int i = 0; i < CALLS; i++) {
		size_t used = 0;
		int length = snprintf(body, sizeof(body), "{\"id\":\"i%d\"}", i);
		int size = snprintf(request, sizeof(request),
		        "POST /v1/workers/f/call?detach HTTP/1.1\r\nHost: localhost\r\n" JSON
		        "Content-Length: %d\r\n\r\n%s",
		        length, body);

		ck_assert_int_eq(send(fd, request, (size_t)size, MSG_NOSIGNAL), size);
		do {
			ssize_t n = read(fd, answer + used, sizeof(answer) - 1 - used);
			ck_assert_msg(n > 0, "no answer to call %d\n%s", i, rig.log);
			used += (size_t)n;
			answer[used] = '\0';
		} while (!strstr(answer, "\"state\""));
		ck_assert_msg(strstr(answer, " 202 ") != NULL, "%s", answer);
		(void)rig_logged(&rig, ""); /* so that the pipe does not fill up */
	}
	close(fd);
}

static json_int_t number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* The worker's view, once no call lives. */
static json_t *await_all(void)
{
	uint64_t until = rig_now_ms() + 3 * RIG_PATIENCE_MS;

	for (;;) {
		json_t *worker = rig_json(&rig, "GET", "/v1/workers/f", 200);

		if (number(json_object_get(worker, "calls"), "live") == 0)
			return worker;
		json_decref(worker);
		(void)rig_logged(&rig, "");
		ck_assert_msg(rig_now_ms() < until, "calls are left\n%s", rig.log);
		(void)usleep(20000);
	}
}

struct counted {
	json_int_t ids, well, requests, bad;
};

static struct counted count_at_server(void)
{
	char *text = http_server_get(&server, "/counters?ids");
	json_t *counters = json_loads(text, 0, NULL), *id;
	struct counted counted = { 0 };
	const char *name, *outcome;
	json_t *times;

	ck_assert_ptr_nonnull(counters);
	json_object_foreach (json_object_get(counters, "ids"), name, id) {
		counted.ids++;
		counted.well += number(id, "ok") + number(id, "slow");
		/* None is asked for again once it has been answered. */
		ck_assert_int_le(number(id, "ok") + number(id, "slow"), 1);
	}
	json_object_foreach (json_object_get(counters, "faults"), outcome, times)
		counted.requests += json_integer_value(times);
	counted.bad = counted.requests - counted.well;
	json_decref(counters);
	free(text);
	return counted;
}

static json_int_t metric(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	ck_assert_msg(at != NULL, "no %s in %s", name, text);
	return strtoll(at + strlen(name), NULL, 10);
}

START_TEST(each_call_has_one_outcome_and_the_figures_agree)
{
	int status;

	start("", "  f: { when: call, concurrency: 64, backlog: 20000, call: { keep: 1s }, http: { "
	          "method: POST, url: '%s/faults?percent=10&seed=7&slow=10ms&id={{payload.id}}', "
	          "idle_timeout: 10s, retry: { attempts: 3, base: 1ms, cap: 5ms, unsafe: true, "
	          "budget: off } } }\n");
	uint64_t begun = rig_now_ms();
	detach_all();
	json_t *worker = await_all();
	printf("%d calls in %" PRIu64 " ms\n", CALLS, rig_now_ms() - begun);
	json_t *calls = json_object_get(worker, "calls"), *counts;
	struct counted counted = count_at_server();
	counts = json_object_get(worker, "counts");
	ck_assert_int_eq(number(counts, "started"), CALLS);
	ck_assert_int_eq(number(counts, "finished") + number(counts, "failed"), CALLS);
	ck_assert_int_eq(counted.ids, CALLS);
	ck_assert_int_eq(number(counts, "finished"), counted.well);
	ck_assert_int_eq(number(calls, "requests"), counted.requests);
	ck_assert_int_eq(number(calls, "retries"), counted.requests - CALLS);
	ck_assert_int_gt(counted.bad, CALLS / 20);
	char *metrics = rig_request(&rig, "GET", "/metrics", &status);
	ck_assert_int_eq(
	        metric(metrics, "quiesced_worker_calls_total{worker=\"f\",outcome=\"answered\"} "),
	        counted.well);
	free(metrics);
	json_decref(worker);
	ck_assert_int_eq(rig_stop(&rig), 0);
	json_t *report = rig_report(&rig), *total;
	total = json_object_get(json_object_get(report, "totals"), "f");
	ck_assert_int_eq(number(total, "started"), CALLS);
	ck_assert_int_eq(number(total, "finished"), counted.well);
	ck_assert_int_eq(number(total, "failed"), CALLS - counted.well);
	json_decref(report);
	http_server_await(&server, "open", 0);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { each_call_has_one_outcome_and_the_figures_agree };

	return suite_run("faults", tests, ARRAY_SIZE(tests));
}
