/* quiescectl call --batch against a server that answers each line as its payload says. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/http/http_server.h"
#include "tests/unit/fake_daemon.h"

static struct http_server server;
static char directory[64], sock[96], input[96], out[96];

static void start_server(void)
{
	char option[128];

	snprintf(option, sizeof(option), "--unix=%s", sock);
	http_server_start(&server, option);
}

static void setup(void)
{
	strcpy(directory, "/tmp/batch.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(sock, sizeof(sock), "%s/sock", directory);
	snprintf(input, sizeof(input), "%s/in.jsonl", directory);
	snprintf(out, sizeof(out), "%s/out", directory);
	start_server();
}

static void teardown(void)
{
	char command[96];

	http_server_stop(&server);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

/* --- files --- */

static FILE *open_input(const char *mode)
{
	FILE *file = fopen(input, mode);

	ck_assert_ptr_nonnull(file);
	return file;
}

static void write_input(const char *text)
{
	FILE *file = open_input("we");

	ck_assert(fputs(text, file) >= 0 && fclose(file) == 0);
}

/* What stands in a file of the output; NULL: it is not there. */
static char *read_output(const char *name)
{
	char path[192], *text = calloc(1, 1 << 20);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", out, name);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(text);
	if (!file) {
		free(text);
		return NULL;
	}
	(void)!fread(text, 1, (1 << 20) - 1, file);
	fclose(file);
	return text;
}

static void assert_output(const char *name, const char *expected)
{
	_cleanup_(freep) char *text = read_output(name);

	ck_assert_msg(text != NULL, "there is no %s", name);
	ck_assert_str_eq(text, expected);
}

static void assert_contains(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in: %s", part, text);
}

/* How many files of that size, or of any with SIZE_MAX; those that begin with '.' apart. */
static unsigned count_answers(size_t size, unsigned *ret_hidden)
{
	DIR *entries = opendir(out);
	unsigned count = 0;
	struct dirent *entry;
	struct stat status;

	ck_assert_ptr_nonnull(entries);
	*ret_hidden = 0;
	while ((entry = readdir(entries))) {
		*ret_hidden += entry->d_name[0] == '.';
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "failed.jsonl") == 0)
			continue;
		ck_assert_int_eq(fstatat(dirfd(entries), entry->d_name, &status, 0), 0);
		ck_assert_msg(size == SIZE_MAX || status.st_size == (off_t)size,
		        "%s has %lld bytes", entry->d_name, (long long)status.st_size);
		count++;
	}
	closedir(entries);
	return count;
}

static unsigned answers(void)
{
	unsigned hidden, count = count_answers(SIZE_MAX, &hidden);

	ck_assert_uint_eq(hidden, 3); /* ".", ".." and what batch it is */
	return count;
}

/* --- runs --- */

static struct ctl_run begin(unsigned columns, const char *more)
{
	struct ctl_where where = { .columns = columns };
	char words[384];

	snprintf(words, sizeof(words), "call api --batch %s --out %s%s%s", input, out,
	        *more ? " " : "", more);
	return ctl_begin(sock, &where, words);
}

/* Runs it to its end: its status, and all that it said in the order of out and err. */
static char *run(const char *more, int status)
{
	struct ctl_run run = begin(0, more);
	char *text;

	ctl_finish(&run);
	ck_assert_msg(run.status == status, "status %d: %s%s", run.status, run.out, run.err);
	ck_assert_int_ge(asprintf(&text, "%s%s", run.out, run.err), 0);
	ctl_done(&run);
	return text;
}

static void assert_run(const char *more, int status, const char *part)
{
	_cleanup_(freep) char *text = run(more, status);

	assert_contains(text, part);
}

/* --- answers --- */

START_TEST(each_line_has_a_file_of_its_own)
{
	write_input("{\"path\": \"/answer?body=one&type=image/png\"}\n"
	            "\n \t\n"
	            "{\"path\": \"/answer?body=two&type=application/json;+x\", \"id\": \"b.2\"}\n"
	            "{\"path\": \"/answer?body=three&type=a/problem%2bjson\", \"id\": 17}\n"
	            "{\"path\": \"/answer?body=four&type=x\"}");
	assert_run("", 0, "4 lines: 4 answered, 0 failed, 0 left\n");
	assert_output("0000001.png", "one");
	assert_output("b.2.json", "two");
	assert_output("17.json", "three");
	assert_output("0000006.bin", "four");
	ck_assert_uint_eq(answers(), 4);
}
END_TEST

