/* The stop event in the hands of many threads at once, which is for ThreadSanitizer to judge. */
#include <quiesce/stop.h>

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "tests/unit/stop_tree.h"

static sem_t entered;
static _Atomic bool call_ended;

static void take_a_while(qs_stop *stop, void *arg)
{
	(void)stop;
	(void)arg;
	sem_post(&entered);
	for (int i = 0; i < 20000; i++)
		sched_yield();
	call_ended = true;
}

static void *dispatch_once(void *arg)
{
	qs_stop_dispatch(root);
	return arg;
}

/* _i: by freeing the event (1) or by removing the callback (0). */
START_TEST(taking_back_a_running_callback_waits_for_its_end)
{
	int64_t id = qs_stop_add_callback(leaf, take_a_while, NULL);
	pthread_t thread;

	sem_init(&entered, 0, 0);
	ck_assert_int_eq(qs_stop_set(root, &by_api), 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, dispatch_once, NULL), 0);
	while (sem_wait(&entered) < 0)
		ck_assert_int_eq(errno, EINTR);
	if (_i)
		qs_stop_free(TAKE(leaf, NULL));
	else
		ck_assert_int_eq(qs_stop_remove_callback(leaf, id), 0);
	ck_assert(call_ended);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

#define THREADS 4
#define ROUNDS  500

static _Atomic int wins, handed_over, ran, taken_back;
static _Atomic bool finished;
static pthread_barrier_t barrier;

static void *race_to_set(void *arg)
{
	struct qs_stop_reason reason = { .cause = QS_CAUSE_API };
	intptr_t me = (intptr_t)arg;

	memset(reason.detail, 'a' + (int)me, sizeof(reason.detail) - 1);
	reason.at = (uint64_t)me + 1;
	pthread_barrier_wait(&barrier);
	if (me == 0)
		wins += qs_stop_set_from_signal(left, QS_CAUSE_SHUTDOWN, SIGTERM);
	else
		wins += qs_stop_set(left, &reason);
	ck_assert(me == 0 || qs_stop_is_set(leaf));
	return NULL;
}

static void *poll_until_set(void *arg)
{
	struct qs_stop_reason reason;

	pthread_barrier_wait(&barrier);
	while (!qs_stop_is_set(leaf))
		sched_yield();
	reason = reason_of(leaf);
	if (reason.cause == QS_CAUSE_SHUTDOWN)
		ck_assert_str_eq(reason.detail, "signal SIGTERM");
	else
		for (size_t i = 0; i < sizeof(reason.detail) - 1; i++)
			ck_assert_int_eq(reason.detail[i], 'a' + (int)reason.at - 1);
	return arg;
}

START_TEST(of_many_setters_one_wins_and_its_reason_is_whole)
{
	pthread_t setters[THREADS], pollers[THREADS];

	pthread_barrier_init(&barrier, NULL, 2 * THREADS);
	for (int round = 0; round < 100; round++) {
		wins = 0;
		set_up();
		for (intptr_t i = 0; i < THREADS; i++) {
			pthread_create(&setters[i], NULL, race_to_set, (void *)i);
			pthread_create(&pollers[i], NULL, poll_until_set, NULL);
		}
		for (int i = 0; i < THREADS; i++) {
			pthread_join(setters[i], NULL);
			pthread_join(pollers[i], NULL);
		}
		ck_assert_int_eq(wins, 1);
		tear_down();
	}
}
END_TEST

static void count_run(qs_stop *stop, void *arg)
{
	ck_assert_ptr_eq(arg, stop);
	ran++;
}

/* Events come and go below one that is being set, with callbacks that are or are not taken back. */
static void *live_and_die(void *arg)
{
	unsigned seed = (unsigned)(intptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		qs_stop *own = new_stop(i % 2 ? left : right), *below = new_stop(own);
		int64_t id = qs_stop_add_callback(below, count_run, below);

		ck_assert_int_gt(id, 0);
		handed_over++;
		if (rand_r(&seed) % 4 == 0)
			ck_assert_int_ge(qs_stop_fd(below), 0);
		if (rand_r(&seed) % 8 == 0)
			qs_stop_set(own, &by_api);
		if (rand_r(&seed) % 16 == 0)
			qs_stop_set_from_signal(below, QS_CAUSE_API, SIGTERM);
		if (i == ROUNDS / 2)
			qs_stop_set(seed % 2 ? left : right, &by_api);
		for (int yields = rand_r(&seed) % 4; yields > 0; yields--)
			sched_yield();
		taken_back += qs_stop_remove_callback(below, id);
		if (qs_stop_is_set(below))
			ck_assert(readable(qs_stop_fd(below)));
		qs_stop_free(below);
		qs_stop_free(own);
	}
	return NULL;
}

static void *dispatch_all(void *arg)
{
	while (!finished) {
		qs_stop_dispatch(root);
		sched_yield();
	}
	return arg;
}

START_TEST(every_callback_runs_or_is_taken_back_whatever_the_threads_do)
{
	pthread_t threads[THREADS], dispatcher;

	pthread_create(&dispatcher, NULL, dispatch_all, NULL);
	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, live_and_die, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	finished = true;
	pthread_join(dispatcher, NULL);
	ck_assert_int_eq(handed_over, THREADS * ROUNDS);
	ck_assert_int_eq(ran + taken_back, handed_over);
}
END_TEST

static TCase *threads_case(void)
{
	TCase *tcase = tcase_create("threads");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, taking_back_a_running_callback_waits_for_its_end, 0, 2);
	tcase_add_test(tcase, every_callback_runs_or_is_taken_back_whatever_the_threads_do);
	return tcase;
}

/* Makes its trees itself. */
static TCase *race_case(void)
{
	TCase *tcase = tcase_create("race");

	tcase_add_test(tcase, of_many_setters_one_wins_and_its_reason_is_whole);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("stop_threads");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, threads_case());
	suite_add_tcase(suite, race_case());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
