/*
 * What the report says: what it covers, how it is ordered, how it adds up on each path out, and
 * that it is written without an allocation.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/report_fixture.h"

static double ms_at(const json_t *object, const char *key)
{
	ck_assert(json_is_number(at(object, key)));
	return json_number_value(at(object, key));
}

static bool null_at(const json_t *object, const char *key)
{
	return json_is_null(at(object, key));
}

static void assert_keys(const json_t *object, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(json_object_get(object, keys[i]), "no %s", keys[i]);
	ck_assert_uint_eq(json_object_size(object), count);
}

START_TEST(it_has_the_designed_fields_and_no_others)
{
	static const char *const keys[] = { "version", "invocation_id", "pid", "started_at",
		"unclean", "reason", "requested_at", "duration_ms", "exit_status", "phases",
		"counts", "tasks", "tasks_omitted", "totals" };
	static const char *const task_keys[] = { "id", "name", "worker", "kind", "verdict", "cause",
		"rung", "asked_ms", "ended_ms", "stop_lag_ms", "waiting_on", "detail" };
	static const char *const verdicts[] = { "finished", "failed", "stopped", "cancelled",
		"killed", "abandoned" };
	struct qs_record *task = open_task("w", QS_KIND_PROCESS, T0 - 1);

	request();
	ask(task, QS_RUNG_ASK, T0);
	end(task, QS_VERDICT_STOPPED, T0 + QS_MSEC);
	leave(T0 + QS_MSEC);
	json_t *json = write_and_read();
	assert_keys(json, keys, ARRAY_SIZE(keys));
	assert_keys(json_array_get(at(json, "tasks"), 0), task_keys, ARRAY_SIZE(task_keys));
	assert_keys(at(json, "counts"), verdicts, ARRAY_SIZE(verdicts));
	ck_assert_uint_eq(json_object_size(at(at(json, "totals"), "w")), ARRAY_SIZE(verdicts) + 1);
	ck_assert_int_eq(count_at(json, "version"), 1);
	ck_assert_int_eq(count_at(json, "pid"), 4711);
	ck_assert_str_eq(text_at(json, "invocation_id"), report.invocation_id);
	ck_assert(json_is_false(at(json, "unclean")));
	ck_assert_int_eq(text_at(json, "requested_at")[10], 'T');
	ck_assert_str_lt(text_at(json, "started_at"), text_at(json, "requested_at"));
	json_decref(json);
}
END_TEST

START_TEST(a_task_is_told_in_times_relative_to_the_request)
{
	struct qs_record *task = open_task("w", QS_KIND_FIBER, T0 - QS_SEC);

	task->polled_at = T0 + 1000 * QS_MSEC;
	task->waiting_on = "sleep";
	ask(task, QS_RUNG_CANCEL, T0 - 250 * QS_MSEC);
	request();
	end(task, QS_VERDICT_CANCELLED, T0 + 1500 * QS_MSEC);
	leave(T0 + 2 * QS_SEC);
	json_t *json = write_and_read(), *told = json_array_get(at(json, "tasks"), 0);
	ck_assert_str_eq(text_at(told, "name"), "w");
	ck_assert_str_eq(text_at(told, "worker"), "w");
	ck_assert_str_eq(text_at(told, "kind"), "fiber");
	ck_assert_str_eq(text_at(told, "verdict"), "cancelled");
	ck_assert_str_eq(text_at(told, "cause"), "shutdown");
	ck_assert_str_eq(text_at(told, "rung"), "cancel");
	ck_assert_str_eq(text_at(told, "detail"), "exit status 3");
	ck_assert_double_eq(ms_at(told, "asked_ms"), -250);
	ck_assert_double_eq(ms_at(told, "ended_ms"), 1500);
	ck_assert_double_eq(ms_at(told, "stop_lag_ms"), 500);
	ck_assert(null_at(told, "waiting_on"));
	ck_assert_double_eq(ms_at(json, "duration_ms"), 2000);
	ck_assert_int_eq(count_at(json, "exit_status"), 150);
	json_decref(json);
}
END_TEST

START_TEST(a_straggler_that_ended_says_what_it_was_found_busy_with)
{
	struct qs_record *task = open_task("w", QS_KIND_FIBER, T0);
	char busy[] = "api.example: waiting, 4 s, 0 bytes";

	qs_ledger_note(ledger, task->id, "too early for a report");
	ck_assert_ptr_null(qs_ledger_note_of(ledger, task->id));
	request();
	ask(task, QS_RUNG_CANCEL, T0);
	qs_ledger_note(ledger, task->id, busy);
	busy[0] = '\0';
	end(task, QS_VERDICT_CANCELLED, T0 + QS_MSEC);
	leave(T0 + QS_MSEC);
	json_t *json = write_and_read(), *told = json_array_get(at(json, "tasks"), 0);
	ck_assert_str_eq(text_at(told, "waiting_on"), "api.example: waiting, 4 s, 0 bytes");
	json_decref(json);
}
END_TEST

START_TEST(what_is_unknown_is_null)
{
	struct qs_record *task = open_task(NULL, QS_KIND_PROCESS, T0);

	report.invocation_id[0] = '\0';
	request();
	qs_ledger_close(ledger, task, QS_VERDICT_FINISHED, (struct qs_outcome){ 0 }, T0 + QS_MSEC);
	leave(T0 + QS_MSEC);
	json_t *json = write_and_read(), *told = json_array_get(at(json, "tasks"), 0);
	ck_assert(null_at(json, "invocation_id"));
	ck_assert(null_at(told, "worker"));
	ck_assert(null_at(told, "asked_ms"));
	ck_assert(null_at(told, "stop_lag_ms"));
	ck_assert(null_at(told, "detail"));
	ck_assert_str_eq(text_at(told, "cause"), "none");
	ck_assert_int_eq(count_at(json, "exit_status"), 0);
	ck_assert_uint_eq(json_object_size(at(json, "totals")), 0);
	json_decref(json);
}
END_TEST

START_TEST(who_still_lives_is_abandoned_and_says_what_it_waits_for)
{
	struct qs_record *process = open_task("child", QS_KIND_PROCESS, T0 - QS_SEC);
	struct qs_record *thread = open_task("reader", QS_KIND_THREAD, T0 - QS_SEC);

	process->pid = 815;
	thread->waiting_on = "read";
	thread->polled_at = T0 - 100 * QS_MSEC;
	request();
	ask(process, QS_RUNG_KILL, T0);
	leave(T0 + QS_SEC);
	json_t *json = write_and_read(), *tasks = at(json, "tasks");
	ck_assert_uint_eq(json_array_size(tasks), 2);
	ck_assert_str_eq(text_at(json_array_get(tasks, 0), "waiting_on"), "pid 815");
	ck_assert_str_eq(text_at(json_array_get(tasks, 1), "waiting_on"), "read");
	ck_assert_double_eq(ms_at(json_array_get(tasks, 1), "stop_lag_ms"), 1100);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_str_eq(text_at(json_array_get(tasks, i), "verdict"), "abandoned");
		ck_assert(null_at(json_array_get(tasks, i), "ended_ms"));
	}
	ck_assert_int_eq(count_at(at(json, "counts"), "abandoned"), 2);
	ck_assert_int_eq(count_at(at(at(json, "totals"), "child"), "abandoned"), 1);
	ck_assert_int_eq(count_at(json, "exit_status"), 151);
	ck_assert_int_eq(qs_report_exit_status(&report), 151);
	json_decref(json);
}
END_TEST

START_TEST(it_covers_who_lived_at_the_request_or_started_later_and_totals_all)
{
	end(open_task("w", QS_KIND_PROCESS, T0 - 9), QS_VERDICT_FAILED, T0 - 5);
	end(open_task("w", QS_KIND_PROCESS, T0 - 9), QS_VERDICT_FINISHED, T0 - 4);
	struct qs_record *alive = open_task("w", QS_KIND_PROCESS, T0 - 3);
	request();
	struct qs_record *later = open_task("w", QS_KIND_PROCESS, T0 + 1);
	end(alive, QS_VERDICT_STOPPED, T0 + 2);
	end(later, QS_VERDICT_KILLED, T0 + 3);
	leave(T0 + 3);
	json_t *json = write_and_read(), *totals = at(at(json, "totals"), "w");
	uint64_t counts[QS_VERDICT_COUNT], sum = 0;

	ck_assert_uint_eq(json_array_size(at(json, "tasks")), 2);
	ck_assert_int_eq(count_at(at(json, "counts"), "failed"), 0);
	ck_assert_int_eq(count_at(totals, "started"), 4);
	for (int verdict = QS_VERDICT_FINISHED; verdict < QS_VERDICT_COUNT; verdict++)
		sum += (uint64_t)count_at(totals, qs_verdict_name((enum qs_verdict)verdict));
	ck_assert_uint_eq(sum, 4);
	qs_report_count(&report, counts);
	ck_assert_uint_eq(counts[QS_VERDICT_STOPPED], 1);
	ck_assert_uint_eq(counts[QS_VERDICT_KILLED], 1);
	ck_assert_uint_eq(counts[QS_VERDICT_NONE] + counts[QS_VERDICT_FAILED], 0);
	json_decref(json);
}
END_TEST

START_TEST(the_worst_come_first_and_at_most_ten_thousand_are_listed)
{
	enum { STOPPED = 10500, KILLED = 40 };
	static struct qs_record *records[STOPPED + KILLED];

	for (unsigned i = 0; i < STOPPED + KILLED; i++)
		records[i] = open_task("w", QS_KIND_STEP, T0 - 1);
	request();
	for (unsigned i = 0; i < STOPPED + KILLED; i++)
		end(records[i], i < STOPPED ? QS_VERDICT_STOPPED : QS_VERDICT_KILLED, T0 + 1);
	struct qs_record *left = open_task("w", QS_KIND_STEP, T0);
	leave(T0 + 2);
	json_t *json = write_and_read(), *tasks = at(json, "tasks");
	ck_assert_uint_eq(json_array_size(tasks), 10000);
	ck_assert_int_eq(count_at(json, "tasks_omitted"), STOPPED + KILLED + 1 - 10000);
	ck_assert_int_eq(count_at(at(json, "counts"), "stopped"), STOPPED);
	ck_assert_int_eq((json_int_t)left->id, count_at(json_array_get(tasks, 0), "id"));
	for (size_t i = 1; i < 10000; i++) {
		const char *verdict = text_at(json_array_get(tasks, i), "verdict");

		if (strcmp(verdict, i <= KILLED ? "killed" : "stopped") != 0)
			ck_abort_msg("task %zu is %s", i, verdict);
	}
	json_decref(json);
}
END_TEST

static void assert_phase(
        const json_t *json, size_t index, const char *name, double began, double ended)
{
	const json_t *phase = json_array_get(at(json, "phases"), index);

	ck_assert_str_eq(text_at(phase, "name"), name);
	ck_assert_double_eq(ms_at(phase, "began_ms"), began);
	ck_assert_double_eq(ms_at(phase, "ended_ms"), ended);
}

START_TEST(a_skipped_phase_has_no_length)
{
	request();
	chronicle.phase_began[QS_PHASE_STOPPING] = T0 + 10 * QS_MSEC;
	chronicle.phase_began[QS_PHASE_KILLING] = T0 + 30 * QS_MSEC;
	leave(T0 + 40 * QS_MSEC);
	json_t *json = write_and_read();
	ck_assert_uint_eq(json_array_size(at(json, "phases")), 5);
	assert_phase(json, 0, "draining", 0, 10);
	assert_phase(json, 1, "stopping", 10, 30);
	assert_phase(json, 2, "cancelling", 30, 30);
	assert_phase(json, 3, "killing", 30, 40);
	assert_phase(json, 4, "quiesced", 40, 40);
	json_decref(json);
}
END_TEST

START_TEST(a_drain_before_the_stop_is_none_of_the_shutdown)
{
	request();
	chronicle.phase_began[QS_PHASE_DRAINING] = T0 - QS_HOUR;
	chronicle.phase_began[QS_PHASE_STOPPING] = T0;
	leave(T0 + QS_MSEC);
	json_t *json = write_and_read();
	assert_phase(json, 0, "draining", 0, 0);
	assert_phase(json, 1, "stopping", 0, 1);
	json_decref(json);
}
END_TEST

static const struct {
	const char *detail;
	bool failure;
	const char *kind;
} reasons[] = { { "signal SIGINT from pid 1 uid 0", false, "signal" },
	{ "api uid 0", false, "api" }, { "out of descriptors", true, "failure" },
	{ "signal SIGTERM", true, "failure" } };

START_TEST(the_reason_tells_signals_requests_and_failures_apart)
{
	snprintf(
	        chronicle.reason.detail, sizeof(chronicle.reason.detail), "%s", reasons[_i].detail);
	chronicle.failure = reasons[_i].failure;
	request();
	leave(T0);
	json_t *json = write_and_read(), *reason = at(json, "reason");
	ck_assert_str_eq(text_at(reason, "kind"), reasons[_i].kind);
	ck_assert_str_eq(text_at(reason, "detail"), reasons[_i].detail);
	ck_assert_int_eq(count_at(json, "exit_status"), reasons[_i].failure);
	ck_assert_int_eq(qs_report_exit_status(&report), reasons[_i].failure);
	json_decref(json);
}
END_TEST

START_TEST(a_failed_task_alone_does_not_change_the_exit_status)
{
	struct qs_record *task = open_task("w", QS_KIND_PROCESS, T0 - 1);

	request();
	end(task, QS_VERDICT_FAILED, T0 + 1);
	leave(T0 + 2);
	ck_assert_int_eq(qs_report_exit_status(&report), 0);
}
END_TEST

/* The loop is stuck and never heard of a request: the guard still has something to write. */
START_TEST(a_run_that_never_heard_of_its_end_is_told_all_the_same)
{
	struct qs_record *task = open_task("w", QS_KIND_THREAD, T0 - 1);

	chronicle.failure = true;
	qs_ledger_close_books(ledger, qs_time_now());
	json_t *json = write_and_read();
	ck_assert_int_eq(count_at(at(json, "counts"), "abandoned"), 1);
	ck_assert_int_eq(count_at(json, "exit_status"), 151);
	ck_assert_str_eq(text_at(at(json, "reason"), "kind"), "failure");
	ck_assert(null_at(at(json, "reason"), "detail"));
	ck_assert_int_eq(task->verdict, QS_VERDICT_ABANDONED);
	json_decref(json);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("report");
	TCase *contents = tcase_create("contents");

	tcase_add_checked_fixture(contents, set_up, tear_down);
	tcase_add_test(contents, it_has_the_designed_fields_and_no_others);
	tcase_add_test(contents, a_task_is_told_in_times_relative_to_the_request);
	tcase_add_test(contents, a_straggler_that_ended_says_what_it_was_found_busy_with);
	tcase_add_test(contents, what_is_unknown_is_null);
	tcase_add_test(contents, who_still_lives_is_abandoned_and_says_what_it_waits_for);
	tcase_add_test(
	        contents, it_covers_who_lived_at_the_request_or_started_later_and_totals_all);
	tcase_add_test(contents, the_worst_come_first_and_at_most_ten_thousand_are_listed);
	tcase_add_test(contents, a_skipped_phase_has_no_length);
	tcase_add_test(contents, a_drain_before_the_stop_is_none_of_the_shutdown);
	tcase_add_loop_test(contents, the_reason_tells_signals_requests_and_failures_apart, 0,
	        (int)ARRAY_SIZE(reasons));
	tcase_add_test(contents, a_failed_task_alone_does_not_change_the_exit_status);
	tcase_add_test(contents, a_run_that_never_heard_of_its_end_is_told_all_the_same);
	suite_add_tcase(suite, contents);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
