/*
 * Simulation: a program's own tasks run on a virtual clock, in an order drawn from a seed, with a
 * stop at any step and any allocation or system call of the library made to fail. The same seed is
 * the same run, to the last line of its trace: so what one seed in a million brings to light can be
 * looked at again.
 *
 *	for (uint64_t seed = 1; seed <= 100000; seed++) {
 *		struct qs_sim_options options = { .seed = seed, .stop_at = seed % 50 };
 *		struct qs_sim_result result;
 *		int r = qs_sim_run(&options, set_up, &world, &result);
 *		...
 *	}
 *
 * Nothing waits for real: whatever sleeps for an hour does so at once. What the tasks wait for from
 * outside (processes, calls, other machines) is played by tasks. Drawn from the seed are the order
 * of fibers and steps that are ready, of timers due at the same time, and what is done first at the
 * end of a turn; what is promised to be in order (messages, permits, posts, rungs) stays so. For
 * the run to be the same again the program may draw only from the seed as well, and wait only for
 * descriptors that are written in the same thread.
 */
#ifndef QUIESCE_SIM_H
#define QUIESCE_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/runtime.h>
#include <quiesce/task.h>
#include <quiesce/words.h>

QS_BEGIN_DECLS

/* A line of the trace. It is good during the call. */
struct qs_sim_event {
	uint64_t at;      /* the virtual time */
	uint64_t step;    /* how many steps there were, this one included */
	uint64_t task;    /* id; 0: the runtime */
	const char *name; /* of the task */
	/* "begin", "run" (a step: the task goes on), a rung, a verdict, a phase, or a note. */
	const char *what;
};

/* All zero is a good default. Functions may be NULL. */
struct qs_sim_options {
	uint64_t seed;      /* 0: as 1 */
	uint64_t stop_at;   /* just before the n-th step a shutdown is asked for; 0: never */
	uint64_t limit;     /* the run is broken off after so many steps; 0: a million */
	uint64_t fail_at;   /* the n-th of the library's allocations and system calls fails */
	unsigned fail_rate; /* once it is set up, so many of a million fail */
	/* Plan, hooks, stack size; NULL: the defaults. */
	const struct qs_runtime_options *runtime;
	void (*trace)(const struct qs_sim_event *event, void *arg);
	/* Before each step: for what must hold at any time. */
	void (*step)(qs_runtime *runtime, uint64_t step, void *arg);
	void *arg;
};

struct qs_sim_result {
	int status; /* as qs_run: 0, 150, 151, -EDEADLK; -ETIME: broken off at the limit */
	uint64_t steps;
	uint64_t events;   /* lines of the trace */
	uint64_t digest;   /* of the trace */
	uint64_t duration; /* ns of virtual time */
	uint64_t chances;  /* how often the library asked for what may be refused */
	uint64_t refused;
	uint64_t tasks_left;  /* when the run was over */
	int64_t memory_left;  /* allocations not given back when all was freed, the program's
	                         semaphores and such too */
	uint64_t verdicts[8]; /* how many tasks ended so, by enum qs_verdict */
};

/*
 * Makes a runtime, has `set_up` put the first tasks into it, runs it to its end and frees it.
 * Returns what the making or `set_up` failed with, else 0; `ret_result` is filled in either way.
 * Any thread; other runs may go on in other threads.
 */
QS_EXPORT QS_MUST_CHECK int qs_sim_run(const struct qs_sim_options *options,
        int (*set_up)(qs_runtime *runtime, void *arg), void *arg, struct qs_sim_result *ret_result);

/* Puts a line into the trace; without a simulation nothing happens. From within the task. */
QS_EXPORT void qs_sim_note(qs_task *self, const char *what);

/*
 * Whether what the program itself is about to do is to fail: drawn like the library's own failures.
 * False without a simulation. Any thread.
 */
QS_EXPORT bool qs_sim_fails(void);

QS_END_DECLS

#endif
