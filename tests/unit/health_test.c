/* Heartbeats on a virtual clock: each test walks the loop from timer to timer. */
#include <check.h>
#include <stdlib.h>

#include "lib/health.h"
#include "lib/macro.h"

#define T0 (100 * QS_SEC)

static struct qs_clock clock_;
static struct qs_loop *loop;
static struct qs_heartbeat heartbeat;
static struct qs_timer other;
static unsigned misses;
static uint64_t missed_at;

static void missed(struct qs_heartbeat *of)
{
	ck_assert_ptr_eq(of, &heartbeat);
	misses++;
	missed_at = qs_loop_now(loop);
}

static void nothing(struct qs_timer *timer _unused_)
{
}

static void set_up(void)
{
	qs_clock_init_virtual(&clock_, T0);
	ck_assert_int_eq(qs_loop_new(&clock_, &loop), 0);
	ck_assert_int_eq(qs_heartbeat_init(loop, &heartbeat, missed), 0);
	ck_assert_int_eq(qs_timer_init(loop, &other, nothing), 0);
	misses = 0;
}

static void tear_down(void)
{
	qs_timer_done(&other);
	qs_heartbeat_done(&heartbeat);
	qs_loop_free(loop);
}

/* Turns the loop until the present turn is at `at`. */
static void walk_to(uint64_t at)
{
	qs_timer_arm(&other, at);
	while (qs_timer_armed(&other))
		(void)qs_loop_turn(loop, true);
	ck_assert_uint_eq(qs_loop_now(loop), at);
}

START_TEST(a_miss_is_called_out_once_and_on_time)
{
	qs_heartbeat_start(&heartbeat, 3 * QS_SEC);
	walk_to(T0 + 3 * QS_SEC - 1);
	ck_assert_uint_eq(misses, 0);
	walk_to(T0 + QS_HOUR);
	ck_assert_uint_eq(misses, 1);
	ck_assert_uint_eq(missed_at, T0 + 3 * QS_SEC);
	ck_assert_uint_eq(heartbeat.due_at, QS_FOREVER);
}
END_TEST

START_TEST(each_beat_puts_the_due_time_off)
{
	qs_heartbeat_start(&heartbeat, 3 * QS_SEC);
	for (unsigned i = 1; i <= 10; i++) {
		walk_to(T0 + i * 2 * QS_SEC);
		qs_heartbeat_beat(&heartbeat);
		ck_assert_uint_eq(heartbeat.last_at, T0 + i * 2 * QS_SEC);
	}
	ck_assert_uint_eq(misses, 0);
	walk_to(T0 + 30 * QS_SEC);
	ck_assert_uint_eq(misses, 1);
	ck_assert_uint_eq(missed_at, T0 + 23 * QS_SEC);
}
END_TEST

START_TEST(a_beat_after_the_miss_is_noted_but_promises_nothing)
{
	qs_heartbeat_start(&heartbeat, QS_SEC);
	walk_to(T0 + 2 * QS_SEC);
	qs_heartbeat_beat(&heartbeat);
	walk_to(T0 + 9 * QS_SEC);
	ck_assert_uint_eq(misses, 1);
	ck_assert_uint_eq(heartbeat.last_at, T0 + 2 * QS_SEC);
}
END_TEST

START_TEST(time_that_was_asked_for_is_kept)
{
	qs_heartbeat_start(&heartbeat, 3 * QS_SEC);
	qs_heartbeat_extend(&heartbeat, 10 * QS_SEC);
	qs_heartbeat_extend(&heartbeat, 1 * QS_SEC);
	walk_to(T0 + 1 * QS_SEC);
	qs_heartbeat_beat(&heartbeat);
	walk_to(T0 + 9 * QS_SEC);
	ck_assert_uint_eq(misses, 0);
	qs_heartbeat_beat(&heartbeat);
	walk_to(T0 + 20 * QS_SEC);
	ck_assert_uint_eq(misses, 1);
	ck_assert_uint_eq(missed_at, T0 + 12 * QS_SEC);
}
END_TEST

START_TEST(stopped_or_promised_nothing_it_is_never_missed)
{
	qs_heartbeat_start(&heartbeat, 0);
	qs_heartbeat_beat(&heartbeat);
	qs_heartbeat_extend(&heartbeat, QS_SEC);
	walk_to(T0 + QS_MIN);
	qs_heartbeat_start(&heartbeat, QS_SEC);
	qs_heartbeat_stop(&heartbeat);
	qs_heartbeat_beat(&heartbeat);
	walk_to(T0 + QS_HOUR);
	ck_assert_uint_eq(misses, 0);
}
END_TEST

START_TEST(started_again_it_begins_anew)
{
	qs_heartbeat_start(&heartbeat, 3 * QS_SEC);
	qs_heartbeat_extend(&heartbeat, QS_HOUR);
	walk_to(T0 + 1 * QS_SEC);
	qs_heartbeat_beat(&heartbeat);
	qs_heartbeat_start(&heartbeat, 5 * QS_SEC);
	ck_assert_uint_eq(heartbeat.last_at, 0);
	walk_to(T0 + QS_MIN);
	ck_assert_uint_eq(misses, 1);
	ck_assert_uint_eq(missed_at, T0 + 6 * QS_SEC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("health");
	TCase *beats = tcase_create("heartbeat");

	tcase_add_checked_fixture(beats, set_up, tear_down);
	tcase_add_test(beats, a_miss_is_called_out_once_and_on_time);
	tcase_add_test(beats, each_beat_puts_the_due_time_off);
	tcase_add_test(beats, a_beat_after_the_miss_is_noted_but_promises_nothing);
	tcase_add_test(beats, time_that_was_asked_for_is_kept);
	tcase_add_test(beats, stopped_or_promised_nothing_it_is_never_missed);
	tcase_add_test(beats, started_again_it_begins_anew);
	suite_add_tcase(suite, beats);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
