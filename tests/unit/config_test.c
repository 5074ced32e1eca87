/*
 * The configuration as it is read: defaults, every key's way into its field, several files,
 * credentials, what counts as a change, units and the reference.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/config_internal.h"

static char directory[64];

static void make_directory(void)
{
	strcpy(directory, P_tmpdir "/quiesced-config-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chdir(directory), 0);
}

static void remove_directory(void)
{
	char command[128];
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

/* Good, with the warnings given. The caller frees. */
static struct config *read_warned(const char *yaml, const char *warnings)
{
	struct config *config = NULL;
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	int r = config_read_text("a.yaml", yaml, strlen(yaml), &config, &errors);
	ck_assert_msg(r == 0, "%d: %s", r, errors.text ? errors.text : "");
	ck_assert_str_eq(errors.text, "");
	ck_assert_str_eq(errors.warnings, warnings);
	return config;
}

static struct config *read_good(const char *yaml)
{
	return read_warned(yaml, "");
}

static void expect_errors(const char *yaml, const char *expected)
{
	struct config *config = NULL;
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	int r = config_read_text("a.yaml", yaml, strlen(yaml), &config, &errors);
	ck_assert_int_eq(r, -EBADMSG);
	ck_assert_str_eq(errors.text, expected);
}

START_TEST(an_empty_file_is_all_defaults)
{
	static const char *const empty[] = { "", "# nothing\n", "---\n", "~", "workers:\n",
		"workers: {}\n" };
	struct config *config = read_good(empty[_i]);
	ck_assert_uint_eq(config->worker_count, 0);
	ck_assert_uint_eq(config->shutdown.drain, 0);
	ck_assert_uint_eq(config->shutdown.deadline, 20 * QS_SEC);
	ck_assert_uint_eq(config->shutdown.cancel_grace, 2 * QS_SEC);
	ck_assert_uint_eq(config->shutdown.kill_grace, QS_SEC);
	ck_assert_uint_eq(config->restarts.count, 100);
	ck_assert_uint_eq(config->restarts.within, QS_MIN);
	ck_assert_int_eq(config->log_level, LOG_LEVEL_INFO);
	ck_assert_uint_eq(config->log_max_line, 4096);
	ck_assert(!config->report_sync);
	ck_assert_ptr_null(config->control_socket);
	ck_assert_ptr_null(config->control_group);
	ck_assert_ptr_null(config->state_directory);
	config_free(config);
}
END_TEST

START_TEST(a_worker_of_one_line_has_the_defaults)
{
	struct config *config = read_good("workers:\n  a: { exec: [x] }\n");
	const struct worker_config *a = &config->workers[0];
	ck_assert_uint_eq(config->worker_count, 1);
	ck_assert_str_eq(a->name, "a");
	ck_assert_str_eq(a->mark.file, "a.yaml");
	ck_assert_uint_eq(a->mark.line, 2);
	ck_assert_uint_eq(a->mark.column, 3);
	ck_assert_str_eq(a->exec[0], "x");
	ck_assert_ptr_null(a->exec[1]);
	ck_assert_ptr_null(a->after[0]);
	ck_assert_ptr_null(a->environment[0]);
	ck_assert_int_eq(a->when, WHEN_ALWAYS);
	ck_assert_int_eq(a->restart, RESTART_ON_FAILURE);
	ck_assert(a->essential && !a->ready_notify);
	ck_assert_uint_eq(a->ready_timeout, 30 * QS_SEC);
	ck_assert_uint_eq(a->backoff.base, QS_SEC);
	ck_assert_uint_eq(a->backoff.cap, 5 * QS_MIN);
	ck_assert_uint_eq(a->backoff.reset_after, 10 * QS_MIN);
	ck_assert_uint_eq(a->limit.count, 10);
	ck_assert_uint_eq(a->limit.within, 15 * QS_MIN);
	ck_assert_uint_eq(a->heartbeat, 0);
	ck_assert_int_eq(a->stop_signal, SIGTERM);
	ck_assert_int_eq(a->cancel_signal, 0);
	ck_assert_uint_eq(a->stop_deadline, QS_FOREVER);
	ck_assert_uint_eq(a->stop_success_count, 0);
	ck_assert_ptr_null(a->working_directory);
	ck_assert_int_eq(a->umask, -1);
	ck_assert_uint_eq(a->limits.memory + a->limits.pids + a->limits.open_files, 0);
	config_free(config);
}
END_TEST

