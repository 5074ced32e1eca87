/* HTTP work and calls in the configuration: what contradicts itself, and what is said of it. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

#define CALL "workers:\n  a: { when: call, http: { url: 'https://h/', "
#define POLL "workers:\n  a: { when: every 1s, http: { url: 'https://h/', "

static struct config *config;
static struct config_errors errors;

static int read_text(const char *yaml)
{
	config_free(config);
	config_errors_done(&errors);
	config = NULL;
	return config_read_text("a.yaml", yaml, strlen(yaml), &config, &errors);
}

static const struct worker_config *read_good(const char *yaml)
{
	int r = read_text(yaml);
	ck_assert_msg(r == 0, "%s\n%s", yaml, errors.text);
	return &config->workers[0];
}

static void tear_down(void)
{
	config_free(config);
	config_errors_done(&errors);
	config = NULL;
}

struct expectation {
	const char *yaml, *text; /* all lines */
};

static void expect_errors(const struct expectation *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ck_assert_msg(read_text(cases[i].yaml) == -EBADMSG, "%s", cases[i].yaml);
		ck_assert_msg(strcmp(errors.text, cases[i].text) == 0,
		        "\n%s\nsays\n%sinstead of\n%s", cases[i].yaml, errors.text, cases[i].text);
	}
}

static void expect_warnings(const struct expectation *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		read_good(cases[i].yaml);
		ck_assert_msg(strcmp(errors.warnings, cases[i].text) == 0,
		        "\n%s\nwarns\n%sinstead of\n%s", cases[i].yaml, errors.warnings,
		        cases[i].text);
	}
}

START_TEST(one_of_exec_module_and_http_and_a_time_for_it)
{
	static const struct expectation cases[] = {
		{ "workers:\n  a: { exec: [x], http: { url: 'http://h/' } }",
		        "a.yaml:2:27: workers.a.http: it has an exec too, and runs one of them "
		        "only: leave one out\n" },
		{ "workers:\n  a: { when: once, module: { path: /m }, http: { url: 'http://h/' } }",
		        "a.yaml:2:30: workers.a.module: it has an http too, and runs one of them "
		        "only: leave one out\n" },
		{ "workers:\n  a: { when: call, http: { method: PUT } }",
		        "a.yaml:2:28: workers.a.http: has no url: say what to ask, such as url: "
		        "\"https://HOST/\"\n" },
		{ "workers:\n  a: { http: { url: 'http://h/' } }",
		        "a.yaml:2:3: workers.a: has http and does not say when: add when: every "
		        "30s "
		        "to poll, when: once, or when: call to be called\n" },
		{ "workers:\n  a: { when: always, http: { url: 'http://h/' } }",
		        "a.yaml:2:8: workers.a.when: 'always' is refused with http, which has an "
		        "end: write every SPAN, once or call\n" },
		{ "workers:\n  a: { when: call, module: { path: /m } }",
		        "a.yaml:2:8: workers.a.when: a module cannot be called: exec and http "
		        "can\n" },
	};
	expect_errors(cases, ARRAY_SIZE(cases));
}
END_TEST

START_TEST(keys_of_other_work_are_refused)
{
	static const struct expectation cases[] = {
		{ "workers:\n  a: { when: call, exec: [x], restart: never }",
		        "a.yaml:2:31: workers.a.restart: is refused with when: call, where a call "
		        "is "
		        "made again by http.retry: leave it out\n" },
		{ "workers:\n  a: { when: call, exec: [x], ready: { notify: true }, heartbeat: 1s "
		  "}",
		        "a.yaml:2:40: workers.a.ready.notify: means nothing with when: call: leave "
		        "it out\n"
		        "a.yaml:2:56: workers.a.heartbeat: means nothing with when: call: leave it "
		        "out\n" },
		{ CALL "save: /f } }",
		        "a.yaml:2:47: workers.a.http.save: means nothing with when: call: leave it "
		        "out\n" },
		{ "workers:\n  a: { exec: [x], concurrency: 1 }\n  b: { exec: [x], rate: { count: "
		  "1 } }",
		        "a.yaml:2:19: workers.a.concurrency: is for workers with when: call: leave "
		        "it out\n"
		        "a.yaml:3:27: workers.b.rate.count: is for workers with when: call: leave "
		        "it "
		        "out\n" },
		{ "workers:\n  a: { when: call, exec: [x], cache: { size: 1 } }",
		        "a.yaml:2:40: workers.a.cache.size: is for http: what a program answers is "
		        "not kept; leave it out\n" },
		{ CALL "}, call: { type: a/b } }",
		        "a.yaml:2:58: workers.a.call.type: is for exec: the server says it with "
		        "http; leave it out\n" },
		{ POLL "}, stop: { signal: INT }, umask: 022, environment: {} }",
		        "a.yaml:2:62: workers.a.stop.signal: is for processes: leave it out with "
		        "http\n"
		        "a.yaml:2:77: workers.a.umask: is for processes: leave it out with http\n"
		        "a.yaml:2:89: workers.a.environment: is for processes: leave it out with "
		        "http\n" },
		{ POLL "expect: { equals: 1 } } }",
		        "a.yaml:2:61: workers.a.http.expect.equals: means nothing without "
		        "expect.pointer: write pointer: \"\" for the whole answer, or leave it "
		        "out\n" },
	};
	expect_errors(cases, ARRAY_SIZE(cases));
}
END_TEST

