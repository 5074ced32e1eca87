/* How supervisors begin and end, alone and in trees, by themselves and by force. */
#include <quiesce/sim.h>

#include "tests/unit/supervisor_scene.h"

/* --- the beginning --- */

static int cannot_start(qs_task *self, qs_group *group, const struct qs_task_options *options,
        void *arg, qs_task **ret_task)
{
	(void)self, (void)group, (void)options, (void)ret_task;
	return *(int *)arg;
}

START_TEST(a_partial_start_rolls_back_in_reverse_order)
{
	struct worker a = { .runs_for = NEVER }, b = { .runs_for = NEVER, .dawdles = 3 * QS_SEC };
	int error = -EADDRINUSE;
	const struct qs_child children[] = {
		{ .name = "a", .fiber = work, .arg = &a },
		{ .name = "b", .fiber = work, .arg = &b },
		{ .name = "c", .start = cannot_start, .arg = &error },
		{ .name = "d", .fiber = work, .arg = &a },
	};
	struct qs_supervision plan = { children, 4, QS_ONE_FOR_ONE, { 0 }, { 0 } };

	run_for(&plan, QS_HOUR);
	ck_assert_str_eq(scene.line, "+a+b!c-b-a");
	ck_assert_int_eq(scene.error, -EADDRINUSE);
	ck_assert_int_eq(scene.result.outcome.value, -EADDRINUSE);
	ck_assert_int_eq(scene.result.verdict, QS_VERDICT_FAILED);
}
END_TEST

/* Ready after a second; until then it can be stopped. */
static int slow_start(qs_task *self, qs_group *group, const struct qs_task_options *options,
        void *arg, qs_task **ret_task)
{
	int r = qs_sleep(self, qs_in(self, QS_SEC));

	return r < 0 ? r : qs_spawn_fiber(group, options, work, arg, ret_task);
}

START_TEST(a_stop_in_the_middle_of_the_start_rolls_back)
{
	struct worker a = { .runs_for = NEVER };
	const struct qs_child children[] = {
		{ .name = "a", .start = slow_start, .arg = &a },
		{ .name = "b", .start = slow_start, .arg = &a },
		{ .name = "c", .start = slow_start, .arg = &a },
	};
	struct qs_supervision plan = { children, 3, QS_ONE_FOR_ONE, { 0 }, { 0 } };

	run_for(&plan, QS_SEC * 3 / 2);
	ck_assert_str_eq(scene.line, "+a-a");
	ck_assert_int_eq(scene.result.verdict, QS_VERDICT_STOPPED);
	ck_assert_uint_eq(scene.ended_at, scene.asked_at);
}
END_TEST

static unsigned attempts;

/* Starts the first time, then fails twice, then starts. */
static int moody_start(qs_task *self, qs_group *group, const struct qs_task_options *options,
        void *arg, qs_task **ret_task)
{
	(void)self;
	attempts++;
	return attempts == 2 || attempts == 3 ? -EAGAIN
	                                      : qs_spawn_fiber(group, options, work, arg, ret_task);
}

START_TEST(a_restart_that_fails_is_tried_again)
{
	struct worker a = { QS_SEC, -EIO, 1, 0, 0, 0 }, b = { .runs_for = NEVER };
	const struct qs_child children[] = {
		{ .name = "a", .start = moody_start, .arg = &a },
		{ .name = "b", .fiber = work, .arg = &b },
	};
	struct qs_supervision plan = { children, 2, QS_REST_FOR_ONE, { .count = 3 }, { 0 } };

	attempts = 0;
	run_for(&plan, QS_HOUR);
	ck_assert_str_eq(scene.line, "+a+b-a-b+a+b-b-a");
	ck_assert_uint_eq(attempts, 4);
	attempts = 0;
	a.runs = 0;
	plan.intensity.count = 2;
	run_for(&plan, QS_HOUR);
	ck_assert_str_eq(scene.line, "+a+b-a-b!a");
}
END_TEST

/* Ends by itself, once. */
static int count_down(qs_task *self, void *arg, unsigned why)
{
	unsigned *runs = arg;

	if (why & QS_STEP_STOP)
		return -ESHUTDOWN;
	if (why & QS_STEP_FIRST)
		qs_step_again(self, (*runs)++ == 0 ? qs_in(self, QS_SEC) : NEVER);
	return why & QS_STEP_TIMER ? -EIO : QS_STEP_WAIT;
}

