/* UTF-8, walked over every character and every sequence of two bytes. */
#include "lib/utf8.h"

#include <check.h>
#include <stdint.h>
#include <string.h>

static int encode(uint32_t code, char *text)
{
	if (code < 0x80) {
		text[0] = (char)code;
		return 1;
	}
	int length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	for (int i = length - 1; i > 0; i--, code >>= 6)
		text[i] = (char)(0x80 | (code & 0x3f));
	text[0] = (char)(first[length] | code);
	return length;
}

START_TEST(every_character_has_its_length_and_no_prefix_of_it_is_one)
{
	for (uint32_t code = 0; code < 0x120000; code++) {
		char text[4];
		int length = encode(code, text);
		bool exists = code < 0x110000 && (code < 0xd800 || code > 0xdfff);
		if (qs_utf8_next(text, (size_t)length) != (exists ? length : 0))
			ck_abort_msg("U+%04X", code);
		for (int cut = 0; exists && cut < length; cut++)
			if (qs_utf8_next(text, (size_t)cut) != -1)
				ck_abort_msg("U+%04X cut to %d", code, cut);
	}
}
END_TEST

START_TEST(overlong_forms_are_none)
{
	ck_assert_int_eq(qs_utf8_next("\xc0\x80", 2), 0);
	ck_assert_int_eq(qs_utf8_next("\xc1\xbf", 2), 0);
	ck_assert_int_eq(qs_utf8_next("\xe0\x9f\xbf", 3), 0);
	ck_assert_int_eq(qs_utf8_next("\xf0\x8f\xbf\xbf", 4), 0);
	ck_assert_int_eq(qs_utf8_next("\x80", 1), 0);
	ck_assert_int_eq(qs_utf8_next("\xff", 1), 0);
}
END_TEST

START_TEST(controls_are_c0_delete_and_c1)
{
	ck_assert(qs_utf8_is_control("\0") && qs_utf8_is_control("\x1f"));
	ck_assert(qs_utf8_is_control("\x7f") && qs_utf8_is_control("\xc2\x80"));
	ck_assert(qs_utf8_is_control("\xc2\x9f") && !qs_utf8_is_control("\xc2\xa0"));
	ck_assert(!qs_utf8_is_control(" ") && !qs_utf8_is_control("~"));
}
END_TEST

START_TEST(a_cut_keeps_whole_characters)
{
	static const size_t expected[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10 };
	for (size_t limit = 0; limit < sizeof(expected) / sizeof(expected[0]); limit++)
		ck_assert_uint_eq(qs_utf8_cut("aä漢🎈", 10, limit), expected[limit]);
}
END_TEST

START_TEST(a_cut_of_what_is_no_text_is_near_its_limit)
{
	ck_assert_uint_eq(qs_utf8_cut("\x80\x80\x80\x80\x80\x80\x80\x80", 8, 6), 6);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("utf8");
	TCase *characters = tcase_create("characters");
	TCase *cuts = tcase_create("cuts");
	tcase_add_test(characters, every_character_has_its_length_and_no_prefix_of_it_is_one);
	tcase_add_test(characters, overlong_forms_are_none);
	tcase_add_test(characters, controls_are_c0_delete_and_c1);
	tcase_add_test(cuts, a_cut_keeps_whole_characters);
	tcase_add_test(cuts, a_cut_of_what_is_no_text_is_near_its_limit);
	suite_add_tcase(suite, characters);
	suite_add_tcase(suite, cuts);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
