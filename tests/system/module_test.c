/* Modules in their hosts, good and bad ones, in the real daemon. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "tests/system/rig.h"
#include "tests/system/suite.h"

#define SHUTDOWN "shutdown: { deadline: 1s, cancel_grace: 1s, kill_grace: 1s }\n"

/* As in the module. */
#ifdef QUIESCE_TSAN
#define MANY 1000
#else
#define MANY 10000
#endif

static struct rig rig;

static const char *path_of(const char *module)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/lib/modules/%s.so", getenv("QUIESCE_BUILD"), module);
	return path;
}

/* One worker m of that module; `config` and `more` are YAML. */
static void prepare(const char *module, const char *config, const char *more)
{
	char yaml[2048];

	snprintf(yaml, sizeof(yaml),
	        SHUTDOWN "workers: { m: { module: { path: \"%s\", config: %s }%s } }\n",
	        path_of(module), config, more);
	rig_init(&rig, yaml);
}

static void start(const char *config, const char *more)
{
	prepare("actor", config, more);
	rig_start(&rig);
}

static void finish(int status)
{
	int exited = rig_stop(&rig);

	ck_assert_msg(
	        exited == status, "exit status %d instead of %d\n%s", exited, status, rig.log);
}

static json_t *look(void)
{
	return rig_json(&rig, "GET", "/v1/workers/m", 200);
}

typedef bool condition(const json_t *worker);

/* What a host tells comes a moment later; the daemon tells nobody that it has come. */
static json_t *await(condition *holds, const char *what)
{
	uint64_t until = rig_now_ms() + RIG_PATIENCE_MS;

	for (;;) {
		json_t *worker = look();
		if (holds(worker))
			return worker;
		if (rig_now_ms() >= until)
			ck_abort_msg("never: %s\n%s\n%s", what, json_dumps(worker, 0), rig.log);
		json_decref(worker);
		(void)poll(NULL, 0, 10);
	}
}

static json_int_t told(const json_t *worker, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(worker, "module"), key));
}

static json_int_t ended(const json_t *worker, const char *verdict)
{
	const json_t *module = json_object_get(worker, "module");

	return json_integer_value(json_object_get(json_object_get(module, "verdicts"), verdict));
}

static const json_t *task_named(const json_t *worker, const char *name)
{
	const json_t *module = json_object_get(worker, "module");
	const json_t *task;
	size_t i;

	json_array_foreach (json_object_get(module, "tasks"), i, task) {
		if (strcmp(json_string_value(json_object_get(task, "name")), name) == 0)
			return task;
	}
	return NULL;
}

static json_int_t total(const json_t *report, const char *owner, const char *key)
{
	const json_t *totals = json_object_get(report, "totals");

	return json_integer_value(json_object_get(json_object_get(totals, owner), key));
}

static bool idles(const json_t *worker)
{
	return task_named(worker, "idle") != NULL;
}

START_TEST(the_stacks_of_its_fibers_are_measured_on_demand)
{
	start("[idle]", ", environment: { QUIESCE_MEASURE_STACKS: \"1\" }");
	json_t *worker = await(idles, "its task");
	const json_t *depth = json_object_get(task_named(worker, "idle"), "stack_bytes");
	ck_assert_int_ge(json_integer_value(depth), 4096);
	json_decref(worker);
	finish(0);
	rig_done(&rig);
}
END_TEST

static bool two_live_and_four_ended(const json_t *worker)
{
	return told(worker, "live") == 2 && ended(worker, "finished") == 3 &&
	       ended(worker, "failed") == 1;
}

START_TEST(tasks_and_verdicts_of_a_module_are_in_the_status_and_in_the_report)
{
	start("[poller, idle, quick, failing]", "");
	json_t *worker = await(two_live_and_four_ended, "its tasks and verdicts");
	ck_assert_str_eq(json_string_value(json_object_get(worker, "kind")), "module");
	ck_assert(json_is_number(json_object_get(worker, "stop_lag_seconds")));
	const json_t *task = task_named(worker, "idle");
	ck_assert_ptr_nonnull(task);
	ck_assert_str_eq(json_string_value(json_object_get(task, "kind")), "fiber");
	ck_assert_str_eq(json_string_value(json_object_get(task, "state")), "waiting");
	ck_assert(json_is_null(json_object_get(task, "stack_bytes")));
	json_decref(worker);
	finish(0);
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(rig_verdict(report, "m"), "stopped");
	ck_assert_int_eq(total(report, "m/tasks", "started"), 6);
	ck_assert_int_eq(total(report, "m/tasks", "stopped"), 2);
	ck_assert_int_eq(total(report, "m/tasks", "finished"), 3);
	ck_assert_int_eq(total(report, "m/tasks", "failed"), 1);
	json_decref(report);
	ck_assert(rig_logged(&rig, "the poller was asked"));
	rig_done(&rig);
}
END_TEST

