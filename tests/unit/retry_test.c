/* What is tried again, when, and why not: pure, so that all of it is exact. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include <quiesce/clock.h>

#include "lib/macro.h"
#include "lib/retry.h"

#define NOW (100 * QS_SEC)

static struct qs_random draw;
static uint64_t at;

/* One that may be tried ten times. */
static struct qs_retry_plan plan_of_ten(void)
{
	return qs_retry_plan_of(&(struct qs_retry_plan){ .attempts = 10 });
}

static enum qs_retry decide(struct qs_retry_plan plan, struct qs_retry_attempt attempt)
{
	if (attempt.number == 0)
		attempt.number = 1;
	if (attempt.deadline == 0)
		attempt.deadline = QS_FOREVER;
	attempt.now = NOW;
	return qs_retry_decide(&plan, &attempt, NULL, &draw, &at);
}

static void set_up(void)
{
	draw = (struct qs_random){ .state = 42 };
	at = 0;
}

START_TEST(idempotent_is_what_may_be_done_twice)
{
	ck_assert(qs_retry_is_idempotent(NULL));
	ck_assert(qs_retry_is_idempotent("GET"));
	ck_assert(qs_retry_is_idempotent("HEAD"));
	ck_assert(qs_retry_is_idempotent("PUT"));
	ck_assert(qs_retry_is_idempotent("DELETE"));
	ck_assert(qs_retry_is_idempotent("OPTIONS"));
	ck_assert(qs_retry_is_idempotent("TRACE"));
	ck_assert(!qs_retry_is_idempotent("POST"));
	ck_assert(!qs_retry_is_idempotent("PATCH"));
	ck_assert(!qs_retry_is_idempotent("get"));
	ck_assert(!qs_retry_is_idempotent(""));
}
END_TEST

/* For each error: a GET, a POST of which nothing was sent, a POST that may have been received. */
static const struct {
	int error;
	enum qs_retry get, unsent, sent;
} errors[] = {
	{ -EHOSTUNREACH, QS_RETRY_AGAIN, QS_RETRY_AGAIN, QS_RETRY_AGAIN },
	{ -ECONNREFUSED, QS_RETRY_AGAIN, QS_RETRY_AGAIN, QS_RETRY_AGAIN },
	{ -EPROTO, QS_RETRY_AGAIN, QS_RETRY_AGAIN, QS_RETRY_AGAIN },
	{ -EMFILE, QS_RETRY_AGAIN, QS_RETRY_AGAIN, QS_RETRY_AGAIN },
	{ -ECONNRESET, QS_RETRY_AGAIN, QS_RETRY_AGAIN, QS_RETRY_UNSAFE },
	{ -ETIME, QS_RETRY_AGAIN, QS_RETRY_AGAIN, QS_RETRY_UNSAFE },
	{ -EKEYREJECTED, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS },
	{ -EMSGSIZE, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS },
	{ -ELOOP, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS },
	{ -EINVAL, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS },
	{ -EPROTONOSUPPORT, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS },
	{ -EBADMSG, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS },
	{ -EPERM, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS },
	{ -ENOMEM, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS },
	{ -EIO, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS },
	{ -ECANCELED, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS, QS_RETRY_HOPELESS },
};

START_TEST(an_error_is_tried_again_where_it_helps_and_does_no_harm)
{
	int error = errors[_i].error;
	struct qs_retry_plan plan = plan_of_ten();

	ck_assert_int_eq(decide(plan,
	                         (struct qs_retry_attempt){
	                                 .error = error, .idempotent = true, .sent_any = true }),
	        errors[_i].get);
	ck_assert_int_eq(
	        decide(plan, (struct qs_retry_attempt){ .error = error }), errors[_i].unsent);
	ck_assert_int_eq(
	        decide(plan, (struct qs_retry_attempt){ .error = error, .sent_any = true }),
	        errors[_i].sent);
	/* Who says that it may be done twice is believed. */
	plan.unsafe = true;
	ck_assert_int_eq(
	        decide(plan, (struct qs_retry_attempt){ .error = error, .sent_any = true }),
	        errors[_i].get);
}
END_TEST

START_TEST(the_usual_statuses_are_those_that_may_pass)
{
	static const int passing[] = { 408, 425, 429, 500, 502, 503, 504 };
	unsigned count = 0;

	for (int status = 100; status < 600; status++)
		if (decide(plan_of_ten(), (struct qs_retry_attempt){ .status = status,
		                                  .idempotent = true }) == QS_RETRY_AGAIN)
			ck_assert_int_eq(status, passing[count++]);
	ck_assert_uint_eq(count, ARRAY_SIZE(passing));
}
END_TEST

START_TEST(what_was_received_and_may_not_be_done_twice_is_only_repeated_when_turned_away)
{
	for (int status = 100; status < 600; status++) {
		enum qs_retry use = decide(plan_of_ten(),
		        (struct qs_retry_attempt){
		                .status = status, .sent_any = true, .retry_after = QS_SEC });

		ck_assert_int_eq(use == QS_RETRY_AGAIN, status == 429);
		if (status == 503)
			ck_assert_int_eq(use, QS_RETRY_UNSAFE);
	}
}
END_TEST

