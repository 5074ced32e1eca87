/* What is written is JSON that another library reads back, whatever goes in and however it is cut
 * into writes. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/json_writer.h"
#include "lib/macro.h"

static int fd;
static struct json_writer writer;

static void open_writer(void)
{
	fd = memfd_create("json", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	json_writer_init(&writer, fd);
}

static void close_writer(void)
{
	(void)close(fd);
}

/* All that was written, as a text. */
static const char *written(void)
{
	static char text[65536];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	return text;
}

static json_t *read_back(void)
{
	json_error_t error;
	json_t *json = json_loads(written(), JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	ck_assert_msg(json, "%s: %s", error.text, written());
	return json;
}

START_TEST(every_kind_of_value_is_read_back)
{
	qs_json_begin_object(&writer, NULL);
	qs_json_string(&writer, "text", "a");
	qs_json_string(&writer, "nothing", NULL);
	qs_json_null(&writer, "null");
	qs_json_bool(&writer, "yes", true);
	qs_json_bool(&writer, "no", false);
	qs_json_unsigned(&writer, "zero", 0);
	qs_json_signed(&writer, "least", INT64_MIN);
	qs_json_begin_array(&writer, "empty");
	qs_json_end_array(&writer);
	qs_json_begin_array(&writer, "list");
	qs_json_begin_object(&writer, NULL);
	qs_json_begin_object(&writer, "none");
	qs_json_end_object(&writer);
	qs_json_signed(&writer, "one", -1);
	qs_json_end_object(&writer);
	qs_json_unsigned(&writer, NULL, 7);
	qs_json_end_array(&writer);
	qs_json_end_object(&writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	ck_assert_str_eq(written(),
	        "{\n\t\"text\": \"a\",\n\t\"nothing\": null,\n\t\"null\": null,\n\t\"yes\": true,"
	        "\n\t\"no\": false,\n\t\"zero\": 0,\n\t\"least\": -9223372036854775808,"
	        "\n\t\"empty\": [],\n\t\"list\": [\n\t\t{\"none\": {}, \"one\": -1},\n\t\t7"
	        "\n\t]\n}\n");
	json_decref(read_back());
}
END_TEST

START_TEST(the_largest_number_keeps_its_digits)
{
	qs_json_unsigned(&writer, NULL, UINT64_MAX);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	ck_assert_str_eq(written(), "18446744073709551615\n");
}
END_TEST

static const struct {
	int64_t nanoseconds;
	const char *text;
} spans[] = { { 0, "0.000" }, { 12345678, "12.345" }, { -12345678, "-12.345" }, { 999, "0.000" },
	{ -999, "0.000" }, { -1000, "-0.001" }, { 1000000, "1.000" }, { 60000, "0.060" },
	{ INT64_MAX, "9223372036854.775" }, { INT64_MIN, "-9223372036854.775" } };

START_TEST(nanoseconds_become_milliseconds_with_three_digits)
{
	qs_json_milliseconds(&writer, NULL, spans[_i].nanoseconds);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	ck_assert_int_eq(strncmp(written(), spans[_i].text, strlen(spans[_i].text)), 0);
	ck_assert_uint_eq(strlen(written()), strlen(spans[_i].text) + 1);
}
END_TEST

static const struct {
	const char *in, *out;
} texts[] = {
	{ "plain", "plain" },
	{ "", "" },
	{ "quote \" back \\ slash", "quote \" back \\ slash" },
	{ "\x01\x1f\x7f\n\t\r", "\x01\x1f\x7f\n\t\r" },
	{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
	{ "\x80 alone", "\xef\xbf\xbd alone" },
	{ "cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd" },
	{ "overlong \xc0\xaf", "overlong \xef\xbf\xbd\xef\xbf\xbd" },
	{ "surrogate \xed\xa0\x80", "surrogate \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "too far \xf4\x90\x80\x80", "too far \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd" },
};

START_TEST(any_text_is_read_back_as_valid_utf8)
{
	json_t *json;

	qs_json_begin_object(&writer, NULL);
	qs_json_string(&writer, texts[_i].in, texts[_i].in);
	qs_json_end_object(&writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	json = read_back();
	ck_assert_str_eq(json_string_value(json_object_get(json, texts[_i].out)), texts[_i].out);
	json_decref(json);
}
END_TEST

START_TEST(what_is_larger_than_the_buffer_arrives_whole)
{
	json_t *json;

	qs_json_begin_array(&writer, NULL);
	for (unsigned i = 0; i < 5000; i++)
		qs_json_unsigned(&writer, NULL, i);
	qs_json_end_array(&writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	json = read_back();
	ck_assert_uint_eq(json_array_size(json), 5000);
	for (unsigned i = 0; i < 5000; i++)
		ck_assert_int_eq(json_integer_value(json_array_get(json, i)), i);
	json_decref(json);
}
END_TEST

START_TEST(the_first_error_sticks)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(full, 0);
	json_writer_init(&writer, full);
	qs_json_begin_array(&writer, NULL);
	for (unsigned i = 0; i < 5000; i++)
		qs_json_unsigned(&writer, NULL, i);
	ck_assert_int_eq(writer.error, -ENOSPC);
	writer.fd = -1;
	qs_json_end_array(&writer);
	ck_assert_int_eq(json_writer_finish(&writer), -ENOSPC);
	(void)close(full);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json_writer");
	TCase *values = tcase_create("values");
	TCase *writes = tcase_create("writes");

	tcase_add_checked_fixture(values, open_writer, close_writer);
	tcase_add_checked_fixture(writes, open_writer, close_writer);
	tcase_add_test(values, every_kind_of_value_is_read_back);
	tcase_add_test(values, the_largest_number_keeps_its_digits);
	tcase_add_loop_test(values, nanoseconds_become_milliseconds_with_three_digits, 0,
	        (int)ARRAY_SIZE(spans));
	tcase_add_loop_test(values, any_text_is_read_back_as_valid_utf8, 0, (int)ARRAY_SIZE(texts));
	tcase_add_test(writes, what_is_larger_than_the_buffer_arrives_whole);
	tcase_add_test(writes, the_first_error_sticks);
	suite_add_tcase(suite, values);
	suite_add_tcase(suite, writes);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
