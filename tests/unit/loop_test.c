/*
 * The loop: timers on a virtual clock, and on the real one, watches and jobs, and what each
 * of them may do to the others in the middle of a turn.
 */
#include "lib/loop.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/budget.h"
#include "tests/unit/loop_fixture.h"

/* --- a timer that keeps a diary --- */

#define TIMERS 100

static struct probe {
	struct qs_timer timer;
	uint64_t wanted, lateness;
	struct probe *victim; /* disarmed by this one's callback */
	uint64_t rearm_at;    /* armed again by its own callback, 0 for not */
} probes[TIMERS];
static struct probe *diary[4 * TIMERS];
static size_t entries;

static void write_diary(struct qs_timer *timer)
{
	struct probe *probe = container_of(timer, struct probe, timer);

	ck_assert(!qs_timer_armed(timer));
	ck_assert_uint_lt(entries, ARRAY_SIZE(diary));
	diary[entries++] = probe;
	probe->lateness = qs_time_sub(qs_loop_now(loop), probe->wanted);
	ck_assert_uint_ge(qs_loop_now(loop), probe->wanted);
	if (probe->victim)
		qs_timer_disarm(&probe->victim->timer);
	if (probe->rearm_at)
		qs_timer_arm(timer, probe->wanted = TAKE(probe->rearm_at, 0));
}

static void arm(size_t which, uint64_t at)
{
	struct probe *probe = &probes[which];

	if (!probe->timer.loop)
		ck_assert_int_eq(qs_timer_init(loop, &probe->timer, write_diary), 0);
	probe->wanted = at;
	qs_timer_arm(&probe->timer, at);
}

START_TEST(timers_run_in_the_order_of_time_then_of_arming)
{
	arm(0, 5000);
	arm(1, 3000);
	arm(2, 5000);
	arm(3, 2000);
	while (qs_loop_turn(loop, true))
		;
	ck_assert_uint_eq(entries, 4);
	ck_assert_ptr_eq(diary[0], &probes[3]);
	ck_assert_ptr_eq(diary[1], &probes[1]);
	ck_assert_ptr_eq(diary[2], &probes[0]);
	ck_assert_ptr_eq(diary[3], &probes[2]);
	ck_assert_uint_eq(qs_loop_now(loop), 5000);
}
END_TEST

START_TEST(virtual_time_jumps_to_the_next_timer_only_when_it_may_wait)
{
	arm(0, 1000 + QS_HOUR);
	arm(1, 1000 + 2 * QS_HOUR);
	ck_assert_int_eq(qs_loop_turn(loop, false), 0);
	ck_assert_uint_eq(qs_loop_now(loop), 1000);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_uint_eq(qs_loop_now(loop), 1000 + QS_HOUR);
	ck_assert_uint_eq(probes[0].lateness, 0);
	ck_assert_uint_eq(entries, 1);
}
END_TEST

START_TEST(virtual_time_stands_still_while_there_is_something_to_do)
{
	struct tap *tap = open_tap(1, QS_READ);

	arm(0, 2000);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_uint_eq(qs_loop_now(loop), 1000);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_uint_eq(qs_loop_now(loop), 2000);
	ck_assert_int_eq(tap->calls, 1);
	close_tap(tap);
}
END_TEST

START_TEST(a_timer_armed_again_moves)
{
	arm(0, 2000);
	arm(1, 3000);
	arm(0, 4000);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_ptr_eq(diary[0], &probes[1]);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_ptr_eq(diary[1], &probes[0]);
	ck_assert_int_eq(qs_loop_turn(loop, true), 0);
}
END_TEST

START_TEST(arming_for_never_disarms)
{
	arm(0, 2000);
	ck_assert(qs_timer_armed(&probes[0].timer));
	arm(0, QS_FOREVER);
	ck_assert(!qs_timer_armed(&probes[0].timer));
	ck_assert_int_eq(qs_loop_turn(loop, true), 0);
}
END_TEST

START_TEST(a_timer_disarmed_by_another_in_the_same_turn_does_not_run)
{
	arm(0, 2000);
	arm(1, 2000);
	probes[0].victim = &probes[1];
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(qs_loop_turn(loop, true), 0);
	ck_assert_uint_eq(entries, 1);
}
END_TEST

START_TEST(a_timer_armed_for_now_by_itself_runs_in_the_next_turn)
{
	arm(0, 2000);
	probes[0].rearm_at = 500;
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_uint_eq(entries, 1);
	ck_assert_int_eq(qs_loop_turn(loop, false), 1);
	ck_assert_uint_eq(entries, 2);
	ck_assert_uint_eq(qs_loop_now(loop), 2000);
}
END_TEST

static void free_timer(struct qs_timer *timer)
{
	qs_timer_done(timer);
	free(timer);
	entries++;
}