START_TEST(an_id_leads_nowhere_else)
{
	write_input("{\"path\": \"/answer\", \"id\": \"../x\"}\n"
	            "{\"path\": \"/answer\", \"id\": \".hidden\"}\n"
	            "{\"path\": \"/answer\", \"id\": \"failed\"}\n"
	            "{\"path\": \"/answer\", \"id\": \"\"}\n"
	            "{\"path\": \"/answer\", \"id\": \"a b\"}\n"
	            "{\"path\": \"/answer\", \"id\": [1]}\n");
	assert_run("", 0, "6 lines: 6 answered");
	for (unsigned i = 1; i <= 6; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%07u.txt", i);
		assert_output(name, "abc");
	}
	ck_assert_uint_eq(answers(), 6);
}
END_TEST

START_TEST(what_fails_is_listed_and_tried_again)
{
	write_input("{\"path\": \"/answer\"}\n"
	            "{\"path\": \"/retry?status=502&times=1&key=a\", \"id\": \"x\"}\n"
	            "{\"path\": \"/answer?status=502&body={%22detail%22:%22no%22}\"}\n"
	            "no JSON\n"
	            "{\"path\": \"/answer\", \"id\": \"0000001\"}\n");
	assert_run("--jobs 1", 1, "5 lines: 1 answered, 4 failed, 0 left\n");
	assert_output("failed.jsonl",
	        "{\"line\":2,\"name\":\"x\",\"problem\":{\"status\":502}}\n"
	        "{\"line\":3,\"name\":\"0000003\",\"problem\":{\"detail\":\"no\"}}\n"
	        "{\"line\":4,\"name\":\"0000004\",\"problem\":{\"detail\":"
	        "\"it is no JSON\"}}\n"
	        "{\"line\":5,\"name\":\"0000001\",\"problem\":{\"detail\":"
	        "\"another line has the same id\"}}\n");
	_cleanup_(freep) char *again = run("--jobs 1", 1);
	assert_contains(again, "quiescectl: 4 lines that failed before are tried again\n");
	assert_contains(again, "5 lines: 2 answered (1 of them before), 3 failed, 0 left\n");
	assert_output("x.txt", "well\n");
	ck_assert_uint_eq(http_server_count(&server, "/answer"), 3);
}
END_TEST

START_TEST(a_full_backlog_is_waited_out)
{
	write_input("{\"path\": \"/retry?status=429&times=3&key=a\"}\n");
	assert_run("", 0, "1 lines: 1 answered");
	ck_assert_uint_eq(http_server_count(&server, "/retry"), 4);
}
END_TEST

START_TEST(no_more_are_called_at_once_than_asked_for)
{
	FILE *file = open_input("we");
	struct ctl_run run;

	for (unsigned i = 0; i < 50; i++)
		fprintf(file, "{\"path\": \"/hold\"}\n");
	fclose(file);
	run = begin(0, "--jobs 7");
	http_server_await_least(&server, "in_flight", 7);
	ck_assert_uint_eq(http_server_count(&server, "/hold"), 7);
	free(http_server_get(&server, "/release"));
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 0);
	ctl_done(&run);
	ck_assert_uint_eq(answers(), 50);
}
END_TEST

START_TEST(the_summary_may_be_json)
{
	write_input("{\"path\": \"/answer\"}\n{\"path\": \"/status/502\"}\n");
	assert_run("--json", 1,
	        "{\"worker\":\"api\",\"lines\":2,\"answered_before\":0,\"answered\":1,"
	        "\"failed\":1,\"left\":0,\"interrupted\":false,\"seconds\":");
}
END_TEST

/* --- stopped and gone on with --- */

#define LINES 200

/* The first `quick` are answered at once, the rest when it is released. */
static void write_lines(unsigned quick)
{
	FILE *file = open_input("we");

	for (unsigned i = 0; i < LINES; i++)
		fprintf(file, "{\"path\": \"%s\"}\n", i < quick ? "/answer" : "/hold");
	fclose(file);
}

/* Until it says that it has heard. */
static void await_interrupted(struct ctl_run *run)
{
	while (!run->err || !strstr(run->err, "no new calls")) {
		char buffer[256];
		ssize_t n = read(run->err_fd, buffer, sizeof(buffer) - 1);
		ck_assert_int_gt(n, 0);
		run->err = realloc(run->err, run->err_size + (size_t)n + 1);
		memcpy(run->err + run->err_size, buffer, (size_t)n);
		run->err_size += (size_t)n;
		run->err[run->err_size] = '\0';
	}
}

