/* Runtimes: how a run begins and ends, and what is told of it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/fiber.h>
#include <quiesce/runtime.h>
#include <quiesce/step.h>
#include <quiesce/thread.h>

#include "lib/macro.h"
#include "lib/report.h"
#include "lib/runtime.h"

static const struct qs_runtime_options quiet = { .keep_quiet = true };

static qs_runtime *make(const struct qs_runtime_options *options)
{
	qs_runtime *runtime;

	ck_assert_int_eq(qs_runtime_new_with(options, &runtime), 0);
	return runtime;
}

static int sleep_for_ever(qs_task *self, void *arg)
{
	(void)arg;
	return qs_sleep(self, QS_FOREVER);
}

static int ignore_stop(qs_task *self, void *arg, unsigned why)
{
	(void)self;
	(void)arg;
	(void)why;
	return QS_STEP_WAIT;
}

static int wait_in_thread(qs_task *self, void *arg)
{
	(void)arg;
	return qs_thread_wait(self, QS_FOREVER);
}

static void spawn_sleeper(qs_runtime *runtime)
{
	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, sleep_for_ever, NULL, NULL), 0);
}

/* --- beginning and end of a run --- */

static int run_within(qs_task *self, void *arg)
{
	(void)self;
	return qs_run(arg) == -EDEADLK ? 0 : -EIO;
}

/* It span. */
START_TEST(a_runtime_does_not_run_within_itself)
{
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&quiet);
	struct qs_result result;
	qs_task *task;

	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, run_within, runtime, &task), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_int_eq(qs_task_result(task, &result), 0);
	ck_assert_uint_eq(result.verdict, QS_VERDICT_FINISHED);
}
END_TEST

START_TEST(threads_are_not_woken_by_the_signals_that_stop)
{
	struct qs_runtime_options options = { .keep_quiet = true, .wake_signal = SIGTERM };
	qs_runtime *runtime;

	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), -EINVAL);
	options.keep_signals = true;
	options.wake_signal = SIGUSR1;
	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), 0);
	qs_runtime_free(runtime);
	options.wake_signal = SIGKILL;
	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), -EINVAL);
}
END_TEST

START_TEST(a_run_with_nothing_to_do_is_over_at_once)
{
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&quiet);

	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
}
END_TEST

static int yield_some(qs_task *self, void *arg)
{
	for (int i = 0; i < 3; i++)
		(void)qs_yield(self);
	++*(unsigned *)arg;
	return 0;
}

START_TEST(a_runtime_can_run_again_as_long_as_nobody_stopped_it)
{
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&quiet);
	unsigned count = 0;

	for (unsigned i = 1; i <= 3; i++) {
		ck_assert_int_eq(
		        qs_spawn_fiber(qs_root(runtime), NULL, yield_some, &count, NULL), 0);
		ck_assert_int_eq(qs_run(runtime), 0);
		ck_assert_uint_eq(count, i);
	}
}
END_TEST

static void shut_down_later(void *arg)
{
	ck_assert_int_eq(qs_shutdown(arg, "a post"), 0);
}

static void send_sigterm(void *arg)
{
	(void)arg;
	kill(getpid(), SIGTERM);
}

static void set_stop_event(void *arg)
{
	const struct qs_stop_reason reason = { .cause = QS_CAUSE_API, .deadline = QS_FOREVER };

	ck_assert_int_eq(qs_stop_set(qs_runtime_stop(arg), &reason), 1);
}

static void (*const ways_to_stop[])(void *arg) = { shut_down_later, send_sigterm, set_stop_event };

START_TEST(a_shutdown_begins_by_request_by_signal_and_by_the_stop_event)
{
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&quiet);

	spawn_sleeper(runtime);
	ck_assert_int_eq(qs_post(runtime, ways_to_stop[_i], runtime), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert(qs_stop_is_set(qs_runtime_stop(runtime)));
	/* It is over for good: nothing enters any more, and the status stays. */
	ck_assert_int_eq(
	        qs_spawn_fiber(qs_root(runtime), NULL, sleep_for_ever, NULL, NULL), -ESHUTDOWN);
	ck_assert_int_eq(qs_run(runtime), 0);
}
END_TEST

