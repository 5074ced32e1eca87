/*
 * Every order of the steps of set, register, unregister, poll, dispatch and free, by the code of
 * the library itself. What must hold: who sets first wins, and alone; who is told that it is set
 * sees it set, with its reason; a callback runs once, or was taken back and never runs; a
 * descriptor ends up readable; nothing hangs.
 */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/stop.h>

#include "lib/macro.h"
#include "tests/sim/model.h"

static const struct qs_stop_reason one = {
	.cause = QS_CAUSE_API, .detail = "one", .at = 1, .deadline = 11
};
static const struct qs_stop_reason two = {
	.cause = QS_CAUSE_RELOAD, .detail = "two", .at = 2, .deadline = 22
};

static qs_stop *root, *leaf;
static int wins, ran, taken_back, set_before_poll;
static bool removed, called_now;
static int64_t id;

static void set_up(void)
{
	wins = ran = taken_back = set_before_poll = 0;
	removed = called_now = false;
	id = 0;
	leaf = NULL;
	model_hold(qs_stop_new(NULL, &root) == 0 && qs_stop_new(root, &leaf) == 0, "no event");
}

static bool is_whole(const struct qs_stop_reason *reason)
{
	if (reason->cause == QS_CAUSE_SHUTDOWN)
		return strcmp(reason->detail, "signal SIGTERM") == 0 && reason->at > 2;
	return memcmp(reason, reason->cause == QS_CAUSE_API ? &one : &two, sizeof(one)) == 0;
}

/* Who has set it, or was told that it is set, sees it so. */
static void see_it_set(qs_stop *stop)
{
	struct qs_stop_reason reason;

	model_hold(qs_stop_is_set(stop), "it is not set after a set");
	model_hold(qs_stop_get_reason(stop, &reason) == 0, "it is set without a reason");
	model_hold(is_whole(&reason), "half a reason was read");
}

static void set_root(void)
{
	wins += qs_stop_set(root, &one);
	see_it_set(root);
	see_it_set(leaf);
}

static void set_root_too(void)
{
	wins += qs_stop_set(root, &two);
	see_it_set(root);
}

static void set_leaf(void)
{
	(void)qs_stop_set(leaf, &two);
	see_it_set(leaf);
}

static void signal_root(void)
{
	if (qs_stop_set_from_signal(root, QS_CAUSE_SHUTDOWN, SIGTERM) == 0)
		return;
	wins++;
	see_it_set(root);
}

static void signal_leaf(void)
{
	(void)qs_stop_set_from_signal(leaf, QS_CAUSE_SHUTDOWN, SIGTERM);
}

static void poll_leaf(void)
{
	struct qs_stop_reason reason;

	for (int i = 0; i < 2; i++) {
		bool set = qs_stop_is_set(leaf);

		model_hold(set || !set_before_poll, "it was set and is not any more");
		set_before_poll |= set;
		if (set) {
			model_hold(qs_stop_get_reason(leaf, &reason) == 0, "set without a reason");
			model_hold(is_whole(&reason), "half a reason was read");
		}
	}
}

/* --- callbacks --- */

static void called(qs_stop *stop, void *arg)
{
	(void)stop;
	(void)arg;
	model_hold(!removed, "a callback runs that was taken back");
	called_now = true;
	model_pause();
	ran++;
	called_now = false;
	model_hold(!removed, "a callback went on after it was taken back");
}

static void called_and_frees(qs_stop *stop, void *arg)
{
	called(stop, arg);
	qs_stop_free(stop);
}

static void dispatch(void)
{
	while (model_wait_readable(qs_stop_wake_fd(root)))
		qs_stop_dispatch(root);
}

static void add(void)
{
	id = qs_stop_add_callback(leaf, called, NULL);
}

static void add_and_remove(void)
{
	add();
	taken_back = qs_stop_remove_callback(leaf, id);
	removed = true;
	model_hold(!called_now, "it was taken back while it ran");
	model_hold(!taken_back || ran == 0, "it was taken back and has run");
}

