/*
 * A reaper that is a guest in its process: no subreaper, trees are process groups, and the other
 * children of the host are nobody's business. And what happens to a tree when its host dies.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/unit/process_world.h"

static struct child child;

static void set_up(void)
{
	memset(&child, 0, sizeof(child));
	world_open(&(struct qs_reaper_options){ .no_cgroups = true });
}

static void check_verdict(enum qs_verdict verdict)
{
	child_await_end(&child);
	ck_assert_str_eq(qs_verdict_name(child.verdict), qs_verdict_name(verdict));
}

START_TEST(it_ends_as_it_would_below_a_subreaper)
{
	child_sh(&child, "echo up; exec sleep 1000");
	child_await_output(&child, "up\n");
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(the_process_is_no_subreaper)
{
	int is_subreaper = -1;

	ck_assert_int_eq(prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper), 0);
	ck_assert_int_eq(is_subreaper, 0);
	ck_assert_int_eq(qs_reaper_sweep(world.reaper, 0), 0);
}
END_TEST

START_TEST(what_is_left_of_the_group_is_ended)
{
	child_sh(&child, "trap 'exit 0' USR1; (trap 'echo late; exit 0' TERM; kill -USR1 $$; "
	                 "while :; do sleep 0.01; done) & wait");
	check_verdict(QS_VERDICT_FINISHED);
	ck_assert_ptr_nonnull(strstr(child.output, "late\n"));
}
END_TEST

START_TEST(what_is_left_of_the_group_and_hears_nothing_is_killed)
{
	char shell[] = "sh", option[] = "-c",
	     text[] = "trap 'exit 0' USR1; (trap '' TERM; kill -USR1 $$; "
	              "while :; do sleep 1000; done) & wait";
	char *argv[] = { shell, option, text, NULL };
	struct qs_process_options options = child_options(argv);

	options.task.terms = child_terms((struct qs_ladder){ 20 * QS_MSEC, 0 });
	child_start(&child, options);
	check_verdict(QS_VERDICT_KILLED);
}
END_TEST

/* The host plays a first process that reaps nobody. The task ended when that did, or never. */
START_TEST(a_zombie_that_nobody_reaps_holds_nobody_up)
{
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	child_sh(&child, "sleep 1000 & exit 0");
	check_verdict(QS_VERDICT_FINISHED);
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	ck_assert_int_gt(waitpid(-1, NULL, WNOHANG), 0);
}
END_TEST

START_TEST(who_has_left_the_group_is_killed_with_a_leader_that_lives)
{
	child_sh(&child,
	        "trap '' TERM; setsid sh -c 'echo deaf=$$; while :; do sleep 1000; done' & "
	        "wait");
	child_await_output(&child, "deaf=");
	pid_t deaf = child_number(&child, "deaf=");
	qs_task_kill(qs_process_task(child.process), QS_CAUSE_API);
	check_verdict(QS_VERDICT_KILLED);
	while (is_alive(deaf))
		(void)qs_loop_turn(world.loop, false);
}
END_TEST

START_TEST(a_child_of_the_host_is_left_to_the_host)
{
	siginfo_t info;
	pid_t own = fork();

	if (own == 0)
		_exit(7);
	child_sh(&child, "exit 0");
	check_verdict(QS_VERDICT_FINISHED);
	ck_assert_int_eq(waitid(P_PID, (id_t)own, &info, WEXITED), 0);
	ck_assert_int_eq(info.si_status, 7);
}
END_TEST

START_TEST(a_host_that_waits_for_our_child_leaves_us_without_its_status)
{
	siginfo_t info;

	child_sh(&child, "exit 0");
	ck_assert_int_eq(waitid(P_PID, (id_t)child.pid, &info, WEXITED), 0);
	check_verdict(QS_VERDICT_FAILED);
	ck_assert_int_eq(child.leader.type, QS_OUTCOME_RETURN);
	ck_assert_int_eq(child.leader.value, -ECHILD);
}
END_TEST

/* --- the death of the host --- */

/* Runs in a process of its own, starts the script there and dies before anybody can help it. */
static void die_with_child(const char *role, int tell_fd)
{
	world = (struct world){ 0 };
	world_open(&(struct qs_reaper_options){ .subreaper = true, .no_cgroups = true });
	memset(&child, 0, sizeof(child));
	if (strcmp(role, "sleep") == 0)
		child_sh(&child, "echo up; exec sleep 1000");
	else
		child_role(&child, role);
	child_await_output(&child, "up\n");
	if (write(tell_fd, &child.pid, sizeof(child.pid)) != (ssize_t)sizeof(child.pid))
		_exit(1);
	(void)raise(SIGKILL);
}

/* How the child ended that such a host left behind. */
static siginfo_t outlive(const char *role)
{
	siginfo_t info;
	pid_t orphan;
	int tell[2];

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	ck_assert_int_eq(pipe(tell), 0);
	pid_t host = fork();
	if (host == 0)
		die_with_child(role, tell[1]);
	ck_assert_int_eq(read(tell[0], &orphan, sizeof(orphan)), (ssize_t)sizeof(orphan));
	ck_assert_int_eq(waitid(P_PID, (id_t)host, &info, WEXITED), 0);
	ck_assert_int_eq(info.si_status, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)orphan, &info, WEXITED), 0);
	close(tell[0]);
	close(tell[1]);
	return info;
}

START_TEST(the_death_of_the_host_is_the_stop_signal_for_the_child)
{
	siginfo_t info = outlive("sleep");

	ck_assert_int_eq(info.si_code, CLD_KILLED);
	ck_assert_int_eq(info.si_status, SIGTERM);
}
END_TEST

START_TEST(the_death_of_the_host_is_the_end_of_the_stop_pipe)
{
	siginfo_t info = outlive("mourner");

	ck_assert_int_eq(info.si_code, CLD_EXITED);
	ck_assert_int_eq(info.si_status, 9);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("process-library");
	TCase *guest = tcase_create("guest"), *death = tcase_create("death");

	tcase_add_checked_fixture(guest, set_up, world_close);
	tcase_add_test(guest, it_ends_as_it_would_below_a_subreaper);
	tcase_add_test(guest, the_process_is_no_subreaper);
	tcase_add_test(guest, what_is_left_of_the_group_is_ended);
	tcase_add_test(guest, what_is_left_of_the_group_and_hears_nothing_is_killed);
	tcase_add_test(guest, a_zombie_that_nobody_reaps_holds_nobody_up);
	tcase_add_test(guest, who_has_left_the_group_is_killed_with_a_leader_that_lives);
	tcase_add_test(guest, a_child_of_the_host_is_left_to_the_host);
	tcase_add_test(guest, a_host_that_waits_for_our_child_leaves_us_without_its_status);
	suite_add_tcase(suite, guest);
	tcase_add_test(death, the_death_of_the_host_is_the_stop_signal_for_the_child);
	tcase_add_test(death, the_death_of_the_host_is_the_end_of_the_stop_pipe);
	suite_add_tcase(suite, death);
	return suite;
}

int main(int argc, char **argv)
{
	return process_test_main(argc, argv, make_suite);
}
