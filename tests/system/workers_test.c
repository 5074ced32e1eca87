/* What workers do by their policies, in the real daemon with real processes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/system/rig.h"
#include "tests/system/suite.h"

/* Says READY=1 or whatever else on the notify socket. Debian's systemd-notify would be another
 * process. */
#define NOTIFY                                                                                  \
	"#!/usr/bin/python3\nimport os, socket, time, signal, sys\n"                            \
	"def notify(text):\n  s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"           \
	"  a = os.environ['NOTIFY_SOCKET']\n  s.connect('\\0' + a[1:] if a[0] == '@' else a)\n" \
	"  s.send(text.encode())\n"

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

static json_t *look_at(const char *worker)
{
	char target[128];

	snprintf(target, sizeof(target), "/v1/workers/%s", worker);
	return rig_json(&rig, "GET", target, 200);
}

static void expect_text(const char *worker, const char *key, const char *text)
{
	json_t *json = look_at(worker);
	const char *value = json_string_value(json_object_get(json, key));

	ck_assert_msg(
	        value && strstr(value, text), "%s of %s is %s\n%s", key, worker, value, rig.log);
	json_decref(json);
}

static json_int_t number_of(const char *worker, const char *key)
{
	json_t *json = look_at(worker);
	json_int_t value = json_integer_value(json_object_get(json, key));

	json_decref(json);
	return value;
}

START_TEST(once_that_went_well_is_stopped_and_finished)
{
	start("workers: { w: { when: once, exec: [\"true\"] } }\n");
	rig_await_state(&rig, "w", "stopped");
	expect_text("w", "last_verdict", "finished");
	finish(0);
}
END_TEST

START_TEST(once_that_failed_is_failed_and_keeps_readiness_away)
{
	rig_init(&rig, "workers: { w: { when: once, exec: [\"false\"] } }\n");
	rig_launch(&rig, NULL);
	rig_expect(&rig, "failed: exit status 1");
	rig_await_state(&rig, "w", "failed");
	int status;
	char *body = rig_request(&rig, "GET", "/readyz?verbose", &status);
	ck_assert_int_eq(status, 503);
	ck_assert_ptr_nonnull(strstr(body, "[-]"));
	free(body);
	body = rig_request(&rig, "GET", "/livez", &status);
	ck_assert_int_eq(status, 200);
	free(body);
	finish(0);
}
END_TEST

START_TEST(once_with_on_failure_tries_until_it_succeeds)
{
	start("workers: { w: { when: once, restart: on-failure, backoff: { base: 1ms, cap: 5ms }, "
	      "exec: [sh, -c, \"echo x >> tries; test $(wc -l < tries) -ge 3\"] } }\n");
	rig_await_state(&rig, "w", "stopped");
	ck_assert_int_eq(number_of("w", "restarts"), 2);
	finish(0);
}
END_TEST

START_TEST(on_failure_does_not_restart_what_ended_well)
{
	start("workers: { w: { exec: [\"true\"] } }\n");
	rig_await_state(&rig, "w", "stopped");
	ck_assert_int_eq(number_of("w", "restarts"), 0);
	finish(0);
}
END_TEST

START_TEST(always_restarts_what_ended_well_too)
{
	start("workers: { w: { exec: [sh, -c, echo again], restart: always, "
	      "backoff: { base: 1ms, cap: 2ms }, limit: { count: 100, within: 1s } } }\n");
	for (int i = 0; i < 4; i++)
		rig_expect(&rig, "again");
	finish(0);
}
END_TEST

START_TEST(never_leaves_a_failure_alone)
{
	rig_init(&rig, "workers: { w: { exec: [\"false\"], restart: never } }\n");
	rig_launch(&rig, NULL);
	rig_expect(&rig, "failed: exit status 1");
	finish(0);
}
END_TEST

START_TEST(too_many_restarts_end_in_failed_and_visible)
{
	rig_init(&rig, "workers: { w: { exec: [\"false\"], backoff: { base: 1ms, cap: 1ms }, "
	               "limit: { count: 3, within: 1h } } }\n");
	rig_launch(&rig, NULL);
	rig_await_process("quiesced --config", true);
	rig_expect(&rig, "3 restarts within 1h");
	rig_await_state(&rig, "w", "failed");
	ck_assert_int_eq(number_of("w", "restarts"), 3);
	finish(0);
}
END_TEST

START_TEST(the_budget_over_all_delays_restarts_and_fails_none)
{
	start("supervision: { restarts: { count: 2, within: 1h } }\n"
	      "workers: { w: { exec: [\"false\"], essential: false, backoff: { base: 1ms, cap: 1ms "
	      "} } }\n");
	rig_expect(&rig, "backoff");
	rig_expect(&rig, "backoff");
	rig_expect(&rig, "backoff");
	rig_await_state(&rig, "w", "backoff");
	ck_assert_int_eq(number_of("w", "restarts"), 2);
	finish(0);
}
END_TEST

