/* The control socket of the real daemon: who watches, who waits, and who behaves badly. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

static void finish(void)
{
	ck_assert_int_eq(rig_stop(&rig), 0);
	rig_done(&rig);
}

static int connect_and_send(const char *text)
{
	int fd = rig_connect(&rig);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	return fd;
}

/* Everything until the other side closes, as a new string. */
static char *read_to_end(int fd)
{
	size_t size = 1 << 20, used = 0;
	char *text = malloc(size);

	ck_assert_ptr_nonnull(text);
	for (ssize_t n; used < size - 1 && (n = read(fd, text + used, size - used - 1)) > 0;)
		used += (size_t)n;
	text[used] = '\0';
	close(fd);
	return text;
}

static void expect_answer(const char *request, const char *status)
{
	char *answer = read_to_end(connect_and_send(request));

	ck_assert_msg(strncmp(answer, "HTTP/1.1 ", 9) == 0 || strncmp(answer, "HTTP/1.0 ", 9) == 0,
	        "%s", answer);
	ck_assert_msg(strncmp(answer + 9, status, 3) == 0, "%s", answer);
	free(answer);
}

START_TEST(a_shutdown_that_is_waited_for_answers_with_the_report)
{
	start("workers: { w: { exec: [sleep, \"1000\"] } }\n");
	json_t *json = rig_json(&rig, "POST", "/v1/shutdown?wait=20s", 200);
	json_t *counts = json_object_get(json_object_get(json, "report"), "counts");
	ck_assert_int_eq(json_integer_value(json_object_get(counts, "stopped")), 1);
	json_decref(json);
	ck_assert_int_eq(rig_wait(&rig), 0);
	rig_done(&rig);
}
END_TEST

/* It said that the daemon ran on as if nothing had been asked. */
START_TEST(a_shutdown_that_is_not_waited_for_answers_with_the_phase_it_has_begun)
{
	start("shutdown: { deadline: 1h }\nworkers: { w: { exec: [sh, -c, \"trap '' TERM; echo "
	      "here; while :; do sleep 0.02; done\"] } }\n");
	rig_expect(&rig, "w: here");
	static const char *const phases[] = { "stopping", "cancelling", "killing" };
	for (size_t i = 0; i < 3; i++) {
		json_t *json = rig_json(&rig, "POST", "/v1/shutdown", 202);
		const char *phase = NULL;
		ck_assert_int_eq(json_unpack(json, "{s:{s:s}}", "daemon", "phase", &phase), 0);
		ck_assert_str_eq(phase, phases[i]);
		json_decref(json);
	}
	ck_assert_int_eq(rig_wait(&rig), 150);
	rig_done(&rig);
}
END_TEST

START_TEST(a_stream_of_events_tells_of_the_end_and_ends)
{
	start("workers: { w: { exec: [sleep, \"1000\"] } }\n");
	int fd = connect_and_send("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
	char byte;
	ck_assert_int_eq(recv(fd, &byte, 1, MSG_PEEK), 1);
	rig_signal(&rig, SIGTERM);
	char *stream = read_to_end(fd);
	ck_assert_ptr_nonnull(strstr(stream, "\"stopping\""));
	ck_assert_ptr_nonnull(strstr(stream, "worker-ended"));
	ck_assert_ptr_nonnull(strstr(stream, "\"end\""));
	free(stream);
	ck_assert_int_eq(rig_wait(&rig), 0);
	rig_done(&rig);
}
END_TEST

START_TEST(readiness_goes_at_once_and_liveness_stays_while_it_stops)
{
	int status;

	start("shutdown: { deadline: 1h }\nworkers: { w: { exec: [sh, -c, \"trap '' TERM; echo "
	      "here; "
	      "while :; do sleep 0.02; done\"] } }\n");
	rig_expect(&rig, "w: here");
	rig_signal(&rig, SIGTERM);
	rig_expect(&rig, "phase: stopping");
	free(rig_request(&rig, "GET", "/readyz", &status));
	ck_assert_int_eq(status, 503);
	free(rig_request(&rig, "GET", "/livez", &status));
	ck_assert_int_eq(status, 200);
	json_decref(rig_json(&rig, "POST", "/v1/workers/w/start", 409));
	rig_signal(&rig, SIGTERM);
	rig_signal(&rig, SIGINT);
	ck_assert_int_eq(rig_wait(&rig), 150);
	rig_done(&rig);
}
END_TEST

START_TEST(clients_that_hold_on_to_half_a_request_hold_up_nobody)
{
	int fds[200], status;

	start("");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = connect_and_send("GET /v1/status HT");
	free(rig_request(&rig, "GET", "/livez", &status));
	ck_assert_int_eq(status, 200);
	ck_assert_int_eq(rig_stop(&rig), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	rig_done(&rig);
}
END_TEST

START_TEST(clients_that_vanish_are_forgotten)
{
	start("workers: { w: { when: every 5ms, exec: [\"true\"] } }\n");
	for (int i = 0; i < 50; i++)
		close(connect_and_send("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
	for (int i = 0; i < 50; i++)
		close(connect_and_send(
		        "POST /v1/workers/w/stop?wait=1h HTTP/1.1\r\nHost: localhost\r\n"
		        "Content-Length: 0\r\n\r\n"));
	rig_await_state(&rig, "w", "stopped");
	finish();
}
END_TEST

START_TEST(what_comes_from_a_browser_is_refused)
{
	start("");
	expect_answer("POST /v1/shutdown HTTP/1.0\r\nOrigin: http://evil.example\r\n"
	              "Content-Length: 0\r\n\r\n",
	        "403");
	expect_answer("GET /v1/status HTTP/1.0\r\nHost: evil.example\r\n\r\n", "403");
	expect_answer("GET /v1/nothing HTTP/1.0\r\n\r\n", "404");
	expect_answer("GET /v1/shutdown HTTP/1.0\r\n\r\n", "405");
	expect_answer("complete nonsense\r\n\r\n", "400");
	finish();
}
END_TEST

static int as_stranger(const char *verb)
{
	char command[512];

	snprintf(command, sizeof(command),
	        "setpriv --reuid=65534 --regid=65534 --clear-groups %s/bin/quiescectl --socket %s "
	        "%s",
	        getenv("QUIESCE_BUILD"), rig.socket, verb);
	return WEXITSTATUS(system(command));
}

START_TEST(a_stranger_may_look_and_not_touch)
{
	start("workers: { w: { exec: [sleep, \"1000\"] } }\n");
	ck_assert_int_eq(chmod(rig.directory, 0755), 0);
	ck_assert_int_eq(chmod(rig.socket, 0666), 0);
	ck_assert_int_eq(as_stranger("list"), 0);
	ck_assert_int_eq(as_stranger("stop w"), 4);
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_shutdown_that_is_waited_for_answers_with_the_report,
		a_shutdown_that_is_not_waited_for_answers_with_the_phase_it_has_begun,
		a_stream_of_events_tells_of_the_end_and_ends,
		readiness_goes_at_once_and_liveness_stays_while_it_stops,
		clients_that_hold_on_to_half_a_request_hold_up_nobody,
		clients_that_vanish_are_forgotten,
		what_comes_from_a_browser_is_refused,
		a_stranger_may_look_and_not_touch,
	};

	return suite_run("control", tests, ARRAY_SIZE(tests));
}
