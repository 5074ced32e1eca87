/*
 * Measures requests as the library's users make them: fibers that each wait for their answer, over
 * one client. Prints one line of key=value.
 *
 *   bench-http URL N CONCURRENCY    N requests, so many at once
 *   bench-http --silent N           N at once to a server that never answers, then all cancelled
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <quiesce/http.h>
#include <quiesce/quiesce.h>

#include "lib/macro.h"

struct bench {
	qs_runtime *runtime;
	qs_http *http;
	const char *url;
	unsigned todo, concurrency, live;
	unsigned good, bad;
	int error; /* the first */
	struct turn {
		uint64_t wall, cpu;
	} longest; /* CPU: what of it was our own, on a machine with other work */
	bool over;
};

static void die(const char *what, int error)
{
	fprintf(stderr, "bench-http: %s: %s\n", what, strerror(-error));
	exit(1);
}

static double ms_since(uint64_t begin)
{
	return (double)(qs_time_now() - begin) / (double)QS_MSEC;
}

static double to_ms(uint64_t span)
{
	return (double)span / (double)QS_MSEC;
}

static uint64_t cpu_usec(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static long read_status(const char *key)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long value = -1;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			value = atol(line + strlen(key));
	if (file)
		fclose(file);
	return value;
}

static void bench_init(struct bench *bench, const char *url, unsigned calls)
{
	const struct qs_runtime_options options = { .keep_quiet = true };
	const struct qs_http_options client = { .calls = calls, .keep = calls };
	struct rlimit limit;
	int r;

	bench->url = url;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	r = qs_runtime_new_with(&options, &bench->runtime);
	if (r == 0)
		r = qs_http_new(qs_root(bench->runtime), &client, &bench->http);
	if (r < 0)
		die("cannot begin", r);
}

static void bench_done(struct bench *bench)
{
	qs_http_free(bench->http);
	qs_runtime_free(bench->runtime);
}

static int request(qs_task *self, struct bench *bench)
{
	const struct qs_http_request request = {
		.url = bench->url,
		.limits = { .timeout = QS_FOREVER, .idle_timeout = QS_FOREVER },
	};
	struct qs_http_response response;
	int r = qs_http_perform(self, bench->http, &request, QS_FOREVER, &response);

	if (r == 0 && response.status == 200)
		bench->good++;
	else
		bench->bad++;
	if (r < 0 && bench->error == 0)
		bench->error = r;
	qs_http_response_done(&response);
	return r;
}

/* --- throughput --- */

static int run_requests(qs_task *self, void *arg)
{
	struct bench *bench = arg;

	while (bench->todo > 0) {
		bench->todo--;
		if (request(self, bench) == -ECANCELED)
			return -ECANCELED;
	}
	return 0;
}

static int bench_throughput(const char *url, unsigned n, unsigned concurrency)
{
	struct bench bench = { .todo = n, .concurrency = concurrency };
	uint64_t began, cpu;
	double seconds;

	bench_init(&bench, url, concurrency);
	began = qs_time_now();
	cpu = cpu_usec();
	for (unsigned i = 0; i < concurrency; i++) {
		int r = qs_spawn_fiber(qs_root(bench.runtime), NULL, run_requests, &bench, NULL);
		if (r < 0)
			die("cannot start a fiber", r);
	}
	(void)qs_run(bench.runtime);
	seconds = ms_since(began) / 1000;
	cpu = cpu_usec() - cpu;
	if (bench.bad > 0)
		fprintf(stderr, "bench-http: %u of %u went wrong: %s\n", bench.bad, n,
		        bench.error < 0 ? strerror(-bench.error) : "another status than 200");
	printf("quiesce n=%u c=%u rps=%.0f cpu_us_per_request=%.1f rss_kib=%ld\n", n, concurrency,
	        n / seconds, (double)cpu / n, read_status("VmHWM:"));
	bench_done(&bench);
	return bench.bad > 0;
}

/* --- a silent server --- */

struct silent_server {
	pid_t pid;
	int input;
	char url[64];
};

static void silent_server_start(struct silent_server *server)
{
	char program[512], line[64] = "";
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 32);
	int input[2], output[2];
	unsigned port = 0;

	if (n < 0 || pipe2(input, 0) < 0 || pipe2(output, 0) < 0)
		die("the server", -errno);
	program[n] = '\0';
	strcpy(strrchr(program, '/'), "/http-server");
	server->pid = fork();
	if (server->pid == 0) {
		dup2(input[0], STDIN_FILENO);
		dup2(output[1], STDOUT_FILENO);
		close(input[1]);
		execl(program, program, NULL);
		_exit(127);
	}
	close(input[0]);
	close(output[1]);
	server->input = input[1];
	if (read(output[0], line, sizeof(line) - 1) <= 0 ||
	        sscanf(line, "port %*u silent %u", &port) != 1)
		die("the server", -EIO);
	close(output[0]);
	snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u/", port);
}

