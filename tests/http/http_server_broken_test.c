/* The HTTP server for tests, where it misbehaves. */
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "lib/macro.h"
#include "tests/http/http_server.h"
#include "tests/http/raw.h"

static struct http_server server;

static void setup(void)
{
	http_server_start(&server, NULL);
}

static void teardown(void)
{
	http_server_stop(&server);
}

static const char *body_of(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	ck_assert_msg(end != NULL, "no end of the head: %s", answer);
	return end + 4;
}

START_TEST(it_hangs_up_without_a_word)
{
	int fd = raw_connect(server.port);
	_cleanup_(freep) char *answer = NULL;

	raw_get(fd, "/drop");
	answer = raw_read(fd, NULL);
	ck_assert_str_eq(answer, "");
	close(fd);
}
END_TEST

START_TEST(it_resets)
{
	int fd = raw_connect(server.port);

	raw_get(fd, "/reset");
	ck_assert_int_eq(raw_end(fd), ECONNRESET);
	close(fd);
}
END_TEST

START_TEST(it_lies_about_the_size)
{
	static const struct {
		const char *path, *length;
		size_t sent;
		bool ends;
	} cases[] = {
		{ "/half?size=10", "Content-Length: 10\r\n", 5, true },
		{ "/halfclose?size=10", "Content-Length: 10\r\n", 5, true },
		{ "/short?size=10", "Content-Length: 20\r\n", 10, false },
		{ "/long?size=10", "Content-Length: 10\r\n", 20, false },
	};
	int fd = raw_connect(server.port);
	char last[2] = { (char)('a' + cases[_i].sent - 1), '\0' };
	_cleanup_(freep) char *answer = NULL, *expected = NULL;

	raw_get(fd, cases[_i].path);
	ck_assert_int_ge(asprintf(&expected, "\r\n\r\nabcde%s%s", cases[_i].sent > 5 ? "fghij" : "",
	                         cases[_i].sent > 10 ? "klmnopqrst" : ""),
	        0);
	answer = raw_read(fd, cases[_i].ends ? NULL : expected);
	ck_assert_ptr_nonnull(strstr(answer, cases[_i].length));
	ck_assert_uint_eq(strlen(body_of(answer)), cases[_i].sent);
	ck_assert_str_eq(strrchr(answer, last[0]), last);
	ck_assert_uint_eq(http_server_count(&server, "open"), _i == 0 ? 0 : 1);
	close(fd);
	http_server_await(&server, "open", 0);
}
END_TEST

START_TEST(a_trickle_is_slow)
{
	uint64_t began = qs_time_now();
	_cleanup_(freep) char *answer = raw_ask(
	        server.port, _i == 0 ? "/trickle?every=2ms&size=20" : "/slowhead?every=1ms");

	ck_assert_str_eq(body_of(answer), _i == 0 ? "abcdefghijklmnopqrst" : "slow\n");
	ck_assert_uint_ge(qs_time_now() - began, 38 * QS_MSEC);
}
END_TEST

START_TEST(it_says_what_is_no_answer)
{
	_cleanup_(freep) char *garbage = raw_ask(server.port, "/garbage");
	_cleanup_(freep) char *length = raw_ask(server.port, "/badlength");
	_cleanup_(freep) char *big = raw_ask(server.port, "/bigheader?size=100k");

	ck_assert_int_ne(strncmp(garbage, "HTTP", 4), 0);
	ck_assert_ptr_nonnull(strstr(length, "Content-Length: many\r\n"));
	ck_assert_uint_ge(strlen(big), 100 << 10);
	ck_assert_str_eq(body_of(big), "big\n");
}
END_TEST

START_TEST(it_hears_and_says_nothing)
{
	int fd = raw_connect(server.port);
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	raw_get(fd, "/silent");
	http_server_await(&server, "in_flight", 1);
	ck_assert_int_eq(poll(&readable, 1, 20), 0);
	close(fd);
	http_server_await(&server, "cut", 1);
}
END_TEST

START_TEST(the_other_port_does_not_even_hear)
{
	int fd = raw_connect(server.silent_port);
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	raw_get(fd, "/answer");
	http_server_await(&server, "silent", 1);
	ck_assert_int_eq(poll(&readable, 1, 20), 0);
	ck_assert_uint_eq(http_server_count(&server, "requests"), 0);
	close(fd);
	http_server_await(&server, "silent", 0);
}
END_TEST

