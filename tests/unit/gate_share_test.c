/* Calls that are the same: one request for all who wait, and answers that are kept. */
#include <stdlib.h>

#include "lib/http.h"
#include "tests/unit/gate_world.h"

static const struct qs_gate_options with_cache = { .cache_size = 1 << 20 };

static void open_cache_world(void)
{
	open_gate_world();
	open_gate(&with_cache);
}

/* One after the other in the places 0 and 1; the second is from ... */
static enum qs_gate_source second_source(struct qs_http_request one, struct qs_http_request two)
{
	struct a_call *second;

	(void)begin_call(0, one);
	world_run();
	second = begin_call(1, two);
	world_run();
	ck_assert_int_eq(calls[0].result, 0);
	ck_assert_int_eq(second->result, 0);
	return second->answer.source;
}

#define REQUEST(...) ((struct qs_http_request){ __VA_ARGS__ })

/* --- the cache --- */

START_TEST(the_same_call_is_answered_from_the_cache)
{
	SAYS(.delay = QS_SEC, .status = 200, .headers = in_five_seconds, .body = "seven",
	        .body_size = 5);
	ck_assert_int_eq(second_source(REQUEST(0), REQUEST(0)), QS_GATE_CACHE);
	const struct qs_gate_answer *answer = &calls[1].answer;
	ck_assert_uint_eq(asked, 1);
	ck_assert_uint_eq(calls[1].over_at, QS_SEC);
	ck_assert_str_eq(answer->response.body, "seven");
	ck_assert_str_eq(qs_http_response_header(&answer->response, "retry-after"), "5");
	ck_assert_uint_eq(answer->attempts, 0);
	ck_assert_uint_eq(answer->response.received, 0);
	ck_assert_uint_eq(stats_now().hits, 1);
	ck_assert_uint_eq(stats_now().cached_entries, 1);
	/* Both are the same bytes. */
	ck_assert_ptr_eq(answer->response.body, calls[0].answer.response.body);
}
END_TEST

START_TEST(a_different_call_is_not)
{
	static const struct qs_http_header one[] = { { "Accept", "a" }, { 0 } };
	static const struct qs_http_header two[] = { { "Accept", "b" }, { 0 } };
	static const struct qs_http_header both[] = { { "Accept", "a" }, { "Accept", "b" }, { 0 } };
	static const struct qs_http_header joint[] = { { "Accep", "ta" }, { 0 } };
	const struct qs_http_request requests[] = {
		REQUEST(0),
		REQUEST(.url = "http://api.example/x"),
		REQUEST(.method = "HEAD"),
		REQUEST(.method = "POST"),
		REQUEST(.body = "x", .body_size = 1),
		REQUEST(.body = "y", .body_size = 1),
		REQUEST(.body = "xy", .body_size = 2),
		REQUEST(.headers = one),
		REQUEST(.headers = two),
		REQUEST(.headers = both),
		REQUEST(.headers = joint),
	};

	SAYS(.status = 200);
	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		struct a_call *call = begin_call(i, requests[i]);

		world_run();
		ck_assert_int_eq(call->result, 0);
		ck_assert_msg(call->answer.source == QS_GATE_SERVER, "request %u", i);
	}
}
END_TEST

START_TEST(a_method_that_is_said_is_the_one_that_is_meant)
{
	SAYS(.status = 200);
	ck_assert_int_eq(second_source(REQUEST(.body = "x", .body_size = 1),
	                         REQUEST(.method = "POST", .body = "x", .body_size = 1)),
	        QS_GATE_CACHE);
}
END_TEST

START_TEST(names_of_headers_are_the_same_in_small_letters)
{
	static const struct qs_http_header one[] = { { "Accept", "a" }, { 0 } };
	static const struct qs_http_header two[] = { { "aCCEPT", "a" }, { 0 } };

	SAYS(.status = 200);
	ck_assert_int_eq(
	        second_source(REQUEST(.headers = one), REQUEST(.headers = two)), QS_GATE_CACHE);
}
END_TEST

static int call_without(qs_task *self, void *arg)
{
	static const struct qs_http_header headers[] = { { "Accept", NULL }, { 0 } };
	struct qs_http_request request = { .url = arg, .headers = headers };
	struct qs_gate_answer answer;
	int r = qs_gate_call(self, gate, &request, QS_FOREVER, &answer);

	qs_gate_answer_done(&answer);
	return r == -EINVAL ? 0 : -EIO;
}

