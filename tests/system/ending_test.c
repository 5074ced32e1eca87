/* Every way out of the real daemon, and the report that goes with it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/system/rig.h"
#include "tests/system/suite.h"

static struct rig rig;

static const char *reason_kind(const json_t *report)
{
	return json_string_value(json_object_get(json_object_get(report, "reason"), "kind"));
}

static int count_of(const json_t *report, const char *verdict)
{
	return (int)json_integer_value(json_object_get(json_object_get(report, "counts"), verdict));
}

static void stop_empty(int signo)
{
	rig_init(&rig, "");
	rig_start(&rig);
	rig_signal(&rig, signo);
	ck_assert_int_eq(rig_wait(&rig), 0);
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(reason_kind(report), "signal");
	ck_assert(!json_is_true(json_object_get(report, "unclean")));
	ck_assert_uint_eq(json_array_size(json_object_get(report, "tasks")), 0);
	json_decref(report);
	rig_done(&rig);
}

START_TEST(sigterm_ends_a_daemon_without_workers)
{
	stop_empty(SIGTERM);
}
END_TEST

START_TEST(sigint_ends_it_just_the_same)
{
	stop_empty(SIGINT);
}
END_TEST

START_TEST(a_shutdown_through_the_api_says_so_in_the_report)
{
	rig_init(&rig, "workers: { w: { exec: [sleep, \"1000\"] } }\n");
	rig_start(&rig);
	json_decref(rig_json(&rig, "POST", "/v1/shutdown", 202));
	ck_assert_int_eq(rig_wait(&rig), 0);
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(reason_kind(report), "api");
	ck_assert_str_eq(rig_verdict(report, "w"), "stopped");
	json_decref(report);
	rig_done(&rig);
}
END_TEST

START_TEST(each_further_signal_moves_one_phase_on)
{
	rig_init(&rig, "shutdown: { deadline: 1h, cancel_grace: 1h }\n"
	               "workers: { w: { exec: [sh, -c, \"trap '' TERM INT; echo here; while :; do "
	               "sleep 9; "
	               "done\"] } }\n");
	rig_start(&rig);
	rig_expect(&rig, "here");
	rig_signal(&rig, SIGTERM);
	rig_expect(&rig, "phase: stopping");
	rig_signal(&rig, SIGINT);
	rig_expect(&rig, "phase: cancelling");
	rig_signal(&rig, SIGTERM);
	ck_assert_int_eq(rig_wait(&rig), 150);
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(rig_verdict(report, "w"), "killed");
	json_decref(report);
	rig_done(&rig);
}
END_TEST

/* Whatever the moment, a signal is heard, and what had been started is ended. */
static void signal_at(const char *yaml, const char *text, int status)
{
	rig_init(&rig, yaml);
	rig_launch(&rig, NULL);
	if (text)
		rig_expect(&rig, text);
	rig_signal(&rig, SIGTERM);
	int exited = rig_wait(&rig);
	ck_assert_msg(
	        exited == status, "exit status %d instead of %d\n%s", exited, status, rig.log);
	rig_done(&rig);
}

START_TEST(a_signal_while_workers_are_being_started_is_heard)
{
	char yaml[32768];
	size_t used = (size_t)snprintf(yaml, sizeof(yaml), "workers:\n");

	for (int i = 0; i < 300; i++)
		used += (size_t)snprintf(yaml + used, sizeof(yaml) - used,
		        "  w%d: { exec: [sleep, \"1000\"] }\n", i);
	signal_at(yaml, "w5: running", 0);
}
END_TEST

START_TEST(a_signal_while_a_worker_is_not_ready_yet_is_heard)
{
	signal_at("workers: { w: { exec: [sleep, \"1000\"], ready: { notify: true, timeout: 1h } } "
	          "}\n",
	        "starting", 0);
}
END_TEST

START_TEST(a_signal_during_a_back_off_ends_it)
{
	signal_at("workers: { w: { exec: [\"false\"], backoff: { base: 1h, cap: 10h } } }\n",
	        "backoff", 0);
}
END_TEST

START_TEST(a_signal_while_waiting_for_another_worker_is_heard)
{
	signal_at(
	        "workers:\n  a: { exec: [sleep, \"1000\"], ready: { notify: true, timeout: 1h } }\n"
	        "  b: { exec: [sleep, \"1000\"], after: [a] }\n",
	        "starting", 0);
}
END_TEST

START_TEST(a_thousand_workers_end_together)
{
	static char yaml[65536];
	size_t used = (size_t)snprintf(yaml, sizeof(yaml), "workers:\n");

	for (int i = 0; i < 1000; i++)
		used += (size_t)snprintf(yaml + used, sizeof(yaml) - used,
		        "  w%d: { exec: [sleep, \"1000\"] }\n", i);
	rig_init(&rig, yaml);
	rig_start(&rig);
	ck_assert_int_eq(rig_stop(&rig), 0);
	json_t *report = rig_report(&rig);
	ck_assert_int_eq(count_of(report, "stopped"), 1000);
	json_decref(report);
	rig_done(&rig);
}
END_TEST

