/*
 * N idle tasks: starts them, stops the runtime, waits until all have ended. One line as its peers
 * print it:
 *
 *	bench-fleet N [step|fiber|thread] [ROUNDS]
 *
 * With more rounds the later ones find their memory in the pools. What the smallest things cost:
 *
 *	bench-fleet switch|poll|pool
 *
 * How late a process leaves in which somebody will not end:
 *
 *	bench-fleet overshoot spin|stuck|dawdle [ROUNDS]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/fiber.h>
#include <quiesce/runtime.h>
#include <quiesce/step.h>
#include <quiesce/thread.h>

#include "lib/fiber_context.h"
#include "tests/bench/fleet_overshoot.h"

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench-fleet: %s: %s\n", what, strerror(-r));
	exit(1);
}

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (!file || fscanf(file, "%*d %ld", &pages) != 1)
		check(-errno, "/proc/self/statm");
	(void)fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static qs_runtime *new_runtime(void)
{
	const struct qs_runtime_options options = { .keep_signals = true, .keep_quiet = true };
	qs_runtime *runtime;

	check(qs_runtime_new_with(&options, &runtime), "qs_runtime_new_with");
	return runtime;
}

/* --- the fleet --- */

static struct {
	qs_runtime *runtime;
	qs_group *group;
	unsigned count, rounds;
	_Atomic unsigned up;
	uint64_t began, all_up, all_ended;
	long resident_before, resident;
} fleet;

static int idle_fiber(qs_task *self, void *arg)
{
	(void)arg;
	fleet.up++;
	while (!qs_stopping(self))
		(void)qs_sleep(self, qs_in(self, QS_HOUR));
	return 0;
}

static int idle_thread(qs_task *self, void *arg)
{
	(void)arg;
	fleet.up++;
	return qs_thread_wait(self, QS_FOREVER);
}

static int idle_step(qs_task *self, void *arg, unsigned why)
{
	(void)arg;
	if (why & QS_STEP_STOP)
		return QS_STEP_DONE;
	if (why & QS_STEP_FIRST)
		fleet.up++;
	qs_step_again(self, qs_in(self, QS_HOUR));
	return QS_STEP_WAIT;
}

static int spawn_fiber(void)
{
	return qs_spawn_fiber(fleet.group, NULL, idle_fiber, NULL, NULL);
}

static int spawn_thread(void)
{
	const struct qs_task_options options = { .stack_size = 64 * 1024L };

	return qs_spawn_thread(fleet.group, &options, idle_thread, NULL, NULL);
}

static int spawn_step(void)
{
	return qs_spawn_step(fleet.group, NULL, idle_step, NULL, NULL);
}

static void print_line(const char *kind)
{
	double n = fleet.count, stop = (double)(fleet.all_ended - fleet.all_up);

	printf("quiesce-%s n=%u spawn_ns=%.0f stop_ns=%.0f stop_total_ms=%.2f kib_per_task=%.2f\n",
	        kind, fleet.count, (double)(fleet.all_up - fleet.began) / n, stop / n,
	        stop / (double)QS_MSEC, (double)(fleet.resident - fleet.resident_before) / n);
}

/* The fiber that runs it: it is none of the fleet, whose group it owns. */
static int run_fleet(qs_task *self, void *arg)
{
	int (*spawn)(void) = *(int (**)(void))arg;

	check(qs_group_new(qs_task_group(self), NULL, &fleet.group), "qs_group_new");
	fleet.up = 0;
	fleet.resident_before = resident_kib();
	fleet.began = qs_time_now();
	for (unsigned i = 0; i < fleet.count; i++)
		check(spawn(), "spawn");
	while (fleet.up < fleet.count)
		check(qs_yield(self), "qs_yield");
	fleet.resident = resident_kib();
	fleet.all_up = qs_time_now();
	qs_group_stop(fleet.group);
	check(qs_group_join(self, fleet.group, QS_FOREVER, NULL), "qs_group_join");
	fleet.all_ended = qs_time_now();
	qs_group_free(fleet.group);
	return 0;
}

