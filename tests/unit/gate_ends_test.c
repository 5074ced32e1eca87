/* How calls through a gate end when they are asked, cancelled or killed, and when memory fails. */
#include <stdlib.h>

#include "tests/unit/gate_world.h"

/* --- ask, cancel and kill --- */

static void ask_all(void)
{
	qs_group_ask(&world.root, UINT32_MAX, QS_CAUSE_SHUTDOWN, QS_FOREVER);
	world_settle();
}

static void cancel_all(void)
{
	qs_group_cancel(&world.root, QS_CAUSE_SHUTDOWN);
	world_settle();
}

START_TEST(a_thousand_in_back_off_leave_at_once_when_asked)
{
	open_gate(&(struct qs_gate_options){
	        .retry = { .attempts = 9, .budget = QS_GATE_BUDGET_OFF } });
	SAYS(.status = 429, .headers = in_five_seconds, .body = "no", .body_size = 2);
	begin_calls(1000);
	pass(QS_SEC);
	ck_assert_uint_eq(stats_now().backing_off, 1000);
	ask_all();
	ck_assert_uint_eq(world.root.live, 0);
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_int_eq(calls[i].result, -ESHUTDOWN);
		ck_assert_uint_eq(calls[i].over_at, QS_SEC);
		ck_assert_int_eq(calls[i].answer.response.status, 429);
		ck_assert_uint_eq(calls[i].answer.attempts, 1);
	}
	ck_assert_uint_eq(asked, 1000);
}
END_TEST

START_TEST(asked_who_waits_for_his_turn_leaves_and_who_is_in_flight_goes_on)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1 });
	SAYS(.delay = QS_SEC, .status = 200);
	begin_calls(3);
	world_settle();
	ask_all();
	ck_assert_int_eq(calls[1].result, -ESHUTDOWN);
	ck_assert_int_eq(calls[2].result, -ESHUTDOWN);
	ck_assert_uint_eq(calls[2].answer.attempts, 0);
	ck_assert(!calls[0].over);
	world_run();
	ck_assert_int_eq(calls[0].result, 0);
	ck_assert_int_eq(calls[0].answer.response.status, 200);
	ck_assert_uint_eq(asked, 1);
}
END_TEST

START_TEST(after_an_ask_no_other_attempt_is_begun)
{
	open_gate(&(struct qs_gate_options){ .retry.attempts = 9 });
	SAYS(.delay = QS_SEC, .status = 504);
	struct a_call *call = begin_call(0, (struct qs_http_request){ 0 });
	world_settle();
	ask_all();
	world_run();
	ck_assert_int_eq(call->result, -ESHUTDOWN);
	ck_assert_uint_eq(call->over_at, QS_SEC);
	ck_assert_int_eq(call->answer.response.status, 504);
	ck_assert_uint_eq(call->answer.attempts, 1);
	ck_assert_uint_eq(asked, 1);
}
END_TEST

START_TEST(after_an_ask_no_call_begins)
{
	SAYS(.status = 200);
	struct a_call *call = begin_call(0, (struct qs_http_request){ 0 });
	ask_all();
	world_run();
	ck_assert_int_eq(call->result, -ESHUTDOWN);
	ck_assert_uint_eq(asked, 0);
}
END_TEST

START_TEST(cancelled_each_is_gone_at_once)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1, .retry.attempts = 9 });
	SAYS(.status = 429, .headers = in_five_seconds);
	SAYS(.delay = QS_FOREVER);
	begin_calls(3);
	pass(QS_SEC);
	ck_assert_uint_eq(stats_now().backing_off, 1);
	ck_assert_uint_eq(stats_now().in_flight, 1);
	ck_assert_uint_eq(stats_now().waiting, 1);
	cancel_all();
	ck_assert_uint_eq(world.root.live, 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(calls[i].result, -ECANCELED);
	ck_assert_int_eq(calls[0].answer.response.status, 429);
	ck_assert_int_eq(calls[1].answer.response.phase, QS_HTTP_WAITING);
	ck_assert_str_eq(calls[1].answer.response.host, "api.example");
	ck_assert_uint_eq(calls[2].answer.attempts, 0);
}
END_TEST

