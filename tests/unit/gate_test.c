/* Calls through a gate: their turns, attempts, back-offs and ends. */
#include <stdlib.h>

#include "tests/unit/gate_world.h"

/* --- the table --- */

START_TEST(each_pair_of_state_and_event_is_handled_or_refused)
{
	static const struct {
		enum qs_flight_state from;
		enum qs_flight_event event;
		enum qs_flight_state to;
	} steps[] = {
		{ QS_FLIGHT_QUEUED, QS_FLIGHT_ADMIT, QS_FLIGHT_IN_FLIGHT },
		{ QS_FLIGHT_QUEUED, QS_FLIGHT_END, QS_FLIGHT_OVER },
		{ QS_FLIGHT_QUEUED, QS_FLIGHT_DROP, QS_FLIGHT_OVER },
		{ QS_FLIGHT_IN_FLIGHT, QS_FLIGHT_AGAIN, QS_FLIGHT_BACKOFF },
		{ QS_FLIGHT_IN_FLIGHT, QS_FLIGHT_OPENED, QS_FLIGHT_OPEN },
		{ QS_FLIGHT_IN_FLIGHT, QS_FLIGHT_END, QS_FLIGHT_OVER },
		{ QS_FLIGHT_IN_FLIGHT, QS_FLIGHT_DROP, QS_FLIGHT_OVER },
		{ QS_FLIGHT_BACKOFF, QS_FLIGHT_DUE, QS_FLIGHT_QUEUED },
		{ QS_FLIGHT_BACKOFF, QS_FLIGHT_DROP, QS_FLIGHT_OVER },
		{ QS_FLIGHT_OPEN, QS_FLIGHT_END, QS_FLIGHT_OVER },
	};
	unsigned handled = 0;

	for (unsigned state = 0; state < QS_FLIGHT_STATE_COUNT; state++)
		for (unsigned event = 0; event < QS_FLIGHT_EVENT_COUNT; event++)
			handled += qs_flight_next((enum qs_flight_state)state,
			                   (enum qs_flight_event)event) != QS_FLIGHT_NONE;
	ck_assert_uint_eq(handled, ARRAY_SIZE(steps));
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		ck_assert_int_eq(qs_flight_next(steps[i].from, steps[i].event), steps[i].to);
}
END_TEST

/* --- turns --- */

START_TEST(a_call_returns_what_the_server_says_whatever_that_is)
{
	const struct qs_http_header headers[] = { { "X-Thing", "seven" }, { 0 } };

	SAYS(.delay = QS_SEC, .status = 404, .headers = headers, .body = "no", .body_size = 2);
	struct a_call *call = CALL(0);
	ck_assert_int_eq(call->result, 0);
	ck_assert_int_eq(call->answer.response.status, 404);
	ck_assert_str_eq(call->answer.response.body, "no");
	ck_assert_str_eq(qs_http_response_header(&call->answer.response, "x-thing"), "seven");
	ck_assert_uint_eq(call->answer.attempts, 1);
	ck_assert_int_eq(call->answer.source, QS_GATE_SERVER);
	ck_assert_uint_eq(call->over_at, QS_SEC);
	ck_assert_uint_eq(stats_now().calls, 1);
	ck_assert_uint_eq(stats_now().requests, 1);
}
END_TEST

START_TEST(an_answer_may_be_released_twice)
{
	SAYS(.status = 200, .body = "x", .body_size = 1);
	struct a_call *call = CALL(0);
	qs_gate_answer_done(&call->answer);
	ck_assert_str_eq(call->answer.response.body, "");
}
END_TEST

START_TEST(only_so_many_are_in_flight_at_once)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 4 });
	SAYS(.delay = QS_SEC, .status = 200);
	begin_calls(40);
	world_settle();
	ck_assert_uint_eq(stats_now().waiting, 36);
	ck_assert_uint_eq(stats_now().in_flight, 4);
	world_run();
	ck_assert_uint_eq(most_in_flight, 4);
	ck_assert_uint_eq(asked, 40);
	for (unsigned i = 0; i < 40; i++)
		ck_assert_uint_eq(asked_at[i], i / 4 * QS_SEC);
}
END_TEST

START_TEST(a_rate_is_kept)
{
	open_gate(&(struct qs_gate_options){ .rate = 10 });
	SAYS(.delay = QS_MIN, .status = 200);
	begin_calls(40);
	world_run();
	ck_assert_uint_eq(asked, 40);
	for (unsigned i = 0; i < 40; i++)
		ck_assert_uint_eq(asked_at[i], i < 10 ? 0 : (i - 9) * 100 * QS_MSEC);
}
END_TEST

START_TEST(beyond_the_backlog_calls_are_refused_at_once)
{
	unsigned refused = 0;

	open_gate(&(struct qs_gate_options){ .concurrency = 4, .backlog = 10 });
	SAYS(.delay = QS_SEC, .status = 200);
	begin_calls(40);
	world_run();
	for (unsigned i = 0; i < 40; i++) {
		refused += calls[i].result == -EAGAIN;
		ck_assert(calls[i].result == 0 || calls[i].over_at == 0);
	}
	ck_assert_uint_eq(refused, 40 - 14);
	ck_assert_uint_eq(asked, 14);
}
END_TEST

