/*
 * The loop and the other threads: what they post, what the guard sees of it, and what happens when
 * descriptors or memory run out.
 */
#include "lib/loop.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/unit/budget.h"
#include "tests/unit/loop_fixture.h"

static char order[64];

/* --- posts --- */

#define POSTERS 4
#define POSTS   2000

static int arrived[POSTERS];

static void arrive(void *arg)
{
	int value = (int)(intptr_t)arg, poster = value % POSTERS;

	ck_assert_int_eq(value / POSTERS, arrived[poster]);
	if (++arrived[poster] == POSTS) {
		for (int i = 0; i < POSTERS; i++)
			if (arrived[i] < POSTS)
				return;
		qs_loop_leave(loop);
	}
}

static void *post_many(void *arg)
{
	for (int i = 0; i < POSTS; i++)
		ck_assert_int_eq(
		        qs_loop_post(loop, arrive, (void *)(i * POSTERS + (intptr_t)arg)), 0);
	return NULL;
}

START_TEST(posts_from_many_threads_all_arrive_each_threads_in_order)
{
	pthread_t threads[POSTERS];

	for (intptr_t i = 0; i < POSTERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, (void *)i), 0);
	qs_loop_run(loop);
	for (int i = 0; i < POSTERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < POSTERS; i++)
		ck_assert_int_eq(arrived[i], POSTS);
	ck_assert_int_eq(qs_loop_turn(loop, false), 0);
}
END_TEST

static void add_letter(void *letter)
{
	size_t length = strlen(order);

	ck_assert_uint_lt(length, sizeof(order) - 1);
	order[length] = (char)(intptr_t)letter;
}

static void post_again(void *arg)
{
	add_letter((void *)'p');
	ck_assert_int_eq(qs_loop_post(loop, add_letter, arg), 0);
}

static void close_posts(void *arg)
{
	add_letter(arg);
	qs_loop_close_posts(loop);
	add_letter(arg);
}

START_TEST(a_post_of_a_post_runs_later)
{
	ck_assert_int_eq(qs_loop_post(loop, post_again, (void *)'z'), 0);
	ck_assert_int_eq(qs_loop_post(loop, add_letter, (void *)'y'), 0);
	while (!strchr(order, 'z'))
		ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_str_eq(order, "pyz");
}
END_TEST

START_TEST(closing_runs_what_was_posted_and_refuses_the_rest)
{
	ck_assert_int_eq(qs_loop_post(loop, add_letter, (void *)'x'), 0);
	qs_loop_close_posts(loop);
	ck_assert_str_eq(order, "x");
	ck_assert_int_eq(qs_loop_post(loop, add_letter, (void *)'y'), -ESHUTDOWN);
	ck_assert_int_eq(qs_loop_turn(loop, false), 0);
	ck_assert_str_eq(order, "x");
}
END_TEST

START_TEST(closing_within_a_post_runs_the_others_there)
{
	ck_assert_int_eq(qs_loop_post(loop, close_posts, (void *)'c'), 0);
	ck_assert_int_eq(qs_loop_post(loop, add_letter, (void *)'y'), 0);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_str_eq(order, "cyc");
}
END_TEST

START_TEST(a_post_without_memory_is_refused_and_one_never_run_is_not_leaked)
{
	int r;

	budget = 0;
	r = qs_loop_post(loop, add_letter, (void *)'x');
	budget = -1;
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert_int_eq(qs_loop_post(loop, add_letter, (void *)'y'), 0);
	ck_assert_str_eq(order, "");
}
END_TEST

static void *wake_once(void *arg)
{
	while (atomic_load(&qs_loop_pulse(loop)->turns) < 1)
		;
	qs_loop_wake(loop);
	return arg;
}