START_TEST(a_timer_may_be_freed_in_its_own_callback)
{
	struct qs_timer *timer = malloc(sizeof(*timer));

	ck_assert_int_eq(qs_timer_init(loop, timer, free_timer), 0);
	qs_timer_arm(timer, 2000);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(qs_loop_turn(loop, true), 0);
	ck_assert_uint_eq(entries, 1);
}
END_TEST

START_TEST(arming_needs_no_memory)
{
	for (size_t i = 0; i < TIMERS; i++)
		ck_assert_int_eq(qs_timer_init(loop, &probes[i].timer, write_diary), 0);
	budget = 0;
	for (size_t i = 0; i < TIMERS; i++)
		qs_timer_arm(&probes[i].timer, 2000 + i);
	budget = -1;
	for (size_t i = 0; i < TIMERS; i++)
		ck_assert(qs_timer_armed(&probes[i].timer));
}
END_TEST

START_TEST(a_timer_without_room_is_refused_and_room_is_given_back)
{
	struct qs_timer timer = { 0 };
	int r = 0, again = 0;
	size_t room = 0;

	for (; room < TIMERS; room++)
		ck_assert_int_eq(qs_timer_init(loop, &probes[room].timer, write_diary), 0);
	budget = 0;
	for (int i = 0; i < 1000; i++) {
		qs_timer_done(&probes[0].timer);
		again |= qs_timer_init(loop, &probes[0].timer, write_diary);
	}
	while (r == 0 && room++ < 10000)
		r = qs_timer_init(loop, &timer, write_diary);
	budget = -1;
	ck_assert_int_eq(again, 0);
	ck_assert_int_eq(r, -ENOMEM);
}
END_TEST

/* --- real time --- */

/* The callback asserts "never early". How late they are is a question of how busy the machine is. */
START_TEST(real_timers_are_never_early_and_come_in_their_order)
{
	uint64_t start = qs_loop_now(loop);

	for (size_t i = 0; i < TIMERS; i++)
		arm(i, start + (i + 1) * 1370 * QS_USEC);
	while (entries < TIMERS)
		ck_assert_int_eq(qs_loop_turn(loop, true) < 0, 0);
	for (size_t i = 0; i < TIMERS; i++)
		ck_assert_ptr_eq(diary[i], &probes[i]);
}
END_TEST

START_TEST(an_idle_loop_sleeps_through_until_its_timer)
{
	struct rusage before, after;
	struct tap *tap = open_tap(0, QS_READ);
	uint64_t start = qs_loop_now(loop);

	arm(0, start + 300 * QS_MSEC);
	getrusage(RUSAGE_THREAD, &before);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	getrusage(RUSAGE_THREAD, &after);
	ck_assert_uint_ge(qs_time_now(), start + 300 * QS_MSEC);
	ck_assert_int_le(after.ru_nvcsw - before.ru_nvcsw, 2);
	ck_assert_uint_eq(atomic_load(&qs_loop_pulse(loop)->turns), 1);
	ck_assert_int_eq(tap->calls, 0);
	close_tap(tap);
}
END_TEST

START_TEST(a_timer_that_fired_does_not_keep_the_loop_awake)
{
	arm(0, qs_loop_now(loop) + QS_MSEC);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	arm(0, qs_loop_now(loop) + 20 * QS_MSEC);
	arm(1, qs_loop_now(loop) + QS_HOUR);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_uint_eq(entries, 2);
	ck_assert_uint_eq(atomic_load(&qs_loop_pulse(loop)->turns), 2);
}
END_TEST

/* --- watches --- */

START_TEST(a_watch_is_level_triggered_until_it_is_stopped)
{
	struct tap *tap = open_tap(1, QS_READ);

	tap->keep = true;
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(tap->calls, 2);
	ck_assert_uint_eq(tap->what, QS_READ);
	qs_watch_stop(&tap->watch);
	qs_watch_stop(&tap->watch);
	ck_assert_int_eq(qs_loop_turn(loop, false), 0);
	ck_assert_int_eq(tap->calls, 2);
	close_tap(tap);
}
END_TEST

START_TEST(a_watch_says_what_it_is_ready_for)
{
	struct tap *writable = open_tap(0, QS_READ | QS_WRITE), *both;

	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_uint_eq(writable->what, QS_WRITE);
	both = open_tap(1, QS_READ | QS_WRITE);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_uint_eq(both->what, QS_READ | QS_WRITE);
	close_tap(writable);
	close_tap(both);
}
END_TEST

START_TEST(a_watch_stopped_by_another_in_the_same_turn_is_not_called)
{
	struct tap *one = open_tap(1, QS_READ), *two = open_tap(1, QS_READ);

	one->victim = two;
	two->victim = one;
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(qs_loop_turn(loop, false), 0);
	ck_assert_int_eq(one->calls + two->calls, 1);
	close_tap(one);
	close_tap(two);
}
END_TEST