START_TEST(in_flight_may_end_after_an_interrupt)
{
	struct ctl_run run;

	write_lines(20);
	run = begin(0, "--jobs 5");
	http_server_await(&server, "in_flight", 5);
	kill(run.pid, SIGINT);
	await_interrupted(&run); /* else more could be called and answered before it hears */
	free(http_server_get(&server, "/release"));
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 1);
	assert_contains(run.err, "no new calls; 5 in flight get 10 s");
	assert_contains(run.out, "200 lines: 25 answered, 0 failed, 175 left\n");
	assert_contains(run.out, "The same command goes on with what is left.\n");
	ctl_done(&run);
	ck_assert_uint_eq(answers(), 25);
	assert_run(
	        "--jobs 5", 0, "200 lines: 200 answered (25 of them before), 0 failed, 0 left\n");
	ck_assert_uint_eq(answers(), LINES);
	ck_assert_uint_eq(http_server_count(&server, "requests"), LINES + 2 + 1);
}
END_TEST

START_TEST(a_second_interrupt_ends_it_at_once)
{
	struct ctl_run run;

	write_lines(20);
	run = begin(0, "--jobs 5");
	http_server_await(&server, "in_flight", 5);
	kill(run.pid, SIGINT);
	await_interrupted(&run);
	kill(run.pid, SIGINT);
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 1);
	assert_contains(run.out, "200 lines: 20 answered, 0 failed, 180 left\n");
	ctl_done(&run);
	http_server_await(&server, "cut", 5);
	free(http_server_get(&server, "/release"));
	assert_run("", 0, "200 lines: 200 answered (20 of them before)");
	ck_assert_uint_eq(http_server_count(&server, "/answer"), 20);
}
END_TEST

START_TEST(a_killed_run_leaves_whole_answers_only)
{
	struct ctl_run run;
	FILE *litter;
	char path[192];

	write_lines(100);
	run = begin(0, "--jobs 5");
	http_server_await(&server, "in_flight", 5);
	kill(run.pid, SIGKILL);
	ctl_finish(&run);
	ctl_done(&run);
	snprintf(path, sizeof(path), "%s/.0000150.txt.tmp", out);
	litter = fopen(path, "we");
	ck_assert(litter && fputs("half", litter) >= 0 && fclose(litter) == 0);
	free(http_server_get(&server, "/release"));
	assert_run("", 0, "200 lines: 200 answered (100 of them before)");
	ck_assert_uint_eq(answers(), LINES);
}
END_TEST

START_TEST(a_daemon_that_goes_stops_it)
{
	struct ctl_run run;

	write_lines(20);
	run = begin(0, "--jobs 5");
	http_server_await(&server, "in_flight", 5);
	http_server_stop(&server);
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 1);
	assert_contains(run.err, "quiescectl: quiesced at ");
	assert_contains(run.out, "200 lines: 20 answered, 0 failed, 180 left\n");
	ctl_done(&run);
	assert_run("", 7, "quiesced is not running");
	unlink(sock);
	start_server();
	free(http_server_get(&server, "/release"));
	assert_run("", 0, "200 lines: 200 answered (20 of them before)");
}
END_TEST

START_TEST(a_refusal_stops_it)
{
	static const struct {
		const char *answer;
		int status;
	} cases[] = {
		{ "status=503&body={%22detail%22:%22it+drains%22}", 4 },
		{ "status=409&body={%22detail%22:%22it+drains%22}", 4 },
		{ "status=404&body={%22detail%22:%22it+drains%22}", 3 },
	};
	char text[256];

	snprintf(text, sizeof(text),
	        "{\"path\": \"/answer\"}\n{\"path\": \"/answer?%s\"}\n"
	        "{\"path\": \"/answer\"}\n",
	        cases[_i].answer);
	write_input(text);
	_cleanup_(freep) char *said = run("--jobs 1", cases[_i].status);
	assert_contains(said, "quiescectl: api: it drains\n");
	assert_contains(said, "3 lines: 1 answered, 0 failed, 2 left\n");
}
END_TEST

