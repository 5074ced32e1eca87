/* Bad input to the real daemon: said clearly, with the right exit status, before anything has
 * started. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/system/rig.h"
#include "tests/system/suite.h"

static struct rig rig;

/* The daemon ends with this status by itself; its log is there to be looked at. */
static void run_and_expect(const char *yaml, int status)
{
	rig_init(&rig, yaml);
	rig_launch(&rig, NULL);
	int exited = rig_wait(&rig);
	ck_assert_msg(
	        exited == status, "exit status %d instead of %d\n%s", exited, status, rig.log);
}

static void expect_and_finish(const char *text)
{
	ck_assert_msg(rig_logged(&rig, text), "'%s' is not in:\n%s", text, rig.log);
	rig_done(&rig);
}

START_TEST(all_errors_of_a_file_come_at_once_with_their_places)
{
	run_and_expect(
	        "shutdown: { deadline: soon }\nworkers:\n  a: { exce: [\"true\"] }\n  b: {}\n", 6);
	ck_assert(rig_logged(&rig, "config.yaml:1:23: "));
	ck_assert(rig_logged(&rig, "config.yaml:3:8: "));
	ck_assert(rig_logged(&rig, "exec"));
	ck_assert(access(rig.socket, F_OK) < 0);
	expect_and_finish("config.yaml:4:");
}
END_TEST

START_TEST(a_circle_is_named)
{
	run_and_expect("workers:\n  a: { exec: [\"true\"], after: [b] }\n  b: { exec: [\"true\"], "
	               "after: [a] }\n",
	        6);
	expect_and_finish("a -> b -> a");
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
	rig_init(&rig, "");
	rig_launch(&rig, "--config", "missing.yaml", NULL);
	ck_assert_int_eq(rig_wait(&rig), 6);
	expect_and_finish("missing.yaml");
}
END_TEST

START_TEST(check_config_says_good_or_what_is_wrong_and_starts_nothing)
{
	rig_init(&rig, "workers: { w: { exec: [\"true\"] } }\n");
	rig_launch(&rig, "--check-config", NULL);
	ck_assert_int_eq(rig_wait(&rig), 0);
	rig_configure(&rig, "workers: { w: {} }\n");
	rig_launch(&rig, "--check-config", NULL);
	ck_assert_int_eq(rig_wait(&rig), 6);
	expect_and_finish("config.yaml:1:");
}
END_TEST

START_TEST(an_unknown_option_is_a_usage_error)
{
	rig_init(&rig, "");
	rig_launch(&rig, "--frobnicate", NULL);
	ck_assert_int_eq(rig_wait(&rig), 2);
	expect_and_finish("quiesced --help");
}
END_TEST

START_TEST(a_state_directory_that_cannot_be_made_is_named)
{
	rig_init(&rig, "");
	rig_launch(&rig, "--state-dir", "/proc/nothing/here", NULL);
	ck_assert_int_eq(rig_wait(&rig), 1);
	expect_and_finish("/proc/nothing/here");
}
END_TEST

START_TEST(a_stale_socket_is_replaced)
{
	rig_init(&rig, "");
	rig_start(&rig);
	rig_signal(&rig, SIGKILL);
	ck_assert_int_eq(rig_wait(&rig), 1000 + SIGKILL);
	ck_assert_int_eq(access(rig.socket, F_OK), 0);
	rig_start(&rig);
	ck_assert_int_eq(rig_stop(&rig), 0);
	ck_assert(access(rig.socket, F_OK) < 0);
	rig_done(&rig);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_not_replaced)
{
	rig_init(&rig, "");
	rig_write(&rig, "control.sock", "precious\n");
	rig_launch(&rig, NULL);
	ck_assert_int_eq(rig_wait(&rig), 1);
	ck_assert_int_eq(access(rig.socket, F_OK), 0);
	expect_and_finish("control.sock");
}
END_TEST

START_TEST(a_report_that_cannot_be_written_changes_neither_the_status_nor_the_end)
{
	char path[128];

	rig_init(&rig, "");
	rig_start(&rig);
	snprintf(path, sizeof(path), "%s/state/last-shutdown.json", rig.directory);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	ck_assert_int_eq(rig_stop(&rig), 0);
	expect_and_finish("the report could not be written");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		all_errors_of_a_file_come_at_once_with_their_places,
		a_circle_is_named,
		a_file_that_is_not_there_is_named,
		check_config_says_good_or_what_is_wrong_and_starts_nothing,
		an_unknown_option_is_a_usage_error,
		a_state_directory_that_cannot_be_made_is_named,
		a_stale_socket_is_replaced,
		a_file_that_is_no_socket_is_not_replaced,
		a_report_that_cannot_be_written_changes_neither_the_status_nor_the_end,
	};

	return suite_run("input", tests, ARRAY_SIZE(tests));
}
