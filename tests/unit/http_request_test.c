/* Requests made of a worker's configuration and a payload, and answers held against it. */
#include "daemon/http_request.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"
#include "daemon/http_shape.h"

static char problem[400];
static struct config *config;
static long budget = -1, live; /* allocations until they fail; blocks that are out */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

static bool spend(void)
{
	if (budget == 0)
		return false;
	budget -= budget > 0;
	return true;
}

static void *counted(void *memory)
{
	live += memory != NULL;
	return memory;
}

void *__wrap_malloc(size_t size)
{
	return spend() ? counted(__real_malloc(size)) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return spend() ? counted(__real_calloc(count, size)) : NULL;
}

char *__wrap_strdup(const char *text)
{
	return spend() ? counted(__real_strdup(text)) : NULL;
}

void __wrap_free(void *memory)
{
	live -= memory != NULL;
	__real_free(memory);
}

static const struct http_config *configure(const char *when, const char *http)
{
	char text[2048];
	struct config_errors errors = { 0 };
	config_free(config);
	config = NULL;
	snprintf(text, sizeof(text), "workers: { a: { when: %s, http: { %s } } }", when, http);
	int r = config_read_text("a.yaml", text, strlen(text), &config, &errors);
	ck_assert_msg(r == 0, "%s\n%s", text, errors.text);
	config_errors_done(&errors);
	return &config->workers[0].http;
}

static void tear_down(void)
{
	config_free(config);
	config = NULL;
}

static int make(const struct http_config *http, const char *payload, struct http_made *ret_made)
{
	json_t *json = payload ? json_loads(payload, JSON_DECODE_ANY, NULL) : NULL;
	ck_assert(!payload || json);
	int r = http_request_make(http, json, ret_made, problem, sizeof(problem));
	json_decref(json);
	return r;
}

static void expect_refused(const char *http, const char *payload, int error, const char *expected)
{
	struct http_made made = { 0 };
	ck_assert_int_eq(make(configure("call", http), payload, &made), error);
	ck_assert_ptr_null(made.memory);
	ck_assert_str_eq(problem, expected);
}

static const char *header_of(const struct http_made *made, const char *name)
{
	const struct qs_http_header *header = made->request.headers;
	for (; header->name; header++)
		if (strcmp(header->name, name) == 0)
			return header->value;
	return NULL;
}

START_TEST(a_poll_is_a_get_with_its_limits)
{
	struct http_made made;
	const struct http_config *http = configure("every 1s",
	        "url: 'https://api.example/price?x=1', timeout: 7s, redirects: 2, "
	        "max_response: 1KiB, compressed: false, headers: { Accept: a/b }");
	ck_assert_int_eq(make(http, NULL, &made), 0);
	ck_assert_str_eq(made.request.method, "GET");
	ck_assert_str_eq(made.request.url, "https://api.example/price?x=1");
	ck_assert_str_eq(header_of(&made, "Accept"), "a/b");
	ck_assert_ptr_null(header_of(&made, "Content-Type"));
	ck_assert_ptr_null(made.request.body);
	ck_assert_uint_eq(made.request.limits.timeout, 7 * QS_SEC);
	ck_assert_uint_eq(made.request.limits.connect_timeout, 10 * QS_SEC);
	ck_assert_uint_eq(made.request.limits.first_byte_timeout, QS_FOREVER);
	ck_assert_uint_eq(made.request.limits.idle_timeout, QS_MIN);
	ck_assert_uint_eq(made.request.limits.response_max, 1024);
	ck_assert_uint_eq(made.request.limits.redirects, 2);
	ck_assert(!made.request.compressed);
	http_made_done(&made);
}
END_TEST

START_TEST(a_call_without_a_body_posts_its_payload)
{
	struct http_made made;
	const struct http_config *http = configure("call", "url: 'https://h/'");
	ck_assert_int_eq(make(http, "{\"a\": [1, \"x\"]}", &made), 0);
	ck_assert_str_eq(made.request.method, "POST");
	ck_assert_uint_eq(made.request.body_size, 13);
	ck_assert_str_eq(made.request.body, "{\"a\":[1,\"x\"]}");
	ck_assert_str_eq(header_of(&made, "Content-Type"), "application/json");
	http_made_done(&made);
	ck_assert_int_eq(make(http, NULL, &made), 0);
	ck_assert_str_eq(made.request.method, "POST");
	ck_assert_ptr_null(made.request.body);
	http_made_done(&made);
}
END_TEST

