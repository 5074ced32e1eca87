/* The report as a file, which is replaced as a whole, and as a line for people. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/report_fixture.h"

static unsigned files_in_directory(void)
{
	DIR *opened = opendir(directory);
	unsigned count = 0;

	ck_assert_ptr_nonnull(opened);
	for (struct dirent *entry; (entry = readdir(opened)) != NULL;)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			count++;
	(void)closedir(opened);
	return count;
}

START_TEST(the_last_report_is_replaced_as_a_whole)
{
	request();
	leave(T0 + QS_SEC);
	json_decref(write_and_read());
	report.sync = true;
	report.pid = 12;
	json_t *json = write_and_read();
	ck_assert_int_eq(count_at(json, "pid"), 12);
	ck_assert_uint_eq(files_in_directory(), 1);
	json_decref(json);
}
END_TEST

START_TEST(a_failed_write_leaves_nothing_behind)
{
	request();
	leave(T0);
	ck_assert_int_eq(qs_report_write(&report, -1), -EBADF);
	ck_assert_int_eq(mkdirat(directory_fd, QS_REPORT_NAME, 0700), 0);
	ck_assert_int_eq(qs_report_write(&report, directory_fd), -EISDIR);
	ck_assert_int_eq(unlinkat(directory_fd, QS_REPORT_NAME, AT_REMOVEDIR), 0);
	ck_assert_uint_eq(files_in_directory(), 0);
}
END_TEST

START_TEST(the_summary_counts_and_names_who_gave_trouble)
{
	static const char *const stubborn[] = { "a", "b", "b", "c", "d" };
	struct qs_record *records[ARRAY_SIZE(stubborn)];
	struct qs_record *good = open_task("good", QS_KIND_PROCESS, T0 - 1);
	struct qs_record *bad = open_task("bad", QS_KIND_PROCESS, T0 - 1);
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(stubborn); i++)
		records[i] = open_task(stubborn[i], QS_KIND_PROCESS, T0 - 1);
	request();
	end(good, QS_VERDICT_STOPPED, T0 + 1);
	end(bad, QS_VERDICT_CANCELLED, T0 + 1);
	for (size_t i = 0; i < ARRAY_SIZE(stubborn); i++)
		end(records[i], QS_VERDICT_KILLED, T0 + 2);
	leave(T0 + 1250 * QS_MSEC);
	allocation_is_a_failure = true;
	qs_report_summarise(&report, text, sizeof(text));
	allocation_is_a_failure = false;
	ck_assert_str_eq(text, "quiesced in 1.2 s: 1 stopped, 1 cancelled (bad), 5 killed "
	                       "(a, b, c and more)");
}
END_TEST

START_TEST(the_summary_of_nothing_says_so_and_fits_any_buffer)
{
	char text[64];

	request();
	leave(T0 + 2 * QS_MSEC);
	qs_report_summarise(&report, text, sizeof(text));
	ck_assert_str_eq(text, "quiesced in 2 ms: nothing was running");
	for (size_t size = 0; size < 40; size++) {
		memset(text, '#', sizeof(text));
		qs_report_summarise(&report, text, size);
		ck_assert_int_eq(text[size], '#');
		if (size > 0)
			ck_assert_ptr_nonnull(memchr(text, '\0', size));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("report_files");
	TCase *files = tcase_create("files");
	TCase *summary = tcase_create("summary");

	tcase_add_checked_fixture(files, set_up, tear_down);
	tcase_add_checked_fixture(summary, set_up, tear_down);
	tcase_add_test(files, the_last_report_is_replaced_as_a_whole);
	tcase_add_test(files, a_failed_write_leaves_nothing_behind);
	tcase_add_test(summary, the_summary_counts_and_names_who_gave_trouble);
	tcase_add_test(summary, the_summary_of_nothing_says_so_and_fits_any_buffer);
	suite_add_tcase(suite, files);
	suite_add_tcase(suite, summary);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
