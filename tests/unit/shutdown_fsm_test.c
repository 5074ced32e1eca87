/* The shutdown's table: every pair of state and event, then what it means in time. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/macro.h"
#include "lib/shutdown_fsm.h"

#define T0 (1000 * QS_SEC)

static const struct shutdown_plan plan = { .drain = 2 * QS_SEC,
	.deadline = 20 * QS_SEC,
	.cancel_grace = 3 * QS_SEC,
	.kill_grace = 1 * QS_SEC };

/* Two stages; the stop, where there was one, came at T0. Returns the time of the last step. */
static uint64_t reach(struct shutdown_fsm *fsm, enum fsm_state state)
{
	static const struct {
		enum fsm_event event;
		uint64_t after;
	} way[] = { { FSM_STOP, 0 }, { FSM_TIME, 2 * QS_SEC }, { FSM_STOP, 4 * QS_SEC },
		{ FSM_TIME, 7 * QS_SEC }, { FSM_ALL_EMPTY, 7 * QS_SEC } };
	uint64_t now = T0;

	fsm_init(fsm, &plan);
	if (state == FSM_DRAINED)
		ck_assert_int_ge(fsm_step(fsm, FSM_DRAIN, T0, 0), 0);
	for (size_t i = 0; fsm->state != state; i++) {
		ck_assert_uint_lt(i, ARRAY_SIZE(way));
		now = T0 + way[i].after;
		ck_assert_int_gt(fsm_step(fsm, way[i].event, now, 2), 0);
	}
	return now;
}

#define REFUSED                    \
	{                          \
		.actions = -EINVAL \
	}
#define STAYS                \
	{                    \
		.actions = 0 \
	}
#define GOES(state, what, wake)                             \
	{                                                   \
		FSM_##state, (what) | FSM_DO_ANNOUNCE, wake \
	}
#define LEAVES GOES(QUIESCED, FSM_DO_LEAVE, QS_FOREVER)

/* `actions` of 0 or below: the state stays. `wake` is after T0. */
static const struct expected {
	enum fsm_state state;
	int actions;
	uint64_t wake;
} expected[FSM_STATE_COUNT][FSM_EVENT_COUNT] = {
	[FSM_RUNNING] = {
		[FSM_STOP] = GOES(DRAINING, FSM_DO_HOLD, 2500 * QS_MSEC),
		[FSM_DRAIN] = GOES(DRAINED, FSM_DO_HOLD, QS_FOREVER),
		[FSM_RESUME] = STAYS, [FSM_TIME] = STAYS,
		[FSM_STAGE_EMPTY] = STAYS, [FSM_ALL_EMPTY] = STAYS,
	},
	[FSM_DRAINED] = {
		[FSM_STOP] = GOES(DRAINING, 0, 2500 * QS_MSEC),
		[FSM_DRAIN] = STAYS,
		[FSM_RESUME] = GOES(RUNNING, FSM_DO_ADMIT, QS_FOREVER),
		[FSM_TIME] = STAYS, [FSM_STAGE_EMPTY] = STAYS, [FSM_ALL_EMPTY] = STAYS,
	},
	[FSM_DRAINING] = {
		/* At 0.5 s: 19.5 s for two stages. At 2 s: 18 s. */
		[FSM_STOP] = GOES(STOPPING, FSM_DO_ASK, 10250 * QS_MSEC),
		[FSM_DRAIN] = REFUSED, [FSM_RESUME] = REFUSED,
		[FSM_TIME] = GOES(STOPPING, FSM_DO_ASK, 11 * QS_SEC),
		[FSM_STAGE_EMPTY] = STAYS, [FSM_ALL_EMPTY] = LEAVES,
	},
	[FSM_STOPPING] = {
		[FSM_STOP] = GOES(CANCELLING, FSM_DO_CANCEL, 5500 * QS_MSEC),
		[FSM_DRAIN] = REFUSED, [FSM_RESUME] = REFUSED,
		[FSM_TIME] = { FSM_STOPPING, FSM_DO_ASK, 20 * QS_SEC },
		[FSM_STAGE_EMPTY] = { FSM_STOPPING, FSM_DO_ASK, 20 * QS_SEC },
		[FSM_ALL_EMPTY] = LEAVES,
	},
	[FSM_CANCELLING] = {
		[FSM_STOP] = GOES(KILLING, FSM_DO_KILL, 5500 * QS_MSEC),
		[FSM_DRAIN] = REFUSED, [FSM_RESUME] = REFUSED,
		[FSM_TIME] = GOES(KILLING, FSM_DO_KILL, 8 * QS_SEC),
		[FSM_STAGE_EMPTY] = STAYS, [FSM_ALL_EMPTY] = LEAVES,
	},
	[FSM_KILLING] = {
		[FSM_STOP] = LEAVES,
		[FSM_DRAIN] = REFUSED, [FSM_RESUME] = REFUSED,
		[FSM_TIME] = LEAVES, [FSM_STAGE_EMPTY] = STAYS, [FSM_ALL_EMPTY] = LEAVES,
	},
	[FSM_QUIESCED] = {
		[FSM_STOP] = REFUSED, [FSM_DRAIN] = REFUSED, [FSM_RESUME] = REFUSED,
		[FSM_TIME] = STAYS, [FSM_STAGE_EMPTY] = STAYS, [FSM_ALL_EMPTY] = STAYS,
	},
};

