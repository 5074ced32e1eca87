/* The HTTP server for tests, where it answers well. */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

static void ck_assert_contains(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in: %s", part, text);
}

START_TEST(an_answer_is_as_asked_for)
{
	static const struct {
		const char *path, *head, *body;
	} cases[] = {
		{ "/answer", "HTTP/1.1 200 OK\r\n", "\r\n\r\nabc" },
		{ "/answer?size=30", "Content-Length: 30\r\n",
		        "\r\n\r\nabcdefghijklmnopqrstuvwxyzabcd" },
		{ "/answer?status=418&type=a/b", "HTTP/1.1 418 ", "Content-Type: a/b\r\n" },
		{ "/answer?body=%7B%22a%22%3A+1%7D", "Content-Length: 8\r\n",
		        "\r\n\r\n{\"a\": 1}" },
		{ "/answer?header=X-A:+1&header=X-B:+2", "X-A: 1\r\n", "X-B: 2\r\n" },
		{ "/answer?status=204", "HTTP/1.1 204 ", "\r\n\r\n" },
		{ "/status/504", "HTTP/1.1 504 ", "for ever" },
		{ "/redirect?to=http%3A//a/b&status=307", "HTTP/1.1 307 ",
		        "Location: http://a/b\r\n" },
		{ "/loop", "HTTP/1.1 302 ", "Location: /loop/next\r\n" },
		{ "/loop/next", "HTTP/1.1 302 ", "Location: /loop\r\n" },
		{ "/nothing", "HTTP/1.1 404 ", "no such path" },
	};
	_cleanup_(freep) char *answer = raw_ask(server.port, cases[_i].path);

	ck_assert_contains(answer, cases[_i].head);
	ck_assert_contains(answer, cases[_i].body);
	ck_assert_contains(answer, _i == 5 ? "HTTP" : "Connection: close\r\n");
}
END_TEST

START_TEST(an_answer_takes_its_time)
{
	uint64_t began = qs_time_now();
	_cleanup_(freep) char *answer = raw_ask(server.port, "/answer?delay=30ms");

	ck_assert_contains(answer, "abc");
	ck_assert_uint_ge(qs_time_now() - began, 30 * QS_MSEC);
}
END_TEST

START_TEST(an_echo_tells_what_was_asked)
{
	static const char *const expected[] = { "\"method\":\"PUT\"",
		"\"target\":\"/echo/a?b=%20c\"", "\"X-Odd\":\"it is\"", "\"size\":6",
		"\"body\":\"he\\\"llo\"" };
	int fd = raw_connect(server.port);
	_cleanup_(freep) char *answer = NULL;

	raw_send(fd,
	        "PUT /echo/a?b=%20c HTTP/1.1\r\nX-Odd:  it is\r\nContent-Length: 6\r\n\r\nhe\"llo");
	answer = raw_read(fd, "}");
	ck_assert_contains(answer, "200");
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		ck_assert_contains(answer, expected[i]);
	close(fd);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_their_order)
{
	int fd = raw_connect(server.port);
	_cleanup_(freep) char *answer = NULL;
	const char *first, *second, *third;

	raw_send(fd, "GET /answer?body=one&delay=20ms HTTP/1.1\r\n\r\n"
	             "POST /answer?body=two HTTP/1.1\r\nContent-Length: 3\r\n\r\nGET"
	             "GET /answer?body=three HTTP/1.1\r\nConnection: close\r\n\r\n");
	answer = raw_read(fd, NULL);
	first = strstr(answer, "one");
	second = strstr(answer, "two");
	third = strstr(answer, "three");
	ck_assert(first && second && third && first < second && second < third);
	ck_assert_uint_eq(http_server_count(&server, "requests"), 3);
	ck_assert_uint_eq(http_server_count(&server, "accepted"), 1);
	close(fd);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
	static const char text[] =
	        "POST /answer?body=well HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz";
	int fd = raw_connect(server.port);
	_cleanup_(freep) char *answer = NULL;

	for (size_t i = 0; text[i]; i++)
		raw_send(fd, (char[]){ text[i], '\0' });
	answer = raw_read(fd, "well");
	ck_assert_contains(answer, "200");
	close(fd);
}
END_TEST

START_TEST(what_is_no_request_is_refused)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
		{ "hello\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET /answer SMTP\r\n\r\n", "HTTP/1.1 400 " },
		{ "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 411 " },
		{ "POST /echo HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 413 " },
	};
	int fd = raw_connect(server.port);
	_cleanup_(freep) char *answer = NULL;

	raw_send(fd, cases[_i].request);
	answer = raw_read(fd, NULL);
	ck_assert_contains(answer, cases[_i].status);
	close(fd);
}
END_TEST