START_TEST(a_method_without_a_body_gets_none)
{
	static const char *const methods[] = { "GET", "HEAD", "DELETE", "OPTIONS" };
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		char text[128];
		struct http_made made;
		snprintf(
		        text, sizeof(text), "url: 'https://h/{{payload}}', method: %s", methods[i]);
		ck_assert_int_eq(make(configure("call", text), "\"x\"", &made), 0);
		ck_assert_str_eq(made.request.method, methods[i]);
		ck_assert_str_eq(made.request.url, "https://h/x");
		ck_assert_ptr_null(made.request.body);
		ck_assert_ptr_null(header_of(&made, "Content-Type"));
		http_made_done(&made);
	}
}
END_TEST

START_TEST(every_part_is_made_of_the_payload)
{
	struct http_made made;
	const struct http_config *http = configure("call",
	        "url: 'https://h/v1/{{payload.id}}?q={{payload.q}}', method: PUT, "
	        "headers: { X-Id: 'id {{payload.id}}' }, "
	        "body: '{\"p\": \"{{payload.q}}\", \"n\": {{payload.n}}}'");
	ck_assert_int_eq(
	        make(http, "{\"id\": \"a/b\", \"q\": \"x \\\"y\\\"&\", \"n\": 1.5}", &made), 0);
	ck_assert_str_eq(made.request.method, "PUT");
	ck_assert_str_eq(made.request.url, "https://h/v1/a%2Fb?q=x%20%22y%22%26");
	ck_assert_str_eq(header_of(&made, "X-Id"), "id a/b");
	ck_assert_str_eq(made.request.body, "{\"p\": \"x \\\"y\\\"&\", \"n\": 1.5}");
	http_made_done(&made);
}
END_TEST

START_TEST(a_form_and_a_plain_text_have_their_own_dress)
{
	struct http_made made;
	const struct http_config *http = configure("call",
	        "url: 'https://h/', body: 'a={{payload}}', headers: { content-type: "
	        "'application/x-www-form-urlencoded; charset=utf-8' }");
	ck_assert_int_eq(make(http, "\"x&b=1\"", &made), 0);
	ck_assert_str_eq(made.request.body, "a=x%26b%3D1");
	ck_assert_ptr_null(header_of(&made, "Content-Type"));
	http_made_done(&made);
	http = configure("call", "url: 'https://h/', body: 'say {{payload}}', headers: { "
	                         "Content-Type: Text/Plain }");
	ck_assert_int_eq(make(http, "\"hi\"", &made), 0);
	ck_assert_str_eq(made.request.body, "say hi");
	http_made_done(&made);
}
END_TEST

START_TEST(no_payload_climbs_out_of_its_segment)
{
	static const char *const payloads[] = { "\"..\"", "\".\"" };
	static const char *const urls[] = { "url: 'https://h/a/{{payload}}'",
		"url: 'https://h/a/{{payload}}/b'", "url: 'https://h/a/{{payload}}?x=1'" };
	for (size_t i = 0; i < ARRAY_SIZE(payloads); i++)
		for (size_t j = 0; j < ARRAY_SIZE(urls); j++)
			expect_refused(urls[j], payloads[i], -EINVAL,
			        "URL: the payload makes a segment of its path . or .., which is "
			        "not "
			        "allowed");
	expect_refused("url: 'https://h/{{payload.0}}.'", "[\".\"]", -EINVAL,
	        "URL: the payload makes a segment of its path . or .., which is not allowed");
	expect_refused("url: 'https://h/%2E{{payload}}'", "\".\"", -EINVAL,
	        "URL: the payload makes a segment of its path . or .., which is not allowed");
	struct http_made made;
	ck_assert_int_eq(make(configure("call", "url: 'https://h/{{payload}}?p={{payload}}'"),
	                         "\"../x\"", &made),
	        0);
	ck_assert_str_eq(made.request.url, "https://h/..%2Fx?p=..%2Fx");
	http_made_done(&made);
}
END_TEST