START_TEST(a_request_that_lacks_something_is_refused_all_the_same)
{
	qs_task *no_url = world_spawn(&world.root, call_without, NULL);
	qs_task *no_value = world_spawn(&world.root, call_without, (char[]){ "http://a.example/" });

	world_run();
	ck_assert_int_eq(world_result(no_url).outcome.value, 0);
	ck_assert_int_eq(world_result(no_value).outcome.value, 0);
}
END_TEST

static const struct qs_http_header alice[] = { { "Authorization", "alice" }, { "Accept", "a" },
	{ 0 } };
static const struct qs_http_header bob[] = { { "Authorization", "bob" }, { "Accept", "a" }, { 0 } };

START_TEST(without_a_list_nobody_gets_what_was_meant_for_another)
{
	SAYS(.status = 200);
	ck_assert_int_eq(
	        second_source(REQUEST(.headers = alice), REQUEST(.headers = bob)), QS_GATE_SERVER);
}
END_TEST

START_TEST(only_headers_of_the_list_tell_calls_apart)
{
	open_gate(&(struct qs_gate_options){
	        .cache_size = 1 << 20, .cache_headers = (const char *const[]){ "accept", NULL } });
	SAYS(.status = 200);
	ck_assert_int_eq(
	        second_source(REQUEST(.headers = alice), REQUEST(.headers = bob)), QS_GATE_CACHE);
}
END_TEST

START_TEST(an_answer_is_kept_for_so_long)
{
	open_gate(&(struct qs_gate_options){ .cache_size = 1 << 20, .cache_ttl = QS_HOUR });
	SAYS(.status = 200);
	(void)CALL(0);
	pass(QS_HOUR - 1);
	struct a_call *call = begin_call(1, REQUEST(0));
	world_run();
	ck_assert_int_eq(call->answer.source, QS_GATE_CACHE);
	pass(1);
	call = begin_call(2, REQUEST(0));
	world_run();
	ck_assert_int_eq(call->answer.source, QS_GATE_SERVER);
	ck_assert_uint_eq(stats_now().cached_entries, 1);
}
END_TEST

START_TEST(only_a_good_answer_is_kept)
{
	static const struct {
		int status;
		bool kept;
	} statuses[] = { { 200, true }, { 201, true }, { 202, false }, { 204, true },
		{ 206, false }, { 301, false }, { 404, false }, { 500, false } };

	SAYS(.status = statuses[_i].status);
	ck_assert_int_eq(second_source(REQUEST(0), REQUEST(0)),
	        statuses[_i].kept ? QS_GATE_CACHE : QS_GATE_SERVER);
}
END_TEST

START_TEST(what_changes_something_is_always_sent)
{
	static const char *const methods[] = { "PUT", "PATCH", "DELETE", "BREW" };

	SAYS(.status = 200);
	ck_assert_int_eq(
	        second_source(REQUEST(.method = methods[_i]), REQUEST(.method = methods[_i])),
	        QS_GATE_SERVER);
}
END_TEST

START_TEST(a_hit_asks_for_no_memory)
{
	SAYS(.status = 200, .body = "seven", .body_size = 5);
	(void)CALL(0);
	struct a_call *call = begin_call(1, REQUEST(0));
	uint64_t before = seam.chances;
	world_run();
	ck_assert_int_eq(call->answer.source, QS_GATE_CACHE);
	ck_assert_uint_eq(seam.chances, before);
}
END_TEST

static int call_when_told(qs_task *self, void *arg)
{
	(void)qs_sleep(self, QS_FOREVER);
	return make_call(self, arg);
}

static struct a_call *call_once_told(unsigned which)
{
	struct a_call *call = &calls[which];

	*call = (struct a_call){ .request.url = "http://api.example/", .deadline = QS_FOREVER };
	call->task = world_spawn(&world.root, call_when_told, call);
	world_settle();
	return call;
}

START_TEST(a_hit_is_there_after_an_ask_too)
{
	SAYS(.status = 200);
	(void)CALL(0);
	qs_task_ask(call_once_told(1)->task, QS_CAUSE_API, QS_FOREVER);
	world_run();
	ck_assert_int_eq(calls[1].result, 0);
	ck_assert_int_eq(calls[1].answer.source, QS_GATE_CACHE);

	qs_task_cancel(call_once_told(2)->task, QS_CAUSE_API);
	world_run();
	ck_assert_int_eq(calls[2].result, -ECANCELED);
}
END_TEST

START_TEST(an_answer_outlives_its_cache)
{
	SAYS(.status = 200, .body = "seven", .body_size = 5);
	ck_assert_int_eq(second_source(REQUEST(0), REQUEST(0)), QS_GATE_CACHE);
	open_gate(&with_cache);
	ck_assert_str_eq(calls[1].answer.response.body, "seven");
}
END_TEST

