/*
 * Trees that do not want to end, each of them as a process group below a subreaper, and in a cgroup
 * that it was born in or has joined. The fixture asserts that nothing of them is left.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/process_world.h"

static struct child child;

static void set_up(void)
{
	memset(&child, 0, sizeof(child));
}

#define OPEN_OR_RETURN()          \
	if (!world_open_mode(_i)) \
	return

/* With a ladder that moves by itself. */
static void start_impatiently(const char *script)
{
	char shell[] = "sh", option[] = "-c", *text = strdup(script);
	char *argv[] = { shell, option, text, NULL };
	struct qs_process_options options = child_options(argv);

	options.task.terms = child_terms((struct qs_ladder){ 50 * QS_MSEC, 0 });
	child_start(&child, options);
	free(text);
}

static void check_verdict(enum qs_verdict verdict)
{
	child_await_end(&child);
	ck_assert_str_eq(qs_verdict_name(child.verdict), qs_verdict_name(verdict));
}

/* --- the leader goes first --- */

START_TEST(what_a_leader_leaves_behind_is_ended_and_the_verdict_is_the_leaders)
{
	OPEN_OR_RETURN();
	child_sh(&child, "sleep 1000 & sleep 1000 & exit 0");
	check_verdict(QS_VERDICT_FINISHED);
}
END_TEST

START_TEST(what_a_failing_leader_leaves_behind_does_not_hide_the_failure)
{
	OPEN_OR_RETURN();
	child_sh(&child, "sleep 1000 & exit 5");
	check_verdict(QS_VERDICT_FAILED);
	ck_assert_int_eq(child.leader.value, 5);
}
END_TEST

START_TEST(what_is_left_behind_may_take_its_leave)
{
	OPEN_OR_RETURN();
	child_sh(&child, "trap 'exit 0' USR1; (trap 'echo late; exit 0' TERM; kill -USR1 $$; "
	                 "while :; do sleep 0.01; done) & wait");
	check_verdict(QS_VERDICT_FINISHED);
	ck_assert_ptr_nonnull(strstr(child.output, "late\n"));
}
END_TEST

START_TEST(what_is_left_behind_and_hears_nothing_is_killed)
{
	OPEN_OR_RETURN();
	start_impatiently("trap 'exit 0' USR1; (trap '' TERM; kill -USR1 $$; "
	                  "while :; do sleep 1000; done) & wait");
	check_verdict(QS_VERDICT_KILLED);
	ck_assert_int_eq(child.leader.value, 0);
}
END_TEST

START_TEST(a_process_in_the_group_is_known_by_the_group)
{
	OPEN_OR_RETURN();
	child_sh(&child, "env -i sleep 1000 & exit 0");
	check_verdict(QS_VERDICT_FINISHED);
}
END_TEST

/* --- out of the process group --- */

