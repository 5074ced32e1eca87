/* The HTTP client and a server that misbehaves as told, over real connections. */
#include <fcntl.h>

#include "lib/alloc.h"
#include "lib/macro.h"
#include "tests/http/http_server.h"
#include "tests/unit/http_world.h"

static struct http_server server;
static unsigned fds_before;

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

static char url[512];

static struct exchange exchange_with(const char *path)
{
	snprintf(url, sizeof(url), "%s%s", server.url, path);
	return (struct exchange){ .request = { .url = url, .limits = { .timeout = 10 * QS_SEC } } };
}

/* --- endings --- */

static const struct ending {
	const char *path;
	struct qs_http_limits limits;
	bool compressed;
	int result;
	enum qs_http_phase phase;
	int status;
} endings[] = {
	{ "/answer", .result = 0, .phase = QS_HTTP_OVER, .status = 200 },
	{ "/status/504", .phase = QS_HTTP_OVER, .status = 504 },
	{ "/answer?status=204", .phase = QS_HTTP_OVER, .status = 204 },
	{ "/long?size=100", .phase = QS_HTTP_OVER, .status = 200 },
	{ "/slowhead?every=1", .phase = QS_HTTP_OVER, .status = 200 },
	{ "/drop", .result = -ECONNRESET, .phase = QS_HTTP_WAITING },
	{ "/reset", .result = -ECONNRESET, .phase = QS_HTTP_WAITING },
	{ "/half?size=1000", .result = -ECONNRESET, .phase = QS_HTTP_RECEIVING, .status = 200 },
	{ "/halfclose?size=1000", .result = -ECONNRESET, .phase = QS_HTTP_RECEIVING,
	        .status = 200 },
	{ "/chunks?size=1000&piece=100&cut", .result = -ECONNRESET, .phase = QS_HTTP_RECEIVING,
	        .status = 200 },
	{ "/short?size=10", { .idle_timeout = 100 * QS_MSEC }, .result = -ETIME,
	        .phase = QS_HTTP_RECEIVING, .status = 200 },
	{ "/silent", { .first_byte_timeout = 100 * QS_MSEC }, .result = -ETIME,
	        .phase = QS_HTTP_WAITING },
	{ "/silent", { .timeout = 100 * QS_MSEC }, .result = -ETIME, .phase = QS_HTTP_WAITING },
	{ "/trickle?every=10&size=100000", { .idle_timeout = 2 * QS_SEC, .timeout = 300 * QS_MSEC },
	        .result = -ETIME, .phase = QS_HTTP_RECEIVING, .status = 200 },
	{ "/trickle?every=10&size=20", { .idle_timeout = 2 * QS_SEC }, .phase = QS_HTTP_OVER,
	        .status = 200 },
	{ "/garbage", .result = -EBADMSG, .phase = QS_HTTP_WAITING },
	{ "/badlength", .result = -EBADMSG, .phase = QS_HTTP_RECEIVING },
	{ "/bigheader?size=400000", .result = -EMSGSIZE, .phase = QS_HTTP_RECEIVING },
	{ "/answer?size=1001", { .response_max = 1000 }, .result = -EMSGSIZE,
	        .phase = QS_HTTP_RECEIVING, .status = 200 },
	{ "/answer?size=1000", { .response_max = 1000 }, .phase = QS_HTTP_OVER, .status = 200 },
	{ "/chunks?size=2000&piece=100", { .response_max = 1000 }, .result = -EMSGSIZE,
	        .phase = QS_HTTP_RECEIVING, .status = 200 },
	{ "/gzip?size=1000", .compressed = true, .phase = QS_HTTP_OVER, .status = 200 },
	{ "/gzip?size=200000000", .compressed = true, .result = -EMSGSIZE,
	        .phase = QS_HTTP_RECEIVING, .status = 200 },
	{ "/loop", .phase = QS_HTTP_OVER, .status = 302 },
	{ "/loop", { .redirects = 5 }, .result = -ELOOP, .phase = QS_HTTP_RESOLVING },
	{ "/redirect?to=/answer", { .redirects = 1 }, .phase = QS_HTTP_OVER, .status = 200 },
	{ "/redirect?to=ftp://127.0.0.1/", { .redirects = 1 }, .result = -EPERM,
	        .phase = QS_HTTP_RESOLVING },
	{ "/redirect?to=file:///etc/passwd", { .redirects = 1 }, .result = -EPERM,
	        .phase = QS_HTTP_RESOLVING },
	{ "/redirect?to=http://127.0.0.1:1/", { .redirects = 1 }, .result = -ECONNREFUSED,
	        .phase = QS_HTTP_CONNECTING },
};

