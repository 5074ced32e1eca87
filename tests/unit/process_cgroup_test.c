/* Cgroups: where they are found, what is moved into them, and that none is left behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "tests/unit/process_world.h"

static struct child child;

static void set_up(void)
{
	memset(&child, 0, sizeof(child));
}

/* Of the delegated cgroup. */
static void path_of(const char *name, char path[static 600])
{
	snprintf(path, 600, "%s/%s", world_cgroup, name);
}

static bool exists(const char *name)
{
	char path[600];

	path_of(name, path);
	return access(path, F_OK) == 0;
}

static bool contains_line(const char *name, const char *wanted)
{
	char path[600], line[256];
	bool found = false;

	path_of(name, path);
	FILE *file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (!found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = strcmp(line, wanted) == 0;
	}
	fclose(file);
	return found;
}

START_TEST(without_delegation_there_is_none_and_nobody_is_moved)
{
	if (!world_enter_cgroup())
		return;
	ck_assert_int_eq(removexattr(world_cgroup, "user.delegate"), 0);
	world_open(&(struct qs_reaper_options){ .subreaper = true });
	ck_assert_ptr_null(qs_reaper_cgroup(world.reaper));
	ck_assert(!exists("daemon"));
	world_close();
	world_leave_cgroup();
}
END_TEST

START_TEST(everybody_in_the_delegated_cgroup_moves_to_the_leaf)
{
	char pid[16], other[16];
	int hold[2];

	if (!world_enter_cgroup())
		return;
	ck_assert_int_eq(pipe(hold), 0);
	pid_t companion = fork();
	if (companion == 0) {
		close(hold[1]);
		_exit(read(hold[0], pid, 1) == 0 ? 0 : 1);
	}
	close(hold[0]);
	world_open(&(struct qs_reaper_options){ .subreaper = true });
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	snprintf(other, sizeof(other), "%d", (int)companion);
	ck_assert(contains_line("daemon/cgroup.procs", pid));
	ck_assert(contains_line("daemon/cgroup.procs", other));
	ck_assert(!contains_line("cgroup.procs", pid));
	const char *path = qs_reaper_cgroup(world.reaper);
	ck_assert_str_eq(path, strstr(world_cgroup, path));
	ck_assert_ptr_nonnull(strstr(path, "/quiesce-test-"));
	close(hold[1]);
	world.descriptors--;
	world_close();
	world_leave_cgroup();
}
END_TEST

START_TEST(a_second_reaper_finds_the_same_cgroup)
{
	for (int i = 0; i < 2; i++) {
		if (i == 0 && !world_enter_cgroup())
			return;
		world_open(&(struct qs_reaper_options){ .subreaper = true });
		ck_assert_ptr_nonnull(qs_reaper_cgroup(world.reaper));
		world_close();
	}
	ck_assert(!exists("daemon/daemon"));
	world_leave_cgroup();
}
END_TEST

static void check_born_inside(int mode)
{
	char own[64];

	if (!world_open_mode(mode))
		return;
	child_sh(&child, "grep ^0: /proc/self/cgroup; echo up; exec sleep 1000");
	snprintf(own, sizeof(own), "/task-%ju\n",
	        (uintmax_t)qs_task_id(qs_process_task(child.process)));
	child_await_output(&child, "up\n");
	ck_assert_ptr_nonnull(strstr(child.output, own));
	child_end(&child, QS_VERDICT_STOPPED);
	own[strcspn(own, "\n")] = '\0';
	ck_assert(!exists(own + 1));
}

START_TEST(a_tree_lives_in_a_cgroup_of_its_own_that_goes_with_it)
{
	check_born_inside(_i);
}
END_TEST

START_TEST(what_could_not_be_run_leaves_no_cgroup)
{
	char program[] = "no-such-program", *argv[] = { program, NULL };
	struct qs_process_options options = child_options(argv);

	if (!world_open_mode(_i))
		return;
	ck_assert_int_eq(child_try(&child, options, NULL), -ENOENT);
	char exists_not[] = "true", *other[] = { exists_not, NULL };
	options = child_options(other);
	options.working_directory = "/no/such/directory";
	ck_assert_int_eq(child_try(&child, options, NULL), -ENOENT);
	ck_assert(!exists("task-1"));
}
END_TEST

START_TEST(cgroups_that_a_child_has_made_go_with_it)
{
	if (!world_open_mode(_i))
		return;
	child_sh(&child, "d=/proc/1/root$0; p=$(sed -n 's/^0:://p' /proc/self/cgroup);"
	                 "m=$(awk '/ - cgroup2 /{print $5; exit}' /proc/self/mountinfo);"
	                 "mkdir -p \"$m$p/a/b\" \"$m$p/c\" && echo $$ >\"$m$p/a/b/cgroup.procs\" &&"
	                 "sh -c \"echo \\$\\$ >$m$p/c/cgroup.procs; echo up; exec setsid sleep "
	                 "1000\" & wait");
	child_await_output(&child, "up\n");
	ck_assert(exists("task-1/a/b"));
	qs_task_kill(qs_process_task(child.process), QS_CAUSE_API);
	child_await_end(&child);
	ck_assert(!exists("task-1"));
}
END_TEST

