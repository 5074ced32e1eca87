/* quiescectl against a daemon that is none: what it asks, what it shows, how it exits. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/utf8.h"
#include "tests/unit/fake_daemon.h"

#define LONG_NAME "a-worker-whose-name-is-as-long-as-names-may-be-sixty-three-byte"

#define STATUS_BODY                                                                                \
	"{\"daemon\": {\"version\": \"0.1.0\", \"pid\": 4242, \"phase\": \"stopping\","            \
	" \"ready\": false, \"uptime_seconds\": 8000.5}, \"workers\": ["                           \
	"{\"name\": \"ticker\", \"state\": \"running\", \"pid\": 4711, \"restarts\": 0,"           \
	" \"since\": \"2026-01-01T00:00:00.000Z\","                                                \
	" \"status\": \"sp\xc3\xa4t \\u001b]0;owned\\u0007 \xe6\xbc\xa2\xe5\xad\x97 and "          \
	"much more text that no narrow terminal holds\"},"                                         \
	"{\"name\": \"" LONG_NAME "\", \"state\": \"stopping\", \"pid\": 4712,"                    \
	" \"waiting_on\": \"pid 4712\", \"task\": {\"id\": 3, \"rung\": \"ask\"}},"                \
	"{\"name\": \"broken\", \"state\": \"failed\", \"restarts\": 10,"                          \
	" \"last_verdict\": \"failed\", \"detail\": \"exit status 3\"}],"                          \
	" \"shutdown\": {\"reason\": {\"kind\": \"signal\", \"detail\": \"signal SIGTERM\"},"      \
	" \"seconds_left\": 12.5, \"stragglers\": [{\"worker\": \"" LONG_NAME "\", \"pid\": 4712," \
	" \"rung\": \"ask\", \"asked_seconds\": 3.25, \"waiting_on\": \"pid 4712\"}]}}"

static const struct canned status_only[] = { { .request = "GET /v1/status ", 200, STATUS_BODY },
	{ 0 } };

static struct fake_daemon fake;

static struct ctl_run on_terminal(
        unsigned columns, const char *locale, const char *variable, const char *words)
{
	struct ctl_where where = { columns, locale, { variable }, false };
	struct ctl_run run = ctl_begin(fake.socket, &where, words);

	ctl_finish(&run);
	return run;
}

/* The columns of the widest line, without what steers colours; wide characters count two. */
static size_t widest_line(const char *text)
{
	size_t widest = 0, columns = 0;

	while (*text) {
		int length = qs_utf8_next(text, strlen(text));

		ck_assert_int_gt(length, 0);
		if (*text == '\033') {
			text += strcspn(text, "mK") + 1;
			continue;
		}
		columns = *text == '\n'
		                  ? 0
		                  : columns + (*text == '\r' ? 0
		                                      : length == 3 && (unsigned char)*text >= 0xe4
		                                              ? 2
		                                              : 1);
		widest = MAX(widest, columns);
		text += length;
	}
	return widest;
}

/* --- the look --- */

