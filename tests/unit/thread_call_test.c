/* Blocking calls of fibers, run by the pool: their results, and every way in which they are ended.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/fiber.h>
#include <quiesce/runtime.h>
#include <quiesce/thread.h>

#include "lib/macro.h"
#include "lib/runtime.h"

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

static int return_arg(qs_task *self, void *arg)
{
	(void)self;
	return *(const int *)arg;
}

static _Atomic bool release;
static _Atomic unsigned waiting;

/* --- calls --- */

static int caller_result;

struct call {
	struct qs_call_options options;
	qs_task_fn fn;
	void *arg;
	uint64_t span;
	int result;
	uint64_t took;
};

static int make_call(qs_task *self, void *arg)
{
	struct call *call = arg;
	uint64_t began = qs_time_now();

	call->result = qs_call_blocking(self, &call->options, call->fn, call->arg,
	        call->span ? qs_in(self, call->span) : QS_FOREVER);
	call->took = qs_time_now() - began;
	return 0;
}

static void call_and_run(struct call *call, int status)
{
	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, make_call, call, NULL), 0);
	ck_assert_int_eq(qs_run(runtime), status);
}

START_TEST(a_call_gives_the_fiber_what_the_function_returned)
{
	int value = 42;
	struct call call = { .fn = return_arg, .arg = &value };

	call_and_run(&call, 0);
	ck_assert_int_eq(call.result, 42);
}
END_TEST

START_TEST(at_the_deadline_a_call_is_cancelled_and_waited_for)
{
	struct call call = { .fn = block_in_read, .span = 10 * QS_MSEC };

	call_and_run(&call, 0);
	ck_assert_int_eq(call.result, -ETIMEDOUT);
	ck_assert_uint_ge(call.took, 10 * QS_MSEC);
	ck_assert_uint_eq(qs_live(runtime), 0);
}
END_TEST

static _Atomic unsigned discards;

static void note_discard(void *arg)
{
	(void)arg;
	atomic_fetch_add(&discards, 1);
}

static int block_on_release(qs_task *self, void *arg)
{
	(void)self;
	(void)arg;
	while (!atomic_load(&release))
		(void)poll(NULL, 0, 1);
	return 0;
}

START_TEST(an_abandonable_call_is_left_behind_and_its_argument_discarded)
{
	struct call call = { .options = { .abandonable = true, .discard = note_discard },
		.fn = block_on_release,
		.span = 10 * QS_MSEC };

	call_and_run(&call, 151);
	ck_assert_int_eq(call.result, -ETIMEDOUT);
	ck_assert_uint_eq(atomic_load(&discards), 0);
	atomic_store(&release, true);
	while (atomic_load(&discards) == 0)
		;
	ck_assert_uint_eq(atomic_load(&discards), 1);
}
END_TEST

static int call_after_ask(qs_task *self, void *arg)
{
	int value = 5;

	(void)arg;
	(void)qs_sleep(self, QS_FOREVER);
	caller_result = qs_call_blocking(self, NULL, return_arg, &value, QS_FOREVER);
	return 0;
}

START_TEST(work_in_flight_may_still_call_after_the_ask)
{
	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, call_after_ask, NULL, NULL), 0);
	(void)qs_loop_turn(runtime->loop, false);
	ck_assert_int_eq(qs_shutdown(runtime, "test"), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_int_eq(caller_result, 5);
}
END_TEST

static int cancel_when_running(qs_task *self, void *arg)
{
	qs_task *other = *(qs_task **)arg;

	while (atomic_load(&waiting) == 0)
		(void)qs_sleep(self, qs_in(self, QS_MSEC));
	if (caller_result == QS_RUNG_KILL)
		qs_task_kill(other, QS_CAUSE_API);
	else
		qs_task_cancel(other, QS_CAUSE_API);
	return 0;
}

static int note_then_read(qs_task *self, void *arg)
{
	atomic_fetch_add(&waiting, 1);
	int r = block_in_read(self, arg);
	/* It lies on the stack of the caller, which must be there still. */
	*(int *)arg = 1;
	return r;
}

static int call_with_own_stack(qs_task *self, void *arg)
{
	volatile int local = 0;

	(void)arg;
	int r = qs_call_blocking(self, NULL, note_then_read, (void *)&local, QS_FOREVER);
	ck_assert_int_eq(local, 1);
	return r;
}

/* Killed, the fiber never goes on; but its stack stays until the call has come back. */
START_TEST(a_fiber_is_not_ended_under_a_call_that_uses_its_stack)
{
	struct qs_result result;
	qs_task *task;

	caller_result = _i;
	ck_assert_int_eq(
	        qs_spawn_fiber(qs_root(runtime), NULL, call_with_own_stack, NULL, &task), 0);
	ck_assert_int_eq(
	        qs_spawn_fiber(qs_root(runtime), NULL, cancel_when_running, &task, NULL), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_int_eq(qs_task_result(task, &result), 0);
	ck_assert_int_eq(
	        result.verdict, _i == QS_RUNG_KILL ? QS_VERDICT_KILLED : QS_VERDICT_CANCELLED);
	if (_i == QS_RUNG_CANCEL)
		ck_assert_int_eq(result.outcome.value, -ECANCELED);
}
END_TEST

static _Atomic unsigned at_once, most_at_once;

static int count_at_once(qs_task *self, void *arg)
{
	unsigned now = atomic_fetch_add(&at_once, 1) + 1, most = atomic_load(&most_at_once);

	(void)self;
	(void)arg;
	while (most < now && !atomic_compare_exchange_weak(&most_at_once, &most, now))
		;
	(void)poll(NULL, 0, 1);
	atomic_fetch_sub(&at_once, 1);
	return 0;
}

START_TEST(the_pool_has_no_more_threads_than_its_limit)
{
	struct call calls[50] = { 0 };

	qs_runtime_free(runtime);
	struct qs_runtime_options options = plain;
	options.thread_limit = 3;
	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), 0);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		calls[i].fn = count_at_once;
		ck_assert_int_eq(
		        qs_spawn_fiber(qs_root(runtime), NULL, make_call, &calls[i], NULL), 0);
	}
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_uint_ge(atomic_load(&most_at_once), 1);
	ck_assert_uint_le(atomic_load(&most_at_once), 3);
}
END_TEST

