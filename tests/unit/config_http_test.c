/* HTTP work and calls in the configuration: what is read, and what is another run. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config_internal.h"
#include "daemon/template.h"

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

START_TEST(a_poll_has_its_defaults)
{
	const struct worker_config *worker =
	        read_good("workers: { a: { when: every 30s, http: { url: 'http://h/' } } }");
	const struct http_config *http = &worker->http;
	ck_assert_ptr_null(worker->exec);
	ck_assert_int_eq(worker->when, WHEN_EVERY);
	ck_assert_int_eq(worker->restart, RESTART_NEVER);
	ck_assert_str_eq(http->method, "GET");
	ck_assert_ptr_null(http->body);
	ck_assert_ptr_null(http->headers[0].name);
	ck_assert_uint_eq(http->limits.timeout, 5 * QS_MIN);
	ck_assert_uint_eq(http->limits.connect_timeout, 10 * QS_SEC);
	ck_assert_uint_eq(http->limits.first_byte_timeout, QS_FOREVER);
	ck_assert_uint_eq(http->limits.idle_timeout, QS_MIN);
	ck_assert_uint_eq(http->limits.response_max, 16 * 1024 * 1024);
	ck_assert_uint_eq(http->limits.redirects, 5);
	ck_assert(http->compressed);
	ck_assert_uint_eq(http->retry.attempts, 1);
	ck_assert_uint_eq(http->retry.base, 500 * QS_MSEC);
	ck_assert_uint_eq(http->retry.cap, 30 * QS_SEC);
	ck_assert_uint_eq(http->retry.retry_after_max, 10 * QS_MIN);
	ck_assert_uint_eq(http->retry.budget, 20);
	ck_assert(!http->retry.unsafe);
	ck_assert_ptr_null(http->retry.statuses);
	ck_assert_ptr_null(http->expect_statuses);
	ck_assert(!config->log_bodies);
}
END_TEST

START_TEST(a_called_worker_has_its_defaults)
{
	const struct worker_config *worker = read_good("workers: { a: { when: call, exec: [x] } }");
	const struct call_config *call = &worker->call;
	ck_assert_int_eq(worker->when, WHEN_CALL);
	ck_assert_str_eq(when_name(worker->when), "call");
	ck_assert_int_eq(worker->restart, RESTART_NEVER);
	ck_assert_uint_eq(call->concurrency, 16);
	ck_assert_uint_eq(call->backlog, 1024);
	ck_assert_uint_eq(call->rate_count, 0);
	ck_assert_uint_eq(call->rate_within, QS_SEC);
	ck_assert_uint_eq(call->cache_size, 0);
	ck_assert_uint_eq(call->cache_ttl, QS_MIN);
	ck_assert_ptr_null(call->cache_headers[0]);
	ck_assert_uint_eq(call->keep, 10 * QS_MIN);
	ck_assert_uint_eq(call->keep_size, 64 * 1024 * 1024);
	ck_assert_str_eq(call->type, "application/json");
	ck_assert_uint_eq(call->answer_max, 16 * 1024 * 1024);
	ck_assert_uint_eq(call->timeout, 5 * QS_MIN);
}
END_TEST

START_TEST(everything_that_is_said_is_read)
{
	const struct worker_config *worker = read_good(
	        "log: { bodies: true }\n"
	        "workers:\n  a:\n    when: call\n    concurrency: 4\n    backlog: 9\n"
	        "    rate: { count: 3, within: 2s }\n"
	        "    cache: { size: 1MiB, ttl: 1h, headers: [Accept, X] }\n"
	        "    call: { keep: 1min, keep_size: 1KiB }\n"
	        "    http:\n      url: https://h/{{payload.id}}\n      method: PATCH\n"
	        "      headers: { Accept: a/b, X: '{{payload/x}}' }\n      body: '{{payload}}'\n"
	        "      timeout: 1s\n      connect_timeout: 2s\n      first_byte_timeout: 3s\n"
	        "      idle_timeout: infinity\n      max_response: 1KiB\n      redirects: 0\n"
	        "      compressed: false\n      ca_file: /ca\n"
	        "      retry: { attempts: 4, base: 1s, cap: 2s, retry_after_max: 3s, statuses: "
	        "[500, 503], unsafe: true, budget: off }\n"
	        "      expect: { status: [200, 304], pointer: /a, equals: [1, ~] }\n");
	const struct http_config *http = &worker->http;
	const struct call_config *call = &worker->call;
	ck_assert(config->log_bodies);
	ck_assert_uint_eq(call->concurrency, 4);
	ck_assert_uint_eq(call->backlog, 9);
	ck_assert_uint_eq(call->rate_count, 3);
	ck_assert_uint_eq(call->rate_within, 2 * QS_SEC);
	ck_assert_uint_eq(call->cache_size, 1024 * 1024);
	ck_assert_uint_eq(call->cache_ttl, QS_HOUR);
	ck_assert_str_eq(call->cache_headers[1], "X");
	ck_assert_ptr_null(call->cache_headers[2]);
	ck_assert_uint_eq(call->keep, QS_MIN);
	ck_assert_uint_eq(call->keep_size, 1024);
	ck_assert_str_eq(template_payload(http->url), "payload.id");
	ck_assert_str_eq(http->method, "PATCH");
	ck_assert_str_eq(http->headers[1].name, "X");
	ck_assert_str_eq(template_payload(http->headers[1].value), "payload/x");
	ck_assert_ptr_null(http->headers[2].name);
	ck_assert_str_eq(template_payload(http->body), "payload");
	ck_assert_uint_eq(http->limits.timeout, QS_SEC);
	ck_assert_uint_eq(http->limits.connect_timeout, 2 * QS_SEC);
	ck_assert_uint_eq(http->limits.first_byte_timeout, 3 * QS_SEC);
	ck_assert_uint_eq(http->limits.idle_timeout, QS_FOREVER);
	ck_assert_uint_eq(http->limits.response_max, 1024);
	ck_assert_uint_eq(http->limits.redirects, 0);
	ck_assert(!http->compressed && http->retry.unsafe);
	ck_assert_str_eq(http->ca_file, "/ca");
	ck_assert_uint_eq(http->retry.attempts, 4);
	ck_assert_uint_eq(http->retry.base, QS_SEC);
	ck_assert_uint_eq(http->retry.cap, 2 * QS_SEC);
	ck_assert_uint_eq(http->retry.retry_after_max, 3 * QS_SEC);
	ck_assert_uint_eq(http->retry.budget, QS_GATE_BUDGET_OFF);
	ck_assert_int_eq(http->retry.statuses[1], 503);
	ck_assert_int_eq(http->retry.statuses[2], 0);
	ck_assert_int_eq(http->expect_statuses[1], 304);
	ck_assert_str_eq(http->expect_pointer, "/a");
	ck_assert_str_eq(http->expect_equals, "[1,null]");
}
END_TEST

START_TEST(null_is_a_value_that_can_be_expected)
{
	const char *yaml = POLL "expect: { pointer: /a, equals: null } } }";
	ck_assert_str_eq(read_good(yaml)->http.expect_equals, "null");
	ck_assert_int_eq(read_text(POLL "expect: { pointer: /a, equals: } } }"), -EBADMSG);
}
END_TEST

START_TEST(another_request_is_another_run)
{
	static const char *const others[] = {
		CALL "} }",
		CALL "method: PUT } }",
		CALL "headers: { A: x } } }",
		CALL "headers: { A: y } } }",
		CALL "headers: { B: x } } }",
		CALL "body: '1' } }",
		CALL "timeout: 1s } }",
		CALL "compressed: false } }",
		CALL "ca_file: /x } }",
		CALL "retry: { attempts: 2 } } }",
		CALL "retry: { attempts: 2, statuses: [500] } } }",
		CALL "retry: { attempts: 2, statuses: [500, 501] } } }",
		CALL "expect: { status: [200] } } }",
		CALL "expect: { pointer: /x } } }",
		CALL "expect: { pointer: /x, equals: 1 } } }",
		CALL "}, concurrency: 1 }",
		CALL "}, cache: { size: 1 } }",
		CALL "}, cache: { size: 1, headers: [A] } }",
		CALL "}, call: { keep: 1s } }",
		POLL "} }",
		POLL "save: /x } }",
		"workers:\n  a: { when: call, http: { url: 'https://h/x' } }",
	};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		read_good(others[i]);
		struct config *left = TAKE(config, NULL);
		for (size_t j = 0; j < ARRAY_SIZE(others); j++) {
			const struct worker_config *right = read_good(others[j]);
			ck_assert_msg(worker_config_same_run(&left->workers[0], right) == (i == j),
			        "%s\n%s", others[i], others[j]);
		}
		config_free(left);
	}
}
END_TEST

START_TEST(no_credential_is_in_any_message)
{
	static const char secret[] = "hunter2 and\\\" more\n";
	static const char *const wrong[] = {
		"workers: { a: { when: call, http: { url: 'https://${credential:key}/' } } }",
		"workers: { a: { when: call, http: { url: '${credential:key}' } } }",
		CALL "body: '${credential:key}' } }",
	};
	char directory[] = "/tmp/config_http_XXXXXX", path[64];
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/key", directory);
	FILE *file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	fputs(secret, file);
	fclose(file);
	setenv("CREDENTIALS_DIRECTORY", directory, 1);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		ck_assert_int_eq(read_text(wrong[i]), -EBADMSG);
		ck_assert_msg(!strstr(errors.text, "hunter2"), "%s", errors.text);
	}
	const struct worker_config *worker =
	        read_good("workers: { a: { when: call, http: { url: 'https://h/', headers: { "
	                  "Authorization: 'Bearer ${credential:key}' }, body: '{\"k\": "
	                  "\"${credential:key}\"}' } } }");
	ck_assert(template_is_secret(worker->http.headers[0].value));
	struct template_text text;
	char problem[200];
	ck_assert_int_eq(template_render(worker->http.body, TEMPLATE_JSON, NULL, &text, problem,
	                         sizeof(problem)),
	        0);
	ck_assert_str_eq(text.data, "{\"k\": \"hunter2 and\\\\\\\" more\"}");
	free(text.data);
	unlink(path);
	rmdir(directory);
	unsetenv("CREDENTIALS_DIRECTORY");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_http");
	TCase *tcase = tcase_create("http");
	tcase_add_checked_fixture(tcase, NULL, tear_down);
	tcase_add_test(tcase, a_poll_has_its_defaults);
	tcase_add_test(tcase, a_called_worker_has_its_defaults);
	tcase_add_test(tcase, everything_that_is_said_is_read);
	tcase_add_test(tcase, null_is_a_value_that_can_be_expected);
	tcase_add_test(tcase, another_request_is_another_run);
	tcase_add_test(tcase, no_credential_is_in_any_message);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
