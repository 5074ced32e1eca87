/*
 * Every way in which a start can fail: without memory at each point, without descriptors at each
 * point, and with each system call refused. Nothing may be left of it, and the next start works.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/process_members.h"
#include "tests/unit/budget.h"
#include "tests/unit/process_world.h"

/* --- system calls that are refused --- */

static enum refused {
	REFUSE_NOTHING,
	REFUSE_SETSOCKOPT,
	REFUSE_BIND,
	REFUSE_FCNTL,
	REFUSE_CLONE,
	REFUSE_TASK, /* no system call, but it comes when the child runs already */
	REFUSED_COUNT
} refused;

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __real_bind(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
/* The name that process_spawn.c calls it by. */
#ifdef QUIESCE_TSAN
#define REAL_CLONE    __real___clone
#define WRAPPED_CLONE __wrap___clone
#else
#define REAL_CLONE    __real_clone
#define WRAPPED_CLONE __wrap_clone
#endif
int REAL_CLONE(int (*fn)(void *), void *stack, int flags, void *arg, ...);
int WRAPPED_CLONE(int (*fn)(void *), void *stack, int flags, void *arg, ...);
int __real_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...);
int __real_qs_task_init(struct qs_task *task, const struct qs_task_kind *kind,
        struct qs_group *group, const struct qs_task_setup *options);
int __wrap_qs_task_init(struct qs_task *task, const struct qs_task_kind *kind,
        struct qs_group *group, const struct qs_task_setup *options);

static bool is_refused(enum refused which)
{
	if (refused == which)
		errno = ENOBUFS;
	return refused == which;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	return is_refused(REFUSE_SETSOCKOPT) ? -1 : __real_setsockopt(fd, level, name, value, size);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size)
{
	return is_refused(REFUSE_BIND) ? -1 : __real_bind(fd, address, size);
}

int __wrap_fcntl(int fd, int command, ...)
{
	va_list list;

	va_start(list, command);
	long argument = va_arg(list, long);
	va_end(list);
	return is_refused(REFUSE_FCNTL) ? -1 : __real_fcntl(fd, command, argument);
}

int WRAPPED_CLONE(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	va_list list;

	va_start(list, arg);
	pid_t *pidfd = va_arg(list, pid_t *);
	va_end(list);
	return is_refused(REFUSE_CLONE) ? -1 : REAL_CLONE(fn, stack, flags, arg, pidfd, NULL, NULL);
}

int __wrap_qs_task_init(struct qs_task *task, const struct qs_task_kind *kind,
        struct qs_group *group, const struct qs_task_setup *options)
{
	return is_refused(REFUSE_TASK) ? -ENOBUFS : __real_qs_task_init(task, kind, group, options);
}

/* A file that this kernel does not know, such as "/children". */
static const char *missing;

/* None of ours makes a file with it. */
int __wrap_openat(int directory, const char *path, int flags, ...)
{
	const char *last = strrchr(path, '/');

	if (missing && last && strcmp(last, missing) == 0) {
		errno = ENOENT;
		return -1;
	}
	return __real_openat(directory, path, flags);
}

/* --- what is left --- */

static struct child child;
static char program[] = "sleep", argument[] = "1000";
static char *argv[] = { program, argument, NULL };
static const char more_than_a_pipe_takes[128 * 1024];

static int ignore_answer(struct qs_process *process _unused_, const char *data _unused_,
        size_t size _unused_, void *arg _unused_)
{
	return 0;
}

/* Through all that a start uses, and an end. */
static int try_to_start(void)
{
	struct qs_process_options options = child_options(argv);
	static const int agreed[] = { 3 };

	options.stop_success = agreed;
	options.stop_success_count = ARRAY_SIZE(agreed);
	options.input = more_than_a_pipe_takes;
	options.input_size = sizeof(more_than_a_pipe_takes);
	options.events.answer = ignore_answer;
	memset(&child, 0, sizeof(child));
	return child_try(&child, options, NULL);
}

static void check_nothing_is_left(int descriptors)
{
	siginfo_t info;

	ck_assert_int_eq(open_descriptors(), descriptors);
	ck_assert_uint_eq(world.group.live, 0);
	ck_assert_uint_eq(world.owner->started, 0);
	ck_assert_int_eq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
	ck_assert_int_eq(errno, ECHILD);
}

static void check_it_works_now(void)
{
	ck_assert_int_eq(try_to_start(), 0);
	child_end(&child, QS_VERDICT_STOPPED);
}

START_TEST(a_start_without_memory_leaves_nothing)
{
	int r, descriptors = open_descriptors();
	long allowed = 0;

	world_open(&(struct qs_reaper_options){ .subreaper = _i, .no_cgroups = true });
	descriptors = open_descriptors();
	for (;; allowed++) {
		budget = allowed;
		r = try_to_start();
		budget = -1;
		if (r == 0)
			break;
		ck_assert_int_eq(r, -ENOMEM);
		check_nothing_is_left(descriptors);
	}
	ck_assert_int_ge(allowed, 4);
	child_end(&child, QS_VERDICT_STOPPED);
	world_close();
}
END_TEST

