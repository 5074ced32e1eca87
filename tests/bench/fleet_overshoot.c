/*
 * Each round is a child process that gets SIGTERM once it is up. What is measured is from the
 * signal to the moment at which its runtime is done, report and all, and to that at which its
 * parent has reaped it, less what its plan allows for. The one that the guard ends is done when it
 * is gone.
 */
#include "tests/bench/fleet_overshoot.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/fiber.h>
#include <quiesce/runtime.h>
#include <quiesce/thread.h>

#include "lib/macro.h"
#include "lib/report.h"

#define RUNG     (20 * QS_MSEC) /* from each rung to the next, and from the last to leaving */
#define DAWDLERS 10000U
#define MOST     100000U

static char directory[] = "/tmp/bench-overshoot.XXXXXX";
static int up_fd;

static void tell_up(void)
{
	if (write(up_fd, "", 1) != 1)
		_exit(3);
}

/* --- those that will not end --- */

static int spin(qs_task *self, void *arg)
{
	volatile bool *never = arg;

	(void)self;
	tell_up();
	while (!*never)
		;
	return 0;
}

/* No wake-up signal gets it out. */
static int be_stuck(qs_task *self, void *arg)
{
	volatile bool *never = arg;

	(void)self;
	tell_up();
	while (!*never)
		(void)poll(NULL, 0, -1);
	return 0;
}

/* Hears of nothing before it is killed. */
static int dawdle(qs_task *self, void *arg)
{
	unsigned *up = arg;
	uint64_t outer = qs_shield_begin(self, QS_FOREVER);

	if (++*up == DAWDLERS)
		tell_up();
	int r = qs_sleep(self, QS_FOREVER);
	qs_shield_end(self, outer);
	return r;
}

static bool never; /* is true */

static int spawn_spinner(qs_runtime *runtime)
{
	return qs_spawn_fiber(qs_root(runtime), NULL, spin, &never, NULL);
}

static int spawn_stuck(qs_runtime *runtime)
{
	return qs_spawn_thread(qs_root(runtime), NULL, be_stuck, &never, NULL);
}

static int spawn_dawdlers(qs_runtime *runtime)
{
	static unsigned up;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < DAWDLERS; i++)
		r = qs_spawn_fiber(qs_root(runtime), NULL, dawdle, &up, NULL);
	return r;
}

static const struct culprit {
	const char *name;
	int (*spawn)(qs_runtime *runtime);
	unsigned rungs; /* that it lives through */
	int status;
} culprits[] = {
	{ "spin", spawn_spinner, 3, 151 },
	{ "stuck", spawn_stuck, 3, 151 },
	{ "dawdle", spawn_dawdlers, 2, 150 },
};

/* --- a round --- */

static void be_child(const struct culprit *culprit)
{
	const struct qs_runtime_options options = {
		.plan = { .deadline = RUNG, .cancel_grace = RUNG, .kill_grace = RUNG },
		.keep_quiet = true,
		.report_directory = directory,
	};
	qs_runtime *runtime;

	if (qs_runtime_new_with(&options, &runtime) < 0 || culprit->spawn(runtime) < 0)
		_exit(3);
	int status = qs_run(runtime);
	uint64_t done_at = qs_time_now();
	_exit(write(up_fd, &done_at, sizeof(done_at)) == sizeof(done_at) ? status : 3);
}

/* What it took too long, in ns. */
struct late {
	uint64_t done, gone;
};

static struct late run_round(const struct culprit *culprit)
{
	int fds[2], status = 0;
	uint64_t done_at;
	char byte;

	if (pipe(fds) < 0)
		exit(1);
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		up_fd = fds[1];
		be_child(culprit);
	}
	close(fds[1]);
	bool is_up = read(fds[0], &byte, 1) == 1;
	uint64_t asked_at = qs_time_now(), due_at = asked_at + culprit->rungs * RUNG;
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, &status, 0);
	uint64_t gone_at = qs_time_now();
	if (read(fds[0], &done_at, sizeof(done_at)) != sizeof(done_at))
		done_at = gone_at;
	close(fds[0]);
	if (!is_up || !WIFEXITED(status) || WEXITSTATUS(status) != culprit->status) {
		fprintf(stderr, "bench-fleet: %s: wait status %#x\n", culprit->name,
		        (unsigned)status);
		exit(1);
	}
	return (struct late){ qs_time_sub(done_at, due_at), qs_time_sub(gone_at, due_at) };
}

static int compare(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

static void print_spans(const char *what, uint64_t *spans, unsigned rounds)
{
	const double ms = (double)QS_MSEC;

	qsort(spans, rounds, sizeof(*spans), compare);
	printf(" %s_p50_ms=%.2f %s_p99_ms=%.2f", what, (double)spans[rounds / 2] / ms, what,
	        (double)spans[(rounds * 99 + 99) / 100 - 1] / ms);
}

static int measure(const struct culprit *culprit, unsigned rounds)
{
	_cleanup_(freep) uint64_t *done = calloc(rounds, sizeof(*done));
	_cleanup_(freep) uint64_t *gone = calloc(rounds, sizeof(*gone));
	char path[sizeof(directory) + sizeof(QS_REPORT_NAME)];

	if (!done || !gone || !mkdtemp(directory))
		return 1;
	for (unsigned i = 0; i < rounds; i++) {
		struct late late = run_round(culprit);

		done[i] = late.done;
		gone[i] = late.gone;
	}
	printf("quiesce-overshoot %s rounds=%u", culprit->name, rounds);
	print_spans("done", done, rounds);
	print_spans("gone", gone, rounds);
	printf("\n");
	(void)snprintf(path, sizeof(path), "%s/" QS_REPORT_NAME, directory);
	(void)unlink(path);
	(void)rmdir(directory);
	return 0;
}

int measure_overshoot(const char *who, unsigned rounds)
{
	for (size_t i = 0; i < ARRAY_SIZE(culprits); i++)
		if (strcmp(culprits[i].name, who) == 0 && rounds > 0 && rounds <= MOST)
			return measure(&culprits[i], rounds);
	return 2;
}
