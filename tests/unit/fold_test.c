/* Folding: what a child writes, in whatever pieces, comes out as lines that are fit to be shown. */
#include "daemon/fold.h"

#include <check.h>
#include <errno.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/utf8.h"

/* --- memory that can run out, and is measured --- */

static int allocations_left = -1; /* -1: as many as you like */
static size_t largest;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool may_allocate(size_t size)
{
	if (allocations_left == 0)
		return false;
	if (allocations_left > 0)
		allocations_left--;
	largest = MAX(largest, size);
	return true;
}

void *__wrap_malloc(size_t size)
{
	return may_allocate(size) ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return may_allocate(count * size) ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
	return may_allocate(size) ? __real_realloc(old, size) : NULL;
}

/* --- what comes out, each line with '|' behind it --- */

static char out[1 << 20];
static size_t out_size;

static void collect(const char *line, size_t length, void *arg _unused_)
{
	if (out_size + length + 2 > sizeof(out))
		abort(); /* a failing assertion takes memory */
	memcpy(out + out_size, line, length);
	out_size += length;
	out[out_size++] = '|';
	out[out_size] = '\0';
}

static const char *read_in_pieces(const char *data, size_t size, size_t piece, size_t max_line)
{
	struct line_reader *reader;
	out_size = 0;
	out[0] = '\0';
	ck_assert_int_eq(line_reader_new(max_line, collect, NULL, &reader), 0);
	for (size_t at = 0; at < size; at += piece)
		line_reader_feed(reader, data + at, MIN(piece, size - at));
	line_reader_finish(reader);
	line_reader_free(reader);
	return out;
}

/* The same in whole, by the byte and by the half dozen. */
static void check_reads(const char *data, size_t size, const char *expected)
{
	for (size_t piece = 1; piece < 7; piece++)
		ck_assert_str_eq(read_in_pieces(data, size, piece, 4096), expected);
	ck_assert_str_eq(read_in_pieces(data, size, size + 1, 4096), expected);
}

static void mark_of(char mark[128], const char *data, size_t size)
{
	struct sha256_ctx context;
	uint8_t digest[4];
	sha256_init(&context);
	sha256_update(&context, size, (const uint8_t *)data);
	sha256_digest(&context, sizeof(digest), digest);
	snprintf(mark, 128, "…[%zu bytes, sha256 %02x%02x%02x%02x]…", size, digest[0], digest[1],
	        digest[2], digest[3]);
}

/* prefix, size times the byte, suffix */
static size_t surround(char *buffer, const char *prefix, int byte, size_t size, const char *suffix)
{
	size_t before = strlen(prefix), after = strlen(suffix);
	memcpy(buffer, prefix, before);
	memset(buffer + before, byte, size);
	memcpy(buffer + before + size, suffix, after + 1);
	return before + size + after;
}

#define CHECK_READS(text, expected) check_reads(text, sizeof(text) - 1, expected)

START_TEST(lines_come_one_by_one)
{
	CHECK_READS("one\ntwo\n\nthree\n", "one|two||three|");
}
END_TEST

START_TEST(a_last_line_needs_no_newline)
{
	CHECK_READS("one\ntwo", "one|two|");
	CHECK_READS("", "");
}
END_TEST

START_TEST(a_carriage_return_before_the_newline_goes)
{
	CHECK_READS("one\r\n\r\ntwo\r\n", "one||two|");
}
END_TEST

START_TEST(a_carriage_return_elsewhere_shows)
{
	CHECK_READS("10%\r20%\r\r\nx\r", "10%\\x0d20%\\x0d|x\\x0d|");
}
END_TEST

START_TEST(control_characters_show_as_escapes_and_tabs_stay)
{
	CHECK_READS("a\tb\x1b[31mred\x1b[0m\x01\x7f\n", "a\tb\\x1b[31mred\\x1b[0m\\x01\\x7f|");
	CHECK_READS("\0\0z\n", "\\x00\\x00z|");
}
END_TEST

START_TEST(utf8_stays_and_what_is_none_shows_as_escapes)
{
	CHECK_READS("größe 漢字 🎈\n", "größe 漢字 🎈|");
	CHECK_READS("\xff\xfe x \xc3\n\xe6\xbc", "\\xff\\xfe x \\xc3|\\xe6\\xbc|");
	CHECK_READS("\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80\n",
	        "\\xc0\\xaf \\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80|");
	CHECK_READS("\xc2\x9b c1\n", "\\xc2\\x9b c1|");
}
END_TEST

