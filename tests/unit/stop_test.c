/*
 * The stop event: three of its faces one by one, what signal handlers and callbacks may do, and
 * what is left when memory or descriptors run out.
 */
#include <quiesce/stop.h>

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <quiesce/clock.h>

#include "lib/macro.h"
#include "tests/unit/budget.h"
#include "tests/unit/stop_tree.h"

/* --- poll --- */

START_TEST(nothing_is_set_at_first)
{
	struct qs_stop_reason reason;

	ck_assert(!qs_stop_is_set(root));
	ck_assert(!qs_stop_is_set(leaf));
	ck_assert_int_eq(qs_stop_get_reason(leaf, &reason), -ENODATA);
	ck_assert(!readable(qs_stop_wake_fd(root)));
}
END_TEST

START_TEST(setting_one_sets_all_below_and_nothing_else)
{
	ck_assert_int_eq(qs_stop_set(left, &by_api), 1);
	ck_assert(qs_stop_is_set(left));
	ck_assert(qs_stop_is_set(leaf));
	ck_assert(!qs_stop_is_set(root));
	ck_assert(!qs_stop_is_set(right));
	ck_assert_int_eq(reason_of(leaf).cause, QS_CAUSE_API);
}
END_TEST

START_TEST(stop_twice_keeps_the_first_reason)
{
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	ck_assert_int_eq(qs_stop_set(root, &by_reload), 0);
	ck_assert_int_eq(reason_of(root).cause, QS_CAUSE_API);
	ck_assert_str_eq(reason_of(root).detail, "api uid 0");
	ck_assert_uint_eq(reason_of(root).at, 5);
	ck_assert_uint_eq(reason_of(root).deadline, 77);
}
END_TEST

START_TEST(one_below_a_set_one_is_set_already)
{
	ck_assert_int_eq(qs_stop_set(left, &by_api), 1);
	ck_assert_int_eq(qs_stop_set(leaf, &by_reload), 0);
	ck_assert_int_eq(reason_of(leaf).cause, QS_CAUSE_API);
}
END_TEST

START_TEST(one_that_was_set_first_keeps_its_reason_below_a_later_one)
{
	ck_assert_int_eq(qs_stop_set(leaf, &by_api), 1);
	ck_assert_int_eq(qs_stop_set(root, &by_reload), 1);
	ck_assert_int_eq(reason_of(leaf).cause, QS_CAUSE_API);
	ck_assert_int_eq(reason_of(left).cause, QS_CAUSE_RELOAD);
}
END_TEST

START_TEST(one_made_below_a_set_one_is_born_set)
{
	qs_stop *late;

	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	late = new_stop(leaf);
	ck_assert(qs_stop_is_set(late));
	ck_assert(readable(qs_stop_fd(late)));
	ck_assert_int_eq(reason_of(late).cause, QS_CAUSE_API);
	qs_stop_free(late);
}
END_TEST

START_TEST(a_reason_gets_a_time_and_a_terminated_detail)
{
	struct qs_stop_reason reason = { .cause = QS_CAUSE_READY }, kept;
	uint64_t before = qs_time_now();

	memset(reason.detail, 'x', sizeof(reason.detail));
	ck_assert_int_eq(qs_stop_set(root, &reason), 1);
	kept = reason_of(root);
	ck_assert(kept.at >= before && kept.at <= qs_time_now());
	ck_assert_uint_eq(strnlen(kept.detail, sizeof(kept.detail)), sizeof(kept.detail) - 1);
}
END_TEST

/* --- descriptor --- */

START_TEST(descriptors_below_become_readable_without_a_dispatch_and_stay_so)
{
	ck_assert_int_eq(qs_stop_fd(leaf), qs_stop_fd(leaf));
	ck_assert(!readable(qs_stop_fd(leaf)));
	ck_assert(!readable(qs_stop_fd(root)));
	ck_assert_int_eq(qs_stop_set(left, &by_api), 1);
	ck_assert(readable(qs_stop_fd(leaf)));
	ck_assert(readable(qs_stop_fd(leaf)));
	ck_assert(readable(qs_stop_fd(left)));
	ck_assert(!readable(qs_stop_fd(root)));
	ck_assert(!readable(qs_stop_fd(right)));
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	ck_assert(readable(qs_stop_fd(right)));
}
END_TEST