static int run_rounds(const char *kind)
{
	int (*spawn)(void) = strcmp(kind, "thread") == 0 ? spawn_thread
	                     : strcmp(kind, "step") == 0 ? spawn_step
	                                                 : spawn_fiber;

	fleet.runtime = new_runtime();
	for (unsigned i = 0; i < fleet.rounds; i++) {
		check(qs_spawn_fiber(qs_root(fleet.runtime), NULL, run_fleet, &spawn, NULL),
		        "qs_spawn_fiber");
		check(qs_run(fleet.runtime), "qs_run");
		print_line(kind);
	}
	qs_runtime_free(fleet.runtime);
	return 0;
}

/* --- the smallest things --- */

#define SWITCHES 20000000U
#define POLLS    200000000U
#define SPAWNS   2000000U

static void print_figure(const char *name, uint64_t began, unsigned count)
{
	printf("quiesce-fiber %s_ns=%.2f\n", name, (double)(qs_time_now() - began) / count);
}

static struct qs_fiber_context here, there;

static void switch_back(void *argument)
{
	(void)argument;
	for (;;)
		qs_fiber_context_switch(&there, &here);
}

static void measure_context(void)
{
	static _Alignas(64) char stack[64 * 1024];
	uint64_t began;

	qs_fiber_context_make(&there, stack, sizeof(stack), switch_back, NULL);
	began = qs_time_now();
	for (unsigned i = 0; i < SWITCHES / 2; i++)
		qs_fiber_context_switch(&here, &there);
	print_figure("switch", began, SWITCHES);
	qs_fiber_context_done(&there);
}

static int yield_often(qs_task *self, void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < SWITCHES / 4; i++)
		check(qs_yield(self), "qs_yield");
	return 0;
}

static int poll_often(qs_task *self, void *arg)
{
	uint64_t began = qs_time_now();

	(void)arg;
	for (unsigned i = 0; i < POLLS; i++)
		if (qs_stopping(self))
			return -ESHUTDOWN;
	print_figure("poll", began, POLLS);
	return 0;
}

static int return_at_once(qs_task *self, void *arg)
{
	(void)self;
	(void)arg;
	return 0;
}

/* Each runs and ends before the next: stacks and records are those of the one before. */
static int spawn_often(qs_task *self, void *arg)
{
	uint64_t began = qs_time_now();

	(void)arg;
	for (unsigned i = 0; i < SPAWNS; i++) {
		check(qs_spawn_fiber(qs_task_group(self), NULL, return_at_once, NULL, NULL),
		        "qs_spawn_fiber");
		check(qs_yield(self), "qs_yield");
	}
	print_figure("spawn_run_end", began, SPAWNS);
	return 0;
}

static int run_figure(const char *name, qs_task_fn fn, unsigned fibers)
{
	qs_runtime *runtime = new_runtime();
	uint64_t began = qs_time_now();

	for (unsigned i = 0; i < fibers; i++)
		check(qs_spawn_fiber(qs_root(runtime), NULL, fn, NULL, NULL), "qs_spawn_fiber");
	check(qs_run(runtime), "qs_run");
	if (name)
		print_figure(name, began, SWITCHES / 4 * fibers);
	qs_runtime_free(runtime);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: bench-fleet N [step|fiber|thread] [ROUNDS]\n"
	                "       bench-fleet switch|poll|pool\n"
	                "       bench-fleet overshoot spin|stuck|dawdle [ROUNDS]\n");
	return 2;
}

static int run_overshoot(int argc, char **argv)
{
	unsigned rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 100;
	int status = argc > 2 ? measure_overshoot(argv[2], rounds) : 2;

	return status == 2 ? usage() : status;
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 4)
		return usage();
	if (strcmp(argv[1], "overshoot") == 0)
		return run_overshoot(argc, argv);
	if (strcmp(argv[1], "poll") == 0)
		return run_figure(NULL, poll_often, 1);
	if (strcmp(argv[1], "pool") == 0)
		return run_figure(NULL, spawn_often, 1);
	if (strcmp(argv[1], "switch") == 0) {
		measure_context();
		return run_figure("yield", yield_often, 2);
	}
	fleet.count = (unsigned)strtoul(argv[1], NULL, 10);
	fleet.rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
	return fleet.count > 0 ? run_rounds(argc > 2 ? argv[2] : "fiber") : usage();
}
