/* Where events end, however their bytes are cut. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/sse.h"

static struct qs_sse sse;

static void set_up(void)
{
	qs_sse_init(&sse);
}

static size_t feed(const char *text)
{
	return qs_sse_feed(&sse, text, strlen(text));
}

START_TEST(an_empty_line_ends_an_event)
{
	ck_assert_int_eq(sse.place, QS_SSE_BETWEEN);
	ck_assert_uint_eq(feed("data: a\n\n"), 9);
	ck_assert_int_eq(sse.place, QS_SSE_BETWEEN);
	ck_assert_uint_eq(feed("id: 1\ndata: b\n\ndata: c"), 15);
	ck_assert_int_eq(sse.place, QS_SSE_IN_LINE);
	ck_assert_uint_eq(feed("\n"), 0);
	ck_assert_int_eq(sse.place, QS_SSE_IN_EVENT);
	ck_assert_uint_eq(feed("\ndata: d\n"), 1);
	ck_assert_int_eq(sse.place, QS_SSE_IN_EVENT);
}
END_TEST

START_TEST(each_of_the_line_ends_counts_once)
{
	ck_assert_uint_eq(feed("data: a\r\rx"), 9);
	qs_sse_init(&sse);
	ck_assert_uint_eq(feed("data: a\r\n\r\nx"), 11);
	qs_sse_init(&sse);
	ck_assert_uint_eq(feed("data: a\r\nx\r\n"), 0);
	ck_assert_int_eq(sse.place, QS_SSE_IN_EVENT);
	qs_sse_init(&sse);
	ck_assert_uint_eq(feed("data: a\n\r\nx"), 10);
	qs_sse_init(&sse);
	/* LF CR are two. */
	ck_assert_uint_eq(feed("data: a\n\rx"), 9);
}
END_TEST

START_TEST(a_line_end_may_be_cut_in_two)
{
	ck_assert_uint_eq(feed("data: a\r"), 0);
	ck_assert_int_eq(sse.place, QS_SSE_IN_EVENT);
	ck_assert_uint_eq(feed("\n"), 0);
	ck_assert_int_eq(sse.place, QS_SSE_IN_EVENT);
	ck_assert_uint_eq(feed("\r"), 1);
	ck_assert_int_eq(sse.place, QS_SSE_BETWEEN);
	ck_assert_uint_eq(feed("\nd"), 1);
	ck_assert_int_eq(sse.place, QS_SSE_IN_LINE);
}
END_TEST

START_TEST(a_byte_order_mark_belongs_to_no_line)
{
	ck_assert_uint_eq(feed("\xef\xbb\xbf\n"), 4);
	ck_assert_int_eq(sse.place, QS_SSE_BETWEEN);
	/* Only the first is one. */
	ck_assert_uint_eq(feed("\xef\xbb\xbf\n"), 0);
	ck_assert_int_eq(sse.place, QS_SSE_IN_EVENT);
	/* Half of one is none. */
	qs_sse_init(&sse);
	ck_assert_uint_eq(feed("\xef\xbb\n"), 0);
	ck_assert_int_eq(sse.place, QS_SSE_IN_EVENT);
	qs_sse_init(&sse);
	ck_assert_uint_eq(feed("\xef\xbb\xef\xbb\xbf\n\nx"), 7);
}
END_TEST

START_TEST(comments_and_empty_lines_are_between_events_too)
{
	ck_assert_uint_eq(feed("\n\n"), 2);
	ck_assert_uint_eq(feed(": still here\n"), 0);
	ck_assert_uint_eq(feed("\n"), 1);
	ck_assert_uint_eq(feed(""), 0);
	ck_assert_int_eq(sse.place, QS_SSE_BETWEEN);
}
END_TEST

/* The stream cut everywhere is where the whole one is, and its last event ends at the same byte. */
START_TEST(it_does_not_matter_where_the_bytes_are_cut)
{
	static const char *const streams[] = { "data: a\n\ndata: b\r\n\r\nx: y\r\rz",
		"\xef\xbb\xbf: x\r\ndata\r\n\r\n\r\n:\n", "\r\n\r\r\n\n\r",
		"a\r\n\r\nb\n\r\nc\r\r\n", "\xef\xbb\r\r\xbf\n\n" };

	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		size_t size = strlen(streams[i]);
		struct qs_sse whole;

		qs_sse_init(&whole);
		size_t end = qs_sse_feed(&whole, streams[i], size);
		for (size_t first = 0; first <= size; first++)
			for (size_t second = first; second <= size; second++) {
				const size_t cuts[] = { 0, first, second, size };
				size_t found = 0;

				qs_sse_init(&sse);
				for (size_t k = 0; k < 3; k++) {
					size_t r = qs_sse_feed(
					        &sse, streams[i] + cuts[k], cuts[k + 1] - cuts[k]);
					found = r > 0 ? cuts[k] + r : found;
				}
				ck_assert_uint_eq(found, end);
				ck_assert_int_eq(sse.place, whole.place);
			}
	}
}
END_TEST

START_TEST(a_long_event_needs_no_memory)
{
	static char data[1 << 20];

	memset(data, 'a', sizeof(data));
	for (int i = 0; i < 64; i++)
		ck_assert_uint_eq(qs_sse_feed(&sse, data, sizeof(data)), 0);
	ck_assert_uint_eq(feed("\n\n"), 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sse");
	TCase *events = tcase_create("events");

	tcase_add_checked_fixture(events, set_up, NULL);
	tcase_add_test(events, an_empty_line_ends_an_event);
	tcase_add_test(events, each_of_the_line_ends_counts_once);
	tcase_add_test(events, a_line_end_may_be_cut_in_two);
	tcase_add_test(events, a_byte_order_mark_belongs_to_no_line);
	tcase_add_test(events, comments_and_empty_lines_are_between_events_too);
	tcase_add_test(events, it_does_not_matter_where_the_bytes_are_cut);
	tcase_add_test(events, a_long_event_needs_no_memory);
	suite_add_tcase(suite, events);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
