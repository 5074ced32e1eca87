/*
 * Measures the built daemon from outside: how fast it starts, answers and ends. Prints one line of
 * key=value a run.
 *
 *   bench-daemon supervisors N      start N sleepers, memory, idle wake-ups, stop
 *   bench-daemon exit RUNS          SIGTERM to exit with no worker
 *   bench-daemon stubborn N RUNS    N children that ignore SIGTERM: exit after deadline + grace
 *   bench-daemon livez N SECONDS    GET /livez while N children write a line every 100 ms
 *   bench-daemon backoff N          N calls in back-off: SIGTERM to exit
 *   bench-daemon cached SECONDS     answers from the cache over one connection
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "lib/macro.h"
#include "tests/bench/calls_bench.h"
#include "tests/bench/subject.h"

#define IDLE_SECONDS 10

/* --- readings --- */

static long read_number(const char *path, const char *key)
{
	char line[256];
	long value = -1;
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			value = atol(line + strlen(key));
	if (file)
		fclose(file);
	return value;
}

static long count_running(const char *command)
{
	char line[256];
	FILE *pipe = popen(command, "re");
	long value = pipe && fgets(line, sizeof(line), pipe) ? atol(line) : -1;

	if (pipe)
		pclose(pipe);
	return value;
}

/* How often any of its threads has been woken up. */
static long count_wakeups(pid_t pid)
{
	char path[64], status[384];
	long sum = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	if (!tasks)
		die(path);
	for (struct dirent *entry; (entry = readdir(tasks));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(status, sizeof(status), "%s/%s/status", path, entry->d_name);
		sum += read_number(status, "voluntary_ctxt_switches:");
	}
	closedir(tasks);
	return sum;
}

/* --- the runs --- */

static int bench_supervisors(int n)
{
	struct subject subject;
	char count[64], smaps[64];

	subject_init(&subject);
	FILE *config = subject_open_config(&subject);
	fputs("workers:\n", config);
	for (int i = 0; i < n; i++)
		fprintf(config, "  p%d: { exec: [/bin/sleep, \"6666%d\"] }\n", i, n);
	fclose(config);
	/* The same way of looking as for the peers. */
	snprintf(count, sizeof(count), "pgrep -fc '^/bin/sleep 6666%d'", n);
	uint64_t begin = qs_time_now();
	subject_launch(&subject);
	while (count_running(count) < n)
		pause_ms(50);
	double start_ms = ms_since(begin);
	subject_await_log(&subject, "ready");
	pause_ms(1000);
	snprintf(smaps, sizeof(smaps), "/proc/%d/smaps_rollup", (int)subject.pid);
	long pss = read_number(smaps, "Pss:"), rss = read_number(smaps, "Rss:");
	long before = count_wakeups(subject.pid);
	pause_ms(IDLE_SECONDS * 1000L);
	long wakeups = count_wakeups(subject.pid) - before;
	double stop_ms = subject_stop(&subject);
	printf("quiesced n=%d start_ms=%.0f stop_ms=%.0f rss_kib=%ld pss_kib=%ld "
	       "idle_wakeups_%ds=%ld left=%ld\n",
	        n, start_ms, stop_ms, rss, pss, IDLE_SECONDS, wakeups, count_running(count));
	subject_done(&subject);
	return 0;
}

static int bench_exit(int runs)
{
	_cleanup_(freep) double *ms = calloc((size_t)runs, sizeof(*ms));
	struct subject subject;

	subject_init(&subject);
	fclose(subject_open_config(&subject));
	for (int i = 0; i < runs; i++) {
		subject_launch(&subject);
		subject_await_log(&subject, "ready");
		ms[i] = subject_stop(&subject);
	}
	subject_done(&subject);
	size_t count = (size_t)runs;
	printf("exit runs=%d p50_ms=%.2f p99_ms=%.2f max_ms=%.2f\n", runs,
	        percentile(ms, count, 0.5), percentile(ms, count, 0.99), percentile(ms, count, 1));
	return 0;
}