START_TEST(the_answer_to_head_has_no_body)
{
	int fd = raw_connect(server.port);
	_cleanup_(freep) char *answer = NULL;

	raw_send(fd, "HEAD /answer?size=9 HTTP/1.1\r\nConnection: close\r\n\r\n");
	answer = raw_read(fd, NULL);
	ck_assert_contains(answer, "Content-Length: 9\r\n");
	ck_assert_str_eq(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	close(fd);
}
END_TEST

START_TEST(a_key_is_told_to_come_again_so_many_times)
{
	static const char *const expected[] = { "HTTP/1.1 503 ", "HTTP/1.1 503 ", "HTTP/1.1 200 " };

	for (size_t i = 0; i < 3; i++) {
		_cleanup_(freep) char *answer =
		        raw_ask(server.port, "/retry?key=a&times=2&status=503&after=7");
		ck_assert_contains(answer, expected[i]);
		ck_assert_contains(answer, i < 2 ? "Retry-After: 7\r\n" : "well");
	}
	_cleanup_(freep) char *other = raw_ask(server.port, "/retry?key=b&after=date");
	ck_assert_contains(other, "HTTP/1.1 429 ");
	ck_assert_contains(other, " GMT\r\n");
}
END_TEST

START_TEST(what_is_held_is_answered_when_it_is_released)
{
	int fd = raw_connect(server.port);
	_cleanup_(freep) char *answer = NULL;

	raw_get(fd, "/hold?key=a");
	http_server_await(&server, "in_flight", 1);
	free(http_server_get(&server, "/release?key=b"));
	ck_assert_int_eq(recv(fd, (char[1]){ 0 }, 1, MSG_DONTWAIT), -1);
	free(http_server_get(&server, "/release?key=a"));
	answer = raw_read(fd, "released");
	ck_assert_contains(answer, "HTTP/1.1 200 OK\r\n");
	close(fd);
}
END_TEST

START_TEST(who_leaves_too_early_is_counted)
{
	int early = raw_connect(server.port), late = raw_connect(server.port);

	raw_get(early, "/hold");
	raw_get(late, "/answer");
	free(raw_read(late, "abc"));
	http_server_await(&server, "in_flight", 1);
	ck_assert_uint_eq(http_server_count(&server, "open"), 2);
	close(early);
	close(late);
	http_server_await(&server, "open", 0);
	ck_assert_uint_eq(http_server_count(&server, "cut"), 1);
	ck_assert_uint_eq(http_server_count(&server, "in_flight"), 0);
	ck_assert_uint_eq(http_server_count(&server, "requests"), 2);
	ck_assert_uint_eq(http_server_count(&server, "/hold"), 1);
}
END_TEST

START_TEST(chunks_come_as_asked_for)
{
	_cleanup_(freep) char *all = raw_ask(server.port, "/chunks?size=5&piece=3&every=1");
	_cleanup_(freep) char *cut = raw_ask(server.port, "/chunks?size=5&piece=3&cut");

	ck_assert_str_eq(strstr(all, "\r\n\r\n"), "\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	ck_assert_str_eq(strstr(cut, "\r\n\r\n"), "\r\n\r\n3\r\nabc\r\n2\r\nde\r\n");
}
END_TEST

START_TEST(events_come_one_by_one)
{
	_cleanup_(freep) char *events = raw_ask(server.port, "/stream?events=2&size=3&every=1");
	_cleanup_(freep) char *lines =
	        raw_ask(server.port, "/stream?events=1&size=3&type=application/x-ndjson");

	ck_assert_contains(events, "Content-Type: text/event-stream\r\n");
	ck_assert_contains(events, "id: 1\ndata: abc\n\n\r\n");
	ck_assert_contains(events, "id: 2\ndata: abc\n\n\r\n0\r\n\r\n");
	ck_assert_contains(lines, "\r\n{\"event\": 1, \"data\": \"abc\"}\n\r\n0\r\n\r\n");
}
END_TEST

START_TEST(who_does_not_read_stops_an_endless_stream)
{
	int fd = raw_connect(server.port);
	uint64_t sent = 0, before;

	raw_get(fd, "/stream?size=10000");
	do {
		before = sent;
		(void)poll(NULL, 0, 20);
		sent = http_server_count(&server, "sent");
	} while (sent > before || sent == 0);
	ck_assert_uint_lt(sent, 64 << 20);
	close(fd);
	http_server_await(&server, "cut", 1);
}
END_TEST

START_TEST(a_bomb_is_small_on_its_way)
{
	int fd = raw_connect(server.port);
	_cleanup_(freep) char *answer = NULL;

	raw_get(fd, "/gzip?size=100M");
	answer = raw_read(fd, "\x1f\x8b");
	ck_assert_contains(answer, "Content-Encoding: gzip\r\n");
	http_server_await(&server, "in_flight", 0);
	ck_assert_uint_lt(http_server_count(&server, "sent"), 150000);
	ck_assert_uint_gt(http_server_count(&server, "sent"), 90000);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_server");
	TCase *answers = tcase_create("answers"), *streams = tcase_create("streams");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(answers, setup, teardown);
	tcase_add_loop_test(answers, an_answer_is_as_asked_for, 0, 11);
	tcase_add_test(answers, an_answer_takes_its_time);
	tcase_add_test(answers, an_echo_tells_what_was_asked);
	tcase_add_test(answers, pipelined_requests_are_answered_in_their_order);
	tcase_add_test(answers, a_request_may_come_byte_by_byte);
	tcase_add_loop_test(answers, what_is_no_request_is_refused, 0, 4);
	tcase_add_test(answers, the_answer_to_head_has_no_body);
	tcase_add_test(answers, a_key_is_told_to_come_again_so_many_times);
	tcase_add_test(answers, what_is_held_is_answered_when_it_is_released);
	tcase_add_test(answers, who_leaves_too_early_is_counted);
	suite_add_tcase(suite, answers);
	tcase_add_checked_fixture(streams, setup, teardown);
	tcase_add_test(streams, chunks_come_as_asked_for);
	tcase_add_test(streams, events_come_one_by_one);
	tcase_add_test(streams, who_does_not_read_stops_an_endless_stream);
	tcase_add_test(streams, a_bomb_is_small_on_its_way);
	suite_add_tcase(suite, streams);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