static void silent_server_stop(const struct silent_server *server)
{
	close(server->input);
	(void)waitpid(server->pid, NULL, 0);
}

static int run_one(qs_task *self, void *arg)
{
	struct bench *bench = arg;

	bench->live++;
	(void)request(self, bench);
	bench->live--;
	return 0;
}

static uint64_t thread_cpu(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * QS_SEC + (uint64_t)time.tv_nsec;
}

/* Sleeps a millisecond at a time: what comes on top is the turn that it had to wait for. */
static int run_watch(qs_task *self, void *arg)
{
	struct bench *bench = arg;

	while (!bench->over) {
		uint64_t due = qs_time_add(qs_time_now(), QS_MSEC), cpu = thread_cpu();
		if (qs_sleep(self, due) < 0)
			return 0;
		bench->longest.wall = MAX(bench->longest.wall, qs_time_sub(qs_time_now(), due));
		bench->longest.cpu = MAX(bench->longest.cpu, thread_cpu() - cpu);
	}
	return 0;
}

static unsigned count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count;
}

static struct turn take_longest(struct bench *bench)
{
	return TAKE(bench->longest, (struct turn){ 0 });
}

/* Fills up, looks, cancels all, waits until the last connection is closed. */
static int run_silent(qs_task *self, void *arg)
{
	struct bench *bench = arg;
	unsigned n = bench->todo, before = count_descriptors();
	long rss = read_status("VmRSS:");
	struct turn filling, cancelling;
	uint64_t began;
	double ms, ended_ms;
	qs_group *group;
	int r = qs_group_new(qs_task_group(self), NULL, &group);

	(void)take_longest(bench);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = qs_spawn_fiber(group, NULL, run_one, bench, NULL);
		if (r == 0 && i % 256 == 255)
			r = qs_yield(self);
	}
	while (r == 0 && count_descriptors() < before + n)
		r = qs_sleep(self, qs_in(self, 20 * QS_MSEC));
	if (r == 0)
		r = qs_sleep(self, qs_in(self, QS_SEC));
	if (r < 0)
		die("cannot fill up", r);
	rss = read_status("VmRSS:") - rss;
	filling = take_longest(bench);
	began = qs_time_now();
	qs_group_cancel(group, QS_CAUSE_API);
	r = qs_group_join(self, group, QS_FOREVER, NULL);
	ended_ms = ms_since(began);
	while (r >= 0 && count_descriptors() > before)
		r = qs_sleep(self, qs_in(self, QS_MSEC));
	ms = ms_since(began);
	cancelling = take_longest(bench);
	printf("silent n=%u kib_each=%.1f begin_longest_turn_ms=%.1f "
	       "begin_longest_turn_cpu_ms=%.1f "
	       "cancel_ms=%.0f closed_ms=%.0f cancel_longest_turn_ms=%.1f "
	       "cancel_longest_turn_cpu_ms=%.1f\n",
	        n, (double)rss / n, to_ms(filling.wall), to_ms(filling.cpu), ended_ms, ms,
	        to_ms(cancelling.wall), to_ms(cancelling.cpu));
	bench->over = true;
	return 0;
}

static int bench_silent(unsigned n)
{
	struct silent_server server;
	struct bench bench = { .todo = n };
	int r;

	silent_server_start(&server);
	bench_init(&bench, server.url, n);
	r = qs_spawn_fiber(qs_root(bench.runtime), NULL, run_watch, &bench, NULL);
	if (r == 0)
		r = qs_spawn_fiber(qs_root(bench.runtime), NULL, run_silent, &bench, NULL);
	if (r < 0)
		die("cannot start a fiber", r);
	(void)qs_run(bench.runtime);
	bench_done(&bench);
	silent_server_stop(&server);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--silent") == 0 && atoi(argv[2]) > 0)
		return bench_silent((unsigned)atoi(argv[2]));
	if (argc == 4 && atoi(argv[2]) > 0 && atoi(argv[3]) > 0)
		return bench_throughput(argv[1], (unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
	fputs("usage: bench-http URL N CONCURRENCY | --silent N\n", stderr);
	return 2;
}
