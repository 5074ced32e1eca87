/*
 * The HTTP client by a scripted server on a virtual clock: phases, timeouts, limits, what is
 * refused, failures of memory, and worlds of calls from seeds.
 */
#include <quiesce/sim.h>

#include "lib/alloc.h"
#include "lib/http_url.h"
#include "lib/macro.h"
#include "lib/supervise.h"
#include "tests/unit/http_world.h"

static struct qs_http_scripted script;
static unsigned asked;

static void answer(
        const struct qs_http_request *request, struct qs_http_scripted *ret_scripted, void *arg)
{
	(void)arg;
	ck_assert_ptr_nonnull(request->url);
	asked++;
	*ret_scripted = script;
}

static void set_up(void)
{
	world_open(true, 0);
	ck_assert_int_eq(qs_http_new_scripted(&world.root, answer, NULL, &http), 0);
	script = (struct qs_http_scripted){ .status = 200 };
}

static void tear_down(void)
{
	qs_http_free(http);
	world_close();
}

static const char url[] = "http://user:secret@api.example:80/path?key=secret";

/* --- answers --- */

START_TEST(an_answer_comes_with_its_headers_and_its_body)
{
	const struct qs_http_header headers[] = { { "Content-Type", "text/plain" }, { "Empty", "" },
		{ 0 } };
	struct exchange exchange = { .request.url = url };

	script.headers = headers;
	script.body = "hello";
	script.body_size = 5;
	script.delay = 3 * QS_SEC;
	exchange_perform(&exchange);
	ck_exchange(&exchange, 0, QS_HTTP_OVER);
	ck_assert_int_eq(exchange.response.status, 200);
	ck_assert_str_eq(exchange.response.body, "hello");
	ck_assert_uint_eq(exchange.response.body_size, 5);
	ck_assert_str_eq(qs_http_response_header(&exchange.response, "content-type"), "text/plain");
	ck_assert_str_eq(qs_http_response_header(&exchange.response, "EMPTY"), "");
	ck_assert_ptr_null(qs_http_response_header(&exchange.response, "absent"));
	ck_assert_str_eq(exchange.response.host, "api.example");
	ck_assert_uint_eq(exchange.response.received, 5);
	ck_assert_uint_eq(exchange.response.times.total, 3 * QS_SEC);
	exchange_done(&exchange);
}
END_TEST

START_TEST(a_copy_has_memory_of_its_own)
{
	const struct qs_http_header headers[] = { { "A", "1" }, { "B", "" }, { 0 } };
	struct exchange exchange = { .request.url = url };
	struct qs_http_response copy;

	script.headers = headers;
	script.body = "a\0b";
	script.body_size = 3;
	exchange_perform(&exchange);
	ck_assert_int_eq(qs_http_response_copy(&exchange.response, &copy), 0);
	exchange_done(&exchange);
	ck_assert_uint_eq(copy.body_size, 3);
	ck_assert_mem_eq(copy.body, "a\0b", 4);
	ck_assert_str_eq(qs_http_response_header(&copy, "a"), "1");
	ck_assert_str_eq(copy.host, "api.example");
	qs_http_response_done(&copy);
	/* Released, it can be released again. */
	qs_http_response_done(&copy);
}
END_TEST

START_TEST(who_waits_says_for_what)
{
	struct exchange exchange = { .request.url = url };
	qs_task *task;
	char text[64];

	script.delay = QS_SEC;
	task = world_spawn(&world.root, exchange_run, &exchange);
	world_settle();
	task->kind->describe(task, text, sizeof(text));
	ck_assert_str_eq(text, "HTTP: waiting");
	world_run();
	ck_assert_int_eq(world_result(task).verdict, QS_VERDICT_FINISHED);
	exchange_done(&exchange);
}
END_TEST

START_TEST(what_the_script_says_went_wrong_did)
{
	struct exchange exchange = { .request.url = url };

	script.error = -ECONNREFUSED;
	script.unsent = _i == 1;
	exchange_perform(&exchange);
	ck_exchange(&exchange, -ECONNREFUSED, _i == 1 ? QS_HTTP_CONNECTING : QS_HTTP_WAITING);
	ck_assert(exchange.response.sent_any == (_i == 0));
	exchange_done(&exchange);
}
END_TEST

/* --- timeouts --- */