START_TEST(every_key_outside_of_workers_reaches_its_field)
{
	struct config *config = read_good("shutdown: { drain: 1s, deadline: 1min 30s, "
	                                  "cancel_grace: 1.5s, kill_grace: 10ms }\n"
	                                  "supervision: { restarts: { count: 7, within: 2h } }\n"
	                                  "log: { level: debug, max_line: 8KiB }\n"
	                                  "report: { sync: yes }\n"
	                                  "control: { socket: /s, group: g }\n"
	                                  "state: { directory: /d }\n");
	ck_assert_uint_eq(config->shutdown.drain, QS_SEC);
	ck_assert_uint_eq(config->shutdown.deadline, 90 * QS_SEC);
	ck_assert_uint_eq(config->shutdown.cancel_grace, 1500 * QS_MSEC);
	ck_assert_uint_eq(config->shutdown.kill_grace, 10 * QS_MSEC);
	ck_assert_uint_eq(config->restarts.count, 7);
	ck_assert_uint_eq(config->restarts.within, 2 * QS_HOUR);
	ck_assert_int_eq(config->log_level, LOG_LEVEL_DEBUG);
	ck_assert_uint_eq(config->log_max_line, 8192);
	ck_assert(config->report_sync);
	ck_assert_str_eq(config->control_socket, "/s");
	ck_assert_str_eq(config->control_group, "g");
	ck_assert_str_eq(config->state_directory, "/d");
	config_free(config);
}
END_TEST

START_TEST(every_key_of_a_worker_reaches_its_field)
{
	struct config *config = read_good(
	        "workers:\n  b: { exec: [x] }\n  a:\n"
	        "    exec: [x, 2, \"\", 010, yes]\n    restart: always\n    after: [b]\n"
	        "    backoff: { base: 2s, cap: 3s, reset_after: infinity }\n"
	        "    limit: { count: 0, within: 1s }\n    essential: false\n"
	        "    ready: { notify: true, timeout: infinity }\n    heartbeat: 5\n"
	        "    stop: { signal: int, cancel_signal: SIGRTMIN+2, deadline: 4s, success: [3, 0] "
	        "}\n"
	        "    environment: { A: 1, B: '', C_2: \"a=b\" }\n    working_directory: /w\n"
	        "    umask: 0027\n    limits: { memory: 1GiB, pids: 9, open_files: 99 }\n");
	const struct worker_config *a = &config->workers[1];
	static const char *const exec[] = { "x", "2", "", "010", "yes" };
	for (size_t i = 0; i < ARRAY_SIZE(exec); i++)
		ck_assert_str_eq(a->exec[i], exec[i]);
	ck_assert_ptr_null(a->exec[ARRAY_SIZE(exec)]);
	ck_assert_int_eq(a->restart, RESTART_ALWAYS);
	ck_assert_str_eq(a->after[0], "b");
	ck_assert_ptr_null(a->after[1]);
	ck_assert_uint_eq(a->backoff.base, 2 * QS_SEC);
	ck_assert_uint_eq(a->backoff.cap, 3 * QS_SEC);
	ck_assert_uint_eq(a->backoff.reset_after, QS_FOREVER);
	ck_assert_uint_eq(a->limit.count, 0);
	ck_assert_uint_eq(a->limit.within, QS_SEC);
	ck_assert(!a->essential && a->ready_notify);
	ck_assert_uint_eq(a->ready_timeout, QS_FOREVER);
	ck_assert_uint_eq(a->heartbeat, 5 * QS_SEC);
	ck_assert_int_eq(a->stop_signal, SIGINT);
	ck_assert_int_eq(a->cancel_signal, SIGRTMIN + 2);
	ck_assert_uint_eq(a->stop_deadline, 4 * QS_SEC);
	ck_assert_uint_eq(a->stop_success_count, 2);
	ck_assert_int_eq(a->stop_success[0], 3);
	ck_assert_str_eq(a->environment[0], "A=1");
	ck_assert_str_eq(a->environment[1], "B=");
	ck_assert_str_eq(a->environment[2], "C_2=a=b");
	ck_assert_ptr_null(a->environment[3]);
	ck_assert_str_eq(a->working_directory, "/w");
	ck_assert_int_eq(a->umask, 027);
	ck_assert_uint_eq(a->limits.memory, UINT64_C(1) << 30);
	ck_assert_uint_eq(a->limits.pids, 9);
	ck_assert_uint_eq(a->limits.open_files, 99);
	config_free(config);
}
END_TEST