START_TEST(a_stalled_port_lets_nobody_connect)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct http_server stalled;
	struct pollfd writable = { .events = POLLOUT };

	http_server_start(&stalled, "--stall-accept");
	address.sin_port = htons((uint16_t)stalled.silent_port);
	writable.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(writable.fd, (struct sockaddr *)&address, sizeof(address)), -1);
	ck_assert_int_eq(errno, EINPROGRESS);
	ck_assert_int_eq(poll(&writable, 1, 50), 0);
	close(writable.fd);
	http_server_stop(&stalled);
}
END_TEST

/* --- faults --- */

/* "ok", "500", … of one request, by how it ended. */
static const char *fault_of(const char *path)
{
	int fd = raw_connect(server.port), end;
	char text[512] = "";
	ssize_t n;

	raw_get(fd, path);
	n = recv(fd, text, sizeof(text) - 1, 0);
	end = n < 0 ? errno : 0;
	close(fd);
	if (n <= 0)
		return end == ECONNRESET ? "reset" : "drop";
	if (strstr(text, "\r\nContent-Length: 1000\r\n"))
		return "short";
	return strstr(text, " 500 ") ? "500" : strstr(text, " 503 ") ? "503" : "ok";
}

START_TEST(faults_are_the_same_for_the_same_seed)
{
	static const char *const names[] = { "ok", "drop", "reset", "short", "500", "503" };
	unsigned counts[ARRAY_SIZE(names)] = { 0 }, sum = 0;
	const char *outcomes[300];
	char path[128];

	for (unsigned i = 0; i < ARRAY_SIZE(outcomes); i++) {
		snprintf(path, sizeof(path), "/faults?percent=50&seed=7&id=i%u&slow=1ms", i);
		outcomes[i] = fault_of(path);
		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			counts[k] += strcmp(names[k], outcomes[i]) == 0;
	}
	for (size_t k = 1; k < ARRAY_SIZE(names); k++) {
		ck_assert_uint_gt(counts[k], 5);
		ck_assert_uint_eq(http_server_count(&server, names[k]), counts[k]);
		sum += counts[k];
	}
	ck_assert_uint_eq(http_server_count(&server, "ok") + http_server_count(&server, "slow"),
	        ARRAY_SIZE(outcomes) - sum);
	ck_assert_uint_gt(sum, 90);
	ck_assert_uint_lt(sum, 160);
	http_server_stop(&server);
	http_server_start(&server, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(outcomes); i++) {
		snprintf(path, sizeof(path), "/faults?percent=50&seed=7&id=i%u&slow=1ms", i);
		ck_assert_str_eq(fault_of(path), outcomes[i]);
	}
}
END_TEST

START_TEST(an_id_fails_no_more_often_than_asked_for)
{
	_cleanup_(freep) char *ids = NULL;
	const char *path = "/faults?percent=100&id=x&most=3&slow=1ms", *outcome = NULL;

	for (unsigned i = 0; i < 4; i++)
		outcome = fault_of(path);
	ck_assert_str_eq(outcome, "ok");
	ids = http_server_get(&server, "/counters?ids");
	ck_assert_msg(strstr(ids, "\"x\": {\"ok\": 1, ") != NULL, "%s", ids);
}
END_TEST

/* --- its end --- */

START_TEST(it_ends_when_it_is_told_to)
{
	int fd = raw_connect(server.port), status;

	raw_get(fd, "/silent");
	http_server_await(&server, "in_flight", 1);
	ck_assert_int_eq(kill(server.pid, SIGTERM), 0);
	ck_assert_int_eq(waitpid(server.pid, &status, 0), server.pid);
	ck_assert_int_eq(status, 0);
	server.pid = 0;
	close(server.input_fd);
	ck_assert_int_eq(raw_end(fd), 0);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_server_broken");
	TCase *broken = tcase_create("broken"), *faults = tcase_create("faults");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(broken, setup, teardown);
	tcase_add_test(broken, it_hangs_up_without_a_word);
	tcase_add_test(broken, it_resets);
	tcase_add_loop_test(broken, it_lies_about_the_size, 0, 4);
	tcase_add_loop_test(broken, a_trickle_is_slow, 0, 2);
	tcase_add_test(broken, it_says_what_is_no_answer);
	tcase_add_test(broken, it_hears_and_says_nothing);
	tcase_add_test(broken, the_other_port_does_not_even_hear);
	tcase_add_test(broken, a_stalled_port_lets_nobody_connect);
	tcase_add_test(broken, it_ends_when_it_is_told_to);
	suite_add_tcase(suite, broken);
	tcase_add_checked_fixture(faults, setup, teardown);
	tcase_add_test(faults, faults_are_the_same_for_the_same_seed);
	tcase_add_test(faults, an_id_fails_no_more_often_than_asked_for);
	suite_add_tcase(suite, faults);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