static void set_up_with_callback(void)
{
	set_up();
	add();
}

static void set_up_that_frees(void)
{
	set_up();
	id = qs_stop_add_callback(leaf, called_and_frees, NULL);
}

static void remove_it(void)
{
	taken_back = qs_stop_remove_callback(leaf, id);
	removed = true;
	model_hold(!called_now, "it was taken back while it ran");
	model_hold(taken_back ? ran == 0 : ran == 1, "taken back or run: one of both");
}

static void free_leaf(void)
{
	qs_stop_free(leaf);
	removed = true;
	model_hold(!called_now, "the event was freed while its callback ran");
}

/* --- two events beside each other --- */

static qs_stop *other;

static void set_up_two(void)
{
	set_up_with_callback();
	model_hold(qs_stop_new(root, &other) == 0, "no event");
	model_hold(qs_stop_add_callback(other, called, NULL) > 0, "no callback");
}

static void signal_other(void)
{
	(void)qs_stop_set_from_signal(other, QS_CAUSE_SHUTDOWN, SIGTERM);
}

static void both_ran(void)
{
	model_hold(ran == 2, "not both callbacks ran once");
	see_it_set(leaf);
	see_it_set(other);
	model_hold(!qs_stop_is_set(root), "a set went up the tree");
}

/* --- descriptors and new events --- */

static int leaf_fd;

static void ask_fd(void)
{
	leaf_fd = qs_stop_fd(leaf);
}

static qs_stop *late;

static void make_one_below(void)
{
	model_hold(qs_stop_new(leaf, &late) == 0, "no event");
	model_hold(qs_stop_add_callback(late, called, NULL) > 0, "no callback");
}

/* --- the ends --- */

static void one_has_won(void)
{
	model_hold(wins == 1, "not one has won");
	see_it_set(leaf);
}

static void all_is_set(void)
{
	see_it_set(leaf);
}

static void it_ran_once(void)
{
	model_hold(ran == 1, "the callback did not run once");
	model_hold(qs_stop_is_set(leaf), "it is not set");
}

static void it_ran_or_was_taken_back(void)
{
	model_hold(ran + taken_back == 1, "taken back or run: one of both");
}

static void it_ran_at_most_once(void)
{
	model_hold(ran <= 1, "the callback ran twice");
}

static void it_is_readable(void)
{
	model_hold(model_is_readable(leaf_fd), "the descriptor is not readable");
}

static void new_one_is_set(void)
{
	see_it_set(late);
	model_hold(ran == 1, "the callback of a new event did not run once");
}

