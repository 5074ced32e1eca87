/* Steps on a virtual clock: when they are called, why, and how each of them ends. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/runtime.h>
#include <quiesce/step.h>

#include "lib/alloc.h"
#include "lib/eventfd.h"
#include "lib/macro.h"
#include "lib/runtime.h"
#include "lib/step.h"

#define STEPS 1000

static qs_runtime *runtime;

struct diary {
	qs_task *task;
	unsigned calls, cleanups;
	unsigned why[8];
	uint64_t at[8];
	int answer; /* what it returns */
	uint64_t again;
	int fd;
};

static void set_up(void)
{
	ck_assert_int_eq(qs_runtime_new_with(
	                         &(struct qs_runtime_options){ .virtual_clock = true }, &runtime),
	        0);
}

static void tear_down(void)
{
	qs_runtime_free(runtime);
}

static int keep_diary(qs_task *self, void *arg, unsigned why)
{
	struct diary *diary = arg;

	ck_assert_ptr_eq(self, diary->task);
	ck_assert_uint_lt(diary->calls, ARRAY_SIZE(diary->why));
	diary->at[diary->calls] = qs_now(runtime);
	diary->why[diary->calls++] = why;
	if (diary->again)
		qs_step_again(self, qs_time_add(qs_now(runtime), diary->again));
	if (why & QS_STEP_READABLE)
		eventfd_lower(diary->fd);
	return diary->answer;
}

static void spawn(struct diary *diary, const struct qs_task_options *options)
{
	ck_assert_int_eq(
	        qs_spawn_step(qs_root(runtime), options, keep_diary, diary, &diary->task), 0);
}

static void turns(unsigned count)
{
	while (count-- > 0)
		(void)qs_loop_turn(runtime->loop, false);
}

