/* Groups around fibers: owned by them, with a deadline, with a policy; and failures that nobody
 * reads. */
#include <errno.h>

#include "tests/unit/fiber_world.h"

static void set_up(void)
{
	world_open(true, 0);
}

static void tear_down(void)
{
	world_close();
}

static qs_group *new_group(qs_group *parent, const struct qs_group_options *options)
{
	qs_group *group;

	ck_assert_int_eq(qs_group_new(parent, options, &group), 0);
	return group;
}

static int return_arg(qs_task *self, void *arg)
{
	(void)self;
	return *(int *)arg;
}

static int sleep_until_stopped(qs_task *self, void *arg)
{
	unsigned *naps = arg;

	while (!qs_stopping(self)) {
		++*naps;
		(void)qs_sleep(self, qs_in(self, QS_SEC));
	}
	return 0;
}

/* --- a fiber that owns groups --- */

struct nursery {
	unsigned children, naps;
	bool wait_in_parent;
	qs_task_fn child;
};

static int child_that_winds_down(qs_task *self, void *arg)
{
	(void)arg;
	(void)qs_sleep(self, qs_in(self, QS_HOUR));
	uint64_t outer = qs_shield_begin(self, QS_FOREVER);
	(void)qs_sleep(self, world_now() + QS_SEC);
	qs_shield_end(self, outer);
	note("c");
	return 0;
}

static int parent(qs_task *self, void *arg)
{
	const struct nursery *nursery = arg;
	qs_group *group = new_group(qs_task_group(self), NULL);

	ck_assert_int_eq(qs_defer(self, note_arg, letter('p')), 0);
	for (unsigned i = 0; i < nursery->children; i++)
		world_send_off(group, nursery->child, NULL);
	if (nursery->wait_in_parent)
		return qs_sleep(self, qs_in(self, 10 * QS_SEC));
	return qs_yield(self);
}

START_TEST(it_does_not_end_before_the_tasks_of_its_groups)
{
	struct nursery nursery = { .children = 3, .child = child_that_winds_down };
	uint64_t began = world_now();
	qs_task *task = world_spawn(&world.root, parent, &nursery);

	order[0] = '\0';
	world_run();
	ck_assert_str_eq(order, "cccp");
	ck_assert_uint_eq(world_now(), began + QS_SEC);
	ck_assert_int_eq(world_result(task).verdict, QS_VERDICT_FINISHED);
}
END_TEST

static int clean_up_slowly(qs_task *self, void *arg)
{
	uint64_t outer = qs_shield_begin(self, QS_FOREVER);

	(void)arg;
	(void)qs_sleep(self, qs_in(self, QS_SEC));
	qs_shield_end(self, outer);
	note("c");
	return 0;
}

static void clean_up_in_a_group(void *arg)
{
	(void)arg;
	world_send_off(new_group(&world.root, NULL), clean_up_slowly, NULL);
}

static int defer_a_group(qs_task *self, void *arg)
{
	(void)arg;
	ck_assert_int_eq(qs_defer(self, note_arg, letter('a')), 0);
	return qs_defer(self, clean_up_in_a_group, NULL);
}

/* The fiber ended before it, and the group was left with a list that pointed into a free stack. */
START_TEST(a_group_that_a_clean_up_makes_is_waited_for_too)
{
	qs_task *task = world_spawn(&world.root, defer_a_group, NULL);
	int dummy = 0;

	order[0] = '\0';
	world_settle();
	ck_assert_int_eq(qs_task_result(task, &(struct qs_result){ 0 }), -EINPROGRESS);
	world_run();
	ck_assert_str_eq(order, "ac");
	ck_assert_uint_eq(world_result(task).verdict, QS_VERDICT_FINISHED);
	world_send_off(&world.root, return_arg, &dummy);
	world_run();
	ck_assert(list_empty(&world.root.groups));
}
END_TEST