static const struct model_scenario scenarios[] = {
	{ "set, set", set_up, { set_root, set_root_too }, one_has_won },
	{ "set, signal", set_up, { set_root, signal_root }, one_has_won },
	{ "signal, signal", set_up, { signal_root, signal_root }, one_has_won },
	{ "set, set, poll", set_up, { set_root, set_root_too, poll_leaf }, one_has_won },
	{ "set, signal, poll", set_up, { set_root, signal_root, poll_leaf }, one_has_won },
	{ "set, signal below, poll", set_up, { set_root, signal_leaf, poll_leaf }, all_is_set },
	{ "set, set below, poll", set_up, { set_root, set_leaf, poll_leaf }, all_is_set },
	{ "register, set, dispatch", set_up, { add, set_root, dispatch }, it_ran_once },
	{ "register, signal, dispatch", set_up, { add, signal_root, dispatch }, it_ran_once },
	{ "register, signal below, dispatch", set_up, { add, signal_leaf, dispatch }, it_ran_once },
	{ "set, signal below, dispatch", set_up_with_callback, { set_root, signal_leaf, dispatch },
	        it_ran_once },
	{ "set, signal, dispatch", set_up_with_callback, { set_root, signal_root, dispatch },
	        it_ran_once },
	{ "unregister, set, dispatch", set_up_with_callback, { remove_it, set_root, dispatch },
	        it_ran_or_was_taken_back },
	{ "unregister, signal, dispatch", set_up_with_callback,
	        { remove_it, signal_root, dispatch }, it_ran_or_was_taken_back },
	{ "register, unregister, set, dispatch", set_up, { add_and_remove, set_root, dispatch },
	        it_ran_or_was_taken_back },
	{ "free, set, dispatch", set_up_with_callback, { free_leaf, set_root, dispatch },
	        it_ran_at_most_once },
	{ "free, signal, dispatch", set_up_with_callback, { free_leaf, signal_root, dispatch },
	        it_ran_at_most_once },
	{ "freed in its callback", set_up_that_frees, { set_root, signal_root, dispatch },
	        it_ran_at_most_once },
	{ "signal here, signal there, dispatch", set_up_two,
	        { signal_leaf, signal_other, dispatch }, both_ran },
	{ "set here, signal there, dispatch", set_up_two, { set_leaf, signal_other, dispatch },
	        both_ran },
	{ "descriptor, set, dispatch", set_up, { ask_fd, set_root, dispatch }, it_is_readable },
	{ "descriptor, signal, dispatch", set_up, { ask_fd, signal_root, dispatch },
	        it_is_readable },
	{ "new below, set, dispatch", set_up, { make_one_below, set_root, dispatch },
	        new_one_is_set },
	{ "new below, signal, dispatch", set_up, { make_one_below, signal_root, dispatch },
	        new_one_is_set },
};

START_TEST(no_order_of_steps_breaks_the_stop_event)
{
	const struct model_scenario *scenario = &scenarios[_i];
	struct model_outcome outcome;

	model_explore(scenario, &outcome);
	ck_assert_msg(!outcome.broken[0], "%s: %s", scenario->name, outcome.broken);
	/* One order only would mean that the steps are not seen. */
	ck_assert_msg(outcome.runs > 2, "%s: %" PRIu64 " orders", scenario->name, outcome.runs);
	fprintf(stderr, "%-38s %8" PRIu64 " orders, %10" PRIu64 " steps\n", scenario->name,
	        outcome.runs, outcome.steps);
}
END_TEST

/* --- the checker itself: a mistake that only one order shows is found --- */

static int balance, done;

static void zero(void)
{
	balance = done = 0;
}

static void increment(void)
{
	model_access(&balance, false);
	int was = balance;
	model_access(&balance, true);
	balance = was + 1;
}

static void both_count(void)
{
	model_hold(balance == 2, "an increment was lost");
}

START_TEST(an_update_that_is_lost_is_found)
{
	static const struct model_scenario scenario = { "lost", zero, { increment, increment },
		both_count };
	struct model_outcome outcome;

	model_explore(&scenario, &outcome);
	ck_assert_str_ne(outcome.broken, "");
}
END_TEST

static void wait_for_nothing(void)
{
	static const int mutex;

	model_lock(&mutex);
}

static void nothing(void)
{
}

START_TEST(a_lock_that_is_never_given_back_is_found)
{
	static const struct model_scenario scenario = { "stuck", zero,
		{ wait_for_nothing, wait_for_nothing }, nothing };
	struct model_outcome outcome;

	model_explore(&scenario, &outcome);
	ck_assert_ptr_nonnull(strstr(outcome.broken, "all wait for ever"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stop_model");
	TCase *checker = tcase_create("checker"), *orders = tcase_create("orders");

	tcase_add_test(checker, an_update_that_is_lost_is_found);
	tcase_add_test(checker, a_lock_that_is_never_given_back_is_found);
	suite_add_tcase(suite, checker);
	tcase_set_timeout(orders, 300);
	tcase_add_loop_test(
	        orders, no_order_of_steps_breaks_the_stop_event, 0, (int)ARRAY_SIZE(scenarios));
	suite_add_tcase(suite, orders);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