START_TEST(every_pair_of_state_and_event_does_what_the_table_says)
{
	enum fsm_state state = (enum fsm_state)(_i / FSM_EVENT_COUNT);
	enum fsm_event event = (enum fsm_event)(_i % FSM_EVENT_COUNT);
	const struct expected *want = &expected[state][event];
	struct shutdown_fsm fsm;
	uint64_t now = reach(&fsm, state) + 500 * QS_MSEC;

	if (event == FSM_TIME && fsm.wake_at != QS_FOREVER)
		now = fsm.wake_at;
	struct shutdown_fsm before = fsm;
	int actions = fsm_step(&fsm, event, now, 2);
	ck_assert_msg(actions == want->actions, "%s on %s: actions %d", fsm_event_name(event),
	        fsm_state_name(state), actions);
	if (actions <= 0) {
		ck_assert_mem_eq(&fsm, &before, sizeof(fsm));
		return;
	}
	ck_assert_str_eq(fsm_state_name(fsm.state), fsm_state_name(want->state));
	ck_assert_uint_eq(fsm.wake_at, want->wake == QS_FOREVER ? QS_FOREVER : T0 + want->wake);
}
END_TEST

START_TEST(the_first_stop_from_a_drain_counts_from_the_stop)
{
	struct shutdown_fsm fsm;

	fsm_init(&fsm, &plan);
	ck_assert_int_eq(fsm_step(&fsm, FSM_DRAIN, T0, 0), FSM_DO_HOLD | FSM_DO_ANNOUNCE);
	ck_assert(!fsm_stopping(&fsm));
	ck_assert_uint_eq(fsm_leave_at(&fsm), QS_FOREVER);
	ck_assert_int_eq(fsm_step(&fsm, FSM_STOP, T0 + QS_HOUR, 1), FSM_DO_ANNOUNCE);
	ck_assert(fsm_stopping(&fsm));
	ck_assert_uint_eq(fsm.requested_at, T0 + QS_HOUR);
	ck_assert_uint_eq(fsm_cancel_at(&fsm), T0 + QS_HOUR + 20 * QS_SEC);
	ck_assert_uint_eq(fsm_leave_at(&fsm), T0 + QS_HOUR + 24 * QS_SEC);
}
END_TEST

START_TEST(time_before_it_is_due_does_nothing)
{
	for (int state = FSM_DRAINING; state < FSM_QUIESCED; state++) {
		struct shutdown_fsm fsm;

		reach(&fsm, (enum fsm_state)state);
		ck_assert_int_eq(fsm_step(&fsm, FSM_TIME, fsm.wake_at - 1, 0), 0);
		ck_assert_int_gt(fsm_step(&fsm, FSM_TIME, fsm.wake_at, 0), 0);
	}
}
END_TEST

/* Feeds the time for as long as the machine asks for it; returns how many steps that were. */
static unsigned run_time(struct shutdown_fsm *fsm, uint64_t now)
{
	unsigned steps = 0;

	while (fsm->wake_at <= now) {
		ck_assert_int_gt(fsm_step(fsm, FSM_TIME, now, 0), 0);
		ck_assert_uint_le(++steps, 10000);
	}
	return steps;
}

START_TEST(without_a_drain_the_first_stage_is_asked_in_the_same_moment)
{
	struct shutdown_fsm fsm;
	struct shutdown_plan quick = plan;

	quick.drain = 0;
	fsm_init(&fsm, &quick);
	ck_assert_int_eq(fsm_step(&fsm, FSM_STOP, T0, 1), FSM_DO_HOLD | FSM_DO_ANNOUNCE);
	ck_assert_int_eq(fsm_phase(&fsm), QS_PHASE_DRAINING);
	ck_assert_uint_eq(fsm.wake_at, T0);
	ck_assert_uint_eq(run_time(&fsm, T0), 1);
	ck_assert_int_eq(fsm_phase(&fsm), QS_PHASE_STOPPING);
	ck_assert_uint_eq(fsm.wake_at, T0 + 20 * QS_SEC);
}
END_TEST