START_TEST(a_call_that_was_ended_is_none_that_failed)
{
	write_input("{\"path\": \"/answer?status=503&body={%22verdict%22:%22cancelled%22}\"}\n");
	assert_run("", 1, "1 lines: 0 answered, 0 failed, 1 left\n");
}
END_TEST

/* --- another batch --- */

START_TEST(another_batch_is_refused_unless_forced)
{
	char path[192];
	FILE *file;

	write_input("{\"path\": \"/answer\"}\n");
	if (_i == 2) {
		ck_assert_int_eq(mkdir(out, 0755), 0);
		snprintf(path, sizeof(path), "%s/notes.txt", out);
		file = fopen(path, "we");
		ck_assert(file && fclose(file) == 0);
		assert_run("", 4, "there are files in it, and none says of which batch");
	} else {
		assert_run("", 0, "1 answered");
		file = open_input("ae");
		ck_assert(fputs("{\"path\": \"/answer?body=new\"}\n", file) >= 0 &&
		          fclose(file) == 0);
		assert_run("", 4, "the file of the batch has changed since");
	}
	ck_assert_uint_eq(http_server_count(&server, "requests"), _i == 2 ? 1 : 3);
	assert_run(
	        "--force", 0, _i == 2 ? "1 lines: 1 answered" : "2 lines: 2 answered (1 of them");
	assert_run("", 0, "0 left");
}
END_TEST

START_TEST(two_runs_do_not_share_a_directory)
{
	int fd;

	write_input("{\"path\": \"/answer\"}\n");
	ck_assert_int_eq(mkdir(out, 0755), 0);
	fd = open(out, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	assert_run("", 4, "another run is at work there");
	close(fd);
}
END_TEST

START_TEST(wrong_words_make_nothing)
{
	static const struct {
		const char *words, *err;
		int status;
	} cases[] = {
		{ "call api --batch /dev/null", "--batch needs --out=DIR", 2 },
		{ "call api --out x", "go with --batch", 2 },
		{ "call api --batch x --out y --detach", "payloads of a batch are in its file", 2 },
		{ "call api 1 --batch x --out y", "payloads of a batch are in its file", 2 },
		{ "call api --batch x --out y --jobs 0", "no number from 1 to 1000", 2 },
		{ "call api --batch /no/such --out y", "/no/such: No such file", 2 },
		{ "call api --batch /dev/null --out y", "stand in a file", 2 },
		{ "call none --batch /dev/null --out y", "there is no worker none", 3 },
	};
	struct ctl_run run = ctl(sock, cases[_i].words);

	ck_assert_int_eq(run.status, cases[_i].status);
	assert_contains(run.err, cases[_i].err);
	ctl_done(&run);
	ck_assert_int_eq(access(out, F_OK), -1);
}
END_TEST

/* --- a full disk --- */

/* Whether the test may mount; in a name space of its own. */
static bool mount_small(void)
{
	ck_assert_int_eq(mkdir(out, 0755), 0);
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	        mount("none", out, "tmpfs", 0, "size=400k") == 0)
		return true;
	fprintf(stderr, "left out: no right to mount: %s\n", strerror(errno));
	return false;
}

static void mount_larger(void)
{
	ck_assert_int_eq(mount("none", out, "tmpfs", MS_REMOUNT, "size=4m"), 0);
}

START_TEST(a_full_disk_is_told_and_loses_nothing)
{
	FILE *file = open_input("we");
	unsigned hidden, some;

	for (unsigned i = 0; i < 40; i++)
		fprintf(file, "{\"path\": \"/answer?size=20000\"}\n");
	fclose(file);
	if (!mount_small())
		return;
	_cleanup_(freep) char *said = run("", 1);
	assert_contains(said, "No space left on device");
	assert_contains(said, "The same command goes on with what is left.");
	some = count_answers(20000, &hidden);
	ck_assert_uint_gt(some, 0);
	ck_assert_uint_lt(some, 40);
	ck_assert_uint_eq(hidden, 3);
	mount_larger();
	assert_run("", 0, "40 lines: 40 answered");
	ck_assert_uint_eq(count_answers(20000, &hidden), 40);
	ck_assert_int_eq(umount(out), 0);
}
END_TEST