#define URL(url) "workers:\n  a: { when: call, http: { url: '" url "' } }"
#define AT_URL   "a.yaml:2:28: workers.a.http.url: "
#define NO_HOST  AT_URL "names no host: write http://HOST/ or https://HOST:PORT/\n"
#define CHOOSES                                                                              \
	AT_URL "has a place for the payload before its path: no payload may choose where a " \
	       "request goes; write scheme, host and a / behind them\n"
#define CHARACTERS                                                                              \
	AT_URL "has characters that no URL has: percent-encode them, and leave out # and what " \
	       "follows it\n"

START_TEST(a_url_has_a_host_whatever_the_payload)
{
	static const struct expectation cases[] = {
		{ URL("ftp://h/"), AT_URL "is no URL that is known: begin it with http:// or "
		                          "https://\n" },
		{ URL("h/x"),
		        AT_URL "is no URL that is known: begin it with http:// or https://\n" },
		{ URL(""), AT_URL "is no URL that is known: begin it with http:// or https://\n" },
		{ URL("{{payload}}"), CHOOSES },
		{ URL("{{payload}}://h/"), CHOOSES },
		{ URL("https://{{payload}}/"), CHOOSES },
		{ URL("https://h{{payload}}/"), CHOOSES },
		{ URL("https://h:{{payload}}/"), CHOOSES },
		{ URL("https://{{payload}}@h/"), CHOOSES },
		{ URL("https://h{{payload}}"), CHOOSES },
		{ URL("https:///x"), NO_HOST },
		{ URL("https://h:0/"), NO_HOST },
		{ URL("https://h:65536/"), NO_HOST },
		{ URL("https://h:x/"), NO_HOST },
		{ URL("https://[::1/"), NO_HOST },
		{ URL("https://u@/"), NO_HOST },
		{ URL("https://h\\\\.evil/"), CHARACTERS },
		{ URL("https://h/a b"), CHARACTERS },
		{ URL("https://h/#x"), CHARACTERS },
		{ URL("https://h/é"), CHARACTERS },
		{ URL("https://h/a/../b"), AT_URL "has . or .. in its path: write the path that is "
		                                  "meant\n" },
		{ URL("https://h/{{payload}}/%2e%2E"), AT_URL "has . or .. in its path: write the "
		                                              "path that is meant\n" },
	};
	static const char *const good[] = { URL("HTTPS://h"), URL("http://h:80"),
		URL("https://[::1]:8443/x"), URL("https://h/{{payload}}"),
		URL("https://h?{{payload}}"), URL("https://u:p@h/.well-known/x"),
		URL("https://h/.{{payload}}") };
	expect_errors(cases, ARRAY_SIZE(cases));
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		read_good(good[i]);
}
END_TEST

