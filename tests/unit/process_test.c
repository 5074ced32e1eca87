/* One process: what can be run at all, and how its end is judged. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/process_world.h"

static struct child child;

static void set_up(void)
{
	memset(&child, 0, sizeof(child));
	world_set_up();
}

/* --- how it ends --- */

START_TEST(an_exit_is_judged_by_its_status)
{
	static const struct {
		const char *script;
		enum qs_verdict verdict;
		enum qs_outcome_type type;
		int value;
	} cases[] = {
		{ "exit 0", QS_VERDICT_FINISHED, QS_OUTCOME_EXIT, 0 },
		{ "exit 3", QS_VERDICT_FAILED, QS_OUTCOME_EXIT, 3 },
		{ "kill -KILL $$", QS_VERDICT_FAILED, QS_OUTCOME_SIGNAL, SIGKILL },
		{ "kill -TERM $$", QS_VERDICT_FAILED, QS_OUTCOME_SIGNAL, SIGTERM },
		{ "exit 143", QS_VERDICT_FAILED, QS_OUTCOME_EXIT, 143 },
	};

	child_sh(&child, cases[_i].script);
	child_await_end(&child);
	ck_assert_int_eq(child.verdict, cases[_i].verdict);
	ck_assert_int_eq(child.leader.type, cases[_i].type);
	ck_assert_int_eq(child.leader.value, cases[_i].value);
	ck_assert(!child.leader.out_of_memory);
}
END_TEST

START_TEST(an_end_after_an_ask_is_judged_by_what_was_agreed)
{
	static const struct {
		const char *script;
		int signal;
		enum qs_verdict verdict;
	} cases[] = {
		{ "echo up; exec sleep 1000", 0, QS_VERDICT_STOPPED },
		{ "echo up; exec sleep 1000", SIGINT, QS_VERDICT_STOPPED },
		{ "trap 'exit 0' TERM; echo up; while :; do read x <&3; done", 0,
		        QS_VERDICT_STOPPED },
		{ "trap 'exit 143' TERM; echo up; while :; do read x <&3; done", 0,
		        QS_VERDICT_STOPPED },
		{ "trap 'exit 138' USR1; echo up; while :; do read x <&3; done", SIGUSR1,
		        QS_VERDICT_STOPPED },
		{ "trap 'exit 7' TERM; echo up; while :; do read x <&3; done", 0,
		        QS_VERDICT_STOPPED },
		{ "trap 'exit 9' TERM; echo up; while :; do read x <&3; done", 0,
		        QS_VERDICT_FAILED },
		{ "trap 'kill -KILL $$' TERM; echo up; while :; do read x <&3; done", 0,
		        QS_VERDICT_FAILED },
	};
	char shell[] = "sh", option[] = "-c", *text = strdup(cases[_i].script);
	char *argv[] = { shell, option, text, NULL };
	struct qs_process_options options = child_options(argv);
	int agreed[] = { 5, 7 };

	options.stop_signal = cases[_i].signal;
	options.stop_success = agreed;
	options.stop_success_count = ARRAY_SIZE(agreed);
	child_start(&child, options);
	agreed[1] = 9;
	child_await_output(&child, "up\n");
	child_end(&child, cases[_i].verdict);
	free(text);
}
END_TEST

START_TEST(a_second_signal_comes_with_the_cancel_and_force_after_its_grace)
{
	char shell[] = "sh", option[] = "-c",
	     text[] = "trap '' TERM; trap 'echo hup' HUP; echo up; while :; do sleep 1000; done";
	char *argv[] = { shell, option, text, NULL };
	struct qs_process_options options = child_options(argv);

	options.cancel_signal = SIGHUP;
	options.task.terms = child_terms((struct qs_ladder){ 20 * QS_MSEC, QS_FOREVER });
	child_start(&child, options);
	child_await_output(&child, "up\n");
	child_ask(&child);
	child_await_output(&child, "hup\n");
	ck_assert_int_eq(child.verdict, QS_VERDICT_NONE);
	qs_task_kill(qs_process_task(child.process), QS_CAUSE_API);
	child_await_end(&child);
	ck_assert_int_eq(child.verdict, QS_VERDICT_KILLED);
	ck_assert_int_eq(child.leader.value, SIGKILL);
}
END_TEST

START_TEST(who_hears_nothing_but_force_is_killed)
{
	char shell[] = "sh", option[] = "-c",
	     text[] = "trap '' TERM; echo up; while :; do sleep 1000; done";
	char *argv[] = { shell, option, text, NULL };
	struct qs_process_options options = child_options(argv);

	options.task.terms = child_terms((struct qs_ladder){ 20 * QS_MSEC, 20 * QS_MSEC });
	child_start(&child, options);
	child_await_output(&child, "up\n");
	child_end(&child, QS_VERDICT_KILLED);
}
END_TEST

/* --- what cannot be run --- */

START_TEST(what_cannot_be_run_was_never_a_task)
{
	static const struct {
		const char *program, *directory, *what;
		int error;
	} cases[] = {
		{ "no-such-program", NULL, "exec", -ENOENT },
		{ "/no/such/program", NULL, "exec", -ENOENT },
		{ "./no-such-program", NULL, "exec", -ENOENT },
		{ "", NULL, "exec", -ENOENT },
		{ "/etc/passwd", NULL, "exec", -EACCES },
		{ "/usr/bin", NULL, "exec", -EACCES },
		{ "/etc/passwd/true", NULL, "exec", -ENOTDIR },
		{ "true", "/no/such/directory", "working directory", -ENOENT },
		{ "true", "/etc/passwd", "working directory", -ENOTDIR },
	};
	char *program = strdup(cases[_i].program);
	char *argv[] = { program, NULL };
	struct qs_process_options options = child_options(argv);
	const char *what = NULL;

	options.working_directory = cases[_i].directory;
	ck_assert_int_eq(child_try(&child, options, &what), cases[_i].error);
	ck_assert_str_eq(what, cases[_i].what);
	ck_assert_uint_eq(world.owner->started, 0);
	ck_assert_uint_eq(world.group.live, 0);
	free(program);
}
END_TEST