START_TEST(a_carriage_return_ends_a_broken_character)
{
	CHECK_READS("\xc3\rx\n", "\\xc3\\x0dx|");
	CHECK_READS("\xc3\r\nx\n", "\\xc3|x|");
}
END_TEST

START_TEST(base64_of_256_bytes_stays_and_of_257_folds)
{
	char text[1024], expected[1024], mark[128], run[257];
	memset(run, 'A', sizeof(run));
	size_t size = surround(text, "key=", 'A', 256, " end\n");
	snprintf(expected, sizeof(expected), "%.*s|", (int)size - 1, text);
	check_reads(text, size, expected);
	mark_of(mark, run, sizeof(run));
	size = surround(text, "key=", 'A', 257, " end\n");
	snprintf(expected, sizeof(expected), "key=%s end|", mark);
	check_reads(text, size, expected);
}
END_TEST

START_TEST(padding_belongs_to_the_run)
{
	char text[1024], expected[1024], mark[128], run[302];
	memset(run, 'Q', 300);
	memcpy(run + 300, "==", 2);
	mark_of(mark, run, sizeof(run));
	size_t size = surround(text, "data:image/png;base64,", 'Q', 300, "==\"}\n");
	snprintf(expected, sizeof(expected), "data:image/png;base64,%s\"}|", mark);
	check_reads(text, size, expected);
	size = surround(text, "", 'Q', 300, "===\n");
	snprintf(expected, sizeof(expected), "%s=|", mark);
	check_reads(text, size, expected);
}
END_TEST

START_TEST(both_alphabets_of_base64_count)
{
	static const char letters[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_";
	char text[1024] = "", mark[128], expected[256];
	for (int i = 0; i < 5; i++)
		strcat(text, letters);
	mark_of(mark, text, strlen(text));
	snprintf(expected, sizeof(expected), "%s|", mark);
	check_reads(text, strlen(text), expected);
}
END_TEST

START_TEST(long_text_with_spaces_is_no_payload)
{
	char text[2048] = "", expected[2049];
	while (strlen(text) < 2000)
		strcat(text, "words of an ordinary length, ");
	snprintf(expected, sizeof(expected), "%s|", text);
	check_reads(text, strlen(text), expected);
}
END_TEST

START_TEST(binary_over_256_bytes_folds_and_the_text_around_it_stays)
{
	char text[1024], expected[1024], mark[128], run[300];
	memset(run, 0x81, sizeof(run));
	mark_of(mark, run, sizeof(run));
	size_t size = surround(text, "got: ", 0x81, sizeof(run), " and then text\nnext\n");
	snprintf(expected, sizeof(expected), "got: %s and then text|next|", mark);
	check_reads(text, size, expected);
	size = surround(text, "", 0x81, sizeof(run), "ab\n");
	snprintf(expected, sizeof(expected), "%sab|", mark);
	check_reads(text, size, expected);
}
END_TEST

START_TEST(letters_inside_of_binary_are_part_of_it)
{
	char run[1000], expected[256], mark[128];
	for (size_t i = 0; i < sizeof(run); i++)
		run[i] = i % 3 == 0 ? '\0' : (char)('a' + i % 26);
	mark_of(mark, run, sizeof(run) - sizeof(run) % 3 + 1);
	size_t size = sizeof(run) - sizeof(run) % 3 + 1;
	snprintf(expected, sizeof(expected), "%s|", mark);
	check_reads(run, size, expected);
}
END_TEST

START_TEST(colours_and_progress_bars_are_no_binary)
{
	char text[4096] = "";
	while (strlen(text) < 1000)
		strcat(text, "\x1b[01;34mbin\x1b[0m\r42%");
	ck_assert_ptr_null(strstr(read_in_pieces(text, strlen(text), 100, 65536), "sha256"));
	memset(text, '\x1b', 300);
	ck_assert_ptr_nonnull(strstr(read_in_pieces(text, 300, 100, 65536), "[300 bytes, sha256"));
}
END_TEST

START_TEST(a_long_line_is_cut_with_its_length)
{
	ck_assert_str_eq(
	        read_in_pieces("0123 456 789\nx\n", 15, 1, 5), "0123 …[cut, 12 bytes in all]|x|");
	ck_assert_str_eq(
	        read_in_pieces("0123 456 789\nx\n", 15, 99, 5), "0123 …[cut, 12 bytes in all]|x|");
	ck_assert_str_eq(read_in_pieces("0123 \n", 6, 1, 5), "0123 |");
}
END_TEST

START_TEST(a_cut_never_goes_through_a_character)
{
	for (size_t piece = 1; piece < 12; piece++)
		ck_assert_str_eq(
		        read_in_pieces("ä漢x漢x\n", 11, piece, 7), "ä漢x…[cut, 10 bytes in all]|");
	ck_assert_str_eq(read_in_pieces("abc\x01z\n", 6, 1, 5), "abc…[cut, 5 bytes in all]|");
}
END_TEST

START_TEST(a_payload_folds_although_the_limit_is_smaller)
{
	char text[2048], expected[256], mark[128], run[1000];
	memset(run, 'A', sizeof(run));
	mark_of(mark, run, sizeof(run));
	size_t size = surround(text, "key=", 'A', sizeof(run), "\n");
	snprintf(expected, sizeof(expected), "key=%s|", mark);
	ck_assert_str_eq(read_in_pieces(text, size, 10, 20), expected);
}
END_TEST

/* 10 MB without newline once filled the memory of log collectors. */
START_TEST(ten_megabytes_without_newline_cost_no_memory)
{
	static const char *const texts[] = { "word and word, ", "AAAAAAAAAAAAAAAA", "\x01\x80\xff",
		"漢字 и текст " };
	char piece[4096];
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct line_reader *reader;
		out_size = largest = 0;
		ck_assert_int_eq(line_reader_new(4096, collect, NULL, &reader), 0);
		for (size_t k = 0; k < sizeof(piece); k++)
			piece[k] = texts[i][k % strlen(texts[i])];
		for (size_t fed = 0; fed < 10 << 20; fed += sizeof(piece))
			line_reader_feed(reader, piece, sizeof(piece));
		ck_assert_uint_eq(out_size, 0);
		line_reader_finish(reader);
		line_reader_free(reader);
		ck_assert_ptr_nonnull(strstr(out, "10485760 bytes"));
		ck_assert_uint_le(out_size, 4096 + LINE_READER_SLACK + 1);
		ck_assert_uint_le(largest, 4096 + LINE_READER_SLACK);
	}
}
END_TEST

