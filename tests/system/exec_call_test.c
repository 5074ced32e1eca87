/* Programs that are called, in the real daemon: what they answer, and how their calls end. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/system/rig.h"
#include "tests/system/suite.h"

static struct rig rig;

static void start(const char *yaml)
{
	rig_init(&rig, yaml);
	rig_start(&rig);
}

static void finish(int status)
{
	int exited = rig_stop(&rig);

	ck_assert_msg(
	        exited == status, "exit status %d instead of %d\n%s", exited, status, rig.log);
	rig_done(&rig);
}

/* --- calls --- */

static int call(const char *query, const char *payload, size_t size)
{
	char head[256];
	int fd = rig_connect(&rig);

	ck_assert_int_ge(fd, 0);
	int length = snprintf(head, sizeof(head),
	        "POST /v1/workers/w/call%s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n", query, size);
	ck_assert_int_eq(send(fd, head, (size_t)length, MSG_NOSIGNAL), length);
	for (size_t sent = 0; sent < size;) {
		ssize_t n = send(fd, payload + sent, size - sent, MSG_NOSIGNAL);
		ck_assert_int_gt(n, 0);
		sent += (size_t)n;
	}
	return fd;
}

static struct answer {
	char *head, *body; /* one piece of memory */
	size_t size;
	int status;
} answer;

/* Until the daemon closes; the one before is forgotten. */
static void await_answer(int fd)
{
	size_t room = 1 << 16, size = 0;

	free(answer.head);
	answer = (struct answer){ .head = malloc(room + 1) };
	for (;;) {
		struct pollfd readable = { .fd = fd, .events = POLLIN };
		ck_assert_msg(poll(&readable, 1, RIG_PATIENCE_MS) == 1, "no answer\n%s", rig.log);
		ssize_t n = read(fd, answer.head + size, room - size);
		ck_assert_int_ge(n, 0);
		if (n == 0)
			break;
		size += (size_t)n;
		if (size == room)
			answer.head = realloc(answer.head, (room *= 2) + 1);
	}
	close(fd);
	answer.head[size] = '\0';
	answer.body = strstr(answer.head, "\r\n\r\n");
	ck_assert_msg(answer.body, "no answer: \"%s\"\n", answer.head);
	ck_assert_int_eq(sscanf(answer.head, "HTTP/%*s %d", &answer.status), 1);
	*answer.body = '\0';
	answer.body += 4;
	answer.size = size - (size_t)(answer.body - answer.head);
}

static void ask(const char *payload, int status)
{
	await_answer(call("", payload, strlen(payload)));
	ck_assert_msg(answer.status == status, "%d instead of %d: %s\n%s", answer.status, status,
	        answer.body, rig.log);
}

/* A text of the problem that the latest answer is. */
static const char *problem(const char *key)
{
	static char text[4096];
	json_t *json = json_loads(answer.body, 0, NULL);

	ck_assert_msg(json, "no problem: %s", answer.body);
	const char *value = json_string_value(json_object_get(json, key));
	snprintf(text, sizeof(text), "%s", value ? value : "");
	json_decref(json);
	return text;
}

static void expect_problem(const char *key, const char *text)
{
	ck_assert_msg(strstr(problem(key), text), "%s is \"%s\": \"%s\" is not in it", key,
	        problem(key), text);
}

static json_int_t count_of(const char *key)
{
	json_t *json = rig_json(&rig, "GET", "/v1/workers/w", 200);
	json_int_t value =
	        json_integer_value(json_object_get(json_object_get(json, "counts"), key));

	json_decref(json);
	return value;
}

/* Waits until so many calls live that are in that state; returns the id of the latest. */
static json_int_t await_calls(const char *state, unsigned wanted)
{
	uint64_t until = rig_now_ms() + RIG_PATIENCE_MS;

	for (;;) {
		json_t *json = rig_json(&rig, "GET", "/v1/calls", 200);
		json_t *calls = json_is_array(json) ? json : json_object_get(json, "calls"), *one;
		json_int_t id = 0;
		unsigned found = 0;
		size_t i;

		json_array_foreach (calls, i, one) {
			const char *is = json_string_value(json_object_get(one, "state"));
			if (strcmp(is, state) != 0)
				continue;
			found++;
			id = MAX(id, json_integer_value(json_object_get(one, "id")));
		}
		json_decref(json);
		if (found == wanted)
			return id;
		ck_assert_msg(rig_now_ms() < until, "never %u %s\n%s", wanted, state, rig.log);
		(void)rig_logged(&rig, "");
	}
}

START_TEST(the_payload_goes_in_and_the_answer_comes_out)
{
	start("workers: { w: { when: call, exec: [sh, -c, \"cat; echo besides >&2\"], "
	      "call: { type: text/plain } } }\n");
	ask("{\"prompt\": \"a cat\"}", 200);
	ck_assert_str_eq(answer.body, "{\"prompt\": \"a cat\"}");
	ck_assert_ptr_nonnull(strstr(answer.head, "Content-Type: text/plain"));
	ck_assert_ptr_nonnull(strstr(answer.head, "Quiesced-Attempts: 1"));
	rig_expect(&rig, "besides");
	ask("", 200);
	ck_assert_str_eq(answer.body, "");
	ck_assert_int_eq(count_of("started"), 2);
	ck_assert_int_eq(count_of("finished"), 2);
	finish(0);
}
END_TEST