static const struct {
	struct qs_http_limits limits;
	bool unsent;
	uint64_t expected;
	const char *error;
} timeouts[] = {
	{ .expected = 5 * QS_MIN, .error = "not over within 300 s" },
	{ { .timeout = 7 * QS_SEC }, .expected = 7 * QS_SEC, .error = "not over within 7 s" },
	{ { .first_byte_timeout = 2 * QS_SEC }, .expected = 2 * QS_SEC,
	        .error = "no answer within 2 s" },
	{ { .first_byte_timeout = 9 * QS_SEC, .timeout = 8 * QS_SEC }, .expected = 8 * QS_SEC,
	        .error = "not over within 8 s" },
	{ { .connect_timeout = 3 * QS_SEC }, .expected = 5 * QS_MIN,
	        .error = "not over within 300 s" },
	{ .unsent = true, .expected = 10 * QS_SEC, .error = "no connection within 10 s" },
	{ { .connect_timeout = 1500 * QS_MSEC }, .unsent = true, .expected = 1500 * QS_MSEC,
	        .error = "no connection within 1.5 s" },
	{ { .connect_timeout = QS_FOREVER }, .unsent = true, .expected = 5 * QS_MIN,
	        .error = "not over within 300 s" },
};

START_TEST(each_timeout_ends_it_to_the_nanosecond)
{
	struct exchange exchange = { .request = { .url = url, .limits = timeouts[_i].limits } };

	script.delay = QS_FOREVER;
	script.error = timeouts[_i].unsent ? -EIO : 0;
	script.unsent = timeouts[_i].unsent;
	exchange_perform(&exchange);
	ck_exchange(&exchange, -ETIME, timeouts[_i].unsent ? QS_HTTP_CONNECTING : QS_HTTP_WAITING);
	ck_assert_str_eq(exchange.response.error, timeouts[_i].error);
	ck_assert_uint_eq(exchange.took, timeouts[_i].expected);
	exchange_done(&exchange);
}
END_TEST

/* --- callbacks: a pause --- */

static struct {
	unsigned datas, dones;
	int result;
	bool pauses;
	uint64_t over_at;
} told;

static int data_told(qs_http_call *call, const void *data, size_t size, void *arg)
{
	(void)call, (void)data, (void)size, (void)arg;
	told.datas++;
	return told.pauses ? QS_HTTP_PAUSE : 0;
}

static void done_told(qs_http_call *call, int result, struct qs_http_response *response, void *arg)
{
	(void)call, (void)arg;
	told.dones++;
	told.result = result;
	told.over_at = world_now();
	qs_http_response_done(response);
}

static const struct qs_http_handlers handlers = { .data = data_told, .done = done_told };

static qs_http_call *start(const struct qs_http_limits *limits, uint64_t deadline)
{
	const struct qs_http_request request = { .url = url, .limits = *limits };
	qs_http_call *call;

	ck_assert_int_eq(qs_http_start(http, &request, deadline, &handlers, NULL, &call), 0);
	ck_assert_uint_eq(told.dones, 0);
	return call;
}

START_TEST(a_pause_of_ours_is_no_idleness_of_theirs)
{
	const struct qs_http_limits limits = { .idle_timeout = 5 * QS_SEC };
	qs_http_call *call;

	script.body = "hello";
	script.body_size = 5;
	told.pauses = true;
	call = start(&limits, QS_FOREVER);
	world_settle();
	ck_assert_uint_eq(told.datas, 1);
	qs_clock_advance_to(&world.clock, world_now() + QS_MIN);
	world_settle();
	ck_assert_uint_eq(told.dones, 0);
	told.pauses = false;
	qs_http_resume(call);
	world_settle();
	ck_assert_uint_eq(told.datas, 2);
	ck_assert_uint_eq(told.dones, 1);
	ck_assert_int_eq(told.result, 0);
}
END_TEST

START_TEST(its_own_deadline_is_a_timeout)
{
	const struct qs_http_limits limits = { 0 };
	uint64_t deadline = world_now() + 4 * QS_SEC;

	script.delay = QS_FOREVER;
	(void)start(&limits, deadline);
	while (told.dones == 0)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_int_eq(told.result, -ETIME);
	ck_assert_uint_eq(told.over_at, deadline);
}
END_TEST

