/*
 * The control server over real sockets: the protocol, and clients that dawdle, flood, half-close,
 * hang up, send garbage or come in crowds.
 */
#include "tests/unit/control_fixture.h"

static const struct control_limits hasty = {
	.request_time = 150 * QS_MSEC,
	.answer_time = 150 * QS_MSEC,
	.connections = 8,
	.body = 64 << 10,
	.input = 256 << 10,
};

static void set_up(void)
{
	start_server(NULL);
}

static void set_up_hasty(void)
{
	start_server(&hasty);
}

static void assert_alive(void)
{
	ck_assert_int_eq(ask("GET /livez"), 200);
	ck_assert_str_eq(body_heard(), "ok\n");
}

/* --- the protocol --- */

START_TEST(a_connection_serves_one_request_after_the_other)
{
	int fd = dial();

	for (int i = 0; i < 3; i++) {
		say(fd, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
		ck_assert(hear(fd, "ok\n"));
		ck_assert_int_eq(status_heard(), 200);
	}
	close(fd);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_their_order)
{
	int fd = dial();

	for (int i = 0; i < 20; i++)
		say(fd, "GET /livez HTTP/1.1\r\n\r\nGET /nothing HTTP/1.1\r\n\r\n");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	ck_assert(hear(fd, NULL));
	const char *at = heard;
	for (int i = 0; i < 40; i++) {
		at = strstr(at, "HTTP/1.1 ");
		ck_assert_ptr_nonnull(at);
		ck_assert_int_eq(strncmp(at + 9, i % 2 ? "404" : "200", 3), 0);
		at += 9;
	}
	ck_assert_ptr_null(strstr(at, "HTTP/1.1 "));
	close(fd);
}
END_TEST

START_TEST(a_half_closed_client_gets_its_answer)
{
	int fd = dial();

	say(fd, "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	ck_assert(hear(fd, NULL));
	ck_assert_int_eq(status_heard(), 200);
	ck_assert_ptr_nonnull(strstr(body_heard(), "\"workers\":["));
	close(fd);
}
END_TEST

START_TEST(head_has_the_length_and_no_body)
{
	ck_assert_int_eq(ask("HEAD /livez"), 200);
	ck_assert_ptr_nonnull(strstr(heard, "Content-Length: 3\r\n"));
	ck_assert_str_eq(body_heard(), "");
	ck_assert_int_eq(ask("HEAD /v1/events"), 200);
}
END_TEST

START_TEST(an_old_client_without_keep_alive_is_served)
{
	int fd = dial();

	say(fd, "GET /livez HTTP/1.0\r\n\r\n");
	ck_assert(hear(fd, NULL));
	ck_assert_int_eq(status_heard(), 200);
	close(fd);
}
END_TEST

START_TEST(a_wrong_method_is_told_the_right_one)
{
	ck_assert_int_eq(ask("POST /livez"), 405);
	ck_assert_ptr_nonnull(strstr(heard, "Allow: GET, HEAD\r\n"));
	ck_assert_int_eq(ask("DELETE /v1/drain"), 405);
	ck_assert_ptr_nonnull(strstr(heard, "Allow: POST\r\n"));
	ck_assert_int_eq(ask("BREW /livez"), 501);
	ck_assert_ptr_nonnull(strstr(heard, "application/problem+json"));
}
END_TEST

/* evhttp would send a page of HTML. */
static void assert_refused(const char *text, int status)
{
	int fd = dial();

	say(fd, text);
	ck_assert(hear(fd, NULL));
	ck_assert_int_eq(status_heard(), status);
	ck_assert_ptr_nonnull(strstr(heard, "Content-Type: application/problem+json\r\n"));
	json_t *problem = json_loads(body_heard(), 0, NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(problem, "status")), status);
	ck_assert_ptr_nonnull(json_string_value(json_object_get(problem, "title")));
	json_decref(problem);
	close(fd);
}

START_TEST(what_is_no_request_is_refused_as_a_problem)
{
	assert_refused("hello, is anybody there?\r\n\r\n", 400);
	assert_refused("GET /livez HTTP/9.1\r\n\r\n", 400);
	assert_refused("GET /livez HTTP/1.1\r\nno colon here\r\n\r\n", 400);
	assert_refused("POST /v1/drain HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400);
	assert_alive();
}
END_TEST

START_TEST(a_refused_request_does_not_take_the_connection_s_other_input)
{
	static char flood[1 << 16];
	int fd = dial();

	memset(flood, 'x', sizeof(flood));
	say(fd, "rubbish\r\n\r\n");
	while (send(fd, flood, sizeof(flood), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		;
	ck_assert(hear(fd, NULL));
	ck_assert_int_eq(status_heard(), 400);
	close(fd);
	await_connections(0);
}
END_TEST

START_TEST(headers_without_end_are_refused)
{
	static char header[70 << 10];
	int fd = dial();

	memset(header, 'h', sizeof(header) - 1);
	say(fd, "GET /livez HTTP/1.1\r\nX-Long: ");
	(void)send(fd, header, sizeof(header), MSG_NOSIGNAL);
	ck_assert(hear(fd, NULL));
	ck_assert_int_eq(status_heard(), 400);
	close(fd);
	assert_alive();
}
END_TEST

START_TEST(a_body_of_16_MiB_is_taken_and_one_byte_more_is_not)
{
	static char body[16 << 20];
	int fd = dial();

	memset(body, 'b', sizeof(body));
	say(fd, "POST /v1/resume HTTP/1.1\r\nContent-Length: 16777216\r\n\r\n");
	for (size_t sent = 0; sent < sizeof(body);) {
		ssize_t n = send(fd, body + sent, sizeof(body) - sent, MSG_NOSIGNAL);
		ck_assert_int_gt(n, 0);
		sent += (size_t)n;
	}
	ck_assert(hear(fd, "\r\n\r\n"));
	ck_assert_int_eq(status_heard(), 200);
	close(fd);
	assert_refused("POST /v1/resume HTTP/1.1\r\nContent-Length: 16777217\r\n\r\n", 413);
	assert_refused(
	        "POST /v1/resume HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000001\r\n", 413);
}
END_TEST

START_TEST(expect_100_continue_is_met)
{
	int fd = dial();

	say(fd, "POST /v1/resume HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	ck_assert(hear(fd, "100 Continue\r\n\r\n"));
	say(fd, "{}");
	ck_assert(hear(fd, "\r\n\r\n"));
	ck_assert_int_eq(status_heard(), 200);
	close(fd);
}
END_TEST

/* --- clients that are in nobody's way --- */

START_TEST(a_request_in_drops_is_cut_and_disturbs_nobody)
{
	int fd = dial();
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	const char *drops = "GET /livez HTTP/1.1\r\nX: 0123456789012345678901234567890123456789";

	/* A byte whenever it has not been cut for 10 ms: a timeout by activity would never come. */
	while (*drops && send(fd, drops, 1, MSG_NOSIGNAL) == 1 && poll(&poll_fd, 1, 10) == 0)
		drops++;
	ck_assert_msg(*drops, "was never cut");
	assert_alive();
	close(fd);
}
END_TEST

START_TEST(half_a_request_is_cut)
{
	int first = dial(), second = dial();

	say(first, "GET /li");
	say(second, "POST /v1/drain HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345");
	ck_assert(was_cut(first));
	ck_assert(was_cut(second));
	close(first);
	close(second);
}
END_TEST

START_TEST(a_silent_connection_is_kept_while_there_is_room)
{
	int silent = dial(), slow = dial();

	say(slow, "G");
	ck_assert(was_cut(slow));
	say(silent, "GET /livez HTTP/1.1\r\n\r\n");
	ck_assert(hear(silent, "ok\n"));
	close(silent);
	close(slow);
}
END_TEST

static void read_armed(void *arg)
{
	*(bool *)arg = qs_timer_armed(&served.control->timer);
}

START_TEST(an_idle_server_never_wakes_up)
{
	int fd = dial();
	bool armed = true;

	say(fd, "GET /livez HTTP/1.1\r\n\r\n");
	ck_assert(hear(fd, "ok\n"));
	/* The end of the answer is seen in a turn of its own. */
	for (int i = 0; armed && i < 1000; i++)
		in_loop(read_armed, &armed);
	ck_assert(!armed);
	close(fd);
}
END_TEST

START_TEST(silent_ones_make_room_when_all_places_are_taken)
{
	int silent[8], late;

	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++)
		silent[i] = dial();
	await_connections(ARRAY_SIZE(silent));
	late = dial();
	say(late, "GET /livez HTTP/1.1\r\n\r\n");
	ck_assert(hear(late, "ok\n"));
	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++)
		close(silent[i]);
	close(late);
}
END_TEST

START_TEST(one_that_never_takes_its_answers_is_cut)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";
	int fd = dial();
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	do {
		while (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
			;
	} while (poll(&poll_fd, 1, PATIENCE * 1000) == 1 && !(poll_fd.revents & POLLHUP));
	ck_assert(poll_fd.revents & POLLHUP);
	close(fd);
	assert_alive();
}
END_TEST

static void read_input(void *arg)
{
	*(size_t *)arg = served.control->input;
}

START_TEST(bodies_that_do_not_come_to_an_end_share_a_limit)
{
	static char body[60 << 10];
	int fds[7];
	size_t input = 0, ends = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial();
		say(fds[i], "POST /v1/drain HTTP/1.1\r\nContent-Length: 65536\r\n\r\n");
		(void)send(fds[i], body, sizeof(body), MSG_NOSIGNAL);
		in_loop(read_input, &input);
		ck_assert_uint_le(input, hasty.input + sizeof(body));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		ends += was_cut(fds[i]);
		close(fds[i]);
	}
	ck_assert_uint_eq(ends, ARRAY_SIZE(fds));
	await_connections(0);
	in_loop(read_input, &input);
	ck_assert_uint_eq(input, 0);
}
END_TEST

START_TEST(of_1100_clients_the_last_wait_until_others_go)
{
	static int fds[1100];
	struct rlimit limit = { 4096, 4096 };
	unsigned count;

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dial();
	await_connections(1024);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		say(fds[i], "GET /livez HTTP/1.1\r\n\r\n");
	for (unsigned i = 0; i < 1024; i++)
		ck_assert(hear(fds[i], "ok\n"));
	in_loop(read_count, &count);
	ck_assert_uint_eq(count, 1024);
	for (unsigned i = 0; i < 100; i++)
		close(fds[i]);
	for (unsigned i = 1024; i < ARRAY_SIZE(fds); i++)
		ck_assert(hear(fds[i], "ok\n"));
	for (unsigned i = 100; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	await_connections(0);
}
END_TEST

START_TEST(without_descriptors_it_waits_and_then_goes_on)
{
	struct rlimit before, limit;
	int fd = dial();

	say(fd, "GET /livez HTTP/1.1\r\n\r\n");
	ck_assert(hear(fd, "ok\n"));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	int late = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	limit = (struct rlimit){ (rlim_t)late + 1, before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(connect(late, (struct sockaddr *)&address, sizeof(address)), 0);
	say(late, "GET /livez HTTP/1.1\r\n\r\n");
	/* The old one is served on, and does not spin beside a listener that fails. */
	say(fd, "GET /livez HTTP/1.1\r\n\r\n");
	ck_assert(hear(fd, "ok\n"));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert(hear(late, "ok\n"));
	close(late);
	close(fd);
}
END_TEST

START_TEST(random_bytes_do_it_no_harm)
{
	uint64_t seed = 4711;
	struct qs_random numbers = { seed };

	for (int i = 0; i < 300; i++) {
		static const char *const beginnings[] = { "", "GET /",
			"POST /v1/drain HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nHost:", "\r\n\r\n" };
		char noise[200];
		int fd = dial();

		say(fd, beginnings[qs_random_below(&numbers, ARRAY_SIZE(beginnings))]);
		for (size_t j = 0; j < sizeof(noise); j++)
			noise[j] = (char)qs_random_next(&numbers);
		(void)send(fd, noise, qs_random_below(&numbers, sizeof(noise)), MSG_NOSIGNAL);
		if (qs_random_below(&numbers, 2))
			(void)send(fd, "\r\n\r\n", 4, MSG_NOSIGNAL);
		close(fd);
	}
	assert_alive();
	await_connections(0);
}
END_TEST

START_TEST(a_client_with_an_address_of_its_own_is_served)
{
	char own[108];

	snprintf(own, sizeof(own), "%s/a-client-with-quite-a-long-name-of-its-own", directory);
	int fd = dial_from(own);
	say(fd, "GET /livez HTTP/1.1\r\n\r\n");
	ck_assert(hear(fd, "ok\n"));
	close(fd);
}
END_TEST

static Suite *control_suite(void)
{
	Suite *suite = suite_create("control_server");
	TCase *protocol = tcase_create("protocol"), *abuse = tcase_create("abuse"),
	      *crowd = tcase_create("crowd");

	tcase_add_checked_fixture(protocol, set_up, stop_server);
	tcase_add_test(protocol, a_connection_serves_one_request_after_the_other);
	tcase_add_test(protocol, pipelined_requests_are_answered_in_their_order);
	tcase_add_test(protocol, a_half_closed_client_gets_its_answer);
	tcase_add_test(protocol, head_has_the_length_and_no_body);
	tcase_add_test(protocol, an_old_client_without_keep_alive_is_served);
	tcase_add_test(protocol, a_wrong_method_is_told_the_right_one);
	tcase_add_test(protocol, what_is_no_request_is_refused_as_a_problem);
	tcase_add_test(protocol, a_refused_request_does_not_take_the_connection_s_other_input);
	tcase_add_test(protocol, headers_without_end_are_refused);
	tcase_add_test(protocol, a_body_of_16_MiB_is_taken_and_one_byte_more_is_not);
	tcase_add_test(protocol, expect_100_continue_is_met);
	suite_add_tcase(suite, protocol);
	tcase_add_checked_fixture(abuse, set_up_hasty, stop_server);
	tcase_add_test(abuse, a_request_in_drops_is_cut_and_disturbs_nobody);
	tcase_add_test(abuse, half_a_request_is_cut);
	tcase_add_test(abuse, a_silent_connection_is_kept_while_there_is_room);
	tcase_add_test(abuse, silent_ones_make_room_when_all_places_are_taken);
	tcase_add_test(abuse, one_that_never_takes_its_answers_is_cut);
	tcase_add_test(abuse, bodies_that_do_not_come_to_an_end_share_a_limit);
	tcase_add_test(abuse, a_client_with_an_address_of_its_own_is_served);
	suite_add_tcase(suite, abuse);
	tcase_add_checked_fixture(crowd, set_up, stop_server);
	tcase_add_test(crowd, an_idle_server_never_wakes_up);
	tcase_add_test(crowd, of_1100_clients_the_last_wait_until_others_go);
	tcase_add_test(crowd, without_descriptors_it_waits_and_then_goes_on);
	tcase_add_test(crowd, random_bytes_do_it_no_harm);
	suite_add_tcase(suite, crowd);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(control_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