START_TEST(a_whole_plain_line_takes_no_memory)
{
	struct line_reader *reader;
	out_size = 0;
	ck_assert_int_eq(line_reader_new(4096, collect, NULL, &reader), 0);
	allocations_left = 0;
	line_reader_feed(reader, "one line, and\r\nanother\n", 23);
	allocations_left = -1;
	ck_assert_str_eq(out, "one line, and|another|");
	line_reader_free(reader);
}
END_TEST

START_TEST(without_memory_lines_are_cut_and_go_on)
{
	static const char text[] = "in pieces \x80\x81 AAAA\nsecond line in pieces\nthird\n";
	for (int budget = 0; budget < 4; budget++) {
		struct line_reader *reader;
		out_size = 0;
		allocations_left = budget;
		int r = line_reader_new(4096, collect, NULL, &reader);
		for (size_t i = 0; r == 0 && i < sizeof(text) - 1; i++)
			line_reader_feed(reader, text + i, 1);
		allocations_left = -1;
		ck_assert_int_eq(r, budget == 0 ? -ENOMEM : 0);
		if (r < 0)
			continue;
		size_t lines = 0;
		for (size_t i = 0; i < out_size; i++)
			lines += out[i] == '|';
		ck_assert_uint_eq(lines, 3);
		line_reader_free(reader);
	}
}
END_TEST

static void check_is_fit_to_be_shown(const char *text, size_t size)
{
	for (size_t i = 0; i < size;) {
		int length = qs_utf8_next(text + i, size - i);
		if (length <= 0 || (text[i] != '\t' && qs_utf8_is_control(text + i)))
			ck_abort_msg("at byte %zu", i);
		i += (size_t)length;
	}
}