START_TEST(each_ending_has_its_errno_and_its_phase)
{
	const struct ending *ending = &endings[_i];
	struct exchange exchange = exchange_with(ending->path);

	exchange.request.limits = ending->limits;
	exchange.request.compressed = ending->compressed;
	exchange_perform(&exchange);
	ck_exchange(&exchange, ending->result, ending->phase);
	ck_assert((exchange.response.error[0] != '\0') == (ending->result < 0));
	ck_assert_ptr_null(strstr(exchange.response.error, "size="));
	ck_assert_int_eq(exchange.response.status,
	        ending->result == 0 || ending->status ? ending->status : 0);
	ck_assert_uint_lt(exchange.took, 5 * QS_SEC);
	exchange_done(&exchange);
}
END_TEST

START_TEST(what_does_not_listen_refuses)
{
	struct exchange exchange = { .request.url = "http://127.0.0.1:1/?secret" };

	exchange_perform(&exchange);
	ck_exchange(&exchange, -ECONNREFUSED, QS_HTTP_CONNECTING);
	ck_assert(!exchange.response.sent_any);
	ck_assert_str_eq(exchange.response.host, "127.0.0.1:1");
	ck_assert_str_eq(exchange.response.error, "connect: Connection refused");
	exchange_done(&exchange);
}
END_TEST

START_TEST(a_peer_that_never_says_anything_is_left_in_time)
{
	struct exchange exchange = { .request = { .url = server.silent_url,
		                             .limits.first_byte_timeout = 200 * QS_MSEC } };

	exchange_perform(&exchange);
	ck_exchange(&exchange, -ETIME, QS_HTTP_WAITING);
	ck_assert(exchange.response.sent_any);
	ck_assert_str_eq(exchange.response.error, "no answer within 0.2 s");
	ck_assert_uint_ge(exchange.took, 200 * QS_MSEC);
	ck_assert_uint_lt(exchange.took, 5 * QS_SEC);
	exchange_done(&exchange);
}
END_TEST

START_TEST(a_connect_that_does_not_end_is_left_in_time)
{
	struct http_server stalling;
	struct exchange exchange = { .request.limits.connect_timeout = 200 * QS_MSEC };

	http_server_start(&stalling, "--stall-accept");
	exchange.request.url = stalling.silent_url;
	exchange_perform(&exchange);
	ck_exchange(&exchange, -ETIME, QS_HTTP_CONNECTING);
	ck_assert(!exchange.response.sent_any);
	ck_assert_uint_lt(exchange.took, 5 * QS_SEC);
	exchange_done(&exchange);
	http_server_stop(&stalling);
}
END_TEST

START_TEST(a_deadline_of_the_wait_is_told_from_a_timeout_of_the_request)
{
	struct exchange exchange = exchange_with("/trickle?every=1&size=100000");

	exchange.deadline = world_now() + 300 * QS_MSEC;
	exchange_perform(&exchange);
	ck_exchange(&exchange, -ETIMEDOUT, QS_HTTP_RECEIVING);
	ck_assert_int_eq(exchange.response.status, 200);
	ck_assert_uint_gt(exchange.response.received, 0);
	exchange_done(&exchange);
}
END_TEST

/* --- what is sent --- */

static const char body[] = "{\"a\": 1}";

