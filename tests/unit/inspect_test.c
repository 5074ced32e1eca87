/* What is seen of a runtime's tasks from outside, and a stop with less patience than the plan. */
#include <quiesce/inspect.h>

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <quiesce/fiber.h>
#include <quiesce/mailbox.h>
#include <quiesce/step.h>

#include "lib/macro.h"

static qs_runtime *runtime;

static void begin_virtual(void)
{
	const struct qs_runtime_options options = { .virtual_clock = true };

	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), 0);
}

static void begin(void)
{
	const struct qs_runtime_options options = { .keep_signals = true, .keep_quiet = true };

	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), 0);
}

static void end(void)
{
	qs_runtime_free(runtime);
}

static void spawn(const char *name, qs_task_fn fn, void *arg)
{
	const struct qs_task_options options = { .name = name };

	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), &options, fn, arg, NULL), 0);
}

/* The task of that name, or false. */
static bool find(const char *name, struct qs_task_info *ret_info)
{
	uint64_t cursor = 0;

	while (qs_next_task(runtime, &cursor, ret_info) > 0)
		if (strcmp(ret_info->name, name) == 0)
			return true;
	return false;
}

static int sleeps(qs_task *self, void *arg _unused_)
{
	return qs_sleep(self, qs_in(self, QS_MIN));
}

static int fails(qs_task *self _unused_, void *arg _unused_)
{
	return -EIO;
}

static int looks(qs_task *self, void *arg _unused_)
{
	struct qs_task_info info;

	ck_assert_int_eq(qs_yield(self), 0);
	ck_assert_int_eq(qs_sleep(self, qs_in(self, QS_SEC)), 0);
	ck_assert(find("sleeper", &info));
	ck_assert_int_eq(info.kind, QS_KIND_FIBER);
	ck_assert_int_eq(info.rung, QS_RUNG_NONE);
	ck_assert_ptr_nonnull(info.waiting_on);
	ck_assert_uint_eq(info.stop_lag, 0);
	ck_assert_uint_eq(info.asked_at, 0);
	ck_assert(!find("failing", &info));
	ck_assert(find("looker", &info));
	ck_assert_ptr_null(info.waiting_on);
	return 0;
}

START_TEST(tasks_are_seen_while_they_live_and_counted_when_they_have_ended)
{
	spawn("sleeper", sleeps, NULL);
	spawn("failing", fails, NULL);
	spawn("looker", looks, NULL);
	ck_assert_uint_eq(qs_live(runtime), 3);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_uint_eq(qs_ended(runtime, QS_VERDICT_FINISHED), 2);
	ck_assert_uint_eq(qs_ended(runtime, QS_VERDICT_FAILED), 1);
	ck_assert_uint_eq(qs_ended(runtime, QS_VERDICT_KILLED), 0);
}
END_TEST

/* In flight: nobody receives, so it lasts until the cancel. */
static int sends_in_vain(qs_task *self, void *arg)
{
	int message;

	ck_assert_int_eq(qs_mailbox_send(self, arg, &message, QS_FOREVER), 0);
	return qs_mailbox_send(self, arg, &message, QS_FOREVER);
}

static uint64_t cancelled_after(uint64_t patience)
{
	const struct qs_stop_reason reason = { .cause = QS_CAUSE_API,
		.deadline = patience ? qs_now(runtime) + patience : 0 };
	uint64_t began = qs_now(runtime);
	qs_mailbox *mailbox;

	ck_assert_int_eq(
	        qs_mailbox_new(qs_root(runtime), &(struct qs_mailbox_options){ 0 }, &mailbox), 0);
	spawn("sender", sends_in_vain, mailbox);
	ck_assert_int_eq(qs_shutdown_for(runtime, &reason), 0);
	ck_assert_int_eq(qs_run(runtime), 150);
	qs_mailbox_remove_sender(mailbox);
	qs_mailbox_close(mailbox);
	return qs_now(runtime) - began;
}

START_TEST(a_reason_with_an_earlier_deadline_shortens_the_plan)
{
	ck_assert_uint_eq(cancelled_after(3 * QS_SEC), 3 * QS_SEC);
}
END_TEST

START_TEST(a_reason_with_a_later_deadline_or_none_does_not)
{
	ck_assert_uint_eq(cancelled_after((uint64_t)_i * QS_HOUR), 20 * QS_SEC);
}
END_TEST

