/* TLS and HTTP/2: the HTTP client and nginx, with a certificate made for the occasion. */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lib/macro.h"
#include "tests/http/http_server.h"
#include "tests/unit/http_world.h"

static struct http_server server; /* for its silent port */
static char directory[] = "/tmp/quiesced-nginx.XXXXXX", ca_file[64], command[128];
static unsigned plain_port, tls_port;
static pid_t nginx;

/* --- nginx --- */

static void run_nginx(int output)
{
	const char *source = getenv("QUIESCE_SOURCE");
	char script[512];

	snprintf(script, sizeof(script), "%s/tests/http/nginx", source ? source : ".");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(output, STDOUT_FILENO) < 0)
		_exit(126);
	execl(script, "nginx", directory, NULL);
	_exit(127);
}

/* Its first line may come before it listens. */
static void await_listener(void)
{
	struct exchange exchange = { 0 };
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", plain_port);
	do {
		qs_http_response_done(&exchange.response);
		exchange = (struct exchange){ .request.url = url };
		exchange_perform(&exchange);
	} while (exchange.result == -ECONNREFUSED);
	ck_exchange(&exchange, 0, QS_HTTP_OVER);
	exchange_done(&exchange);
}

static void start_nginx(void)
{
	char line[64] = "";
	int output[2];
	FILE *from;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
	nginx = fork();
	if (nginx == 0)
		run_nginx(output[1]);
	close(output[1]);
	from = fdopen(output[0], "r");
	ck_assert(from && fgets(line, sizeof(line), from));
	fclose(from);
	ck_assert_int_eq(sscanf(line, "plain %u tls %u", &plain_port, &tls_port), 2);
	snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", directory);
}

