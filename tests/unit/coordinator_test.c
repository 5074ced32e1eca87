/* The coordinator on a virtual clock: what is done to tasks, and what is told of it. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/coordinator.h"
#include "tests/unit/fake_task.h"

static const struct qs_ladder patient = { QS_FOREVER, QS_FOREVER };
static const struct shutdown_plan plan = { 0, 20 * QS_SEC, 2 * QS_SEC, QS_SEC };
static const struct qs_stop_reason reason = { QS_CAUSE_SHUTDOWN, "test", 0, QS_FOREVER };

static struct fake_world world;
static struct qs_coordinator coordinator;
static char phases[256];
static int holds;
static unsigned stages;

static void note_phase(void *arg, enum qs_phase phase)
{
	(void)arg;
	strcat(phases, qs_phase_name(phase));
	strcat(phases, " ");
}

static void note_hold(void *arg, bool held)
{
	(void)arg;
	holds += held ? 1 : -1;
}

static unsigned count_stages(void *arg)
{
	(void)arg;
	return stages;
}

static void set_up_with(const struct shutdown_plan *with)
{
	const struct qs_coordinator_hooks hooks = { .phase = note_phase, .hold = note_hold };

	phases[0] = '\0';
	holds = 0;
	stages = 1;
	ck_assert_int_eq(fake_world_init(&world), 0);
	ck_assert_int_eq(qs_coordinator_init(&coordinator, &world.root, with, &hooks), 0);
	coordinator.count_stages = count_stages;
}

static void set_up(void)
{
	set_up_with(&plan);
}

static void tear_down(void)
{
	qs_coordinator_done(&coordinator);
	fake_world_done(&world);
}

static uint64_t ran_for(uint64_t since)
{
	qs_loop_run(world.loop);
	return qs_loop_now(world.loop) - since;
}

START_TEST(with_nothing_alive_it_is_over_at_once)
{
	uint64_t now = qs_loop_now(world.loop);

	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_uint_eq(ran_for(now), 0);
	ck_assert_int_eq(qs_coordinator_phase(&coordinator), QS_PHASE_QUIESCED);
	ck_assert_int_eq(holds, 1);
	ck_assert_uint_ne(atomic_load(&coordinator.chronicle.left_at), 0);
}
END_TEST

START_TEST(a_task_that_ignores_everything_is_left_behind_at_the_very_end)
{
	struct fake_task task;
	uint64_t now = qs_loop_now(world.loop);

	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_COUNT, patient), 0);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_uint_eq(ran_for(now), 23 * QS_SEC);
	ck_assert_str_eq(phases, "draining stopping cancelling killing quiesced ");
	ck_assert_uint_eq(task.asks + task.cancels + task.kills, 3);
	ck_assert_uint_eq(task.endings, 0);
	qs_timer_done(&task.end);
}
END_TEST

/* Or the guard, which counts from the request, would leave while the loop still has time. */
START_TEST(a_stop_that_is_heard_late_is_counted_from_when_it_was_asked_for)
{
	struct qs_stop_reason late = reason;
	struct fake_task task;
	uint64_t now = qs_loop_now(world.loop);

	late.at = now - QS_SEC / 2;
	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_COUNT, patient), 0);
	qs_coordinator_stop(&coordinator, &late);
	ck_assert_uint_eq(atomic_load(&coordinator.chronicle.requested_at), late.at);
	ck_assert_uint_eq(ran_for(now), 23 * QS_SEC - QS_SEC / 2);
	ck_assert_uint_eq(task.kills, 1);
	qs_timer_done(&task.end);
}
END_TEST

START_TEST(the_end_comes_with_the_last_task_not_with_the_deadline)
{
	struct fake_task quick, slow;
	uint64_t now = qs_loop_now(world.loop);

	ck_assert_int_eq(fake_start(&quick, &world.root, "a", QS_RUNG_ASK, patient), 0);
	ck_assert_int_eq(fake_start(&slow, &world.root, "b", QS_RUNG_COUNT, patient), 0);
	fake_end_after(&slow, 7 * QS_SEC);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_uint_eq(ran_for(now), 7 * QS_SEC);
	ck_assert_int_eq(quick.verdict, QS_VERDICT_STOPPED);
	ck_assert_int_eq(slow.verdict, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(each_further_request_moves_one_phase_on)
{
	struct fake_task task;
	uint64_t now = qs_loop_now(world.loop);

	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_COUNT, patient), 0);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_int_eq(qs_coordinator_phase(&coordinator), QS_PHASE_STOPPING);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_int_eq(qs_coordinator_phase(&coordinator), QS_PHASE_CANCELLING);
	ck_assert_uint_eq(task.cancels, 1);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_int_eq(qs_coordinator_phase(&coordinator), QS_PHASE_KILLING);
	ck_assert_uint_eq(task.kills, 1);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_uint_eq(ran_for(now), 0);
	qs_timer_done(&task.end);
}
END_TEST

