/* What a child is given, and what is said on both sides. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <quiesce/stop.h>

#include "tests/unit/process_world.h"

static struct child child;

static void set_up(void)
{
	memset(&child, 0, sizeof(child));
	world_set_up();
}

/* --- what it is given --- */

START_TEST(it_inherits_four_descriptors_and_no_more)
{
	ck_assert_int_eq(dup2(STDIN_FILENO, 100), 100);
	child_role(&child, "descriptors");
	child_await_end(&child);
	ck_assert_str_eq(child.output, "0 1 2 3 ");
	close(100);
}
END_TEST

START_TEST(it_inherits_four_descriptors_when_its_parent_has_none_of_them)
{
	int saved[3];

	for (int fd = 0; fd < 3; fd++) {
		saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 200);
		close(fd);
	}
	child_role(&child, "descriptors");
	child_await_end(&child);
	for (int fd = 0; fd < 3; fd++) {
		ck_assert_int_eq(dup2(saved[fd], fd), fd);
		close(saved[fd]);
	}
	ck_assert_str_eq(child.output, "0 1 2 3 ");
}
END_TEST

static void ignore(_unused_ int signo)
{
}

START_TEST(it_starts_with_a_clean_slate_of_signals)
{
	char program[] = "grep", pattern[] = "^Sig[BI]", file[] = "/proc/self/status";
	char *argv[] = { program, pattern, file, NULL };
	sigset_t some, before;

	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigaddset(&some, SIGTERM);
	sigaddset(&some, SIGRTMAX);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &some, &before), 0);
	ck_assert(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	ck_assert(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	ck_assert(signal(SIGUSR2, ignore) != SIG_ERR);
	child_start(&child, child_options(argv));
	child_await_end(&child);
	ck_assert_str_eq(child.output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
	ck_assert(signal(SIGHUP, SIG_DFL) == SIG_IGN);
	ck_assert(signal(SIGUSR2, SIG_DFL) == ignore);
}
END_TEST

START_TEST(it_is_the_leader_of_its_process_group)
{
	child_sh(&child, "echo up; exec sleep 1000");
	ck_assert_int_eq(getpgid(child.pid), child.pid);
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(it_learns_its_own_names_and_nobody_elses)
{
	char program[] = "env";
	char *argv[] = { program, NULL };
	char one[] = "ONE=1", task[] = "QUIESCE_TASK=77", notify[] = "NOTIFY_SOCKET=/run/other",
	     usec[] = "WATCHDOG_USEC=5", pid[] = "WATCHDOG_PID=1",
	     path[] = "PATH=/nowhere:/usr/bin";
	char *environment[] = { task, notify, one, usec, pid, path, NULL };
	struct qs_process_options options = child_options(argv);
	char expected[64];

	options.environment = environment;
	options.watchdog = _i ? 3 * QS_SEC : 0;
	child.keep = true;
	child_start(&child, options);
	snprintf(expected, sizeof(expected), "QUIESCE_TASK=%" PRIu64 "\n",
	        qs_task_id(qs_process_task(child.process)));
	child_await_end(&child);
	ck_assert_ptr_nonnull(strstr(child.output, expected));
	ck_assert_ptr_nonnull(strstr(child.output, "ONE=1\n"));
	ck_assert_ptr_nonnull(strstr(child.output, "QUIESCE_STOP_FD=3\n"));
	ck_assert_ptr_nonnull(strstr(child.output, "NOTIFY_SOCKET=@quiesce-"));
	ck_assert_ptr_null(strstr(child.output, "QUIESCE_TASK=77"));
	ck_assert_ptr_null(strstr(child.output, "/run/other"));
	ck_assert_ptr_null(strstr(child.output, "WATCHDOG_PID"));
	ck_assert_int_eq(strstr(child.output, "WATCHDOG_USEC=3000000\n") != NULL, _i);
	ck_assert_ptr_null(strstr(child.output, "WATCHDOG_USEC=5\n"));
	qs_process_free(child.process);
}
END_TEST

START_TEST(it_stands_where_it_was_told_to)
{
	char shell[] = "sh", option[] = "-c", text[] = "pwd; umask; cat; echo eof";
	char *argv[] = { shell, option, text, NULL };
	struct qs_process_options options = child_options(argv);

	options.working_directory = "/usr";
	options.umask = 027;
	child_start(&child, options);
	child_await_end(&child);
	ck_assert_str_eq(child.output, "/usr\n0027\neof\n");
	ck_assert_uint_ne(umask(0777), 027);
}
END_TEST

static void ask_for_open_files(uint64_t wanted)
{
	char shell[] = "sh", option[] = "-c", text[] = "ulimit -Sn; ulimit -Hn";
	char *argv[] = { shell, option, text, NULL };
	struct qs_process_options options = child_options(argv);

	options.limits.open_files = wanted;
	child_start(&child, options);
	child_await_end(&child);
}

START_TEST(it_may_open_as_many_files_as_were_found_at_first)
{
	struct rlimit found, own;
	char expected[64];

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &found), 0);
	own = found;
	own.rlim_cur = 1000;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &own), 0);
	ask_for_open_files(0);
	snprintf(expected, sizeof(expected), "%ju\n%ju\n", (uintmax_t)found.rlim_cur,
	        (uintmax_t)found.rlim_max);
	ck_assert_str_eq(child.output, expected);
}
END_TEST