START_TEST(the_cache_keeps_to_its_size)
{
	static char body[10000];

	open_gate(&(struct qs_gate_options){ .cache_size = 105000, .cache_ttl = QS_HOUR });
	memset(body, 'x', sizeof(body));
	SAYS(.status = 200, .body = body, .body_size = sizeof(body));
	begin_calls(20);
	world_run();
	ck_assert_uint_le(stats_now().cached_bytes, 105000);
	ck_assert_uint_gt(stats_now().cached_bytes, 9 * sizeof(body));
	ck_assert_uint_eq(stats_now().cached_entries, 9);
}
END_TEST

/* --- shared requests --- */

START_TEST(the_same_calls_share_one_request)
{
	SAYS(.delay = QS_SEC, .status = 200, .body = "seven", .body_size = 5);
	for (unsigned i = 0; i < 100; i++)
		(void)begin_call(i, REQUEST(.body = "x", .body_size = 1));
	world_run();
	ck_assert_uint_eq(asked, 1);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_int_eq(calls[i].result, 0);
		ck_assert_str_eq(calls[i].answer.response.body, "seven");
		ck_assert_int_eq(calls[i].answer.source, i == 0 ? QS_GATE_SERVER : QS_GATE_SHARED);
		ck_assert_uint_eq(calls[i].answer.attempts, 1);
	}
	ck_assert_uint_eq(stats_now().shared, 99);
	ck_assert_uint_eq(stats_now().calls, 100);
}
END_TEST

START_TEST(without_a_cache_nothing_is_shared)
{
	open_gate(&(struct qs_gate_options){ 0 });
	SAYS(.delay = QS_SEC, .status = 200);
	(void)begin_call(0, REQUEST(0));
	(void)begin_call(1, REQUEST(0));
	world_run();
	ck_assert_uint_eq(asked, 2);
}
END_TEST

START_TEST(a_failure_is_shared_as_well)
{
	SAYS(.delay = QS_SEC, .error = -EKEYREJECTED);
	(void)begin_call(0, REQUEST(0));
	(void)begin_call(1, REQUEST(0));
	world_run();
	ck_assert_uint_eq(asked, 1);
	ck_assert_int_eq(calls[0].result, -EKEYREJECTED);
	ck_assert_int_eq(calls[1].result, -EKEYREJECTED);
	ck_assert_uint_eq(stats_now().cached_entries, 0);
}
END_TEST

/* The request was on the stack of the first, which is written over by now. */
START_TEST(the_first_may_leave_before_the_others)
{
	open_gate(&(struct qs_gate_options){ .cache_size = 1 << 20,
	        .concurrency = 1,
	        .retry = { .attempts = 3, .unsafe = true } });
	SAYS(.delay = 10 * QS_SEC, .error = -ECONNRESET);
	SAYS(.status = 200, .body = "seven", .body_size = 5);
	static const struct qs_http_header headers[] = { { "Accept", "a" }, { 0 } };
	struct a_call *first = begin_call(0, REQUEST(.url = "http://api.example/who", .body = "x",
	                                             .body_size = 1, .headers = headers));
	(void)begin_call(1, first->request);
	first->deadline = world_now() + QS_SEC;
	pass(2 * QS_SEC);
	ck_assert_int_eq(first->result, -ETIMEDOUT);
	ck_assert_int_eq(first->answer.response.phase, QS_HTTP_WAITING);
	ck_assert_str_eq(first->answer.response.host, "api.example");
	ck_assert_uint_eq(first->answer.response.times.total, QS_SEC);
	ck_assert_uint_eq(stats_now().in_flight, 1);
	world_run();
	ck_assert_int_eq(calls[1].result, 0);
	ck_assert_str_eq(calls[1].answer.response.body, "seven");
	ck_assert_str_eq(asked_for[1], "who");
}
END_TEST