START_TEST(steps_are_children_too)
{
	unsigned runs = 0;
	const struct qs_child children[] = { { .name = "s", .step = count_down, .arg = &runs } };
	struct qs_supervision plan = { children, 1, QS_ONE_FOR_ONE, { 0 }, { 0 } };

	run_for(&plan, QS_HOUR);
	ck_assert_str_eq(scene.line, "+s-s+s-s");
	ck_assert_uint_eq(runs, 2);
}
END_TEST

START_TEST(a_child_without_a_function_is_refused)
{
	const struct qs_child children[] = { { .name = "nothing" } };
	struct qs_supervision plan = { children, 1, QS_ONE_FOR_ONE, { 0 }, { 0 } };

	run_for(&plan, QS_HOUR);
	ck_assert_str_eq(scene.line, "");
	ck_assert_int_eq(scene.result.outcome.value, -EINVAL);
}
END_TEST

static int start_nothing(qs_task *self, qs_group *group, const struct qs_task_options *options,
        void *arg, qs_task **ret_task)
{
	(void)self;
	(void)group;
	(void)options;
	(void)arg;
	(void)ret_task;
	return 0;
}

START_TEST(a_start_that_gives_out_no_handle_is_refused)
{
	const struct qs_child children[] = { { .name = "nothing", .start = start_nothing } };
	struct qs_supervision plan = { children, 1, QS_ONE_FOR_ONE, { 0 }, { 0 } };

	run_for(&plan, QS_HOUR);
	ck_assert_int_eq(scene.result.outcome.value, -EINVAL);
}
END_TEST

/* --- the end --- */

static void shut_down(qs_task *supervisor)
{
	(void)supervisor;
	ck_assert_int_eq(qs_shutdown(scene.runtime, "test"), 0);
}

/* Each that is asked takes a second: nobody before it is asked until that is over. */
static void check_order(void (*act)(qs_task *supervisor), uint64_t seed)
{
	struct worker workers[3];
	struct qs_child children[3];
	struct qs_supervision plan = { .children = children, .count = 3 };

	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "a", "b", "c" };

		workers[i] = (struct worker){ .runs_for = NEVER, .dawdles = QS_SEC };
		children[i] =
		        (struct qs_child){ .name = names[i], .fiber = work, .arg = &workers[i] };
	}
	open_scene(seed);
	ck_assert_int_eq(run_scene(&plan, &(struct play){ .lasts = QS_MIN, .act = act }), 0);
	ck_assert_str_eq(scene.line, "+a+b+c-c-b-a");
	ck_assert_uint_eq(workers[2].asked_at, scene.asked_at);
	ck_assert_uint_eq(workers[1].asked_at, scene.asked_at + QS_SEC);
	ck_assert_uint_eq(workers[0].asked_at, scene.asked_at + 2 * QS_SEC);
	ck_assert_uint_eq(scene.ended_at, scene.asked_at + 3 * QS_SEC);
}

START_TEST(stop_is_in_reverse_order_whoever_asks)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		check_order(ask, seed);
		check_order(shut_down, seed);
	}
}
END_TEST

static void cancel(qs_task *supervisor)
{
	qs_task_cancel(supervisor, QS_CAUSE_API);
}

static void kill_it(qs_task *supervisor)
{
	qs_task_kill(supervisor, QS_CAUSE_API);
}

static void check_force(void (*act)(qs_task *supervisor), enum qs_verdict verdict)
{
	struct worker a = { .runs_for = NEVER, .dawdles = QS_HOUR };
	const struct qs_child children[] = {
		{ .name = "a", .fiber = work, .arg = &a, .cancel_grace = QS_SEC },
		{ .name = "b", .fiber = ignore, .cancel_grace = QS_SEC },
	};
	struct qs_supervision plan = { children, 2, QS_ONE_FOR_ONE, { 0 }, { 0 } };

	open_scene(0);
	(void)run_scene(&plan, &(struct play){ .lasts = QS_SEC, .act = act });
	ck_assert_int_eq(scene.result.verdict, verdict);
	ck_assert_uint_eq(count("+a"), 1);
	ck_assert_uint_eq(count("-a"), 1);
	ck_assert_uint_eq(count("+b"), 1);
	ck_assert_uint_eq(count("-b"), 1);
	ck_assert_uint_eq(count("!"), 0);
	ck_assert_uint_le(scene.ended_at, scene.asked_at + QS_SEC);
}