START_TEST(method_headers_and_body_arrive)
{
	static const char *const methods[] = { "POST", "PUT", "PATCH", "DELETE", "PURGE" };
	static const struct qs_http_header headers[] = { { "X-One", "1" }, { "X-Empty", "" },
		{ "Content-Type", "application/json" }, { 0 } };
	struct exchange exchange = exchange_with("/echo");
	const char *method = methods[_i];
	char expected[64];

	exchange.request.method = method;
	exchange.request.headers = headers;
	exchange.request.body = body;
	exchange.request.body_size = sizeof(body) - 1;
	exchange_perform(&exchange);
	ck_exchange(&exchange, 0, QS_HTTP_OVER);
	snprintf(expected, sizeof(expected), "\"%s\"", method);
	ck_assert_ptr_nonnull(strstr(exchange.response.body, expected));
	ck_assert_ptr_nonnull(strstr(exchange.response.body, "{\\\"a\\\": 1}"));
	ck_assert_ptr_nonnull(strcasestr(exchange.response.body, "\"x-one\":\"1\""));
	ck_assert_ptr_nonnull(strcasestr(exchange.response.body, "\"x-empty\":\"\""));
	ck_assert_ptr_nonnull(strcasestr(exchange.response.body, "application/json"));
	ck_assert_ptr_nonnull(strcasestr(exchange.response.body, "libquiesce/"));
	ck_assert_ptr_null(strcasestr(exchange.response.body, "expect"));
	ck_assert_uint_eq(exchange.response.sent, sizeof(body) - 1);
	exchange_done(&exchange);
}
END_TEST

/* The same handle of libcurl serves them all. */
START_TEST(nothing_of_one_request_is_left_in_the_next)
{
	struct exchange post = exchange_with("/echo"), get = post, head = post;
	char own_url[sizeof(url)];

	post.request.url = get.request.url = head.request.url = strcpy(own_url, url);
	post.request.body = body;
	post.request.body_size = sizeof(body) - 1;
	post.request.method = "PURGE";
	head.request.method = "HEAD";
	exchange_perform(&post);
	exchange_perform(&head);
	exchange_perform(&get);
	ck_exchange(&post, 0, QS_HTTP_OVER);
	ck_exchange(&head, 0, QS_HTTP_OVER);
	ck_exchange(&get, 0, QS_HTTP_OVER);
	ck_assert_uint_eq(head.response.body_size, 0);
	ck_assert_ptr_nonnull(qs_http_response_header(&head.response, "content-length"));
	ck_assert_ptr_nonnull(strstr(get.response.body, "\"GET\""));
	ck_assert_ptr_null(strstr(get.response.body, "{\\\"a\\\": 1}"));
	ck_assert(!post.response.reused);
	ck_assert(head.response.reused);
	ck_assert(get.response.reused);
	ck_assert_uint_eq(http_server_count(&server, "accepted"), 1);
	exchange_done(&post);
	exchange_done(&head);
	exchange_done(&get);
}
END_TEST

START_TEST(what_must_not_happen_twice_is_not_tried_again_over_another_connection)
{
	bool is_post = _i == 0;
	struct exchange first = exchange_with("/answer"), second;

	exchange_perform(&first);
	second = exchange_with("/drop");
	second.request.method = is_post ? "POST" : "GET";
	exchange_perform(&second);
	ck_exchange(&first, 0, QS_HTTP_OVER);
	ck_exchange(&second, -ECONNRESET, QS_HTTP_WAITING);
	ck_assert_uint_eq(http_server_count(&server, "/drop"), is_post ? 1 : 2);
	ck_assert(second.response.sent_any);
	exchange_done(&first);
	exchange_done(&second);
}
END_TEST

static char large[3 << 20];

START_TEST(a_large_body_goes_both_ways)
{
	struct exchange exchange = exchange_with("/answer?size=3000000");

	exchange.request.method = "POST";
	exchange.request.body = large;
	exchange.request.body_size = sizeof(large);
	exchange_perform(&exchange);
	ck_exchange(&exchange, 0, QS_HTTP_OVER);
	ck_assert_uint_eq(exchange.response.sent, sizeof(large));
	ck_assert_uint_eq(exchange.response.body_size, 3000000);
	ck_assert_uint_eq(exchange.response.received, 3000000);
	exchange_done(&exchange);
}
END_TEST