START_TEST(statuses_of_the_plan_take_the_place_of_the_usual_ones)
{
	static const int statuses[] = { 404, 0 };
	struct qs_retry_plan plan = plan_of_ten();

	plan.statuses = statuses;
	ck_assert_int_eq(
	        decide(plan, (struct qs_retry_attempt){ .status = 404, .idempotent = true }),
	        QS_RETRY_AGAIN);
	ck_assert_int_eq(
	        decide(plan, (struct qs_retry_attempt){ .status = 503, .idempotent = true }),
	        QS_RETRY_ANSWERED);
	ck_assert_int_eq(
	        decide(plan, (struct qs_retry_attempt){ .status = 429 }), QS_RETRY_ANSWERED);
}
END_TEST

START_TEST(attempts_are_counted_from_one)
{
	struct qs_retry_attempt attempt = { .status = 503, .idempotent = true, .number = 9 };

	ck_assert_int_eq(decide(plan_of_ten(), attempt), QS_RETRY_AGAIN);
	attempt.number = 10;
	ck_assert_int_eq(decide(plan_of_ten(), attempt), QS_RETRY_EXHAUSTED);
	attempt.number = 1;
	ck_assert_int_eq(decide(qs_retry_plan_of(&(struct qs_retry_plan){ 0 }), attempt),
	        QS_RETRY_EXHAUSTED);
}
END_TEST

/* 500 ms, doubled each time, never more than 30 s; from the whole of that. */
START_TEST(a_back_off_is_drawn_from_its_whole_range)
{
	static const unsigned bounds[] = { 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000 };
	uint64_t bound = bounds[_i] * QS_MSEC, least = QS_FOREVER, most = 0;

	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_int_eq(decide(plan_of_ten(), (struct qs_retry_attempt){ .status = 503,
		                                               .idempotent = true,
		                                               .number = (unsigned)_i + 1 }),
		        QS_RETRY_AGAIN);
		least = MIN(least, at - NOW);
		most = MAX(most, at - NOW);
	}
	ck_assert_uint_le(most, bound);
	ck_assert_uint_gt(most, bound / 100 * 98);
	ck_assert_uint_lt(least, bound / 50);
}
END_TEST

START_TEST(a_server_that_names_a_time_is_not_asked_earlier)
{
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_int_eq(decide(plan_of_ten(), (struct qs_retry_attempt){ .status = 429,
		                                               .number = 7,
		                                               .retry_after = 5 * QS_SEC }),
		        QS_RETRY_AGAIN);
		ck_assert_uint_ge(at, NOW + 5 * QS_SEC);
		ck_assert_uint_le(at, NOW + 5 * QS_SEC + 500 * QS_MSEC);
	}
}
END_TEST

START_TEST(a_server_that_asks_for_too_much_gets_no_other_attempt)
{
	struct qs_retry_attempt attempt = { .status = 429, .retry_after = 10 * QS_MIN };

	ck_assert_int_eq(decide(plan_of_ten(), attempt), QS_RETRY_AGAIN);
	attempt.retry_after++;
	ck_assert_int_eq(decide(plan_of_ten(), attempt), QS_RETRY_TOO_LATE);
	attempt.retry_after = QS_FOREVER;
	ck_assert_int_eq(decide(plan_of_ten(), attempt), QS_RETRY_TOO_LATE);
}
END_TEST

START_TEST(nobody_sleeps_until_a_deadline_in_vain)
{
	struct qs_retry_attempt attempt = {
		.status = 429, .retry_after = 5 * QS_SEC, .deadline = NOW + 5 * QS_SEC
	};

	ck_assert_int_eq(decide(plan_of_ten(), attempt), QS_RETRY_TOO_LATE);
	ck_assert_uint_eq(at, 0);
	/* There is just time enough, though not for any jitter. */
	attempt.deadline++;
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_int_eq(decide(plan_of_ten(), attempt), QS_RETRY_AGAIN);
		ck_assert_uint_lt(at, attempt.deadline);
	}
}
END_TEST

START_TEST(a_back_off_beyond_the_deadline_is_not_begun)
{
	struct qs_retry_attempt attempt = {
		.status = 503, .idempotent = true, .number = 7, .deadline = NOW + 15 * QS_SEC
	};
	unsigned again = 0, late = 0;

	for (unsigned i = 0; i < 1000; i++) {
		enum qs_retry use = decide(plan_of_ten(), attempt);

		again += use == QS_RETRY_AGAIN;
		late += use == QS_RETRY_TOO_LATE;
	}
	ck_assert_uint_eq(again + late, 1000);
	ck_assert(again > 400 && again < 600);
}
END_TEST

/* --- the budget --- */

static unsigned take_all(struct qs_retry_budget *budget, uint64_t now)
{
	unsigned count = 0;

	while (count < 100000 && qs_retry_budget_take(budget, now))
		count++;
	return count;
}