START_TEST(a_program_found_but_not_allowed_says_so_when_no_other_is_found)
{
	char directory[] = "/tmp/qs-test-XXXXXX", path[64], variable[64], shared[64];
	char program[] = "tool", *argv[] = { program, NULL };
	char *environment[] = { variable, NULL };
	struct qs_process_options options = child_options(argv);
	const char *what = NULL;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/tool", directory);
	snprintf(variable, sizeof(variable), "PATH=%s:/nowhere", directory);
	snprintf(shared, sizeof(shared), "#!/bin/sh\necho \"$0\"\n");
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, shared, strlen(shared)), (ssize_t)strlen(shared));
	close(fd);
	options.environment = environment;
	ck_assert_int_eq(child_try(&child, options, &what), -EACCES);
	ck_assert_int_eq(chmod(path, 0700), 0);
	child_start(&child, options);
	child_await_end(&child);
	ck_assert_int_eq(strncmp(child.output, path, strlen(path)), 0);
	ck_assert_int_eq(chmod(path, 0600), 0);
	unlink(path);
	rmdir(directory);
}
END_TEST

START_TEST(a_closed_group_lets_nothing_in)
{
	char program[] = "true", *argv[] = { program, NULL };

	qs_group_close(&world.group);
	ck_assert_int_eq(child_try(&child, child_options(argv), NULL), -ESHUTDOWN);
	ck_assert_uint_eq(world.owner->started, 0);
}
END_TEST

/* --- in between --- */

static void kill_at_first_word(struct child *which)
{
	qs_task_kill(qs_process_task(which->process), QS_CAUSE_API);
}

START_TEST(a_callback_may_push_it_up_the_ladder)
{
	child.on_output = kill_at_first_word;
	child_sh(&child, "echo up; trap '' TERM; while :; do sleep 1000; done");
	child_await_end(&child);
	ck_assert_int_eq(child.verdict, QS_VERDICT_KILLED);
}
END_TEST

static unsigned runs;

static void start_another(struct child *which)
{
	if (++runs == 5)
		return;
	memset(which, 0, sizeof(*which));
	which->on_ended = start_another;
	child_sh(which, "exit 0");
}

START_TEST(its_end_may_start_the_next)
{
	child.on_ended = start_another;
	child_sh(&child, "exit 0");
	AWAIT(runs == 5);
	ck_assert_uint_eq(world.owner->started, 5);
}
END_TEST

START_TEST(it_is_described_for_people)
{
	char text[64], expected[64];

	child_sh(&child, "sleep 1000 & sleep 1001 & echo up; wait");
	child_await_output(&child, "up\n");
	const struct qs_task *task = qs_process_task(child.process);
	task->kind->describe(task, text, sizeof(text));
	snprintf(expected, sizeof(expected), "pid %d (sh) and 2 more", (int)child.pid);
	ck_assert_str_eq(text, expected);
	task->kind->describe(task, text, 8);
	ck_assert_uint_lt(strlen(text), 8);
	ck_assert_int_eq(task->record->pid, child.pid);
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

static void nothing(_unused_ struct qs_timer *timer)
{
}

START_TEST(an_idle_tree_wakes_nobody)
{
	struct qs_timer alarm;
	unsigned turns = 0;

	child_sh(&child, "echo up; sleep 1000");
	child_await_output(&child, "up\n");
	while (qs_loop_turn(world.loop, false) > 0)
		;
	ck_assert_int_eq(qs_timer_init(world.loop, &alarm, nothing), 0);
	qs_timer_arm(&alarm, qs_time_add(qs_time_now(), 200 * QS_MSEC));
	while (qs_timer_armed(&alarm) && turns < 100) {
		(void)qs_loop_turn(world.loop, true);
		turns++;
	}
	ck_assert_uint_le(turns, 2);
	qs_timer_done(&alarm);
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("process");
	TCase *tcase = tcase_create("process");

	tcase_add_checked_fixture(tcase, set_up, world_tear_down);
	tcase_add_loop_test(tcase, an_exit_is_judged_by_its_status, 0, 5);
	tcase_add_loop_test(tcase, an_end_after_an_ask_is_judged_by_what_was_agreed, 0, 8);
	tcase_add_test(tcase, a_second_signal_comes_with_the_cancel_and_force_after_its_grace);
	tcase_add_test(tcase, who_hears_nothing_but_force_is_killed);
	tcase_add_loop_test(tcase, what_cannot_be_run_was_never_a_task, 0, 9);
	tcase_add_test(tcase, a_program_found_but_not_allowed_says_so_when_no_other_is_found);
	tcase_add_test(tcase, a_closed_group_lets_nothing_in);
	tcase_add_test(tcase, a_callback_may_push_it_up_the_ladder);
	tcase_add_test(tcase, its_end_may_start_the_next);
	tcase_add_test(tcase, it_is_described_for_people);
	tcase_add_test(tcase, an_idle_tree_wakes_nobody);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv)
{
	return process_test_main(argc, argv, make_suite);
}
