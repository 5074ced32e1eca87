/*
 * What the configuration says when something is wrong: each message with its exact place, all of
 * them at once, in the order of the file.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

struct expectation {
	const char *yaml, *errors;
};

/* Frees nothing that the caller does not get: the texts live in `errors`. */
static void read_bad(const char *yaml, struct config_errors *errors)
{
	struct config *config = NULL;
	int r = config_read_text("a.yaml", yaml, strlen(yaml), &config, errors);
	ck_assert_msg(r == -EBADMSG, "%d for: %s", r, yaml);
	ck_assert_ptr_null(config);
	ck_assert_uint_gt(errors->count, 0);
}

static void expect(const struct expectation *expectation)
{
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	read_bad(expectation->yaml, &errors);
	ck_assert_msg(strcmp(errors.text, expectation->errors) == 0, "\n%s\nsays\n%sinstead of\n%s",
	        expectation->yaml, errors.text, expectation->errors);
}

#define KNOWN_IN_WORKER                                                                         \
	"known here are exec, module, when, restart, backoff, limit, after, essential, ready, " \
	"heartbeat, stop, environment, working_directory, umask, limits, http, "                \
	"concurrency, backlog, rate, cache, call\n"
#define A     "workers: { a: { exec: [x], "
#define SPANS "a time span such as 500ms, 30s or 1min 30s"

static const struct expectation keys[] = {
	{ "shutdown: { deadlin: 1s }",
	        "a.yaml:1:13: shutdown: unknown key 'deadlin': did you mean 'deadline'?\n" },
	{ "\n  wrokers: {}", "a.yaml:2:3: unknown key 'wrokers': did you mean 'workers'?\n" },
	{ A "htp: { } } }", "a.yaml:1:28: workers.a: unknown key 'htp': did you mean 'http'?\n" },
	{ A "queue: { url: x } } }",
	        "a.yaml:1:28: workers.a: unknown key 'queue': " KNOWN_IN_WORKER },
	{ A "signal: TERM } }",
	        "a.yaml:1:28: workers.a: unknown key 'signal': did you mean 'stop.signal'?\n" },
	{ "shutdown.drain: 1s",
	        "a.yaml:1:1: unknown key 'shutdown.drain': known here are shutdown, supervision, "
	        "log, report, control, state, workers\n" },
	{ "level: info", "a.yaml:1:1: unknown key 'level': did you mean 'log.level'?\n" },
	{ A "user: nobody } }",
	        "a.yaml:1:28: workers.a.user: 'user' is refused: one service runs as one user; run "
	        "a second quiesced.service with User= for another one\n" },
	{ "log: { level: info,\n  level: debug }",
	        "a.yaml:2:3: duplicate key 'level': it stands already in line 1, column 8; keep "
	        "one\n" },
	{ "workers:\n  a: { exec: [x] }\n  a: { exec: [x] }",
	        "a.yaml:3:3: worker 'a' is there already, at a.yaml:2:3: give one of them another "
	        "name\n" },
	{ "? [a]\n: b", "a.yaml:1:3: the file: expected a key, not a list\n" },
	{ "log:", "a.yaml:1:1: log: has no value: expected a mapping of keys; or leave it out\n" },
	{ "log: { level: }", "a.yaml:1:8: log.level: has no value: expected one of its words; or "
	                     "leave the key out\n" },
	{ "log: [x]", "a.yaml:1:6: log: expected a mapping of keys, not a list\n" },
	{ "just text", "a.yaml:1:1: the file: expected a mapping of keys, not a single value\n" },
	{ "workers: [a]",
	        "a.yaml:1:1: workers: expected a mapping of names to workers, not a list\n" },
	{ "workers: { a: }", "a.yaml:1:12: workers.a: expected a mapping such as {exec: "
	                     "[/usr/bin/program]}, not nothing\n" },
	{ "workers: { -a: {} }",
	        "a.yaml:1:12: '-a' is no name of a worker: a letter or digit, then letters, digits "
	        "and _.@-, 63 at most\n" },
};

