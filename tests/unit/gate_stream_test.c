/* Streams through a gate: they are tried again up to their head, and hold a permit to their end. */
#include <stdlib.h>

#include "tests/unit/gate_world.h"

#define BODY_SIZE 100000

static char body[BODY_SIZE];

struct a_stream {
	struct qs_http_request request;
	struct qs_gate_answer answer;
	qs_http_stream *stream;
	uint64_t hold; /* it keeps the stream open for so long, without a read */
	size_t count;  /* bytes read */
	int result;
	bool opened, over;
	qs_task *task;
};

static struct a_stream streams[4];

static int read_all(qs_task *self, struct a_stream *stream)
{
	char buffer[1000];
	ssize_t count;

	while ((count = qs_http_read(self, stream->stream, buffer, sizeof(buffer), QS_FOREVER)) > 0)
		stream->count += (size_t)count;
	return (int)count;
}

static int use_stream(qs_task *self, void *arg)
{
	struct a_stream *stream = arg;

	stream->result = qs_gate_open(
	        self, gate, &stream->request, QS_FOREVER, &stream->answer, &stream->stream);
	stream->opened = stream->result == 0 && stream->stream;
	if (stream->opened) {
		(void)qs_sleep(self, qs_in(self, stream->hold));
		stream->result = read_all(self, stream);
		qs_http_close(stream->stream);
	}
	stream->over = true;
	return stream->result;
}

static struct a_stream *begin_stream(unsigned which)
{
	struct a_stream *stream = &streams[which];

	stream->request.url = "http://api.example/";
	stream->task = world_spawn(&world.root, use_stream, stream);
	return stream;
}

static void open_stream_world(void)
{
	memset(streams, 0, sizeof(streams));
	open_gate_world();
}

static void close_stream_world(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(streams); i++) {
		if (streams[i].task)
			qs_task_forget(streams[i].task);
		if (streams[i].over)
			qs_gate_answer_done(&streams[i].answer);
	}
	close_gate_world();
}

START_TEST(a_stream_brings_the_head_and_then_the_body)
{
	SAYS(.delay = QS_SEC, .status = 200, .headers = in_five_seconds, .body = body,
	        .body_size = BODY_SIZE);
	struct a_stream *stream = begin_stream(0);
	world_run();
	ck_assert_int_eq(stream->result, 0);
	ck_assert_int_eq(stream->answer.response.status, 200);
	ck_assert_str_eq(qs_http_response_header(&stream->answer.response, "Retry-After"), "5");
	ck_assert_uint_eq(stream->answer.attempts, 1);
	ck_assert_uint_eq(stream->count, BODY_SIZE);
}
END_TEST

static bool is_marked(const struct qs_http_response *head, void *arg)
{
	return qs_http_response_header(head, arg) != NULL;
}

START_TEST(an_answer_that_is_no_stream_comes_whole)
{
	static const char *const headers[] = { "Retry-After", "Other" };

	for (unsigned i = 0; i < 2; i++) {
		open_gate(&(struct qs_gate_options){
		        .streams = is_marked, .arg = (void *)headers[i] });
		SAYS(.status = 200, .headers = in_five_seconds, .body = body,
		        .body_size = BODY_SIZE);
		struct a_stream *stream = begin_stream(i);
		world_run();
		ck_assert_int_eq(stream->result, 0);
		ck_assert(stream->opened == (i == 0));
		ck_assert_uint_eq(stream->answer.response.body_size, i == 0 ? 0 : BODY_SIZE);
		ck_assert_uint_eq(stream->count, i == 0 ? BODY_SIZE : 0);
	}
}
END_TEST

START_TEST(an_open_stream_holds_its_permit)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1 });
	SAYS(.status = 200, .body = "x", .body_size = 1);
	begin_stream(0)->hold = QS_MIN;
	(void)begin_call(0, (struct qs_http_request){ 0 });
	pass(QS_SEC);
	ck_assert(streams[0].opened);
	ck_assert_uint_eq(stats_now().in_flight, 1);
	ck_assert_uint_eq(stats_now().waiting, 1);
	world_run();
	ck_assert_uint_eq(calls[0].over_at, QS_MIN);
}
END_TEST

START_TEST(a_head_that_may_pass_is_tried_again)
{
	open_gate(&(struct qs_gate_options){ .retry.attempts = 3 });
	SAYS(.error = -ECONNREFUSED, .unsent = true);
	SAYS(.status = 503, .headers = in_five_seconds, .body = body, .body_size = BODY_SIZE);
	SAYS(.status = 200, .body = "seven", .body_size = 5);
	struct a_stream *stream = begin_stream(0);
	world_run();
	ck_assert_int_eq(stream->result, 0);
	ck_assert_int_eq(stream->answer.response.status, 200);
	ck_assert_uint_eq(stream->answer.attempts, 3);
	ck_assert_uint_eq(stream->count, 5);
	ck_assert_uint_ge(asked_at[2], asked_at[1] + 5 * QS_SEC);
	ck_assert_uint_eq(stats_now().retries, 2);
}
END_TEST

START_TEST(the_last_head_is_opened_whatever_it_is)
{
	open_gate(&(struct qs_gate_options){ .retry.attempts = 2 });
	SAYS(.status = 503, .body = "no", .body_size = 2);
	struct a_stream *stream = begin_stream(0);
	world_run();
	ck_assert_int_eq(stream->answer.response.status, 503);
	ck_assert_uint_eq(stream->answer.attempts, 2);
	ck_assert_uint_eq(stream->count, 2);
}
END_TEST

START_TEST(an_error_is_an_error)
{
	SAYS(.error = -EKEYREJECTED);
	struct a_stream *stream = begin_stream(0);
	world_run();
	ck_assert_int_eq(stream->result, -EKEYREJECTED);
	ck_assert(!stream->opened);
}
END_TEST