START_TEST(dropped_in_the_queue_it_was_never_sent)
{
	const struct qs_http_limits limits = { 0 };
	struct qs_http_response response;
	qs_http_call *call = start(&limits, QS_FOREVER);
	struct qs_http_progress progress;

	qs_http_progress(call, &progress);
	ck_assert_int_eq(progress.phase, QS_HTTP_QUEUED);
	ck_assert_str_eq(progress.host, "api.example");
	qs_http_drop(call, &response);
	world_settle();
	ck_assert_int_eq(response.phase, QS_HTTP_QUEUED);
	ck_assert_str_eq(response.host, "api.example");
	ck_assert_uint_eq(told.dones + asked, 0);
}
END_TEST

/* --- what is refused --- */

static const struct qs_http_header bad_headers[][2] = {
	{ { "", "empty" }, { 0 } },
	{ { "A B", "space" }, { 0 } },
	{ { "A:", "colon" }, { 0 } },
	{ { "A", "line\r\nB: smuggled" }, { 0 } },
	{ { "A", NULL }, { 0 } },
	{ { "Content-Length", "1" }, { 0 } },
	{ { "transfer-encoding", "chunked" }, { 0 } },
};

static const struct {
	struct qs_http_request request;
	int result;
	const char *host;
} refused[] = {
	{ { .url = NULL }, -EINVAL, "" },
	{ { .url = "" }, -EPROTONOSUPPORT, "" },
	{ { .url = "ftp://a/" }, -EPROTONOSUPPORT, "" },
	{ { .url = "api.example/" }, -EPROTONOSUPPORT, "" },
	{ { .url = "http://" }, -EINVAL, "" },
	{ { .url = "http:///path" }, -EINVAL, "" },
	{ { .url = "http://a:b/" }, -EINVAL, "" },
	{ { .url = "http://a:65536/" }, -EINVAL, "" },
	{ { .url = "http://a:000080/" }, -EINVAL, "" },
	{ { .url = "http://a/ b" }, -EINVAL, "" },
	{ { .url = "http://a/\r\nHost: b" }, -EINVAL, "" },
	{ { .url = "http://a\\@b/" }, -EINVAL, "" },
	{ { .url = "http://[::1/" }, -EINVAL, "" },
	{ { .url = "http://a/", .method = "" }, -EINVAL, "a" },
	{ { .url = "http://a/", .method = "GE T" }, -EINVAL, "a" },
	{ { .url = "http://a/", .body_size = 1 }, -EINVAL, "a" },
	{ { .url = "http://a/", .headers = bad_headers[0] }, -EINVAL, "a" },
	{ { .url = "http://a/", .headers = bad_headers[1] }, -EINVAL, "a" },
	{ { .url = "http://a/", .headers = bad_headers[2] }, -EINVAL, "a" },
	{ { .url = "http://a/", .headers = bad_headers[3] }, -EINVAL, "a" },
	{ { .url = "http://a/", .headers = bad_headers[4] }, -EINVAL, "a" },
	{ { .url = "http://a/", .headers = bad_headers[5] }, -EINVAL, "a" },
	{ { .url = "http://a/", .headers = bad_headers[6] }, -EINVAL, "a" },
};

START_TEST(what_is_no_request_is_refused)
{
	struct exchange exchange = { .request = refused[_i].request };

	exchange_perform(&exchange);
	ck_exchange(&exchange, refused[_i].result, QS_HTTP_QUEUED);
	ck_assert_str_eq(exchange.response.host, refused[_i].host);
	ck_assert_str_ne(exchange.response.error, "");
	ck_assert_uint_eq(asked, 0);
	exchange_done(&exchange);
}
END_TEST

static const struct {
	const char *url, *shown;
	bool is_https;
} hosts[] = {
	{ "http://a", "a", false },
	{ "HTTPS://A.Example/", "A.Example", true },
	{ "http://a:80/", "a", false },
	{ "https://a:80/", "a:80", true },
	{ "https://a:443?q", "a", true },
	{ "http://a:8080#f", "a:8080", false },
	{ "http://user:password@a:8080/", "a:8080", false },
	{ "http://user@b@a/", "a", false },
	{ "http://a/@b", "a", false },
	{ "http://[::1]:8080/", "[::1]:8080", false },
	{ "http://a:/", "a", false },
};

START_TEST(of_a_url_only_the_host_is_shown)
{
	struct qs_http_url parsed;

	ck_assert_int_eq(qs_http_url_parse(hosts[_i].url, &parsed), 0);
	ck_assert_uint_eq(parsed.shown_size, strlen(hosts[_i].shown));
	ck_assert_mem_eq(parsed.shown, hosts[_i].shown, parsed.shown_size);
	ck_assert(parsed.is_https == hosts[_i].is_https);
}
END_TEST