START_TEST(stages_follow_each_other_and_share_the_time)
{
	struct fake_task front, back;
	struct qs_group first, second;
	uint64_t now = qs_loop_now(world.loop);

	stages = 2;
	qs_group_init(&first, &world.context, &world.root);
	qs_group_init(&second, &world.context, &world.root);
	second.stage = 1;
	ck_assert_int_eq(fake_start(&front, &first, "f", QS_RUNG_COUNT, patient), 0);
	ck_assert_int_eq(fake_start(&back, &second, "b", QS_RUNG_ASK, patient), 0);
	fake_end_after(&front, 4 * QS_SEC);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_uint_eq(back.asks, 0);
	ck_assert_uint_eq(ran_for(now), 4 * QS_SEC);
	ck_assert_uint_eq(back.ended_at - now, 4 * QS_SEC);
	ck_assert_uint_eq(atomic_load(&coordinator.chronicle.overdue_stages), 0);
	qs_group_done(&first);
	qs_group_done(&second);
}
END_TEST

START_TEST(a_stage_that_is_overdue_is_overtaken_and_counted)
{
	struct fake_task front, back;
	struct qs_group first, second;
	uint64_t now = qs_loop_now(world.loop);

	stages = 2;
	qs_group_init(&first, &world.context, &world.root);
	qs_group_init(&second, &world.context, &world.root);
	second.stage = 1;
	ck_assert_int_eq(fake_start(&front, &first, "f", QS_RUNG_CANCEL, patient), 0);
	ck_assert_int_eq(fake_start(&back, &second, "b", QS_RUNG_ASK, patient), 0);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_uint_eq(ran_for(now), 20 * QS_SEC);
	ck_assert_uint_eq(back.ended_at - now, 10 * QS_SEC);
	ck_assert_int_eq(front.verdict, QS_VERDICT_CANCELLED);
	ck_assert_uint_eq(atomic_load(&coordinator.chronicle.overdue_stages), 1);
	qs_group_done(&first);
	qs_group_done(&second);
}
END_TEST

START_TEST(draining_holds_and_leaves_work_alone_until_it_is_over)
{
	static const struct shutdown_plan with_drain = { 5 * QS_SEC, 20 * QS_SEC, QS_SEC, QS_SEC };
	struct fake_task task;
	uint64_t now;

	tear_down();
	set_up_with(&with_drain);
	now = qs_loop_now(world.loop);
	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_ASK, patient), 0);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_int_eq(qs_coordinator_phase(&coordinator), QS_PHASE_DRAINING);
	ck_assert_uint_eq(task.asks, 0);
	ck_assert_uint_eq(ran_for(now), 5 * QS_SEC);
	ck_assert_int_eq(task.verdict, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(an_administrators_drain_can_be_taken_back_until_a_stop)
{
	ck_assert_int_eq(qs_coordinator_drain(&coordinator), 0);
	ck_assert_int_eq(qs_coordinator_drain(&coordinator), 0);
	ck_assert_int_eq(qs_coordinator_phase(&coordinator), QS_PHASE_DRAINING);
	ck_assert(qs_group_is_closed(&world.root));
	ck_assert_int_eq(qs_coordinator_resume(&coordinator), 0);
	ck_assert(!qs_group_is_closed(&world.root));
	ck_assert_int_eq(qs_coordinator_resume(&coordinator), 0);
	ck_assert_int_eq(holds, 0);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_int_eq(qs_coordinator_drain(&coordinator), -EBUSY);
	ck_assert_int_eq(qs_coordinator_resume(&coordinator), -EBUSY);
	qs_loop_run(world.loop);
}
END_TEST

START_TEST(a_task_with_a_short_ladder_is_killed_while_the_phase_is_still_stopping)
{
	struct fake_task task;
	uint64_t now = qs_loop_now(world.loop);

	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_KILL,
	                         (struct qs_ladder){ QS_SEC, QS_SEC }),
	        0);
	qs_coordinator_stop(&coordinator, &reason);
	ck_assert_uint_eq(ran_for(now), 2 * QS_SEC);
	ck_assert_int_eq(task.verdict, QS_VERDICT_KILLED);
	ck_assert_str_eq(phases, "draining stopping quiesced ");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("coordinator");
	TCase *tcase = tcase_create("coordinator");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, with_nothing_alive_it_is_over_at_once);
	tcase_add_test(tcase, a_task_that_ignores_everything_is_left_behind_at_the_very_end);
	tcase_add_test(tcase, a_stop_that_is_heard_late_is_counted_from_when_it_was_asked_for);
	tcase_add_test(tcase, the_end_comes_with_the_last_task_not_with_the_deadline);
	tcase_add_test(tcase, each_further_request_moves_one_phase_on);
	tcase_add_test(tcase, stages_follow_each_other_and_share_the_time);
	tcase_add_test(tcase, a_stage_that_is_overdue_is_overtaken_and_counted);
	tcase_add_test(tcase, draining_holds_and_leaves_work_alone_until_it_is_over);
	tcase_add_test(tcase, an_administrators_drain_can_be_taken_back_until_a_stop);
	tcase_add_test(
	        tcase, a_task_with_a_short_ladder_is_killed_while_the_phase_is_still_stopping);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
