/*
 * Every wait against everything that can end it: what it waits for, its deadline, an ask, a cancel,
 * force, the deadline of a group further out, its task's own deadline; and in a shield.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/fiber_wait_kinds.h"
#include "tests/unit/fiber_world.h"

/* --- the one who waits --- */

struct waiter {
	const struct kind *kind;
	uint64_t deadline;
	bool shielded, twice;
	int first, second; /* results */
	bool returned;
	uint64_t returned_at;
	unsigned deferred;
};

static struct waiter waiter;

static void note_deferred(void *arg)
{
	++*(unsigned *)arg;
}

static int run_waiter(qs_task *self, void *arg)
{
	uint64_t outer = 0;

	(void)arg;
	ck_assert_int_eq(qs_defer(self, note_deferred, &waiter.deferred), 0);
	if (waiter.shielded)
		outer = qs_shield_begin(self, QS_FOREVER);
	waiter.first = waiter.kind->wait(self, waiter.deadline);
	if (waiter.shielded)
		qs_shield_end(self, outer);
	waiter.returned_at = world_now();
	if (waiter.twice)
		waiter.second = waiter.kind->wait(self, QS_FOREVER);
	waiter.returned = true;
	return waiter.first;
}

static qs_task *waiting;

static void begin_with(int number, const struct qs_task_options *options)
{
	waiter.kind = &kinds[number];
	waiter.first = waiter.second = 1;
	if (waiter.deadline == 0)
		waiter.deadline = QS_FOREVER;
	world_open(!waiter.kind->real, 0);
	ck_assert_int_eq(qs_group_new(&world.root, NULL, &scene.outer), 0);
	ck_assert_int_eq(qs_group_new(scene.outer, NULL, &scene.inner), 0);
	ck_assert_int_eq(qs_group_new(&world.root, NULL, &scene.other), 0);
	waiter.kind->set_up();
	ck_assert_int_eq(qs_spawn_fiber(scene.inner, options, run_waiter, NULL, &waiting), 0);
	world_settle();
	ck_assert_msg(!waiter.returned, "%s does not wait", waiter.kind->name);
}

static void begin(int number)
{
	begin_with(number, NULL);
}

/* Until it has returned or was ended, however long that takes. */
static void let_it_end(void)
{
	while (scene.inner->live > 0)
		(void)qs_loop_turn(world.loop, true);
}

static void finish(enum qs_verdict verdict)
{
	ck_assert_msg(waiter.deferred == 1, "%s: the clean-up ran %u times", waiter.kind->name,
	        waiter.deferred);
	ck_assert_int_eq(world_result(waiting).verdict, verdict);
	waiter.kind->tear_down();
	qs_group_free(scene.inner);
	qs_group_free(scene.outer);
	qs_group_free(scene.other);
	world_close();
}

#define ck_result(expected)                                                                  \
	ck_assert_msg(waiter.first == (expected), "%s: %d instead of %d", waiter.kind->name, \
	        waiter.first, (expected))

START_TEST(it_returns_when_what_it_waits_for_comes)
{
	begin(_i);
	if (waiter.kind->satisfy)
		waiter.kind->satisfy();
	let_it_end();
	ck_result(0);
	finish(QS_VERDICT_FINISHED);
}
END_TEST

START_TEST(its_deadline_ends_it_in_time)
{
	uint64_t began;

	/* The real clock is not at 0, and a moment of it has to pass. */
	waiter.deadline = kinds[_i].real ? qs_time_now() + 300 * QS_MSEC : 3 * QS_SEC;
	began = waiter.deadline;
	begin(_i);
	let_it_end();
	/* To sleep is to wait for just that. */
	ck_result(kinds[_i].satisfy ? -ETIMEDOUT : 0);
	ck_assert_uint_ge(waiter.returned_at, began);
	if (!kinds[_i].real)
		ck_assert_uint_eq(waiter.returned_at, began);
	finish(kinds[_i].satisfy ? QS_VERDICT_FAILED : QS_VERDICT_FINISHED);
}
END_TEST