/* Thousands at once: more than one wait of libevent reports. */
START_TEST(watches_may_be_freed_in_their_own_callbacks_in_any_number)
{
	struct rlimit limit;
	int count;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	count = (int)MIN(limit.rlim_cur, 5100) - 100;
	for (int i = 0; i < count; i++)
		open_tap(1, QS_READ)->dies = true;
	while (dead_taps < count)
		ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_int_eq(qs_loop_turn(loop, false), 0);
}
END_TEST

START_TEST(a_watch_that_cannot_be_started_says_why_and_stays_stopped)
{
	struct qs_watch watch = { .ready = tap_ready };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(qs_watch_start(loop, &watch, fd, QS_READ), -EPERM);
	ck_assert_ptr_null(watch.event);
	qs_watch_stop(&watch);
	close(fd);
}
END_TEST

/* --- jobs --- */

static struct qs_job jobs[3];
static char order[64];

static void first_job(struct qs_job *job)
{
	(void)job;
	strcat(order, "a");
	qs_job_schedule(loop, &jobs[1]);
}

static void second_job(struct qs_job *job)
{
	(void)job;
	strcat(order, "b");
	qs_job_cancel(&jobs[2]);
}

static void third_job(struct qs_job *job)
{
	(void)job;
	strcat(order, "c");
}

static void init_jobs(void)
{
	qs_job_init(&jobs[0], first_job);
	qs_job_init(&jobs[1], second_job);
	qs_job_init(&jobs[2], third_job);
}

START_TEST(a_job_from_outside_runs_in_the_next_turn_which_does_not_wait)
{
	init_jobs();
	qs_job_schedule(loop, &jobs[2]);
	qs_job_schedule(loop, &jobs[2]);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_str_eq(order, "c");
	ck_assert_int_eq(qs_loop_turn(loop, false), 0);
}
END_TEST

START_TEST(jobs_of_jobs_run_in_the_same_turn_and_cancelled_ones_do_not)
{
	init_jobs();
	qs_job_schedule(loop, &jobs[1]);
	qs_job_schedule(loop, &jobs[2]);
	qs_job_schedule(loop, &jobs[0]);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_str_eq(order, "bab");
	qs_job_cancel(&jobs[2]);
}
END_TEST

static void free_job(struct qs_job *job)
{
	free(job);
	strcat(order, "f");
}

START_TEST(a_job_may_be_freed_by_itself)
{
	struct qs_job *job = malloc(sizeof(*job));

	qs_job_init(job, free_job);
	qs_job_schedule(loop, job);
	ck_assert_int_eq(qs_loop_turn(loop, true), 1);
	ck_assert_str_eq(order, "f");
}
END_TEST

static TCase *timers_case(void)
{
	TCase *tcase = tcase_create("virtual");

	tcase_add_checked_fixture(tcase, set_up_virtual, tear_down);
	tcase_add_test(tcase, timers_run_in_the_order_of_time_then_of_arming);
	tcase_add_test(tcase, virtual_time_jumps_to_the_next_timer_only_when_it_may_wait);
	tcase_add_test(tcase, virtual_time_stands_still_while_there_is_something_to_do);
	tcase_add_test(tcase, a_timer_armed_again_moves);
	tcase_add_test(tcase, arming_for_never_disarms);
	tcase_add_test(tcase, a_timer_disarmed_by_another_in_the_same_turn_does_not_run);
	tcase_add_test(tcase, a_timer_armed_for_now_by_itself_runs_in_the_next_turn);
	tcase_add_test(tcase, a_timer_may_be_freed_in_its_own_callback);
	tcase_add_test(tcase, arming_needs_no_memory);
	tcase_add_test(tcase, a_timer_without_room_is_refused_and_room_is_given_back);
	return tcase;
}

static TCase *real_case(void)
{
	TCase *tcase = tcase_create("real");

	tcase_add_checked_fixture(tcase, set_up_real, tear_down);
	tcase_add_test(tcase, real_timers_are_never_early_and_come_in_their_order);
	tcase_add_test(tcase, an_idle_loop_sleeps_through_until_its_timer);
	tcase_add_test(tcase, a_timer_that_fired_does_not_keep_the_loop_awake);
	tcase_add_test(tcase, a_watch_is_level_triggered_until_it_is_stopped);
	tcase_add_test(tcase, a_watch_says_what_it_is_ready_for);
	tcase_add_test(tcase, a_watch_stopped_by_another_in_the_same_turn_is_not_called);
	tcase_add_test(tcase, watches_may_be_freed_in_their_own_callbacks_in_any_number);
	tcase_add_test(tcase, a_watch_that_cannot_be_started_says_why_and_stays_stopped);
	tcase_add_test(tcase, a_job_from_outside_runs_in_the_next_turn_which_does_not_wait);
	tcase_add_test(tcase, jobs_of_jobs_run_in_the_same_turn_and_cancelled_ones_do_not);
	tcase_add_test(tcase, a_job_may_be_freed_by_itself);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("loop");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, timers_case());
	suite_add_tcase(suite, real_case());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