START_TEST(a_budget_is_a_share_of_the_calls_and_never_less_than_ten_a_minute)
{
	struct qs_retry_budget budget;

	qs_retry_budget_init(&budget, 20);
	ck_assert_uint_eq(take_all(&budget, NOW), 10);
	qs_retry_budget_init(&budget, 20);
	for (unsigned i = 0; i < 1000; i++)
		qs_retry_budget_call(&budget, NOW + i);
	ck_assert_uint_eq(take_all(&budget, NOW), 200);
	ck_assert_uint_eq(take_all(&budget, NOW + 59 * QS_SEC), 0);
}
END_TEST

START_TEST(a_minute_later_the_budget_is_there_again)
{
	struct qs_retry_budget budget;

	qs_retry_budget_init(&budget, 20);
	for (unsigned i = 0; i < 1000; i++)
		qs_retry_budget_call(&budget, NOW);
	ck_assert_uint_eq(take_all(&budget, NOW), 200);
	/* The calls are gone with the retries. */
	ck_assert_uint_eq(take_all(&budget, NOW + 60 * QS_SEC), 10);
	ck_assert_uint_eq(take_all(&budget, NOW + 1000 * QS_HOUR), 10);
}
END_TEST

START_TEST(a_storm_dies_down_to_its_share)
{
	struct qs_retry_budget budget;
	unsigned retries = 0;

	qs_retry_budget_init(&budget, 20);
	for (unsigned i = 0; i < 60000; i++) {
		qs_retry_budget_call(&budget, NOW + i * 10 * QS_MSEC);
		while (qs_retry_budget_take(&budget, NOW + i * 10 * QS_MSEC))
			retries++;
	}
	ck_assert_uint_ge(retries, 11500);
	ck_assert_uint_le(retries, 12500);
}
END_TEST

START_TEST(a_budget_that_is_off_is_no_limit)
{
	struct qs_retry_budget budget;

	qs_retry_budget_init(&budget, QS_GATE_BUDGET_OFF);
	ck_assert_uint_eq(take_all(&budget, NOW), 100000);
}
END_TEST

START_TEST(only_what_is_tried_again_is_taken_from_the_budget)
{
	struct qs_retry_plan plan = plan_of_ten();
	struct qs_retry_attempt attempt = { .number = 1, .status = 200, .deadline = QS_FOREVER };
	struct qs_retry_budget budget;

	qs_retry_budget_init(&budget, 20);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_eq(
		        qs_retry_decide(&plan, &attempt, &budget, &draw, &at), QS_RETRY_ANSWERED);
	attempt.status = 429;
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(
		        qs_retry_decide(&plan, &attempt, &budget, &draw, &at), QS_RETRY_AGAIN);
	ck_assert_int_eq(qs_retry_decide(&plan, &attempt, &budget, &draw, &at), QS_RETRY_BUDGET);
}
END_TEST

static TCase *decisions(void)
{
	TCase *cases = tcase_create("decisions");

	tcase_add_checked_fixture(cases, set_up, NULL);
	tcase_add_test(cases, idempotent_is_what_may_be_done_twice);
	tcase_add_loop_test(cases, an_error_is_tried_again_where_it_helps_and_does_no_harm, 0,
	        ARRAY_SIZE(errors));
	tcase_add_test(cases, the_usual_statuses_are_those_that_may_pass);
	tcase_add_test(cases,
	        what_was_received_and_may_not_be_done_twice_is_only_repeated_when_turned_away);
	tcase_add_test(cases, statuses_of_the_plan_take_the_place_of_the_usual_ones);
	tcase_add_test(cases, attempts_are_counted_from_one);
	tcase_add_loop_test(cases, a_back_off_is_drawn_from_its_whole_range, 0, 8);
	tcase_add_test(cases, a_server_that_names_a_time_is_not_asked_earlier);
	tcase_add_test(cases, a_server_that_asks_for_too_much_gets_no_other_attempt);
	tcase_add_test(cases, nobody_sleeps_until_a_deadline_in_vain);
	tcase_add_test(cases, a_back_off_beyond_the_deadline_is_not_begun);
	return cases;
}

static TCase *budgets(void)
{
	TCase *cases = tcase_create("budget");

	tcase_add_checked_fixture(cases, set_up, NULL);
	tcase_add_test(cases, a_budget_is_a_share_of_the_calls_and_never_less_than_ten_a_minute);
	tcase_add_test(cases, a_minute_later_the_budget_is_there_again);
	tcase_add_test(cases, a_storm_dies_down_to_its_share);
	tcase_add_test(cases, a_budget_that_is_off_is_no_limit);
	tcase_add_test(cases, only_what_is_tried_again_is_taken_from_the_budget);
	return cases;
}

int main(void)
{
	Suite *suite = suite_create("retry");

	suite_add_tcase(suite, decisions());
	suite_add_tcase(suite, budgets());
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