START_TEST(an_ask_ends_it_if_it_is_idle_and_only_then)
{
	uint64_t asked_at;

	begin(_i);
	asked_at = world_now();
	qs_task_ask(waiting, QS_CAUSE_API, QS_FOREVER);
	world_settle();
	ck_assert_msg(waiter.returned == waiter.kind->idle, "%s: returned %d", waiter.kind->name,
	        waiter.returned);
	if (waiter.kind->idle) {
		ck_result(-ESHUTDOWN);
		ck_assert(waiter.kind->real || waiter.returned_at == asked_at);
	} else {
		waiter.kind->satisfy();
		let_it_end();
		ck_result(0);
	}
	finish(QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(asked_before_it_ends_at_once_if_it_is_idle)
{
	waiter.twice = true;
	begin(_i);
	qs_task_ask(waiting, QS_CAUSE_API, QS_FOREVER);
	world_settle();
	if (waiter.kind->idle) {
		ck_assert(waiter.returned);
		ck_assert_int_eq(waiter.second, -ESHUTDOWN);
	} else {
		qs_task_cancel(waiting, QS_CAUSE_API);
		let_it_end();
	}
	finish(waiter.kind->idle ? QS_VERDICT_STOPPED : QS_VERDICT_CANCELLED);
}
END_TEST

START_TEST(a_cancel_ends_it_now_and_later)
{
	waiter.twice = true;
	begin(_i);
	qs_task_cancel(waiting, QS_CAUSE_API);
	world_settle();
	ck_assert(waiter.returned);
	ck_result(-ECANCELED);
	ck_assert_int_eq(waiter.second, -ECANCELED);
	finish(QS_VERDICT_CANCELLED);
}
END_TEST

START_TEST(a_cancel_after_the_ask_ends_it)
{
	waiter.shielded = true;
	begin(_i);
	qs_task_ask(waiting, QS_CAUSE_API, QS_FOREVER);
	world_settle();
	ck_assert(!waiter.returned);
	qs_fiber_of(waiting)->shield = 0;
	qs_task_cancel(waiting, QS_CAUSE_API);
	let_it_end();
	ck_result(-ECANCELED);
	finish(QS_VERDICT_CANCELLED);
}
END_TEST

START_TEST(force_ends_it_and_leaves_nothing_behind)
{
	begin(_i);
	qs_task_kill(waiting, QS_CAUSE_API);
	let_it_end();
	ck_assert(!waiter.returned);
	/* What it waited for comes all the same. */
	if (waiter.kind->satisfy && waiter.kind->wait != wait_send)
		waiter.kind->satisfy();
	world_settle();
	finish(QS_VERDICT_KILLED);
}
END_TEST

START_TEST(force_comes_between_what_it_waited_for_and_its_return)
{
	begin(_i);
	if (waiter.kind->satisfy && !waiter.kind->real)
		waiter.kind->satisfy();
	qs_task_kill(waiting, QS_CAUSE_API);
	let_it_end();
	if (waiter.kind->wait == wait_semaphore)
		ck_assert_uint_eq(qs_semaphore_available(scene.semaphore), 1);
	finish(waiter.returned ? QS_VERDICT_FINISHED : QS_VERDICT_KILLED);
}
END_TEST

START_TEST(the_deadline_of_an_outer_group_ends_it)
{
	uint64_t at;

	begin(_i);
	at = world_now() + (waiter.kind->real ? 50 * QS_MSEC : 5 * QS_SEC);
	ck_assert_int_eq(qs_group_set_deadline(scene.outer, at), 0);
	ck_assert_uint_eq(qs_group_deadline(scene.inner), at);
	let_it_end();
	ck_result(-ETIMEDOUT);
	ck_assert(waiter.kind->real || waiter.returned_at == at);
	finish(QS_VERDICT_CANCELLED);
}
END_TEST

START_TEST(its_own_deadline_ends_every_wait)
{
	uint64_t at = kinds[_i].real ? qs_time_now() + 300 * QS_MSEC : 5 * QS_SEC;
	const struct qs_task_options options = { .deadline = at };

	waiter.twice = true;
	begin_with(_i, &options);
	let_it_end();
	ck_result(-ETIMEDOUT);
	ck_assert_int_eq(waiter.second, -ETIMEDOUT);
	ck_assert_uint_ge(waiter.returned_at, at);
	finish(QS_VERDICT_FAILED);
}
END_TEST

START_TEST(a_shield_keeps_ask_cancel_and_deadlines_away)
{
	const struct qs_task_options options = { .deadline = 3 * QS_SEC };

	waiter.shielded = true;
	begin_with(_i, kinds[_i].real ? NULL : &options);
	ck_assert_int_eq(qs_group_set_deadline(scene.outer, world_now()), 0);
	(void)qs_loop_turn(world.loop, false);
	qs_task_cancel(waiting, QS_CAUSE_API);
	world_settle();
	ck_assert_msg(!waiter.returned, "%s: %d", waiter.kind->name, waiter.first);
	if (waiter.kind->satisfy)
		waiter.kind->satisfy();
	let_it_end();
	ck_result(0);
	finish(QS_VERDICT_CANCELLED);
}
END_TEST

static int wait_in_vain(qs_task *self, void *arg)
{
	int pipe_ends[2], fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)arg;
	ck_assert_int_eq(pipe(pipe_ends), 0);
	ck_assert_int_eq(qs_wait_fd(self, -1, QS_FD_READABLE, QS_FOREVER), -EBADF);
	ck_assert_int_eq(qs_wait_fd(self, fd, QS_FD_READABLE, QS_FOREVER), -EPERM);
	ck_assert_int_eq(qs_wait_fd(self, pipe_ends[0], 0, QS_FOREVER), -EINVAL);
	ck_assert_int_eq(qs_wait_fd(self, pipe_ends[0], QS_FD_IN_FLIGHT, QS_FOREVER), -EINVAL);
	close(fd);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	return 0;
}

/* The first and the last two waited for ever. */
START_TEST(what_can_never_be_ready_is_not_waited_for)
{
	world_open(false, 0);
	world_send_off(&world.root, wait_in_vain, NULL);
	world_run();
	world_close();
}
END_TEST

static void forget_last(void)
{
	waiter = (struct waiter){ 0 };
	scene = (struct scene){ 0 };
}

int main(void)
{
	Suite *suite = suite_create("fiber_waits");
	TCase *tcase = tcase_create("each");
	int count = KINDS;

	tcase_add_checked_fixture(tcase, forget_last, NULL);
	tcase_add_loop_test(tcase, it_returns_when_what_it_waits_for_comes, 0, count);
	tcase_add_loop_test(tcase, its_deadline_ends_it_in_time, 0, count);
	tcase_add_loop_test(tcase, an_ask_ends_it_if_it_is_idle_and_only_then, 0, count);
	tcase_add_loop_test(tcase, asked_before_it_ends_at_once_if_it_is_idle, 0, count);
	tcase_add_loop_test(tcase, a_cancel_ends_it_now_and_later, 0, count);
	tcase_add_loop_test(tcase, a_cancel_after_the_ask_ends_it, 0, count);
	tcase_add_loop_test(tcase, force_ends_it_and_leaves_nothing_behind, 0, count);
	tcase_add_loop_test(tcase, force_comes_between_what_it_waited_for_and_its_return, 0, count);
	tcase_add_loop_test(tcase, the_deadline_of_an_outer_group_ends_it, 0, count);
	tcase_add_loop_test(tcase, its_own_deadline_ends_every_wait, 0, count);
	tcase_add_loop_test(tcase, a_shield_keeps_ask_cancel_and_deadlines_away, 0, count);
	tcase_add_test(tcase, what_can_never_be_ready_is_not_waited_for);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