static void stop_nginx(void)
{
	int status;

	ck_assert_int_eq(kill(nginx, SIGTERM), 0);
	ck_assert_int_eq(waitpid(nginx, &status, 0), nginx);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

static void set_up(void)
{
	struct qs_http_options options = { .ca_file = ca_file };

	http_server_start(&server, NULL);
	start_nginx();
	world_open(false, 0);
	ck_assert_int_eq(qs_http_new(&world.root, &options, &http), 0);
	await_listener();
}

static void tear_down(void)
{
	qs_http_free(http);
	world_close();
	stop_nginx();
	http_server_stop(&server);
}

static struct exchange exchange_with(const char *path)
{
	static char urls[16][64];
	static unsigned next;
	char *url = urls[next++ % ARRAY_SIZE(urls)];

	snprintf(url, sizeof(urls[0]), "https://localhost:%u%s", tls_port, path);
	return (struct exchange){ .request = { .url = url, .limits.timeout = 20 * QS_SEC } };
}

/* --- who is trusted --- */

START_TEST(a_certificate_that_is_trusted_is_enough)
{
	struct exchange exchange = exchange_with("/protocol");

	exchange_perform(&exchange);
	ck_exchange(&exchange, 0, QS_HTTP_OVER);
	ck_assert_str_eq(exchange.response.body, "HTTP/2.0");
	ck_assert_uint_gt(exchange.response.times.secured, 0);
	exchange_done(&exchange);
}
END_TEST

static void perform_untrusting(const char *url)
{
	struct exchange exchange = { .request.url = url };

	exchange_perform(&exchange);
	ck_exchange(&exchange, -EKEYREJECTED, QS_HTTP_CONNECTING);
	ck_assert_ptr_nonnull(strcasestr(exchange.response.error, "certificate"));
	ck_assert(!exchange.response.sent_any);
	exchange_done(&exchange);
}

START_TEST(a_certificate_of_somebody_else_is_not)
{
	char url[64];

	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", tls_port);
	perform_untrusting(url);
}
END_TEST

START_TEST(a_certificate_that_nobody_vouches_for_is_not)
{
	char url[64];

	qs_http_free(http);
	ck_assert_int_eq(qs_http_new(&world.root, NULL, &http), 0);
	snprintf(url, sizeof(url), "https://localhost:%u/", tls_port);
	perform_untrusting(url);
}
END_TEST

START_TEST(certificates_that_are_not_there_are_told_at_once)
{
	const struct qs_http_options options = { .ca_file = "/nonexistent/ca.pem" };
	qs_http *other;

	ck_assert_int_eq(qs_http_new(&world.root, &options, &other), -ENOENT);
}
END_TEST

/* --- handshakes --- */

START_TEST(a_handshake_that_stalls_is_left_in_time)
{
	struct exchange exchange = { .request.limits.connect_timeout = 200 * QS_MSEC };
	char url[64];

	snprintf(url, sizeof(url), "https://localhost:%u/", server.silent_port);
	exchange.request.url = url;
	exchange_perform(&exchange);
	ck_exchange(&exchange, -ETIME, QS_HTTP_CONNECTING);
	ck_assert(!exchange.response.sent_any);
	ck_assert_uint_lt(exchange.took, 5 * QS_SEC);
	exchange_done(&exchange);
}
END_TEST

/* It is asked for a way through to the host, and says nothing. */
START_TEST(a_proxy_that_eats_everything_is_left_in_time)
{
	struct exchange exchange = exchange_with("/protocol");

	exchange.request.limits.connect_timeout = 200 * QS_MSEC;
	ck_assert_int_eq(setenv("https_proxy", server.silent_url, 1), 0);
	exchange_perform(&exchange);
	ck_assert_int_eq(unsetenv("https_proxy"), 0);
	ck_exchange(&exchange, -ETIME, QS_HTTP_CONNECTING);
	ck_assert(!exchange.response.sent_any);
	ck_assert_uint_lt(exchange.took, 5 * QS_SEC);
	exchange_done(&exchange);
}
END_TEST

START_TEST(who_speaks_no_tls_fails_the_handshake)
{
	struct exchange exchange = { 0 };
	char url[64];

	snprintf(url, sizeof(url), "https://localhost:%u/", plain_port);
	exchange.request.url = url;
	exchange_perform(&exchange);
	ck_exchange(&exchange, -EPROTO, QS_HTTP_CONNECTING);
	exchange_done(&exchange);
}
END_TEST

/* --- redirects --- */

START_TEST(a_redirect_never_leaves_tls)
{
	struct exchange exchange = exchange_with("/to-plain"), other = { 0 };
	char url[64];

	exchange.request.limits.redirects = 3;
	exchange_perform(&exchange);
	ck_exchange(&exchange, -EPERM, QS_HTTP_RESOLVING);
	exchange_done(&exchange);

	snprintf(url, sizeof(url), "http://localhost:%u/to-tls", plain_port);
	other.request.url = url;
	other.request.limits.redirects = 3;
	exchange_perform(&other);
	ck_exchange(&other, 0, QS_HTTP_OVER);
	ck_assert_str_eq(other.response.body, "HTTP/2.0");
	exchange_done(&other);
}
END_TEST

/* It began without TLS, came to it, and may not leave it again. */
START_TEST(a_redirect_does_not_leave_tls_that_it_came_to)
{
	struct exchange exchange = { 0 };
	char url[64];

	snprintf(url, sizeof(url), "http://localhost:%u/there-and-back", plain_port);
	exchange.request.url = url;
	exchange.request.limits.redirects = 5;
	exchange_perform(&exchange);
	ck_exchange(&exchange, -EPERM, QS_HTTP_RESOLVING);
	exchange_done(&exchange);
}
END_TEST

/* --- HTTP/2 --- */

#define MANY 100

START_TEST(requests_share_a_connection)
{
	static struct exchange exchanges[MANY];

	for (int i = 0; i < MANY; i++) {
		exchanges[i] = exchange_with("/connection");
		exchange_start(&exchanges[i]);
	}
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
	for (int i = 0; i < MANY; i++) {
		ck_exchange(&exchanges[i], 0, QS_HTTP_OVER);
		ck_assert_str_eq(exchanges[i].response.body, exchanges[0].response.body);
	}
	for (int i = 0; i < MANY; i++)
		exchange_done(&exchanges[i]);
}
END_TEST

static int perform_hundred(qs_task *self, void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		struct exchange exchange = exchange_with("/connection");

		(void)exchange_run(self, &exchange);
		ck_exchange(&exchange, 0, QS_HTTP_OVER);
		exchange_done(&exchange);
	}
	return 0;
}

/* After a thousand requests nginx closes a connection under the hands of who uses it. */
START_TEST(a_connection_that_goes_away_takes_no_request_along)
{
	for (int i = 0; i < 50; i++)
		world_send_off(&world.root, perform_hundred, NULL);
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
}
END_TEST

