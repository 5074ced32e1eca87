/* Streams: what is read as it comes, with a reader that is slow, leaves, or is ended. */
#include "lib/macro.h"
#include "tests/http/http_server.h"
#include "tests/unit/http_world.h"

static struct http_server server;
static unsigned fds_before;
static char url[512];

static void set_up(void)
{
	fds_before = count_fds();
	http_server_start(&server, NULL);
	world_open(false, 0);
	ck_assert_int_eq(qs_http_new(&world.root, NULL, &http), 0);
}

static void tear_down(void)
{
	qs_http_free(http);
	world_close();
	http_server_stop(&server);
	ck_assert_uint_eq(count_fds(), fds_before);
}

static void run(void)
{
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
}

/* A fiber that reads a stream to its end, or so many bytes. */
struct reading {
	const char *path;
	size_t most;    /* then it leaves; 0: all */
	uint64_t pause; /* before the first byte is read */
	bool keeps;     /* does not close the stream itself */
	int opened, ended;
	int status;
	size_t bytes;
};

static int read_on(qs_task *self, struct reading *reading, qs_http_stream *stream)
{
	char buffer[1000];
	ssize_t size;

	do {
		size = qs_http_read(self, stream, buffer, sizeof(buffer), QS_FOREVER);
		if (size > 0)
			reading->bytes += (size_t)size;
	} while (size > 0 && (reading->most == 0 || reading->bytes < reading->most));
	return (int)MIN(size, 0);
}

static int read_stream(qs_task *self, void *arg)
{
	struct reading *reading = arg;
	struct qs_http_request request = { .url = url };
	struct qs_http_response response;
	qs_http_stream *stream = NULL;

	snprintf(url, sizeof(url), "%s%s", server.url, reading->path);
	reading->opened = qs_http_open(self, http, &request, QS_FOREVER, &response, &stream);
	reading->status = response.status;
	qs_http_response_done(&response);
	if (reading->opened < 0)
		return 0;
	if (reading->pause > 0)
		(void)qs_sleep(self, qs_in(self, reading->pause));
	reading->ended = read_on(self, reading, stream);
	if (!reading->keeps)
		qs_http_close(stream);
	return 0;
}

START_TEST(all_of_it_comes_and_then_the_end)
{
	struct reading reading = { .path = "/chunks?size=200000&piece=777" };

	world_send_off(&world.root, read_stream, &reading);
	run();
	ck_assert_int_eq(reading.opened, 0);
	ck_assert_int_eq(reading.status, 200);
	ck_assert_int_eq(reading.ended, 0);
	ck_assert_uint_eq(reading.bytes, 200000);
}
END_TEST

START_TEST(a_cut_is_no_end)
{
	struct reading reading = { .path = "/chunks?size=1000&piece=100&cut" };

	world_send_off(&world.root, read_stream, &reading);
	run();
	ck_assert_int_eq(reading.opened, 0);
	ck_assert_int_eq(reading.ended, -ECONNRESET);
	ck_assert_uint_gt(reading.bytes, 0);
}
END_TEST

START_TEST(what_has_no_head_has_no_stream)
{
	struct reading reading = { .path = "/drop" };

	world_send_off(&world.root, read_stream, &reading);
	run();
	ck_assert_int_eq(reading.opened, -ECONNRESET);
}
END_TEST

/* While nobody reads, the server gets rid of what the sockets and 64 KiB hold, and no more. */
START_TEST(a_slow_reader_makes_the_server_wait)
{
	struct reading reading = {
		.path = "/stream?size=1000000&events=100", .pause = 300 * QS_MSEC, .most = 1
	};

	world_send_off(&world.root, read_stream, &reading);
	run();
	ck_assert_int_eq(reading.opened, 0);
	ck_assert_uint_gt(reading.bytes, 0);
	ck_assert_uint_lt(http_server_count(&server, "sent"), 20000000);
}
END_TEST