START_TEST(a_body_follows_a_redirect_that_keeps_the_method)
{
	static const struct {
		const char *path, *method, *expected;
		bool with_body;
	} cases[] = {
		{ "/redirect?status=307&to=/echo", "POST", "\"POST\"", true },
		{ "/redirect?status=308&to=/echo", "PATCH", "\"PATCH\"", true },
		{ "/redirect?status=303&to=/echo", "PATCH", "\"GET\"", false },
		{ "/redirect?status=303&to=/echo", "POST", "\"GET\"", false },
		{ "/redirect?status=302&to=/echo", "DELETE", "\"DELETE\"", true },
	};
	struct exchange exchange = exchange_with(cases[_i].path);

	exchange.request.method = cases[_i].method;
	exchange.request.body = body;
	exchange.request.body_size = sizeof(body) - 1;
	exchange.request.limits.redirects = 3;
	exchange_perform(&exchange);
	ck_exchange(&exchange, 0, QS_HTTP_OVER);
	ck_assert_msg(strstr(exchange.response.body, cases[_i].expected) != NULL, "%s",
	        exchange.response.body);
	ck_assert(
	        (strstr(exchange.response.body, "{\\\"a\\\": 1}") != NULL) == cases[_i].with_body);
	exchange_done(&exchange);
}
END_TEST

START_TEST(what_is_decompressed_is_told_from_what_came)
{
	struct exchange exchange = exchange_with("/gzip?size=1000000");

	exchange.request.compressed = true;
	exchange_perform(&exchange);
	ck_exchange(&exchange, 0, QS_HTTP_OVER);
	ck_assert_uint_eq(exchange.response.body_size, 1000000);
	ck_assert_uint_lt(exchange.response.received, 10000);
	exchange_done(&exchange);
}
END_TEST

/* --- many --- */

#define MANY 1000

START_TEST(a_thousand_at_once_are_answered_each)
{
	static struct exchange exchanges[MANY];

	for (int i = 0; i < MANY; i++) {
		exchanges[i] = exchange_with("/answer?size=500&delay=50ms");
		exchange_start(&exchanges[i]);
	}
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
	for (int i = 0; i < MANY; i++) {
		ck_exchange(&exchanges[i], 0, QS_HTTP_OVER);
		ck_assert_uint_eq(exchanges[i].response.body_size, 500);
		exchange_done(&exchanges[i]);
	}
	ck_assert_uint_eq(http_server_count(&server, "requests"), MANY);
}
END_TEST

START_TEST(no_more_than_allowed_are_given_to_the_network)
{
	const struct qs_http_options options = { .calls = 3 };
	struct exchange exchanges[10];

	qs_http_free(http);
	ck_assert_int_eq(qs_http_new(&world.root, &options, &http), 0);
	for (int i = 0; i < 10; i++) {
		exchanges[i] = exchange_with("/answer?delay=20ms");
		exchange_start(&exchanges[i]);
	}
	while (world.root.live > 0) {
		(void)qs_loop_turn(world.loop, true);
		ck_assert_uint_le(http->active_count, 3);
	}
	for (int i = 0; i < 10; i++) {
		ck_exchange(&exchanges[i], 0, QS_HTTP_OVER);
		exchange_done(&exchanges[i]);
	}
	ck_assert_uint_le(http_server_count(&server, "accepted"), 3);
}
END_TEST

/* --- faults --- */

#define FAULTY 2000

static struct {
	unsigned begun, answered, reset, other;
} faults;

static int perform_many(qs_task *self, void *arg)
{
	char own_url[256];

	(void)arg;
	while (faults.begun < FAULTY) {
		struct exchange exchange = { .request = { .url = own_url, .method = "POST" } };

		snprintf(own_url, sizeof(own_url), "%s/faults?percent=10&seed=1&id=%u&slow=10ms",
		        server.url, faults.begun++);
		(void)exchange_run(self, &exchange);
		if (exchange.result == 0)
			faults.answered++;
		else if (exchange.result == -ECONNRESET)
			faults.reset++;
		else
			faults.other++;
		exchange_done(&exchange);
	}
	return 0;
}

START_TEST(every_request_has_one_outcome_and_the_server_agrees)
{
	for (int i = 0; i < 50; i++)
		world_send_off(&world.root, perform_many, NULL);
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_eq(faults.answered + faults.reset, FAULTY);
	ck_assert_uint_eq(faults.other, 0);
	ck_assert_uint_gt(faults.reset, 10);
	ck_assert_uint_eq(http_server_count(&server, "requests"), FAULTY);
	ck_assert_uint_eq(faults.reset, http_server_count(&server, "drop") +
	                                        http_server_count(&server, "reset") +
	                                        http_server_count(&server, "short"));
}
END_TEST

/* --- without memory --- */