static int bench_stubborn(int n, int runs)
{
	_cleanup_(freep) double *over = calloc((size_t)runs, sizeof(*over));
	struct subject subject;

	subject_init(&subject);
	FILE *config = subject_open_config(&subject);
	fputs("shutdown: { deadline: 500ms, cancel_grace: 250ms, kill_grace: 2s }\nworkers:\n",
	        config);
	for (int i = 0; i < n; i++)
		fprintf(config,
		        "  p%d: { exec: [/bin/sh, -c, \"trap '' TERM; exec sleep 55555\"] }\n", i);
	fclose(config);
	for (int i = 0; i < runs; i++) {
		subject_launch(&subject);
		subject_await_log(&subject, "ready");
		while (count_running("pgrep -fc '^sleep 55555'") < n)
			pause_ms(20);
		over[i] = subject_stop(&subject) - 750;
	}
	subject_done(&subject);
	printf("stubborn n=%d runs=%d after_deadline_and_grace_p50_ms=%.2f p99_ms=%.2f\n", n, runs,
	        percentile(over, (size_t)runs, 0.5), percentile(over, (size_t)runs, 0.99));
	return 0;
}

static double ask_livez(int fd)
{
	static const char request[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
	char answer[4096];
	uint64_t begin = qs_time_now();

	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		die("send");
	ssize_t n = read(fd, answer, sizeof(answer) - 1);
	if (n <= 0 || !memmem(answer, (size_t)n, " 200 ", 5))
		die("livez");
	return ms_since(begin);
}

static int bench_livez(int n, int seconds)
{
	size_t most = (size_t)seconds * 1000, count = 0;
	_cleanup_(freep) double *ms = calloc(most, sizeof(*ms));
	struct subject subject;

	subject_init(&subject);
	FILE *config = subject_open_config(&subject);
	fputs("workers:\n", config);
	for (int i = 0; i < n; i++)
		fprintf(config, "  p%d: { exec: [\"%s\", writer] }\n", i, subject.self);
	fclose(config);
	subject_launch(&subject);
	subject_await_log(&subject, "ready");
	pid_t reader = subject_start_log_reader(&subject);
	int fd = subject_connect(&subject);
	for (uint64_t until = qs_time_now() + (uint64_t)seconds * QS_SEC;
	        count < most && qs_time_now() < until; count++) {
		ms[count] = ask_livez(fd);
		pause_ms(2);
	}
	close(fd);
	double stop_ms = subject_stop(&subject);
	(void)kill(reader, SIGKILL);
	(void)waitpid(reader, NULL, 0);
	printf("livez n=%d requests=%zu p50_ms=%.3f p99_ms=%.3f max_ms=%.3f stop_ms=%.0f\n", n,
	        count, percentile(ms, count, 0.5), percentile(ms, count, 0.99),
	        percentile(ms, count, 1), stop_ms);
	subject_done(&subject);
	return 0;
}

static int write_lines(void)
{
	static const char line[] = "one line of some length, as programs write them now and then\n";

	while (write(STDOUT_FILENO, line, sizeof(line) - 1) > 0)
		pause_ms(100);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int a = argc > 2 ? atoi(argv[2]) : 0, b = argc > 3 ? atoi(argv[3]) : 0;

	if (strcmp(what, "writer") == 0)
		return write_lines();
	if (strcmp(what, "supervisors") == 0)
		return bench_supervisors(a ? a : 500);
	if (strcmp(what, "exit") == 0)
		return bench_exit(a ? a : 200);
	if (strcmp(what, "stubborn") == 0)
		return bench_stubborn(a ? a : 100, b ? b : 20);
	if (strcmp(what, "livez") == 0)
		return bench_livez(a ? a : 500, b ? b : 10);
	if (strcmp(what, "backoff") == 0)
		return bench_backoff(a ? a : 1000);
	if (strcmp(what, "cached") == 0)
		return bench_cached(a ? a : 5);
	fputs("usage: bench-daemon supervisors N | exit RUNS | stubborn N RUNS | livez N SECONDS "
	      "|\n"
	      "       backoff N | cached SECONDS\n",
	        stderr);
	return 2;
}