START_TEST(killed_each_is_gone_and_nothing_of_it_is_left)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1, .retry.attempts = 9 });
	SAYS(.status = 429, .headers = in_five_seconds, .body = "no", .body_size = 2);
	SAYS(.delay = QS_FOREVER);
	begin_calls(3);
	pass(QS_SEC);
	qs_group_kill(&world.root, QS_CAUSE_SHUTDOWN);
	world_settle();
	ck_assert_uint_eq(world.root.live, 0);
}
END_TEST

/* Both are woken in one turn, and it is the first. */
static int kill_when_told(qs_task *self, void *arg)
{
	struct a_call *call = arg;

	(void)qs_sleep(self, qs_in(self, QS_SEC));
	ck_assert_uint_eq(call->answer.attempts, 1);
	ck_assert(!call->over);
	qs_task_kill(call->task, QS_CAUSE_API);
	return 0;
}

START_TEST(killed_before_it_hears_of_its_answer_it_gives_that_back)
{
	struct a_call *call = &calls[0];

	open_gate(&(struct qs_gate_options){ .cache_size = _i < 2 ? 0 : 1 << 20 });
	SAYS(.delay = QS_SEC, .error = _i % 2 == 0 ? 0 : -EMSGSIZE, .status = 200,
	        .headers = in_five_seconds, .body = "x", .body_size = 1);
	world_send_off(&world.root, kill_when_told, call);
	(void)begin_call(0, (struct qs_http_request){ 0 });
	world_run();
	ck_assert(!call->over);
}
END_TEST

/* --- what it tells --- */

static const char *described(unsigned which)
{
	static char buffer[128];

	return qs_gate_describe(gate, calls[which].task, buffer, sizeof(buffer));
}

START_TEST(each_stage_of_a_call_can_be_described)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1, .retry.attempts = 9 });
	SAYS(.status = 429, .headers = in_five_seconds);
	SAYS(.delay = QS_FOREVER);
	begin_calls(3);
	ck_assert_str_eq(described(0), "");
	pass(4 * QS_SEC);
	char expected[64];
	ck_assert_ptr_nonnull(strstr(described(0), "back-off, 1."));
	(void)snprintf(expected, sizeof(expected), "api.example: waiting, %u s, 0 bytes", 4U);
	ck_assert_str_eq(described(1), expected);
	ck_assert_str_eq(described(2), "waiting for its turn");
	qs_gate *other;
	char buffer[64];
	ck_assert_int_eq(qs_gate_new(&world.root, http, &(struct qs_gate_options){ 0 }, &other), 0);
	ck_assert_str_eq(qs_gate_describe(other, calls[1].task, buffer, sizeof(buffer)), "");
	qs_gate_free(other);
	cancel_all();
}
END_TEST

START_TEST(each_stage_of_a_call_can_be_looked_at)
{
	struct qs_gate_progress progress;

	open_gate(&(struct qs_gate_options){ .concurrency = 1, .retry.attempts = 9 });
	SAYS(.status = 429, .headers = in_five_seconds);
	SAYS(.delay = QS_FOREVER);
	begin_calls(3);
	ck_assert(!qs_gate_progress(gate, calls[0].task, &progress));
	pass(QS_SEC);
	ck_assert(qs_gate_progress(gate, calls[0].task, &progress));
	ck_assert(progress.backing_off && !progress.waiting && !progress.http.host);
	ck_assert_uint_eq(progress.attempts, 1);
	ck_assert(qs_gate_progress(gate, calls[1].task, &progress));
	ck_assert(!progress.backing_off && !progress.waiting);
	ck_assert_str_eq(progress.http.host, "api.example");
	ck_assert_int_eq(progress.http.phase, QS_HTTP_WAITING);
	ck_assert(qs_gate_progress(gate, calls[2].task, &progress));
	ck_assert(progress.waiting && !progress.backing_off && progress.attempts == 0);
	cancel_all();
	ck_assert(!qs_gate_progress(gate, calls[0].task, &progress));
}
END_TEST

