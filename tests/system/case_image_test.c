/*
 * The image bot: a batch of calls to an API that is slow, says 429 and is paid for. At most so many
 * at once, each in time, none asked twice; and a stop in the middle leaves no call without an end.
 */
#include <signal.h>

#include "tests/system/calls_scene.h"

#define AT_ONCE 4
#define BATCH   24

static const char *payload_of(int number)
{
	static char payload[32];

	snprintf(payload, sizeof(payload), "{\"k\":\"k%d\"}", number);
	return payload;
}

static void begin_batch(const char *worker, int *fds, int count)
{
	char target[128];

	snprintf(target, sizeof(target), "/v1/workers/%s/call", worker);
	for (int i = 0; i < count; i++)
		fds[i] = ask("POST", target, JSON, payload_of(i));
}

static void end_call(int fd, struct told *told)
{
	hear(fd, NULL, told);
	close(fd);
	/* One outcome, and no more behind it. */
	ck_assert_ptr_nonnull(told->text);
	ck_assert_ptr_null(strstr(told->text + 1, "HTTP/1.1 "));
}

static unsigned times_logged(const char *text)
{
	unsigned times = 0;

	(void)rig_logged(&rig, text);
	for (const char *at = rig.log; (at = strstr(at, text)); at++)
		times++;
	return times;
}

START_TEST(a_batch_is_never_more_at_once_than_allowed)
{
	int fds[BATCH];
	char path[64];

	start("", "  images: { when: call, concurrency: 4, backlog: 100, http: { url: "
	          "'%s/hold?key={{payload.k}}' } }\n");
	begin_batch("images", fds, BATCH);
	await_calls(BATCH);
	for (int i = 0; i < BATCH; i++) {
		/* The server's own count: so many it has, and so many it has had. */
		http_server_await(&server, "in_flight", (uint64_t)MIN(AT_ONCE, BATCH - i));
		ck_assert_uint_eq(http_server_count(&server, "requests") -
		                          http_server_count(&server, "in_flight"),
		        (uint64_t)i * 2); /* the one that was held, and what released it */
		snprintf(path, sizeof(path), "/release?key=k%d", i);
		free(http_server_get(&server, path));
		struct told told = { 0 };
		end_call(fds[i], &told);
		assert_told(told, 200, "released");
		told_done(&told);
	}
	finish(0);
}
END_TEST

START_TEST(an_api_that_says_429_is_asked_again_and_each_is_answered)
{
	int fds[BATCH];

	start("",
	        "  images: { when: call, concurrency: 4, backlog: 100, http: { method: POST, url: "
	        "'%s/retry?status=429&times=2&after=0&key={{payload.k}}', retry: { attempts: 5, "
	        "base: 1ms, cap: 5ms, unsafe: true, budget: off } } }\n");
	begin_batch("images", fds, BATCH);
	for (int i = 0; i < BATCH; i++) {
		struct told told = { 0 };

		end_call(fds[i], &told);
		assert_told(told, 200, "Quiesced-Attempts: 3\r\n");
		told_done(&told);
	}
	ck_assert_uint_eq(http_server_count(&server, "requests"), 3 * BATCH);
	finish(0);
}
END_TEST

START_TEST(the_same_is_asked_once_in_flight_and_afterwards)
{
	int fds[AT_ONCE];
	unsigned shared = 0;

	start("", "  images: { when: call, cache: { size: 1MiB }, http: { url: "
	          "'%s/hold?key={{payload.k}}' } }\n");
	for (int i = 0; i < AT_ONCE; i++)
		fds[i] = ask("POST", "/v1/workers/images/call", JSON, payload_of(1));
	await_calls(AT_ONCE);
	http_server_await(&server, "in_flight", 1);
	free(http_server_get(&server, "/release?key=k1"));
	for (int i = 0; i < AT_ONCE; i++) {
		struct told told = { 0 };

		end_call(fds[i], &told);
		assert_told(told, 200, "released");
		shared += strstr(told.text, "Quiesced-Source: shared") != NULL;
		told_done(&told);
	}
	ck_assert_uint_eq(shared, AT_ONCE - 1);
	struct told again = call("images", payload_of(1));
	assert_told(again, 200, "Quiesced-Source: cache");
	told_done(&again);
	ck_assert_uint_eq(http_server_count(&server, "requests"), 2);
	finish(0);
}
END_TEST

START_TEST(an_error_reaches_the_caller_and_is_logged_once)
{
	start("", "  images: { when: call, http: { url: '%S/x', timeout: 200ms } }\n");
	struct told told = call("images", "");

	assert_told(told, 504, "\"verdict\":\"failed\"");
	assert_told(told, 504, "\"phase\":\"waiting\"");
	told_done(&told);
	ck_assert_int_eq(rig_stop(&rig), 0);
	ck_assert_uint_eq(times_logged("call 1 failed: "), 1);
	ck_assert_uint_eq(times_logged("failed"), 1);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

START_TEST(a_stop_in_the_middle_gives_each_call_one_outcome)
{
	int fds[BATCH];
	unsigned finished = 0, stopped = 0, cancelled = 0;

	start("shutdown: { deadline: 500ms, cancel_grace: 20s }",
	        "  images: { when: call, concurrency: 4, backlog: 100, http: { url: "
	        "'%s/hold?key={{payload.k}}' } }\n");
	begin_batch("images", fds, BATCH);
	await_calls(BATCH);
	http_server_await(&server, "in_flight", AT_ONCE);
	free(http_server_get(&server, "/release?key=k0"));
	struct told first = { 0 };
	end_call(fds[0], &first);
	assert_told(first, 200, "released");
	told_done(&first);
	http_server_await(&server, "in_flight", AT_ONCE);
	ck_assert_int_eq(rig_stop(&rig), 150);
	for (int i = 1; i < BATCH; i++) {
		struct told told = { 0 };

		end_call(fds[i], &told);
		finished += told.status == 200;
		stopped += strstr(told.text, "\"verdict\":\"stopped\"") != NULL;
		cancelled += strstr(told.text, "\"verdict\":\"cancelled\"") != NULL;
		told_done(&told);
	}
	ck_assert_uint_eq(finished, 0);
	ck_assert_uint_eq(cancelled, AT_ONCE);
	ck_assert_uint_eq(stopped, BATCH - 1 - AT_ONCE);
	json_t *report = rig_report(&rig), *total;
	total = json_object_get(json_object_get(report, "totals"), "images");
	ck_assert_int_eq(json_integer_value(json_object_get(total, "started")), BATCH);
	ck_assert_int_eq(json_integer_value(json_object_get(total, "finished")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(total, "cancelled")), AT_ONCE);
	ck_assert_int_eq(
	        json_integer_value(json_object_get(total, "stopped")), BATCH - 1 - AT_ONCE);
	json_decref(report);
	http_server_await(&server, "open", 0);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_batch_is_never_more_at_once_than_allowed,
		an_api_that_says_429_is_asked_again_and_each_is_answered,
		the_same_is_asked_once_in_flight_and_afterwards,
		an_error_reaches_the_caller_and_is_logged_once,
		a_stop_in_the_middle_gives_each_call_one_outcome,
	};

	return suite_run("case_image", tests, ARRAY_SIZE(tests));
}
