/* Tasks and groups: the ladder goes up only, each task ends once, with one verdict. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/unit/fake_task.h"

static const struct qs_ladder patient = { QS_FOREVER, QS_FOREVER };
static struct fake_world world;

static void set_up(void)
{
	ck_assert_int_eq(fake_world_init(&world), 0);
}

static void tear_down(void)
{
	fake_world_done(&world);
}

START_TEST(a_task_that_ends_by_itself_has_finished)
{
	struct fake_task task;

	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_COUNT, patient), 0);
	fake_end_after(&task, QS_SEC);
	fake_world_run(&world);
	ck_assert_uint_eq(task.endings, 1);
	ck_assert_int_eq(task.verdict, QS_VERDICT_FINISHED);
	ck_assert_uint_eq(world.root.live, 0);
	ck_assert_uint_eq(qs_ledger_live(world.ledger), 0);
}
END_TEST

START_TEST(asked_twice_it_keeps_the_first_cause_and_is_asked_once)
{
	struct fake_task task;

	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_ASK, patient), 0);
	qs_task_ask(&task.task, QS_CAUSE_API, QS_FOREVER);
	qs_task_ask(&task.task, QS_CAUSE_SHUTDOWN, QS_FOREVER);
	ck_assert_int_eq(qs_task_cause(&task.task), QS_CAUSE_API);
	ck_assert_uint_eq(task.asks, 1);
	fake_world_run(&world);
	ck_assert_int_eq(task.verdict, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(whoever_was_never_asked_is_asked_before_it_is_cancelled_or_killed)
{
	struct fake_task cancelled, killed;

	ck_assert_int_eq(fake_start(&cancelled, &world.root, "a", QS_RUNG_CANCEL, patient), 0);
	ck_assert_int_eq(fake_start(&killed, &world.root, "b", QS_RUNG_KILL, patient), 0);
	qs_task_cancel(&cancelled.task, QS_CAUSE_SHUTDOWN);
	qs_task_kill(&killed.task, QS_CAUSE_SHUTDOWN);
	ck_assert_uint_eq(cancelled.asks, 1);
	ck_assert_uint_eq(killed.asks, 1);
	ck_assert_uint_eq(killed.cancels, 1);
	fake_world_run(&world);
	ck_assert_int_eq(cancelled.verdict, QS_VERDICT_CANCELLED);
	ck_assert_int_eq(killed.verdict, QS_VERDICT_KILLED);
}
END_TEST

START_TEST(its_own_ladder_takes_it_from_ask_to_kill)
{
	struct fake_task task;
	uint64_t asked_at = qs_loop_now(world.loop);

	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_KILL,
	                         (struct qs_ladder){ 3 * QS_SEC, 2 * QS_SEC }),
	        0);
	qs_task_ask(&task.task, QS_CAUSE_API, QS_FOREVER);
	fake_world_run(&world);
	ck_assert_int_eq(task.verdict, QS_VERDICT_KILLED);
	ck_assert_uint_eq(task.ended_at - asked_at, 5 * QS_SEC);
}
END_TEST

START_TEST(an_earlier_deadline_counts_and_a_later_one_does_not)
{
	struct fake_task task;
	uint64_t now = qs_loop_now(world.loop);

	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_CANCEL,
	                         (struct qs_ladder){ 10 * QS_SEC, QS_FOREVER }),
	        0);
	qs_task_ask(&task.task, QS_CAUSE_API, QS_FOREVER);
	qs_task_ask(&task.task, QS_CAUSE_SHUTDOWN, now + 4 * QS_SEC);
	qs_task_ask(&task.task, QS_CAUSE_SHUTDOWN, now + 30 * QS_SEC);
	fake_world_run(&world);
	ck_assert_uint_eq(task.ended_at - now, 4 * QS_SEC);
	ck_assert_int_eq(task.verdict, QS_VERDICT_CANCELLED);
}
END_TEST

START_TEST(a_missed_heartbeat_is_a_failure_even_if_it_goes_quietly)
{
	struct fake_task task;

	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_ASK, patient), 0);
	qs_task_ask(&task.task, QS_CAUSE_HEARTBEAT, QS_FOREVER);
	fake_world_run(&world);
	ck_assert_int_eq(task.verdict, QS_VERDICT_FAILED);
}
END_TEST

START_TEST(a_closed_group_admits_nothing_and_nothing_is_counted)
{
	struct fake_task task;
	struct qs_group inner;
	struct qs_owner *owner;

	ck_assert_int_eq(qs_ledger_owner(world.ledger, "w", &owner), 0);
	qs_group_init(&inner, &world.context, &world.root);
	qs_group_close(&world.root);
	ck_assert_int_eq(fake_start(&task, &inner, "a", QS_RUNG_ASK, patient), -ESHUTDOWN);
	ck_assert_uint_eq(world.root.live, 0);
	ck_assert_uint_eq(atomic_load(&owner->started), 0);
	qs_group_open(&world.root);
	ck_assert_int_eq(fake_start(&task, &inner, "a", QS_RUNG_ASK, patient), 0);
	ck_assert_uint_eq(world.root.live, 1);
	qs_task_ask(&task.task, QS_CAUSE_API, QS_FOREVER);
	fake_world_run(&world);
	qs_group_done(&inner);
}
END_TEST

START_TEST(those_that_have_run_longest_go_first_whatever_group_they_are_in)
{
	struct fake_task tasks[3];
	struct qs_group inner, other;
	char order[32] = "";

	qs_group_init(&inner, &world.context, &world.root);
	qs_group_init(&other, &world.context, &world.root);
	ck_assert_int_eq(fake_start(&tasks[0], &other, "a", QS_RUNG_ASK, patient), 0);
	ck_assert_int_eq(fake_start(&tasks[1], &inner, "b", QS_RUNG_ASK, patient), 0);
	ck_assert_int_eq(fake_start(&tasks[2], &other, "c", QS_RUNG_ASK, patient), 0);
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		tasks[i].order = order;
	qs_group_ask(&world.root, 1, QS_CAUSE_SHUTDOWN, QS_FOREVER);
	ck_assert_str_eq(order, "abc");
	fake_world_run(&world);
	qs_group_done(&inner);
	qs_group_done(&other);
}
END_TEST

START_TEST(only_the_stages_that_are_due_are_asked)
{
	struct fake_task early, late;
	struct qs_group first, second;

	qs_group_init(&first, &world.context, &world.root);
	qs_group_init(&second, &world.context, &world.root);
	second.stage = 1;
	ck_assert_int_eq(fake_start(&early, &first, "a", QS_RUNG_ASK, patient), 0);
	ck_assert_int_eq(fake_start(&late, &second, "b", QS_RUNG_ASK, patient), 0);
	qs_group_ask(&world.root, 1, QS_CAUSE_SHUTDOWN, QS_FOREVER);
	ck_assert_uint_eq(early.asks, 1);
	ck_assert_uint_eq(late.asks, 0);
	ck_assert_uint_eq(qs_group_live_in_stages(&world.root, 1), 1);
	ck_assert_uint_eq(qs_group_live_in_stages(&world.root, 2), 2);
	qs_group_ask(&world.root, 2, QS_CAUSE_SHUTDOWN, QS_FOREVER);
	fake_world_run(&world);
	qs_group_done(&first);
	qs_group_done(&second);
}
END_TEST

START_TEST(asked_with_all_others_it_is_cancelled_with_them_unless_its_own_ladder_is_faster)
{
	struct fake_task slow, quick, early, gone;
	uint64_t now = qs_loop_now(world.loop);

	ck_assert_int_eq(fake_start(&slow, &world.root, "a", QS_RUNG_CANCEL, patient), 0);
	ck_assert_int_eq(fake_start(&quick, &world.root, "b", QS_RUNG_CANCEL,
	                         (struct qs_ladder){ 2 * QS_SEC, QS_FOREVER }),
	        0);
	ck_assert_int_eq(fake_start(&early, &world.root, "c", QS_RUNG_CANCEL, patient), 0);
	ck_assert_int_eq(fake_start(&gone, &world.root, "d", QS_RUNG_ASK, patient), 0);
	qs_task_ask(&early.task, QS_CAUSE_API, now + 3 * QS_SEC);
	qs_group_ask(&world.root, 1, QS_CAUSE_SHUTDOWN, now + 9 * QS_SEC);
	ck_assert_uint_eq(qs_task_next_rung_at(&slow.task), now + 9 * QS_SEC);
	ck_assert_uint_eq(qs_task_next_rung_at(&quick.task), now + 2 * QS_SEC);
	qs_group_ask(&world.root, 1, QS_CAUSE_SHUTDOWN, now + 6 * QS_SEC);
	fake_world_run(&world);
	ck_assert_uint_eq(slow.ended_at - now, 6 * QS_SEC);
	ck_assert_uint_eq(quick.ended_at - now, 2 * QS_SEC);
	ck_assert_uint_eq(early.ended_at - now, 3 * QS_SEC);
	ck_assert_uint_eq(gone.ended_at - now, 0);
	ck_assert_uint_eq(gone.cancels, 0);
	ck_assert_int_eq(qs_loop_turn(world.loop, true), 0);
}
END_TEST

START_TEST(what_is_abandoned_is_counted_and_calls_nobody)
{
	struct fake_task task;
	struct qs_owner *owner;

	ck_assert_int_eq(qs_ledger_owner(world.ledger, "w", &owner), 0);
	ck_assert_int_eq(fake_start(&task, &world.root, "a", QS_RUNG_COUNT, patient), 0);
	qs_task_kill(&task.task, QS_CAUSE_SHUTDOWN);
	qs_group_abandon(&world.root);
	ck_assert_uint_eq(task.endings, 0);
	ck_assert_uint_eq(world.root.live, 0);
	qs_task_ask(&task.task, QS_CAUSE_API, QS_FOREVER);
	ck_assert_uint_eq(task.asks, 1);
	qs_timer_done(&task.end);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("task");
	TCase *tcase = tcase_create("task");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_task_that_ends_by_itself_has_finished);
	tcase_add_test(tcase, asked_twice_it_keeps_the_first_cause_and_is_asked_once);
	tcase_add_test(tcase, whoever_was_never_asked_is_asked_before_it_is_cancelled_or_killed);
	tcase_add_test(tcase, its_own_ladder_takes_it_from_ask_to_kill);
	tcase_add_test(tcase, an_earlier_deadline_counts_and_a_later_one_does_not);
	tcase_add_test(tcase, a_missed_heartbeat_is_a_failure_even_if_it_goes_quietly);
	tcase_add_test(tcase, a_closed_group_admits_nothing_and_nothing_is_counted);
	tcase_add_test(tcase, those_that_have_run_longest_go_first_whatever_group_they_are_in);
	tcase_add_test(tcase, only_the_stages_that_are_due_are_asked);
	tcase_add_test(tcase,
	        asked_with_all_others_it_is_cancelled_with_them_unless_its_own_ladder_is_faster);
	tcase_add_test(tcase, what_is_abandoned_is_counted_and_calls_nobody);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