START_TEST(status_on_a_terminal_fits_its_columns)
{
	unsigned columns = _i == 0 ? 80 : 132;
	struct ctl_run run;

	fake_daemon_start(&fake, status_only);
	run = on_terminal(columns, NULL, NULL, "status");
	ck_assert_int_eq(run.status, 0);
	ck_assert_uint_le(widest_line(run.out), columns);
	ck_assert_uint_gt(widest_line(run.out), columns - 10);
	ck_assert_ptr_nonnull(strstr(run.out, "\033["));
	ck_assert_ptr_nonnull(strstr(run.out, "●"));
	ck_assert_ptr_nonnull(strstr(run.out, "…"));
	ck_assert_ptr_nonnull(strstr(run.out, "signal SIGTERM"));
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

START_TEST(status_in_a_pipe_is_plain_and_cuts_nothing)
{
	struct ctl_run run;

	fake_daemon_start(&fake, status_only);
	run = ctl(fake.socket, "status");
	ck_assert_int_eq(run.status, 0);
	ck_assert_ptr_null(strchr(run.out, '\033'));
	ck_assert_ptr_nonnull(strstr(run.out, LONG_NAME "  4712"));
	ck_assert_ptr_nonnull(
	        strstr(run.out, LONG_NAME "  asked 3.2s ago, rung ask, waits for pid 4712\n"));
	ck_assert_ptr_nonnull(strstr(run.out, "that no narrow terminal holds\n"));
	ck_assert_str_eq(run.err, "");
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

START_TEST(no_color_is_honoured)
{
	struct ctl_run run;

	fake_daemon_start(&fake, status_only);
	run = on_terminal(80, NULL, _i == 0 ? "NO_COLOR=1" : "TERM=dumb", "status");
	ck_assert_int_eq(run.status, 0);
	ck_assert_ptr_null(strchr(run.out, '\033'));
	ck_assert_ptr_nonnull(strstr(run.out, "●"));
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

START_TEST(other_locales_see_ascii_only)
{
	struct ctl_run run;

	fake_daemon_start(&fake, status_only);
	run = on_terminal(80, "C", NULL, "status");
	ck_assert_int_eq(run.status, 0);
	for (const char *c = run.out; *c; c++)
		ck_assert_int_lt((unsigned char)*c, 0x80);
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

START_TEST(a_worker_cannot_steer_the_terminal)
{
	struct ctl_run run;

	fake_daemon_start(&fake, status_only);
	run = on_terminal(200, NULL, NULL, "status");
	ck_assert_ptr_null(strstr(run.out, "\033]"));
	ck_assert_ptr_null(strchr(run.out, '\a'));
	ck_assert_ptr_nonnull(strstr(run.out, "?]0;owned? 漢字"));
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

START_TEST(json_is_passed_on_unchanged)
{
	struct ctl_run run;

	fake_daemon_start(&fake, status_only);
	run = ctl(fake.socket, "--json status");
	ck_assert_int_eq(run.status, 0);
	ck_assert_str_eq(run.out, STATUS_BODY "\n");
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

START_TEST(list_is_three_plain_columns)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/workers ",
		        200,
		        "{\"workers\": [{\"name\": \"a\", \"state\": \"running\", \"pid\": 12},"
		        " {\"name\": \"bcd\", \"state\": \"backoff\", \"pid\": null}]}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "list");
	ck_assert_str_eq(run.out, "a    running  12\nbcd  backoff   -\n");
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

#define REPORT_HEAD "{\"version\": 1, \"pid\": 7, \"started_at\": \"2026-01-01T00:00:00.000Z\", "

START_TEST(the_last_shutdown_is_told)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/shutdowns/last ",
		        200,
		        REPORT_HEAD
		        "\"unclean\": false, \"reason\": {\"kind\": \"signal\", \"detail\": "
		        "\"signal SIGTERM\"},"
		        " \"requested_at\": \"2026-01-02T00:00:00.000Z\", \"duration_ms\": 4012.5,"
		        " \"exit_status\": 150, \"phases\": [{\"name\": \"stopping\", "
		        "\"began_ms\": 0,"
		        " \"ended_ms\": 4000}], \"counts\": {\"stopped\": 2, \"failed\": 0, "
		        "\"killed\": 1},"
		        " \"tasks\": [{\"id\": 4, \"name\": \"stubborn\", \"worker\": \"stubborn\","
		        " \"verdict\": \"killed\", \"cause\": \"shutdown\", \"rung\": \"kill\","
		        " \"asked_ms\": 0, \"ended_ms\": 4012, \"detail\": \"signal 9 (Killed)\"}],"
		        " \"tasks_omitted\": 2}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "last-shutdown");
	ck_assert_int_eq(run.status, 0);
	ck_assert_ptr_nonnull(strstr(run.out, "quiesced in 4.0s: 2 stopped, 1 killed\n"));
	ck_assert_ptr_nonnull(
	        strstr(run.out, "signal SIGTERM at 2026-01-02 00:00:00, exit status 150\n"));
	ck_assert_ptr_nonnull(strstr(run.out, "stopping    0ms    4.0s\n"));
	ck_assert_ptr_nonnull(strstr(run.out, "killed   stubborn  shutdown  kill"));
	ck_assert_ptr_nonnull(strstr(run.out, "and 2 more\n"));
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

START_TEST(a_run_without_a_report_is_told)
{
	static const struct canned canned[] = {
		{ .request = "GET /v1/shutdowns/last ",
		        200,
		        REPORT_HEAD "\"unclean\": true, \"reason\": null, \"tasks\": []}" },
		{ 0 },
	};
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, "last-shutdown");
	ck_assert_int_eq(run.status, 0);
	ck_assert_ptr_nonnull(strstr(run.out, "the last run ended without a report"));
	ck_assert_ptr_nonnull(strstr(run.out, "2026-01-01 00:00:00 as pid 7\n"));
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

START_TEST(progress_is_shown_and_erased)
{
	static const struct canned canned[] = {
		{ .request = "POST /v1/workers/ticker/stop",
		        200,
		        "{\"name\": \"ticker\", \"state\": \"stopped\"}",
		        .on_word = true },
		{ 0 },
	};
	struct ctl_where where = { .columns = 80 };
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl_begin(fake.socket, &where, "stop ticker --wait");
	ctl_await(&run, "… 1s");
	fake_daemon_go(&fake);
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 0);
	ck_assert_ptr_nonnull(strstr(strstr(run.out, "… 1s"), "\r\033[K\033[2m○"));
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

/* --- exit statuses --- */

static const struct exit_case {
	const char *words;
	struct canned canned;
	int status;
} exit_cases[] = {
	{ "show nope", { .request = "GET /v1/workers/nope ", 404, "{\"detail\": \"no such\"}" },
	        3 },
	{ "drain", { .request = "POST /v1/drain ", 403, "{\"detail\": \"not you\"}" }, 4 },
	{ "start a", { .request = "POST /v1/workers/a/start ", 409, "{\"detail\": \"draining\"}" },
	        4 },
	{ "reload",
	        { .request = "POST /v1/reload ",
	                422,
	                "{\"detail\": \"bad\", \"errors\": [\"f:1:2: x\"]}" },
	        4 },
	{ "reload", { .request = "POST /v1/reload ", 200, "{\"added\": 1, \"warnings\": []}" }, 0 },
	{ "stop a", { .request = "POST /v1/workers/a/stop ", 202, "{\"name\": \"a\"}" }, 0 },
	{ "stop a --wait=1s",
	        { .request = "POST /v1/workers/a/stop?wait=", 202, "{\"name\": \"a\"}" }, 8 },
	{ "reload --wait", { .request = "POST /v1/reload?wait=", 202, "{}" }, 8 },
	{ "reload --wait", { .request = "POST /v1/reload?wait=", 200, "{\"added\": 1}" }, 0 },
	{ "start a",
	        { .request = "POST /v1/workers/a/start ", 500, "{\"detail\": \"has failed\"}" },
	        1 },
	{ "status", { .request = "GET ", 500, "no JSON at all" }, 1 },
	{ "status", { .request = "GET ", 200, "<html>no JSON" }, 1 },
	{ "--json status", { .request = "GET ", 200, "<html>no JSON" }, 1 },
	{ "status", { .request = "GET ", 200, "" }, 1 },
	{ "status", { .request = "GET ", 200, "[1, \"two\"]" }, 0 },
	{ "status",
	        { .request = "GET ",
	                .raw = "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"dae" },
	        1 },
	{ "status", { .request = "GET ", .raw = "HTTP/1.1 200 OK\r\nContent-" }, 1 },
	{ "status", { .request = "GET ", .raw = "" }, 1 },
	{ "status", { .request = "GET ", .raw = "SSH-2.0-OpenSSH\r\n" }, 1 },
	{ "events", { .request = "GET /v1/events ", .raw = "HTTP/1.1 200 OK\r\n\r\n{\"event\":" },
	        1 },
	{ "events", { .request = "GET /v1/events ", 403, "{\"detail\": \"not you\"}" }, 4 },
	{ "health", { .request = "GET /readyz ", 200, "ok\n" }, 0 },
	{ "health", { .request = "GET /readyz ", 503, "not ready\n" }, 1 },
	{ "health --verbose", { .request = "GET /readyz?verbose ", 503, "[-]a failed\n" }, 1 },
	{ "health --live", { .request = "GET /livez ", 200, "ok\n" }, 0 },
	{ "health", { .request = "GET /readyz ", 404, "{}" }, 1 },
	{ "", { .request = "", 200, "" }, 2 },
	{ "dance", { .request = "", 200, "" }, 2 },
	{ "start", { .request = "", 200, "" }, 2 },
	{ "show a b", { .request = "", 200, "" }, 2 },
	{ "list --wait", { .request = "", 200, "" }, 2 },
	{ "stop a --wait=soon", { .request = "", 200, "" }, 2 },
	{ "--no-such-option status", { .request = "", 200, "" }, 2 },
	{ "show ", { .request = "", 200, "" }, 2 },
	{ "--help", { .request = "", 200, "" }, 0 },
	{ "stop --help", { .request = "", 200, "" }, 0 },
	{ "--version", { .request = "", 200, "" }, 0 },
};

START_TEST(exit_statuses_are_as_documented)
{
	const struct exit_case *exit_case = &exit_cases[_i];
	struct canned canned[] = { exit_case->canned, { 0 } };
	bool well = exit_case->status == 0 || strncmp(exit_case->words, "health", 6) == 0;
	struct ctl_run run;

	fake_daemon_start(&fake, canned);
	run = ctl(fake.socket, exit_case->words);
	ck_assert_msg(run.status == exit_case->status, "%s: %d instead of %d (%s%s)",
	        exit_case->words, run.status, exit_case->status, run.out, run.err);
	ck_assert_msg(well || strstr(run.err, "quiescectl: "), "%s says not why: %s",
	        exit_case->words, run.err);
	if (exit_case->status == 2)
		ck_assert_ptr_null(fake_daemon_request(&fake, 0));
	if (strncmp(exit_case->words, "--json", 6) == 0)
		ck_assert_str_eq(run.out, "");
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

START_TEST(a_daemon_that_does_not_run_is_told)
{
	static const struct canned none[] = { { 0 } };
	char nowhere[128];
	struct ctl_run run;

	fake_daemon_start(&fake, none);
	snprintf(nowhere, sizeof(nowhere), "%s/nowhere", fake.directory);
	run = ctl(nowhere, "status");
	ck_assert_int_eq(run.status, 7);
	ck_assert_ptr_nonnull(strstr(run.err, "is not running"));
	ctl_done(&run);
	run = ctl(nowhere, "health");
	ck_assert_int_eq(run.status, 1);
	ck_assert_ptr_nonnull(strstr(run.err, "is not running"));
	ctl_done(&run);
	kill(fake.pid, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)fake.pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	run = ctl(fake.socket, "stop a b");
	ck_assert_int_eq(run.status, 7);
	ck_assert_ptr_nonnull(strstr(run.err, "nobody listens"));
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

START_TEST(a_socket_that_may_not_be_opened_is_a_refusal)
{
	struct ctl_where where = { .unprivileged = true };
	struct ctl_run run;

	fake_daemon_start(&fake, status_only);
	ck_assert_int_eq(chmod(fake.socket, 0), 0);
	run = ctl_begin(fake.socket, &where, "status");
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 4);
	ck_assert_ptr_nonnull(strstr(run.err, "no permission"));
	ctl_done(&run);
	fake_daemon_stop(&fake);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl");
	TCase *look = tcase_create("look"), *exits = tcase_create("exits");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(look, status_on_a_terminal_fits_its_columns, 0, 2);
	tcase_add_test(look, status_in_a_pipe_is_plain_and_cuts_nothing);
	tcase_add_loop_test(look, no_color_is_honoured, 0, 2);
	tcase_add_test(look, other_locales_see_ascii_only);
	tcase_add_test(look, a_worker_cannot_steer_the_terminal);
	tcase_add_test(look, json_is_passed_on_unchanged);
	tcase_add_test(look, list_is_three_plain_columns);
	tcase_add_test(look, the_last_shutdown_is_told);
	tcase_add_test(look, a_run_without_a_report_is_told);
	tcase_add_test(look, progress_is_shown_and_erased);
	suite_add_tcase(suite, look);
	tcase_add_loop_test(exits, exit_statuses_are_as_documented, 0, (int)ARRAY_SIZE(exit_cases));
	tcase_add_test(exits, a_daemon_that_does_not_run_is_told);
	tcase_add_test(exits, a_socket_that_may_not_be_opened_is_a_refusal);
	suite_add_tcase(suite, exits);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