START_TEST(its_configuration_is_handed_over_as_json)
{
	start("{ do: [idle], width: 64, ratio: 0.5, on: true, \"off\": \"true\", none: ~, "
	      "text: \"a \\\" b\", octal: 010 }",
	        "");
	rig_expect(&rig, "configured: {\"do\":[\"idle\"],\"width\":64,\"ratio\":0.5,\"on\":true,"
	                 "\"off\":\"true\",\"none\":null,\"text\":\"a \\\" b\",\"octal\":\"010\"}");
	finish(0);
	rig_done(&rig);
}
END_TEST

START_TEST(a_module_without_tasks_has_finished)
{
	start("{}", "");
	rig_await_state(&rig, "m", "stopped");
	json_t *worker = look();
	ck_assert_str_eq(json_string_value(json_object_get(worker, "last_verdict")), "finished");
	json_decref(worker);
	finish(0);
	rig_done(&rig);
}
END_TEST

START_TEST(one_that_crashes_is_restarted)
{
	start("[crash, idle]", ", essential: false, backoff: { base: 1ms, cap: 5ms }, "
	                       "limit: { count: 3, within: 10s }");
	rig_await_state(&rig, "m", "failed");
	json_t *worker = look();
	ck_assert_int_eq(json_integer_value(json_object_get(worker, "restarts")), 3);
	ck_assert_str_eq(json_string_value(json_object_get(worker, "last_verdict")), "failed");
	json_decref(worker);
	finish(0);
	rig_done(&rig);
}
END_TEST

static bool spins_for_long(const json_t *worker)
{
	const json_t *task = task_named(worker, "spin");

	return task && json_number_value(json_object_get(task, "stop_lag_seconds")) > 0.3 &&
	       json_number_value(json_object_get(worker, "stop_lag_seconds")) > 0.3;
}

START_TEST(one_that_spins_shows_its_lag_and_is_killed)
{
	start("[spin, idle]", "");
	rig_expect(&rig, "spinning");
	json_decref(await(spins_for_long, "the lag of who spins"));
	finish(150);
	json_t *report = rig_report(&rig);
	const char *verdict = rig_verdict(report, "m");
	ck_assert_msg(
	        strcmp(verdict, "killed") == 0 || strcmp(verdict, "cancelled") == 0, "%s", verdict);
	json_decref(report);
	rig_done(&rig);
}
END_TEST

START_TEST(one_that_spins_misses_its_heartbeat)
{
	start("[spin]", ", essential: false, restart: never, heartbeat: 300ms, "
	                "stop: { deadline: 100ms }");
	rig_await_state(&rig, "m", "failed");
	finish(0);
	rig_done(&rig);
}
END_TEST

START_TEST(one_that_blocks_is_killed)
{
	start("[block]", "");
	rig_expect(&rig, "blocking");
	finish(150);
	rig_done(&rig);
}
END_TEST

START_TEST(one_that_blocks_before_it_runs_is_killed)
{
	start("[block-at-once]", "");
	rig_expect(&rig, "blocking");
	finish(150);
	rig_done(&rig);
}
END_TEST

START_TEST(one_that_dawdles_is_cancelled_by_its_own_runtime)
{
	start("[dawdle]", ", stop: { deadline: 300ms }");
	rig_expect(&rig, "dawdling");
	finish(150);
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(rig_verdict(report, "m"), "cancelled");
	ck_assert_int_eq(total(report, "m/tasks", "cancelled"), 1);
	json_decref(report);
	rig_done(&rig);
}
END_TEST

START_TEST(one_that_leaks_descriptors_hurts_nobody_else)
{
	start("[leak]", ", limits: { open_files: 64 }");
	rig_expect(&rig, "leaked: Too many open files");
	finish(0);
	rig_done(&rig);
}
END_TEST

static bool answers(const json_t *worker)
{
	return told(worker, "live") == 1;
}

START_TEST(one_that_writes_into_the_pair_is_left_aside)
{
	start("[babble]", "");
	rig_expect(&rig, "none of our messages");
	json_decref(await(answers, "its tasks all the same"));
	finish(0);
	rig_done(&rig);
}
END_TEST

