/* What nobody would do on purpose: the daemon in surroundings and with workers that are no good. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/system/rig.h"
#include "tests/system/suite.h"

#define DEAF "exec: [sh, -c, \"trap '' TERM; echo deaf; while :; do sleep 9; done\"]"

static struct rig rig;

static unsigned times_logged(const char *text)
{
	unsigned count = 0;

	(void)rig_logged(&rig, text);
	for (const char *at = rig.log; (at = strstr(at, text)); at += strlen(text))
		count++;
	return count;
}

static json_int_t number_of(const char *worker, const char *key)
{
	char target[128];

	snprintf(target, sizeof(target), "/v1/workers/%s", worker);
	json_t *json = rig_json(&rig, "GET", target, 200);
	json_int_t value = json_integer_value(json_object_get(json, key));
	json_decref(json);
	return value;
}

static void finish(int status)
{
	int exited = rig_stop(&rig);

	ck_assert_msg(
	        exited == status, "exit status %d instead of %d\n%s", exited, status, rig.log);
	rig_done(&rig);
}

START_TEST(periodic_work_that_cannot_be_started_is_told_of_and_tried_at_its_next_time)
{
	rig_init(&rig, "workers: { w: { when: every 10ms, exec: [/nonexistent/program] } }\n");
	rig_start(&rig);
	for (int i = 0; i < 3; i++)
		rig_expect(&rig, "cannot start /nonexistent/program");
	finish(0);
}
END_TEST

START_TEST(many_skipped_slots_are_counted_and_told_once_a_run)
{
	rig_init(&rig, "workers: { w: { when: every 1ms, exec: [sleep, \"1000\"] } }\n");
	rig_start(&rig);
	rig_expect(&rig, "still running at its next time");
	while (number_of("w", "skipped") < 20)
		;
	ck_assert_uint_eq(times_logged("still running at its next time"), 1);
	finish(0);
}
END_TEST

static bool is_dev_null(pid_t pid, int fd)
{
	char path[64], target[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	return readlink(path, target, sizeof(target) - 1) > 0 && strcmp(target, "/dev/null") == 0;
}

/* By way of a shell, which closes them; it execs, so the pid stays. */
START_TEST(closed_standard_descriptors_do_not_become_other_files)
{
	char line[1024], sleeper[64], yaml[128];

	/* One that no other test has: it is there when the daemon has come as far. */
	snprintf(sleeper, sizeof(sleeper), "sleep 1000.%d", (int)getpid());
	snprintf(yaml, sizeof(yaml), "workers: { w: { exec: [%.5s, \"%s\"] } }\n", sleeper,
	        sleeper + strlen("sleep "));
	rig_init(&rig, yaml);
	snprintf(line, sizeof(line),
	        "cd %s && exec %s/bin/quiesced --config config.yaml --state-dir state "
	        "--control-socket %s <&- >&- 2>&-",
	        rig.directory, getenv("QUIESCE_BUILD"), rig.socket);
	rig.pid = fork();
	if (rig.pid == 0) {
		execl("/bin/sh", "sh", "-c", line, NULL);
		_exit(126);
	}
	rig_await_process(sleeper, true);
	for (int fd = 0; fd <= 2; fd++)
		ck_assert_msg(is_dev_null(rig.pid, fd), "descriptor %d is something else", fd);
	rig_await_state(&rig, "w", "running");
	int status;
	rig_signal(&rig, SIGTERM);
	ck_assert_int_eq(waitpid(rig.pid, &status, 0), rig.pid);
	rig.pid = 0;
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	json_decref(rig_report(&rig));
	rig_done(&rig);
}
END_TEST

/* What is abandoned is freed with its worker (a sanitizer sees to that), and killed all the same.
 */
START_TEST(without_any_time_for_the_kill_what_is_left_is_abandoned_and_nothing_stays)
{
	rig_init(&rig, "shutdown: { deadline: 20ms, cancel_grace: 20ms, kill_grace: 0s }\n"
	               "workers: { w: { " DEAF " } }\n");
	rig_start(&rig);
	rig_expect(&rig, "deaf");
	int exited = rig_stop(&rig);
	ck_assert_msg(exited == 150 || exited == 151, "exit status %d\n%s", exited, rig.log);
	json_t *report = rig_report(&rig);
	ck_assert_int_eq(json_integer_value(json_object_get(report, "exit_status")), exited);
	ck_assert_str_eq(rig_verdict(report, "w"), exited == 151 ? "abandoned" : "killed");
	json_decref(report);
	rig_done(&rig);
}
END_TEST

/* Somebody's debugger holds the loop's thread, and nothing else. */
static void hold_loop(pid_t pid)
{
	int status;

	ck_assert_int_eq(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
	ck_assert(WIFSTOPPED(status));
}

START_TEST(a_stuck_loop_is_left_at_the_deadline_with_a_report_and_a_word_about_it)
{
	rig_init(&rig, "shutdown: { deadline: 200ms, cancel_grace: 50ms, kill_grace: 50ms }\n"
	               "workers: { w: { " DEAF " } }\n");
	rig_start(&rig);
	rig_expect(&rig, "deaf");
	hold_loop(rig.pid);
	ck_assert_int_eq(rig_stop(&rig), 151);
	ck_assert(rig_logged(&rig, "did not come to its end in time"));
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(rig_verdict(report, "w"), "abandoned");
	json_decref(report);
	rig_await_process("trap '' TERM; echo deaf", false);
	while (waitpid(-1, NULL, 0) > 0)
		;
	rig_done(&rig);
}
END_TEST

START_TEST(a_start_that_waits_hears_that_it_has_ended_before_it_was_ready)
{
	rig_init(&rig, "workers: { w: { exec: [\"true\"], ready: { notify: true, timeout: 1h } } "
	               "}\n");
	rig_start(&rig);
	rig_await_state(&rig, "w", "stopped");
	json_t *problem = rig_json(&rig, "POST", "/v1/workers/w/start?wait=1h", 409);
	ck_assert_ptr_nonnull(
	        strstr(json_string_value(json_object_get(problem, "detail")), "ended already"));
	json_decref(problem);
	finish(0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		periodic_work_that_cannot_be_started_is_told_of_and_tried_at_its_next_time,
		many_skipped_slots_are_counted_and_told_once_a_run,
		closed_standard_descriptors_do_not_become_other_files,
		without_any_time_for_the_kill_what_is_left_is_abandoned_and_nothing_stays,
		a_stuck_loop_is_left_at_the_deadline_with_a_report_and_a_word_about_it,
		a_start_that_waits_hears_that_it_has_ended_before_it_was_ready,
	};

	return suite_run("hostile", tests, ARRAY_SIZE(tests));
}