START_TEST(an_executable_that_does_not_exist_fails_and_the_daemon_goes_on)
{
	rig_init(&rig, "workers:\n  bad: { exec: [/does/not/exist] }\n  good: { exec: [sleep, "
	               "\"1000\"] }\n");
	rig_launch(&rig, NULL);
	rig_expect(&rig, "No such file or directory");
	rig_await_state(&rig, "bad", "failed");
	rig_await_state(&rig, "good", "running");
	expect_text("bad", "detail", "/does/not/exist");
	finish(0);
}
END_TEST

START_TEST(periodic_work_runs_again_and_again)
{
	start("workers: { w: { when: every 20ms, exec: [sh, -c, echo tick] } }\n");
	for (int i = 0; i < 5; i++)
		rig_expect(&rig, "tick");
	finish(0);
}
END_TEST

START_TEST(a_slot_that_finds_it_still_running_is_skipped_and_counted)
{
	start("workers: { w: { when: every 30ms, exec: [sleep, \"1000\"] } }\n");
	rig_expect(&rig, "skipped, 1 so far");
	json_t *json = look_at("w");
	ck_assert_str_eq(json_string_value(json_object_get(json, "state")), "running");
	ck_assert_int_eq(
	        json_integer_value(json_object_get(json_object_get(json, "counts"), "started")), 1);
	json_decref(json);
	finish(0);
}
END_TEST

START_TEST(a_periodic_failure_waits_for_the_next_slot)
{
	start("workers: { w: { when: every 20ms, exec: [sh, -c, \"echo tick; exit 3\"] } }\n");
	rig_expect(&rig, "ended: failed, exit status 3");
	rig_expect(&rig, "ended: failed, exit status 3");
	finish(0);
}
END_TEST

START_TEST(after_waits_until_the_other_is_ready)
{
	rig_init(&rig,
	        "workers:\n  b: { exec: [sh, -c, \"echo b here; exec sleep 1000\"], after: [a] }\n"
	        "  a: { exec: [./a], ready: { notify: true } }\n");
	rig_write(&rig, "a",
	        NOTIFY "print('a here', flush=True)\ninput_ = open('go').read()\n"
	               "notify('READY=1\\nSTATUS=well')\ntime.sleep(1000)\n");
	char command[128];
	snprintf(command, sizeof(command), "mkfifo %s/go", rig.directory);
	ck_assert_int_eq(system(command), 0);
	rig_launch(&rig, NULL);
	rig_expect(&rig, "a here");
	expect_text("b", "state", "waiting");
	expect_text("b", "waiting_on", "a");
	snprintf(command, sizeof(command), "echo go > %s/go", rig.directory);
	ck_assert_int_eq(system(command), 0);
	rig_expect(&rig, "b here");
	expect_text("a", "status", "well");
	rig_await_state(&rig, "b", "running");
	finish(0);
}
END_TEST

START_TEST(who_waits_for_a_failed_one_says_so)
{
	rig_init(&rig, "workers:\n  a: { when: once, exec: [\"false\"] }\n"
	               "  b: { exec: [sleep, \"1000\"], after: [a] }\n");
	rig_launch(&rig, NULL);
	rig_expect(&rig, "failed");
	rig_await_state(&rig, "a", "failed");
	expect_text("b", "waiting_on", "a, which has failed");
	finish(0);
}
END_TEST

START_TEST(not_ready_in_time_is_a_failure)
{
	rig_init(&rig, "workers: { w: { exec: [sleep, \"1000\"], restart: never, "
	               "ready: { notify: true, timeout: 100ms } } }\n");
	rig_launch(&rig, NULL);
	rig_expect(&rig, "asked to stop (ready)");
	rig_expect(&rig, "ended: failed");
	rig_await_state(&rig, "w", "failed");
	finish(0);
}
END_TEST

START_TEST(a_missed_heartbeat_ends_the_tree_and_restarts_it)
{
	rig_init(&rig, "workers: { w: { exec: [./w], heartbeat: 200ms, ready: { notify: true }, "
	               "backoff: { base: 1ms, cap: 1ms } } }\n");
	rig_write(&rig, "w",
	        NOTIFY "notify('READY=1')\nfor i in range(3):\n  notify('WATCHDOG=1')\n"
	               "  time.sleep(0.05)\nprint('silent now', flush=True)\ntime.sleep(1000)\n");
	rig_launch(&rig, NULL);
	rig_expect(&rig, "silent now");
	rig_expect(&rig, "asked to stop (heartbeat)");
	rig_expect(&rig, "ended: failed");
	rig_expect(&rig, "silent now");
	finish(0);
}
END_TEST

START_TEST(statuses_listed_as_success_are_no_failure_when_asked)
{
	start("workers: { w: { exec: [sh, -c, \"trap 'exit 42' TERM; echo here; while :; do sleep "
	      "0.02; done\"], "
	      "stop: { success: [42] } } }\n");
	rig_expect(&rig, "here");
	ck_assert_int_eq(rig_stop(&rig), 0);
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(rig_verdict(report, "w"), "stopped");
	json_decref(report);
	rig_done(&rig);
}
END_TEST

