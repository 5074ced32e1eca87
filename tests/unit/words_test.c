/* The names are contracts: reports, logs and the control socket show them. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/words.h>

#include "lib/macro.h"

START_TEST(every_value_has_its_name)
{
	static const char *const kinds[] = { "step", "fiber", "thread", "process" };
	static const char *const rungs[] = { "none", "ask", "cancel", "kill" };
	static const char *const causes[] = { "none", "shutdown", "api", "reload", "heartbeat",
		"ready", "dependency", "leader-exit" };
	static const char *const verdicts[] = { "none", "finished", "stopped", "failed",
		"cancelled", "killed", "abandoned" };
	static const char *const phases[] = { "running", "draining", "stopping", "cancelling",
		"killing", "quiesced" };

	ck_assert_uint_eq(ARRAY_SIZE(kinds), QS_KIND_COUNT);
	ck_assert_uint_eq(ARRAY_SIZE(rungs), QS_RUNG_COUNT);
	ck_assert_uint_eq(ARRAY_SIZE(causes), QS_CAUSE_COUNT);
	ck_assert_uint_eq(ARRAY_SIZE(verdicts), QS_VERDICT_COUNT);
	ck_assert_uint_eq(ARRAY_SIZE(phases), QS_PHASE_COUNT);
	for (unsigned i = 0; i < QS_KIND_COUNT; i++)
		ck_assert_str_eq(qs_kind_name((enum qs_kind)i), kinds[i]);
	for (unsigned i = 0; i < QS_RUNG_COUNT; i++)
		ck_assert_str_eq(qs_rung_name((enum qs_rung)i), rungs[i]);
	for (unsigned i = 0; i < QS_CAUSE_COUNT; i++)
		ck_assert_str_eq(qs_cause_name((enum qs_cause)i), causes[i]);
	for (unsigned i = 0; i < QS_VERDICT_COUNT; i++)
		ck_assert_str_eq(qs_verdict_name((enum qs_verdict)i), verdicts[i]);
	for (unsigned i = 0; i < QS_PHASE_COUNT; i++)
		ck_assert_str_eq(qs_phase_name((enum qs_phase)i), phases[i]);
}
END_TEST

START_TEST(a_value_out_of_range_is_a_question_mark)
{
	ck_assert_str_eq(qs_kind_name((enum qs_kind)QS_KIND_COUNT), "?");
	ck_assert_str_eq(qs_rung_name((enum qs_rung)QS_RUNG_COUNT), "?");
	ck_assert_str_eq(qs_cause_name((enum qs_cause)QS_CAUSE_COUNT), "?");
	ck_assert_str_eq(qs_verdict_name((enum qs_verdict)QS_VERDICT_COUNT), "?");
	ck_assert_str_eq(qs_phase_name((enum qs_phase)QS_PHASE_COUNT), "?");
}
END_TEST

static const struct {
	struct qs_outcome outcome;
	const char *text;
} described[] = {
	{ { .type = QS_OUTCOME_NONE }, "unknown" },
	{ { .type = QS_OUTCOME_RETURN, .value = 0 }, "returned 0" },
	{ { .type = QS_OUTCOME_RETURN, .value = 7 }, "returned 7" },
	{ { .type = QS_OUTCOME_RETURN, .value = -111 }, "error 111 (Connection refused)" },
	{ { .type = QS_OUTCOME_RETURN, .value = -99999 }, "error 99999 (unknown)" },
	{ { .type = QS_OUTCOME_EXIT, .value = 3 }, "exit status 3" },
	{ { .type = QS_OUTCOME_SIGNAL, .value = SIGSEGV, .core_dumped = true },
	        "signal 11 (Segmentation fault), core dumped" },
	{ { .type = QS_OUTCOME_SIGNAL, .value = SIGKILL, .out_of_memory = true },
	        "signal 9 (Killed), out of memory" },
	{ { .type = QS_OUTCOME_SIGNAL, .value = 250 }, "signal 250 (unknown)" },
};

START_TEST(an_outcome_is_told_in_words)
{
	char buffer[128];

	ck_assert_str_eq(qs_outcome_describe(described[_i].outcome, buffer, sizeof(buffer)),
	        described[_i].text);
}
END_TEST

START_TEST(a_description_never_leaves_its_buffer)
{
	for (size_t i = 0; i < ARRAY_SIZE(described); i++) {
		for (unsigned size = 0; size < 16; size++) {
			char buffer[32];

			memset(buffer, '#', sizeof(buffer));
			ck_assert_ptr_eq(
			        qs_outcome_describe(described[i].outcome, buffer, size), buffer);
			ck_assert_int_eq(buffer[size], '#');
			if (size > 0)
				ck_assert_uint_lt(strlen(buffer), size);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("words");
	TCase *names = tcase_create("names");
	TCase *outcomes = tcase_create("outcomes");

	tcase_add_test(names, every_value_has_its_name);
	tcase_add_test(names, a_value_out_of_range_is_a_question_mark);
	tcase_add_loop_test(outcomes, an_outcome_is_told_in_words, 0, (int)ARRAY_SIZE(described));
	tcase_add_test(outcomes, a_description_never_leaves_its_buffer);
	suite_add_tcase(suite, names);
	suite_add_tcase(suite, outcomes);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