START_TEST(a_slow_reader_loses_nothing)
{
	struct reading reading = { .path = "/answer?size=9000000", .pause = 200 * QS_MSEC };

	world_send_off(&world.root, read_stream, &reading);
	run();
	ck_assert_int_eq(reading.ended, 0);
	ck_assert_uint_eq(reading.bytes, 9000000);
}
END_TEST

/* For two leaves of a reader: it closes the stream, or just ends. */
START_TEST(a_reader_that_leaves_cuts_the_stream)
{
	struct reading reading = {
		.path = "/stream?events=0&every=1", .most = 100, .keeps = _i == 1
	};

	world_send_off(&world.root, read_stream, &reading);
	run();
	ck_assert_int_eq(reading.opened, 0);
	while (http->has_dropped)
		(void)qs_loop_turn(world.loop, true);
	http_server_await(&server, "in_flight", 0);
	ck_assert_uint_eq(http->active_count, 0);
}
END_TEST

/* It is ended while it reads, by each rung that can. */
START_TEST(a_stream_goes_with_its_fiber)
{
	struct reading reading = { .path = "/stream?events=0&every=1" };
	struct qs_result result;
	qs_task *task = world_spawn(&world.root, read_stream, &reading);

	while (reading.bytes < 100)
		(void)qs_loop_turn(world.loop, true);
	if (_i == 0)
		qs_task_cancel(task, QS_CAUSE_API);
	else
		qs_task_kill(task, QS_CAUSE_API);
	run();
	result = world_result(task);
	ck_assert_int_eq(result.verdict, _i == 0 ? QS_VERDICT_CANCELLED : QS_VERDICT_KILLED);
	ck_assert_int_eq(reading.ended, _i == 0 ? -ECANCELED : 0);
	while (http->has_dropped)
		(void)qs_loop_turn(world.loop, true);
	http_server_await(&server, "in_flight", 0);
}
END_TEST

/* --- a client that is freed first --- */

static qs_http_stream *left;
static unsigned closed;

static void count_closed(void *arg)
{
	++*(unsigned *)arg;
}

static int open_and_wait(qs_task *self, void *arg)
{
	struct qs_http_request request = { .url = url };
	struct qs_http_response response;

	(void)arg;
	ck_assert_int_eq(qs_http_open(self, http, &request, QS_FOREVER, &response, &left), 0);
	qs_http_response_done(&response);
	qs_http_stream_on_close(left, count_closed, &closed);
	return qs_sleep(self, QS_FOREVER);
}

START_TEST(a_stream_outlives_its_client)
{
	qs_task *task;

	snprintf(url, sizeof(url), "%s/stream?events=0&every=1", server.url);
	task = world_spawn(&world.root, open_and_wait, NULL);
	while (!left)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_ptr_nonnull(qs_http_stream_call(left));
	qs_http_free(TAKE(http, NULL));
	ck_assert_ptr_null(qs_http_stream_call(left));
	ck_assert_uint_eq(closed, 0);
	qs_task_cancel(task, QS_CAUSE_API);
	run();
	qs_task_forget(task);
	ck_assert_uint_eq(closed, 1);
}
END_TEST

/* --- callbacks --- */

static struct {
	unsigned heads, datas, dones;
	size_t bytes;
	int result, data_says;
	bool drops;
} told;

static int head_told(qs_http_call *call, const struct qs_http_response *response, void *arg)
{
	struct qs_http_progress progress;

	(void)arg;
	told.heads++;
	ck_assert_int_eq(response->status, 200);
	qs_http_progress(call, &progress);
	ck_assert_int_eq(progress.phase, QS_HTTP_RECEIVING);
	ck_assert_ptr_nonnull(strstr(progress.host, "127.0.0.1:"));
	return 0;
}

static int data_told(qs_http_call *call, const void *data, size_t size, void *arg)
{
	(void)data;
	(void)arg;
	told.datas++;
	if (told.drops) {
		struct qs_http_response response;

		qs_http_drop(call, &response);
		ck_assert_int_eq(response.status, 200);
		return -ECANCELED;
	}
	if (told.data_says == 0)
		told.bytes += size;
	return told.data_says;
}