static const struct expectation values[] = {
	{ "shutdown: { deadline: soon }",
	        "a.yaml:1:23: shutdown.deadline: expected " SPANS ", not 'soon'\n" },
	{ "shutdown: { deadline: [1s] }",
	        "a.yaml:1:23: shutdown.deadline: expected " SPANS ", not a list\n" },
	{ "shutdown: { deadline: infinity }",
	        "a.yaml:1:23: shutdown.deadline: 'infinity' is out of range: 0s to 520w\n" },
	{ "log: { max_line: 99999999999999999999 }",
	        "a.yaml:1:18: log.max_line: '99999999999999999999' is out of range: 64B to "
	        "64KiB\n" },
	{ "log: { max_line: 4KB }", "a.yaml:1:18: log.max_line: expected a size such as 4KiB or "
	                            "256MiB, not '4KB'\n" },
	{ "log: { level: loud }", "a.yaml:1:15: log.level: expected error, warning, info or debug, "
	                          "not 'loud'\n" },
	{ "report: { sync: maybe }",
	        "a.yaml:1:17: report.sync: expected true or false, not 'maybe'\n" },
	{ "report: { sync: !!bool true }",
	        "a.yaml:1:17: report.sync: the tag 'tag:yaml.org,2002:bool' means nothing here: "
	        "leave it out\n" },
	{ "supervision: { restarts: { count: 010 } }",
	        "a.yaml:1:35: supervision.restarts.count: expected a whole number such as 10, not "
	        "'010'\n" },
	{ "supervision: { restarts: { count: 100001 } }",
	        "a.yaml:1:35: supervision.restarts.count: '100001' is out of range: 0 to "
	        "100000\n" },
	{ "state: { directory: here }",
	        "a.yaml:1:21: state.directory: expected a path that begins with /, not 'here'\n" },
	{ "control: { group: '' }",
	        "a.yaml:1:19: control.group: expected a text that is not empty, not ''\n" },
	{ A "umask: 08 } }",
	        "a.yaml:1:35: workers.a.umask: expected an octal mode such as 0027, not '08'\n" },
	{ A "umask: 1000 } }",
	        "a.yaml:1:35: workers.a.umask: '1000' is out of range: 0000 to 0777\n" },
	{ A "stop: { signal: SIGFOO } } }",
	        "a.yaml:1:44: workers.a.stop.signal: expected a signal such as SIGTERM, not "
	        "'SIGFOO'\n" },
	{ A "stop: { signal: KILL } } }",
	        "a.yaml:1:44: workers.a.stop.signal: 'KILL' is out of range: 1 to 64, but not "
	        "SIGKILL or SIGSTOP\n" },
	{ A "stop: { success: [1, 256] } } }",
	        "a.yaml:1:49: workers.a.stop.success: expected an exit status from 0 to 255, not "
	        "'256'\n" },
	{ A "when: cal } }",
	        "a.yaml:1:34: workers.a.when: expected always, once, call or every SPAN (such as "
	        "every 30s), not 'cal'\n" },
	{ A "when: every 0s } }", "a.yaml:1:34: workers.a.when: 'every 0s' is out of range: every "
	                          "1ms at least, and not infinity\n" },
	{ A "when: every } }",
	        "a.yaml:1:34: workers.a.when: expected always, once, call or every SPAN (such as "
	        "every 30s), not 'every'\n" },
};

static const struct expectation lists[] = {
	{ "workers: { a: { exec: sleep 5 } }",
	        "a.yaml:1:23: workers.a.exec: expected a list, not a single value: write "
	        "[/usr/bin/program, argument], or [/bin/sh, -c, 'a command line'] for a shell\n" },
	{ "workers: { a: { exec: [] } }",
	        "a.yaml:1:23: workers.a.exec: is empty: name the program to run, such as "
	        "[/usr/bin/program]\n" },
	{ "workers: { a: { exec: [''] } }",
	        "a.yaml:1:24: workers.a.exec: the program has no name: write its path\n" },
	{ "workers: { a: { exec: [x, ~, [y]] } }",
	        "a.yaml:1:27: workers.a.exec: expected a text, not nothing (null): quote it if you "
	        "mean the text\n"
	        "a.yaml:1:30: workers.a.exec: expected a text, not a list\n" },
	{ "workers: { a: { exec: [\"x\\0y\"] } }",
	        "a.yaml:1:24: workers.a.exec: contains a NUL byte: leave it out\n" },
	{ A "environment: { 1A: x } } }",
	        "a.yaml:1:43: workers.a.environment: '1A' is no name of a variable: letters, "
	        "digits and _ only, and no digit first\n" },
	{ A "environment: { NOTIFY_SOCKET: x } } }",
	        "a.yaml:1:43: workers.a.environment: 'NOTIFY_SOCKET' is set by quiesced itself: "
	        "leave it out\n" },
	{ A "environment: { A: } } }", "a.yaml:1:43: workers.a.environment.A: has no value: write "
	                               "\"\" for an empty one\n" },
	{ A "environment: { A: [x] } } }",
	        "a.yaml:1:46: workers.a.environment.A: expected a text, not a list\n" },
	{ A "environment: [A=x] } }",
	        "a.yaml:1:41: workers.a.environment: expected a mapping such as {NAME: value}, not "
	        "a list\n" },
	{ A "after: b } }",
	        "a.yaml:1:35: workers.a.after: expected a list of workers such as [database, "
	        "cache], not a single value\n" },
};

