/* Starting, watching and ending a daemon that is measured. */
#include "tests/bench/subject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "lib/macro.h"

void die(const char *what)
{
	fprintf(stderr, "bench-daemon: %s: %s\n", what, strerror(errno));
	exit(1);
}

double ms_since(uint64_t begin)
{
	return (double)(qs_time_now() - begin) / (double)QS_MSEC;
}

void pause_ms(long ms)
{
	struct timespec span = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&span, NULL);
}

/* --- the daemon --- */

void subject_init(struct subject *subject)
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

void subject_done(const struct subject *subject)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", subject->directory);
	if (system(command) != 0)
		die(command);
}

FILE *subject_open_config(const struct subject *subject)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/config.yaml", subject->directory);
	FILE *file = fopen(path, "we");
	if (!file)
		die(path);
	return file;
}

void subject_launch(struct subject *subject)
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

void subject_await_log(const struct subject *subject, const char *text)
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

pid_t subject_start_log_reader(const struct subject *subject)
{
	pid_t pid = fork();
	char buffer[65536];

	if (pid != 0)
		return pid;
	while (read(subject->log_fd, buffer, sizeof(buffer)) > 0)
		;
	_exit(0);
}

double subject_stop(struct subject *subject)
{
	pid_t reader = subject_start_log_reader(subject);
	uint64_t begin = qs_time_now();

	if (kill(subject->pid, SIGTERM) < 0 || waitpid(subject->pid, NULL, 0) < 0)
		die("stop");
	double ms = ms_since(begin);
	close(subject->log_fd);
	(void)waitpid(reader, NULL, 0);
	return ms;
}

int subject_connect(const struct subject *subject)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock", subject->directory);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
	return fd;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double percentile(double *values, size_t count, double p)
{
	qsort(values, count, sizeof(*values), compare);
	return values[MIN(count - 1, (size_t)((double)count * p))];
}