START_TEST(a_further_request_moves_on_by_a_phase)
{
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&quiet);
	uint64_t began = qs_time_now();

	ck_assert_int_eq(qs_spawn_step(qs_root(runtime), NULL, ignore_stop, NULL, NULL), 0);
	ck_assert_int_eq(qs_shutdown(runtime, "first"), 0);
	ck_assert_int_eq(qs_shutdown(runtime, "second"), 0);
	ck_assert_int_eq(qs_run(runtime), 150);
	ck_assert_uint_lt(qs_time_now() - began, 10 * QS_SEC);
}
END_TEST

START_TEST(in_a_simulation_too_and_its_time_is_its_own)
{
	_cleanup_(qs_runtime_freep) qs_runtime *runtime =
	        make(&(struct qs_runtime_options){ .virtual_clock = true });
	uint64_t began = qs_now(runtime);

	ck_assert_int_eq(qs_spawn_step(qs_root(runtime), NULL, ignore_stop, NULL, NULL), 0);
	ck_assert_int_eq(qs_shutdown(runtime, "first"), 0);
	if (_i > 0)
		ck_assert_int_eq(qs_shutdown(runtime, "second"), 0);
	ck_assert_int_eq(qs_run(runtime), 150);
	ck_assert_uint_eq(qs_now(runtime) - began, _i > 0 ? 0 : 20 * QS_SEC);
}
END_TEST

START_TEST(a_simulation_in_which_nothing_can_happen_says_so)
{
	_cleanup_(qs_runtime_freep) qs_runtime *runtime =
	        make(&(struct qs_runtime_options){ .virtual_clock = true });

	spawn_sleeper(runtime);
	ck_assert_int_eq(qs_run(runtime), -EDEADLK);
}
END_TEST

START_TEST(a_runtime_that_lives_is_freed_with_all_that_lives_in_it)
{
	qs_runtime *runtime = make(&quiet);

	for (int i = 0; i < 10; i++) {
		spawn_sleeper(runtime);
		ck_assert_int_eq(qs_spawn_step(qs_root(runtime), NULL, ignore_stop, NULL, NULL), 0);
		ck_assert_int_eq(
		        qs_spawn_thread(qs_root(runtime), NULL, wait_in_thread, NULL, NULL), 0);
	}
	(void)qs_loop_turn(runtime->loop, false);
	qs_runtime_free(runtime);
}
END_TEST

static int spawned; /* by a post */

static void spawn_late(void *arg)
{
	spawned = qs_spawn_fiber(qs_root(arg), NULL, sleep_for_ever, NULL, NULL);
}

/* It was let in, and the runtime was freed under its feet. */
START_TEST(what_was_posted_is_called_before_it_is_freed_and_starts_nothing)
{
	qs_runtime *runtime = make(&quiet);

	spawned = 1;
	ck_assert_int_eq(qs_post(runtime, spawn_late, runtime), 0);
	qs_runtime_free(runtime);
	ck_assert_int_eq(spawned, -ESHUTDOWN);
}
END_TEST