/* --- failures of memory --- */

static void perform_with_failure(uint64_t fail_at, struct qs_seam *seam, struct exchange *exchange)
{
	const struct qs_http_header headers[] = { { "A", "1" }, { 0 } };

	*seam = (struct qs_seam){ .fail_at = fail_at };
	script = (struct qs_http_scripted){
		.status = 200, .headers = headers, .body = "hello", .body_size = 5
	};
	qs_seam = seam;
	http = NULL;
	if (qs_http_new_scripted(&world.root, answer, NULL, &http) == 0) {
		qs_seam = NULL;
		exchange_start(exchange);
		qs_seam = seam;
		world_run();
		exchange_done(exchange);
	}
	qs_http_free(http);
	qs_seam = NULL;
}

START_TEST(without_memory_it_fails_and_leaves_nothing)
{
	struct qs_seam seam;
	unsigned failed = 0;
	struct exchange first = { .request.url = url };

	world_open(true, 0);
	/* The loop keeps the room that it has made once. */
	perform_with_failure(0, &seam, &first);
	ck_assert_int_eq(first.result, 0);
	for (uint64_t n = 1;; n++) {
		struct exchange exchange = { .request.url = url, .result = -ENOMEM };

		perform_with_failure(n, &seam, &exchange);
		ck_assert_int_eq(seam.live, 0);
		if (seam.refused == 0)
			break;
		ck_assert_msg(exchange.result == -ENOMEM, "%d after failure %lu", exchange.result,
		        (unsigned long)n);
		failed++;
	}
	ck_assert_uint_ge(failed, 5);
	world_close();
}
END_TEST

/* --- worlds from seeds --- */

#define CALLERS 20
#define CALLS   10

struct sim {
	qs_http *http;
	struct qs_random random;
	unsigned begun, ended, streams;
};

static void answer_somehow(
        const struct qs_http_request *request, struct qs_http_scripted *ret_scripted, void *arg)
{
	static const int errors[] = { 0, 0, 0, -ECONNRESET, -EHOSTUNREACH, -EBADMSG };
	static char body[100000];
	struct sim *sim = arg;

	(void)request;
	*ret_scripted = (struct qs_http_scripted){
		.delay = qs_random_below(&sim->random, 10) == 0
		                 ? QS_FOREVER
		                 : qs_random_below(&sim->random, 20) * QS_SEC,
		.error = errors[qs_random_below(&sim->random, ARRAY_SIZE(errors))],
		.unsent = qs_random_below(&sim->random, 2) == 0,
		.status = 200,
		.body = body,
		.body_size = qs_random_below(&sim->random, sizeof(body)),
	};
}

static int read_slowly(qs_task *self, struct sim *sim, qs_http_stream *stream)
{
	char buffer[20000];
	ssize_t size;

	sim->streams++;
	do {
		if (qs_random_below(&sim->random, 4) == 0)
			(void)qs_sleep(self, qs_in(self, qs_random_below(&sim->random, QS_SEC)));
		size = qs_http_read(self, stream, buffer, sizeof(buffer), qs_in(self, QS_MIN));
	} while (size > 0 && qs_random_below(&sim->random, 10) != 0);
	if (qs_random_below(&sim->random, 2) == 0)
		qs_http_close(stream);
	return (int)MIN(size, 0);
}

static int call_once(qs_task *self, struct sim *sim)
{
	const struct qs_http_request request = { .url = url,
		.limits.timeout = QS_SEC + qs_random_below(&sim->random, 30 * QS_SEC) };
	uint64_t deadline = qs_in(self, qs_random_below(&sim->random, 40 * QS_SEC));
	struct qs_http_response response;
	qs_http_stream *stream;
	int r;

	sim->begun++;
	if (qs_random_below(&sim->random, 2) == 0) {
		r = qs_http_perform(self, sim->http, &request, deadline, &response);
	} else {
		r = qs_http_open(self, sim->http, &request, deadline, &response, &stream);
		if (r == 0)
			r = read_slowly(self, sim, stream);
	}
	sim->ended++;
	qs_http_response_done(&response);
	return r;
}