START_TEST(a_plan_without_any_patience_announces_every_phase_and_leaves_at_once)
{
	struct shutdown_fsm fsm;

	fsm_init(&fsm, &(struct shutdown_plan){ 0 });
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, T0, 5), 0);
	for (int phase = QS_PHASE_STOPPING; phase <= QS_PHASE_QUIESCED; phase++) {
		int actions = fsm_step(&fsm, FSM_TIME, T0, 0);

		ck_assert_int_gt(actions, 0);
		ck_assert_int_ne(actions & FSM_DO_ANNOUNCE, 0);
		ck_assert_int_eq(fsm_phase(&fsm), phase);
	}
	ck_assert_uint_eq(fsm_leave_at(&fsm), T0);
}
END_TEST

START_TEST(a_drain_is_never_longer_than_the_deadline)
{
	struct shutdown_fsm fsm;
	struct shutdown_plan slow = plan;

	slow.drain = QS_HOUR;
	fsm_init(&fsm, &slow);
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, T0, 1), 0);
	ck_assert_uint_eq(fsm.wake_at, T0 + 20 * QS_SEC);
	ck_assert_uint_eq(run_time(&fsm, fsm.wake_at), 2);
	ck_assert_int_eq(fsm_phase(&fsm), QS_PHASE_CANCELLING);
}
END_TEST

START_TEST(each_stage_gets_its_part_of_what_is_left)
{
	struct shutdown_fsm fsm;
	struct shutdown_plan quick = plan;

	quick.drain = 0;
	fsm_init(&fsm, &quick);
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, T0, 4), 0);
	run_time(&fsm, T0);
	ck_assert_uint_eq(fsm.wake_at, T0 + 5 * QS_SEC); /* 20 s / 4 */
	ck_assert_int_eq(fsm_step(&fsm, FSM_STAGE_EMPTY, T0 + 2 * QS_SEC, 0), FSM_DO_ASK);
	ck_assert_uint_eq(fsm.asked_stages, 2);
	ck_assert_uint_eq(fsm.wake_at, T0 + 8 * QS_SEC); /* 18 s / 3 more */
	ck_assert_uint_eq(fsm.overdue_stages, 0);
	ck_assert_int_eq(fsm_step(&fsm, FSM_TIME, T0 + 8 * QS_SEC, 0), FSM_DO_ASK);
	ck_assert_uint_eq(fsm.overdue_stages, 1);
	ck_assert_uint_eq(fsm.wake_at, T0 + 14 * QS_SEC); /* 12 s / 2 more */
	ck_assert_int_eq(fsm_step(&fsm, FSM_STAGE_EMPTY, T0 + 14 * QS_SEC, 0), FSM_DO_ASK);
	ck_assert_uint_eq(fsm.wake_at, T0 + 20 * QS_SEC);
	ck_assert_int_eq(fsm_step(&fsm, FSM_STAGE_EMPTY, T0 + 15 * QS_SEC, 0), 0);
	ck_assert_uint_eq(run_time(&fsm, T0 + 20 * QS_SEC), 1);
	ck_assert_int_eq(fsm.state, FSM_CANCELLING);
	ck_assert_uint_eq(fsm.overdue_stages, 1);
}
END_TEST

START_TEST(the_end_does_not_move_when_a_step_comes_late)
{
	struct shutdown_fsm fsm;

	reach(&fsm, FSM_STOPPING);
	ck_assert_uint_eq(fsm_leave_at(&fsm), T0 + 24 * QS_SEC);
	run_time(&fsm, T0 + 21 * QS_SEC);
	ck_assert_int_eq(fsm.state, FSM_CANCELLING);
	ck_assert_uint_eq(fsm.wake_at, T0 + 23 * QS_SEC);
	ck_assert_uint_eq(fsm_leave_at(&fsm), T0 + 24 * QS_SEC);
	run_time(&fsm, T0 + 99 * QS_SEC);
	ck_assert_int_eq(fsm.state, FSM_QUIESCED);
	ck_assert_uint_eq(fsm_leave_at(&fsm), T0 + 24 * QS_SEC);
}
END_TEST

