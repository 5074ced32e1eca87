/*
 * Runtimes whose loop is stuck, each in a child process: whatever the code in the loop does, the
 * guard ends the process at its deadline, with the report written, and says who it was.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/fiber.h>
#include <quiesce/runtime.h>
#include <quiesce/step.h>

#include "lib/macro.h"
#include "lib/report.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#define SPAN_MS   60  /* of each phase */
#define MARGIN_MS 250 /* for a busy machine; the benchmark looks at the 10 ms of the design */

/* --- an allocator with a lock that can be held --- */

static pthread_mutex_t heap_lock = PTHREAD_MUTEX_INITIALIZER;

#ifndef SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

QS_EXPORT void *malloc(size_t size)
{
	pthread_mutex_lock(&heap_lock);
	void *memory = __libc_malloc(size);
	pthread_mutex_unlock(&heap_lock);
	return memory;
}

QS_EXPORT void *calloc(size_t count, size_t size)
{
	pthread_mutex_lock(&heap_lock);
	void *memory = __libc_calloc(count, size);
	pthread_mutex_unlock(&heap_lock);
	return memory;
}

QS_EXPORT void *realloc(void *memory, size_t size)
{
	pthread_mutex_lock(&heap_lock);
	void *moved = __libc_realloc(memory, size);
	pthread_mutex_unlock(&heap_lock);
	return moved;
}

QS_EXPORT void free(void *memory)
{
	pthread_mutex_lock(&heap_lock);
	__libc_free(memory);
	pthread_mutex_unlock(&heap_lock);
}
#endif

/* --- a child --- */

static char directory[] = "/tmp/runtime-stuck.XXXXXX";
static int news[2]; /* what the child logs, line by line */

static void set_up(void)
{
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(pipe(news), 0);
}

static void tear_down(void)
{
	char path[sizeof(directory) + sizeof(QS_REPORT_NAME) + 1];

	snprintf(path, sizeof(path), "%s/" QS_REPORT_NAME, directory);
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
	close(news[0]);
}

static void send_log(enum qs_log_level level, const char *text, void *arg)
{
	(void)level;
	(void)arg;
	char line[600];
	int length = snprintf(line, sizeof(line), "%s\n", text);

	/* dprintf would allocate, and so would an assertion. */
	if (write(news[1], line, (size_t)length) != length)
		_exit(4);
}

static volatile bool never; /* is true */

static int spin(qs_task *self, void *arg)
{
	(void)self;
	(void)arg;
	while (!never)
		;
	return 0;
}

static int spin_with_the_heap(qs_task *self, void *arg)
{
	pthread_mutex_lock(&heap_lock);
	return spin(self, arg);
}

static int spin_in_step(qs_task *self, void *arg, unsigned why)
{
	(void)why;
	return spin(self, arg);
}

static int spin_polling(qs_task *self, void *arg)
{
	(void)arg;
	dprintf(news[1], "spins\n");
	while (!qs_stopping(self))
		;
	return 0;
}

static void ask_later(void *arg)
{
	qs_shutdown(arg, "test");
}

static int spawn(qs_runtime *runtime, qs_task_fn fn, bool in_step)
{
	const struct qs_task_options options = { .name = "culprit" };

	if (in_step)
		return qs_spawn_step(qs_root(runtime), &options, spin_in_step, NULL, NULL);
	return qs_spawn_fiber(qs_root(runtime), &options, fn, NULL, NULL);
}

static void run_child(qs_task_fn fn, bool in_step, bool asked)
{
	const uint64_t span = SPAN_MS * QS_MSEC;
	const struct qs_runtime_options options = {
		.plan = { .deadline = span, .cancel_grace = span, .kill_grace = span },
		.hooks = { .log = send_log },
		.keep_quiet = true,
		.report_directory = directory,
	};
	qs_runtime *runtime;

	if (qs_runtime_new_with(&options, &runtime) < 0 || spawn(runtime, fn, in_step) < 0)
		_exit(2);
	if (asked && qs_post(runtime, ask_later, runtime) < 0)
		_exit(3);
	_exit(qs_run(runtime));
}

static pid_t start_child(qs_task_fn fn, bool in_step, bool asked)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		run_child(fn, in_step, asked);
	close(news[1]);
	return pid;
}

