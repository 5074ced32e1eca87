/* The table of calls: found by their ids while they live, and kept afterwards, within bounds. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/call.h"
#include "daemon/calls.h"
#include "lib/ledger.h"
#include "lib/loop.h"

static struct qs_clock table_clock;
static struct qs_loop *loop;
static struct qs_ledger *ledger;
static struct qs_owner *owner, *other;
static struct calls calls;

static void set_up(void)
{
	qs_clock_init_virtual(&table_clock, QS_SEC);
	ck_assert_int_eq(qs_loop_new(&table_clock, &loop), 0);
	ck_assert_int_eq(qs_ledger_new(&ledger), 0);
	ck_assert_int_eq(qs_ledger_owner(ledger, "one", &owner), 0);
	ck_assert_int_eq(qs_ledger_owner(ledger, "other", &other), 0);
	ck_assert_int_eq(calls_init(&calls, loop), 0);
}

static void tear_down(void)
{
	calls_done(&calls);
	qs_ledger_free(ledger);
	qs_loop_free(loop);
}

static struct call *begin(uint64_t id)
{
	struct call *call = calloc(1, sizeof(*call));

	call->id = id;
	call->owner = owner;
	list_init(&call->in_callee);
	list_init(&call->in_calls);
	ck_assert_int_eq(calls_add(&calls, call), 0);
	return call;
}

/* Over now, with an answer of that size, and kept. */
static void keep(struct call *call, size_t size, const struct call_config *config)
{
	call->ended_at = qs_loop_now(loop);
	if (size > 0)
		call->result.body = call_body_new(calloc(1, size), size);
	calls_keep(&calls, call, config);
}

static void pass_until(uint64_t at)
{
	struct qs_timer timer;

	ck_assert_int_eq(qs_timer_init(loop, &timer, qs_timer_disarm), 0);
	qs_timer_arm(&timer, at);
	while (qs_timer_armed(&timer))
		(void)qs_loop_turn(loop, true);
	qs_timer_done(&timer);
}

static const struct call_config plenty = { .keep = 10 * QS_SEC, .keep_size = 1 << 20 };

START_TEST(each_is_found_by_its_id_however_many_there_are)
{
	enum { MANY = 5000 };

	for (uint64_t id = 1; id <= MANY; id++)
		(void)begin(id * 3);
	for (uint64_t id = 1; id <= 3 * MANY; id++) {
		const struct call *call = calls_find(&calls, id);

		ck_assert((call != NULL) == (id % 3 == 0));
		if (call)
			ck_assert_uint_eq(call->id, id);
	}
	for (uint64_t id = 1; id <= MANY; id++) {
		struct call *call = calls_find(&calls, id * 3);

		calls_remove(&calls, call);
		call_free(call);
	}
	ck_assert_uint_eq(calls.count, 0);
	ck_assert_ptr_null(calls_find(&calls, 3));
}
END_TEST

START_TEST(an_outcome_is_kept_for_its_time)
{
	keep(begin(1), 10, &plenty);
	pass_until(6 * QS_SEC);
	keep(begin(2), 10, &plenty);
	pass_until(10 * QS_SEC + 900 * QS_MSEC);
	ck_assert_ptr_nonnull(calls_find(&calls, 1));
	pass_until(11 * QS_SEC + 1);
	ck_assert_ptr_null(calls_find(&calls, 1));
	ck_assert_ptr_nonnull(calls_find(&calls, 2));
	pass_until(16 * QS_SEC + 1);
	ck_assert_uint_eq(calls.count, 0);
}
END_TEST

START_TEST(with_too_many_bytes_the_oldest_goes_first)
{
	const struct call_config little = { .keep = QS_SEC,
		.keep_size = 2 * sizeof(struct call) + 2500 };

	keep(begin(1), 1000, &little);
	keep(begin(2), 1000, &little);
	ck_assert_ptr_nonnull(calls_find(&calls, 1));
	keep(begin(3), 1000, &little);
	ck_assert_ptr_null(calls_find(&calls, 1));
	ck_assert_ptr_nonnull(calls_find(&calls, 2));
	ck_assert_ptr_nonnull(calls_find(&calls, 3));
}
END_TEST

START_TEST(an_answer_that_alone_is_too_large_is_let_go_of)
{
	const struct call_config little = { .keep = QS_SEC, .keep_size = 1000 };
	const struct call *call;

	keep(begin(1), 5000, &little);
	call = calls_find(&calls, 1);
	ck_assert_ptr_nonnull(call);
	ck_assert_ptr_null(call->result.body);
	ck_assert(call->let_body_go);
}
END_TEST

START_TEST(so_many_are_kept_and_no_more)
{
	const struct call_config endless = { .keep = QS_FOREVER, .keep_size = SIZE_MAX };

	for (uint64_t id = 1; id <= CALLS_KEPT_MAX + 5; id++)
		keep(begin(id), 0, &endless);
	ck_assert_uint_eq(calls.count, CALLS_KEPT_MAX);
	ck_assert_ptr_null(calls_find(&calls, 5));
	ck_assert_ptr_nonnull(calls_find(&calls, 6));
}
END_TEST

START_TEST(one_worker_takes_nothing_from_another)
{
	const struct call_config little = { .keep = QS_SEC, .keep_size = sizeof(struct call) };
	struct call *call = begin(1);

	call->owner = other;
	keep(call, 0, &little);
	keep(begin(2), 0, &little);
	keep(begin(3), 0, &little);
	ck_assert_ptr_nonnull(calls_find(&calls, 1));
	ck_assert_ptr_null(calls_find(&calls, 2));
	ck_assert_ptr_nonnull(calls_find(&calls, 3));
	calls_forget(&calls, call);
	ck_assert_ptr_null(calls_find(&calls, 1));
	ck_assert_ptr_nonnull(calls_find(&calls, 3));
}
END_TEST

START_TEST(kept_for_no_time_is_not_kept)
{
	const struct call_config none = { .keep = 0, .keep_size = 1 << 20 };

	keep(begin(1), 10, &none);
	ck_assert_uint_eq(calls.count, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("call_table");
	TCase *table = tcase_create("table");

	tcase_add_checked_fixture(table, set_up, tear_down);
	tcase_add_test(table, each_is_found_by_its_id_however_many_there_are);
	tcase_add_test(table, an_outcome_is_kept_for_its_time);
	tcase_add_test(table, with_too_many_bytes_the_oldest_goes_first);
	tcase_add_test(table, an_answer_that_alone_is_too_large_is_let_go_of);
	tcase_add_test(table, so_many_are_kept_and_no_more);
	tcase_add_test(table, one_worker_takes_nothing_from_another);
	tcase_add_test(table, kept_for_no_time_is_not_kept);
	suite_add_tcase(suite, table);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