START_TEST(a_stream_is_neither_shared_nor_kept)
{
	open_gate(&(struct qs_gate_options){ .cache_size = 1 << 20 });
	SAYS(.status = 200, .body = "x", .body_size = 1);
	(void)begin_stream(0);
	(void)begin_stream(1);
	world_run();
	(void)begin_stream(2);
	world_run();
	ck_assert_uint_eq(asked, 3);
	ck_assert_uint_eq(stats_now().cached_entries, 0);
	/* Also when the answer to the same call is there. */
	(void)CALL(0);
	(void)begin_stream(3);
	world_run();
	ck_assert_uint_eq(asked, 5);
}
END_TEST

START_TEST(on_ask_a_stream_in_flight_goes_on_and_no_other_begins)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1 });
	SAYS(.delay = QS_SEC, .status = 200, .body = body, .body_size = BODY_SIZE);
	(void)begin_stream(0);
	(void)begin_stream(1);
	world_settle();
	qs_group_ask(&world.root, UINT32_MAX, QS_CAUSE_SHUTDOWN, QS_FOREVER);
	world_run();
	ck_assert_uint_eq(streams[0].count, BODY_SIZE);
	ck_assert_int_eq(streams[1].result, -ESHUTDOWN);
	ck_assert_uint_eq(asked, 1);
}
END_TEST

START_TEST(cancelled_or_killed_it_gives_its_permit_back)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 2 });
	SAYS(.status = 200, .body = body, .body_size = BODY_SIZE);
	SAYS(.delay = QS_FOREVER);
	begin_stream(0)->hold = QS_HOUR;
	(void)begin_stream(1);
	pass(QS_SEC);
	ck_assert_uint_eq(stats_now().in_flight, 2);
	if (_i == 0)
		qs_group_cancel(&world.root, QS_CAUSE_SHUTDOWN);
	else
		qs_group_kill(&world.root, QS_CAUSE_SHUTDOWN);
	world_settle();
	ck_assert_uint_eq(world.root.live, 0);
	ck_assert_uint_eq(stats_now().in_flight, 0);
	/* The head of the one that was killed is the reader's, who is no more. */
	if (_i == 1)
		qs_gate_answer_done(&streams[0].answer);
}
END_TEST

static int kill_when_opened(qs_task *self, void *arg)
{
	struct a_stream *stream = arg;

	(void)qs_sleep(self, qs_in(self, QS_SEC));
	ck_assert_int_eq(stream->answer.response.status, 200);
	ck_assert(!stream->opened);
	qs_task_kill(stream->task, QS_CAUSE_API);
	return 0;
}

START_TEST(killed_before_it_hears_of_its_stream_it_closes_that)
{
	SAYS(.delay = QS_SEC, .status = 200, .headers = in_five_seconds, .body = body,
	        .body_size = BODY_SIZE);
	world_send_off(&world.root, kill_when_opened, &streams[0]);
	(void)begin_stream(0);
	world_run();
	ck_assert_uint_eq(stats_now().in_flight, 0);
}
END_TEST

START_TEST(a_stream_may_outlive_its_gate)
{
	SAYS(.status = 200, .body = body, .body_size = BODY_SIZE);
	begin_stream(0)->hold = QS_MIN;
	pass(QS_SEC);
	open_gate(&(struct qs_gate_options){ 0 });
	world_run();
	ck_assert_uint_eq(streams[0].count, BODY_SIZE);
}
END_TEST

START_TEST(whoever_reads_a_stream_can_be_described)
{
	char buffer[128];

	SAYS(.status = 200, .body = body, .body_size = BODY_SIZE);
	begin_stream(0)->hold = QS_MIN;
	pass(3 * QS_SEC);
	(void)qs_gate_describe(gate, streams[0].task, buffer, sizeof(buffer));
	ck_assert_str_eq(buffer, "api.example: receiving, 3 s, 65,536 bytes");
	world_run();
}
END_TEST

START_TEST(without_memory_it_fails_and_leaves_nothing)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1, .retry.attempts = 2 });
	SAYS(.status = 503);
	SAYS(.status = 200, .headers = in_five_seconds, .body = body, .body_size = BODY_SIZE);
	(void)begin_stream(0);
	seam.fail_at = seam.chances + (uint64_t)_i + 1;
	world_run();
	seam.fail_at = 0;
	ck_assert(streams[0].result == -ENOMEM ||
	          (streams[0].result == 0 && streams[0].count == BODY_SIZE));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gate_stream");
	TCase *cases = tcase_create("streams");

	tcase_add_checked_fixture(cases, open_stream_world, close_stream_world);
	tcase_add_test(cases, a_stream_brings_the_head_and_then_the_body);
	tcase_add_test(cases, an_answer_that_is_no_stream_comes_whole);
	tcase_add_test(cases, an_open_stream_holds_its_permit);
	tcase_add_test(cases, a_head_that_may_pass_is_tried_again);
	tcase_add_test(cases, the_last_head_is_opened_whatever_it_is);
	tcase_add_test(cases, an_error_is_an_error);
	tcase_add_test(cases, a_stream_is_neither_shared_nor_kept);
	tcase_add_test(cases, on_ask_a_stream_in_flight_goes_on_and_no_other_begins);
	tcase_add_loop_test(cases, cancelled_or_killed_it_gives_its_permit_back, 0, 2);
	tcase_add_test(cases, killed_before_it_hears_of_its_stream_it_closes_that);
	tcase_add_test(cases, a_stream_may_outlive_its_gate);
	tcase_add_test(cases, whoever_reads_a_stream_can_be_described);
	tcase_add_loop_test(cases, without_memory_it_fails_and_leaves_nothing, 0, 40);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