START_TEST(an_exit_status_is_the_outcome_and_its_last_words_say_why)
{
	start("workers: { w: { when: call, exec: [sh, -c, "
	      "\"echo half; echo first >&2; echo no model >&2; exit 3\"] } }\n");
	ask("1", 502);
	ck_assert_str_eq(problem("detail"), "exit status 3: first\nno model");
	ck_assert_str_eq(problem("verdict"), "failed");
	ck_assert_ptr_nonnull(strstr(answer.body, "half\\n"));
	ck_assert_int_eq(count_of("failed"), 1);
	finish(0);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_the_calls_failure)
{
	start("workers: { w: { when: call, exec: [/no/such/program] } }\n");
	ask("1", 502);
	expect_problem("detail", "cannot start /no/such/program: exec: No such file or directory");
	finish(0);
}
END_TEST

START_TEST(one_that_takes_too_long_is_ended_with_its_tree)
{
	start("workers: { w: { when: call, exec: [sh, -c, \"sleep 98761 & sleep 98762\"], "
	      "call: { timeout: 300ms } } }\n");
	ask("1", 504);
	expect_problem("detail", "no answer within 300ms");
	ck_assert_str_eq(problem("verdict"), "failed");
	ck_assert(!rig_process_exists("sleep 98761") && !rig_process_exists("sleep 98762"));
	finish(0);
}
END_TEST

START_TEST(one_that_takes_too_long_and_hears_nothing_is_killed)
{
	start("shutdown: { cancel_grace: 100ms }\n"
	      "workers: { w: { when: call, exec: [sh, -c, \"trap '' TERM; sleep 98769; "
	      "sleep 98769\"], call: { timeout: 100ms } } }\n");
	ask("1", 504);
	ck_assert(!rig_process_exists("sleep 98769"));
	finish(0);
}
END_TEST

START_TEST(what_it_leaves_behind_is_ended_and_the_answer_counts)
{
	start("shutdown: { cancel_grace: 100ms }\n"
	      "workers: { w: { when: call, exec: [sh, -c, \"(trap '' TERM; sleep 98770; "
	      "sleep 98770) & echo done\"] } }\n");
	ask("1", 200);
	ck_assert_str_eq(answer.body, "done\n");
	ck_assert(!rig_process_exists("sleep 98770"));
	finish(0);
}
END_TEST

START_TEST(one_that_says_too_much_is_ended)
{
	start("workers: { w: { when: call, exec: [cat, /dev/zero], call: { max_answer: 1MiB } } "
	      "}\n");
	ask("1", 502);
	expect_problem("detail", "longer than 1048576 bytes");
	ck_assert_uint_le(answer.size, 64 << 10);
	finish(0);
}
END_TEST

START_TEST(one_that_reads_nothing_of_a_large_payload_answers_all_the_same)
{
	size_t size = 4 << 20;
	char *payload = malloc(size);

	memset(payload, 'x', size);
	payload[0] = payload[size - 1] = '"';
	start("workers: { w: { when: call, exec: [echo, done] } }\n");
	await_answer(call("", payload, size));
	ck_assert_int_eq(answer.status, 200);
	ck_assert_str_eq(answer.body, "done\n");
	rig_stop(&rig);
	rig_done(&rig);
	free(payload);
}
END_TEST

START_TEST(a_large_answer_comes_whole)
{
	start("workers: { w: { when: call, exec: [head, -c, \"5000000\", /dev/zero] } }\n");
	ask("1", 200);
	ck_assert_uint_eq(answer.size, 5000000);
	finish(0);
}
END_TEST

START_TEST(a_client_that_hangs_up_ends_the_whole_tree)
{
	start("workers: { w: { when: call, exec: [sh, -c, \"sleep 98763 & sleep 98764\"] } }\n");
	int fd = call("", "1", 1);
	rig_await_process("sleep 98763", true);
	rig_await_process("sleep 98764", true);
	close(fd);
	rig_await_process("sleep 98763", false);
	rig_await_process("sleep 98764", false);
	rig_expect(&rig, "call 1 cancelled");
	finish(0);
}
END_TEST

START_TEST(a_child_that_hears_nothing_is_killed_and_the_caller_is_told)
{
	start("shutdown: { deadline: 300ms, cancel_grace: 300ms }\n"
	      "workers: { w: { when: call, exec: [sh, -c, \"trap '' TERM; sleep 98765 & "
	      "echo listens >&2; while :; do sleep 98766; done\"] } }\n");
	int fd = call("", "1", 1);
	rig_expect(&rig, "w: listens");
	rig_signal(&rig, SIGTERM);
	await_answer(fd);
	ck_assert_int_eq(answer.status, 503);
	ck_assert_str_eq(problem("verdict"), "killed");
	ck_assert_int_eq(rig_wait(&rig), 150);
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(rig_verdict(report, "w"), "killed");
	json_decref(report);
	ck_assert(!rig_process_exists("sleep 98765") && !rig_process_exists("sleep 98766"));
	rig_done(&rig);
}
END_TEST

