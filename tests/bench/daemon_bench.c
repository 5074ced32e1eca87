/*
 * Measures the built daemon from outside: how fast it starts, answers and ends. Prints one line of
 * key=value a run.
 *
 *   bench-daemon supervisors N      start N sleepers, memory, idle wake-ups, stop
 *   bench-daemon exit RUNS          SIGTERM to exit with no worker
 *   bench-daemon stubborn N RUNS    N children that ignore SIGTERM: exit after deadline + grace
 *   bench-daemon livez N SECONDS    GET /livez while N children write a line every 100 ms
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

#define IDLE_SECONDS 10

struct subject {
	char directory[64], program[512], self[512];
	pid_t pid;
	int log_fd;
};

static void die(const char *what)
{
	fprintf(stderr, "bench-daemon: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double ms_since(uint64_t begin)
{
	return (double)(qs_time_now() - begin) / (double)QS_MSEC;
}

static void pause_ms(long ms)
{
	struct timespec span = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&span, NULL);
}

/* --- the daemon --- */

static void subject_init(struct subject *subject)
{
	ssize_t n = readlink("/proc/self/exe", subject->self, sizeof(subject->self) - 1);

	if (n < 0)
		die("readlink");
	subject->self[n] = '\0';
	snprintf(subject->program, sizeof(subject->program), "%.*s/quiesced",
	        (int)(strrchr(subject->self, '/') - subject->self), subject->self);
	snprintf(subject->directory, sizeof(subject->directory), "/tmp/quiesced-bench-XXXXXX");
	if (!mkdtemp(subject->directory))
		die("mkdtemp");
}

static void subject_done(const struct subject *subject)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", subject->directory);
	if (system(command) != 0)
		die(command);
}

static FILE *open_config(const struct subject *subject)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/config.yaml", subject->directory);
	FILE *file = fopen(path, "we");
	if (!file)
		die(path);
	return file;
}

static void launch(struct subject *subject)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		die("pipe2");
	subject->pid = fork();
	if (subject->pid < 0)
		die("fork");
	if (subject->pid == 0) {
		if (chdir(subject->directory) < 0)
			_exit(125);
		dup2(ends[1], STDERR_FILENO);
		execl(subject->program, subject->program, "--config", "config.yaml", "--state-dir",
		        "state", "--control-socket", "control.sock", NULL);
		_exit(126);
	}
	close(ends[1]);
	subject->log_fd = ends[0];
}

static void await_log(const struct subject *subject, const char *text)
{
	char buffer[65536];
	size_t used = 0;

	for (;;) {
		ssize_t n = read(subject->log_fd, buffer + used, sizeof(buffer) - 1 - used);
		if (n <= 0)
			die("the daemon ended too early");
		used += (size_t)n;
		buffer[used] = '\0';
		if (strstr(buffer, text))
			return;
		size_t keep = MIN(used, strlen(text));
		memmove(buffer, buffer + used - keep, keep);
		used = keep;
	}
}

/* A log that nobody reads would end in lost lines: somebody always reads it in real life. */
static pid_t start_log_reader(const struct subject *subject)
{
	pid_t pid = fork();
	char buffer[65536];

	if (pid != 0)
		return pid;
	while (read(subject->log_fd, buffer, sizeof(buffer)) > 0)
		;
	_exit(0);
}

static double stop(struct subject *subject)
{
	pid_t reader = start_log_reader(subject);
	uint64_t begin = qs_time_now();

	if (kill(subject->pid, SIGTERM) < 0 || waitpid(subject->pid, NULL, 0) < 0)
		die("stop");
	double ms = ms_since(begin);
	close(subject->log_fd);
	(void)waitpid(reader, NULL, 0);
	return ms;
}

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

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(double *values, size_t count, double p)
{
	qsort(values, count, sizeof(*values), compare);
	return values[MIN(count - 1, (size_t)((double)count * p))];
}

/* --- the runs --- */

static int bench_supervisors(int n)
{
	struct subject subject;
	char count[64], smaps[64];

	subject_init(&subject);
	FILE *config = open_config(&subject);
	fputs("workers:\n", config);
	for (int i = 0; i < n; i++)
		fprintf(config, "  p%d: { exec: [/bin/sleep, \"6666%d\"] }\n", i, n);
	fclose(config);
	/* The same way of looking as for the peers. */
	snprintf(count, sizeof(count), "pgrep -fc '^/bin/sleep 6666%d'", n);
	uint64_t begin = qs_time_now();
	launch(&subject);
	while (count_running(count) < n)
		pause_ms(50);
	double start_ms = ms_since(begin);
	await_log(&subject, "ready");
	pause_ms(1000);
	snprintf(smaps, sizeof(smaps), "/proc/%d/smaps_rollup", (int)subject.pid);
	long pss = read_number(smaps, "Pss:"), rss = read_number(smaps, "Rss:");
	long before = count_wakeups(subject.pid);
	pause_ms(IDLE_SECONDS * 1000L);
	long wakeups = count_wakeups(subject.pid) - before;
	double stop_ms = stop(&subject);
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
	fclose(open_config(&subject));
	for (int i = 0; i < runs; i++) {
		launch(&subject);
		await_log(&subject, "ready");
		ms[i] = stop(&subject);
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
	FILE *config = open_config(&subject);
	fputs("shutdown: { deadline: 500ms, cancel_grace: 250ms, kill_grace: 2s }\nworkers:\n",
	        config);
	for (int i = 0; i < n; i++)
		fprintf(config,
		        "  p%d: { exec: [/bin/sh, -c, \"trap '' TERM; exec sleep 55555\"] }\n", i);
	fclose(config);
	for (int i = 0; i < runs; i++) {
		launch(&subject);
		await_log(&subject, "ready");
		while (count_running("pgrep -fc '^sleep 55555'") < n)
			pause_ms(20);
		over[i] = stop(&subject) - 750;
	}
	subject_done(&subject);
	printf("stubborn n=%d runs=%d after_deadline_and_grace_p50_ms=%.2f p99_ms=%.2f\n", n, runs,
	        percentile(over, (size_t)runs, 0.5), percentile(over, (size_t)runs, 0.99));
	return 0;
}

static int connect_to(const struct subject *subject)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock", subject->directory);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
	return fd;
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
	FILE *config = open_config(&subject);
	fputs("workers:\n", config);
	for (int i = 0; i < n; i++)
		fprintf(config, "  p%d: { exec: [\"%s\", writer] }\n", i, subject.self);
	fclose(config);
	launch(&subject);
	await_log(&subject, "ready");
	pid_t reader = start_log_reader(&subject);
	int fd = connect_to(&subject);
	for (uint64_t until = qs_time_now() + (uint64_t)seconds * QS_SEC;
	        count < most && qs_time_now() < until; count++) {
		ms[count] = ask_livez(fd);
		pause_ms(2);
	}
	close(fd);
	double stop_ms = stop(&subject);
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
	fputs("usage: bench-daemon supervisors N | exit RUNS | stubborn N RUNS | livez N SECONDS\n",
	        stderr);
	return 2;
}