START_TEST(a_full_disk_cuts_no_line_about_a_failure)
{
	FILE *file = open_input("we");
	char detail[3001];

	memset(detail, 'x', sizeof(detail) - 1);
	detail[sizeof(detail) - 1] = '\0';
	for (unsigned i = 0; i < 200; i++)
		fprintf(file,
		        "{\"path\": \"/answer?status=502&body={%%22detail%%22:%%22%s%%22}\"}\n",
		        detail);
	fclose(file);
	if (!mount_small())
		return;
	_cleanup_(freep) char *said = run("", 1);
	assert_contains(said, "failed.jsonl: No space left on device");
	_cleanup_(freep) char *failed = read_output("failed.jsonl");
	ck_assert_uint_gt(strlen(failed), 100000);
	ck_assert_str_eq(failed + strlen(failed) - 5, "x\"}}\n");
	mount_larger();
	assert_run("", 1, "200 lines: 0 answered, 200 failed, 0 left");
	ck_assert_int_eq(umount(out), 0);
}
END_TEST

/* --- progress --- */

START_TEST(the_bar_fits_the_terminal)
{
	static const unsigned widths[] = { 80, 40, 12 };
	unsigned columns = widths[_i], column = 0;
	struct ctl_run run;

	write_lines(100);
	run = begin(columns, "");
	ctl_await(&run, "100/200");
	free(http_server_get(&server, "/release"));
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 0);
	ck_assert_int_eq(strstr(run.out, "█") != NULL, columns >= 40);
	for (const char *c = run.out; *c && !strstr(c, "200 lines"); c++) {
		if (*c == '\033')
			c += strcspn(c, "mK");
		else if (*c == '\r' || *c == '\n')
			column = 0;
		else
			column += ((unsigned char)*c & 0xc0) != 0x80;
		ck_assert_uint_lt(column, columns);
	}
	ck_assert_ptr_nonnull(strstr(run.out, "\r\033[K200 lines: 200 answered"));
	ctl_done(&run);
}
END_TEST

START_TEST(a_pipe_sees_plain_lines)
{
	struct ctl_run run;

	write_lines(100);
	run = begin(0, "");
	http_server_await_least(&server, "in_flight", 16);
	free(http_server_get(&server, "/release"));
	ctl_finish(&run);
	ck_assert_ptr_null(strchr(run.err, '\033'));
	ck_assert_ptr_null(strchr(run.err, '\r'));
	ck_assert_str_eq(run.out, "200 lines: 200 answered, 0 failed, 0 left\n");
	ctl_done(&run);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl_batch");
	TCase *answered = tcase_create("answers"), *stopped = tcase_create("stopped");
	TCase *other = tcase_create("other"), *shown = tcase_create("shown");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(answered, setup, teardown);
	tcase_add_test(answered, each_line_has_a_file_of_its_own);
	tcase_add_test(answered, an_id_leads_nowhere_else);
	tcase_add_test(answered, what_fails_is_listed_and_tried_again);
	tcase_add_test(answered, a_full_backlog_is_waited_out);
	tcase_add_test(answered, no_more_are_called_at_once_than_asked_for);
	tcase_add_test(answered, the_summary_may_be_json);
	suite_add_tcase(suite, answered);
	tcase_add_checked_fixture(stopped, setup, teardown);
	tcase_add_test(stopped, in_flight_may_end_after_an_interrupt);
	tcase_add_test(stopped, a_second_interrupt_ends_it_at_once);
	tcase_add_test(stopped, a_killed_run_leaves_whole_answers_only);
	tcase_add_test(stopped, a_daemon_that_goes_stops_it);
	tcase_add_loop_test(stopped, a_refusal_stops_it, 0, 3);
	tcase_add_test(stopped, a_call_that_was_ended_is_none_that_failed);
	tcase_add_test(stopped, a_full_disk_is_told_and_loses_nothing);
	tcase_add_test(stopped, a_full_disk_cuts_no_line_about_a_failure);
	suite_add_tcase(suite, stopped);
	tcase_add_checked_fixture(other, setup, teardown);
	tcase_add_loop_test(other, another_batch_is_refused_unless_forced, 1, 3);
	tcase_add_test(other, two_runs_do_not_share_a_directory);
	tcase_add_loop_test(other, wrong_words_make_nothing, 0, 8);
	suite_add_tcase(suite, other);
	tcase_add_checked_fixture(shown, setup, teardown);
	tcase_add_loop_test(shown, the_bar_fits_the_terminal, 0, 3);
	tcase_add_test(shown, a_pipe_sees_plain_lines);
	suite_add_tcase(suite, shown);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