START_TEST(places_are_known_and_have_something_to_stand_for)
{
	static const struct expectation cases[] = {
		{ "workers:\n  a: { when: call, http: { url: '{{x}}' }, cache: { size: 1 } }",
		        "a.yaml:2:33: workers.a.http.url: 'x' is unknown: did you mean "
		        "{{payload.x}}? Known are {{payload}} "
		        "and its parts, such as {{payload.prompt}}; {{{{ stands for {{ "
		        "itself\n" },
		{ "workers:\n  a: { when: call, exec: x, call: { type: a/b } }",
		        "a.yaml:2:26: workers.a.exec: expected a list, not a single value: write "
		        "[/usr/bin/program, argument], or [/bin/sh, -c, 'a command line'] for a "
		        "shell\n" },
		{ URL("https://h/{{paylod.x}}"), "a.yaml:2:33: workers.a.http.url: 'paylod.x' is "
		                                 "unknown: did you mean {{payload.x}}?\n" },
		{ CALL "body: '[1, {{payload}'} }",
		        "a.yaml:2:53: workers.a.http.body: '{{payload}' has no end: write "
		        "{{payload.NAME}}, or {{{{ for {{ itself\n" },
		{ POLL "body: '{{payload}}', headers: { A: '{{payload.x}}' } } }",
		        "a.yaml:2:51: workers.a.http.body: '{{payload}}' has no payload to stand "
		        "for: only calls bring one, with when: call\n"
		        "a.yaml:2:72: workers.a.http.headers: '{{payload.x}}' has no payload to "
		        "stand for: only calls bring one, with when: call\n" },
		{ "workers:\n  a: { when: once, http: { url: 'https://h/{{payload}}' } }",
		        AT_URL "'{{payload}}' has no payload to stand for: only calls bring one, "
		               "with when: call\n" },
	};
	expect_errors(cases, ARRAY_SIZE(cases));
}
END_TEST

START_TEST(headers_are_names_and_one_line)
{
	static const struct expectation cases[] = {
		{ CALL "headers: { 'a b': x } } }", "a.yaml:2:58: workers.a.http.headers: 'a b' is "
		                                    "no name of a header: letters, "
		                                    "digits and -, such as Authorization\n" },
		{ CALL "headers: { HOST: x, content-length: 1 } } }",
		        "a.yaml:2:58: workers.a.http.headers: 'HOST' is refused: it comes from the "
		        "URL\n"
		        "a.yaml:2:67: workers.a.http.headers: 'content-length' is refused: it "
		        "comes "
		        "from the body\n" },
		{ CALL "headers: { Transfer-Encoding: x, Connection: y } } }",
		        "a.yaml:2:58: workers.a.http.headers: 'Transfer-Encoding' is refused: how "
		        "a "
		        "body is sent is not for headers to say\n"
		        "a.yaml:2:80: workers.a.http.headers: 'Connection' is refused: connections "
		        "are quiesced's own business\n" },
		{ CALL "headers: { A: 1, a: 2 } } }", "a.yaml:2:64: workers.a.http.headers: 'a' "
		                                      "stands there already, and the case "
		                                      "of letters does not matter: keep one\n" },
		{ CALL "headers: { A: \"x\\r\\nHost: y\" } } }",
		        "a.yaml:2:47: workers.a.http.headers.A: has control characters, such as a "
		        "newline: no header may have them\n" },
		{ CALL "headers: { A: ~ } } }",
		        "a.yaml:2:58: workers.a.http.headers.A: has no value: write \"\" for an "
		        "empty one\n" },
		{ CALL "headers: [A] } }",
		        "a.yaml:2:56: workers.a.http.headers: expected a mapping such as {Accept: "
		        "application/json}, not a list\n" },
		{ CALL "method: 'a b' } }", "a.yaml:2:55: workers.a.http.method: expected a method "
		                            "such as POST, not 'a "
		                            "b'\n" },
		{ CALL "method: CONNECT } }",
		        "a.yaml:2:55: workers.a.http.method: 'CONNECT' is out of range: but not "
		        "CONNECT or TRACE\n" },
	};
	expect_errors(cases, ARRAY_SIZE(cases));
}
END_TEST

START_TEST(a_body_is_what_its_type_says)
{
	static const char no_json[] =
	        "a.yaml:2:47: workers.a.http.body: is no JSON: correct it, or say what it is by a "
	        "header, such as Content-Type: text/plain\n";
	static const struct expectation cases[] = {
		{ CALL "body: 'a={{payload}}' } }", no_json },
		{ CALL "body: '{\"a\": \"\\{{payload}}\"}' } }", no_json },
		{ CALL "body: x, headers: { Content-Type: application/problem+json } } }",
		        no_json },
		{ CALL "body: '<a>{{payload}}</a>', headers: { Content-Type: text/xml } } }",
		        "a.yaml:2:47: workers.a.http.body: how values stand in a body of this "
		        "Content-Type is not known: write application/json, text/plain or "
		        "application/x-www-form-urlencoded\n" },
	};
	static const char *const good[] = {
		CALL "body: '{\"a\": {{payload.a}}}' } }",
		CALL "body: 'a={{payload}}', headers: { Content-Type: "
		     "'application/x-www-form-urlencoded' } } }",
		CALL "body: 'hi {{payload}}', headers: { content-type: 'text/plain; charset=utf-8' "
		     "} } }",
		CALL "body: '<a/>', headers: { Content-Type: text/xml } } }",
		CALL "body: '{\"a\": \"{{{{payload}}\"}' } }",
	};
	expect_errors(cases, ARRAY_SIZE(cases));
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		read_good(good[i]);
}
END_TEST