static int run_caller(qs_task *self, void *arg)
{
	struct sim *sim = arg;
	int r = 0;

	for (int i = 0; i < CALLS && r != -ECANCELED && !qs_stopping(self); i++)
		r = call_once(self, sim);
	return 0;
}

static void free_client(void *arg)
{
	struct sim *sim = arg;

	qs_http_free(sim->http);
}

static int kill_somebody(qs_task *self, struct sim *sim, qs_task *victim)
{
	int r = qs_sleep(self, qs_in(self, qs_random_below(&sim->random, QS_MIN)));

	qs_task_kill(victim, QS_CAUSE_API);
	qs_task_forget(victim);
	return r;
}

static int run_world(qs_task *self, void *arg)
{
	struct sim *sim = arg;
	qs_task *victim = NULL;
	qs_group *group;
	int r;

	r = qs_http_new_scripted(qs_task_group(self), answer_somehow, sim, &sim->http);
	if (r < 0)
		return r;
	r = qs_defer(self, free_client, sim);
	if (r < 0) {
		free_client(sim);
		return r;
	}
	r = qs_group_new(qs_task_group(self), NULL, &group);
	for (int i = 0; i < CALLERS && r == 0; i++)
		r = qs_spawn_fiber(group, NULL, run_caller, sim, i == 0 ? &victim : NULL);
	if (victim)
		(void)kill_somebody(self, sim, victim);
	return r < 0 ? r : qs_group_join(self, group, QS_FOREVER, NULL);
}

static int set_up_world(qs_runtime *runtime, void *arg)
{
	return qs_spawn_fiber(qs_root(runtime), NULL, run_world, arg, NULL);
}

/* A stop in every other world, and failures of memory in every fourth. */
static struct qs_sim_result run_from(uint64_t seed, unsigned *streams)
{
	const struct qs_sim_options options = {
		.seed = seed,
		.stop_at = seed % 2 == 0 ? seed * 7 % 500 : 0,
		.fail_rate = seed % 4 == 0 ? 2000 : 0,
	};
	struct sim sim = { .random = { seed } };
	struct qs_sim_result result;

	(void)!qs_sim_run(&options, set_up_world, &sim, &result);
	ck_assert_msg(result.memory_left == 0, "seed %lu: %ld left", (unsigned long)seed,
	        (long)result.memory_left);
	ck_assert_uint_eq(result.tasks_left, 0);
	ck_assert_int_ge(result.status, 0);
	ck_assert_uint_le(sim.ended, sim.begun);
	*streams += sim.streams;
	return result;
}

START_TEST(worlds_of_calls_end_well_from_every_seed)
{
	unsigned streams = 0;

	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct qs_sim_result one = run_from(seed, &streams);
		struct qs_sim_result again = run_from(seed, &streams);

		ck_assert_uint_eq(one.digest, again.digest);
	}
	ck_assert_uint_gt(streams, 1000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http");
	TCase *answers = tcase_create("answers"), *bad = tcase_create("refused"),
	      *worlds = tcase_create("worlds");

	tcase_add_checked_fixture(answers, set_up, tear_down);
	tcase_add_test(answers, an_answer_comes_with_its_headers_and_its_body);
	tcase_add_test(answers, a_copy_has_memory_of_its_own);
	tcase_add_test(answers, who_waits_says_for_what);
	tcase_add_loop_test(answers, what_the_script_says_went_wrong_did, 0, 2);
	tcase_add_loop_test(
	        answers, each_timeout_ends_it_to_the_nanosecond, 0, ARRAY_SIZE(timeouts));
	tcase_add_test(answers, a_pause_of_ours_is_no_idleness_of_theirs);
	tcase_add_test(answers, its_own_deadline_is_a_timeout);
	tcase_add_test(answers, dropped_in_the_queue_it_was_never_sent);
	suite_add_tcase(suite, answers);
	tcase_add_checked_fixture(bad, set_up, tear_down);
	tcase_add_loop_test(bad, what_is_no_request_is_refused, 0, ARRAY_SIZE(refused));
	tcase_add_loop_test(bad, of_a_url_only_the_host_is_shown, 0, ARRAY_SIZE(hosts));
	suite_add_tcase(suite, bad);
	tcase_add_test(worlds, without_memory_it_fails_and_leaves_nothing);
	tcase_add_test(worlds, worlds_of_calls_end_well_from_every_seed);
	suite_add_tcase(suite, worlds);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