START_TEST(a_call_that_waits_for_a_worker_is_cancelled_unbegun)
{
	struct call first = { .fn = block_on_release }, second = { .fn = return_arg };

	qs_runtime_free(runtime);
	struct qs_runtime_options options = plain;
	options.thread_limit = 1;
	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), 0);
	second.span = 20 * QS_MSEC;
	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, make_call, &first, NULL), 0);
	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, make_call, &second, NULL), 0);
	while (second.result == 0)
		(void)qs_loop_turn(runtime->loop, true);
	ck_assert_int_eq(second.result, -ETIMEDOUT);
	atomic_store(&release, true);
	ck_assert_int_eq(qs_run(runtime), 0);
}
END_TEST

/* Nobody discarded what never began: it leaked. */
START_TEST(the_argument_of_a_call_that_timed_out_is_discarded_begun_or_not)
{
	const struct qs_call_options abandonable = { .abandonable = true, .discard = note_discard };
	struct call first = { .fn = block_on_release };
	struct call queued = { .options = abandonable, .fn = return_arg, .span = 20 * QS_MSEC };
	struct call late = { .options = abandonable, .fn = return_arg, .span = 1 };
	int error = -ETIMEDOUT;
	struct call itself = { .options = abandonable, .fn = return_arg, .arg = &error };

	qs_runtime_free(runtime);
	struct qs_runtime_options options = plain;
	options.thread_limit = 1;
	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), 0);
	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, make_call, &first, NULL), 0);
	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, make_call, &queued, NULL), 0);
	while (queued.result == 0)
		(void)qs_loop_turn(runtime->loop, true);
	ck_assert_int_eq(queued.result, -ETIMEDOUT);
	ck_assert_uint_eq(atomic_load(&discards), 1);
	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, make_call, &late, NULL), 0);
	while (late.result == 0)
		(void)qs_loop_turn(runtime->loop, true);
	ck_assert_int_eq(late.result, -ETIMEDOUT);
	ck_assert_uint_eq(atomic_load(&discards), 2);
	atomic_store(&release, true);
	call_and_run(&itself, 0);
	ck_assert_int_eq(itself.result, -ETIMEDOUT);
	ck_assert_uint_eq(atomic_load(&discards), 3);
}
END_TEST

static int use_self(qs_task *self, void *arg)
{
	(void)arg;
	ck_assert(!qs_stopping(self));
	ck_assert(!qs_thread_cancelled(self));
	ck_assert(!qs_stop_is_set(qs_thread_stop(self)));
	ck_assert_int_eq(qs_thread_wait(self, qs_in(self, QS_SEC)), -ETIMEDOUT);
	ck_assert_int_eq(qs_shutdown(runtime, "the test"), 0);
	ck_assert_int_eq(qs_thread_wait(self, QS_FOREVER), 0);
	ck_assert(qs_stop_is_set(qs_thread_stop(self)));
	return 4;
}

/* It took the fiber for a thread, and crashed. */
START_TEST(in_a_simulation_a_call_may_use_what_threads_use)
{
	struct call call = { .fn = use_self };

	qs_runtime_free(runtime);
	ck_assert_int_eq(qs_runtime_new_with(
	                         &(struct qs_runtime_options){ .virtual_clock = true }, &runtime),
	        0);
	call_and_run(&call, 0);
	ck_assert_int_eq(call.result, 4);
}
END_TEST

START_TEST(in_a_simulation_a_call_runs_where_it_is_and_threads_are_refused)
{
	int value = 3;
	struct call call = { .fn = return_arg, .arg = &value };

	qs_runtime_free(runtime);
	ck_assert_int_eq(qs_runtime_new_with(
	                         &(struct qs_runtime_options){ .virtual_clock = true }, &runtime),
	        0);
	ck_assert_int_eq(
	        qs_spawn_thread(qs_root(runtime), NULL, block_on_release, NULL, NULL), -EOPNOTSUPP);
	call_and_run(&call, 0);
	ck_assert_int_eq(call.result, 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("thread_call");
	TCase *tcase = tcase_create("thread_call");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_call_gives_the_fiber_what_the_function_returned);
	tcase_add_test(tcase, at_the_deadline_a_call_is_cancelled_and_waited_for);
	tcase_add_test(tcase, an_abandonable_call_is_left_behind_and_its_argument_discarded);
	tcase_add_test(tcase, work_in_flight_may_still_call_after_the_ask);
	tcase_add_loop_test(tcase, a_fiber_is_not_ended_under_a_call_that_uses_its_stack,
	        QS_RUNG_CANCEL, QS_RUNG_KILL + 1);
	tcase_add_test(tcase, the_pool_has_no_more_threads_than_its_limit);
	tcase_add_test(tcase, a_call_that_waits_for_a_worker_is_cancelled_unbegun);
	tcase_add_test(tcase, the_argument_of_a_call_that_timed_out_is_discarded_begun_or_not);
	tcase_add_test(tcase, in_a_simulation_a_call_may_use_what_threads_use);
	tcase_add_test(tcase, in_a_simulation_a_call_runs_where_it_is_and_threads_are_refused);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