START_TEST(each_further_stop_moves_one_phase_on_and_the_end_nearer)
{
	struct shutdown_fsm fsm;
	uint64_t now = T0 + 100 * QS_MSEC;

	fsm_init(&fsm, &plan);
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, T0, 1), 0);
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, now, 1), 0);
	ck_assert_int_eq(fsm.state, FSM_STOPPING);
	ck_assert_uint_eq(fsm_leave_at(&fsm), T0 + 24 * QS_SEC);
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, now, 1), 0);
	ck_assert_int_eq(fsm.state, FSM_CANCELLING);
	ck_assert_uint_eq(fsm_cancel_at(&fsm), now);
	ck_assert_uint_eq(fsm_leave_at(&fsm), now + 4 * QS_SEC);
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, now, 1), 0);
	ck_assert_int_eq(fsm.state, FSM_KILLING);
	ck_assert_uint_eq(fsm_leave_at(&fsm), now + 1 * QS_SEC);
	ck_assert_int_eq(fsm_step(&fsm, FSM_STOP, now, 1), FSM_DO_LEAVE | FSM_DO_ANNOUNCE);
	ck_assert_int_eq(fsm.state, FSM_QUIESCED);
	ck_assert_uint_eq(fsm_leave_at(&fsm), now);
	ck_assert_int_eq(fsm_step(&fsm, FSM_STOP, now, 1), -EINVAL);
	ck_assert_uint_eq(fsm.requested_at, T0);
}
END_TEST

START_TEST(patience_without_end_never_wakes_up)
{
	struct shutdown_fsm fsm;
	struct shutdown_plan patient = { .deadline = QS_FOREVER };

	fsm_init(&fsm, &patient);
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, T0, 7), 0);
	ck_assert_uint_eq(run_time(&fsm, T0), 1);
	ck_assert_uint_eq(fsm.wake_at, QS_FOREVER);
	ck_assert_uint_eq(fsm_leave_at(&fsm), QS_FOREVER);
	ck_assert_int_eq(fsm_step(&fsm, FSM_STAGE_EMPTY, T0 + QS_HOUR, 0), FSM_DO_ASK);
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, T0 + QS_HOUR, 0), 0);
	ck_assert_uint_eq(fsm.wake_at, T0 + QS_HOUR);
}
END_TEST

START_TEST(no_stages_are_one_stage)
{
	struct shutdown_fsm fsm;

	fsm_init(&fsm, &plan);
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, T0, 0), 0);
	ck_assert_uint_eq(fsm.stages, 1);
	ck_assert_int_ge(fsm_step(&fsm, FSM_STOP, T0, 9), 0);
	ck_assert_uint_eq(fsm.stages, 1);
	ck_assert_uint_eq(fsm.asked_stages, 1);
}
END_TEST

START_TEST(every_state_and_event_has_a_name)
{
	for (int state = 0; state < FSM_STATE_COUNT; state++)
		ck_assert_str_ne(fsm_state_name((enum fsm_state)state), "?");
	for (int event = 0; event < FSM_EVENT_COUNT; event++)
		ck_assert_str_ne(fsm_event_name((enum fsm_event)event), "?");
	ck_assert_str_eq(fsm_state_name((enum fsm_state)FSM_STATE_COUNT), "?");
	ck_assert_str_eq(fsm_event_name((enum fsm_event)FSM_EVENT_COUNT), "?");
	ck_assert_str_eq(fsm_state_name(FSM_DRAINED), "drained");
	ck_assert_str_eq(fsm_event_name(FSM_STAGE_EMPTY), "stage-empty");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shutdown_fsm");
	TCase *table = tcase_create("table");
	TCase *time = tcase_create("time");

	tcase_add_loop_test(table, every_pair_of_state_and_event_does_what_the_table_says, 0,
	        FSM_STATE_COUNT * FSM_EVENT_COUNT);
	tcase_add_test(table, every_state_and_event_has_a_name);
	tcase_add_test(time, the_first_stop_from_a_drain_counts_from_the_stop);
	tcase_add_test(time, time_before_it_is_due_does_nothing);
	tcase_add_test(time, without_a_drain_the_first_stage_is_asked_in_the_same_moment);
	tcase_add_test(time, a_plan_without_any_patience_announces_every_phase_and_leaves_at_once);
	tcase_add_test(time, a_drain_is_never_longer_than_the_deadline);
	tcase_add_test(time, each_stage_gets_its_part_of_what_is_left);
	tcase_add_test(time, the_end_does_not_move_when_a_step_comes_late);
	tcase_add_test(time, each_further_stop_moves_one_phase_on_and_the_end_nearer);
	tcase_add_test(time, patience_without_end_never_wakes_up);
	tcase_add_test(time, no_stages_are_one_stage);
	suite_add_tcase(suite, table);
	suite_add_tcase(suite, time);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
