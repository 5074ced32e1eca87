/*
 * Answers that are passed on as they come: whole events, an end that can be told from a cut, and a
 * reader who is slow, or leaves.
 */
#include <signal.h>

#include "tests/system/calls_scene.h"

#define SHUT_DOWN_SOON "shutdown: { deadline: 300ms, cancel_grace: 5s }"

/* How much of the only call's answer has come so far. */
static json_int_t received(void)
{
	json_t *list = rig_json(&rig, "GET", "/v1/calls", 200);
	json_t *one = json_array_get(json_object_get(list, "calls"), 0);
	json_int_t bytes = json_integer_value(json_object_get(one, "received"));

	json_decref(list);
	return bytes;
}

START_TEST(events_are_passed_on_as_they_come)
{
	struct told told = { 0 };

	start("", "  sse: { when: call, http: { url: '%s/stream?events=3&every=20&size=8' } }\n");
	int fd = ask("POST", "/v1/workers/sse/call", "", "");
	hear(fd, "id: 1\ndata: abcdefgh\n\n", &told);
	ck_assert_ptr_null(strstr(told.text, "id: 3"));
	hear(fd, NULL, &told);
	assert_told(told, 200, "Content-Type: text/event-stream\r\n");
	assert_told(told, 200, "id: 3\ndata: abcdefgh\n\n");
	assert_told(
	        told, 200, "\r\n0\r\nQuiesced-Status: 200\r\nQuiesced-Verdict: finished\r\n\r\n");
	told_done(&told);
	close(fd);
	finish(0);
}
END_TEST

START_TEST(a_stream_that_breaks_off_ends_with_an_event_that_says_so)
{
	start("",
	        "  sse: { when: call, http: { url: '%s/stream?events=2&every=5&size=8&cut' } }\n");
	struct told told = call("sse", "");

	assert_told(told, 200, "id: 2\ndata: abcdefgh\n\n");
	assert_told(told, 200, "event: error\ndata: {");
	assert_told(told, 200, "\"verdict\":\"failed\"");
	assert_told(told, 200, "\r\n0\r\nQuiesced-Status: 502\r\n");
	told_done(&told);
	finish(0);
}
END_TEST

START_TEST(a_shutdown_ends_a_stream_with_a_last_event)
{
	struct told told = { 0 };

	start(SHUT_DOWN_SOON,
	        "  sse: { when: call, http: { url: '%s/stream?events=0&every=20&size=8' } }\n");
	int fd = ask("POST", "/v1/workers/sse/call", "", "");
	hear(fd, "id: 2\n", &told);
	int exited = rig_stop(&rig);
	ck_assert_msg(exited == 150, "exit status %d\n%s", exited, rig.log);
	hear(fd, NULL, &told);
	assert_told(told, 200, "\n\n\r\n");
	assert_told(told, 200, "event: shutdown\ndata: {");
	assert_told(told, 200, "\"verdict\":\"cancelled\"");
	assert_told(
	        told, 200, "\r\n0\r\nQuiesced-Status: 503\r\nQuiesced-Verdict: cancelled\r\n\r\n");
	told_done(&told);
	close(fd);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

START_TEST(any_other_stream_says_behind_its_end_that_it_is_not_whole)
{
	struct told told = { 0 };

	start(SHUT_DOWN_SOON,
	        "  lines: { when: call, http: { url: "
	        "'%s/stream?events=0&every=20&size=8&type=application/x-ndjson' } }\n");
	int fd = ask("POST", "/v1/workers/lines/call", "", "");
	hear(fd, "}\n", &told);
	int exited = rig_stop(&rig);
	ck_assert_msg(exited == 150, "exit status %d\n%s", exited, rig.log);
	hear(fd, NULL, &told);
	ck_assert_ptr_null(strstr(told.text, "event:"));
	assert_told(told, 200, "Trailer: Quiesced-Status, Quiesced-Verdict\r\n");
	assert_told(told, 200, "\r\n0\r\nQuiesced-Status: 503\r\n");
	told_done(&told);
	close(fd);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

START_TEST(a_slow_reader_slows_the_server_down)
{
	start("", "  flood: { when: call, http: { url: '%s/chunks?size=1000000000&piece=16384' } "
	          "}\n");
	struct told told = { 0 };
	int fd = ask("POST", "/v1/workers/flood/call", "", "");
	json_int_t before = -1, now = 0;
	int same = 0;

	hear(fd, "\r\n\r\n", &told);
	/* It stands still when nothing has come from one look to the next, and so on. */
	for (int looks = 0; looks < 2000 && same < 50; looks++) {
		now = received();
		same = now == before ? same + 1 : 0;
		before = now;
	}
	ck_assert_int_eq(same, 50);
	ck_assert_int_gt(now, 0);
	ck_assert_int_lt(now, 4 << 20);
	/* Whoever reads on gets more. */
	while (received() <= now)
		ck_assert_int_gt(read(fd, (char[65536]){ 0 }, 65536), 0);
	close(fd);
	await_calls(0);
	http_server_await(&server, "cut", 1);
	told_done(&told);
	finish(0);
}
END_TEST

START_TEST(a_reader_who_leaves_cancels_the_stream)
{
	struct told told = { 0 };

	start("", "  sse: { when: call, http: { url: '%s/stream?events=0&every=20&size=8' } }\n");
	int fd = ask("POST", "/v1/workers/sse/call", "", "");
	hear(fd, "id: 1\n", &told);
	close(fd);
	await_calls(0);
	http_server_await(&server, "cut", 1);
	told_done(&told);
	finish(0);
}
END_TEST

START_TEST(a_detached_call_gathers_a_stream)
{
	char target[64];
	int status;

	start("", "  sse: { when: call, http: { url: '%s/stream?events=3&every=5&size=8' } }\n");
	uint64_t id = detach("sse");
	snprintf(target, sizeof(target), "/v1/calls/%llu/answer?wait=10s", (unsigned long long)id);
	char *body = rig_request(&rig, "GET", target, &status);
	ck_assert_int_eq(status, 200);
	ck_assert_ptr_nonnull(strstr(body, "id: 3\ndata: abcdefgh\n\n"));
	ck_assert_ptr_null(strstr(body, "Quiesced"));
	free(body);
	finish(0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		events_are_passed_on_as_they_come,
		a_stream_that_breaks_off_ends_with_an_event_that_says_so,
		a_shutdown_ends_a_stream_with_a_last_event,
		any_other_stream_says_behind_its_end_that_it_is_not_whole,
		a_slow_reader_slows_the_server_down,
		a_reader_who_leaves_cancels_the_stream,
		a_detached_call_gathers_a_stream,
	};

	return suite_run("streams", tests, ARRAY_SIZE(tests));
}