/* The turn waits for good, if nothing wakes it. */
START_TEST(a_wake_ends_a_wait_and_runs_nothing)
{
	pthread_t thread;

	ck_assert_int_eq(qs_loop_turn(loop, false), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, wake_once, NULL), 0);
	ck_assert_int_eq(qs_loop_turn(loop, true), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void forget(struct qs_timer *timer)
{
	(void)timer;
}

static void *raise_later(void *tap)
{
	for (int i = 0; i < 1000; i++)
		sched_yield();
	eventfd_raise(((struct tap *)tap)->watch.fd);
	return NULL;
}

/* Its descriptor is readable still, and would end every wait at once with nothing to run. */
START_TEST(a_timer_that_fired_lets_the_loop_sleep)
{
	struct tap *tap = open_tap(0, QS_READ);
	struct qs_timer timer;
	pthread_t thread;

	ck_assert_int_eq(qs_timer_init(loop, &timer, forget), 0);
	qs_timer_arm(&timer, qs_loop_now(loop) + QS_MSEC);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, raise_later, tap), 0);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(tap->calls, 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	close_tap(tap);
}
END_TEST

static void wake_from_handler(int signo)
{
	(void)signo;
	qs_loop_wake(loop);
}

START_TEST(a_signal_handler_may_wake_the_loop)
{
	ck_assert(signal(SIGUSR1, wake_from_handler) != SIG_ERR);
	raise(SIGUSR1);
	ck_assert_int_eq(qs_loop_turn(loop, true), 0);
}
END_TEST

START_TEST(leaving_before_running_is_remembered_and_then_forgotten)
{
	qs_loop_leave(loop);
	qs_loop_run(loop);
	ck_assert_uint_eq(atomic_load(&qs_loop_pulse(loop)->turns), 0);
	ck_assert_int_eq(qs_loop_post(loop, (void (*)(void *))qs_loop_leave, loop), 0);
	qs_loop_run(loop);
	ck_assert_uint_eq(atomic_load(&qs_loop_pulse(loop)->turns), 1);
}
END_TEST

/* --- time within a turn, and the pulse --- */

static uint64_t seen_began, seen_now;

static void look_at_pulse(struct qs_watch *watch, unsigned what)
{
	seen_began = atomic_load(&qs_loop_pulse(loop)->turn_began);
	tap_ready(watch, what);
	qs_clock_advance_to(&time_source, qs_loop_now(loop) + 10);
}

START_TEST(the_time_stands_still_during_a_turn)
{
	struct tap *one = open_tap(1, QS_READ), *two = open_tap(1, QS_READ);

	one->watch.ready = two->watch.ready = look_at_pulse;
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_uint_eq(one->now, 1000);
	ck_assert_uint_eq(two->now, 1000);
	ck_assert_uint_eq(qs_loop_now(loop), 1010);
	close_tap(one);
	close_tap(two);
}
END_TEST

START_TEST(the_pulse_is_zero_but_during_a_turn)
{
	struct tap *tap = open_tap(1, QS_READ);
	struct qs_loop_pulse *pulse = qs_loop_pulse(loop);

	tap->watch.ready = look_at_pulse;
	ck_assert_uint_eq(atomic_load(&pulse->turn_began), 0);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_uint_ne(seen_began, 0);
	ck_assert_uint_eq(seen_began, tap->now);
	ck_assert_uint_eq(atomic_load(&pulse->turn_began), 0);
	close_tap(tap);
}
END_TEST

START_TEST(a_sleeping_guard_is_woken_once)
{
	struct tap *tap = open_tap(1, QS_READ);
	struct qs_loop_pulse *pulse = qs_loop_pulse(loop);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	eventfd_t count;

	tap->keep = true;
	atomic_store(&pulse->guard_fd, fd);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(eventfd_read(fd, &count), -1);
	atomic_store(&pulse->guard_sleeps, 1);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(atomic_load(&pulse->guard_sleeps), 0);
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	ck_assert_uint_eq(count, 1);
	close_tap(tap);
	close(fd);
}
END_TEST

static void foreign_ready(evutil_socket_t fd, short what, void *arg)
{
	struct qs_loop_pulse *pulse = qs_loop_pulse(loop);

	(void)what;
	(void)arg;
	eventfd_lower(fd);
	seen_now = qs_loop_now(loop);
	seen_began = atomic_load(&pulse->turn_began);
}