START_TEST(a_start_without_descriptors_leaves_nothing)
{
	struct rlimit found, own;
	int r;

	world_open(&(struct qs_reaper_options){ .subreaper = _i, .no_cgroups = true });
	int descriptors = open_descriptors(), highest = dup(0);
	close(highest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &found), 0);
	unsigned failures = 0;
	for (rlim_t room = 0;; room++, failures++) {
		own = found;
		own.rlim_cur = (rlim_t)highest + room;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &own), 0);
		r = try_to_start();
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &found), 0);
		if (r == 0)
			break;
		ck_assert_int_eq(r, -EMFILE);
		check_nothing_is_left(descriptors);
	}
	/* Four pipes and a socket; a pidfd where there is no signal. */
	ck_assert_uint_ge(failures, _i ? 9 : 8);
	child_end(&child, QS_VERDICT_STOPPED);
	world_close();
}
END_TEST

START_TEST(a_start_that_is_refused_something_leaves_nothing)
{
	world_open(&(struct qs_reaper_options){ .subreaper = true, .no_cgroups = true });
	int descriptors = open_descriptors();
	refused = (enum refused)_i;
	ck_assert_int_eq(try_to_start(), -ENOBUFS);
	refused = REFUSE_NOTHING;
	check_nothing_is_left(descriptors);
	check_it_works_now();
	world_close();
}
END_TEST

/* The child runs already when the task is refused: all of its group is ended again. */
START_TEST(a_task_that_is_refused_takes_its_child_along)
{
	char shell[] = "sh", option[] = "-c", text[] = "trap '' TERM; sleep 1000 & sleep 1000; :";
	char *deaf[] = { shell, option, text, NULL };

	world_open(&(struct qs_reaper_options){ .subreaper = _i, .no_cgroups = true });
	refused = REFUSE_TASK;
	memset(&child, 0, sizeof(child));
	ck_assert_int_eq(child_try(&child, child_options(deaf), NULL), -ENOBUFS);
	refused = REFUSE_NOTHING;
	ck_assert_uint_eq(world.owner->started, 0);
	world_close();
}
END_TEST

START_TEST(a_reaper_without_memory_leaves_nothing)
{
	struct qs_reaper *reaper;
	int r, is_subreaper = -1;

	world_open(&(struct qs_reaper_options){ .no_cgroups = true });
	int descriptors = open_descriptors();
	for (long allowed = 0;; allowed++) {
		budget = allowed;
		r = qs_reaper_new(
		        &world.context, &(struct qs_reaper_options){ .subreaper = true }, &reaper);
		budget = -1;
		if (r == 0)
			break;
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_int_eq(open_descriptors(), descriptors);
		ck_assert_int_eq(prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper), 0);
		ck_assert_int_eq(is_subreaper, 0);
	}
	qs_reaper_free(reaper);
	ck_assert_int_eq(open_descriptors(), descriptors);
	world_close();
}
END_TEST

START_TEST(children_are_found_without_lists_of_them)
{
	_cleanup_(qs_pids_done) struct qs_pids listed = { 0 }, searched = { 0 };

	world_set_up();
	child_sh(&child, "sleep 1000 & sleep 1001 & echo up; wait");
	child_await_output(&child, "up\n");
	qs_pids_of_children(&listed, child.pid);
	missing = "/children";
	qs_pids_of_children(&searched, child.pid);
	missing = NULL;
	ck_assert_uint_eq(listed.count, 2);
	ck_assert_uint_eq(searched.count, 2);
	for (size_t i = 0; i < 2; i++)
		ck_assert(qs_pids_contain(&searched, listed.items[i]));
	child_end(&child, QS_VERDICT_STOPPED);
	world_tear_down();
}
END_TEST

START_TEST(a_cgroup_that_cannot_be_killed_at_once_is_killed_one_by_one)
{
	if (!world_open_mode(MODE_CLONE3))
		return;
	missing = "/cgroup.kill";
	memset(&child, 0, sizeof(child));
	child_role(&child, "storm");
	child_await_output(&child, "up\n");
	qs_task_kill(qs_process_task(child.process), QS_CAUSE_API);
	child_await_end(&child);
	ck_assert_int_eq(child.verdict, QS_VERDICT_KILLED);
	missing = NULL;
	world_close_mode();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("process-failures");
	TCase *tcase = tcase_create("failures");

	tcase_add_loop_test(tcase, a_start_without_memory_leaves_nothing, 0, 2);
	tcase_add_loop_test(tcase, a_start_without_descriptors_leaves_nothing, 0, 2);
	tcase_add_loop_test(tcase, a_start_that_is_refused_something_leaves_nothing,
	        REFUSE_NOTHING + 1, REFUSED_COUNT);
	tcase_add_loop_test(tcase, a_task_that_is_refused_takes_its_child_along, 0, 2);
	tcase_add_test(tcase, a_reaper_without_memory_leaves_nothing);
	tcase_add_test(tcase, children_are_found_without_lists_of_them);
	tcase_add_test(tcase, a_cgroup_that_cannot_be_killed_at_once_is_killed_one_by_one);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv_)
{
	return process_test_main(argc, argv_, make_suite);
}
