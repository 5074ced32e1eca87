/* JSON pointers: the examples of RFC 6901, and what is none. */
#include "daemon/json_pointer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *document;

static void set_up(void)
{
	document = json_loads("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
	                      "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8,"
	                      "\"deep\":{\"list\":[{\"x\":null}]}}",
	        0, NULL);
	ck_assert_ptr_nonnull(document);
}

static void tear_down(void)
{
	json_decref(document);
}

static void expect(const char *pointer, const char *json)
{
	const json_t *found = json_pointer_find(document, pointer);
	ck_assert_msg(found != NULL, "%s", pointer);
	char *text = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
	ck_assert_str_eq(text, json);
	free(text);
}

START_TEST(each_part_is_found)
{
	ck_assert_ptr_eq(json_pointer_find(document, ""), document);
	expect("/foo", "[\"bar\",\"baz\"]");
	expect("/foo/0", "\"bar\"");
	expect("/foo/1", "\"baz\"");
	expect("/", "0");
	expect("/a~1b", "1");
	expect("/c%d", "2");
	expect("/e^f", "3");
	expect("/g|h", "4");
	expect("/i\\j", "5");
	expect("/k\"l", "6");
	expect("/ ", "7");
	expect("/m~0n", "8");
	expect("/deep/list/0/x", "null");
}
END_TEST

START_TEST(what_is_not_there_is_not_found)
{
	static const char *const pointers[] = { "/bar", "/foo/2", "/foo/-", "/foo/01", "/foo/-1",
		"/foo/+1", "/foo/", "/foo/0/x", "/foo/99999999999999999999", "/foo/1e0",
		"/deep/x/y", "/deep/list/0/x/y", "//", "/FOO", "/m~n", "foo", "/m~", "/m~2n" };
	for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
		ck_assert_msg(!json_pointer_find(document, pointers[i]), "%s", pointers[i]);
}
END_TEST

START_TEST(only_pointers_are_valid)
{
	static char text[JSON_POINTER_MAX + 2];
	static const char *const good[] = { "", "/", "/a", "/~0~1", "//", "/a~01" };
	static const char *const bad[] = { "a", " ", "/~", "/~2", "/a/~x", "#/a" };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(json_pointer_is_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!json_pointer_is_valid(bad[i]), "%s", bad[i]);
	memset(text, '/', JSON_POINTER_MAX);
	ck_assert(json_pointer_is_valid(text));
	text[JSON_POINTER_MAX] = '/';
	ck_assert(!json_pointer_is_valid(text));
}
END_TEST

START_TEST(what_was_appended_is_found_again)
{
	char pointer[JSON_POINTER_MAX + 1] = "";
	ck_assert(json_pointer_append(pointer, "m~n", 3));
	ck_assert_str_eq(pointer, "/m~0n");
	expect(pointer, "8");
	pointer[0] = 0;
	ck_assert(json_pointer_append(pointer, "a/b", 3));
	ck_assert_str_eq(pointer, "/a~1b");
	expect(pointer, "1");
	ck_assert(json_pointer_append(pointer, "", 0));
	ck_assert_str_eq(pointer, "/a~1b/");
}
END_TEST

START_TEST(one_that_would_be_too_long_stays_as_it_is)
{
	static char token[JSON_POINTER_MAX];
	char pointer[JSON_POINTER_MAX + 1] = "";
	memset(token, '~', sizeof(token));
	ck_assert(!json_pointer_append(pointer, token, sizeof(token) / 2 + 1));
	ck_assert_str_eq(pointer, "");
	ck_assert(json_pointer_append(pointer, token, (sizeof(token) - 1) / 2));
	ck_assert(json_pointer_is_valid(pointer));
	ck_assert(!json_pointer_append(pointer, "xx", 2));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json_pointer");
	TCase *tcase = tcase_create("pointers");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, each_part_is_found);
	tcase_add_test(tcase, what_is_not_there_is_not_found);
	tcase_add_test(tcase, only_pointers_are_valid);
	tcase_add_test(tcase, what_was_appended_is_found_again);
	tcase_add_test(tcase, one_that_would_be_too_long_stays_as_it_is);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
