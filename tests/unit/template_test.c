/* Templates: a value stands in its place, in the dress of that place, and gets no further. */
#include "daemon/template.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/payload.h"

static char problem[400];

/* ${credential:quote} holds what would end a string, and what looks like a place. */
static int resolve(void *arg, const char *text, char **ret_text)
{
	const char *secret = NULL;
	if (strcmp(text, "${credential:token}") == 0)
		secret = "s3cr3t";
	else if (strcmp(text, "${credential:quote}") == 0)
		secret = "a\"b{{payload}}\n";
	else if (strcmp(text, "${credential:json}") == 0)
		secret = "{\"k\": \"v\"}";
	else if (strcmp(text, "${credential:half}") == 0)
		secret = "\"a";
	if (!secret) {
		(*(int *)arg)++;
		return 0;
	}
	*ret_text = strdup(secret);
	return *ret_text ? 1 : -ENOMEM;
}

static int parse(const char *text, struct template **ret_template)
{
	int unresolved = 0;
	const struct template_credentials credentials = { resolve, &unresolved };
	int r = template_parse(text, &credentials, ret_template, problem, sizeof(problem));
	ck_assert_int_eq(r == 0, unresolved > 0);
	return r;
}

static struct template *parsed(const char *text)
{
	struct template *template = NULL;
	int r = parse(text, &template);
	ck_assert_msg(r == 1, "%s: %d: %s", text, r, problem);
	return template;
}