START_TEST(the_signals_are_let_in_again_and_one_that_came_late_harms_nobody)
{
	sigset_t mask;

	qs_runtime *runtime = make(&quiet);
	ck_assert_int_eq(qs_shutdown(runtime, "test"), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	kill(getpid(), SIGTERM);
	qs_runtime_free(runtime);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
	ck_assert_int_eq(sigismember(&mask, SIGTERM), 0);
}
END_TEST

START_TEST(signals_that_are_kept_stay_with_the_program)
{
	const struct qs_runtime_options options = { .keep_quiet = true, .keep_signals = true };
	struct sigaction before, during;
	sigset_t mask;

	ck_assert_int_eq(sigaction(SIGSEGV, NULL, &before), 0);
	qs_runtime *runtime = make(&options);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
	ck_assert_int_eq(sigismember(&mask, SIGTERM), 0);
	ck_assert_int_eq(sigaction(SIGSEGV, NULL, &during), 0);
	qs_runtime_free(runtime);
	ck_assert(during.sa_sigaction == before.sa_sigaction);
}
END_TEST

static int poll_by_arg(qs_task *self, void *arg)
{
	_Atomic uint64_t *polled_at = *(_Atomic uint64_t **)arg;
	uint64_t until = qs_time_add(qs_time_now(), 10 * QS_SEC), first;

	(void)qs_stopping(self);
	first = atomic_load(polled_at);
	while (qs_time_now() < until && atomic_load(polled_at) == first)
		(void)qs_stopping(self);
	return atomic_load(polled_at) > first ? 0 : -ETIME;
}

/* It keeps the loop from moving its clock: the guard does that. */
START_TEST(a_task_that_polls_in_a_long_turn_does_not_seem_to_lag)
{
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&quiet);
	struct qs_result result;
	uint64_t cursor = 0;
	_Atomic uint64_t *polled_at;
	qs_task *task;

	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, poll_by_arg, &polled_at, &task), 0);
	polled_at =
	        &((struct qs_record *)qs_ledger_next(runtime->ground->ledger, &cursor))->polled_at;
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_int_eq(qs_task_result(task, &result), 0);
	ck_assert_int_eq(result.verdict, QS_VERDICT_FINISHED);
}
END_TEST

/* --- what is told --- */

static char told[4096];

static void note_log(enum qs_log_level level, const char *text, void *arg)
{
	(void)level;
	(void)arg;
	strncat(told, text, sizeof(told) - strlen(told) - 1);
	strncat(told, "\n", sizeof(told) - strlen(told) - 1);
}

static void note_phase(enum qs_phase phase, void *arg)
{
	strcat(arg, qs_phase_name(phase));
	strcat(arg, " ");
}

START_TEST(the_phases_and_the_summary_are_told)
{
	char phases[256] = "";
	struct qs_runtime_options options = quiet;
	options.virtual_clock = true;
	options.hooks.phase = note_phase;
	options.hooks.log = note_log;
	options.hooks.arg = phases;
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&options);

	ck_assert_int_eq(
	        qs_spawn_step(qs_root(runtime), &(struct qs_task_options){ .name = "deaf" },
	                ignore_stop, NULL, NULL),
	        0);
	ck_assert_int_eq(qs_shutdown(runtime, "by the test"), 0);
	ck_assert_int_eq(qs_run(runtime), 150);
	ck_assert_str_eq(phases, "draining stopping cancelling quiesced ");
	ck_assert_ptr_nonnull(strstr(told, "by the test"));
	ck_assert_ptr_nonnull(strstr(told, "1 cancelled (deaf)"));
}
END_TEST

static int fail_at_once(qs_task *self, void *arg)
{
	(void)self;
	(void)arg;
	return -EIO;
}

static void keep_longest(enum qs_log_level level, const char *text, void *arg)
{
	size_t *longest = arg;

	(void)level;
	*longest = MAX(*longest, strlen(text));
}

/* It was read on, into the times that lie behind it. */
START_TEST(a_detail_that_is_too_long_is_cut)
{
	size_t longest = 0;
	const struct qs_runtime_options options = { .keep_quiet = true,
		.hooks = { .log = keep_longest, .arg = &longest } };
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&options);
	struct qs_stop_reason reason = { .cause = QS_CAUSE_API, .at = UINT64_MAX / 255 };

	memset(reason.detail, 'x', sizeof(reason.detail));
	spawn_sleeper(runtime);
	ck_assert_int_eq(qs_shutdown_for(runtime, &reason), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_uint_eq(longest, strlen("stop asked for: ") + sizeof(reason.detail) - 1);
}
END_TEST

START_TEST(a_failure_that_nobody_reads_is_told_by_name)
{
	struct qs_runtime_options options = quiet;
	options.hooks.log = note_log;
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&options);

	ck_assert_int_eq(
	        qs_spawn_fiber(qs_root(runtime), &(struct qs_task_options){ .name = "fragile" },
	                fail_at_once, NULL, NULL),
	        0);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_ptr_nonnull(strstr(told, "(fragile) failed"));
}
END_TEST