START_TEST(what_others_wait_for_ends_after_them)
{
	static const char script[] =
	        "exec: [sh, -c, \"trap 'echo $0 going; exit 0' TERM; echo $0 here; "
	        "while :; do sleep 0.02; done\", ";
	char yaml[1024];

	snprintf(yaml, sizeof(yaml),
	        "workers:\n  base: { %sbase] }\n  middle: { %smiddle], after: [base] }\n"
	        "  top: { %stop], after: [middle] }\n",
	        script, script, script);
	rig_init(&rig, yaml);
	rig_start(&rig);
	rig_expect(&rig, "top here");
	rig_signal(&rig, SIGTERM);
	rig_expect(&rig, "top going");
	rig_expect(&rig, "middle going");
	rig_expect(&rig, "base going");
	ck_assert_int_eq(rig_wait(&rig), 0);
	rig_done(&rig);
}
END_TEST

START_TEST(verdicts_in_the_report_add_up_to_what_was_started)
{
	rig_init(&rig, "shutdown: { deadline: 300ms, cancel_grace: 100ms }\nworkers:\n"
	               "  good: { exec: [sleep, \"1000\"] }\n"
	               "  bad: { exec: [sh, -c, \"trap '' TERM; echo stubborn; while :; do sleep "
	               "9; done\"] }\n"
	               "  once: { when: once, exec: [\"true\"] }\n");
	rig_start(&rig);
	rig_expect(&rig, "stubborn");
	ck_assert_int_eq(rig_stop(&rig), 150);
	json_t *report = rig_report(&rig), *totals = json_object_get(report, "totals"), *total;
	const char *worker;
	json_object_foreach (totals, worker, total) {
		json_int_t sum = 0, started = json_integer_value(json_object_get(total, "started"));
		const char *key;
		json_t *value;

		json_object_foreach (total, key, value)
			sum += json_integer_value(value);
		ck_assert_msg(sum == 2 * started && started == 1, "%s", worker);
	}
	ck_assert_uint_eq(json_object_size(totals), 3);
	ck_assert_uint_eq(json_array_size(json_object_get(report, "tasks")), 2);
	ck_assert_int_eq(count_of(report, "killed"), 1);
	ck_assert_int_eq(count_of(report, "stopped"), 1);
	ck_assert_int_eq((int)json_integer_value(json_object_get(report, "exit_status")), 150);
	json_decref(report);
	rig_done(&rig);
}
END_TEST

START_TEST(a_run_that_was_killed_is_told_of_at_the_next_start_and_nothing_of_it_survives)
{
	rig_init(&rig, "workers: { w: { exec: [sleep, \"4201\"] } }\n");
	rig_start(&rig);
	rig_await_process("sleep 4201", true);
	rig_signal(&rig, SIGKILL);
	ck_assert_int_eq(rig_wait(&rig), 1000 + SIGKILL);
	rig_await_process("sleep 4201", false);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	rig_start(&rig);
	ck_assert(rig_logged(&rig, "ended without a report"));
	json_t *report = rig_json(&rig, "GET", "/v1/shutdowns/last", 200);
	ck_assert(json_is_true(json_object_get(report, "unclean")));
	json_decref(report);
	ck_assert_int_eq(rig_stop(&rig), 0);
	report = rig_report(&rig);
	ck_assert(json_is_false(json_object_get(report, "unclean")));
	json_decref(report);
	rig_done(&rig);
}
END_TEST

START_TEST(a_worker_with_a_short_deadline_is_killed_while_others_still_have_time)
{
	rig_init(&rig, "shutdown: { deadline: 1min, cancel_grace: 100ms }\n"
	               "workers: { w: { exec: [sh, -c, \"trap '' TERM; echo here; while :; do "
	               "sleep 9; done\"], "
	               "stop: { deadline: 200ms } } }\n");
	rig_start(&rig);
	rig_expect(&rig, "here");
	ck_assert_int_eq(rig_stop(&rig), 150);
	ck_assert(!rig_logged(&rig, "phase: cancelling"));
	rig_done(&rig);
}
END_TEST

START_TEST(two_daemons_never_share_a_state_directory_or_a_socket)
{
	struct rig *second = calloc(1, sizeof(*second));

	rig_init(&rig, "");
	rig_start(&rig);
	memcpy(second, &rig, sizeof(rig));
	second->log_fd = -1;
	second->log_used = second->log_seen = 0;
	second->log[0] = '\0';
	rig_launch(second, NULL);
	ck_assert_int_eq(rig_wait(second), 1);
	ck_assert(rig_logged(second, "another daemon uses it"));
	close(second->log_fd);
	second->log_fd = -1;
	second->log_used = second->log_seen = 0;
	rig_launch(second, "--state-dir", "other-state", NULL);
	ck_assert_int_eq(rig_wait(second), 1);
	ck_assert(rig_logged(second, "another daemon answers there"));
	close(second->log_fd);
	ck_assert_int_eq(rig_stop(&rig), 0);
	rig_done(&rig);
	free(second);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		sigterm_ends_a_daemon_without_workers,
		sigint_ends_it_just_the_same,
		a_shutdown_through_the_api_says_so_in_the_report,
		each_further_signal_moves_one_phase_on,
		a_signal_while_workers_are_being_started_is_heard,
		a_signal_while_a_worker_is_not_ready_yet_is_heard,
		a_signal_during_a_back_off_ends_it,
		a_signal_while_waiting_for_another_worker_is_heard,
		a_thousand_workers_end_together,
		what_others_wait_for_ends_after_them,
		verdicts_in_the_report_add_up_to_what_was_started,
		a_run_that_was_killed_is_told_of_at_the_next_start_and_nothing_of_it_survives,
		a_worker_with_a_short_deadline_is_killed_while_others_still_have_time,
		two_daemons_never_share_a_state_directory_or_a_socket,
	};

	return suite_run("ending", tests, ARRAY_SIZE(tests));
}
