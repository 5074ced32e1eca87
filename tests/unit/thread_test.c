/* Threads as tasks, with real threads: asked, woken, abandoned; and calls that the pool runs. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/fiber.h>
#include <quiesce/runtime.h>
#include <quiesce/thread.h>

#include "lib/eventfd.h"
#include "lib/macro.h"
#include "lib/runtime.h"
#include "lib/thread.h"

#define WAITERS     1000
#define PROMPT      (5 * QS_SEC) /* what must not take long is given up on after this */
#define THREAD_ROOM (64 * 1024)

static const struct qs_runtime_options plain = { .keep_signals = true, .keep_quiet = true };
static qs_runtime *runtime;
static int never_ready[2]; /* a pipe that nobody writes */

static void set_up(void)
{
	ck_assert_int_eq(pipe(never_ready), 0);
	ck_assert_int_eq(qs_runtime_new_with(&plain, &runtime), 0);
}

static void tear_down(void)
{
	qs_runtime_free(runtime);
	close(never_ready[0]);
	close(never_ready[1]);
}

/* Blocks like code that knows nothing of stop events. */
static int block_in_read(qs_task *self, void *arg)
{
	char byte;

	(void)self;
	(void)arg;
	return read(never_ready[0], &byte, 1) < 0 ? -errno : 0;
}

static int wait_for_stop(qs_task *self, void *arg)
{
	(void)arg;
	return qs_thread_wait(self, QS_FOREVER);
}

static int return_arg(qs_task *self, void *arg)
{
	(void)self;
	return *(const int *)arg;
}

static struct qs_result run_one(qs_task_fn fn, void *arg, enum qs_rung rung)
{
	struct qs_result result = { 0 };
	qs_task *task;

	ck_assert_int_eq(qs_spawn_thread(qs_root(runtime), NULL, fn, arg, &task), 0);
	if (rung == QS_RUNG_ASK)
		qs_task_ask(task, QS_CAUSE_API, QS_FOREVER);
	if (rung == QS_RUNG_CANCEL)
		qs_task_cancel(task, QS_CAUSE_API);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_int_eq(qs_task_result(task, &result), 0);
	return result;
}

START_TEST(what_it_returns_is_its_result)
{
	int value = 7, failure = -EIO;

	struct qs_result result = run_one(return_arg, &value, QS_RUNG_NONE);
	ck_assert_int_eq(result.verdict, QS_VERDICT_FINISHED);
	ck_assert_int_eq(result.outcome.value, 7);
	result = run_one(return_arg, &failure, QS_RUNG_NONE);
	ck_assert_int_eq(result.verdict, QS_VERDICT_FAILED);
}
END_TEST

START_TEST(asked_it_hears_by_its_stop_event)
{
	ck_assert_int_eq(run_one(wait_for_stop, NULL, QS_RUNG_ASK).verdict, QS_VERDICT_STOPPED);
}
END_TEST

static int poll_stop_fd(qs_task *self, void *arg)
{
	struct pollfd fd = { .fd = qs_stop_fd(qs_thread_stop(self)), .events = POLLIN };

	(void)arg;
	return poll(&fd, 1, -1) == 1 && qs_stopping(self) ? -ESHUTDOWN : 0;
}

START_TEST(asked_its_descriptor_becomes_readable)
{
	ck_assert_int_eq(run_one(poll_stop_fd, NULL, QS_RUNG_ASK).outcome.value, -ESHUTDOWN);
}
END_TEST

static int poll_until_stop(qs_task *self, void *arg)
{
	(void)arg;
	while (!qs_stopping(self))
		;
	return 0;
}

