/*
 * The table of verdicts, walked over every combination of what can be known of a task against a
 * second telling of the design's rules, plus the lines of the table one by one.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/macro.h"
#include "lib/verdict.h"

#define ASKED(because) .rung = QS_RUNG_ASK, .cause = QS_CAUSE_##because

static const struct {
	const char *story;
	struct qs_verdict_input input;
	enum qs_verdict verdict;
} lines[] = {
	{ "ended well by itself", { .well = true, .well_when_asked = true }, QS_VERDICT_FINISHED },
	{ "ended badly by itself", { .well = false, .well_when_asked = true }, QS_VERDICT_FAILED },
	{ "asked, ended well", { ASKED(SHUTDOWN), .well_when_asked = true }, QS_VERDICT_STOPPED },
	{ "asked, ended badly", { ASKED(SHUTDOWN), .well = true }, QS_VERDICT_FAILED },
	{ "asked by the api", { ASKED(API), .well_when_asked = true }, QS_VERDICT_STOPPED },
	{ "asked by a reload", { ASKED(RELOAD), .well_when_asked = true }, QS_VERDICT_STOPPED },
	{ "asked for who it needs", { ASKED(DEPENDENCY), .well_when_asked = true },
	        QS_VERDICT_STOPPED },
	{ "missed its heartbeat", { ASKED(HEARTBEAT), .well = true, .well_when_asked = true },
	        QS_VERDICT_FAILED },
	{ "never became ready", { ASKED(READY), .well = true, .well_when_asked = true },
	        QS_VERDICT_FAILED },
	{ "well-ended leader left a tree", { ASKED(LEADER_EXIT), .well = true },
	        QS_VERDICT_FINISHED },
	{ "badly ended leader left a tree", { ASKED(LEADER_EXIT), .well_when_asked = true },
	        QS_VERDICT_FAILED },
	{ "left a tree that had to be cancelled",
	        { .rung = QS_RUNG_CANCEL, .cause = QS_CAUSE_LEADER_EXIT, .well = true },
	        QS_VERDICT_CANCELLED },
	{ "left a tree that had to be killed",
	        { .rung = QS_RUNG_KILL, .cause = QS_CAUSE_LEADER_EXIT, .well = true },
	        QS_VERDICT_KILLED },
	{ "ended well, but after its cancel",
	        { .rung = QS_RUNG_CANCEL,
	                .cause = QS_CAUSE_SHUTDOWN,
	                .well = true,
	                .well_when_asked = true },
	        QS_VERDICT_CANCELLED },
	{ "cancelled for a heartbeat", { .rung = QS_RUNG_CANCEL, .cause = QS_CAUSE_HEARTBEAT },
	        QS_VERDICT_CANCELLED },
	{ "killed", { .rung = QS_RUNG_KILL, .cause = QS_CAUSE_SHUTDOWN, .well_when_asked = true },
	        QS_VERDICT_KILLED },
	{ "still there, though killed",
	        { .rung = QS_RUNG_KILL, .cause = QS_CAUSE_SHUTDOWN, .left = true },
	        QS_VERDICT_ABANDONED },
	{ "still there, never asked", { .well = true, .left = true }, QS_VERDICT_ABANDONED },
};

START_TEST(each_line_of_the_table_holds)
{
	enum qs_verdict verdict = qs_verdict_decide(&lines[_i].input);

	ck_assert_msg(verdict == lines[_i].verdict, "%s: %s instead of %s", lines[_i].story,
	        qs_verdict_name(verdict), qs_verdict_name(lines[_i].verdict));
}
END_TEST

static void check_rules(const struct qs_verdict_input *input, enum qs_verdict verdict)
{
	ck_assert_int_gt(verdict, QS_VERDICT_NONE);
	ck_assert_int_lt(verdict, QS_VERDICT_COUNT);
	ck_assert_int_eq(input->left, verdict == QS_VERDICT_ABANDONED);
	if (input->left)
		return;
	ck_assert_int_eq(input->rung == QS_RUNG_KILL, verdict == QS_VERDICT_KILLED);
	ck_assert_int_eq(input->rung == QS_RUNG_CANCEL, verdict == QS_VERDICT_CANCELLED);
	if (verdict == QS_VERDICT_FINISHED)
		ck_assert(input->well &&
		          (input->cause == QS_CAUSE_NONE || input->cause == QS_CAUSE_LEADER_EXIT));
	if (verdict == QS_VERDICT_STOPPED)
		ck_assert(input->well_when_asked && input->cause != QS_CAUSE_NONE &&
		          input->cause != QS_CAUSE_HEARTBEAT && input->cause != QS_CAUSE_READY &&
		          input->cause != QS_CAUSE_LEADER_EXIT);
	if (verdict == QS_VERDICT_FAILED)
		ck_assert(!input->well || input->cause != QS_CAUSE_NONE);
}

START_TEST(every_combination_obeys_the_rules)
{
	for (int rung = 0; rung < QS_RUNG_COUNT; rung++)
		for (int cause = 0; cause < QS_CAUSE_COUNT; cause++)
			for (unsigned bits = 0; bits < 8; bits++) {
				struct qs_verdict_input input = {
					.rung = (enum qs_rung)rung,
					.cause = (enum qs_cause)cause,
					.well = bits & 1,
					.well_when_asked = bits & 2,
					.left = bits & 4,
				};
				if ((rung == QS_RUNG_NONE) == (cause == QS_CAUSE_NONE))
					check_rules(&input, qs_verdict_decide(&input));
			}
}
END_TEST

START_TEST(the_exit_status_is_that_of_the_worst)
{
	uint64_t counts[QS_VERDICT_COUNT] = { 0 };

	ck_assert_int_eq(qs_verdict_exit_status(counts), 0);
	counts[QS_VERDICT_FINISHED] = counts[QS_VERDICT_STOPPED] = 9;
	counts[QS_VERDICT_FAILED] = 3;
	ck_assert_int_eq(qs_verdict_exit_status(counts), 0);
	counts[QS_VERDICT_CANCELLED] = 1;
	ck_assert_int_eq(qs_verdict_exit_status(counts), 150);
	counts[QS_VERDICT_CANCELLED] = 0;
	counts[QS_VERDICT_KILLED] = 1;
	ck_assert_int_eq(qs_verdict_exit_status(counts), 150);
	counts[QS_VERDICT_ABANDONED] = 1;
	ck_assert_int_eq(qs_verdict_exit_status(counts), 151);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("verdict");
	TCase *table = tcase_create("table");

	tcase_add_loop_test(table, each_line_of_the_table_holds, 0, (int)ARRAY_SIZE(lines));
	tcase_add_test(table, every_combination_obeys_the_rules);
	tcase_add_test(table, the_exit_status_is_that_of_the_worst);
	suite_add_tcase(suite, table);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