START_TEST(no_payload_leaves_a_segment_empty)
{
	static const char lost[] =
	        "URL: the payload leaves a segment of its path empty, which is not allowed";
	struct http_made made;
	expect_refused("url: 'https://h/items/{{payload}}'", "\"\"", -EINVAL, lost);
	expect_refused("url: 'https://h/{{payload}}/x'", "\"\"", -EINVAL, lost);
	expect_refused("url: 'https://h/{{payload.a}}{{payload.b}}?x'", "{\"a\":\"\",\"b\":\"\"}",
	        -EINVAL, lost);
	ck_assert_int_eq(
	        make(configure("call", "url: 'https://h/{{payload.a}}{{payload.b}}-{{payload.a}}?q="
	                               "{{payload.a}}'"),
	                "{\"a\":\"\",\"b\":\"x\"}", &made),
	        0);
	ck_assert_str_eq(made.request.url, "https://h/x-?q=");
	http_made_done(&made);
}
END_TEST

START_TEST(what_does_not_fit_is_named_without_its_value)
{
	expect_refused("url: 'https://h/{{payload.id}}'", "{}", -EINVAL,
	        "URL: the payload has no payload.id");
	expect_refused("url: 'https://h/{{payload.id}}'", NULL, -EINVAL,
	        "URL: there is no payload, and payload.id is needed");
	expect_refused("url: 'https://h/{{payload.id}}'", "{\"id\": {\"secret\": 1}}", -EINVAL,
	        "URL: payload.id is an object, and a URL takes a text, a number or a flag");
	expect_refused("url: 'https://h/', headers: { X-A: '{{payload}}' }", "\"a\\r\\nHost: b\"",
	        -EINVAL, "header X-A: payload has control characters, which no header may have");
	expect_refused("url: 'https://h/', body: '{{payload.x}}'", "{\"y\": 1}", -EINVAL,
	        "body: the payload has no payload.x");
}
END_TEST

START_TEST(urls_and_headers_are_bounded)
{
	static char payload[70 * 1024];
	memset(payload, 'x', sizeof(payload) - 1);
	payload[0] = payload[sizeof(payload) - 2] = '"';
	expect_refused("url: 'https://h/{{payload}}'", payload, -EMSGSIZE,
	        "URL: would be longer than 64 KiB");
	expect_refused("url: 'https://h/', headers: { X: '{{payload}}' }", payload, -EMSGSIZE,
	        "header X: would be longer than 64 KiB");
}
END_TEST