START_TEST(it_may_open_as_many_files_as_it_is_allowed)
{
	ask_for_open_files(64);
	ck_assert_str_eq(child.output, "64\n64\n");
	ck_assert_str_eq(child.warnings, "");
}
END_TEST

START_TEST(more_files_than_the_kernel_allows_are_as_many_as_it_does)
{
	struct rlimit found;
	char expected[64];

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &found), 0);
	ask_for_open_files(UINT64_C(1) << 40);
	snprintf(expected, sizeof(expected), "%ju\n%ju\n", (uintmax_t)found.rlim_max,
	        (uintmax_t)found.rlim_max);
	ck_assert_str_eq(child.output, expected);
	ck_assert_ptr_nonnull(strstr(child.warnings, "limits.open_files"));
}
END_TEST

START_TEST(limits_that_need_a_cgroup_are_a_warning_without_one)
{
	char program[] = "true";
	char *argv[] = { program, NULL };
	struct qs_process_options options = child_options(argv);

	options.limits = (struct qs_process_limits){ .memory = 1 << 20, .pids = 5 };
	child_start(&child, options);
	ck_assert_ptr_nonnull(strstr(child.warnings, "limits.memory is not enforced: no cgroup"));
	ck_assert_ptr_nonnull(strstr(child.warnings, "limits.pids is not enforced: no cgroup"));
	child_await_end(&child);
}
END_TEST

/* --- what it says --- */

START_TEST(all_that_it_wrote_is_there_before_its_end_is_told)
{
	child_sh(&child, "echo out; echo err >&2; printf last");
	AWAIT(child.leader_exited);
	ck_assert_str_eq(child.output, "out\nerr\nlast");
	child_await_end(&child);
}
END_TEST

START_TEST(ten_megabytes_without_a_newline_arrive_whole)
{
	child_sh(&child, "exec head -c 10485760 /dev/zero");
	child_await_end(&child);
	ck_assert_uint_eq(child.output_size, 10485760);
	ck_assert_int_eq(child.verdict, QS_VERDICT_FINISHED);
}
END_TEST