static int render(const char *text, enum template_form form, const char *payload,
        struct template_text *ret_text)
{
	struct template *template = parsed(text);
	json_t *json = payload ? json_loads(payload, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
	ck_assert(!payload || json);
	int r = template_render(template, form, json, ret_text, problem, sizeof(problem));
	json_decref(json);
	template_free(template);
	return r;
}

struct rendered {
	const char *template, *payload, *expected;
};

static void expect_each(const struct rendered *cases, size_t count, enum template_form form)
{
	for (size_t i = 0; i < count; i++) {
		struct template_text text = { 0 };
		int r = render(cases[i].template, form, cases[i].payload, &text);
		if (r < 0)
			ck_assert_msg(strcmp(problem, cases[i].expected) == 0,
			        "%s says\n%s instead of\n%s", cases[i].template, problem,
			        cases[i].expected);
		else
			ck_assert_msg(strcmp(text.data, cases[i].expected) == 0 &&
			                      text.size == strlen(text.data),
			        "%s gives\n%s instead of\n%s", cases[i].template, text.data,
			        cases[i].expected);
		free(text.data);
	}
}

#define EXPECT_EACH(cases, form) expect_each(cases, ARRAY_SIZE(cases), form)

START_TEST(in_json_a_value_is_json_and_in_quotes_its_characters)
{
	static const struct rendered cases[] = {
		{ "", "1", "" },
		{ "{\"a\": 1}", NULL, "{\"a\": 1}" },
		{ "{{payload}}", "{\"b\":[1,true,null,\"x\"],\"a\":{}}",
		        "{\"b\":[1,true,null,\"x\"],\"a\":{}}" },
		{ "{\"p\": {{payload.p}}}", "{\"p\": \"say \\\"hi\\\"\"}",
		        "{\"p\": \"say \\\"hi\\\"\"}" },
		{ "{\"p\": \"<{{ payload.p }}>\"}", "{\"p\": \"say \\\"hi\\\"\\n\\\\\"}",
		        "{\"p\": \"<say \\\"hi\\\"\\n\\\\>\"}" },
		{ "[{{payload.n}}, \"{{payload.n}}\"]", "{\"n\": 7}", "[7, \"7\"]" },
		{ "\"{{payload}}\"", "{\"a\":\"b\"}", "\"{\\\"a\\\":\\\"b\\\"}\"" },
		{ "\"{{payload}}\"", "null", "\"null\"" },
		{ "{{payload}}", "\"\\b\\f\\r\\t\\u0001\\u007f\\u00e9\\u000b\"",
		        "\"\\b\\f\\r\\t\\u0001\\u007fé\\u000b\"" },
		{ "{{payload}}", "\"a\\u0000b\"", "\"a\\u0000b\"" },
		{ "{{payload}}", "[0.1, 1e300, -0.0, 0.30000000000000004, 5.0]",
		        "[0.1,1e+300,-0.0,0.30000000000000004,5.0]" },
		{ "{{payload.a.0.b}}", "{\"a\":[{\"b\":\"c\"}]}", "\"c\"" },
		{ "{{payload/a.b/0}}", "{\"a.b\":[3]}", "3" },
		{ "{{payload.a/b}}", "{\"a/b\":4}", "4" },
		{ "{{payload.~}}", "{\"~\":5}", "5" },
		{ "\"\\\"{{payload}}\\\\\"", "\"x\"", "\"\\\"x\\\\\"" },
	};
	EXPECT_EACH(cases, TEMPLATE_JSON);
}
END_TEST

START_TEST(in_urls_everything_but_unreserved_characters_is_encoded)
{
	static const struct rendered cases[] = {
		{ "https://h/{{payload}}", "\"a/b c?d#e%&=+é~-._Z9\"",
		        "https://h/a%2Fb%20c%3Fd%23e%25%26%3D%2B%C3%A9~-._Z9" },
		{ "https://h/?n={{payload.n}}&f={{payload.f}}", "{\"n\":-12,\"f\":true}",
		        "https://h/?n=-12&f=true" },
		{ "https://h/{{payload}}", "1.5", "https://h/1.5" },
		{ "https://h/{{payload}}", "{}",
		        "payload is an object, and a URL takes a text, a number or a flag" },
		{ "https://h/{{payload.x}}", "{\"x\":[]}",
		        "payload.x is a list, and a URL takes a text, a number or a flag" },
		{ "https://h/{{payload.x}}", "{\"x\":null}",
		        "payload.x is null, and a URL takes a text, a number or a flag" },
		{ "https://h/{{payload}}", "\"a\\u0000\"",
		        "payload has a NUL byte, which no URL may have" },
		{ "https://h/?k=${credential:token}&x={{payload}}", "1",
		        "https://h/?k=s3cr3t&x=1" },
	};
	EXPECT_EACH(cases, TEMPLATE_URL);
}
END_TEST

START_TEST(headers_take_one_line_and_no_more)
{
	static const struct rendered cases[] = {
		{ "Bearer ${credential:token}", NULL, "Bearer s3cr3t" },
		{ "id {{payload.id}}", "{\"id\":\"a b\"}", "id a b" },
		{ "{{payload.id}}", "{\"id\":17}", "17" },
		{ "{{payload}}", "\"a\\r\\nHost: evil\"",
		        "payload has control characters, which no header may have" },
		{ "{{payload}}", "\"a\\u0000b\"",
		        "payload has control characters, which no header may have" },
		{ "{{payload}}", "\"a\\u007fb\"",
		        "payload has control characters, which no header may have" },
		{ "{{payload}}", "[1]",
		        "payload is a list, and a header takes a text, a number or a flag" },
	};
	EXPECT_EACH(cases, TEMPLATE_HEADER);
}
END_TEST

START_TEST(forms_are_encoded_and_plain_text_stands_as_it_is)
{
	static const struct rendered forms[] = {
		{ "a={{payload.a}}&b={{payload.b}}", "{\"a\":\"x&y=z\",\"b\":[1,\"q\"]}",
		        "a=x%26y%3Dz&b=%5B1%2C%22q%22%5D" },
		{ "k=${credential:quote}", NULL, "k=a%22b%7B%7Bpayload%7D%7D%0A" },
	};
	static const struct rendered texts[] = {
		{ "Dear {{payload.who}},\n{{payload}}", "{\"who\":\"\\\"you\\\"\"}",
		        "Dear \"you\",\n{\"who\":\"\\\"you\\\"\"}" },
	};
	EXPECT_EACH(forms, TEMPLATE_FORM);
	EXPECT_EACH(texts, TEMPLATE_TEXT);
}
END_TEST

START_TEST(credentials_are_escaped_in_strings_and_never_taken_for_places)
{
	static const struct rendered cases[] = {
		{ "{\"k\": \"${credential:quote}\", \"p\": {{payload}}}", "1",
		        "{\"k\": \"a\\\"b{{payload}}\\n\", \"p\": 1}" },
		{ "[${credential:json}, \"{{payload}}\"]", "\"\\\"\"",
		        "[{\"k\": \"v\"}, \"\\\"\"]" },
		{ "[${credential:half} {{payload}}\"]", "\"x\\\"y\"", "[\"a x\\\"y\"]" },
		{ "\"$${credential:token}\"", NULL, "\"${credential:token}\"" },
		{ "\"$${credential:{{payload}}}\"", "1", "\"${credential:1}\"" },
	};
	EXPECT_EACH(cases, TEMPLATE_JSON);
}
END_TEST

START_TEST(four_braces_stand_for_two)
{
	static const struct rendered cases[] = {
		{ "{{{{payload}}", "1", "{{payload}}" },
		{ "a}}b{c", NULL, "a}}b{c" },
		{ "{{{{{{payload}}}}", "1", "{{1}}" },
		{ "{\"a\":{\"b\":{{payload}}}}", "1", "{\"a\":{\"b\":1}}" },
	};
	EXPECT_EACH(cases, TEMPLATE_TEXT);
}
END_TEST

START_TEST(what_a_payload_lacks_is_named)
{
	static const struct rendered cases[] = {
		{ "{{payload.a}}", NULL, "there is no payload, and payload.a is needed" },
		{ "{{payload.a.b}}", "{\"a\":1}", "the payload has no payload.a.b" },
		{ "{{payload.1}}", "[0]", "the payload has no payload.1" },
		{ "{{payload}}", NULL, "there is no payload, and payload is needed" },
	};
	EXPECT_EACH(cases, TEMPLATE_JSON);
}
END_TEST

START_TEST(unknown_names_are_refused_with_the_nearest_known_one)
{
	static const struct {
		const char *template, *problem;
	} cases[] = {
		{ "{{paylod}}", "'paylod' is unknown: did you mean {{payload}}?" },
		{ "x{{ Payload.prompt }}",
		        "'Payload.prompt' is unknown: did you mean {{payload.prompt}}?" },
		{ "{{payloads/a}}", "'payloads/a' is unknown: did you mean {{payload/a}}?" },
		{ "{{prompt}}",
		        "'prompt' is unknown: did you mean {{payload.prompt}}? Known are "
		        "{{payload}} "
		        "and its parts, such as {{payload.prompt}}; {{{{ stands for {{ itself" },
		{ "{{payload.}}",
		        "'payload.' names no part of the payload: write {{payload.a.0}}, or a JSON "
		        "pointer as in {{payload/a/0}}" },
		{ "{{payload/a~2}}", "'payload/a~2' names no part of the payload: write "
		                     "{{payload.a.0}}, or a JSON "
		                     "pointer as in {{payload/a/0}}" },
		{ "a {{payload", "'{{payload' has no end: write {{payload.NAME}}, or {{{{ for {{ "
		                 "itself" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct template *template = NULL;
		ck_assert_int_eq(parse(cases[i].template, &template), -EINVAL);
		ck_assert_ptr_null(template);
		ck_assert_str_eq(problem, cases[i].problem);
	}
}
END_TEST

START_TEST(a_credential_that_is_missing_is_the_resolvers_to_tell)
{
	struct template *template = NULL;
	ck_assert_int_eq(parse("a ${credential:none}", &template), 0);
	ck_assert_int_eq(parse("${credential:{{payload}}}", &template), 0);
	ck_assert_int_eq(parse("${credential:open", &template), 0);
	ck_assert_ptr_null(template);
}
END_TEST

START_TEST(what_comes_out_is_bounded)
{
	struct template_text text = { 0 };
	enum { PART = 1024 * 1024 };
	static char payload[PART + 3], many[17 * 16 + 3];
	memset(payload, 'x', PART + 2);
	payload[0] = payload[PART + 1] = '"';
	for (int i = 0; i < 17; i++)
		strcat(many, "{{payload}}");
	ck_assert_int_eq(render(many, TEMPLATE_TEXT, payload, &text), -EMSGSIZE);
	ck_assert_str_eq(problem, "would be larger than 16 MiB");
	ck_assert_ptr_null(text.data);
	many[16 * 11] = 0;
	ck_assert_int_eq(render(many, TEMPLATE_TEXT, payload, &text), 0);
	ck_assert_uint_eq(text.size, 16 * PART);
	free(text.data);
}
END_TEST

START_TEST(deeper_than_any_payload_is_refused_and_no_stack_is_lost)
{
	struct template_text text = { 0 };
	static char deep[2 * 1000 + 1];
	memset(deep, '[', 1000);
	memset(deep + 1000, ']', 1000);
	ck_assert_int_eq(render("{{payload}}", TEMPLATE_JSON, deep, &text), -EINVAL);
	ck_assert_str_eq(problem, "has more than 64 levels");
	ck_assert_int_eq(render("\"{{payload}}\"", TEMPLATE_JSON, deep, &text), -EINVAL);
	ck_assert_str_eq(problem, "has more than 64 levels");
}
END_TEST

START_TEST(what_can_become_json_is_known)
{
	static const struct {
		const char *template;
		int json;
	} cases[] = {
		{ "{{payload}}", 1 },
		{ "{\"a\": {{payload.a}}, \"b\": \"x{{payload.b}}y\"}", 1 },
		{ "[${credential:json}, \"${credential:quote}\"]", 1 },
		{ "a={{payload}}", 0 },
		{ "{\"a\": {{payload}}", 0 },
		{ "\"\\{{payload}}\"", 0 },
		{ "\"\\u00{{payload}}\"", 0 },
		{ "1{{payload}}", 0 },
		{ "{{payload}}{{payload}}", 0 },
		{ "{{{payload}}: 1}", -1 },
		{ "", 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct template *template = NULL;
		int r = parse(cases[i].template, &template);
		ck_assert_int_eq(r < 0, cases[i].json < 0);
		if (r > 0)
			ck_assert_msg(template_makes_json(template) == cases[i].json, "%s",
			        cases[i].template);
		template_free(template);
	}
}
END_TEST

START_TEST(equal_ones_are_equal_and_secrets_are_known)
{
	_cleanup_(template_freep) struct template *a = parsed("x ${credential:token} {{payload}}");
	_cleanup_(template_freep) struct template *b = parsed("x ${credential:token} {{payload}}");
	_cleanup_(template_freep) struct template *c = parsed("x s3cr3t {{payload.a}}");
	ck_assert(template_equal(a, b) && !template_equal(a, c) && !template_equal(a, NULL));
	ck_assert(template_equal(NULL, NULL) && !template_equal(NULL, a));
	ck_assert(template_is_secret(a) && !template_is_secret(c));
	ck_assert_str_eq(template_payload(c), "payload.a");
}
END_TEST

START_TEST(payloads_are_json_of_bounded_depth)
{
	static const struct {
		const char *text, *problem;
	} bad[] = {
		{ "{\"secret\"", "is no JSON: line 1, column 9: ':' expected" },
		{ "\n{\"a\": secret}", "is no JSON: line 2, column 12: invalid token" },
		{ "{\"s\":1,\"s\":2}",
		        "is no JSON: line 1, column 10: an object has the same key twice" },
		{ "\"\xff\"", "is no JSON: line 1, column 1: it is no UTF-8" },
		{ "[\"\\u0000\"]", "is no JSON: line 1, column 9: \\u0000 is not allowed" },
		{ "1 2", "is no JSON: line 1, column 3: end of file expected" },
	};
	json_t *json = NULL;
	char deep[2 * PAYLOAD_DEPTH_MAX + 3] = "";
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int r = payload_parse(
		        bad[i].text, strlen(bad[i].text), &json, problem, sizeof(problem));
		ck_assert_int_eq(r, -EINVAL);
		ck_assert_str_eq(problem, bad[i].problem);
	}
	memset(deep, '[', PAYLOAD_DEPTH_MAX);
	memset(deep + PAYLOAD_DEPTH_MAX, ']', PAYLOAD_DEPTH_MAX);
	ck_assert_int_eq(payload_parse(deep, strlen(deep), &json, problem, sizeof(problem)), 0);
	json_decref(json);
	memset(deep, '[', PAYLOAD_DEPTH_MAX + 1);
	ck_assert_int_eq(
	        payload_parse(deep, strlen(deep), &json, problem, sizeof(problem)), -EINVAL);
	ck_assert_str_eq(problem, "is JSON of more than 64 levels");
	ck_assert_int_eq(payload_parse(" \n", 2, &json, problem, sizeof(problem)), 0);
	ck_assert_ptr_null(json);
	ck_assert_int_eq(payload_parse("\"[[\\\"[[\"", 8, &json, problem, sizeof(problem)), 0);
	json_decref(json);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("template");
	TCase *tcase = tcase_create("templates");
	tcase_add_test(tcase, in_json_a_value_is_json_and_in_quotes_its_characters);
	tcase_add_test(tcase, in_urls_everything_but_unreserved_characters_is_encoded);
	tcase_add_test(tcase, headers_take_one_line_and_no_more);
	tcase_add_test(tcase, forms_are_encoded_and_plain_text_stands_as_it_is);
	tcase_add_test(tcase, credentials_are_escaped_in_strings_and_never_taken_for_places);
	tcase_add_test(tcase, four_braces_stand_for_two);
	tcase_add_test(tcase, what_a_payload_lacks_is_named);
	tcase_add_test(tcase, unknown_names_are_refused_with_the_nearest_known_one);
	tcase_add_test(tcase, a_credential_that_is_missing_is_the_resolvers_to_tell);
	tcase_add_test(tcase, what_comes_out_is_bounded);
	tcase_add_test(tcase, deeper_than_any_payload_is_refused_and_no_stack_is_lost);
	tcase_add_test(tcase, what_can_become_json_is_known);
	tcase_add_test(tcase, equal_ones_are_equal_and_secrets_are_known);
	tcase_add_test(tcase, payloads_are_json_of_bounded_depth);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