START_TEST(any_bytes_in_any_pieces_give_the_same_lines)
{
	static const char *const words[] = { "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\x80",
		"\xe6\xbc\xa2", "\r", "\n", "=", " ", "\x1b[0m", "\x01\x02\x03\x04\x05\x06", "text",
		"\xf0\x9f", "\xc2\x85" };
	static char data[8192], whole[sizeof(out)];
	srand((unsigned)_i);
	size_t size = 0, limit = (size_t)(rand() % 700);
	int favourite = rand() % (int)ARRAY_SIZE(words);
	while (size < sizeof(data) - 64) {
		int pick = rand() % 3 ? favourite : rand() % (int)ARRAY_SIZE(words);
		size_t length = strlen(words[pick]);
		memcpy(data + size, words[pick], length);
		size += length;
	}
	strcpy(whole, read_in_pieces(data, size, size, limit));
	check_is_fit_to_be_shown(whole, strlen(whole));
	for (int i = 0; i < 4; i++) {
		size_t piece = 1 + (size_t)(rand() % 300);
		ck_assert(strcmp(read_in_pieces(data, size, piece, limit), whole) == 0);
	}
}
END_TEST

START_TEST(a_text_folds_to_one_line_of_at_most_its_limit)
{
	char text[700];
	size_t size = surround(text, "first\nlongword ", 'A', 600, "\x01 ende ö\n");
	for (size_t max = 0; max < 300; max++) {
		_cleanup_(freep) char *folded = fold_text(text, size, max);
		ck_assert_uint_le(strlen(folded), max);
		check_is_fit_to_be_shown(folded, strlen(folded));
	}
	_cleanup_(freep) char *folded = fold_text(text, size, 1000);
	ck_assert_int_eq(strncmp(folded, "first\\nlongword …[600 bytes, sha256 ", 37), 0);
	ck_assert_ptr_nonnull(strstr(folded, "\\x01 ende ö\\n"));
}
END_TEST

START_TEST(a_text_without_memory_is_null)
{
	_cleanup_(freep) char *empty = fold_text("", 0, 10);
	ck_assert_str_eq(empty, "");
	allocations_left = 0;
	char *folded = fold_text("text", 4, 100);
	allocations_left = -1;
	ck_assert_ptr_null(folded);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fold");
	TCase *lines = tcase_create("lines"), *runs = tcase_create("runs");
	TCase *bounds = tcase_create("bounds"), *text = tcase_create("text");
	tcase_add_test(lines, lines_come_one_by_one);
	tcase_add_test(lines, a_last_line_needs_no_newline);
	tcase_add_test(lines, a_carriage_return_before_the_newline_goes);
	tcase_add_test(lines, a_carriage_return_elsewhere_shows);
	tcase_add_test(lines, control_characters_show_as_escapes_and_tabs_stay);
	tcase_add_test(lines, utf8_stays_and_what_is_none_shows_as_escapes);
	tcase_add_test(lines, a_carriage_return_ends_a_broken_character);
	tcase_add_test(runs, base64_of_256_bytes_stays_and_of_257_folds);
	tcase_add_test(runs, padding_belongs_to_the_run);
	tcase_add_test(runs, both_alphabets_of_base64_count);
	tcase_add_test(runs, long_text_with_spaces_is_no_payload);
	tcase_add_test(runs, binary_over_256_bytes_folds_and_the_text_around_it_stays);
	tcase_add_test(runs, letters_inside_of_binary_are_part_of_it);
	tcase_add_test(runs, colours_and_progress_bars_are_no_binary);
	tcase_add_test(bounds, a_long_line_is_cut_with_its_length);
	tcase_add_test(bounds, a_cut_never_goes_through_a_character);
	tcase_add_test(bounds, a_payload_folds_although_the_limit_is_smaller);
	tcase_add_test(bounds, ten_megabytes_without_newline_cost_no_memory);
	tcase_add_test(bounds, a_whole_plain_line_takes_no_memory);
	tcase_add_test(bounds, without_memory_lines_are_cut_and_go_on);
	tcase_add_loop_test(bounds, any_bytes_in_any_pieces_give_the_same_lines, 0, 200);
	tcase_add_test(text, a_text_folds_to_one_line_of_at_most_its_limit);
	tcase_add_test(text, a_text_without_memory_is_null);
	suite_add_tcase(suite, lines);
	suite_add_tcase(suite, runs);
	suite_add_tcase(suite, bounds);
	suite_add_tcase(suite, text);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