START_TEST(a_flood_holds_up_nobody)
{
	struct child other = { 0 };

	child_sh(&child, "exec cat /dev/zero");
	AWAIT(child.output_size > 1 << 20);
	child_sh(&other, "exit 0");
	child_await_end(&other);
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(a_child_may_close_all_that_it_was_given)
{
	child_sh(&child, "echo up; exec 0<&- 1>&- 2>&- 3<&-; exec sleep 1000");
	child_await_output(&child, "up\n");
	/* Once its end of the output is read, nothing there wakes the loop any more. */
	unsigned before = world.turns;
	AWAIT(world.turns > before);
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(the_stop_pipe_brings_one_line_and_its_end)
{
	struct qs_stop_reason reason;

	child_sh(&child, "trap '' TERM; echo up; cat <&3; exit 0");
	child_await_output(&child, "up\n");
	uint64_t deadline = qs_time_add(qs_time_now(), QS_HOUR);
	qs_task_ask(qs_process_task(child.process), QS_CAUSE_RELOAD, deadline);
	child_await_end(&child);
	ck_assert_int_eq(child.verdict, QS_VERDICT_STOPPED);
	const char *line = child.output + strlen("up\n");
	ck_assert_int_eq(qs_stop_parse(line, strlen(line), &reason), 0);
	ck_assert_int_eq(reason.cause, QS_CAUSE_RELOAD);
	ck_assert_uint_eq(reason.deadline / QS_USEC, deadline / QS_USEC);
	ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
}
END_TEST

/* The signal that a write to it raises would end this very test. */
START_TEST(a_closed_stop_pipe_harms_nobody)
{
	sigset_t pending;

	ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	child_sh(&child, "exec 3<&-; echo up; exec sleep 1000");
	child_await_output(&child, "up\n");
	child_end(&child, QS_VERDICT_STOPPED);
	ck_assert_int_eq(sigpending(&pending), 0);
	ck_assert_int_eq(sigismember(&pending, SIGPIPE), 0);
}
END_TEST

START_TEST(a_full_stop_pipe_holds_up_nobody)
{
	child_sh(&child, "head -c 65536 /dev/zero >/proc/self/fd/3; echo up; exec sleep 1000");
	child_await_output(&child, "up\n");
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(a_message_outlives_its_sender)
{
	child_role(&child, "notify");
	child_await_end(&child);
	ck_assert_uint_eq(child.messages, 1);
	ck_assert_str_eq(child.message, "READY=1\nSTATUS=here");
	ck_assert_int_eq(child.sender, child.pid);
}
END_TEST

START_TEST(a_barrier_is_answered)
{
	child_role(&child, "barrier");
	child_await_end(&child);
	ck_assert_str_eq(child.message, "BARRIER=1");
	ck_assert_int_eq(child.leader.value, 0);
}
END_TEST

START_TEST(a_message_of_another_user_is_not_heard)
{
	if (geteuid() != 0) {
		fprintf(stderr, "not root: no other user to be\n");
		return;
	}
	child_role(&child, "foreigner");
	child_await_end(&child);
	ck_assert_int_eq(child.leader.value, 0);
	ck_assert_str_eq(child.message, "STATUS=before");
	ck_assert_uint_eq(child.messages, 1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("process-given");
	TCase *tcase = tcase_create("process-given");

	tcase_add_checked_fixture(tcase, set_up, world_tear_down);
	tcase_add_test(tcase, it_inherits_four_descriptors_and_no_more);
	tcase_add_test(tcase, it_inherits_four_descriptors_when_its_parent_has_none_of_them);
	tcase_add_test(tcase, it_starts_with_a_clean_slate_of_signals);
	tcase_add_test(tcase, it_is_the_leader_of_its_process_group);
	tcase_add_loop_test(tcase, it_learns_its_own_names_and_nobody_elses, 0, 2);
	tcase_add_test(tcase, it_stands_where_it_was_told_to);
	tcase_add_test(tcase, it_may_open_as_many_files_as_were_found_at_first);
	tcase_add_test(tcase, it_may_open_as_many_files_as_it_is_allowed);
	tcase_add_test(tcase, more_files_than_the_kernel_allows_are_as_many_as_it_does);
	tcase_add_test(tcase, limits_that_need_a_cgroup_are_a_warning_without_one);
	tcase_add_test(tcase, all_that_it_wrote_is_there_before_its_end_is_told);
	tcase_add_test(tcase, ten_megabytes_without_a_newline_arrive_whole);
	tcase_add_test(tcase, a_flood_holds_up_nobody);
	tcase_add_test(tcase, a_child_may_close_all_that_it_was_given);
	tcase_add_test(tcase, the_stop_pipe_brings_one_line_and_its_end);
	tcase_add_test(tcase, a_closed_stop_pipe_harms_nobody);
	tcase_add_test(tcase, a_full_stop_pipe_holds_up_nobody);
	tcase_add_test(tcase, a_message_outlives_its_sender);
	tcase_add_test(tcase, a_barrier_is_answered);
	tcase_add_test(tcase, a_message_of_another_user_is_not_heard);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv)
{
	return process_test_main(argc, argv, make_suite);
}