START_TEST(without_memory_or_descriptors_it_fails_and_leaves_nothing)
{
	unsigned failed = 0;
	uint64_t n = 1;
	struct qs_seam seam;

	do {
		struct exchange exchange = exchange_with("/answer?size=100000");

		qs_http_free(TAKE(http, NULL));
		exchange.result = -ENOMEM;
		seam = (struct qs_seam){ .fail_at = n++ };
		qs_seam = &seam;
		if (qs_http_new(&world.root, NULL, &http) == 0) {
			qs_seam = NULL;
			exchange_start(&exchange);
			qs_seam = &seam;
			while (world.root.live > 0)
				(void)qs_loop_turn(world.loop, true);
			exchange_done(&exchange);
		}
		qs_http_free(TAKE(http, NULL));
		qs_seam = NULL;
		/* What the loop has made room for it keeps. */
		ck_assert_int_le(seam.live, n == 2 ? 3 : 0);
		if (exchange.result < 0) {
			ck_assert_msg(exchange.result == -ENOMEM || exchange.result == -EMFILE,
			        "%d after failure %lu", exchange.result, (unsigned long)n - 1);
			failed++;
		}
		ck_assert_int_eq(qs_http_new(&world.root, NULL, &http), 0);
	} while (seam.refused > 0);
	ck_assert_uint_ge(failed, 8);
}
END_TEST

START_TEST(a_thousand_in_flight_are_cancelled_at_once)
{
	static struct exchange exchanges[MANY];
	uint64_t began;
	qs_group *group;

	ck_assert_int_eq(qs_group_new(&world.root, NULL, &group), 0);
	for (int i = 0; i < MANY; i++) {
		exchanges[i] = exchange_with("/silent");
		world_send_off(group, exchange_run, &exchanges[i]);
	}
	while (http->active_count < MANY || http->resolving_count > 0)
		(void)qs_loop_turn(world.loop, true);
	began = qs_time_now();
	qs_group_cancel(group, QS_CAUSE_API);
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_lt(qs_time_now() - began, 2 * QS_SEC);
	/* Then what they have left behind is swept up. */
	while (http->has_dropped)
		(void)qs_loop_turn(world.loop, true);
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(exchanges[i].result, -ECANCELED);
		exchange_done(&exchanges[i]);
	}
	qs_group_free(group);
	http_server_await(&server, "in_flight", 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_network");
	TCase *ends = tcase_create("endings"), *sent = tcase_create("sent"),
	      *many = tcase_create("many");

	tcase_add_checked_fixture(ends, set_up, tear_down);
	tcase_add_loop_test(ends, each_ending_has_its_errno_and_its_phase, 0, ARRAY_SIZE(endings));
	tcase_add_test(ends, what_does_not_listen_refuses);
	tcase_add_test(ends, a_peer_that_never_says_anything_is_left_in_time);
	tcase_add_test(ends, a_connect_that_does_not_end_is_left_in_time);
	tcase_add_test(ends, a_deadline_of_the_wait_is_told_from_a_timeout_of_the_request);
	suite_add_tcase(suite, ends);
	tcase_add_checked_fixture(sent, set_up, tear_down);
	tcase_add_loop_test(sent, method_headers_and_body_arrive, 0, 5);
	tcase_add_test(sent, nothing_of_one_request_is_left_in_the_next);
	tcase_add_loop_test(
	        sent, what_must_not_happen_twice_is_not_tried_again_over_another_connection, 0, 2);
	tcase_add_test(sent, a_large_body_goes_both_ways);
	tcase_add_loop_test(sent, a_body_follows_a_redirect_that_keeps_the_method, 0, 5);
	tcase_add_test(sent, what_is_decompressed_is_told_from_what_came);
	suite_add_tcase(suite, sent);
	tcase_add_checked_fixture(many, set_up, tear_down);
	tcase_add_test(many, a_thousand_at_once_are_answered_each);
	tcase_add_test(many, no_more_than_allowed_are_given_to_the_network);
	tcase_add_test(many, every_request_has_one_outcome_and_the_server_agrees);
	tcase_add_test(many, without_memory_or_descriptors_it_fails_and_leaves_nothing);
	tcase_add_test(many, a_thousand_in_flight_are_cancelled_at_once);
	suite_add_tcase(suite, many);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
