/* Files that take answers: the whole of the new one, or the old one as it was. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/http_save.h"
#include "tests/unit/fiber_world.h"

#define LARGE (12U << 20) /* it takes several turns */

static char directory[64];
static char *large;
static struct job {
	struct http_save save;
	struct http_save_plan plan;
	char problem[256];
	int result;
} job;

static void set_up(void)
{
	world_open(true, 0);
	snprintf(directory, sizeof(directory), "/tmp/quiesced-save.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	large = malloc(LARGE);
	memset(large, 'x', LARGE);
	job = (struct job){ .save = HTTP_SAVE_NONE,
		.plan = { .path = "answer", .directory = directory, .id = 7 },
		.result = 1 };
}

static unsigned count_files(void)
{
	DIR *stream = opendir(directory);
	unsigned count = 0;

	ck_assert_ptr_nonnull(stream);
	for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(stream);
	return count;
}

static void tear_down(void)
{
	char path[128];

	http_save_done(&job.save);
	snprintf(path, sizeof(path), "%s/answer", directory);
	(void)unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
	free(large);
	world_close();
}

static int run(qs_task *self, void *arg _unused_)
{
	job.result = http_save(self, &job.save, &job.plan, job.problem, sizeof(job.problem));
	return job.result;
}

static struct qs_task *begin(const void *data, size_t size)
{
	job.plan.data = data;
	job.plan.size = size;
	ck_assert_int_eq(qs_spawn_fiber(&world.root, NULL, run, NULL, NULL), 0);
	return list_entry(world.root.tasks.next, struct qs_task, in_group);
}

static int save(const void *data, size_t size)
{
	(void)begin(data, size);
	world_run();
	return job.result;
}

/* The content of the file; "" if there is none. */
static const char *saved(void)
{
	static char text[64];
	char path[128];

	snprintf(path, sizeof(path), "%s/answer", directory);
	FILE *file = fopen(path, "re");
	size_t size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	text[size] = '\0';
	if (file)
		fclose(file);
	return text;
}

START_TEST(the_file_is_there_as_a_whole_and_nothing_else)
{
	ck_assert_int_eq(save("old", 3), 0);
	ck_assert_str_eq(saved(), "old");
	ck_assert_int_eq(save("new and longer", 14), 0);
	ck_assert_str_eq(saved(), "new and longer");
	ck_assert_int_eq(save("", 0), 0);
	ck_assert_str_eq(saved(), "");
	ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(an_absolute_path_takes_no_notice_of_the_directory)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/answer", directory);
	job.plan.path = path;
	job.plan.directory = "/no/such/directory";
	ck_assert_int_eq(save("here", 4), 0);
	ck_assert_str_eq(saved(), "here");
	job.plan.directory = NULL;
	ck_assert_int_eq(save("again", 5), 0);
	ck_assert_str_eq(saved(), "again");
}
END_TEST

START_TEST(it_can_be_read_by_whom_the_umask_lets)
{
	static const struct {
		mode_t mask, mode;
	} cases[] = { { 022, 0644 }, { 077, 0600 }, { 0, 0644 } };
	struct stat status;
	char path[128];

	mode_t before = umask(cases[_i].mask);
	ck_assert_int_eq(save("x", 1), 0);
	(void)umask(before);
	snprintf(path, sizeof(path), "%s/answer", directory);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, cases[_i].mode);
}
END_TEST

START_TEST(a_directory_that_is_not_there_is_named)
{
	job.plan.path = "missing/answer";
	ck_assert_int_eq(save("x", 1), -ENOENT);
	ck_assert_str_eq(job.problem, "cannot save to missing/answer: No such file or directory");
}
END_TEST

/* A limit on the size of files stands for a disk that is full. */
START_TEST(without_room_the_old_file_stays)
{
	struct rlimit found, small;

	ck_assert_int_eq(save("old", 3), 0);
	ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &found), 0);
	small = found;
	small.rlim_cur = 1 << 20;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	int r = save(large, LARGE);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &found), 0);
	ck_assert_int_eq(r, -EFBIG);
	ck_assert_ptr_nonnull(strstr(job.problem, "cannot save to answer: File too large"));
	ck_assert_str_eq(saved(), "old");
	ck_assert_uint_eq(count_files(), 1);
}
END_TEST

/* Two turns: it has begun to write, and others have had their turn. */
static struct qs_task *begin_large(void)
{
	ck_assert_int_eq(save("old", 3), 0);
	job.result = 1;
	struct qs_task *task = begin(large, LARGE);
	(void)qs_loop_turn(world.loop, false);
	ck_assert_int_eq(job.result, 1);
	ck_assert_uint_eq(count_files(), 2);
	return task;
}

START_TEST(cancelled_it_leaves_the_old_file)
{
	qs_task_cancel(begin_large(), QS_CAUSE_API);
	world_run();
	ck_assert_int_eq(job.result, -ECANCELED);
	ck_assert_str_eq(saved(), "old");
	ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(killed_it_leaves_what_is_cleaned_up_by_its_owner)
{
	qs_task_kill(begin_large(), QS_CAUSE_API);
	world_run();
	ck_assert_int_eq(job.result, 1);
	http_save_done(&job.save);
	ck_assert_str_eq(saved(), "old");
	ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(what_a_dead_daemon_left_behind_is_in_nobodys_way)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/.answer.7.tmp", directory);
	FILE *file = fopen(path, "we");
	ck_assert(file && fputs("half of", file) > 0 && fclose(file) == 0);
	ck_assert_int_eq(save("all", 3), 0);
	ck_assert_str_eq(saved(), "all");
	ck_assert_uint_eq(count_files(), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_save");
	TCase *tcase = tcase_create("files");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, the_file_is_there_as_a_whole_and_nothing_else);
	tcase_add_test(tcase, an_absolute_path_takes_no_notice_of_the_directory);
	tcase_add_loop_test(tcase, it_can_be_read_by_whom_the_umask_lets, 0, 3);
	tcase_add_test(tcase, a_directory_that_is_not_there_is_named);
	tcase_add_test(tcase, without_room_the_old_file_stays);
	tcase_add_test(tcase, cancelled_it_leaves_the_old_file);
	tcase_add_test(tcase, killed_it_leaves_what_is_cleaned_up_by_its_owner);
	tcase_add_test(tcase, what_a_dead_daemon_left_behind_is_in_nobodys_way);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