START_TEST(a_shutdown_asks_the_program_and_the_caller_is_told)
{
	start("workers: { w: { when: call, exec: [sh, -c, \"echo listens >&2; exec sleep 98767\"] "
	      "} "
	      "}\n");
	int fd = call("", "1", 1);
	rig_expect(&rig, "w: listens");
	rig_signal(&rig, SIGTERM);
	await_answer(fd);
	ck_assert_int_eq(answer.status, 503);
	ck_assert_str_eq(problem("verdict"), "stopped");
	ck_assert_int_eq(rig_wait(&rig), 0);
	rig_done(&rig);
}
END_TEST

START_TEST(a_program_that_finishes_when_it_is_asked_has_answered)
{
	start("workers: { w: { when: call, exec: [sh, -c, \"trap 'echo in time; exit 0' TERM; "
	      "echo listens >&2; while :; do sleep 0.01; done\"] } }\n");
	int fd = call("", "1", 1);
	rig_expect(&rig, "w: listens");
	rig_signal(&rig, SIGTERM);
	await_answer(fd);
	ck_assert_msg(answer.status == 200, "%d: %s\n%s", answer.status, answer.body, rig.log);
	ck_assert_str_eq(answer.body, "in time\n");
	ck_assert_int_eq(rig_wait(&rig), 0);
	rig_done(&rig);
}
END_TEST

START_TEST(calls_wait_for_their_turn_and_too_many_are_refused)
{
	start("workers: { w: { when: call, concurrency: 1, backlog: 1, "
	      "exec: [sh, -c, \"read go <go; cat\"] } }\n");
	char command[128];
	snprintf(command, sizeof(command), "mkfifo %s/go", rig.directory);
	ck_assert_int_eq(system(command), 0);
	int first = call("", "1", 1);
	(void)await_calls("running", 1);
	int second = call("", "2", 1);
	(void)await_calls("queued", 1);
	ask("3", 429);
	expect_problem("detail", "1 calls wait for their turn already");
	snprintf(command, sizeof(command), "echo > %s/go", rig.directory);
	ck_assert_int_eq(system(command), 0);
	await_answer(first);
	ck_assert_str_eq(answer.body, "1");
	ck_assert_int_eq(system(command), 0);
	await_answer(second);
	ck_assert_str_eq(answer.body, "2");
	finish(0);
}
END_TEST

START_TEST(calls_that_wait_end_at_once_when_the_daemon_stops)
{
	start("workers: { w: { when: call, rate: { count: 1, within: 1h }, exec: [echo, hello] } "
	      "}\n");
	ask("1", 200);
	int fds[10];
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = call("", "1", 1);
	(void)await_calls("queued", ARRAY_SIZE(fds));
	rig_signal(&rig, SIGTERM);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		await_answer(fds[i]);
		ck_assert_int_eq(answer.status, 503);
		ck_assert_str_eq(problem("verdict"), "stopped");
		expect_problem("detail", "waiting for its turn");
	}
	ck_assert_int_eq(rig_wait(&rig), 0);
	rig_done(&rig);
}
END_TEST

START_TEST(a_detached_call_is_cancelled_by_its_id_and_its_place_is_free_again)
{
	start("workers: { w: { when: call, concurrency: 1, exec: [sh, -c, "
	      "\"read x; [ $x = 1 ] || exec sleep 98768\"] } }\n");
	await_answer(call("?detach", "2\n", 2));
	ck_assert_int_eq(answer.status, 202);
	rig_await_process("sleep 98768", true);
	char target[64];
	int status;
	snprintf(target, sizeof(target), "/v1/calls/%lld", (long long)await_calls("running", 1));
	free(rig_request(&rig, "DELETE", target, &status));
	ck_assert_int_eq(status / 100, 2);
	rig_await_process("sleep 98768", false);
	rig_expect(&rig, "cancelled");
	ask("1\n", 200);
	finish(0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		the_payload_goes_in_and_the_answer_comes_out,
		an_exit_status_is_the_outcome_and_its_last_words_say_why,
		a_program_that_is_not_there_is_the_calls_failure,
		one_that_takes_too_long_is_ended_with_its_tree,
		one_that_takes_too_long_and_hears_nothing_is_killed,
		what_it_leaves_behind_is_ended_and_the_answer_counts,
		one_that_says_too_much_is_ended,
		one_that_reads_nothing_of_a_large_payload_answers_all_the_same,
		a_large_answer_comes_whole,
		a_client_that_hangs_up_ends_the_whole_tree,
		a_child_that_hears_nothing_is_killed_and_the_caller_is_told,
		a_shutdown_asks_the_program_and_the_caller_is_told,
		a_program_that_finishes_when_it_is_asked_has_answered,
		calls_wait_for_their_turn_and_too_many_are_refused,
		calls_that_wait_end_at_once_when_the_daemon_stops,
		a_detached_call_is_cancelled_by_its_id_and_its_place_is_free_again,
	};

	return suite_run("exec_call", tests, ARRAY_SIZE(tests));
}