START_TEST(hooks_run_once_when_it_is_cancelled_or_killed)
{
	check_force(cancel, QS_VERDICT_CANCELLED);
	check_force(kill_it, QS_VERDICT_KILLED);
}
END_TEST

START_TEST(a_child_that_does_not_end_is_forced_by_its_own_ladder)
{
	struct worker a = { .runs_for = NEVER };
	const struct qs_child children[] = {
		{ .name = "a", .fiber = work, .arg = &a },
		{ .name = "b",
		        .fiber = ignore,
		        .stop_deadline = 5 * QS_SEC,
		        .cancel_grace = QS_SEC },
	};
	struct qs_supervision plan = { children, 2, QS_ONE_FOR_ONE, { 0 }, { 0 } };

	run_for(&plan, QS_MIN);
	ck_assert_str_eq(scene.line, "+a+b-b-a");
	ck_assert_uint_eq(scene.ended_at, scene.asked_at + 6 * QS_SEC);
	ck_assert_int_eq(scene.result.verdict, QS_VERDICT_STOPPED);
}
END_TEST

static int bring_a_friend(qs_task *self, void *arg)
{
	ck_assert_int_eq(qs_spawn_fiber(qs_task_group(self), NULL, work, arg, NULL), 0);
	return qs_sleep(self, NEVER);
}

START_TEST(what_children_put_beside_them_ends_with_it)
{
	struct worker friend = { .runs_for = NEVER };
	const struct qs_child children[] = {
		{ .name = "a", .fiber = bring_a_friend, .arg = &friend }
	};
	struct qs_supervision plan = { children, 1, QS_ONE_FOR_ONE, { 0 }, { 0 } };

	run_for(&plan, QS_MIN);
	ck_assert_str_eq(scene.line, "+a-a");
	ck_assert_uint_eq(friend.asked_at, scene.asked_at);
	ck_assert_uint_eq(scene.ended_at, scene.asked_at);
}
END_TEST

/* --- where nothing is admitted --- */

static int hold(qs_task *self, void *arg)
{
	(void)arg;
	qs_group_close(qs_root(scene.runtime));
	ck_assert_int_eq(qs_sleep(self, qs_in(self, QS_MIN)), 0);
	note('|', "");
	qs_group_open(qs_root(scene.runtime));
	return 0;
}

START_TEST(restarts_are_held_while_nothing_is_admitted)
{
	struct worker a = { QS_SEC, -EIO, 1, 0, 0, 0 };
	const struct qs_child children[] = { { .name = "a", .fiber = work, .arg = &a } };
	struct qs_supervision plan = { children, 1, QS_ONE_FOR_ONE, { .count = 1 }, { 0 } };
	const struct qs_task_options options = { .name = "holder" };

	open_scene(0);
	plan.hooks = hooks;
	ck_assert_int_eq(
	        qs_spawn_fiber(qs_root(scene.runtime), &options, qs_supervise, &plan, NULL), 0);
	ck_assert_int_eq(qs_spawn_fiber(qs_root(scene.runtime), NULL, hold, NULL, NULL), 0);
	ck_assert_int_eq(qs_run(scene.runtime), -EDEADLK);
	ck_assert_str_eq(scene.line, "+a-a|+a");
	ck_assert_int_eq(qs_shutdown(scene.runtime, "test"), 0);
	ck_assert_int_eq(qs_run(scene.runtime), 0);
	ck_assert_str_eq(scene.line, "+a-a|+a-a");
	qs_runtime_free(scene.runtime);
}
END_TEST

/* --- trees --- */

START_TEST(supervisors_nest)
{
	struct worker x = { .runs_for = NEVER }, y = { .runs_for = NEVER, .dawdles = QS_SEC };
	const struct qs_child leaves[] = {
		{ .name = "x", .fiber = work, .arg = &x },
		{ .name = "y", .fiber = work, .arg = &y },
	};
	struct qs_supervision inner = { leaves, 2, QS_ONE_FOR_ALL, { 0 }, hooks };
	struct worker a = { .runs_for = NEVER }, z = { .runs_for = NEVER };
	const struct qs_child children[] = {
		{ .name = "a", .fiber = work, .arg = &a },
		{ .name = "in", .fiber = qs_supervise, .arg = &inner },
		{ .name = "z", .fiber = work, .arg = &z },
	};
	struct qs_supervision outer = { children, 3, QS_ONE_FOR_ONE, { 0 }, { 0 } };

	open_scene(0);
	ck_assert_int_eq(
	        run_scene(&outer, &(struct play){ .lasts = QS_HOUR, .act = shut_down }), 0);
	ck_assert_str_eq(scene.line, "+a+in+z+x+y-z-y-x-in-a");
}
END_TEST