/* As evhttp is: in the same base, and not through a watch of ours. */
START_TEST(a_callback_of_libevent_itself_sees_the_present_and_shows_in_the_pulse)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct event *event =
	        event_new(qs_loop_base(loop), fd, EV_READ | EV_PERSIST, foreign_ready, NULL);
	uint64_t start;

	ck_assert_int_eq(qs_loop_turn(loop, false), 0);
	start = qs_time_now();
	ck_assert_int_eq(event_add(event, NULL), 0);
	(void)qs_loop_turn(loop, true);
	ck_assert_uint_ge(seen_now, start);
	ck_assert_uint_eq(seen_began, seen_now);
	event_free(event);
	close(fd);
}
END_TEST

START_TEST(holding_tells_who_held_before)
{
	ck_assert_uint_eq(qs_loop_hold(loop, 7), 0);
	ck_assert_uint_eq(qs_loop_hold(loop, 9), 7);
	ck_assert_uint_eq(atomic_load(&qs_loop_pulse(loop)->holder), 9);
	ck_assert_uint_eq(qs_loop_hold(loop, 0), 9);
}
END_TEST

/* --- when there is not enough --- */

START_TEST(a_loop_without_descriptors_is_refused_and_leaves_none_behind)
{
	struct rlimit limit;
	int before = open_descriptors(), lowest = dup(0), r;

	ck_assert_int_eq(close(lowest), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int more = 0;; more++) {
		struct rlimit tight = { (rlim_t)(lowest + more), limit.rlim_max };

		ck_assert_int_le(more, 10);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
		r = qs_loop_new(&time_source, &loop);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		if (r == 0)
			break;
		ck_assert_int_eq(r, -EMFILE);
		ck_assert_int_eq(open_descriptors(), before);
	}
	ck_assert_int_eq(qs_loop_turn(loop, false), 0);
	qs_loop_free(loop);
	ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(a_loop_without_memory_is_refused_and_leaves_nothing_behind)
{
	int before = open_descriptors(), r = -ENOMEM;

	event_set_mem_functions(__wrap_malloc, realloc, free);
	for (long enough = 0; r < 0; enough++) {
		ck_assert_int_lt(enough, 100);
		budget = enough;
		r = qs_loop_new(&time_source, &loop);
		budget = -1;
		if (r < 0) {
			ck_assert_int_eq(r, -ENOMEM);
			ck_assert_int_eq(open_descriptors(), before);
		}
	}
	qs_loop_free(loop);
	ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

static TCase *threads_case(void)
{
	TCase *tcase = tcase_create("threads");

	tcase_add_checked_fixture(tcase, set_up_real, tear_down);
	tcase_add_test(tcase, posts_from_many_threads_all_arrive_each_threads_in_order);
	tcase_add_test(tcase, a_post_of_a_post_runs_later);
	tcase_add_test(tcase, closing_runs_what_was_posted_and_refuses_the_rest);
	tcase_add_test(tcase, closing_within_a_post_runs_the_others_there);
	tcase_add_test(tcase, a_post_without_memory_is_refused_and_one_never_run_is_not_leaked);
	tcase_add_test(tcase, a_wake_ends_a_wait_and_runs_nothing);
	tcase_add_test(tcase, a_timer_that_fired_lets_the_loop_sleep);
	tcase_add_test(tcase, a_signal_handler_may_wake_the_loop);
	tcase_add_test(tcase, leaving_before_running_is_remembered_and_then_forgotten);
	tcase_add_test(tcase, the_pulse_is_zero_but_during_a_turn);
	tcase_add_test(tcase, a_sleeping_guard_is_woken_once);
	tcase_add_test(
	        tcase, a_callback_of_libevent_itself_sees_the_present_and_shows_in_the_pulse);
	tcase_add_test(tcase, holding_tells_who_held_before);
	return tcase;
}

static TCase *virtual_case(void)
{
	TCase *tcase = tcase_create("virtual");

	tcase_add_checked_fixture(tcase, set_up_virtual, tear_down);
	tcase_add_test(tcase, the_time_stands_still_during_a_turn);
	return tcase;
}

static TCase *scarce_case(void)
{
	TCase *tcase = tcase_create("scarce");

	tcase_add_test(tcase, a_loop_without_descriptors_is_refused_and_leaves_none_behind);
	tcase_add_test(tcase, a_loop_without_memory_is_refused_and_leaves_nothing_behind);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("loop_threads");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, threads_case());
	suite_add_tcase(suite, virtual_case());
	suite_add_tcase(suite, scarce_case());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