START_TEST(restart_follows_when)
{
	struct config *config = read_good("workers:\n"
	                                  "  a: { exec: [x], when: always }\n"
	                                  "  b: { exec: [x], when: once }\n"
	                                  "  c: { exec: [x], when: every 1min 30s, after: [b] }\n"
	                                  "  d: { exec: [x], when: once, restart: on-failure }\n"
	                                  "  e: { exec: [x], after: [c] }\n");
	static const enum when when[] = { WHEN_ALWAYS, WHEN_ONCE, WHEN_EVERY, WHEN_ONCE };
	static const enum restart restart[] = { RESTART_ON_FAILURE, RESTART_NEVER, RESTART_NEVER,
		RESTART_ON_FAILURE };
	for (size_t i = 0; i < ARRAY_SIZE(when); i++) {
		ck_assert_str_eq(when_name(config->workers[i].when), when_name(when[i]));
		ck_assert_str_eq(
		        restart_name(config->workers[i].restart), restart_name(restart[i]));
	}
	ck_assert_uint_eq(config->workers[2].every, 90 * QS_SEC);
	config_free(config);
}
END_TEST

START_TEST(what_can_have_no_effect_is_a_warning)
{
	config_free(read_warned("workers:\n  a: { exec: [x], limit: { within: 1s, count: 9 } }\n"
	                        "  b: { exec: [x], when: once, backoff: { base: 2s } }\n",
	        "a.yaml:2:40: workers.a.limit: 9 restarts can never come within 1s with this "
	        "backoff, so it is restarted for ever: lower limit.count, raise limit.within or "
	        "lower backoff.cap\n"
	        "a.yaml:3:42: workers.b: backoff and limit have no effect: it is never "
	        "restarted\n"));
}
END_TEST

START_TEST(later_files_add_workers_and_replace_settings_key_by_key)
{
	struct config *config = NULL;
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	write_file("main.yaml", "shutdown: { deadline: 5s, kill_grace: 7s }\n"
	                        "control: { group: a }\n"
	                        "workers: { a: { exec: [x], after: [b] } }\n");
	ck_assert_int_eq(mkdir("conf.d", 0700), 0);
	write_file("conf.d/20.yaml", "shutdown: { deadline: 8s }\ncontrol: { group: c }\n");
	write_file("conf.d/10.yaml", "shutdown: { deadline: 6s }\ncontrol: { group: b }\n"
	                             "workers: { b: { exec: [x] } }\n");
	write_file("conf.d/.hidden.yaml", "nonsense");
	write_file("conf.d/old.yaml~", "nonsense");
	ck_assert_int_eq(config_read("main.yaml", "conf.d", &config, &errors), 0);
	ck_assert_uint_eq(config->shutdown.deadline, 8 * QS_SEC);
	ck_assert_uint_eq(config->shutdown.kill_grace, 7 * QS_SEC);
	ck_assert_str_eq(config->control_group, "c");
	ck_assert_uint_eq(config->worker_count, 2);
	ck_assert_str_eq(config->workers[1].mark.file, "conf.d/10.yaml");
	config_free(config);
}
END_TEST