START_TEST(values_have_their_ranges)
{
	static const struct expectation cases[] = {
		{ CALL "retry: { statuses: [99, 600, x] } } }",
		        "a.yaml:2:67: workers.a.http.retry.statuses: expected a status from 100 to "
		        "599, not '99'\n"
		        "a.yaml:2:71: workers.a.http.retry.statuses: expected a status from 100 to "
		        "599, not '600'\n"
		        "a.yaml:2:76: workers.a.http.retry.statuses: expected a status from 100 to "
		        "599, not 'x'\n" },
		{ CALL "retry: { budget: 0% } } }",
		        "a.yaml:2:64: workers.a.http.retry.budget: '0%' is out of range: 1% to "
		        "100%\n" },
		{ CALL "retry: { budget: 20 } } }",
		        "a.yaml:2:64: workers.a.http.retry.budget: expected a percentage such as "
		        "20%, or off, not '20'\n" },
		{ CALL "expect: { pointer: a } } }", "a.yaml:2:66: workers.a.http.expect.pointer: "
		                                     "expected a JSON pointer such as "
		                                     "/state/0, not 'a'\n" },
		{ "workers:\n  a: { when: call, exec: [x], call: { type: \"a/b\\r\\nX: y\" } }",
		        "a.yaml:2:45: workers.a.call.type: expected a media type such as "
		        "application/json, not 'a/b??X: y'\n" },
		{ CALL "}, cache: { size: 1, headers: [a b, X] } }",
		        "a.yaml:2:78: workers.a.cache.headers: expected the name of a header, not "
		        "'a "
		        "b'\n" },
		{ CALL "timeout: 0 } }",
		        "a.yaml:2:56: workers.a.http.timeout: '0' is out of range: 1ms to "
		        "infinity\n" },
	};
	expect_errors(cases, ARRAY_SIZE(cases));
}
END_TEST

START_TEST(what_is_odd_is_a_warning)
{
	static const struct expectation cases[] = {
		{ CALL "retry: { attempts: 3 } } }",
		        "a.yaml:2:56: workers.a.http.retry: POST is not idempotent: what the "
		        "server may have received is not tried again, an answer such as 504 "
		        "neither: write unsafe: true if it may be, unsafe: false if not\n" },
		{ CALL "method: PUT, retry: { attempts: 3 } } }", "" },
		{ CALL "retry: { attempts: 3, base: 2s, cap: 1s, unsafe: false } } }",
		        "a.yaml:2:79: workers.a.http.retry: cap (1s) is below base (2s), so every "
		        "back-off is up to cap: raise cap or lower base\n" },
		{ CALL "retry: { unsafe: true } } }", "a.yaml:2:56: workers.a.http.retry.unsafe: "
		                                      "has no effect: retry.attempts is "
		                                      "1\n" },
		{ CALL "}, cache: { ttl: 1s } }",
		        "a.yaml:2:59: workers.a.cache.ttl: has no effect without cache.size\n" },
		{ "workers:\n  a: { when: call, http: { url: 'http://h/', headers: { "
		  "Authorization: x "
		  "} } }",
		        AT_URL "sends credentials over plain http, where everybody on the way can "
		               "read them: write https\n" },
		{ URL("http://user:password@h/"),
		        AT_URL "sends credentials over plain http, where everybody on the way can "
		               "read them: write https\n" },
		{ URL("http://user:password@127.0.0.1/"), "" },
		{ URL("https://user:password@h/"), "" },
	};
	expect_warnings(cases, ARRAY_SIZE(cases));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_http_errors");
	TCase *tcase = tcase_create("http");
	tcase_add_checked_fixture(tcase, NULL, tear_down);
	tcase_add_test(tcase, one_of_exec_module_and_http_and_a_time_for_it);
	tcase_add_test(tcase, keys_of_other_work_are_refused);
	tcase_add_test(tcase, a_url_has_a_host_whatever_the_payload);
	tcase_add_test(tcase, places_are_known_and_have_something_to_stand_for);
	tcase_add_test(tcase, headers_are_names_and_one_line);
	tcase_add_test(tcase, a_body_is_what_its_type_says);
	tcase_add_test(tcase, values_have_their_ranges);
	tcase_add_test(tcase, what_is_odd_is_a_warning);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