static bool all_live(const json_t *worker)
{
	return told(worker, "live") == MANY;
}

START_TEST(ten_thousand_fibers_are_counted_and_some_are_shown)
{
	start("[many]", "");
	json_t *worker = await(all_live, "all of them live");
	size_t shown = json_array_size(json_object_get(json_object_get(worker, "module"), "tasks"));
	ck_assert_int_eq((int)shown, 64);
	ck_assert_int_eq(told(worker, "tasks_omitted"), MANY - 64);
	json_decref(worker);
	finish(0);
	json_t *report = rig_report(&rig);
	ck_assert_int_eq(total(report, "m/tasks", "stopped"), MANY);
	json_decref(report);
	rig_done(&rig);
}
END_TEST

START_TEST(ready_notify_comes_from_its_runtime)
{
	start("[idle]", ", ready: { notify: true }");
	json_t *worker = look();
	ck_assert(json_is_true(json_object_get(worker, "ready")));
	json_decref(worker);
	finish(0);
	rig_done(&rig);
}
END_TEST

START_TEST(stopped_alone_it_ends_in_order)
{
	start("[poller, many]", "");
	rig_expect(&rig, "the poller polls");
	json_decref(rig_json(&rig, "POST", "/v1/workers/m/stop?wait=15s", 200));
	json_t *worker = look();
	ck_assert_str_eq(json_string_value(json_object_get(worker, "last_verdict")), "stopped");
	json_decref(worker);
	finish(0);
	rig_done(&rig);
}
END_TEST

static void refused(const char *module, const char *config, const char *text)
{
	prepare(module, config, ", essential: false");
	rig_launch(&rig, NULL);
	rig_expect(&rig, text);
	rig_await_state(&rig, "m", "failed");
	json_t *worker = look();
	const char *detail = json_string_value(json_object_get(worker, "detail"));
	ck_assert_msg(detail && strstr(detail, text), "%s\n%s", detail, rig.log);
	ck_assert_int_eq(json_integer_value(json_object_get(worker, "restarts")), 0);
	json_decref(worker);
	finish(0);
	rig_done(&rig);
}

START_TEST(what_cannot_be_loaded_has_failed_for_good_and_says_why)
{
	refused("missing", "{}", "cannot load the module: ");
	refused("no_entry", "{}", "it has no quiesce_module_main");
	refused("wrong_abi", "{}", "its ABI is 42, ours is 1");
	refused("actor", "[refuse]", "the module does not start: Protocol error");
}
END_TEST

/* The configuration is that of the example, with the place where it was built. */
START_TEST(the_example_of_a_module_runs)
{
	char command[1024];

	rig_init(&rig, "");
	snprintf(command, sizeof(command),
	        "sed 's,/usr/local/lib/quiesced,%s/bin/examples,' "
	        "'%s/packaging/examples/module.yaml' > %s/config.yaml",
	        getenv("QUIESCE_BUILD"), getenv("QUIESCE_SOURCE"), rig.directory);
	ck_assert_int_eq(system(command), 0);
	rig_start(&rig);
	rig_expect(&rig, "the first item is done");
	finish(0);
	json_t *report = rig_report(&rig);
	ck_assert_str_eq(rig_verdict(report, "resizer"), "stopped");
	ck_assert_int_eq(total(report, "resizer/tasks", "stopped"), 3);
	json_decref(report);
	ck_assert(rig_logged(&rig, "none of them by half"));
	rig_done(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		tasks_and_verdicts_of_a_module_are_in_the_status_and_in_the_report,
		the_stacks_of_its_fibers_are_measured_on_demand,
		its_configuration_is_handed_over_as_json,
		a_module_without_tasks_has_finished,
		one_that_crashes_is_restarted,
		one_that_spins_shows_its_lag_and_is_killed,
		one_that_spins_misses_its_heartbeat,
		one_that_blocks_is_killed,
		one_that_blocks_before_it_runs_is_killed,
		one_that_dawdles_is_cancelled_by_its_own_runtime,
		one_that_leaks_descriptors_hurts_nobody_else,
		one_that_writes_into_the_pair_is_left_aside,
		ten_thousand_fibers_are_counted_and_some_are_shown,
		ready_notify_comes_from_its_runtime,
		stopped_alone_it_ends_in_order,
		what_cannot_be_loaded_has_failed_for_good_and_says_why,
		the_example_of_a_module_runs,
	};

	return suite_run("module", tests, ARRAY_SIZE(tests));
}