START_TEST(a_limit_without_its_controller_is_a_warning)
{
	char program[] = "true", *argv[] = { program, NULL };
	struct qs_process_options options = child_options(argv);

	if (!world_open_mode(_i))
		return;
	options.limits = (struct qs_process_limits){ .memory = 1 << 30, .pids = 50 };
	child_start(&child, options);
	bool memory = exists("task-1/memory.max"), pids = exists("task-1/pids.max");
	ck_assert_int_eq(strstr(child.warnings, "limits.memory") != NULL, !memory);
	ck_assert_int_eq(strstr(child.warnings, "limits.pids") != NULL, !pids);
	ck_assert(!memory || contains_line("task-1/memory.max", "1073741824"));
	ck_assert(!pids || contains_line("task-1/pids.max", "50"));
	child_await_end(&child);
	ck_assert_int_eq(child.verdict, QS_VERDICT_FINISHED);
}
END_TEST

START_TEST(the_cgroup_of_an_earlier_run_is_taken_over_if_it_is_empty)
{
	char path[600];

	if (!world_open_mode(_i))
		return;
	path_of("task-1", path);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	path_of("task-1/old", path);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	child_sh(&child, "exit 0");
	ck_assert(!exists("task-1/old"));
	child_await_end(&child);
}
END_TEST

/* Somebody lives in there: the task is refused rather than mixed up with that. */
START_TEST(the_cgroup_of_an_earlier_run_is_left_alone_if_it_is_not)
{
	char program[] = "true", *argv[] = { program, NULL }, path[600];
	const char *what = NULL;

	if (!world_open_mode(_i))
		return;
	child_sh(&child, "echo up; exec sleep 1000");
	child_await_output(&child, "up\n");
	path_of("task-1", path);
	char other[620];
	snprintf(other, sizeof(other), "%s/task-2", world_cgroup);
	ck_assert_int_eq(mkdir(other, 0755), 0);
	snprintf(other, sizeof(other), "%s/task-2/cgroup.procs", world_cgroup);
	FILE *procs = fopen(other, "we");
	ck_assert_ptr_nonnull(procs);
	fprintf(procs, "%d\n", (int)child.pid);
	ck_assert_int_eq(fclose(procs), 0);
	struct child second = { 0 };
	ck_assert_int_eq(child_try(&second, child_options(argv), &what), -EEXIST);
	ck_assert_str_eq(what, "cgroup");
	child_end(&child, QS_VERDICT_STOPPED);
	snprintf(other, sizeof(other), "%s/task-2", world_cgroup);
	ck_assert_int_eq(rmdir(other), 0);
}
END_TEST

START_TEST(a_sweep_leaves_no_cgroup)
{
	if (!world_open_mode(_i))
		return;
	child_sh(&child, "trap '' TERM; setsid sleep 1000 & echo up; while :; do sleep 1000; done");
	child_await_output(&child, "up\n");
	qs_task_abandon(qs_process_task(child.process));
	qs_process_free(child.process);
	ck_assert(exists("task-1"));
	ck_assert_int_ge(qs_reaper_sweep(world.reaper, qs_time_add(qs_time_now(), PATIENCE)), 1);
	ck_assert(!exists("task-1"));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("process-cgroup");
	TCase *finding = tcase_create("finding"), *trees = tcase_create("trees");

	tcase_add_checked_fixture(finding, set_up, NULL);
	tcase_add_test(finding, without_delegation_there_is_none_and_nobody_is_moved);
	tcase_add_test(finding, everybody_in_the_delegated_cgroup_moves_to_the_leaf);
	tcase_add_test(finding, a_second_reaper_finds_the_same_cgroup);
	suite_add_tcase(suite, finding);
	const TTest *const tests[] = {
		a_tree_lives_in_a_cgroup_of_its_own_that_goes_with_it,
		what_could_not_be_run_leaves_no_cgroup,
		cgroups_that_a_child_has_made_go_with_it,
		a_limit_without_its_controller_is_a_warning,
		the_cgroup_of_an_earlier_run_is_taken_over_if_it_is_empty,
		the_cgroup_of_an_earlier_run_is_left_alone_if_it_is_not,
		a_sweep_leaves_no_cgroup,
	};
	tcase_add_checked_fixture(trees, set_up, world_close_mode);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_loop_test(trees, tests[i], MODE_CLONE3, MODE_COUNT);
	suite_add_tcase(suite, trees);
	return suite;
}

int main(int argc, char **argv)
{
	return process_test_main(argc, argv, make_suite);
}