START_TEST(a_step_that_is_done_is_called_once_and_finished)
{
	struct diary diary = { .answer = QS_STEP_DONE };

	spawn(&diary, NULL);
	ck_assert_uint_eq(diary.calls, 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_uint_eq(diary.calls, 1);
	ck_assert_uint_eq(diary.why[0], QS_STEP_FIRST);
	ck_assert_uint_eq(qs_live(runtime), 0);
}
END_TEST

START_TEST(a_step_is_called_again_at_its_time_and_not_before)
{
	struct diary diary = { .answer = QS_STEP_WAIT, .again = 3 * QS_SEC };

	spawn(&diary, NULL);
	turns(2);
	ck_assert_uint_eq(diary.calls, 1);
	qs_loop_turn(runtime->loop, true);
	ck_assert_uint_eq(diary.calls, 2);
	ck_assert_uint_eq(diary.why[1], QS_STEP_TIMER);
	ck_assert_uint_eq(diary.at[1] - diary.at[0], 3 * QS_SEC);
	diary.answer = QS_STEP_DONE;
	ck_assert_int_eq(qs_run(runtime), 0);
}
END_TEST

START_TEST(the_latest_time_counts)
{
	struct diary diary = { .answer = QS_STEP_WAIT };

	spawn(&diary, NULL);
	turns(2);
	qs_step_again(diary.task, qs_now(runtime) + QS_SEC);
	qs_step_again(diary.task, qs_now(runtime) + QS_MIN);
	diary.answer = QS_STEP_DONE;
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_uint_eq(diary.at[1] - diary.at[0], QS_MIN);
}
END_TEST

START_TEST(a_watched_descriptor_calls_it_for_as_long_as_it_is_ready)
{
	struct diary diary = { .answer = QS_STEP_WAIT, .fd = eventfd(0, EFD_NONBLOCK) };

	spawn(&diary, NULL);
	turns(2);
	ck_assert_int_eq(qs_step_watch(diary.task, diary.fd, QS_STEP_READABLE), 0);
	turns(2);
	ck_assert_uint_eq(diary.calls, 1);
	eventfd_raise(diary.fd);
	turns(3);
	ck_assert_uint_eq(diary.calls, 2);
	ck_assert_uint_eq(diary.why[1], QS_STEP_READABLE);
	ck_assert_int_eq(qs_step_watch(diary.task, -1, 0), 0);
	eventfd_raise(diary.fd);
	turns(2);
	ck_assert_uint_eq(diary.calls, 2);
	close(diary.fd);
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_waited_for_is_refused)
{
	struct diary diary = { .answer = QS_STEP_WAIT };
	char path[] = "/tmp/step-test.XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	spawn(&diary, NULL);
	turns(1);
	ck_assert_int_eq(qs_step_watch(diary.task, fd, QS_STEP_READABLE), -EPERM);
	close(fd);
}
END_TEST

START_TEST(the_ask_is_told_once_and_the_work_may_go_on)
{
	struct diary diary = { .answer = QS_STEP_WAIT, .again = QS_SEC };

	spawn(&diary, NULL);
	turns(2);
	ck_assert_int_eq(qs_shutdown(runtime, "test"), 0);
	turns(3);
	ck_assert_uint_eq(diary.calls, 2);
	ck_assert_uint_eq(diary.why[1], QS_STEP_STOP);
	qs_loop_turn(runtime->loop, true);
	ck_assert_uint_eq(diary.why[2], QS_STEP_TIMER);
	diary.answer = QS_STEP_DONE;
	ck_assert_int_eq(qs_run(runtime), 0);
}
END_TEST

START_TEST(whoever_goes_on_for_too_long_is_cancelled_and_called_no_more)
{
	struct diary diary = { .answer = QS_STEP_WAIT };

	spawn(&diary, NULL);
	turns(2);
	uint64_t asked_at = qs_now(runtime);
	ck_assert_int_eq(qs_shutdown(runtime, "test"), 0);
	ck_assert_int_eq(qs_run(runtime), 150);
	ck_assert_uint_eq(diary.calls, 2);
	ck_assert_uint_eq(qs_now(runtime) - asked_at, 20 * QS_SEC);
}
END_TEST

START_TEST(its_own_ladder_may_be_shorter)
{
	struct diary diary = { .answer = QS_STEP_WAIT };
	const struct qs_task_options options = { .name = "brief", .stop_deadline = QS_SEC };

	spawn(&diary, &options);
	turns(2);
	uint64_t asked_at = qs_now(runtime);
	ck_assert_int_eq(qs_shutdown(runtime, "test"), 0);
	ck_assert_int_eq(qs_run(runtime), 150);
	ck_assert_uint_eq(qs_now(runtime) - asked_at, QS_SEC);
}
END_TEST

START_TEST(its_own_deadline_is_told_once)
{
	struct diary diary = { .answer = QS_STEP_WAIT };
	const struct qs_task_options options = { .deadline = qs_now(runtime) + QS_SEC };

	spawn(&diary, &options);
	turns(2);
	qs_loop_turn(runtime->loop, true);
	ck_assert_uint_eq(diary.calls, 2);
	ck_assert_uint_eq(diary.why[1], QS_STEP_DEADLINE);
	ck_assert_uint_eq(diary.at[1], options.deadline);
	turns(3);
	ck_assert_uint_eq(diary.calls, 2);
}
END_TEST

static void note_cleanup(void *arg)
{
	((struct diary *)arg)->cleanups++;
}

/* How it ends, and what the exit status of a shutdown says then. */
static const struct ending {
	int answer;
	bool asked, cancelled;
	enum qs_verdict verdict;
} endings[] = {
	{ QS_STEP_DONE, false, false, QS_VERDICT_FINISHED },
	{ -EIO, false, false, QS_VERDICT_FAILED },
	{ -ESHUTDOWN, false, false, QS_VERDICT_FAILED },
	{ QS_STEP_DONE, true, false, QS_VERDICT_STOPPED },
	{ -ESHUTDOWN, true, false, QS_VERDICT_STOPPED },
	{ -EIO, true, false, QS_VERDICT_FAILED },
	{ QS_STEP_WAIT, true, true, QS_VERDICT_CANCELLED },
};

START_TEST(each_ending_has_its_verdict_and_runs_the_cleanup_once)
{
	const struct ending *ending = &endings[_i];
	struct diary diary = { .answer = QS_STEP_WAIT };
	uint64_t cursor = 0;

	qs_ledger_retain(runtime->ground->ledger);
	spawn(&diary, NULL);
	ck_assert_int_eq(qs_step_cleanup(diary.task, note_cleanup), 0);
	turns(2);
	diary.answer = ending->answer;
	if (ending->cancelled)
		qs_task_cancel(diary.task, QS_CAUSE_API);
	else if (ending->asked)
		qs_task_ask(diary.task, QS_CAUSE_API, QS_FOREVER);
	else
		qs_step_again(diary.task, qs_now(runtime));
	ck_assert_uint_eq(diary.cleanups, 0);
	turns(3);
	ck_assert_uint_eq(diary.cleanups, 1);
	ck_assert_uint_eq(diary.calls, ending->cancelled ? 1 : 2);
	ck_assert_int_eq(
	        qs_ledger_next(runtime->ground->ledger, &cursor)->verdict, ending->verdict);
}
END_TEST

START_TEST(one_cancelled_before_its_first_call_is_never_called_but_cleaned_up)
{
	struct diary diary = { .answer = QS_STEP_WAIT };

	spawn(&diary, NULL);
	ck_assert_int_eq(qs_step_cleanup(diary.task, note_cleanup), 0);
	qs_task_cancel(diary.task, QS_CAUSE_API);
	turns(2);
	ck_assert_uint_eq(diary.calls, 0);
	ck_assert_uint_eq(diary.cleanups, 1);
}
END_TEST

static int cancel_itself(qs_task *self, void *arg, unsigned why)
{
	(void)why;
	(*(unsigned *)arg)++;
	qs_task_cancel(self, QS_CAUSE_API);
	return QS_STEP_DONE;
}

START_TEST(a_step_may_cancel_itself)
{
	unsigned calls = 0;

	ck_assert_int_eq(qs_spawn_step(qs_root(runtime), NULL, cancel_itself, &calls, NULL), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_uint_eq(calls, 1);
	ck_assert_uint_eq(qs_live(runtime), 0);
}
END_TEST

static int spawn_another(qs_task *self, void *arg, unsigned why)
{
	unsigned *left = arg;

	(void)self;
	(void)why;
	if (--*left > 0)
		ck_assert_int_eq(
		        qs_spawn_step(qs_root(runtime), NULL, spawn_another, left, NULL), 0);
	return QS_STEP_DONE;
}

START_TEST(what_becomes_ready_while_steps_run_waits_for_the_next_turn)
{
	unsigned left = 3;

	ck_assert_int_eq(qs_spawn_step(qs_root(runtime), NULL, spawn_another, &left, NULL), 0);
	turns(1);
	ck_assert_uint_eq(left, 2);
	turns(1);
	ck_assert_uint_eq(left, 1);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_uint_eq(left, 0);
}
END_TEST

START_TEST(nothing_enters_a_group_that_is_closed)
{
	struct diary diary = { .answer = QS_STEP_WAIT };

	qs_group_close(qs_root(runtime));
	ck_assert_int_eq(
	        qs_spawn_step(qs_root(runtime), NULL, keep_diary, &diary, NULL), -ESHUTDOWN);
}
END_TEST

#define FAILURES 4096

/* With a deadline of their own they have a timer, and all timers share one heap. */
static struct qs_seam fail_to_enter(void)
{
	const struct qs_task_options options = { .deadline = QS_HOUR, .stop_deadline = QS_SEC };
	struct diary diary = { .answer = QS_STEP_WAIT };
	struct qs_seam seam = { 0 };

	qs_seam = &seam;
	for (int i = 0; i < FAILURES; i++)
		ck_assert_int_eq(
		        qs_spawn_step(qs_root(runtime), &options, keep_diary, &diary, NULL),
		        -ESHUTDOWN);
	qs_seam = NULL;
	return seam;
}

/* Room that is never given back would have to be asked for again and again. */
START_TEST(however_many_fail_to_enter_no_room_is_kept_for_them)
{
	qs_group_close(qs_root(runtime));
	(void)fail_to_enter();
	struct qs_seam seam = fail_to_enter();
	ck_assert_int_eq(seam.live, 0);
	ck_assert_uint_eq(seam.chances % FAILURES, 0);
}
END_TEST

START_TEST(a_step_that_waits_does_not_lag)
{
	struct diary diary = { .answer = QS_STEP_WAIT };
	uint64_t cursor = 0;

	spawn(&diary, NULL);
	turns(2);
	const struct qs_record *record = qs_ledger_next(runtime->ground->ledger, &cursor);
	ck_assert_uint_eq(
	        qs_time_sub(qs_now(runtime) + QS_HOUR, atomic_load(&record->polled_at)), 0);
}
END_TEST

/* The order in which ten steps ran, by number. */
static char order[16];

static int note_order(qs_task *self, void *arg, unsigned why)
{
	(void)self;
	(void)why;
	strcat(order, arg);
	return QS_STEP_DONE;
}

static void run_ten(uint64_t seed)
{
	static char names[10][2] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };
	const struct qs_runtime_options options = { .virtual_clock = true, .seed = seed };
	qs_runtime *other;

	order[0] = '\0';
	ck_assert_int_eq(qs_runtime_new_with(&options, &other), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_int_eq(
		        qs_spawn_step(qs_root(other), NULL, note_order, names[i], NULL), 0);
	ck_assert_int_eq(qs_run(other), 0);
	qs_runtime_free(other);
}

START_TEST(a_seed_draws_the_order_and_the_same_seed_the_same)
{
	char first[16];

	run_ten(0);
	ck_assert_str_eq(order, "0123456789");
	run_ten(7);
	ck_assert_str_ne(order, "0123456789");
	strcpy(first, order);
	run_ten(7);
	ck_assert_str_eq(order, first);
}
END_TEST

START_TEST(those_that_live_when_the_runtime_is_freed_are_cleaned_up)
{
	static struct diary diaries[STEPS];
	qs_runtime *other;

	ck_assert_int_eq(
	        qs_runtime_new_with(&(struct qs_runtime_options){ .virtual_clock = true }, &other),
	        0);
	for (size_t i = 0; i < STEPS; i++) {
		qs_task *task;

		diaries[i].answer = QS_STEP_WAIT;
		ck_assert_int_eq(
		        qs_spawn_step(qs_root(other), NULL, keep_diary, &diaries[i], &task), 0);
		ck_assert_int_eq(qs_step_cleanup(task, note_cleanup), 0);
	}
	qs_runtime_free(other);
	for (size_t i = 0; i < STEPS; i++)
		ck_assert_uint_eq(diaries[i].cleanups, 1);
}
END_TEST

START_TEST(a_step_costs_at_most_256_bytes_with_its_record_and_its_timer)
{
	ck_assert_uint_lt(
	        sizeof(struct qs_step) + sizeof(struct qs_record) + sizeof(struct heap_entry), 256);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("step");
	TCase *tcase = tcase_create("step");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_step_that_is_done_is_called_once_and_finished);
	tcase_add_test(tcase, a_step_is_called_again_at_its_time_and_not_before);
	tcase_add_test(tcase, the_latest_time_counts);
	tcase_add_test(tcase, a_watched_descriptor_calls_it_for_as_long_as_it_is_ready);
	tcase_add_test(tcase, a_descriptor_that_cannot_be_waited_for_is_refused);
	tcase_add_test(tcase, the_ask_is_told_once_and_the_work_may_go_on);
	tcase_add_test(tcase, whoever_goes_on_for_too_long_is_cancelled_and_called_no_more);
	tcase_add_test(tcase, its_own_ladder_may_be_shorter);
	tcase_add_test(tcase, its_own_deadline_is_told_once);
	tcase_add_loop_test(tcase, each_ending_has_its_verdict_and_runs_the_cleanup_once, 0,
	        (int)ARRAY_SIZE(endings));
	tcase_add_test(tcase, one_cancelled_before_its_first_call_is_never_called_but_cleaned_up);
	tcase_add_test(tcase, a_step_may_cancel_itself);
	tcase_add_test(tcase, what_becomes_ready_while_steps_run_waits_for_the_next_turn);
	tcase_add_test(tcase, nothing_enters_a_group_that_is_closed);
	tcase_add_test(tcase, however_many_fail_to_enter_no_room_is_kept_for_them);
	tcase_add_test(tcase, a_step_that_waits_does_not_lag);
	tcase_add_test(tcase, a_seed_draws_the_order_and_the_same_seed_the_same);
	tcase_add_test(tcase, those_that_live_when_the_runtime_is_freed_are_cleaned_up);
	tcase_add_test(tcase, a_step_costs_at_most_256_bytes_with_its_record_and_its_timer);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