START_TEST(making_one_leaves_nothing_behind_wherever_memory_ends)
{
	const struct http_config *http = configure("call",
	        "url: 'https://h/{{payload.id}}', headers: { A: '{{payload.id}}', B: x }, body: "
	        "'[\"{{payload}}\", {{payload}}]'");
	json_t *payload = json_loads("{\"id\": 1}", 0, NULL);
	int r = -ENOMEM;
	long rounds = 0, before = live;
	for (; r == -ENOMEM && rounds < 200; rounds++) {
		struct http_made made = { 0 };
		budget = rounds;
		r = http_request_make(http, payload, &made, problem, sizeof(problem));
		budget = -1;
		http_made_done(&made);
		ck_assert_int_eq(live, before);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_gt(rounds, 8);
	json_decref(payload);
}
END_TEST

/* --- answers --- */

static void expect_answer(
        const char *expect, int status, const char *body, const char *expected_problem)
{
	char text[256];
	snprintf(
	        text, sizeof(text), "url: 'https://h/'%s%s", expect[0] ? ", expect: " : "", expect);
	const struct http_config *http = configure("every 1s", text);
	const struct qs_http_response response = {
		.status = status, .body = body, .body_size = strlen(body)
	};
	int r = http_expected(http, &response, problem, sizeof(problem));
	ck_assert_msg(r == (expected_problem[0] == 0), "%s: %s", text, problem);
	ck_assert_str_eq(problem, expected_problem);
}

START_TEST(statuses_are_expected_or_not)
{
	expect_answer("", 200, "", "");
	expect_answer("", 299, "", "");
	expect_answer("", 304, "", "status 304 is not expected");
	expect_answer("", 199, "", "status 199 is not expected");
	expect_answer("{ status: [404, 500] }", 404, "", "");
	expect_answer("{ status: [404, 500] }", 200, "", "status 200 is not expected");
}
END_TEST

START_TEST(an_answer_has_what_is_expected_or_says_where_not)
{
	expect_answer("{ pointer: /a/0 }", 200, "{\"a\":[null]}", "");
	expect_answer("{ pointer: /a/1 }", 200, "{\"a\":[null]}", "the answer has no /a/1");
	expect_answer("{ pointer: /a, equals: open }", 200, "{\"a\":\"open\"}", "");
	expect_answer("{ pointer: /a, equals: open }", 200, "{\"a\":\"shut\"}",
	        "the answer has another /a than is expected");
	expect_answer("{ pointer: /a, equals: null }", 200, "{\"a\":null}", "");
	expect_answer("{ pointer: /a, equals: null }", 200, "{\"a\":0}",
	        "the answer has another /a than is expected");
	expect_answer("{ pointer: /a, equals: 1 }", 200, "{\"a\":1.0}", "");
	expect_answer("{ pointer: /a, equals: '1' }", 200, "{\"a\":1}",
	        "the answer has another /a than is expected");
	expect_answer("{ pointer: '', equals: { x: [true] } }", 200, "{\"x\":[true]}", "");
	expect_answer("{ pointer: /a }", 200, "", "the answer is empty");
	expect_answer("{ pointer: /a }", 200, "<html>secret",
	        "the answer is no JSON: line 1, column 1: invalid token");
	expect_answer("{ pointer: /a }", 500, "{\"a\":1}", "status 500 is not expected");
}
END_TEST

START_TEST(what_climbs_is_known_in_every_spelling)
{
	static const char *const up[] = { "http://h/..", "http://h/a/../b", "http://h/.",
		"http://h/%2e%2E/x", "http://h/.%2e?x", "http://h/a/%2e#" };
	static const char *const fine[] = { "http://h/", "http://h", "http://h/...",
		"http://h/a..b", "http://h/..a/", "http://h/?../..", "http://../",
		"http://h/%2f..%2f", "http://h//" };
	for (size_t i = 0; i < ARRAY_SIZE(up); i++)
		ck_assert_msg(http_shape_climbs(up[i]), "%s", up[i]);
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
		ck_assert_msg(!http_shape_climbs(fine[i]), "%s", fine[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_request");
	TCase *requests = tcase_create("requests"), *answers = tcase_create("answers");
	tcase_add_checked_fixture(requests, NULL, tear_down);
	tcase_add_checked_fixture(answers, NULL, tear_down);
	tcase_add_test(requests, a_poll_is_a_get_with_its_limits);
	tcase_add_test(requests, a_call_without_a_body_posts_its_payload);
	tcase_add_test(requests, a_method_without_a_body_gets_none);
	tcase_add_test(requests, every_part_is_made_of_the_payload);
	tcase_add_test(requests, a_form_and_a_plain_text_have_their_own_dress);
	tcase_add_test(requests, no_payload_climbs_out_of_its_segment);
	tcase_add_test(requests, no_payload_leaves_a_segment_empty);
	tcase_add_test(requests, what_does_not_fit_is_named_without_its_value);
	tcase_add_test(requests, urls_and_headers_are_bounded);
	tcase_add_test(requests, making_one_leaves_nothing_behind_wherever_memory_ends);
	tcase_add_test(answers, statuses_are_expected_or_not);
	tcase_add_test(answers, an_answer_has_what_is_expected_or_says_where_not);
	tcase_add_test(answers, what_climbs_is_known_in_every_spelling);
	suite_add_tcase(suite, requests);
	suite_add_tcase(suite, answers);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