START_TEST(a_daemon_of_its_own_is_told_once_its_leader_is_gone)
{
	OPEN_OR_RETURN();
	child_sh(&child, "(setsid sleep 1000 &); echo up; exec sleep 1000");
	child_await_output(&child, "up\n");
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(a_double_fork_that_leaves_no_leader_is_found)
{
	OPEN_OR_RETURN();
	child_sh(&child, "setsid sh -c 'sh -c \"setsid sleep 1000\" & exit 0' & exit 0");
	check_verdict(QS_VERDICT_FINISHED);
}
END_TEST

START_TEST(a_deaf_daemon_of_its_own_is_killed)
{
	OPEN_OR_RETURN();
	start_impatiently(
	        "setsid sh -c 'trap \"\" TERM; echo deaf=$$; while :; do sleep 1000; done' & "
	        "exec sleep 1000");
	child_await_output(&child, "deaf=");
	child_end(&child, QS_VERDICT_KILLED);
	ck_assert(!is_alive(child_number(&child, "deaf=")));
}
END_TEST

START_TEST(a_tree_that_leaves_its_group_on_each_floor_is_killed_whole)
{
	OPEN_OR_RETURN();
	child_sh(&child,
	        "env -i setsid sh -c 'setsid sh -c \"echo up; setsid sleep 1000; :\"; :'; :");
	child_await_output(&child, "up\n");
	qs_task_kill(qs_process_task(child.process), QS_CAUSE_API);
	check_verdict(QS_VERDICT_KILLED);
}
END_TEST

START_TEST(who_shows_nothing_is_known_from_when_its_leader_lived)
{
	OPEN_OR_RETURN();
	child_sh(&child, "env -i setsid sh -c 'echo hidden=$$; sleep 1000; :' & exec sleep 1000");
	child_await_output(&child, "hidden=");
	child_end(&child, QS_VERDICT_STOPPED);
	ck_assert(!is_alive(child_number(&child, "hidden=")));
}
END_TEST

/*
 * Without a cgroup one that shows nothing of where it comes from gets away if its leader has ended
 * by itself. It holds the standard output, but not the task. The sweep at the end of everything
 * finds it.
 */
START_TEST(who_cannot_be_known_holds_up_nobody_and_is_swept_up)
{
	OPEN_OR_RETURN();
	child_sh(&child, "env -i LEADER=$$ setsid sh -c 'echo hidden=$$; kill -9 $LEADER; "
	                 "while :; do sleep 1000; done' & wait");
	check_verdict(QS_VERDICT_FAILED);
	pid_t hidden = child_number(&child, "hidden=");
	ck_assert_int_eq(is_alive(hidden), _i == MODE_GROUPS);
	int killed = qs_reaper_sweep(world.reaper, qs_time_add(qs_time_now(), PATIENCE));
	ck_assert_int_eq(killed > 0, _i == MODE_GROUPS);
	ck_assert(!is_alive(hidden));
}
END_TEST

/* A child that is such a daemon itself numbers its tasks as we do. */
START_TEST(a_foreign_number_is_not_mistaken_for_ours)
{
	struct child other = { 0 };

	OPEN_OR_RETURN();
	child_sh(&child, "echo up; exec sleep 1000");
	child_await_output(&child, "up\n");
	child_sh(&other,
	        "NOTIFY_SOCKET=@other QUIESCE_TASK=1 LEADER=$$ setsid sh -c 'echo hidden=$$; "
	        "kill -9 $LEADER; while :; do sleep 1000; done' & wait");
	child_await_end(&other);
	pid_t hidden = child_number(&other, "hidden=");
	child_end(&child, QS_VERDICT_STOPPED);
	ck_assert_int_eq(is_alive(hidden), _i == MODE_GROUPS);
	ck_assert_int_ge(qs_reaper_sweep(world.reaper, qs_time_add(qs_time_now(), PATIENCE)), 0);
	ck_assert(!is_alive(hidden));
}
END_TEST

START_TEST(an_orphan_does_not_hold_up_another_tree)
{
	struct child other = { 0 };

	OPEN_OR_RETURN();
	child_sh(&other, "(setsid sh -c 'echo up; exec sleep 1000' &); exec sleep 1000");
	child_await_output(&other, "up\n");
	child_sh(&child, "exit 0");
	check_verdict(QS_VERDICT_FINISHED);
	ck_assert_int_eq(other.verdict, QS_VERDICT_NONE);
	child_end(&other, QS_VERDICT_STOPPED);
}
END_TEST

/* --- storms and standstills --- */

START_TEST(a_storm_of_forks_is_killed_with_its_leader)
{
	OPEN_OR_RETURN();
	child_role(&child, "storm");
	child_await_output(&child, "up\n");
	qs_task_kill(qs_process_task(child.process), QS_CAUSE_API);
	check_verdict(QS_VERDICT_KILLED);
}
END_TEST

START_TEST(a_storm_of_forks_without_a_leader_is_killed)
{
	char self[] = "/proc/self/exe", option[] = "role", role[] = "storm-alone";
	char *argv[] = { self, option, role, NULL };

	OPEN_OR_RETURN();
	struct qs_process_options options = child_options(argv);
	options.task.terms = child_terms((struct qs_ladder){ 50 * QS_MSEC, 0 });
	child_start(&child, options);
	check_verdict(QS_VERDICT_KILLED);
}
END_TEST

static char state_of(pid_t pid)
{
	char path[32], state = 'X';

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
	fclose(file);
	return state;
}

START_TEST(a_stopped_child_hears_the_ask)
{
	OPEN_OR_RETURN();
	child_sh(&child, "echo up; kill -STOP $$; sleep 1000");
	child_await_output(&child, "up\n");
	while (state_of(child.pid) != 'T')
		(void)qs_loop_turn(world.loop, false);
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(a_stopped_and_deaf_child_is_killed)
{
	OPEN_OR_RETURN();
	start_impatiently("trap '' TERM; echo up; while :; do kill -STOP $$; done");
	child_await_output(&child, "up\n");
	child_end(&child, QS_VERDICT_KILLED);
}
END_TEST

/* --- many --- */

#define MANY 200

START_TEST(many_that_end_at_once_are_all_accounted_for)
{
	static struct child many[MANY];
	uint64_t stopped = 0;

	OPEN_OR_RETURN();
	memset(many, 0, sizeof(many));
	for (size_t i = 0; i < MANY; i++)
		child_sh(&many[i], "echo up; exec sleep 1000");
	for (size_t i = 0; i < MANY; i++)
		child_await_output(&many[i], "up\n");
	qs_group_ask(&world.group, UINT32_MAX, QS_CAUSE_SHUTDOWN, QS_FOREVER);
	AWAIT(world.group.live == 0);
	for (size_t i = 0; i < MANY; i++)
		stopped += many[i].verdict == QS_VERDICT_STOPPED;
	ck_assert_uint_eq(stopped, MANY);
	ck_assert_uint_eq(world.owner->ended[QS_VERDICT_STOPPED], MANY);
	ck_assert_uint_eq(world.owner->started, MANY);
}
END_TEST

/* --- what is abandoned --- */

START_TEST(what_is_abandoned_is_swept_up)
{
	OPEN_OR_RETURN();
	child_sh(&child, "trap '' TERM; sleep 1000 & setsid sleep 1000 & echo up; while :; do "
	                 "sleep 1000; done");
	child_await_output(&child, "up\n");
	qs_task_abandon(qs_process_task(child.process));
	(void)qs_loop_turn(world.loop, false);
	qs_process_free(child.process);
	ck_assert_int_ge(qs_reaper_sweep(world.reaper, qs_time_add(qs_time_now(), PATIENCE)), 1);
	ck_assert(!is_alive(child.pid));
	ck_assert_uint_eq(world.owner->ended[QS_VERDICT_ABANDONED], 1);
}
END_TEST

START_TEST(what_is_abandoned_may_end_before_it_is_freed)
{
	OPEN_OR_RETURN();
	child_sh(&child, "echo up; exec sleep 1000");
	child_await_output(&child, "up\n");
	qs_task_abandon(qs_process_task(child.process));
	ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
	while (is_alive(child.pid) || kill(child.pid, 0) == 0)
		(void)qs_loop_turn(world.loop, false);
	ck_assert(!child.leader_exited);
	qs_process_free(child.process);
	ck_assert_int_eq(qs_reaper_sweep(world.reaper, qs_time_add(qs_time_now(), PATIENCE)), 0);
}
END_TEST

START_TEST(a_storm_is_swept_up)
{
	OPEN_OR_RETURN();
	child_role(&child, "storm");
	child_await_output(&child, "up\n");
	qs_task_abandon(qs_process_task(child.process));
	qs_process_free(child.process);
	ck_assert_int_ge(qs_reaper_sweep(world.reaper, qs_time_add(qs_time_now(), PATIENCE)), 1);
}
END_TEST

static Suite *make_suite(void)
{
	const TTest *const tests[] = {
		what_a_leader_leaves_behind_is_ended_and_the_verdict_is_the_leaders,
		what_a_failing_leader_leaves_behind_does_not_hide_the_failure,
		what_is_left_behind_may_take_its_leave,
		what_is_left_behind_and_hears_nothing_is_killed,
		a_process_in_the_group_is_known_by_the_group,
		a_daemon_of_its_own_is_told_once_its_leader_is_gone,
		a_double_fork_that_leaves_no_leader_is_found,
		a_deaf_daemon_of_its_own_is_killed,
		a_tree_that_leaves_its_group_on_each_floor_is_killed_whole,
		who_shows_nothing_is_known_from_when_its_leader_lived,
		who_cannot_be_known_holds_up_nobody_and_is_swept_up,
		a_foreign_number_is_not_mistaken_for_ours,
		an_orphan_does_not_hold_up_another_tree,
		a_storm_of_forks_is_killed_with_its_leader,
		a_storm_of_forks_without_a_leader_is_killed,
		a_stopped_child_hears_the_ask,
		a_stopped_and_deaf_child_is_killed,
		many_that_end_at_once_are_all_accounted_for,
		what_is_abandoned_is_swept_up,
		what_is_abandoned_may_end_before_it_is_freed,
		a_storm_is_swept_up,
	};
	Suite *suite = suite_create("process-trees");
	TCase *tcase = tcase_create("trees");

	tcase_add_checked_fixture(tcase, set_up, world_close_mode);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_loop_test(tcase, tests[i], MODE_GROUPS, MODE_COUNT);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv)
{
	return process_test_main(argc, argv, make_suite);
}