/* The inner one gives up; the outer one restarts it, and gives up in its turn. */
START_TEST(a_supervisor_that_gives_up_is_restarted_by_its_own)
{
	struct worker x = { QS_SEC, -EIO, 99, 0, 0, 0 };
	const struct qs_child leaves[] = { { .name = "x", .fiber = work, .arg = &x } };
	struct qs_supervision inner = { leaves, 1, QS_ONE_FOR_ONE, { .count = 1 }, hooks };
	const struct qs_child children[] = {
		{ .name = "in", .fiber = qs_supervise, .arg = &inner }
	};
	struct qs_supervision outer = { children, 1, QS_ONE_FOR_ONE, { .count = 1 }, { 0 } };

	run_for(&outer, QS_HOUR);
	ck_assert_str_eq(scene.line, "+in+x-x+x-x!x-in+in+x-x+x-x!x-in!in");
	ck_assert_int_eq(scene.result.outcome.value, -EDQUOT);
}
END_TEST

/* --- without memory --- */

static int set_up_tree(qs_runtime *runtime, void *arg)
{
	const struct qs_task_options options = { .name = "supervisor" };

	return qs_spawn_fiber(qs_root(runtime), &options, qs_supervise, arg, NULL);
}

START_TEST(each_refused_allocation_ends_well_too)
{
	struct worker x = { .runs_for = QS_SEC, .result = -EIO, .times = 1 };
	struct worker a = { .runs_for = NEVER };
	const struct qs_child leaves[] = { { .name = "x", .fiber = work, .arg = &x } };
	struct qs_supervision inner = { .children = leaves, .count = 1 };
	const struct qs_child children[] = {
		{ .name = "a", .fiber = work, .arg = &a },
		{ .name = "in", .fiber = qs_supervise, .arg = &inner },
	};
	struct qs_supervision outer = {
		.children = children, .count = 2, .strategy = QS_ONE_FOR_ALL, .hooks = hooks
	};
	struct qs_sim_result result;
	uint64_t chances = 1; /* known once nothing was refused */

	for (uint64_t n = 0; n <= chances; n++) {
		const struct qs_sim_options options = { .fail_at = n, .stop_at = 7 };

		memset(&scene, 0, sizeof(scene));
		x.runs = 0;
		int r = qs_sim_run(&options, set_up_tree, &outer, &result);
		ck_assert_msg(r == 0 || (r < 0 && result.refused == 1), "refused %lu: %d", n, r);
		ck_assert_int_eq(result.memory_left, 0);
		ck_assert_uint_eq(count("+"), count("-"));
		if (n > 0)
			continue;
		ck_assert_int_eq(result.status, 0);
		chances = result.chances;
	}
	ck_assert_uint_gt(chances, 10);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("supervisor_ends");
	TCase *starts = tcase_create("starts");
	TCase *ends = tcase_create("ends");
	TCase *closed = tcase_create("closed");
	TCase *trees = tcase_create("trees");

	tcase_add_test(starts, a_partial_start_rolls_back_in_reverse_order);
	tcase_add_test(starts, a_stop_in_the_middle_of_the_start_rolls_back);
	tcase_add_test(starts, a_restart_that_fails_is_tried_again);
	tcase_add_test(starts, steps_are_children_too);
	tcase_add_test(starts, a_child_without_a_function_is_refused);
	tcase_add_test(starts, a_start_that_gives_out_no_handle_is_refused);
	suite_add_tcase(s, starts);
	tcase_add_test(ends, stop_is_in_reverse_order_whoever_asks);
	tcase_add_test(ends, hooks_run_once_when_it_is_cancelled_or_killed);
	tcase_add_test(ends, a_child_that_does_not_end_is_forced_by_its_own_ladder);
	tcase_add_test(ends, what_children_put_beside_them_ends_with_it);
	suite_add_tcase(s, ends);
	tcase_add_test(closed, restarts_are_held_while_nothing_is_admitted);
	suite_add_tcase(s, closed);
	tcase_add_test(trees, supervisors_nest);
	tcase_add_test(trees, each_refused_allocation_ends_well_too);
	tcase_add_test(trees, a_supervisor_that_gives_up_is_restarted_by_its_own);
	suite_add_tcase(s, trees);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