START_TEST(the_last_to_leave_drops_the_request)
{
	SAYS(.delay = QS_FOREVER);
	for (unsigned i = 0; i < 3; i++)
		begin_call(i, REQUEST(0))->deadline = world_now() + (i + 1) * QS_SEC;
	pass(2 * QS_SEC);
	ck_assert_uint_eq(stats_now().in_flight, 1);
	pass(QS_SEC);
	ck_assert_uint_eq(stats_now().in_flight, 0);
	ck_assert_uint_eq(http->active_count, 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(calls[i].result, -ETIMEDOUT);
	/* What comes next begins anew. */
	says_count = 0;
	SAYS(.status = 200);
	struct a_call *call = begin_call(3, REQUEST(0));
	world_run();
	ck_assert_int_eq(call->answer.source, QS_GATE_SERVER);
}
END_TEST

START_TEST(one_who_is_asked_leaves_a_shared_back_off_to_the_others)
{
	open_gate(&(struct qs_gate_options){ .cache_size = 1 << 20, .retry.attempts = 3 });
	SAYS(.status = 429, .headers = in_five_seconds);
	SAYS(.status = 200);
	(void)begin_call(0, REQUEST(0));
	(void)begin_call(1, REQUEST(0));
	pass(QS_SEC);
	qs_task_ask(calls[0].task, QS_CAUSE_API, QS_FOREVER);
	world_settle();
	ck_assert_int_eq(calls[0].result, -ESHUTDOWN);
	world_run();
	ck_assert_int_eq(calls[1].answer.response.status, 200);
	ck_assert_uint_eq(calls[1].answer.attempts, 2);
}
END_TEST

START_TEST(asked_all_of_them_leave_when_their_request_fails)
{
	open_gate(&(struct qs_gate_options){ .cache_size = 1 << 20, .retry.attempts = 3 });
	SAYS(.delay = QS_SEC, .status = 504);
	for (unsigned i = 0; i < 10; i++)
		(void)begin_call(i, REQUEST(0));
	world_settle();
	qs_group_ask(&world.root, UINT32_MAX, QS_CAUSE_SHUTDOWN, QS_FOREVER);
	world_run();
	for (unsigned i = 0; i < 10; i++) {
		ck_assert_int_eq(calls[i].result, -ESHUTDOWN);
		ck_assert_int_eq(calls[i].answer.response.status, 504);
		ck_assert_uint_eq(calls[i].over_at, QS_SEC);
	}
	ck_assert_uint_eq(asked, 1);
}
END_TEST

START_TEST(the_latest_deadline_of_all_who_wait_decides)
{
	open_gate(&(struct qs_gate_options){ .cache_size = 1 << 20, .retry.attempts = 3 });
	SAYS(.status = 429, .headers = in_five_seconds);
	SAYS(.status = 200);
	(void)begin_call(0, REQUEST(0));
	begin_call(1, REQUEST(0))->deadline = world_now() + QS_SEC;
	world_run();
	ck_assert_int_eq(calls[0].answer.response.status, 200);
	ck_assert_int_eq(calls[1].result, -ETIMEDOUT);
	ck_assert_int_eq(calls[1].answer.response.status, 429);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gate_share");
	TCase *cache = tcase_create("cache"), *shared = tcase_create("shared");

	tcase_add_checked_fixture(cache, open_cache_world, close_gate_world);
	tcase_add_test(cache, the_same_call_is_answered_from_the_cache);
	tcase_add_test(cache, a_different_call_is_not);
	tcase_add_test(cache, a_method_that_is_said_is_the_one_that_is_meant);
	tcase_add_test(cache, names_of_headers_are_the_same_in_small_letters);
	tcase_add_test(cache, a_request_that_lacks_something_is_refused_all_the_same);
	tcase_add_test(cache, without_a_list_nobody_gets_what_was_meant_for_another);
	tcase_add_test(cache, only_headers_of_the_list_tell_calls_apart);
	tcase_add_test(cache, an_answer_is_kept_for_so_long);
	tcase_add_loop_test(cache, only_a_good_answer_is_kept, 0, 8);
	tcase_add_loop_test(cache, what_changes_something_is_always_sent, 0, 4);
	tcase_add_test(cache, a_hit_asks_for_no_memory);
	tcase_add_test(cache, a_hit_is_there_after_an_ask_too);
	tcase_add_test(cache, an_answer_outlives_its_cache);
	tcase_add_test(cache, the_cache_keeps_to_its_size);
	tcase_add_checked_fixture(shared, open_cache_world, close_gate_world);
	tcase_add_test(shared, the_same_calls_share_one_request);
	tcase_add_test(shared, without_a_cache_nothing_is_shared);
	tcase_add_test(shared, a_failure_is_shared_as_well);
	tcase_add_test(shared, the_first_may_leave_before_the_others);
	tcase_add_test(shared, the_last_to_leave_drops_the_request);
	tcase_add_test(shared, one_who_is_asked_leaves_a_shared_back_off_to_the_others);
	tcase_add_test(shared, asked_all_of_them_leave_when_their_request_fails);
	tcase_add_test(shared, the_latest_deadline_of_all_who_wait_decides);
	suite_add_tcase(suite, cache);
	suite_add_tcase(suite, shared);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