START_TEST(asked_it_hears_by_polling)
{
	ck_assert_int_eq(run_one(poll_until_stop, NULL, QS_RUNG_ASK).verdict, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(cancelled_its_blocking_call_returns)
{
	struct qs_result result = run_one(block_in_read, NULL, QS_RUNG_CANCEL);

	ck_assert_int_eq(result.outcome.value, -EINTR);
	ck_assert_int_eq(result.verdict, QS_VERDICT_CANCELLED);
}
END_TEST

/* The first signal hits it before its blocking call, and the second one too. */
static int block_late(qs_task *self, void *arg)
{
	int interrupted = 0, r;

	while (!qs_thread_cancelled(self))
		;
	while (interrupted < 3) {
		r = block_in_read(self, arg);
		interrupted += r == -EINTR;
	}
	return interrupted;
}

START_TEST(the_wake_up_is_repeated_until_it_has_ended)
{
	ck_assert_int_eq(run_one(block_late, NULL, QS_RUNG_CANCEL).outcome.value, 3);
}
END_TEST

/* The loop does nothing at all: only the guard moves the coarse clock. */
START_TEST(a_thread_that_polls_does_not_seem_to_lag_while_the_loop_sleeps)
{
	uint64_t until = qs_time_add(qs_time_now(), PROMPT), cursor = 0, first;
	const struct qs_record *record;
	qs_task *task;

	ck_assert_int_eq(qs_spawn_thread(qs_root(runtime), NULL, poll_until_stop, NULL, &task), 0);
	record = qs_ledger_next(runtime->ground->ledger, &cursor);
	do
		first = atomic_load(&record->polled_at);
	while (first == 0);
	for (int moves = 0; moves < 3 && qs_time_now() < until; moves++) {
		while (atomic_load(&record->polled_at) == first && qs_time_now() < until)
			;
		first = atomic_load(&record->polled_at);
	}
	ck_assert_uint_lt(qs_time_now(), until);
	qs_task_ask(task, QS_CAUSE_API, QS_FOREVER);
	ck_assert_int_eq(qs_run(runtime), 0);
}
END_TEST

/* --- many --- */

static _Atomic unsigned waiting;
static _Atomic uint64_t last_awake;

static int note_when_awake(qs_task *self, void *arg)
{
	(void)arg;
	atomic_fetch_add(&waiting, 1);
	int r = qs_thread_wait(self, QS_FOREVER);
	uint64_t now = qs_time_now(), last = atomic_load(&last_awake);

	while (last < now && !atomic_compare_exchange_weak(&last_awake, &last, now))
		;
	return r;
}

static void allow_descriptors(void)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(a_thousand_waiting_threads_are_awake_at_once)
{
	const struct qs_task_options small = { .name = "waiter", .stack_size = THREAD_ROOM };

	allow_descriptors();
	for (unsigned i = 0; i < WAITERS; i++)
		ck_assert_int_eq(
		        qs_spawn_thread(qs_root(runtime), &small, note_when_awake, NULL, NULL), 0);
	while (atomic_load(&waiting) < WAITERS)
		(void)qs_loop_turn(runtime->loop, false);
	uint64_t asked_at = qs_time_now();
	ck_assert_int_eq(qs_shutdown(runtime, "test"), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	/* The design asks for 20 ms, which the benchmark looks at; a test machine may be busy. */
	ck_assert_uint_lt(atomic_load(&last_awake) - asked_at, QS_SEC);
}
END_TEST

/* --- stuck for ever --- */

static char log_text[1024];

static void note_log(enum qs_log_level level, const char *text, void *arg)
{
	(void)level;
	(void)arg;
	strncat(log_text, text, sizeof(log_text) - strlen(log_text) - 1);
}

static _Atomic bool release;

static int stuck(qs_task *self, void *arg)
{
	(void)arg;
	while (!atomic_load(&release))
		(void)qs_stopping(self);
	return 0;
}

/* In a child: an abandoned thread goes on after its runtime was freed, and touches what is its. */
static void be_stuck(bool freed)
{
	struct qs_runtime_options options = plain;
	qs_group *group;

	options.plan = (struct qs_shutdown_plan){ 0, 20 * QS_MSEC, 20 * QS_MSEC, 20 * QS_MSEC };
	options.hooks.log = note_log;
	if (qs_runtime_new_with(&options, &runtime) < 0)
		_exit(1);
	if (qs_group_new(qs_root(runtime), NULL, &group) < 0 ||
	        qs_spawn_thread(group, NULL, stuck, NULL, NULL) < 0)
		_exit(2);
	qs_group_free(group);
	qs_shutdown(runtime, "test");
	int status = qs_run(runtime);
	if (!strstr(log_text, "abandoned"))
		_exit(3);
	if (freed) {
		qs_runtime_free(runtime);
		(void)poll(NULL, 0, 20);
		atomic_store(&release, true);
		(void)poll(NULL, 0, 20);
	}
	_exit(status);
}

START_TEST(one_that_never_ends_is_abandoned_and_told_of)
{
	int status;
	uint64_t began = qs_time_now();
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		be_stuck(_i == 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 151);
	ck_assert_uint_lt(qs_time_now() - began, PROMPT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("thread");
	TCase *tcase = tcase_create("thread"), *children = tcase_create("children");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, what_it_returns_is_its_result);
	tcase_add_test(tcase, asked_it_hears_by_its_stop_event);
	tcase_add_test(tcase, asked_its_descriptor_becomes_readable);
	tcase_add_test(tcase, asked_it_hears_by_polling);
	tcase_add_test(tcase, cancelled_its_blocking_call_returns);
	tcase_add_test(tcase, the_wake_up_is_repeated_until_it_has_ended);
	tcase_add_test(tcase, a_thread_that_polls_does_not_seem_to_lag_while_the_loop_sleeps);
	tcase_add_test(tcase, a_thousand_waiting_threads_are_awake_at_once);
	/* Without the fixture: a process with threads is not to be forked. */
	tcase_add_loop_test(children, one_that_never_ends_is_abandoned_and_told_of, 0, 2);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, children);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