static const struct expectation contradictions[] = {
	{ "workers:\n  a: {}", "a.yaml:2:3: workers.a: has no exec: say what to run, such as exec: "
	                       "[/usr/bin/program, argument]; or what to ask, such as http: {url: "
	                       "\"https://HOST/\"}\n" },
	{ A "when: once, restart: always } }",
	        "a.yaml:1:40: workers.a.restart: 'always' is refused with when: once: write "
	        "on-failure or never\n" },
	{ A "when: every 1s, restart: never } }",
	        "a.yaml:1:44: workers.a.restart: is refused with when: every, where a failure "
	        "waits for the next slot: leave it out\n" },
	{ A "backoff: { base: 2s, cap: 1s } } }",
	        "a.yaml:1:49: workers.a.backoff: cap (1s) is below base (2s): raise cap or lower "
	        "base\n" },
	{ A "ready: { timeout: 1s } } }",
	        "a.yaml:1:37: workers.a.ready.timeout: means nothing without ready.notify: true: "
	        "add that, or leave it out\n" },
	{ "shutdown: { drain: 20s }",
	        "a.yaml:1:13: shutdown.drain: 20s leaves no time to stop: it is counted in "
	        "shutdown.deadline (20s); make it shorter than that\n" },
	{ A "after: [b] } }",
	        "a.yaml:1:36: workers.a.after: there is no worker 'b': name one of this "
	        "configuration\n" },
	{ A "after: [a] } }",
	        "a.yaml:1:36: workers.a.after: it cannot wait for itself: leave it out\n" },
	{ "workers:\n  b: { exec: [x], after: [a] }\n  c: { exec: [x], after: [b] }\n"
	  "  a: { exec: [x], after: [c] }",
	        "a.yaml:2:27: workers.b.after: a circle, so that none could ever start: b -> a -> "
	        "c -> b; take one of them away\n" },
};

static const struct expectation syntax[] = {
	{ "shutdown: [1, 2\n", "a.yaml:2:1: not YAML: did not find expected ',' or ']' (while "
	                       "parsing a flow sequence)\n" },
	{ "shutdown:\n\tdrain: 1s\n",
	        "a.yaml:2:1: not YAML: found character that cannot start any token (while scanning "
	        "for the next token); indent with spaces, not tabs, and quote texts that begin "
	        "with @, ` or %\n" },
	{ "log:\n  level: \xe9\n",
	        "a.yaml:2:10: not YAML: incomplete UTF-8 octet sequence; the file "
	        "must be UTF-8 text\n" },
	{ "log: *other", "a.yaml:1:6: not YAML: found undefined alias\n" },
	{ "---\n{}\n---\n{}\n",
	        "a.yaml:3:1: a second document begins here: put everything into one, or into two "
	        "files\n" },
	{ "a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
	        "a.yaml:1:35: nested too deeply: 32 levels are the most that is read\n" },
	{ "a: &a [*a]", "a.yaml:1:1: the aliases (*name) nest too deeply, or one stands inside of "
	                "what it names: write these values out\n" },
};

START_TEST(a_wrong_key_is_told_with_its_place_and_the_nearest_one)
{
	expect(&keys[_i]);
}
END_TEST

START_TEST(a_wrong_value_is_told_with_what_is_expected)
{
	expect(&values[_i]);
}
END_TEST

START_TEST(a_wrong_list_is_told_at_the_wrong_item)
{
	expect(&lists[_i]);
}
END_TEST

START_TEST(a_contradiction_is_told_with_the_way_out)
{
	expect(&contradictions[_i]);
}
END_TEST

START_TEST(what_is_not_yaml_is_told_like_any_other_error)
{
	expect(&syntax[_i]);
}
END_TEST

START_TEST(all_errors_come_at_once_in_the_order_of_the_file)
{
	static const struct expectation all = { "workers:\n"
		                                "  b: { exec: [x], after: [nobody] }\n"
		                                "  a: { exec: x, umask: 9 }\n"
		                                "shutdown: { drain: 1h }\n"
		                                "log: { levl: info }\n",
		"a.yaml:2:27: workers.b.after: there is no worker 'nobody': name one of this "
		"configuration\n"
		"a.yaml:3:14: workers.a.exec: expected a list, not a single value: write "
		"[/usr/bin/program, argument], or [/bin/sh, -c, 'a command line'] for a shell\n"
		"a.yaml:3:24: workers.a.umask: expected an octal mode such as 0027, not '9'\n"
		"a.yaml:4:13: shutdown.drain: 1h leaves no time to stop: it is counted in "
		"shutdown.deadline (20s); make it shorter than that\n"
		"a.yaml:5:8: log: unknown key 'levl': did you mean 'level'?\n" };
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	read_bad(all.yaml, &errors);
	ck_assert_str_eq(errors.text, all.errors);
	ck_assert_uint_eq(errors.count, 5);
}
END_TEST