START_TEST(what_the_ledger_says_it_waits_for_is_the_stage)
{
	open_gate(&(struct qs_gate_options){ .concurrency = 1, .retry.attempts = 9 });
	SAYS(.status = 429, .headers = in_five_seconds);
	SAYS(.delay = QS_FOREVER);
	begin_calls(3);
	pass(QS_SEC);
	ck_assert_str_eq(atomic_load(&calls[0].task->record->waiting_on), "back-off");
	ck_assert_str_eq(atomic_load(&calls[1].task->record->waiting_on), "HTTP answer");
	ck_assert_str_eq(atomic_load(&calls[2].task->record->waiting_on), "its turn");
	cancel_all();
}
END_TEST

/* --- failures of the system --- */

static const struct qs_gate_options with_everything = {
	.concurrency = 2,
	.rate = 100,
	.retry = { .attempts = 3, .statuses = (const int[]){ 503, 0 } },
	.cache_size = 1 << 20,
	.cache_headers = (const char *const[]){ "Accept", "X-Other", NULL },
};

START_TEST(a_gate_that_cannot_be_made_leaves_nothing)
{
	qs_gate *other;
	int r = -ENOMEM;

	for (uint64_t n = 1; r < 0; n++) {
		int64_t live = seam.live;

		seam.fail_at = seam.chances + n;
		r = qs_gate_new(&world.root, http, &with_everything, &other);
		seam.fail_at = 0;
		ck_assert_int_eq(r, r < 0 ? -ENOMEM : 0);
		ck_assert(r == 0 || seam.live == live);
		ck_assert_uint_lt(n, 20);
	}
	qs_gate_free(other);
	ck_assert_int_eq(qs_gate_new(&world.root, NULL, &with_everything, &other), -EINVAL);
}
END_TEST

/* Three calls of which two are the same, and any one allocation fails. */
START_TEST(without_memory_a_call_fails_or_does_without)
{
	open_gate(&with_everything);
	SAYS(.status = 503);
	SAYS(.delay = QS_SEC, .status = 200, .body = "x", .body_size = 1);
	for (unsigned i = 0; i < 3; i++)
		(void)begin_call(i,
		        (struct qs_http_request){
		                .url = i < 2 ? "http://api.example/a" : "http://api.example/b" });
	seam.fail_at = seam.chances + (uint64_t)_i + 1;
	world_run();
	seam.fail_at = 0;
	for (unsigned i = 0; i < 3; i++)
		ck_assert(calls[i].result == -ENOMEM ||
		          (calls[i].result == 0 && calls[i].answer.response.status == 200));
}
END_TEST

static TCase *ends(void)
{
	TCase *cases = tcase_create("ends");

	tcase_add_checked_fixture(cases, open_gate_world, close_gate_world);
	tcase_add_test(cases, a_thousand_in_back_off_leave_at_once_when_asked);
	tcase_add_test(cases, asked_who_waits_for_his_turn_leaves_and_who_is_in_flight_goes_on);
	tcase_add_test(cases, after_an_ask_no_other_attempt_is_begun);
	tcase_add_test(cases, after_an_ask_no_call_begins);
	tcase_add_test(cases, cancelled_each_is_gone_at_once);
	tcase_add_test(cases, killed_each_is_gone_and_nothing_of_it_is_left);
	tcase_add_loop_test(cases, killed_before_it_hears_of_its_answer_it_gives_that_back, 0, 4);
	tcase_add_test(cases, each_stage_of_a_call_can_be_described);
	tcase_add_test(cases, each_stage_of_a_call_can_be_looked_at);
	tcase_add_test(cases, what_the_ledger_says_it_waits_for_is_the_stage);
	tcase_add_test(cases, a_gate_that_cannot_be_made_leaves_nothing);
	tcase_add_loop_test(cases, without_memory_a_call_fails_or_does_without, 0, 50);
	return cases;
}

int main(void)
{
	Suite *suite = suite_create("gate_ends");

	suite_add_tcase(suite, ends());
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