START_TEST(waiting_ends_at_once_when_set_and_at_the_deadline_when_not)
{
	uint64_t deadline = qs_time_now() + 2 * QS_MSEC;

	ck_assert_int_eq(qs_stop_wait(leaf, deadline), -ETIMEDOUT);
	ck_assert_uint_ge(qs_time_now(), deadline);
	ck_assert_int_eq(qs_stop_wait(leaf, 0), -ETIMEDOUT);
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	ck_assert_int_eq(qs_stop_wait(leaf, 0), 0);
	ck_assert_int_eq(qs_stop_wait(leaf, QS_FOREVER), 0);
}
END_TEST

static void *set_left(void *arg)
{
	ck_assert_int_eq(qs_stop_set(left, &by_api), 1);
	return arg;
}

START_TEST(waiting_is_ended_by_another_thread)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, set_left, NULL), 0);
	ck_assert_int_eq(qs_stop_wait(leaf, QS_FOREVER), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static int signals_seen, set_in_handler;

static void set_root_from_signal(int signo)
{
	signals_seen++;
	set_in_handler += qs_stop_set_from_signal(root, QS_CAUSE_SHUTDOWN, signo);
}

static void do_nothing(int signo)
{
	(void)signo;
}

static void handle(int signo, void (*fn)(int))
{
	ck_assert_int_eq(sigaction(signo, &(struct sigaction){ .sa_handler = fn }, NULL), 0);
}

/* The timer goes on until one of its signals falls into the wait. */
START_TEST(waiting_is_interrupted_by_a_signal)
{
	struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;

	handle(SIGUSR1, do_nothing);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	ck_assert_int_eq(timer_settime(timer, 0, &often, NULL), 0);
	ck_assert_int_eq(qs_stop_wait(leaf, QS_FOREVER), -EINTR);
	ck_assert_int_eq(timer_delete(timer), 0);
}
END_TEST

START_TEST(a_signal_that_sets_it_ends_the_wait_well)
{
	struct itimerspec once = { .it_value.tv_nsec = 1000000 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;

	handle(SIGUSR1, set_root_from_signal);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	ck_assert_int_eq(timer_settime(timer, 0, &once, NULL), 0);
	ck_assert_int_eq(qs_stop_wait(leaf, QS_FOREVER), 0);
	ck_assert_int_eq(timer_delete(timer), 0);
}
END_TEST

/* --- signal handlers --- */

static int calls;
static char order[32];

static void note(qs_stop *stop, void *letter)
{
	ck_assert(qs_stop_is_set(stop));
	ck_assert_int_lt(calls, (int)sizeof(order) - 1);
	order[calls++] = (char)(intptr_t)letter;
}

static int64_t add(qs_stop *stop, char letter)
{
	int64_t id = qs_stop_add_callback(stop, note, (void *)(intptr_t)letter);

	ck_assert_int_gt(id, 0);
	return id;
}

START_TEST(a_signal_handler_sets_it_and_the_dispatch_does_the_rest)
{
	int fd = qs_stop_fd(leaf);

	add(leaf, 'l');
	handle(SIGUSR1, set_root_from_signal);
	raise(SIGUSR1);
	ck_assert_int_eq(set_in_handler, 1);
	ck_assert(qs_stop_is_set(leaf));
	ck_assert_int_eq(reason_of(leaf).cause, QS_CAUSE_SHUTDOWN);
	ck_assert_str_eq(reason_of(leaf).detail, "signal SIGUSR1");
	ck_assert_uint_eq(reason_of(leaf).deadline, QS_FOREVER);
	ck_assert(!readable(fd));
	ck_assert_int_eq(calls, 0);
	ck_assert(readable(qs_stop_wake_fd(root)));
	qs_stop_dispatch(root);
	ck_assert(readable(fd));
	ck_assert_str_eq(order, "l");
	ck_assert(!readable(qs_stop_wake_fd(root)));
}
END_TEST

START_TEST(a_second_signal_changes_nothing)
{
	handle(SIGUSR1, set_root_from_signal);
	handle(SIGUSR2, set_root_from_signal);
	raise(SIGUSR1);
	raise(SIGUSR2);
	ck_assert_int_eq(signals_seen, 2);
	ck_assert_int_eq(set_in_handler, 1);
	ck_assert_int_eq(qs_stop_set_from_signal(leaf, QS_CAUSE_API, SIGTERM), 0);
	ck_assert_int_eq(qs_stop_set(root, &by_api), 0);
	ck_assert_str_eq(reason_of(leaf).detail, "signal SIGUSR1");
}
END_TEST

START_TEST(a_signal_without_a_name_is_told_by_its_number)
{
	ck_assert_int_eq(qs_stop_set_from_signal(leaf, QS_CAUSE_API, 40), 1);
	ck_assert_str_eq(reason_of(leaf).detail, "signal 40");
	ck_assert_int_eq(qs_stop_set_from_signal(right, QS_CAUSE_API, 101), 1);
	ck_assert_str_eq(reason_of(right).detail, "signal 101");
}
END_TEST

START_TEST(one_set_by_a_signal_may_be_freed_before_the_dispatch)
{
	add(right, 'r');
	ck_assert_int_eq(qs_stop_set_from_signal(leaf, QS_CAUSE_API, SIGTERM), 1);
	ck_assert_int_eq(qs_stop_set_from_signal(right, QS_CAUSE_API, SIGTERM), 1);
	qs_stop_free(leaf);
	leaf = NULL;
	qs_stop_dispatch(root);
	ck_assert_str_eq(order, "r");
}
END_TEST

/* --- callbacks --- */

START_TEST(callbacks_wait_for_the_dispatch_and_run_once_parents_first)
{
	add(leaf, 'f');
	add(left, 'l');
	add(root, '1');
	add(root, '2');
	add(right, 'r');
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	ck_assert_int_eq(calls, 0);
	ck_assert(readable(qs_stop_wake_fd(root)));
	qs_stop_dispatch(root);
	ck_assert_str_eq(order, "12lfr");
	ck_assert(!readable(qs_stop_wake_fd(root)));
	qs_stop_dispatch(root);
	ck_assert_int_eq(calls, 5);
}
END_TEST

START_TEST(a_set_below_then_above_calls_each_callback_once)
{
	add(leaf, 'f');
	add(right, 'r');
	ck_assert_int_eq(qs_stop_set(left, &by_api), 1);
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	qs_stop_dispatch(root);
	ck_assert_str_eq(order, "fr");
}
END_TEST

START_TEST(a_callback_on_one_that_was_born_set_runs_at_the_next_dispatch)
{
	qs_stop *late;

	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	late = new_stop(leaf);
	add(late, 'f');
	ck_assert(readable(qs_stop_wake_fd(root)));
	qs_stop_dispatch(root);
	ck_assert_str_eq(order, "f");
	qs_stop_free(late);
}
END_TEST

START_TEST(a_removed_callback_does_not_run)
{
	int64_t before = add(leaf, 'b'), due = add(leaf, 'd'), ran = add(leaf, 'r');

	ck_assert_int_eq(qs_stop_remove_callback(leaf, before), 1);
	ck_assert_int_eq(qs_stop_remove_callback(leaf, before), 0);
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	ck_assert_int_eq(qs_stop_remove_callback(leaf, due), 1);
	qs_stop_dispatch(root);
	ck_assert_str_eq(order, "r");
	ck_assert_int_eq(qs_stop_remove_callback(leaf, ran), 0);
}
END_TEST

static int64_t ids[2];

static void remove_both(qs_stop *stop, void *arg)
{
	(void)arg;
	calls++;
	ck_assert_int_eq(qs_stop_remove_callback(stop, ids[0]), 0);
	ck_assert_int_eq(qs_stop_remove_callback(stop, ids[1]), 1);
}

START_TEST(a_callback_may_remove_itself_and_those_still_due)
{
	ids[0] = qs_stop_add_callback(leaf, remove_both, NULL);
	ids[1] = add(leaf, 'x');
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	qs_stop_dispatch(root);
	ck_assert_int_eq(calls, 1);
}
END_TEST

static void free_leaf_and_right(qs_stop *stop, void *arg)
{
	(void)arg;
	ck_assert_ptr_eq(stop, leaf);
	calls++;
	qs_stop_free(TAKE(leaf, NULL));
	qs_stop_free(TAKE(right, NULL));
}

START_TEST(a_callback_may_free_its_own_event_and_others)
{
	ck_assert_int_gt(qs_stop_add_callback(leaf, free_leaf_and_right, NULL), 0);
	add(leaf, 'x');
	add(right, 'x');
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	qs_stop_dispatch(root);
	ck_assert_int_eq(calls, 1);
}
END_TEST

static void add_again(qs_stop *stop, void *arg)
{
	calls++;
	ck_assert_int_gt(qs_stop_add_callback(stop, add_again, arg), 0);
}

START_TEST(a_callback_added_by_a_callback_asks_for_another_dispatch)
{
	ck_assert_int_gt(qs_stop_add_callback(leaf, add_again, NULL), 0);
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	for (int i = 1; i <= 3; i++) {
		ck_assert(readable(qs_stop_wake_fd(root)));
		qs_stop_dispatch(root);
		ck_assert_int_eq(calls, i);
	}
}
END_TEST

/* --- when there is not enough --- */

START_TEST(without_memory_nothing_is_made_and_nothing_is_left_behind)
{
	int before = open_descriptors(), r = -ENOMEM, below;
	int64_t id;
	qs_stop *stop;

	for (long enough = 0; r < 0; enough++) {
		ck_assert_int_lt(enough, 10);
		budget = enough;
		r = qs_stop_new(NULL, &stop);
		budget = -1;
		ck_assert(r == 0 || r == -ENOMEM);
		ck_assert(r == 0 || open_descriptors() == before);
	}
	budget = 0;
	below = qs_stop_new(stop, &leaf);
	id = qs_stop_add_callback(stop, note, NULL);
	budget = -1;
	ck_assert_int_eq(below, -ENOMEM);
	ck_assert_int_eq(id, -ENOMEM);
	ck_assert_int_eq(qs_stop_set(stop, &by_api), 1);
	ck_assert(!readable(qs_stop_wake_fd(stop)));
	qs_stop_free(stop);
	ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(without_descriptors_polling_still_works)
{
	struct rlimit limit, none;
	int made, fd, waited;
	qs_stop *stop;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ 0, limit.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	made = qs_stop_new(NULL, &stop);
	fd = qs_stop_fd(leaf);
	waited = qs_stop_wait(leaf, QS_FOREVER);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(made, -EMFILE);
	ck_assert_int_eq(fd, -EMFILE);
	ck_assert_int_eq(waited, -EMFILE);
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	ck_assert(qs_stop_is_set(leaf));
	ck_assert(readable(qs_stop_fd(leaf)));
}
END_TEST

static TCase *faces_case(void)
{
	TCase *tcase = tcase_create("faces");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, nothing_is_set_at_first);
	tcase_add_test(tcase, setting_one_sets_all_below_and_nothing_else);
	tcase_add_test(tcase, stop_twice_keeps_the_first_reason);
	tcase_add_test(tcase, one_below_a_set_one_is_set_already);
	tcase_add_test(tcase, one_that_was_set_first_keeps_its_reason_below_a_later_one);
	tcase_add_test(tcase, one_made_below_a_set_one_is_born_set);
	tcase_add_test(tcase, a_reason_gets_a_time_and_a_terminated_detail);
	tcase_add_test(tcase, descriptors_below_become_readable_without_a_dispatch_and_stay_so);
	tcase_add_test(tcase, waiting_ends_at_once_when_set_and_at_the_deadline_when_not);
	tcase_add_test(tcase, waiting_is_ended_by_another_thread);
	tcase_add_test(tcase, waiting_is_interrupted_by_a_signal);
	tcase_add_test(tcase, a_signal_that_sets_it_ends_the_wait_well);
	tcase_add_test(tcase, a_signal_handler_sets_it_and_the_dispatch_does_the_rest);
	tcase_add_test(tcase, a_second_signal_changes_nothing);
	tcase_add_test(tcase, a_signal_without_a_name_is_told_by_its_number);
	tcase_add_test(tcase, one_set_by_a_signal_may_be_freed_before_the_dispatch);
	tcase_add_test(tcase, without_descriptors_polling_still_works);
	return tcase;
}

static TCase *callbacks_case(void)
{
	TCase *tcase = tcase_create("callbacks");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, callbacks_wait_for_the_dispatch_and_run_once_parents_first);
	tcase_add_test(tcase, a_set_below_then_above_calls_each_callback_once);
	tcase_add_test(tcase, a_callback_on_one_that_was_born_set_runs_at_the_next_dispatch);
	tcase_add_test(tcase, a_removed_callback_does_not_run);
	tcase_add_test(tcase, a_callback_may_remove_itself_and_those_still_due);
	tcase_add_test(tcase, a_callback_may_free_its_own_event_and_others);
	tcase_add_test(tcase, a_callback_added_by_a_callback_asks_for_another_dispatch);
	return tcase;
}

/* Without the fixture. */
static TCase *scarce_case(void)
{
	TCase *tcase = tcase_create("scarce");

	tcase_add_test(tcase, without_memory_nothing_is_made_and_nothing_is_left_behind);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("stop");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, faces_case());
	suite_add_tcase(suite, callbacks_case());
	suite_add_tcase(suite, scarce_case());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
