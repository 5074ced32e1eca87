/* Calls over the control socket, to a server of the tests' own. */
#include "tests/bench/calls_bench.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "lib/macro.h"
#include "tests/bench/subject.h"

struct upstream {
	pid_t pid;
	int input;
	unsigned port;
};

static void upstream_start(struct upstream *upstream, const struct subject *subject)
{
	char program[600], line[64] = "";
	int input[2], output[2];

	snprintf(program, sizeof(program), "%.*s/http-server",
	        (int)(strrchr(subject->self, '/') - subject->self), subject->self);
	if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0)
		die("pipe2");
	upstream->pid = fork();
	if (upstream->pid == 0) {
		dup2(input[0], STDIN_FILENO);
		dup2(output[1], STDOUT_FILENO);
		execl(program, program, NULL);
		_exit(127);
	}
	close(input[0]);
	close(output[1]);
	upstream->input = input[1];
	if (read(output[0], line, sizeof(line) - 1) <= 0 ||
	        sscanf(line, "port %u", &upstream->port) != 1)
		die(program);
	close(output[0]);
}

static void upstream_stop(const struct upstream *upstream)
{
	close(upstream->input);
	(void)waitpid(upstream->pid, NULL, 0);
}

/* One request over a connection that is kept; its answer, NUL-ended, to be used before the next. */
static const char *ask(int fd, const char *request)
{
	static char answer[4 << 20];
	size_t used = 0, size = strlen(request), whole = SIZE_MAX;

	if (send(fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
		die("send");
	while (used < whole) {
		ssize_t n = recv(fd, answer + used, sizeof(answer) - 1 - used, 0);
		if (n <= 0)
			die("no answer");
		used += (size_t)n;
		answer[used] = '\0';
		const char *end = strstr(answer, "\r\n\r\n");
		const char *length = strcasestr(answer, "\r\nContent-Length: ");
		if (end && length && length < end)
			whole = (size_t)(end + 4 - answer) + strtoul(length + 18, NULL, 10);
	}
	return answer;
}

static unsigned count_text(const char *text, const char *part)
{
	unsigned count = 0;

	while ((text = strstr(text, part))) {
		text += strlen(part);
		count++;
	}
	return count;
}

/* How many calls the metrics or the list say are in back-off. */
static unsigned count_backoffs(int fd)
{
	const char *answer = ask(fd, "GET /v1/calls HTTP/1.1\r\nHost: localhost\r\n\r\n");

	return count_text(answer, "\"state\":\"backoff\"") +
	       count_text(answer, "\"state\": \"backoff\"");
}

int bench_backoff(int n)
{
	struct upstream upstream;
	struct subject subject;

	subject_init(&subject);
	upstream_start(&upstream, &subject);
	FILE *config = subject_open_config(&subject);
	fprintf(config,
	        "workers:\n  api:\n    when: call\n    http:\n"
	        "      url: http://127.0.0.1:%u/status/504\n"
	        "      retry: { attempts: 100, base: 1h, cap: 1h, unsafe: true, budget: off }\n",
	        upstream.port);
	fclose(config);
	subject_launch(&subject);
	subject_await_log(&subject, "ready");
	pid_t reader = subject_start_log_reader(&subject);
	int fd = subject_connect(&subject);
	for (int i = 0; i < n; i++)
		if (!strstr(ask(fd, "POST /v1/workers/api/call?detach HTTP/1.1\r\nHost: "
		                    "localhost\r\n"
		                    "Content-Length: 0\r\n\r\n"),
		            " 202 "))
			die("a call was refused");
	while (count_backoffs(fd) < (unsigned)n)
		pause_ms(50);
	double ms = subject_stop(&subject);
	close(fd);
	(void)kill(reader, SIGKILL);
	(void)waitpid(reader, NULL, 0);
	printf("backoff n=%d exit_ms=%.1f\n", n, ms);
	upstream_stop(&upstream);
	subject_done(&subject);
	return 0;
}

int bench_cached(int seconds)
{
	static const char request[] =
	        "POST /v1/workers/api/call HTTP/1.1\r\nHost: localhost\r\n"
	        "Content-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"prompt\": \"cat\"}";
	size_t most = (size_t)seconds * 100000, count = 0;
	_cleanup_(freep) double *ms = calloc(most, sizeof(*ms));
	struct upstream upstream;
	struct subject subject;

	subject_init(&subject);
	upstream_start(&upstream, &subject);
	FILE *config = subject_open_config(&subject);
	fprintf(config,
	        "workers:\n  api:\n    when: call\n    cache: { size: 1MiB, ttl: 1h }\n"
	        "    http: { url: \"http://127.0.0.1:%u/answer?size=200\", method: POST }\n",
	        upstream.port);
	fclose(config);
	subject_launch(&subject);
	subject_await_log(&subject, "ready");
	pid_t reader = subject_start_log_reader(&subject);
	int fd = subject_connect(&subject);
	if (!strstr(ask(fd, request), " 200 ") ||
	        !strcasestr(ask(fd, request), "Quiesced-Source: cache"))
		die("no answer from the cache");
	uint64_t began = qs_time_now();
	while (count < most && qs_time_now() < began + (uint64_t)seconds * QS_SEC) {
		uint64_t begin = qs_time_now();
		(void)ask(fd, request);
		ms[count++] = ms_since(begin);
	}
	double rps = (double)count * 1000 / ms_since(began);
	(void)subject_stop(&subject);
	close(fd);
	(void)kill(reader, SIGKILL);
	(void)waitpid(reader, NULL, 0);
	printf("cached requests=%zu rps=%.0f p50_ms=%.3f p99_ms=%.3f max_ms=%.3f\n", count, rps,
	        percentile(ms, count, 0.5), percentile(ms, count, 0.99), percentile(ms, count, 1));
	upstream_stop(&upstream);
	subject_done(&subject);
	return 0;
}