START_TEST(a_request_that_cannot_be_made_says_why)
{
	open_gate(&(struct qs_gate_options){ .retry.attempts = 5 });
	struct a_call *call = CALL(.url = "gopher://api.example/");
	ck_assert_int_eq(call->result, -EPROTONOSUPPORT);
	ck_assert_uint_eq(call->answer.attempts, 0);
	ck_assert_str_eq(call->answer.response.error, "neither http nor https");
	ck_assert_uint_eq(stats_now().requests, 0);
	qs_gate_answer_done(&call->answer);
	qs_task_forget(call->task);
	/* Where it would have gone is told if that can be read at all. */
	call = CALL(.url = "http://api.example/", .method = "NO METHOD");
	ck_assert_int_eq(call->result, -EINVAL);
	ck_assert_str_eq(call->answer.response.host, "api.example");
}
END_TEST

/* --- attempts --- */

START_TEST(what_may_pass_is_tried_again_until_it_has)
{
	open_gate(&(struct qs_gate_options){ .retry.attempts = 5 });
	SAYS(.status = 503);
	SAYS(.error = -ECONNRESET);
	SAYS(.error = -ECONNREFUSED, .unsent = true);
	SAYS(.status = 200, .body = "at last", .body_size = 7);
	struct a_call *call = CALL(0);
	ck_assert_int_eq(call->result, 0);
	ck_assert_str_eq(call->answer.response.body, "at last");
	ck_assert_uint_eq(call->answer.attempts, 4);
	ck_assert_uint_eq(stats_now().retries, 3);
	ck_assert_uint_eq(stats_now().requests, 4);
	ck_assert_uint_lt(asked_at[1], 500 * QS_MSEC);
	ck_assert_uint_lt(asked_at[2], asked_at[1] + QS_SEC);
	ck_assert_uint_lt(asked_at[3], asked_at[2] + 2 * QS_SEC);
}
END_TEST

START_TEST(the_last_attempt_is_the_answer)
{
	open_gate(&(struct qs_gate_options){ .retry.attempts = 3 });
	SAYS(.status = 503);
	SAYS(.status = 502);
	SAYS(.status = 504, .body = "late", .body_size = 4);
	struct a_call *call = CALL(0);
	ck_assert_int_eq(call->result, 0);
	ck_assert_int_eq(call->answer.response.status, 504);
	ck_assert_str_eq(call->answer.response.body, "late");
	ck_assert_uint_eq(call->answer.attempts, 3);
}
END_TEST

START_TEST(what_may_have_been_done_is_not_done_twice)
{
	open_gate(&(struct qs_gate_options){ .retry.attempts = 5 });
	SAYS(.error = -ECONNRESET);
	struct a_call *call = CALL(.method = "POST", .body = "x", .body_size = 1);
	ck_assert_int_eq(call->result, -ECONNRESET);
	ck_assert_uint_eq(asked, 1);
	qs_gate_answer_done(&call->answer);
	qs_task_forget(call->task);

	says_count = asked = 0;
	SAYS(.error = -ECONNRESET, .unsent = true);
	SAYS(.status = 429);
	SAYS(.status = 201);
	call = CALL(.body = "x", .body_size = 1);
	ck_assert_int_eq(call->answer.response.status, 201);
	ck_assert_uint_eq(asked, 3);
}
END_TEST

START_TEST(the_server_says_when)
{
	open_gate(&(struct qs_gate_options){ .retry.attempts = 5 });
	SAYS(.status = 429, .headers = in_five_seconds);
	SAYS(.status = 200);
	struct a_call *call = CALL(0);
	ck_assert_int_eq(call->answer.response.status, 200);
	ck_assert_uint_ge(asked_at[1], 5 * QS_SEC);
	ck_assert_uint_le(asked_at[1], 5 * QS_SEC + 500 * QS_MSEC);
}
END_TEST

START_TEST(the_server_says_when_by_a_date)
{
	const struct qs_http_header headers[] = {
		{ "Retry-After", "Thu, 01 Jan 1970 00:01:00 GMT" }, { 0 }
	};

	open_gate(&(struct qs_gate_options){ .retry.attempts = 5 });
	SAYS(.status = 429, .headers = headers);
	SAYS(.status = 200);
	(void)CALL(0);
	ck_assert_uint_ge(asked_at[1], 59 * QS_SEC);
	ck_assert_uint_le(asked_at[1], 59 * QS_SEC + 500 * QS_MSEC);
}
END_TEST

START_TEST(nobody_waits_in_vain_for_more_time_than_there_is)
{
	open_gate(&(struct qs_gate_options){ .retry.attempts = 5 });
	SAYS(.status = 429, .headers = in_five_seconds, .body = "slow down", .body_size = 9);
	struct a_call *call = begin_call(0, (struct qs_http_request){ 0 });
	call->deadline = world_now() + 4 * QS_SEC;
	world_run();
	ck_assert_int_eq(call->result, 0);
	ck_assert_uint_eq(call->over_at, 0);
	ck_assert_str_eq(call->answer.response.body, "slow down");
}
END_TEST

