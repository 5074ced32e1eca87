/* The state directory: one daemon at a time, and what the next run finds of the last one. */
#include "daemon/state.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/macro.h"
#include "lib/report.h"

static char directory[64];
static struct state state;

static void begin(void)
{
	snprintf(directory, sizeof(directory), "%s/quiesced-state-XXXXXX", P_tmpdir);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(state_open(&state, directory), 0);
}

static int remove_one(const char *path, const struct stat *status _unused_, int type _unused_,
        struct FTW *ftw _unused_)
{
	return remove(path);
}

static void end(void)
{
	state_close(&state);
	nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *name, const char *text)
{
	int fd = openat(state.directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static bool exists(const char *name)
{
	return faccessat(state.directory_fd, name, F_OK, 0) == 0;
}

static json_t *report(void)
{
	char *text;
	size_t size;
	ck_assert_int_eq(state_read_report(&state, &text, &size), 0);
	json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(json);
	free(text);
	return json;
}

static int find(int64_t *pid, uint64_t *started)
{
	*pid = -1;
	*started = 77;
	return state_find_unclean(&state, pid, started);
}

/* Runs `body` in a process of its own; returns its exit status. */
static int in_child(int (*body)(void))
{
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(body());
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int try_open(void)
{
	struct state other;
	int r = state_open(&other, directory);
	if (r == 0)
		state_close(&other);
	else if (other.directory_fd != -1 || other.lock_fd != -1)
		return 255;
	return -r;
}

START_TEST(another_daemon_is_refused)
{
	ck_assert_int_eq(in_child(try_open), EWOULDBLOCK);
	state_close(&state);
	ck_assert_int_eq(in_child(try_open), 0);
}
END_TEST

START_TEST(a_daemon_that_was_killed_leaves_no_lock)
{
	int told[2];
	char byte;
	state_close(&state);
	ck_assert_int_eq(pipe(told), 0);
	pid_t pid = fork();
	if (pid == 0) {
		byte = state_open(&state, directory) == 0 ? 'y' : 'n';
		(void)!write(told[1], &byte, 1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 'y');
	ck_assert_int_eq(try_open(), EWOULDBLOCK);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(try_open(), 0);
	close(told[0]);
	close(told[1]);
}
END_TEST

START_TEST(missing_directories_are_made)
{
	char path[128];
	struct state deep;
	snprintf(path, sizeof(path), "%s/a//b/c/", directory);
	ck_assert_int_eq(state_open(&deep, path), 0);
	state_close(&deep);
	ck_assert_int_eq(deep.directory_fd, -1);
	ck_assert_int_eq(state_open(&deep, path), 0);
	state_close(&deep);
}
END_TEST

START_TEST(what_cannot_be_a_directory_is_refused)
{
	char path[128], too_long[5000];
	struct state other;
	put("file", "");
	snprintf(path, sizeof(path), "%s/file", directory);
	ck_assert_int_eq(state_open(&other, path), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/file/below", directory);
	ck_assert_int_eq(state_open(&other, path), -ENOTDIR);
	ck_assert_int_eq(state_open(&other, ""), -ENOENT);
	memset(too_long, 'x', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	ck_assert_int_eq(state_open(&other, too_long), -ENAMETOOLONG);
	ck_assert_int_eq(state_open(&other, "/proc/quiesced"), -ENOENT);
}
END_TEST

static int open_without_rights(void)
{
	struct state other;
	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 255;
	return -state_open(&other, directory);
}

START_TEST(a_directory_without_rights_is_refused)
{
	state_close(&state);
	ck_assert_int_eq(chmod(directory, 0), 0);
	ck_assert_int_eq(in_child(open_without_rights), EACCES);
	ck_assert_int_eq(chmod(directory, 0555), 0);
	nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	ck_assert_int_eq(mkdir(directory, 0555), 0);
	ck_assert_int_eq(in_child(open_without_rights), EACCES);
}
END_TEST

START_TEST(descriptors_do_not_pass_to_children)
{
	ck_assert(fcntl(state.directory_fd, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(state.lock_fd, F_GETFD) & FD_CLOEXEC);
}
END_TEST

START_TEST(a_first_run_finds_nothing)
{
	int64_t pid;
	uint64_t started;
	char *text;
	size_t size;
	ck_assert_int_eq(find(&pid, &started), 0);
	ck_assert_int_eq(state_read_report(&state, &text, &size), -ENOENT);
}
END_TEST

START_TEST(a_run_that_ended_well_leaves_nothing)
{
	int64_t pid;
	uint64_t started;
	ck_assert_int_eq(state_mark(&state, NULL, 5), 0);
	ck_assert(exists("run.json"));
	state_unmark(&state);
	ck_assert_int_eq(find(&pid, &started), 0);
	ck_assert(!exists(QS_REPORT_NAME));
}
END_TEST

static void check_is_null(const json_t *object, const char *key)
{
	ck_assert_msg(json_is_null(json_object_get(object, key)), "%s", key);
}

START_TEST(a_run_without_an_end_is_reported_once)
{
	int64_t pid;
	uint64_t started;
	ck_assert_int_eq(state_mark(&state, "0123abcd", 1795255325345000), 0);
	ck_assert_int_eq(find(&pid, &started), 1);
	ck_assert_int_eq(pid, getpid());
	ck_assert_uint_eq(started, 1795255325345000);
	ck_assert_int_eq(find(&pid, &started), 0);
	_cleanup_(json_decrefp) json_t *json = report();
	ck_assert_int_eq(json_integer_value(json_object_get(json, "version")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "pid")), getpid());
	ck_assert(json_is_true(json_object_get(json, "unclean")));
	ck_assert_str_eq(json_string_value(json_object_get(json, "invocation_id")), "0123abcd");
	ck_assert_str_eq(
	        json_string_value(json_object_get(json, "started_at")), "2026-11-21T10:02:05.345Z");
	check_is_null(json, "reason");
	check_is_null(json, "requested_at");
	check_is_null(json, "duration_ms");
	check_is_null(json, "exit_status");
	ck_assert(json_is_array(json_object_get(json, "phases")));
	ck_assert(json_is_array(json_object_get(json, "tasks")));
	ck_assert(json_is_object(json_object_get(json, "totals")));
	ck_assert_uint_eq(json_object_size(json_object_get(json, "counts")), 6);
	check_is_null(json_object_get(json, "counts"), "killed");
	ck_assert_int_eq(json_integer_value(json_object_get(json, "tasks_omitted")), 0);
	ck_assert_uint_eq(json_object_size(json), 14);
}
END_TEST

static const char *const broken[] = { "", "{", "[]", "null", "{\"pid\": \"x\"}", "\xff\xfe",
	"{\"pid\": -3, \"started_at\": -1}", "{\"pid\": 1e99}" };

START_TEST(a_broken_marker_counts_with_unknown_values)
{
	int64_t pid;
	uint64_t started;
	put("run.json", broken[_i]);
	ck_assert_int_eq(find(&pid, &started), 1);
	ck_assert_int_eq(pid, 0);
	ck_assert_uint_eq(started, 0);
	_cleanup_(json_decrefp) json_t *json = report();
	check_is_null(json, "pid");
	check_is_null(json, "started_at");
	check_is_null(json, "invocation_id");
}
END_TEST

/* Killed between its report and the removal of the marker: the report is the truth. */
START_TEST(a_marker_beside_its_own_report_is_no_unclean_end)
{
	int64_t pid;
	uint64_t started;
	char text[64];
	ck_assert_int_eq(state_mark(&state, NULL, 5), 0);
	snprintf(text, sizeof(text), "{\"pid\": %d, \"unclean\": false}", (int)getpid());
	put(QS_REPORT_NAME, text);
	ck_assert_int_eq(find(&pid, &started), 0);
	ck_assert(!exists("run.json"));
	_cleanup_(json_decrefp) json_t *json = report();
	ck_assert(json_is_false(json_object_get(json, "unclean")));
}
END_TEST

START_TEST(an_older_report_of_the_same_pid_is_not_its_own)
{
	int64_t pid;
	uint64_t started;
	char text[64];
	snprintf(text, sizeof(text), "{\"pid\": %d, \"unclean\": false}", (int)getpid());
	put(QS_REPORT_NAME, text);
	const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	ck_assert_int_eq(utimensat(state.directory_fd, QS_REPORT_NAME, times, 0), 0);
	ck_assert_int_eq(state_mark(&state, NULL, 5), 0);
	ck_assert_int_eq(find(&pid, &started), 1);
}
END_TEST

START_TEST(what_is_no_file_is_not_read)
{
	char *text;
	size_t size;
	ck_assert_int_eq(mkfifoat(state.directory_fd, QS_REPORT_NAME, 0600), 0);
	ck_assert_int_lt(state_read_report(&state, &text, &size), 0);
	ck_assert_int_eq(unlinkat(state.directory_fd, QS_REPORT_NAME, 0), 0);
	ck_assert_int_eq(symlinkat("/etc/passwd", state.directory_fd, QS_REPORT_NAME), 0);
	ck_assert_int_eq(state_read_report(&state, &text, &size), -ELOOP);
}
END_TEST

/* Writing fails as on a full disk, also where a small file system cannot be mounted. */
START_TEST(a_write_that_fails_leaves_what_was_there)
{
	int64_t pid;
	uint64_t started;
	ck_assert_int_eq(state_mark(&state, "first", 1), 0);
	signal(SIGXFSZ, SIG_IGN);
	const struct rlimit none = { .rlim_cur = 0, .rlim_max = RLIM_INFINITY };
	const struct rlimit all = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	int mark = state_mark(&state, "second", 2), unclean = find(&pid, &started);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
	ck_assert_int_eq(mark, -EFBIG);
	ck_assert_int_eq(unclean, -EFBIG);
	ck_assert_int_eq(pid, getpid());
	ck_assert_uint_eq(started, 1);
	ck_assert(!exists("run.json.new") && !exists(QS_REPORT_NAME ".new"));
	ck_assert_int_eq(find(&pid, &started), 1);
}
END_TEST

START_TEST(a_full_file_system_is_an_error_and_no_more)
{
	struct state small;
	char filler[4096] = "", path[128];
	snprintf(path, sizeof(path), "%s/small", directory);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	if (mount("none", path, "tmpfs", 0, "size=8k") < 0)
		return; /* takes root */
	ck_assert_int_eq(state_open(&small, path), 0);
	int fd = openat(small.directory_fd, "filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	while (write(fd, filler, sizeof(filler)) > 0)
		continue;
	int r = state_mark(&small, "id", 1);
	close(fd);
	state_close(&small);
	ck_assert_int_eq(umount2(path, MNT_DETACH), 0);
	ck_assert_int_eq(r, -ENOSPC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("state");
	TCase *locking = tcase_create("locking");
	TCase *marker = tcase_create("marker");
	TCase *full = tcase_create("full");
	tcase_add_checked_fixture(locking, begin, end);
	tcase_add_checked_fixture(marker, begin, end);
	tcase_add_checked_fixture(full, begin, end);
	tcase_add_test(locking, another_daemon_is_refused);
	tcase_add_test(locking, a_daemon_that_was_killed_leaves_no_lock);
	tcase_add_test(locking, missing_directories_are_made);
	tcase_add_test(locking, what_cannot_be_a_directory_is_refused);
	tcase_add_test(locking, a_directory_without_rights_is_refused);
	tcase_add_test(locking, descriptors_do_not_pass_to_children);
	tcase_add_test(marker, a_first_run_finds_nothing);
	tcase_add_test(marker, a_run_that_ended_well_leaves_nothing);
	tcase_add_test(marker, a_run_without_an_end_is_reported_once);
	tcase_add_loop_test(
	        marker, a_broken_marker_counts_with_unknown_values, 0, (int)ARRAY_SIZE(broken));
	tcase_add_test(marker, a_marker_beside_its_own_report_is_no_unclean_end);
	tcase_add_test(marker, an_older_report_of_the_same_pid_is_not_its_own);
	tcase_add_test(marker, what_is_no_file_is_not_read);
	tcase_add_test(full, a_write_that_fails_leaves_what_was_there);
	tcase_add_test(full, a_full_file_system_is_an_error_and_no_more);
	suite_add_tcase(suite, locking);
	suite_add_tcase(suite, marker);
	suite_add_tcase(suite, full);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
