/* Fibers that are started for others: counted, described and watched by their keeper. */
#include <errno.h>
#include <stdio.h>

#include "tests/unit/fiber_world.h"

static struct qs_owner *owner;
static enum qs_verdict verdict;
static struct qs_outcome outcome;

static void set_up(void)
{
	world_open(true, 0);
	ck_assert_int_eq(qs_ledger_owner(world.ledger, "them", &owner), 0);
	order[0] = '\0';
	verdict = QS_VERDICT_NONE;
}

static void tear_down(void)
{
	world_close();
}

static void describe(const struct qs_task *task, char *buffer, size_t size, void *arg)
{
	ck_assert_ptr_nonnull(task->record);
	snprintf(buffer, size, "waits for %s", (const char *)arg);
}

static void pushed(struct qs_task *task, enum qs_rung rung, void *arg)
{
	ck_assert_int_eq(qs_task_rung(task), rung);
	ck_assert_str_eq(arg, "rain");
	note(qs_rung_name(rung));
	note(" ");
}

static void ended(struct qs_task *task, enum qs_verdict how, void *arg)
{
	ck_assert_str_eq(arg, "rain");
	verdict = how;
	outcome = task->result.outcome;
	note("over");
}

static const struct qs_fiber_keeper keeper = {
	.describe = describe, .pushed = pushed, .ended = ended
};

static int sleep_long(qs_task *self, void *arg)
{
	(void)arg;
	return qs_sleep(self, QS_FOREVER);
}

static int work_long(qs_task *self, void *arg)
{
	struct qs_wait wait = { .name = "work", .nature = QS_WAIT_IN_FLIGHT };

	(void)arg;
	return qs_fiber_wait(qs_fiber_of(self), &wait, QS_FOREVER);
}

static struct qs_task *start(qs_task_fn fn, struct qs_ladder ladder)
{
	static char rain[] = "rain";
	const struct qs_fiber_setup setup = {
		.name = "kept",
		.owner = owner,
		.ladder = ladder,
		.keeper = &keeper,
		.fn = fn,
		.arg = rain,
	};
	struct qs_task *task;

	ck_assert_int_eq(qs_fiber_start(&world.root, &setup, &task), 0);
	world_settle();
	return task;
}

static const struct qs_ladder patient = { QS_FOREVER, QS_FOREVER };

START_TEST(it_counts_for_its_owner_and_its_keeper_hears_of_the_end)
{
	struct qs_task *task = start(sleep_long, patient);

	ck_assert_uint_eq(atomic_load(&owner->started), 1);
	qs_task_ask(task, QS_CAUSE_API, QS_FOREVER);
	world_run();
	ck_assert_str_eq(order, "ask over");
	ck_assert_int_eq(verdict, QS_VERDICT_STOPPED);
	ck_assert_int_eq(outcome.value, -ESHUTDOWN);
	ck_assert_uint_eq(atomic_load(&owner->ended[QS_VERDICT_STOPPED]), 1);
}
END_TEST

START_TEST(its_own_ladder_pushes_it_on)
{
	struct qs_task *task = start(work_long, (struct qs_ladder){ QS_SEC, QS_SEC });

	qs_task_ask(task, QS_CAUSE_API, QS_FOREVER);
	world_run();
	ck_assert_str_eq(order, "ask cancel over");
	ck_assert_int_eq(verdict, QS_VERDICT_CANCELLED);
	ck_assert_uint_eq(world_now(), 2 * QS_SEC);
}
END_TEST

START_TEST(it_is_described_in_the_words_of_its_keeper)
{
	struct qs_task *task = start(sleep_long, patient);
	char text[64];

	task->kind->describe(task, text, sizeof(text));
	ck_assert_str_eq(text, "waits for rain");
	qs_task_kill(task, QS_CAUSE_API);
	world_run();
	ck_assert_str_eq(order, "ask cancel kill over");
	ck_assert_int_eq(verdict, QS_VERDICT_KILLED);
}
END_TEST

START_TEST(a_closed_group_admits_none)
{
	const struct qs_fiber_setup setup = {
		.name = "kept", .keeper = &keeper, .ladder = patient, .fn = sleep_long
	};
	struct qs_task *task;

	qs_group_close(&world.root);
	ck_assert_int_eq(qs_fiber_start(&world.root, &setup, &task), -ESHUTDOWN);
	ck_assert_uint_eq(world.fibers->count, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fiber_kept");
	TCase *kept = tcase_create("kept");

	tcase_add_checked_fixture(kept, set_up, tear_down);
	tcase_add_test(kept, it_counts_for_its_owner_and_its_keeper_hears_of_the_end);
	tcase_add_test(kept, its_own_ladder_pushes_it_on);
	tcase_add_test(kept, it_is_described_in_the_words_of_its_keeper);
	tcase_add_test(kept, a_closed_group_admits_none);
	suite_add_tcase(suite, kept);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
