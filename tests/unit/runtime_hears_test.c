/* Tasks that hear of a stop by themselves, before the loop has come to ask them. */
#include <check.h>
#include <errno.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/fiber.h>
#include <quiesce/runtime.h>
#include <quiesce/step.h>
#include <quiesce/thread.h>

#include "lib/macro.h"
#include "lib/report.h"
#include "lib/runtime.h"

static int stop_and_poll(qs_task *self, void *arg)
{
	ck_assert_int_eq(qs_shutdown(arg, "by itself"), 0);
	while (!qs_stopping(self))
		;
	/* Heard once, it stays so. */
	ck_assert_int_eq(qs_sleep(self, QS_FOREVER), -ESHUTDOWN);
	return qs_stopping(self) ? 0 : -EPROTO;
}

static int stop_and_poll_as_step(qs_task *self, void *arg, unsigned why)
{
	if (why & QS_STEP_FIRST)
		ck_assert_int_eq(qs_shutdown(arg, "by itself"), 0);
	while (!qs_stopping(self))
		;
	return QS_STEP_DONE;
}

static int poll_in_thread(qs_task *self, void *arg)
{
	(void)arg;
	while (!qs_stopping(self))
		usleep(100);
	return 0;
}

static int wait_in_thread(qs_task *self, void *arg)
{
	(void)arg;
	return qs_thread_wait(self, QS_FOREVER);
}

static int wait_for_event_in_thread(qs_task *self, void *arg)
{
	(void)arg;
	return qs_stop_wait(qs_thread_stop(self), QS_FOREVER);
}

static qs_task *spawn_hearer(qs_runtime *runtime, int which)
{
	qs_group *root = qs_root(runtime);
	qs_task *task = NULL;
	int r = -EINVAL;

	switch (which) {
	case 0:
		r = qs_spawn_fiber(root, NULL, stop_and_poll, runtime, &task);
		break;
	case 1:
		r = qs_spawn_step(root, NULL, stop_and_poll_as_step, runtime, &task);
		break;
	case 2:
		r = qs_spawn_thread(root, NULL, poll_in_thread, NULL, &task);
		break;
	case 3:
		r = qs_spawn_thread(root, NULL, wait_in_thread, NULL, &task);
		break;
	case 4:
		r = qs_spawn_thread(root, NULL, wait_for_event_in_thread, NULL, &task);
		break;
	}
	ck_assert_int_eq(r, 0);
	return task;
}

/* Nobody is asked during the drain: whoever ends then has heard of the stop by itself. */
static void hear_by_oneself(int which, bool virtual_clock)
{
	const struct qs_runtime_options options = {
		.keep_quiet = true,
		.virtual_clock = virtual_clock,
		.plan = { .drain = QS_HOUR, .deadline = 2 * QS_HOUR },
	};
	uint64_t counts[QS_VERDICT_COUNT];
	struct qs_result result;

	_cleanup_(qs_runtime_freep) qs_runtime *runtime = NULL;
	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), 0);
	qs_task *task = spawn_hearer(runtime, which);
	if (which >= 2)
		ck_assert_int_eq(qs_shutdown(runtime, "from outside"), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_int_eq(qs_task_result(task, &result), 0);
	ck_assert_str_eq(qs_verdict_name(result.verdict), "stopped");
	/* The report covers it: it lived when the stop was asked for. */
	qs_report_count(&runtime->report, counts);
	ck_assert_uint_eq(counts[QS_VERDICT_STOPPED], 1);
}

START_TEST(whoever_hears_of_a_stop_by_itself_has_been_asked)
{
	hear_by_oneself(_i, false);
}
END_TEST

START_TEST(in_a_simulation_hearing_is_being_asked_as_well)
{
	hear_by_oneself(_i, true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("runtime_hears");
	TCase *tcase = tcase_create("hears");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, whoever_hears_of_a_stop_by_itself_has_been_asked, 0, 5);
	tcase_add_loop_test(tcase, in_a_simulation_hearing_is_being_asked_as_well, 0, 2);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