START_TEST(the_report_is_written_into_its_directory)
{
	char directory[] = "/tmp/runtime-test.XXXXXX", path[128], text[4096];
	struct qs_runtime_options options = quiet;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/%s", directory, QS_REPORT_NAME);
	options.report_directory = directory;
	qs_runtime *runtime = make(&options);
	spawn_sleeper(runtime);
	ck_assert_int_eq(qs_shutdown(runtime, "for the record"), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	int fd = open(path, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	close(fd);
	ck_assert_ptr_nonnull(strstr(text, "for the record"));
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
	qs_runtime_free(runtime);
}
END_TEST

START_TEST(a_report_directory_that_is_none_is_an_error)
{
	struct qs_runtime_options options = quiet;
	qs_runtime *runtime;

	options.report_directory = "/nonexistent";
	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), -ENOENT);
}
END_TEST

START_TEST(the_service_manager_is_told)
{
	char directory[] = "/tmp/runtime-test.XXXXXX", text[4096] = "";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ssize_t n;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", directory);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	qs_runtime *runtime;
	ck_assert_int_eq(qs_runtime_new(&runtime), 0);
	spawn_sleeper(runtime);
	ck_assert_int_eq(qs_post(runtime, shut_down_later, runtime), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	while ((n = recv(fd, text + strlen(text), sizeof(text) - strlen(text) - 1, 0)) > 0)
		;
	const char *ready = strstr(text, "READY=1"), *stopping = strstr(text, "STOPPING=1");
	ck_assert_ptr_nonnull(ready);
	ck_assert_ptr_nonnull(stopping);
	ck_assert(ready < stopping);
	ck_assert_ptr_nonnull(strstr(stopping, "EXTEND_TIMEOUT_USEC="));
	qs_runtime_free(runtime);
	unsetenv("NOTIFY_SOCKET");
	close(fd);
	unlink(address.sun_path);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

static TCase *tests_of_runs(void)
{
	TCase *tcase = tcase_create("runs");

	tcase_add_test(tcase, a_run_with_nothing_to_do_is_over_at_once);
	tcase_add_test(tcase, a_runtime_does_not_run_within_itself);
	tcase_add_test(tcase, threads_are_not_woken_by_the_signals_that_stop);
	tcase_add_test(tcase, a_runtime_can_run_again_as_long_as_nobody_stopped_it);
	tcase_add_loop_test(tcase, a_shutdown_begins_by_request_by_signal_and_by_the_stop_event, 0,
	        (int)ARRAY_SIZE(ways_to_stop));
	tcase_add_test(tcase, a_further_request_moves_on_by_a_phase);
	tcase_add_loop_test(tcase, in_a_simulation_too_and_its_time_is_its_own, 0, 2);
	tcase_add_test(tcase, a_simulation_in_which_nothing_can_happen_says_so);
	tcase_add_test(tcase, a_runtime_that_lives_is_freed_with_all_that_lives_in_it);
	tcase_add_test(tcase, what_was_posted_is_called_before_it_is_freed_and_starts_nothing);
	tcase_add_test(tcase, the_signals_are_let_in_again_and_one_that_came_late_harms_nobody);
	tcase_add_test(tcase, signals_that_are_kept_stay_with_the_program);
	tcase_add_test(tcase, a_task_that_polls_in_a_long_turn_does_not_seem_to_lag);
	return tcase;
}

static TCase *tests_of_what_is_told(void)
{
	TCase *tcase = tcase_create("told");

	tcase_add_test(tcase, the_phases_and_the_summary_are_told);
	tcase_add_test(tcase, a_detail_that_is_too_long_is_cut);
	tcase_add_test(tcase, a_failure_that_nobody_reads_is_told_by_name);
	tcase_add_test(tcase, the_report_is_written_into_its_directory);
	tcase_add_test(tcase, a_report_directory_that_is_none_is_an_error);
	tcase_add_test(tcase, the_service_manager_is_told);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("runtime");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tests_of_runs());
	suite_add_tcase(suite, tests_of_what_is_told());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
