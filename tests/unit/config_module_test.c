/* Workers that are modules: one of exec and module, and a configuration of any shape. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

#define M "workers: { a: { module: { path: /m.so, config: "

static struct config *read_good(const char *yaml)
{
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	struct config *config = NULL;
	int r = config_read_text("a.yaml", yaml, strlen(yaml), &config, &errors);

	ck_assert_msg(r == 0, "%d: %s\n%s", r, errors.text, yaml);
	return config;
}

static void expect_error(const char *yaml, const char *expected)
{
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	struct config *config = NULL;
	int r = config_read_text("a.yaml", yaml, strlen(yaml), &config, &errors);

	ck_assert_int_eq(r, -EBADMSG);
	ck_assert_msg(strstr(errors.text, expected), "%s\ninstead of %s", errors.text, expected);
}

static void expect_json(const char *yaml, const char *json)
{
	char text[2048];

	snprintf(text, sizeof(text), M "%s } } }", yaml);
	struct config *config = read_good(text);
	ck_assert_str_eq(config->workers[0].module_config, json);
	config_free(config);
}

START_TEST(a_module_is_a_path_and_maybe_a_configuration)
{
	struct config *config = read_good("workers: { a: { module: { path: /m.so } } }");

	ck_assert_ptr_null(config->workers[0].exec);
	ck_assert_str_eq(config->workers[0].module_path, "/m.so");
	ck_assert_ptr_null(config->workers[0].module_config);
	config_free(config);
}
END_TEST

START_TEST(values_are_what_they_look_like_and_quoted_ones_are_texts)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{ "{ a: 1, b: -7, c: +3, d: 0 }", "{\"a\":1,\"b\":-7,\"c\":3,\"d\":0}" },
		{ "[0.5, 1e3, 2.5E-1]", "[0.5,1000.0,0.25]" },
		{ "[true, False, TRUE, yes]", "[true,false,true,\"yes\"]" },
		{ "[null, ~, \"null\", '']", "[null,null,\"null\",\"\"]" },
		{ "['1', \"true\", 010, 1.2.3, 1., .5, -, 0x10, 1e]",
		        "[\"1\",\"true\",\"010\",\"1.2.3\",\"1.\",\".5\",\"-\",\"0x10\",\"1e\"]" },
		{ "[9223372036854775807, 99999999999999999999, 1e999]",
		        "[9223372036854775807,1e20,\"1e999\"]" },
		{ "{ a: { b: [{ c: \"x\\ny\" }] } }", "{\"a\":{\"b\":[{\"c\":\"x\\ny\"}]}}" },
		{ "plain", "\"plain\"" },
		{ "[&x [1, 2], *x]", "[[1,2],[1,2]]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_json(cases[i].yaml, cases[i].json);
}
END_TEST

START_TEST(exactly_one_of_exec_and_module)
{
	expect_error("workers: { a: { exec: [x], module: { path: /m.so } } }",
	        "workers.a.module: it has an exec too, and runs one of them only: leave one out");
	expect_error("workers: { a: { module: { config: 1 } } }", "workers.a.module: has no path");
	expect_error("workers: { a: { module: { path: m.so } } }", "a path that begins with /");
	expect_error("workers: { a: {} }", "has no exec");
}
END_TEST

START_TEST(a_configuration_has_its_faults_told_too)
{
	expect_error(M "{ a: 1, a: 2 } } } }", "duplicate key");
	expect_error(M "{ [1]: 2 } } } }", "expected a key");
	expect_error(M "{ a: !!int 2 } } } }", "the tag");
	expect_error(M "\"a\\0b\" } } }", "NUL byte");
	expect_error(M "} } }", "has no value");
}
END_TEST

START_TEST(it_cannot_be_larger_than_a_program_can_be_given)
{
	static char text[128 * 1024];
	char *end = text + sprintf(text, M "[");

	for (int i = 0; i < 60; i++) {
		*end++ = '\'';
		memset(end, 'x', 2000);
		end = stpcpy(end + 2000, "',");
	}
	strcpy(end, "] } } }");
	expect_error(text, "more than 96KiB or too deep");
}
END_TEST

START_TEST(another_configuration_is_another_run)
{
	struct config *a = read_good(M "1 } } }"), *b = read_good(M "2 } } }");
	struct config *exec = read_good("workers: { a: { exec: [x] } }");

	ck_assert(worker_config_same_run(&a->workers[0], &a->workers[0]));
	ck_assert(!worker_config_same_run(&a->workers[0], &b->workers[0]));
	ck_assert(!worker_config_same_run(&a->workers[0], &exec->workers[0]));
	ck_assert(!worker_config_same_run(&exec->workers[0], &a->workers[0]));
	config_free(a);
	config_free(b);
	config_free(exec);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_module");
	TCase *tcase = tcase_create("modules");

	tcase_add_test(tcase, a_module_is_a_path_and_maybe_a_configuration);
	tcase_add_test(tcase, values_are_what_they_look_like_and_quoted_ones_are_texts);
	tcase_add_test(tcase, exactly_one_of_exec_and_module);
	tcase_add_test(tcase, a_configuration_has_its_faults_told_too);
	tcase_add_test(tcase, it_cannot_be_larger_than_a_program_can_be_given);
	tcase_add_test(tcase, another_configuration_is_another_run);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