START_TEST(a_deadline_of_a_group_around_it_counts_likewise)
{
	open_gate(&(struct qs_gate_options){ .retry.attempts = 5 });
	SAYS(.status = 429, .headers = in_five_seconds);
	ck_assert_int_eq(qs_group_set_deadline(&world.root, world_now() + 4 * QS_SEC), 0);
	struct a_call *call = CALL(0);
	ck_assert_int_eq(call->result, 0);
	ck_assert_uint_eq(call->over_at, 0);
}
END_TEST

/* One comes as far as a back-off, one is in flight, and one waits for its turn. */
START_TEST(a_deadline_ends_each_kind_of_wait)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1, .retry.attempts = 9 });
	SAYS(.status = 503);
	SAYS(.delay = QS_FOREVER);
	begin_calls(3);
	for (unsigned i = 0; i < 3; i++)
		calls[i].deadline = world_now() + 600 * QS_MSEC;
	world_run();
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(calls[i].result, -ETIMEDOUT);
		ck_assert_uint_eq(calls[i].over_at, 600 * QS_MSEC);
	}
	ck_assert_int_eq(calls[0].answer.response.status, 503);
	ck_assert_int_eq(calls[1].answer.response.phase, QS_HTTP_WAITING);
	ck_assert_uint_eq(calls[2].answer.attempts, 0);
}
END_TEST

START_TEST(a_permit_is_free_during_a_back_off)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1, .retry.attempts = 2 });
	SAYS(.status = 429, .headers = in_five_seconds);
	SAYS(.delay = QS_SEC, .status = 200);
	begin_calls(2);
	pass(QS_SEC / 2);
	ck_assert_uint_eq(stats_now().backing_off, 1);
	ck_assert_uint_eq(stats_now().in_flight, 1);
	world_run();
	ck_assert_str_eq(asked_for[0], "0");
	ck_assert_str_eq(asked_for[1], "1");
	ck_assert_str_eq(asked_for[2], "0");
}
END_TEST

START_TEST(who_comes_back_from_a_back_off_is_the_next)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1, .retry.attempts = 2 });
	SAYS(.status = 429, .headers = in_five_seconds);
	SAYS(.delay = 10 * QS_SEC, .status = 200);
	begin_calls(4);
	world_run();
	ck_assert_str_eq(asked_for[1], "1");
	ck_assert_str_eq(asked_for[2], "0");
	ck_assert_str_eq(asked_for[3], "2");
}
END_TEST

START_TEST(a_storm_dies_down_by_its_budget)
{
	unsigned attempts = 0;

	open_gate(&(struct qs_gate_options){
	        .retry = { .attempts = 100, .base = QS_MSEC, .cap = QS_MSEC } });
	SAYS(.status = 504);
	begin_calls(500);
	world_run();
	for (unsigned i = 0; i < 500; i++) {
		ck_assert_int_eq(calls[i].answer.response.status, 504);
		attempts += calls[i].answer.attempts;
	}
	ck_assert_uint_eq(attempts, 600);
	ck_assert_uint_eq(stats_now().retries, 100);
	ck_assert_uint_eq(stats_now().retries_refused, 500);
}
END_TEST

static TCase *turns(void)
{
	TCase *cases = tcase_create("turns");

	tcase_add_checked_fixture(cases, open_gate_world, close_gate_world);
	tcase_add_test(cases, each_pair_of_state_and_event_is_handled_or_refused);
	tcase_add_test(cases, a_call_returns_what_the_server_says_whatever_that_is);
	tcase_add_test(cases, an_answer_may_be_released_twice);
	tcase_add_test(cases, only_so_many_are_in_flight_at_once);
	tcase_add_test(cases, a_rate_is_kept);
	tcase_add_test(cases, beyond_the_backlog_calls_are_refused_at_once);
	tcase_add_test(cases, a_request_that_cannot_be_made_says_why);
	return cases;
}

static TCase *attempts(void)
{
	TCase *cases = tcase_create("attempts");

	tcase_add_checked_fixture(cases, open_gate_world, close_gate_world);
	tcase_add_test(cases, what_may_pass_is_tried_again_until_it_has);
	tcase_add_test(cases, the_last_attempt_is_the_answer);
	tcase_add_test(cases, what_may_have_been_done_is_not_done_twice);
	tcase_add_test(cases, the_server_says_when);
	tcase_add_test(cases, the_server_says_when_by_a_date);
	tcase_add_test(cases, nobody_waits_in_vain_for_more_time_than_there_is);
	tcase_add_test(cases, a_deadline_of_a_group_around_it_counts_likewise);
	tcase_add_test(cases, a_deadline_ends_each_kind_of_wait);
	tcase_add_test(cases, a_permit_is_free_during_a_back_off);
	tcase_add_test(cases, who_comes_back_from_a_back_off_is_the_next);
	tcase_add_test(cases, a_storm_dies_down_by_its_budget);
	return cases;
}

int main(void)
{
	Suite *suite = suite_create("gate");

	suite_add_tcase(suite, turns());
	suite_add_tcase(suite, attempts());
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