START_TEST(control_characters_never_reach_a_message)
{
	static const struct expectation escape = { "log: { level: \"\\e[31m\\nx\" }",
		"a.yaml:1:15: log.level: expected error, warning, info or debug, not '?[31m?x'\n" };
	expect(&escape);
}
END_TEST

START_TEST(a_long_value_is_cut_between_two_letters)
{
	char yaml[512] = "log: { level: ";
	for (int i = 0; i < 60; i++)
		strcat(yaml, "\u00e9");
	strcat(yaml, " }");
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	read_bad(yaml, &errors);
	ck_assert_ptr_nonnull(strstr(errors.text, "\u00e9\u2026'\n"));
	ck_assert_uint_lt(strlen(errors.text), 160);
}
END_TEST

START_TEST(more_than_a_thousand_errors_are_counted)
{
	_cleanup_(freep) char *yaml = malloc(64 * 1024);
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	size_t length = 0;
	for (int i = 0; i < 1500; i++)
		length += (size_t)sprintf(yaml + length, "unknown%d: 1\n", i);
	read_bad(yaml, &errors);
	ck_assert_uint_eq(errors.count, 1500);
	ck_assert_ptr_nonnull(strstr(errors.text, "\nand 500 more\n"));
}
END_TEST

START_TEST(aliases_that_multiply_are_refused_at_once)
{
	char yaml[1024] = "l0: &l0 [x, x]\n";
	for (int i = 1; i < 30; i++)
		sprintf(yaml + strlen(yaml), "l%d: &l%d [*l%d, *l%d]\n", i, i, i - 1, i - 1);
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	read_bad(yaml, &errors);
	ck_assert_str_eq(errors.text,
	        "a.yaml:1:1: the aliases (*name) make the file too large: use "
	        "fewer of them\n");
}
END_TEST

START_TEST(too_many_values_are_refused)
{
	size_t count = CONFIG_NODES_MAX;
	_cleanup_(freep) char *yaml = malloc(2 * count + 16);
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	char *end = stpcpy(yaml, "a: [");
	for (size_t i = 0; i < count; i++)
		end = stpcpy(end, "1,");
	strcpy(end, "]");
	read_bad(yaml, &errors);
	ck_assert_uint_eq(errors.count, 1);
	ck_assert_ptr_nonnull(strstr(errors.text, "too many values in one file"));
}
END_TEST

START_TEST(many_workers_that_wait_in_a_row_are_no_circle)
{
	enum { COUNT = 10000 };
	_cleanup_(freep) char *yaml = malloc(COUNT * 64);
	char *end = stpcpy(yaml, "workers:\n");
	for (int i = 0; i < COUNT; i++)
		end += sprintf(end, "  w%d: { exec: [x], after: [w%d] }\n", i, (i + 1) % COUNT);
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	read_bad(yaml, &errors);
	ck_assert_uint_eq(errors.count, 1);
	ck_assert_ptr_nonnull(strstr(errors.text, "w0 -> w1 -> w2 -> "));
	config_errors_done(&errors);

	struct config *config = NULL;
	strcpy(strrchr(yaml, '['), "[] }\n");
	ck_assert_int_eq(config_read_text("a.yaml", yaml, strlen(yaml), &config, &errors), 0);
	ck_assert_uint_eq(config->worker_count, COUNT);
	config_free(config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_errors");
	TCase *each = tcase_create("each message");
	tcase_add_loop_test(each, a_wrong_key_is_told_with_its_place_and_the_nearest_one, 0,
	        (int)ARRAY_SIZE(keys));
	tcase_add_loop_test(
	        each, a_wrong_value_is_told_with_what_is_expected, 0, (int)ARRAY_SIZE(values));
	tcase_add_loop_test(
	        each, a_wrong_list_is_told_at_the_wrong_item, 0, (int)ARRAY_SIZE(lists));
	tcase_add_loop_test(
	        each, a_contradiction_is_told_with_the_way_out, 0, (int)ARRAY_SIZE(contradictions));
	tcase_add_loop_test(
	        each, what_is_not_yaml_is_told_like_any_other_error, 0, (int)ARRAY_SIZE(syntax));
	suite_add_tcase(suite, each);

	TCase *all = tcase_create("all together");
	tcase_add_test(all, all_errors_come_at_once_in_the_order_of_the_file);
	tcase_add_test(all, control_characters_never_reach_a_message);
	tcase_add_test(all, a_long_value_is_cut_between_two_letters);
	tcase_add_test(all, more_than_a_thousand_errors_are_counted);
	suite_add_tcase(suite, all);

	TCase *large = tcase_create("large");
	tcase_add_test(large, aliases_that_multiply_are_refused_at_once);
	tcase_add_test(large, too_many_values_are_refused);
	tcase_add_test(large, many_workers_that_wait_in_a_row_are_no_circle);
	suite_add_tcase(suite, large);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