START_TEST(asked_alone_it_passes_the_ask_on_to_its_groups)
{
	struct nursery nursery = {
		.children = 2, .wait_in_parent = true, .child = child_that_winds_down
	};
	uint64_t began = world_now();
	qs_task *task = world_spawn(&world.root, parent, &nursery);

	order[0] = '\0';
	world_settle();
	qs_task_ask(task, QS_CAUSE_API, QS_FOREVER);
	world_run();
	ck_assert_str_eq(order, "ccp");
	ck_assert_uint_eq(world_now(), began + QS_SEC);
	ck_assert_int_eq(world_result(task).verdict, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(killed_it_takes_its_groups_along_and_cleans_up_after_them)
{
	struct nursery nursery = {
		.children = 2, .wait_in_parent = true, .child = child_that_winds_down
	};
	qs_task *task = world_spawn(&world.root, parent, &nursery);

	order[0] = '\0';
	world_settle();
	ck_assert_uint_eq(world.root.live, 3);
	qs_task_kill(task, QS_CAUSE_API);
	world_run();
	ck_assert_str_eq(order, "p");
	ck_assert_int_eq(world_result(task).verdict, QS_VERDICT_KILLED);
}
END_TEST

START_TEST(killed_while_it_leaves_its_groups_it_goes_with_them)
{
	struct nursery nursery = { .children = 2, .child = child_that_winds_down };
	qs_task *task = world_spawn(&world.root, parent, &nursery);

	order[0] = '\0';
	world_settle();
	ck_assert_uint_eq(world.root.live, 3);
	qs_task_kill(task, QS_CAUSE_API);
	world_run();
	ck_assert_str_eq(order, "p");
	qs_task_forget(task);
}
END_TEST

/* --- policies and failures --- */

static int fail_later(qs_task *self, void *arg)
{
	(void)qs_sleep(self, qs_in(self, QS_SEC));
	return *(int *)arg;
}

static int hang(qs_task *self, void *arg)
{
	(void)arg;
	while (qs_sleep(self, qs_in(self, QS_HOUR)) != -ECANCELED)
		(void)qs_yield(self);
	return -ECANCELED;
}

START_TEST(when_one_fails_the_rest_is_cancelled_if_the_group_says_so)
{
	const struct qs_group_options options = { .on_failure = QS_ON_FAILURE_CANCEL };
	qs_group *group = new_group(&world.root, &options), *below = new_group(group, NULL);
	uint64_t began = world_now();
	int failure = -EIO;
	qs_task *hanging = world_spawn(group, hang, NULL), *deep = world_spawn(below, hang, NULL);
	struct qs_failure first;
	qs_task *late;

	world_send_off(group, fail_later, &failure);
	world_run();
	ck_assert_uint_eq(world_now(), began + QS_SEC);
	ck_assert_int_eq(world_result(hanging).verdict, QS_VERDICT_CANCELLED);
	ck_assert_int_eq(world_result(deep).verdict, QS_VERDICT_CANCELLED);
	ck_assert_int_eq(qs_spawn_fiber(group, NULL, hang, NULL, &late), -ESHUTDOWN);
	ck_assert_int_eq(qs_group_next_failure(group, &first), 1);
	ck_assert_str_eq(first.name, "sent off");
	ck_assert_int_eq(first.result.outcome.value, -EIO);
	ck_assert_int_eq(qs_group_next_failure(group, &first), 0);
	qs_group_free(below);
	qs_group_free(group);
	ck_assert_uint_eq(world.reports, 0);
}
END_TEST

START_TEST(when_one_fails_the_rest_carries_on_by_default)
{
	qs_group *group = new_group(&world.root, NULL);
	int failure = -EIO, success = 0;
	qs_task *other = world_spawn(group, fail_later, &success);

	world_send_off(group, fail_later, &failure);
	world_run();
	ck_assert_int_eq(world_result(other).verdict, QS_VERDICT_FINISHED);
	qs_group_free(group);
}
END_TEST

START_TEST(a_failure_that_nobody_reads_is_reported_when_the_group_ends)
{
	qs_group *group = new_group(&world.root, NULL);
	int failure = -EBADF;

	world_send_off(group, return_arg, &failure);
	qs_task *unread = world_spawn(group, return_arg, &failure);
	qs_task *read = world_spawn(group, return_arg, &failure);
	world_run();
	ck_assert_uint_eq(world.reports, 0);
	(void)world_result(read);
	(void)unread;
	qs_group_free(group);
	ck_assert_uint_eq(world.reports, 2);
	ck_assert_str_eq(world.report.name, "fiber");
	ck_assert_int_eq(world.report.result.outcome.value, -EBADF);
}
END_TEST

START_TEST(in_the_root_a_failure_that_nobody_can_read_is_reported_at_once)
{
	int failure = -EBADF;

	world_send_off(&world.root, return_arg, &failure);
	world_run();
	ck_assert_uint_eq(world.reports, 1);
	qs_task *task = world_spawn(&world.root, return_arg, &failure);
	world_run();
	ck_assert_uint_eq(world.reports, 1);
	qs_task_forget(task);
	ck_assert_uint_eq(world.reports, 2);
}
END_TEST

START_TEST(of_a_great_many_failures_the_oldest_are_reported_early)
{
	qs_group *group = new_group(&world.root, NULL);
	int failure = -EBADF;

	for (int i = 0; i < QS_FAILURES_KEPT + 5; i++)
		world_send_off(group, return_arg, &failure);
	world_run();
	ck_assert_uint_eq(world.reports, 5);
	qs_group_free(group);
	ck_assert_uint_eq(world.reports, QS_FAILURES_KEPT + 5);
}
END_TEST

static int join_failing_group(qs_task *self, void *arg)
{
	struct qs_failure failure;
	qs_group *group = new_group(qs_task_group(self), NULL);

	world_send_off(group, fail_later, arg);
	ck_assert_int_eq(qs_group_join(self, qs_task_group(self), QS_FOREVER, NULL), -EDEADLK);
	ck_assert_int_eq(qs_group_join(self, group, QS_FOREVER, &failure), 1);
	return failure.result.outcome.value;
}

START_TEST(joining_a_group_tells_the_first_failure)
{
	int failure = -ENOSPC;
	qs_task *task = world_spawn(&world.root, join_failing_group, &failure);

	world_run();
	ck_assert_int_eq(world_result(task).outcome.value, -ENOSPC);
	ck_assert_uint_eq(world.reports, 0);
}
END_TEST

/* --- groups --- */

static qs_group *joined;

static int let_go_and_fail(qs_task *self, void *arg)
{
	(void)arg;
	ck_assert_int_eq(qs_yield(self), 0);
	qs_group_free(joined);
	return -EIO;
}

static int join_one_let_go(qs_task *self, void *arg)
{
	struct qs_failure failure;

	joined = new_group(qs_task_group(self), NULL);
	world_send_off(joined, let_go_and_fail, NULL);
	*(int *)arg = qs_group_join(self, joined, QS_FOREVER, &failure);
	ck_assert_int_eq(failure.result.outcome.value, -EIO);
	return 0;
}

/* It looked into the group that had gone with its last task. */
START_TEST(a_group_may_be_let_go_of_while_it_is_joined)
{
	int result = 0;

	world_send_off(&world.root, join_one_let_go, &result);
	world_run();
	ck_assert_int_eq(result, 1);
}
END_TEST

static int join_itself_and_one_twice(qs_task *self, void *arg)
{
	qs_task **handle = arg, *twice[2];
	unsigned naps = 0;

	ck_assert_int_eq(qs_task_join(self, *handle, QS_FOREVER, NULL), -EDEADLK);
	twice[0] = twice[1] = world_spawn(&world.root, sleep_until_stopped, &naps);
	ck_assert_int_eq(qs_join_first(self, twice, 2, QS_FOREVER, NULL), -EINVAL);
	qs_task_ask(twice[0], QS_CAUSE_API, QS_FOREVER);
	twice[1] = NULL;
	ck_assert_int_eq(qs_join_first(self, twice, 2, QS_FOREVER, NULL), 0);
	return 0;
}

START_TEST(nobody_joins_itself_nor_anybody_twice)
{
	qs_task *task = world_spawn(&world.root, join_itself_and_one_twice, &task);

	world_run();
	ck_assert_uint_eq(world_result(task).verdict, QS_VERDICT_FINISHED);
}
END_TEST

START_TEST(a_group_that_is_let_go_of_stops_its_tasks_and_goes_with_the_last)
{
	qs_group *group = new_group(&world.root, NULL), *below = new_group(group, NULL);
	unsigned naps = 0;

	world_send_off(group, sleep_until_stopped, &naps);
	world_send_off(below, sleep_until_stopped, &naps);
	world_settle();
	qs_group_free(group);
	qs_group_free(below);
	ck_assert(!list_empty(&world.root.groups));
	world_run();
	ck_assert(list_empty(&world.root.groups));
}
END_TEST

START_TEST(the_earliest_of_nested_deadlines_counts)
{
	const struct qs_group_options early = { .deadline = 3 * QS_SEC },
	                              late = { .deadline = 9 * QS_SEC };
	qs_group *outer = new_group(&world.root, &early), *inner = new_group(outer, &late);
	qs_task *task = world_spawn(inner, hang, NULL);
	qs_task *other = world_spawn(new_group(&world.root, &late), hang, NULL);

	ck_assert_uint_eq(qs_group_deadline(inner), 3 * QS_SEC);
	while (inner->live > 0)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_eq(world_now(), 3 * QS_SEC);
	ck_assert_int_eq(world_result(task).verdict, QS_VERDICT_CANCELLED);
	world_run();
	ck_assert_uint_eq(world_now(), 9 * QS_SEC);
	qs_group_free(qs_task_group(other));
	qs_group_free(inner);
	qs_group_free(outer);
}
END_TEST

START_TEST(abandoned_fibers_are_dropped_without_a_word)
{
	struct nursery nursery = {
		.children = 2, .wait_in_parent = true, .child = child_that_winds_down
	};

	order[0] = '\0';
	world_send_off(&world.root, parent, &nursery);
	world_settle();
	qs_group_abandon(&world.root);
	world_settle();
	ck_assert_str_eq(order, "");
	ck_assert(list_empty(&world.root.groups));
	qs_fibers_free(world.fibers);
	ck_assert_int_eq(
	        qs_fibers_new(&world.context, &(struct qs_fibers_options){ 0 }, &world.fibers), 0);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_group_that_a_clean_up_makes_is_waited_for_too);
	tcase_add_test(tcase, it_does_not_end_before_the_tasks_of_its_groups);
	tcase_add_test(tcase, asked_alone_it_passes_the_ask_on_to_its_groups);
	tcase_add_test(tcase, killed_it_takes_its_groups_along_and_cleans_up_after_them);
	tcase_add_test(tcase, killed_while_it_leaves_its_groups_it_goes_with_them);
	tcase_add_test(tcase, when_one_fails_the_rest_is_cancelled_if_the_group_says_so);
	tcase_add_test(tcase, when_one_fails_the_rest_carries_on_by_default);
	tcase_add_test(tcase, a_failure_that_nobody_reads_is_reported_when_the_group_ends);
	tcase_add_test(tcase, in_the_root_a_failure_that_nobody_can_read_is_reported_at_once);
	tcase_add_test(tcase, of_a_great_many_failures_the_oldest_are_reported_early);
	tcase_add_test(tcase, joining_a_group_tells_the_first_failure);
	tcase_add_test(tcase, a_group_may_be_let_go_of_while_it_is_joined);
	tcase_add_test(tcase, nobody_joins_itself_nor_anybody_twice);
	tcase_add_test(tcase, a_group_that_is_let_go_of_stops_its_tasks_and_goes_with_the_last);
	tcase_add_test(tcase, the_earliest_of_nested_deadlines_counts);
	tcase_add_test(tcase, abandoned_fibers_are_dropped_without_a_word);
}

int main(void)
{
	Suite *suite = suite_create("fiber_groups");
	TCase *tcase = tcase_create("groups");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
