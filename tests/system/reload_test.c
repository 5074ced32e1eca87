/* Reload as a transaction: what has not changed is not touched, and a wrong file changes nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	int exited = rig_stop(&rig);

	ck_assert_msg(exited == 0, "exit status %d\n%s", exited, rig.log);
	rig_done(&rig);
}

static json_int_t pid_of(const char *worker)
{
	char target[128];

	snprintf(target, sizeof(target), "/v1/workers/%s", worker);
	json_t *json = rig_json(&rig, "GET", target, 200);
	json_int_t pid = json_integer_value(json_object_get(json, "pid"));
	json_decref(json);
	return pid;
}

static void reload_and_expect(int added, int removed, int changed, int restarted, int unchanged)
{
	json_t *json = rig_json(&rig, "POST", "/v1/reload", 200);

	ck_assert_int_eq((int)json_integer_value(json_object_get(json, "added")), added);
	ck_assert_int_eq((int)json_integer_value(json_object_get(json, "removed")), removed);
	ck_assert_int_eq((int)json_integer_value(json_object_get(json, "changed")), changed);
	ck_assert_int_eq((int)json_integer_value(json_object_get(json, "restarted")), restarted);
	ck_assert_int_eq((int)json_integer_value(json_object_get(json, "unchanged")), unchanged);
	json_decref(json);
}

START_TEST(the_same_file_again_changes_nothing)
{
	start("workers: { w: { exec: [sleep, \"1000\"] } }\n");
	json_int_t pid = pid_of("w");
	reload_and_expect(0, 0, 0, 0, 1);
	ck_assert_int_eq(pid_of("w"), pid);
	finish();
}
END_TEST

START_TEST(one_is_added_one_removed_one_changed_and_one_left_alone)
{
	start("workers:\n  same: { exec: [sleep, \"1000\"] }\n  gone: { exec: [sleep, \"4301\"] }\n"
	      "  other: { exec: [sleep, \"1000\"] }\n");
	json_int_t same = pid_of("same"), other = pid_of("other");
	rig_configure(&rig, "workers:\n  same: { exec: [sleep, \"1000\"] }\n"
	                    "  fresh: { exec: [sh, -c, \"echo fresh here; exec sleep 1000\"] }\n"
	                    "  other: { exec: [sh, -c, \"echo other anew; exec sleep 1000\"] }\n");
	reload_and_expect(1, 1, 1, 1, 1);
	rig_expect(&rig, "asked to stop (reload)");
	rig_await_process("sleep 4301", false);
	rig_await_state(&rig, "other", "running");
	rig_await_state(&rig, "fresh", "running");
	ck_assert_int_eq(pid_of("same"), same);
	ck_assert_int_ne(pid_of("other"), other);
	int status;
	free(rig_request(&rig, "GET", "/v1/workers/gone", &status));
	ck_assert_int_eq(status, 404);
	finish();
}
END_TEST

START_TEST(a_policy_alone_restarts_nothing)
{
	start("workers: { w: { exec: [sleep, \"1000\"], restart: always } }\n");
	json_int_t pid = pid_of("w");
	rig_configure(&rig, "workers: { w: { exec: [sleep, \"1000\"], restart: never } }\n");
	reload_and_expect(0, 0, 1, 0, 0);
	ck_assert_int_eq(pid_of("w"), pid);
	finish();
}
END_TEST

START_TEST(a_wrong_file_changes_nothing_and_says_where)
{
	start("workers: { w: { exec: [sleep, \"1000\"] } }\n");
	json_int_t pid = pid_of("w");
	rig_configure(&rig, "workers:\n  w: { exce: [sleep, \"1000\"] }\n  v: {}\n");
	json_t *json = rig_json(&rig, "POST", "/v1/reload", 422);
	char *text = json_dumps(json, 0);
	ck_assert_ptr_nonnull(strstr(text, "config.yaml:2:8: "));
	ck_assert_ptr_nonnull(strstr(text, "config.yaml:3:"));
	free(text);
	json_decref(json);
	ck_assert_int_eq(pid_of("w"), pid);
	finish();
}
END_TEST

START_TEST(hup_reloads)
{
	start("workers: { w: { exec: [sleep, \"1000\"] } }\n");
	rig_configure(&rig, "workers: { v: { exec: [sleep, \"1000\"] } }\n");
	rig_signal(&rig, SIGHUP);
	rig_expect(&rig, "1 added, 1 removed");
	rig_await_state(&rig, "v", "running");
	finish();
}
END_TEST

START_TEST(hup_with_a_wrong_file_is_told_and_the_daemon_goes_on)
{
	start("workers: { w: { exec: [sleep, \"1000\"] } }\n");
	rig_configure(&rig, "workers: [\n");
	rig_signal(&rig, SIGHUP);
	rig_expect(&rig, "reload refused");
	rig_await_state(&rig, "w", "running");
	finish();
}
END_TEST

START_TEST(a_stop_ends_a_reload)
{
	start("workers: { w: { exec: [sh, -c, \"trap '' TERM; echo here; while :; do sleep 9; "
	      "done\"], "
	      "stop: { deadline: 1h } } }\n");
	rig_expect(&rig, "here");
	rig_configure(&rig, "shutdown: { deadline: 100ms, cancel_grace: 100ms }\n"
	                    "workers: { w: { exec: [sleep, \"1000\"] } }\n");
	reload_and_expect(0, 0, 1, 1, 0);
	rig_expect(&rig, "asked to stop (reload)");
	ck_assert_int_eq(rig_stop(&rig), 150);
	rig_done(&rig);
}
END_TEST

START_TEST(a_worker_that_comes_back_while_its_old_self_still_goes_is_started_after_it)
{
	start("workers: { w: { exec: [sh, -c, \"trap '' TERM; echo old; while :; do sleep 0.02; "
	      "done\"], "
	      "stop: { deadline: 300ms } } }\n"
	      "shutdown: { cancel_grace: 100ms }\n");
	rig_expect(&rig, "old");
	rig_configure(&rig, "workers: {}\n");
	reload_and_expect(0, 1, 0, 0, 0);
	rig_configure(&rig, "workers: { w: { exec: [sh, -c, \"echo new; exec sleep 1000\"] } }\n");
	json_decref(rig_json(&rig, "POST", "/v1/reload", 200));
	rig_expect(&rig, "ended: killed");
	rig_expect(&rig, "new");
	finish();
}
END_TEST

START_TEST(settings_are_taken_up)
{
	start("shutdown: { deadline: 1h }\n"
	      "workers: { w: { exec: [sh, -c, \"trap '' TERM; echo here; while :; do sleep 9; "
	      "done\"] } }\n");
	rig_expect(&rig, "here");
	rig_configure(&rig,
	        "shutdown: { deadline: 100ms, cancel_grace: 50ms }\nworkers: { w: { exec: [sh, -c, "
	        "\"trap '' TERM; echo here; while :; do sleep 9; done\"] } }\n");
	reload_and_expect(0, 0, 0, 0, 1);
	ck_assert_int_eq(rig_stop(&rig), 150);
	rig_done(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		the_same_file_again_changes_nothing,
		one_is_added_one_removed_one_changed_and_one_left_alone,
		a_policy_alone_restarts_nothing,
		a_wrong_file_changes_nothing_and_says_where,
		hup_reloads,
		hup_with_a_wrong_file_is_told_and_the_daemon_goes_on,
		a_stop_ends_a_reload,
		a_worker_that_comes_back_while_its_old_self_still_goes_is_started_after_it,
		settings_are_taken_up,
	};

	return suite_run("reload", tests, ARRAY_SIZE(tests));
}