START_TEST(errors_of_all_files_come_in_the_order_of_the_files)
{
	struct config *config = NULL;
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	write_file("main.yaml", "workers: { a: { exec: [x], after: [b] } }\nlog: { level: 1 }\n");
	ck_assert_int_eq(mkdir("conf.d", 0700), 0);
	ck_assert_int_eq(mkdir("conf.d/2.yaml", 0700), 0);
	write_file("conf.d/1.yaml", "workers: { a: { exec: [y] } }\n");
	ck_assert_int_eq(config_read("main.yaml", "conf.d", &config, &errors), -EBADMSG);
	/* Nothing about b, which may stand in the file that cannot be read. */
	ck_assert_str_eq(errors.text,
	        "main.yaml:2:15: log.level: expected error, warning, info or debug, not '1'\n"
	        "conf.d/1.yaml:1:12: worker 'a' is there already, at main.yaml:1:12: give one of "
	        "them another name\n"
	        "conf.d/2.yaml:1:1: cannot be read: Is a directory\n");
}
END_TEST

START_TEST(a_file_that_is_missing_or_too_large_is_an_error)
{
	struct config *config = NULL;
	struct config_errors errors = { 0 };
	ck_assert_int_eq(config_read("none.yaml", "none.d", &config, &errors), -EBADMSG);
	ck_assert_str_eq(errors.text, "none.yaml:1:1: cannot be read: No such file or directory\n");
	config_errors_done(&errors);

	write_file("large.yaml", "");
	ck_assert_int_eq(truncate("large.yaml", CONFIG_FILE_MAX + 1), 0);
	ck_assert_int_eq(config_read("large.yaml", NULL, &config, &errors), -EBADMSG);
	ck_assert_str_eq(errors.text, "large.yaml:1:1: larger than 1MiB, the most that is read: "
	                              "split it up into conf.d\n");
	config_errors_done(&errors);

	write_file("plain.d", "");
	write_file("good.yaml", "");
	ck_assert_int_eq(config_read("good.yaml", "plain.d", &config, &errors), -EBADMSG);
	ck_assert_str_eq(errors.text, "plain.d:1:1: cannot be read: Not a directory\n");
	config_errors_done(&errors);
	ck_assert_ptr_null(config);
}
END_TEST

START_TEST(a_credential_is_filled_in_without_its_last_newline)
{
	write_file("key", "s3cret\n\n");
	write_file("empty", "");
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
	struct config *config =
	        read_good("workers:\n  a:\n"
	                  "    exec: [x, \"a${credential:key}b${credential:empty}c\", "
	                  "\"$${credential:key}\", "
	                  "\"$ ${HOME} $$\"]\n"
	                  "    environment: { KEY: \"${credential:key}\" }\n");
	char **exec = config->workers[0].exec;
	ck_assert_str_eq(exec[1], "as3cret\nbc");
	ck_assert_str_eq(exec[2], "${credential:key}");
	ck_assert_str_eq(exec[3], "$ ${HOME} $$");
	ck_assert_str_eq(config->workers[0].environment[0], "KEY=s3cret\n");
	config_free(config);
}
END_TEST

START_TEST(a_credential_that_cannot_be_used_is_told_without_its_value)
{
	static const char yaml[] = "workers: { a: { exec: [x, \"${credential:key}\"] } }";
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
	expect_errors(yaml,
	        "a.yaml:1:27: workers.a.exec: the credential 'key' cannot be read: No such file or "
	        "directory; add LoadCredential= to the service\n");

	_cleanup_(freep) char *secret = calloc(1, CONFIG_STRING_MAX + 2);
	memset(secret, 's', CONFIG_STRING_MAX + 1);
	write_file("key", secret);
	expect_errors(yaml, "a.yaml:1:27: workers.a.exec: longer than 128KiB, the most that a "
	                    "program can be given: use a file\n");
	ck_assert_int_eq(truncate("key", 3), 0);
	ck_assert_int_eq(truncate("key", 4), 0);
	expect_errors(yaml, "a.yaml:1:27: workers.a.exec: the credential 'key' contains a NUL "
	                    "byte: no program can be given that\n");

	ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	expect_errors(yaml,
	        "a.yaml:1:27: workers.a.exec: the credential 'key' is missing: "
	        "$CREDENTIALS_DIRECTORY is not set; add LoadCredential= to the service\n");
	expect_errors(
	        "workers: { a: { exec: [x, \"${credential:../key}\", \"${credential:key\"] } }",
	        "a.yaml:1:27: workers.a.exec: '../key' is no name of a credential: write the name "
	        "of a file, without /\n"
	        "a.yaml:1:51: workers.a.exec: ${credential: has no end: write "
	        "${credential:NAME}\n");
}
END_TEST