START_TEST(the_guard_keeps_to_the_earlier_deadline_as_well)
{
	uint64_t span = cancelled_after(50 * QS_MSEC);

	ck_assert_uint_ge(span, 50 * QS_MSEC);
	ck_assert_uint_lt(span, 10 * QS_SEC);
}
END_TEST

/* --- how deep a stack goes --- */

#define PAGE 4096

/* What knows of the place above cannot do with one place for all. */
static int dig(size_t depth, volatile char *above)
{
	volatile char place[PAGE];

	place[0] = *above = (char)depth;
	return depth > PAGE ? dig(depth - PAGE, place) + place[0] : place[0];
}

/* Digs, comes up again, and only then waits. */
static int digs_and_sleeps(qs_task *self, void *arg)
{
	volatile char top;

	(void)dig((size_t)(uintptr_t)arg, &top);
	(void)qs_sleep(self, qs_in(self, QS_SEC));
	(void)dig(2 * (size_t)(uintptr_t)arg, &top);
	return qs_sleep(self, qs_in(self, QS_MIN));
}

static int measures(qs_task *self, void *arg)
{
	bool known = *(bool *)arg;
	struct qs_task_info shallow, deep;

	ck_assert_int_eq(qs_sleep(self, qs_in(self, QS_MSEC)), 0);
	ck_assert(find("shallow", &shallow) && find("deep", &deep));
	ck_assert_int_eq(shallow.stack > 0, known);
	ck_assert_int_eq(deep.stack >= 5 * PAGE, known);
	ck_assert_uint_lt(deep.stack, 10 * PAGE);
	ck_assert_uint_le(shallow.stack, 4 * PAGE);
	ck_assert_int_eq(qs_sleep(self, qs_in(self, 2 * QS_SEC)), 0);
	ck_assert(find("deep", &deep));
	ck_assert_int_eq(deep.stack >= 10 * PAGE, known);
	return 0;
}

START_TEST(how_deep_a_stack_goes_is_known_where_it_is_measured)
{
	bool known = _i > 0;
	const struct qs_runtime_options options = { .virtual_clock = true,
		.measure_stacks = known };

	qs_runtime_free(runtime);
	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), 0);
	spawn("shallow", sleeps, NULL);
	spawn("deep", digs_and_sleeps, (void *)(uintptr_t)(5 * PAGE));
	spawn("measures", measures, &known);
	ck_assert_int_eq(qs_run(runtime), 0);
}
END_TEST

struct spinner {
	_Atomic bool spins, seen;
};

/* Holds the loop until another thread has seen how it lags. */
static int spins(qs_task *self _unused_, void *arg)
{
	struct spinner *spinner = arg;

	spinner->spins = true;
	while (!spinner->seen)
		;
	return 0;
}

static void *watches(void *arg)
{
	struct spinner *spinner = arg;
	uint64_t until = qs_time_now() + 20 * QS_SEC;
	struct qs_task_info info;

	while (!spinner->spins && qs_time_now() < until)
		;
	while (qs_time_now() < until && !(find("spinner", &info) && info.stop_lag > 20 * QS_MSEC))
		;
	spinner->seen = true;
	return (void *)(uintptr_t)(qs_time_now() < until);
}

START_TEST(another_thread_sees_who_holds_the_loop)
{
	struct spinner spinner = { false, false };
	pthread_t thread;
	void *in_time;

	spawn("spinner", spins, &spinner);
	ck_assert_int_eq(pthread_create(&thread, NULL, watches, &spinner), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	pthread_join(thread, &in_time);
	ck_assert_ptr_nonnull(in_time);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inspect");
	TCase *virtual = tcase_create("virtual"), *real = tcase_create("real");

	tcase_add_checked_fixture(virtual, begin_virtual, end);
	tcase_add_test(virtual, tasks_are_seen_while_they_live_and_counted_when_they_have_ended);
	tcase_add_test(virtual, a_reason_with_an_earlier_deadline_shortens_the_plan);
	tcase_add_loop_test(virtual, a_reason_with_a_later_deadline_or_none_does_not, 0, 2);
	tcase_add_loop_test(virtual, how_deep_a_stack_goes_is_known_where_it_is_measured, 0, 2);
	tcase_add_checked_fixture(real, begin, end);
	tcase_add_test(real, the_guard_keeps_to_the_earlier_deadline_as_well);
	tcase_add_test(real, another_thread_sees_who_holds_the_loop);
	suite_add_tcase(suite, virtual);
	suite_add_tcase(suite, real);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
