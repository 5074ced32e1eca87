/*
 * What is answered later, over real sockets with real workers: waits that end by what they wait
 * for, by their time, by a hang-up or by the end; streams that are followed, left, not followed,
 * ended.
 */
#include "tests/unit/control_fixture.h"

static void set_up(void)
{
	const struct control_limits limits = { .stream_backlog = 64 << 10 };

	start_server(&limits);
}

/* Asks for a field of one worker until it is as wanted. */
static void await_field(const char *name, const char *field, const char *wanted)
{
	uint64_t deadline = qs_time_add(qs_time_now(), PATIENCE * QS_SEC);
	char line[64], value[64] = "";

	snprintf(line, sizeof(line), "GET /v1/workers/%s", name);
	do {
		ck_assert_int_eq(ask(line), 200);
		json_t *worker = json_loads(body_heard(), 0, NULL);
		const char *text = json_string_value(json_object_get(worker, field));
		snprintf(value, sizeof(value), "%s", text ? text : "null");
		json_decref(worker);
	} while (strcmp(value, wanted) != 0 && qs_time_now() < deadline);
	ck_assert_str_eq(value, wanted);
}

/* It ignores SIGTERM from its first line on. */
static void await_deafness(void)
{
	uint64_t deadline = qs_time_add(qs_time_now(), PATIENCE * QS_SEC);

	do {
		ck_assert_int_eq(ask("GET /v1/workers/deaf"), 200);
	} while (!strstr(heard, "\"lines\":[\"up\"]") && qs_time_now() < deadline);
	ck_assert_ptr_nonnull(strstr(heard, "\"lines\":[\"up\"]"));
}

static const char *field_heard(const char *field)
{
	static char text[256];
	json_t *json = json_loads(body_heard(), 0, NULL);
	const char *value = json_string_value(json_object_get(json, field));

	snprintf(text, sizeof(text), "%s", value ? value : "");
	json_decref(json);
	return text;
}

static int open_stream(void)
{
	int fd = dial();

	say(fd, "GET /v1/events HTTP/1.1\r\n\r\n");
	ck_assert(hear(fd, "\r\n\r\n"));
	ck_assert_int_eq(status_heard(), 200);
	ck_assert_ptr_nonnull(strstr(heard, "Content-Type: application/x-ndjson\r\n"));
	return fd;
}

/* The request has come when there are so many waits. */
static void read_waits(void *arg)
{
	unsigned count = 0;

	list_for_each (node, &served.control->pending.waits)
		count++;
	*(unsigned *)arg = count;
}

static void await_waits(unsigned wanted)
{
	uint64_t deadline = qs_time_add(qs_time_now(), PATIENCE * QS_SEC);
	unsigned count;

	do {
		in_loop(read_waits, &count);
	} while (count != wanted && qs_time_now() < deadline);
	ck_assert_uint_eq(count, wanted);
}

/* --- waits --- */

START_TEST(a_stop_is_answered_when_nothing_of_it_lives)
{
	await_field("steady", "state", "running");
	ck_assert_int_eq(ask("POST /v1/workers/steady/stop?wait=20s"), 200);
	ck_assert_str_eq(field_heard("state"), "stopped");
	ck_assert_str_eq(field_heard("last_verdict"), "stopped");
	ck_assert_int_eq(ask("POST /v1/workers/steady/stop?wait=20s"), 200);
}
END_TEST

START_TEST(a_start_is_answered_when_it_runs)
{
	ck_assert_int_eq(ask("POST /v1/workers/steady/stop?wait=20s"), 200);
	ck_assert_int_eq(ask("POST /v1/workers/steady/start?wait=20s"), 200);
	ck_assert_str_eq(field_heard("state"), "running");
}
END_TEST

START_TEST(a_restart_is_answered_by_another_run)
{
	char before[256];

	await_field("steady", "state", "running");
	ck_assert_int_eq(ask("GET /v1/workers/steady"), 200);
	snprintf(before, sizeof(before), "%s", strstr(heard, "\"pid\":"));
	ck_assert_int_eq(ask("POST /v1/workers/steady/restart?wait=20s"), 200);
	ck_assert_str_eq(field_heard("state"), "running");
	ck_assert_int_ne(strncmp(before, strstr(heard, "\"pid\":"), 12), 0);
}
END_TEST

START_TEST(once_is_started_when_it_has_finished)
{
	await_field("brief", "state", "stopped");
	ck_assert_int_eq(ask("POST /v1/workers/brief/start?wait"), 200);
	ck_assert_str_eq(field_heard("state"), "stopped");
	ck_assert_str_eq(field_heard("last_verdict"), "finished");
}
END_TEST

START_TEST(a_start_that_fails_says_why)
{
	await_field("crash", "state", "failed");
	ck_assert_int_eq(ask("POST /v1/workers/crash/start?wait=20s"), 500);
	ck_assert_ptr_nonnull(strstr(field_heard("detail"), "No such file or directory"));
}
END_TEST