START_TEST(a_large_body_goes_both_ways)
{
	static char large[3 << 20];
	struct exchange down = exchange_with("/large"), up = exchange_with("/length");

	up.request.body = large;
	up.request.body_size = sizeof(large);
	exchange_perform(&down);
	exchange_perform(&up);
	ck_exchange(&down, 0, QS_HTTP_OVER);
	ck_assert_uint_eq(down.response.body_size, 5000000);
	ck_exchange(&up, 0, QS_HTTP_OVER);
	ck_assert_str_eq(up.response.body, "3145728");
	exchange_done(&down);
	exchange_done(&up);
}
END_TEST

static unsigned count_receiving(void)
{
	unsigned count = 0;

	list_for_each (node, &http->active)
		if (list_entry(node, struct qs_http_call, node)->phase == QS_HTTP_RECEIVING)
			count++;
	return count;
}

START_TEST(a_request_that_is_cancelled_leaves_those_beside_it_alone)
{
	struct exchange slow[5], quick = exchange_with("/large");
	qs_group *group;

	ck_assert_int_eq(qs_group_new(&world.root, NULL, &group), 0);
	for (int i = 0; i < 5; i++) {
		slow[i] = exchange_with("/slow");
		world_send_off(group, exchange_run, &slow[i]);
	}
	while (count_receiving() < 5)
		(void)qs_loop_turn(world.loop, true);
	exchange_start(&quick);
	while (http->active_count < 6)
		(void)qs_loop_turn(world.loop, true);
	qs_group_cancel(group, QS_CAUSE_API);
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
	ck_exchange(&quick, 0, QS_HTTP_OVER);
	exchange_done(&quick);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(slow[i].result, -ECANCELED);
		exchange_done(&slow[i]);
	}
	qs_group_free(group);
}
END_TEST

/* --- streams --- */

static size_t streamed;
static char protocol[32];

static int stream(qs_task *self, void *arg)
{
	struct exchange exchange = exchange_with(arg);
	qs_http_stream *answer;
	char buffer[4096];
	ssize_t size;

	ck_assert_int_eq(qs_http_open(self, http, &exchange.request, QS_FOREVER, &exchange.response,
	                         &answer),
	        0);
	exchange_done(&exchange);
	ck_assert_int_eq(qs_sleep(self, qs_in(self, 100 * QS_MSEC)), 0);
	while ((size = qs_http_read(self, answer, buffer, sizeof(buffer), QS_FOREVER)) > 0) {
		memcpy(protocol, buffer, MIN((size_t)size, sizeof(protocol) - 1));
		streamed += (size_t)size;
	}
	qs_http_close(answer);
	return (int)size;
}

/* Of HTTP/2 libcurl would keep megabytes for a reader that is slow. */
START_TEST(a_stream_has_a_connection_of_its_own)
{
	struct exchange before = exchange_with("/protocol");
	static char path[] = "/protocol", large[] = "/large";

	exchange_perform(&before);
	ck_assert_str_eq(before.response.body, "HTTP/2.0");
	exchange_done(&before);
	world_send_off(&world.root, stream, path);
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_str_eq(protocol, "HTTP/1.1");
	world_send_off(&world.root, stream, large);
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_eq(streamed, 5000000 + strlen("HTTP/1.1"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_tls");
	TCase *tls = tcase_create("tls"), *http2 = tcase_create("http2");

	tcase_add_checked_fixture(tls, set_up, tear_down);
	tcase_add_test(tls, a_certificate_that_is_trusted_is_enough);
	tcase_add_test(tls, a_certificate_of_somebody_else_is_not);
	tcase_add_test(tls, a_certificate_that_nobody_vouches_for_is_not);
	tcase_add_test(tls, certificates_that_are_not_there_are_told_at_once);
	tcase_add_test(tls, a_handshake_that_stalls_is_left_in_time);
	tcase_add_test(tls, a_proxy_that_eats_everything_is_left_in_time);
	tcase_add_test(tls, who_speaks_no_tls_fails_the_handshake);
	tcase_add_test(tls, a_redirect_never_leaves_tls);
	tcase_add_test(tls, a_redirect_does_not_leave_tls_that_it_came_to);
	suite_add_tcase(suite, tls);
	tcase_add_checked_fixture(http2, set_up, tear_down);
	tcase_add_test(http2, requests_share_a_connection);
	tcase_add_test(http2, a_connection_that_goes_away_takes_no_request_along);
	tcase_add_test(http2, a_large_body_goes_both_ways);
	tcase_add_test(http2, a_request_that_is_cancelled_leaves_those_beside_it_alone);
	tcase_add_test(http2, a_stream_has_a_connection_of_its_own);
	suite_add_tcase(suite, http2);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