/* Reads lines until one has that text. */
static void expect_line(const char *text)
{
	char line[512];
	size_t length = 0;

	while (read(news[0], &line[length], 1) == 1) {
		if (line[length] != '\n') {
			length += length < sizeof(line) - 1;
			continue;
		}
		line[length] = '\0';
		length = 0;
		if (strstr(line, text))
			return;
	}
	ck_abort_msg("no line has \"%s\"", text);
}

static void read_report(char *buffer, size_t size)
{
	char path[sizeof(directory) + sizeof(QS_REPORT_NAME) + 1];

	snprintf(path, sizeof(path), "%s/" QS_REPORT_NAME, directory);
	int fd = open(path, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ssize_t n = read(fd, buffer, size - 1);
	ck_assert_int_gt(n, 0);
	buffer[n] = '\0';
	close(fd);
}

static long number_of(const char *report, const char *key)
{
	const char *at = strstr(report, key);

	ck_assert_ptr_nonnull(at);
	return strtol(at + strlen(key) + strspn(at + strlen(key), "\": "), NULL, 10);
}

/* Who spins, and whether it is a step. */
static const struct culprit {
	qs_task_fn fn;
	bool in_step;
} culprits[] = { { spin, false }, { spin, true }, { spin_with_the_heap, false } };

START_TEST(whoever_spins_the_process_leaves_in_time_with_its_report)
{
	const struct culprit *culprit = &culprits[_i];
	char report[8192];
	int status;

	pid_t pid = start_child(culprit->fn, culprit->in_step, true);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 151);
	read_report(report, sizeof(report));
	ck_assert_int_eq(number_of(report, "exit_status"), 151);
	ck_assert_int_eq(number_of(report, "\"abandoned\""), 1);
	ck_assert_ptr_nonnull(strstr(report, "culprit"));
	ck_assert_int_ge(number_of(report, "duration_ms"), 3 * SPAN_MS - 1);
	ck_assert_int_le(number_of(report, "duration_ms"), 3 * SPAN_MS + MARGIN_MS);
}
END_TEST

START_TEST(one_that_spins_and_polls_hears_the_stop_without_ever_yielding)
{
	char report[8192];
	int status;

	pid_t pid = start_child(spin_polling, false, false);
	expect_line("spins");
	kill(pid, SIGTERM);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	read_report(report, sizeof(report));
	ck_assert_int_eq(number_of(report, "\"stopped\""), 1);
	ck_assert_int_ge(number_of(report, "asked_ms"), 0);
}
END_TEST

START_TEST(a_stall_is_told_with_its_task_and_where_it_is)
{
	int status;

	pid_t pid = start_child(culprits[_i].fn, culprits[_i].in_step, false);
	expect_line("(culprit)");
#ifndef SANITIZED
	/* ThreadSanitizer keeps signals back for as long as the code makes no call. */
	expect_line("stuck at test-runtime_stuck(+0x");
#endif
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}
END_TEST

#ifndef SANITIZED
static int overflow(qs_task *self, void *arg)
{
	volatile char page[4096];

	page[0] = 1;
	if (never)
		return 0;
	return overflow(self, arg) + page[0];
}

START_TEST(a_stack_overflow_is_a_crash_that_names_the_fiber)
{
	int status;

	pid_t pid = start_child(overflow, false, false);
	expect_line("fiber culprit: stack overflow");
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGSEGV);
}
END_TEST

static int crash(qs_task *self, void *arg)
{
	(void)self;
	*(volatile int *)arg = 1;
	return 0;
}

START_TEST(any_other_crash_is_what_it_always_was)
{
	char byte;
	int status;

	pid_t pid = start_child(crash, false, false);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGSEGV);
	ck_assert_int_eq(read(news[0], &byte, 1), 0);
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("runtime_stuck");
	TCase *tcase = tcase_create("runtime_stuck");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, whoever_spins_the_process_leaves_in_time_with_its_report, 0,
	        (int)ARRAY_SIZE(culprits));
	tcase_add_test(tcase, one_that_spins_and_polls_hears_the_stop_without_ever_yielding);
	tcase_add_loop_test(
	        tcase, a_stall_is_told_with_its_task_and_where_it_is, 0, (int)ARRAY_SIZE(culprits));
#ifndef SANITIZED
	tcase_add_test(tcase, a_stack_overflow_is_a_crash_that_names_the_fiber);
	tcase_add_test(tcase, any_other_crash_is_what_it_always_was);
#endif
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