START_TEST(without_a_wait_the_answer_comes_at_once)
{
	await_deafness();
	ck_assert_int_eq(ask("POST /v1/workers/deaf/stop"), 202);
	ck_assert_str_eq(field_heard("state"), "stopping");
}
END_TEST

START_TEST(a_wait_that_is_over_is_202)
{
	await_deafness();
	ck_assert_int_eq(ask("POST /v1/workers/deaf/stop?wait=20ms"), 202);
	ck_assert_str_eq(field_heard("state"), "stopping");
}
END_TEST

START_TEST(a_bad_span_changes_nothing)
{
	await_field("steady", "state", "running");
	ck_assert_int_eq(ask("POST /v1/workers/steady/stop?wait=tomorrow"), 400);
	ck_assert_int_eq(ask("POST /v1/workers/steady/stop?wait=%zz"), 400);
	await_field("steady", "state", "running");
}
END_TEST

static void ask_deaf_to_stop(int fd)
{
	await_deafness();
	say(fd, "POST /v1/workers/deaf/stop?wait=1h HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await_waits(1);
}

START_TEST(who_hangs_up_waits_no_more)
{
	int fd = dial();

	ask_deaf_to_stop(fd);
	close(fd);
	await_waits(0);
	await_connections(0);
}
END_TEST

START_TEST(who_half_closes_waits_on_and_may_hang_up_later)
{
	int fd = dial(), other = dial();

	ask_deaf_to_stop(fd);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	await_field("steady", "state", "running");
	say(other, "POST /v1/workers/steady/stop?wait=1h HTTP/1.1\r\n\r\n");
	ck_assert_int_eq(shutdown(other, SHUT_WR), 0);
	ck_assert(hear(other, NULL));
	ck_assert_int_eq(status_heard(), 200);
	close(other);
	await_waits(1);
	close(fd);
	await_waits(0);
	await_connections(0);
}
END_TEST

START_TEST(who_sends_on_while_waiting_is_not_read)
{
	static char flood[1 << 16];
	int fd = dial();
	size_t sent = 0;
	ssize_t n;

	ask_deaf_to_stop(fd);
	while ((n = send(fd, flood, sizeof(flood), MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	ck_assert_uint_lt(sent, 4 << 20);
	await_waits(1);
	close(fd);
	await_waits(0);
}
END_TEST

static void begin_drain(_unused_ void *arg)
{
	ck_assert_int_eq(qs_coordinator_drain(&served.coordinator), 0);
}

START_TEST(a_drain_ends_the_waits_for_starts)
{
	int fd = dial();

	await_deafness();
	say(fd, "POST /v1/workers/deaf/restart?wait=1h HTTP/1.1\r\n\r\n");
	await_waits(1);
	in_loop(begin_drain, NULL);
	ck_assert(hear(fd, "drains or shuts down"));
	ck_assert_int_eq(status_heard(), 409);
	close(fd);
	ck_assert_int_eq(ask("POST /v1/workers/steady/start"), 409);
	ck_assert_int_eq(ask("GET /readyz?verbose"), 503);
	ck_assert_ptr_nonnull(strstr(heard, "[-]phase draining\n"));
	ck_assert_int_eq(ask("GET /livez"), 200);
	ck_assert_int_eq(ask("POST /v1/resume"), 200);
	ck_assert_ptr_nonnull(strstr(heard, "\"phase\":\"running\""));
}
END_TEST

/* --- streams --- */

START_TEST(a_stream_tells_what_changes)
{
	await_field("steady", "state", "running");
	int fd = open_stream();

	ck_assert_int_eq(ask("POST /v1/workers/steady/stop?wait=20s"), 200);
	ck_assert(hear(fd, "\"state\":\"stopped\""));
	close(fd);
	await_connections(0);
}
END_TEST

START_TEST(a_half_closed_stream_goes_on_until_it_is_left)
{
	await_field("steady", "state", "running");
	int fd = open_stream();

	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	ck_assert_int_eq(ask("POST /v1/workers/steady/restart?wait=20s"), 200);
	ck_assert(hear(fd, "\"state\":\"running\""));
	/* Nothing is sent to it any more: that it has gone is heard all the same. */
	await_connections(1);
	close(fd);
	await_connections(0);
}
END_TEST

static void read_observers(void *arg)
{
	*(bool *)arg = !list_empty(&served.events.observers);
}

START_TEST(one_that_leaves_is_no_observer_any_more)
{
	bool observed;
	int fd = open_stream();

	in_loop(read_observers, &observed);
	ck_assert(observed);
	close(fd);
	await_connections(0);
	in_loop(read_observers, &observed);
	ck_assert(!observed);
}
END_TEST

/* Returns in *arg how many events it took until nobody watched any more. */
static void emit_until_unseen(void *arg)
{
	static char text[1001];
	unsigned *count = arg;

	memset(text, 'e', sizeof(text) - 1);
	while (*count < 10000 && !list_empty(&served.events.observers)) {
		events_emit(&served.events, "test", json_pack("{s:s}", "text", text));
		++*count;
	}
}

/* How many pieces of memory hold what the one stream has not taken; into *arg. */
static void emit_and_count_pieces(void *arg)
{
	const struct list *answering = &served.control->lists[CONNECTION_ANSWERING];
	const struct connection *connection = list_entry(answering->next, struct connection, node);

	ck_assert(!list_empty(answering));
	for (int i = 0; i < 400; i++)
		events_emit(&served.events, "test", json_pack("{s:i}", "number", i));
	*(int *)arg = evbuffer_peek(bufferevent_get_output(connection->bev), -1, NULL, NULL, 0);
}

START_TEST(small_events_that_wait_to_be_taken_cost_little_more_than_their_text)
{
	int pieces = 0, fd = open_stream();

	in_loop(emit_and_count_pieces, &pieces);
	ck_assert_int_gt(pieces, 0);
	ck_assert_int_lt(pieces, 40);
	ck_assert(hear(fd, "\"number\":399}\n\r\n"));
	close(fd);
	await_connections(0);
}
END_TEST

START_TEST(one_that_cannot_follow_is_told_and_cut)
{
	unsigned count = 0;
	int fd = open_stream();

	in_loop(emit_until_unseen, &count);
	ck_assert_uint_gt(count, 60);
	ck_assert_uint_lt(count, 70);
	ck_assert(hear(fd, NULL));
	ck_assert_ptr_nonnull(strstr(heard, "{\"event\":\"lost\"}\n\r\n0\r\n\r\n"));
	close(fd);
	await_connections(0);
}
END_TEST

/* --- the end --- */

START_TEST(at_the_end_those_who_wait_and_watch_are_told)
{
	int waiting = dial(), silent = dial(), half = dial(), stream = open_stream();

	say(half, "GET /liv");
	ask_deaf_to_stop(waiting);
	clients_open = 4;
	stop_thread();
	stop_parts();
	ck_assert(hear(waiting, NULL));
	ck_assert_int_eq(status_heard(), 202);
	ck_assert_ptr_nonnull(strstr(heard, "Connection: close\r\n"));
	ck_assert_str_eq(field_heard("state"), "stopping");
	ck_assert(hear(stream, NULL));
	ck_assert_ptr_nonnull(strstr(heard, "{\"event\":\"end\"}\n\r\n0\r\n\r\n"));
	ck_assert(was_cut(silent));
	ck_assert(was_cut(half));
}
END_TEST

START_TEST(an_answer_that_nobody_takes_does_not_hold_the_end_up)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";
	uint64_t began = qs_time_now();
	int fd = dial(), watcher = open_stream();

	while (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		;
	clients_open = 2;
	stop_thread();
	stop_parts();
	/* stop_parts gives it a second. */
	ck_assert_uint_lt(qs_time_sub(qs_time_now(), began), 10 * QS_SEC);
	ck_assert(was_cut(fd));
	ck_assert(was_cut(watcher));
}
END_TEST

static Suite *later_suite(void)
{
	Suite *suite = suite_create("control_later");
	TCase *waits = tcase_create("waits"), *streams = tcase_create("streams"),
	      *end = tcase_create("end");

	tcase_add_checked_fixture(waits, set_up, stop_server);
	tcase_add_test(waits, a_stop_is_answered_when_nothing_of_it_lives);
	tcase_add_test(waits, a_start_is_answered_when_it_runs);
	tcase_add_test(waits, a_restart_is_answered_by_another_run);
	tcase_add_test(waits, once_is_started_when_it_has_finished);
	tcase_add_test(waits, a_start_that_fails_says_why);
	tcase_add_test(waits, without_a_wait_the_answer_comes_at_once);
	tcase_add_test(waits, a_wait_that_is_over_is_202);
	tcase_add_test(waits, a_bad_span_changes_nothing);
	tcase_add_test(waits, who_hangs_up_waits_no_more);
	tcase_add_test(waits, who_half_closes_waits_on_and_may_hang_up_later);
	tcase_add_test(waits, who_sends_on_while_waiting_is_not_read);
	tcase_add_test(waits, a_drain_ends_the_waits_for_starts);
	suite_add_tcase(suite, waits);
	tcase_add_checked_fixture(streams, set_up, stop_server);
	tcase_add_test(streams, a_stream_tells_what_changes);
	tcase_add_test(streams, a_half_closed_stream_goes_on_until_it_is_left);
	tcase_add_test(streams, one_that_leaves_is_no_observer_any_more);
	tcase_add_test(
	        streams, small_events_that_wait_to_be_taken_cost_little_more_than_their_text);
	tcase_add_test(streams, one_that_cannot_follow_is_told_and_cut);
	suite_add_tcase(suite, streams);
	tcase_add_checked_fixture(end, set_up, NULL);
	tcase_add_test(end, at_the_end_those_who_wait_and_watch_are_told);
	tcase_add_test(end, an_answer_that_nobody_takes_does_not_hold_the_end_up);
	suite_add_tcase(suite, end);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(later_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