START_TEST(only_what_runs_makes_a_run_differ)
{
	static const char *const same[] = { "restart: always", "backoff: { base: 2s }",
		"limit: { count: 3 }", "stop: { deadline: 3s }", "essential: false", "after: [b]",
		"exec: [x, 1]" };
	static const char *const different[] = { "when: once", "when: every 1s", "umask: 0",
		"environment: { A: b }", "working_directory: /", "limits: { pids: 3 }",
		"limits: { memory: 1MiB }", "limits: { open_files: 30 }", "heartbeat: 3s",
		"ready: { notify: true }", "ready: { notify: true, timeout: 3s }",
		"stop: { signal: INT }", "stop: { cancel_signal: INT }", "stop: { success: [3] }",
		"exec: [x, 2]", "exec: [x]", "exec: [x, 1, 2]" };
	bool expected = _i < (int)ARRAY_SIZE(same);
	const char *text = expected ? same[_i] : different[(size_t)_i - ARRAY_SIZE(same)];
	char yaml[256];
	(void)snprintf(yaml, sizeof(yaml), "workers: { b: { exec: [x, 1] }, a: { %s, %s } }", text,
	        strncmp(text, "exec", 4) == 0 ? "essential: true" : "exec: [x, 1]");
	struct config *config = read_good(yaml);
	const struct worker_config *a = &config->workers[1], *b = &config->workers[0];
	ck_assert_msg(worker_config_same_run(a, b) == expected, "%s", text);
	ck_assert(worker_config_same_run(b, a) == expected);
	ck_assert(worker_config_same_run(a, a));
	config_free(config);
}
END_TEST

START_TEST(the_reference_prints_every_key)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	config_print_reference(out);
	ck_assert_int_eq(fclose(out), 0);
	for (size_t i = 0; i < schema_count(); i++) {
		char line[128];
		(void)snprintf(line, sizeof(line), "%s%s\n        ", i > 0 ? "\n" : "",
		        schema_row(i)->path);
		ck_assert_msg(strstr(text, line) != NULL, "%s is missing", schema_row(i)->path);
	}
	ck_assert_ptr_nonnull(strstr(text, "default: 20s\n"));
	ck_assert_ptr_null(strstr(text, "(null)"));
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *keys = tcase_create("keys");
	tcase_add_loop_test(keys, an_empty_file_is_all_defaults, 0, 6);
	tcase_add_test(keys, a_worker_of_one_line_has_the_defaults);
	tcase_add_test(keys, every_key_outside_of_workers_reaches_its_field);
	tcase_add_test(keys, every_key_of_a_worker_reaches_its_field);
	tcase_add_test(keys, restart_follows_when);
	tcase_add_test(keys, what_can_have_no_effect_is_a_warning);
	tcase_add_loop_test(keys, only_what_runs_makes_a_run_differ, 0, 24);
	tcase_add_test(keys, the_reference_prints_every_key);
	suite_add_tcase(suite, keys);

	TCase *files = tcase_create("files");
	tcase_add_checked_fixture(files, make_directory, remove_directory);
	tcase_add_test(files, later_files_add_workers_and_replace_settings_key_by_key);
	tcase_add_test(files, errors_of_all_files_come_in_the_order_of_the_files);
	tcase_add_test(files, a_file_that_is_missing_or_too_large_is_an_error);
	tcase_add_test(files, a_credential_is_filled_in_without_its_last_newline);
	tcase_add_test(files, a_credential_that_cannot_be_used_is_told_without_its_value);
	suite_add_tcase(suite, files);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