static void done_told(qs_http_call *call, int result, struct qs_http_response *response, void *arg)
{
	(void)call;
	(void)arg;
	told.dones++;
	told.result = result;
	qs_http_response_done(response);
}

static const struct qs_http_handlers handlers = { head_told, data_told, done_told };

static qs_http_call *start(const char *path)
{
	struct qs_http_request request = { .url = url };
	qs_http_call *call;

	snprintf(url, sizeof(url), "%s%s", server.url, path);
	ck_assert_int_eq(qs_http_start(http, &request, QS_FOREVER, &handlers, NULL, &call), 0);
	return call;
}

START_TEST(callbacks_hear_of_the_head_the_body_and_the_end)
{
	(void)start("/answer?size=100000");
	while (told.dones == 0)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_eq(told.heads, 1);
	ck_assert_uint_eq(told.bytes, 100000);
	ck_assert_int_eq(told.result, 0);
}
END_TEST

START_TEST(paused_it_stands_still_until_it_is_resumed)
{
	qs_http_call *call = start("/answer?size=100000");

	told.data_says = QS_HTTP_PAUSE;
	while (told.datas == 0)
		(void)qs_loop_turn(world.loop, true);
	for (int i = 0; i < 20; i++)
		(void)qs_loop_turn(world.loop, false);
	ck_assert_uint_eq(told.datas, 1);
	told.data_says = 0;
	qs_http_resume(call);
	while (told.dones == 0)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_eq(told.bytes, 100000);
}
END_TEST

START_TEST(what_a_handler_says_ends_it)
{
	told.data_says = -EDOM;
	(void)start("/answer?size=100000");
	while (told.dones == 0)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_eq(told.datas, 1);
	ck_assert_int_eq(told.result, -EDOM);
}
END_TEST

START_TEST(dropped_in_its_own_handler_it_is_not_heard_of_again)
{
	told.drops = true;
	(void)start("/answer?size=100000");
	while (told.datas == 0 || http->has_dropped)
		(void)qs_loop_turn(world.loop, true);
	for (int i = 0; i < 20; i++)
		(void)qs_loop_turn(world.loop, false);
	ck_assert_uint_eq(told.datas, 1);
	ck_assert_uint_eq(told.dones, 0);
}
END_TEST

START_TEST(a_client_that_is_freed_ends_its_calls)
{
	(void)start("/silent");
	if (_i == 1)
		while (http->active_count == 0)
			(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_eq(told.dones, 0);
	qs_http_free(TAKE(http, NULL));
	ck_assert_uint_eq(told.dones, 1);
	ck_assert_int_eq(told.result, -ECANCELED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_stream");
	TCase *streams = tcase_create("streams"), *calls = tcase_create("callbacks");

	tcase_add_checked_fixture(streams, set_up, tear_down);
	tcase_add_test(streams, all_of_it_comes_and_then_the_end);
	tcase_add_test(streams, a_cut_is_no_end);
	tcase_add_test(streams, what_has_no_head_has_no_stream);
	tcase_add_test(streams, a_slow_reader_makes_the_server_wait);
	tcase_add_test(streams, a_slow_reader_loses_nothing);
	tcase_add_loop_test(streams, a_reader_that_leaves_cuts_the_stream, 0, 2);
	tcase_add_loop_test(streams, a_stream_goes_with_its_fiber, 0, 2);
	tcase_add_test(streams, a_stream_outlives_its_client);
	suite_add_tcase(suite, streams);
	tcase_add_checked_fixture(calls, set_up, tear_down);
	tcase_add_test(calls, callbacks_hear_of_the_head_the_body_and_the_end);
	tcase_add_test(calls, paused_it_stands_still_until_it_is_resumed);
	tcase_add_test(calls, what_a_handler_says_ends_it);
	tcase_add_test(calls, dropped_in_its_own_handler_it_is_not_heard_of_again);
	tcase_add_loop_test(calls, a_client_that_is_freed_ends_its_calls, 0, 2);
	suite_add_tcase(suite, calls);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