START_TEST(another_stop_signal_is_sent_if_one_is_named)
{
	start("workers: { w: { exec: [sh, -c, \"trap '' TERM; trap 'echo got it; exit 0' USR2; "
	      "echo here; "
	      "while :; do sleep 0.02; done\"], stop: { signal: SIGUSR2 } } }\n");
	rig_expect(&rig, "here");
	rig_signal(&rig, SIGTERM);
	rig_expect(&rig, "got it");
	ck_assert_int_eq(rig_wait(&rig), 0);
	rig_done(&rig);
}
END_TEST

START_TEST(a_child_runs_where_and_how_it_was_told)
{
	start("workers: { w: { exec: [sh, -c, \"echo at $(pwd) umask $(umask) files $(ulimit -n) "
	      "$WHO\"], "
	      "working_directory: /usr, umask: 0027, environment: { WHO: me }, limits: { "
	      "open_files: 123 } } }\n");
	rig_expect(&rig, "at /usr umask 0027 files 123 me");
	finish(0);
}
END_TEST

START_TEST(a_limit_that_cannot_be_enforced_is_a_clear_warning)
{
	start("workers: { w: { exec: [sleep, \"1000\"], limits: { memory: 64MiB } } }\n");
	ck_assert(rig_logged(&rig, "memory"));
	finish(0);
}
END_TEST

START_TEST(stopped_by_hand_it_stays_so_until_it_is_started_again)
{
	start("workers: { w: { exec: [sh, -c, \"echo here; exec sleep 1000\"], restart: always } "
	      "}\n");
	rig_expect(&rig, "here");
	json_decref(rig_json(&rig, "POST", "/v1/workers/w/stop?wait=10s", 200));
	expect_text("w", "state", "stopped");
	expect_text("w", "last_verdict", "stopped");
	json_decref(rig_json(&rig, "POST", "/v1/workers/w/start?wait=10s", 200));
	rig_expect(&rig, "here");
	json_decref(rig_json(&rig, "POST", "/v1/workers/w/restart?wait=10s", 200));
	rig_expect(&rig, "here");
	expect_text("w", "state", "running");
	finish(0);
}
END_TEST

START_TEST(while_draining_nothing_is_started_and_work_goes_on)
{
	start("workers:\n  w: { exec: [sleep, \"1000\"] }\n  p: { when: every 20ms, exec: [sh, -c, "
	      "echo tick] }\n");
	rig_expect(&rig, "tick");
	json_decref(rig_json(&rig, "POST", "/v1/drain", 200));
	rig_expect(&rig, "phase: draining");
	json_decref(rig_json(&rig, "POST", "/v1/workers/w/restart", 409));
	json_decref(rig_json(&rig, "POST", "/v1/reload", 409));
	expect_text("w", "state", "running");
	json_decref(rig_json(&rig, "POST", "/v1/resume", 200));
	rig_expect(&rig, "phase: running");
	rig_expect(&rig, "tick");
	finish(0);
}
END_TEST

START_TEST(usr1_drains_and_usr2_resumes)
{
	start("workers: { w: { exec: [sleep, \"1000\"] } }\n");
	rig_signal(&rig, SIGUSR1);
	rig_expect(&rig, "phase: draining");
	rig_signal(&rig, SIGUSR2);
	rig_expect(&rig, "phase: running");
	finish(0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		once_that_went_well_is_stopped_and_finished,
		once_that_failed_is_failed_and_keeps_readiness_away,
		once_with_on_failure_tries_until_it_succeeds,
		on_failure_does_not_restart_what_ended_well,
		always_restarts_what_ended_well_too,
		never_leaves_a_failure_alone,
		too_many_restarts_end_in_failed_and_visible,
		the_budget_over_all_delays_restarts_and_fails_none,
		an_executable_that_does_not_exist_fails_and_the_daemon_goes_on,
		periodic_work_runs_again_and_again,
		a_slot_that_finds_it_still_running_is_skipped_and_counted,
		a_periodic_failure_waits_for_the_next_slot,
		after_waits_until_the_other_is_ready,
		who_waits_for_a_failed_one_says_so,
		not_ready_in_time_is_a_failure,
		a_missed_heartbeat_ends_the_tree_and_restarts_it,
		statuses_listed_as_success_are_no_failure_when_asked,
		another_stop_signal_is_sent_if_one_is_named,
		a_child_runs_where_and_how_it_was_told,
		a_limit_that_cannot_be_enforced_is_a_clear_warning,
		stopped_by_hand_it_stays_so_until_it_is_started_again,
		while_draining_nothing_is_started_and_work_goes_on,
		usr1_drains_and_usr2_resumes,
	};

	return suite_run("workers", tests, ARRAY_SIZE(tests));
}
