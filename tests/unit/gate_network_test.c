/*
 * Thousands of calls through a gate to a server of which one answer in ten goes wrong: each call
 * has one outcome, and what is counted here is what the server has counted.
 */
#include "lib/macro.h"
#include "tests/http/http_server.h"
#include "tests/unit/http_world.h"

#include <quiesce/gate.h>

/* ThreadSanitizer has room for some eight thousand fibers. */
#ifdef QUIESCE_TSAN
#define CALLS 5000
#else
#define CALLS 10000
#endif

static struct http_server server;
static unsigned fds_before;
static qs_gate *gate;

struct call {
	bool is_post;
	int result, status;
	unsigned attempts, outcomes;
	uint64_t received;
};

static struct call calls[CALLS];

static void set_up(void)
{
	fds_before = count_fds();
	memset(calls, 0, sizeof(calls));
	http_server_start(&server, NULL);
	world_open(false, 0);
	ck_assert_int_eq(qs_http_new(&world.root, NULL, &http), 0);
}

static void tear_down(void)
{
	qs_gate_free(gate);
	qs_http_free(http);
	world_close();
	http_server_stop(&server);
	ck_assert_uint_eq(count_fds(), fds_before);
}

static int make_call(qs_task *self, void *arg)
{
	struct call *call = arg;
	struct qs_gate_answer answer;
	char url[160];
	const struct qs_http_request request = { .url = url,
		.method = call->is_post ? "POST" : "GET" };

	(void)snprintf(url, sizeof(url), "%s/faults?percent=10&seed=3&id=%td&slow=5ms&most=9",
	        server.url, call - calls);
	call->result = qs_gate_call(self, gate, &request, QS_FOREVER, &answer);
	call->status = answer.response.status;
	call->attempts = answer.attempts;
	call->received = answer.response.received;
	call->outcomes++;
	qs_gate_answer_done(&answer);
	return 0;
}

static void make_calls(bool are_posts)
{
	for (unsigned i = 0; i < CALLS; i++) {
		calls[i].is_post = are_posts;
		world_send_off(&world.root, make_call, &calls[i]);
	}
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
	for (unsigned i = 0; i < CALLS; i++)
		ck_assert_uint_eq(calls[i].outcomes, 1);
}

static uint64_t count(const char *name)
{
	return http_server_count(&server, name);
}

static uint64_t attempts_of_all(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CALLS; i++)
		sum += calls[i].attempts;
	return sum;
}

static void open_gate(void)
{
	const struct qs_gate_options options = {
		.concurrency = 100,
		.retry = { .attempts = 10,
		        .base = QS_MSEC,
		        .cap = 4 * QS_MSEC,
		        .budget = QS_GATE_BUDGET_OFF },
	};

	ck_assert_int_eq(qs_gate_new(&world.root, http, &options, &gate), 0);
}

START_TEST(what_may_be_repeated_is_until_all_have_their_answer)
{
	struct qs_gate_stats stats;

	open_gate();
	make_calls(false);
	for (unsigned i = 0; i < CALLS; i++)
		ck_assert_msg(calls[i].result == 0 && calls[i].status == 200,
		        "call %u: %d, status %d", i, calls[i].result, calls[i].status);
	qs_gate_stats(gate, &stats);
	ck_assert_uint_eq(count("ok") + count("slow"), CALLS);
	ck_assert_uint_eq(attempts_of_all(), stats.requests);
	/* A kept connection that breaks without an answer is replaced by the client itself. */
	ck_assert_uint_le(stats.retries, count("requests") - CALLS);
	ck_assert_uint_ge(stats.retries, count("short") + count("500") + count("503"));
	ck_assert_uint_eq(count("cut"), 0);
}
END_TEST

/*
 * A request that may have been received is the only one: nothing is asked twice. Not even over one
 * of the connections that are kept: at first there are many of these, and then there is one call
 * after the other.
 */
START_TEST(what_may_not_be_repeated_is_asked_once_over_kept_connections)
{
	uint64_t requests;

	open_gate();
	make_calls(false);
	requests = count("requests");
	for (unsigned i = 0; i < 300; i++) {
		memset(&calls[i], 0, sizeof(calls[i]));
		calls[i].is_post = true;
		world_send_off(&world.root, make_call, &calls[i]);
		while (world.root.live > 0)
			(void)qs_loop_turn(world.loop, true);
	}
	ck_assert_uint_eq(count("requests"), requests + 300);
}
END_TEST

/* Nor when there are many at once. */
START_TEST(what_may_not_be_repeated_is_asked_once)
{
	uint64_t answered = 0, broken = 0, status_500 = 0, status_503 = 0;

	open_gate();
	make_calls(true);
	for (unsigned i = 0; i < CALLS; i++) {
		ck_assert_uint_eq(calls[i].attempts, 1);
		broken += calls[i].result == -ECONNRESET;
		answered += calls[i].result == 0 && calls[i].status == 200;
		status_500 += calls[i].result == 0 && calls[i].status == 500;
		status_503 += calls[i].result == 0 && calls[i].status == 503;
	}
	ck_assert_uint_eq(answered + broken + status_500 + status_503, CALLS);
	ck_assert_uint_eq(count("requests"), CALLS);
	ck_assert_uint_eq(answered, count("ok") + count("slow"));
	ck_assert_uint_eq(broken, count("drop") + count("reset") + count("short"));
	ck_assert_uint_eq(status_500, count("500"));
	ck_assert_uint_eq(status_503, count("503"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gate_network");
	TCase *faults = tcase_create("faults");

	tcase_add_checked_fixture(faults, set_up, tear_down);
	tcase_set_timeout(faults, 100);
	tcase_add_test(faults, what_may_be_repeated_is_until_all_have_their_answer);
	tcase_add_test(faults, what_may_not_be_repeated_is_asked_once_over_kept_connections);
	tcase_add_test(faults, what_may_not_be_repeated_is_asked_once);
	suite_add_tcase(suite, faults);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
