/*
 * A runtime: one event loop, its clock and its tasks. It runs in the thread that calls qs_run,
 * until no task is left or a shutdown is over: SIGTERM and SIGINT begin one, and so does
 * qs_shutdown or setting its stop event. Two runtimes can live in one process, each in a thread of
 * its own. A signal reaches one of them only: all but one should keep_signals, and be told by
 * qs_shutdown.
 */
#ifndef QUIESCE_RUNTIME_H
#define QUIESCE_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/stop.h>
#include <quiesce/task.h>
#include <quiesce/words.h>

QS_BEGIN_DECLS

typedef struct qs_runtime qs_runtime;

/* What a shutdown may take, in ns. A span of 0 is the default; QS_FOREVER is no limit. */
struct qs_shutdown_plan {
	uint64_t drain;    /* after the request nothing is asked yet, counted in the deadline: 0 */
	uint64_t deadline; /* from the request to the cancel: 20 s */
	uint64_t cancel_grace; /* from the cancel to the kill: 2 s */
	uint64_t kill_grace;   /* from the kill to leaving, whatever is left: 1 s */
};

/* Levels of `log`, as syslog has them. */
enum qs_log_level { QS_LOG_ERROR = 3, QS_LOG_WARNING = 4, QS_LOG_NOTICE = 5, QS_LOG_INFO = 6 };

/* All may be NULL. */
struct qs_runtime_hooks {
	/* A line for people. Any thread, also while the loop is stuck: it must not wait or
	 * allocate. */
	void (*log)(enum qs_log_level level, const char *text, void *arg);
	/* The shutdown has come to this phase. Loop thread. */
	void (*phase)(enum qs_phase phase, void *arg);
	/* SIGHUP, SIGUSR1 or SIGUSR2 has come (unless `keep_signals`). Loop thread. */
	void (*signalled)(int signo, void *arg);
	void *arg;
};

/* All zero is a good default. Whatever is pointed at is copied. */
struct qs_runtime_options {
	struct qs_shutdown_plan plan;
	struct qs_runtime_hooks hooks;
	bool keep_signals; /* TERM, INT, HUP, USR1, USR2 and SEGV stay with the host program */
	bool keep_quiet;   /* the service manager is told nothing by this runtime */
	const char *report_directory; /* of last-shutdown.json; NULL: none is written */
	uint64_t watchdog;            /* ns between pings at most; 0: as the service manager asks */
	size_t stack_size;            /* of fibers; 0: 64 KiB */
	bool measure_stacks; /* how deep each fiber goes, see inspect.h: half a µs at each wait */
	unsigned thread_limit; /* of the pool for blocking calls; 0: 64 */
	int wake_signal;       /* makes blocking calls of threads return at cancel; 0: SIGURG */

	/*
	 * A simulation: time stands still while anything can run, then jumps to the next timer.
	 * Neither signals nor the service manager nor any other thread take part. With a seed
	 * above 0 the tasks that are ready run in an order drawn from it.
	 */
	bool virtual_clock;
	uint64_t seed;
};

/*
 * Makes a runtime; the calling thread gets the signals above blocked, threads made later inherit
 * that. -ENOMEM, -EMFILE, -ENFILE, -EAGAIN; -EINVAL (stack size, a wake signal that is none or one
 * of the above); errors of opening the report directory.
 */
QS_EXPORT QS_MUST_CHECK int qs_runtime_new(qs_runtime **ret_runtime);
QS_EXPORT QS_MUST_CHECK int qs_runtime_new_with(
        const struct qs_runtime_options *options, qs_runtime **ret_runtime);

/*
 * Frees it; NULL is fine. Tasks that still live are killed first. What threads that would not end
 * may still touch stays. The thread that made it, not from within qs_run.
 */
QS_EXPORT void qs_runtime_free(qs_runtime *runtime);

/* For __attribute__((cleanup)): frees *runtime. */
QS_EXPORT void qs_runtime_freep(qs_runtime **runtime);

/* The group that owns everything: its end is the runtime's. It lives as long as the runtime. */
QS_EXPORT qs_group *qs_root(qs_runtime *runtime);

/*
 * Runs until the root group is empty or a shutdown is over. Returns the exit status for main: 0;
 * 150 if a shutdown had to cancel or kill anything; 151 if anything had to be abandoned: then
 * threads still run, and the program should flush its output and leave by _exit. Also -EDEADLK:
 * called from within; or, in a simulation, tasks live and nothing can ever happen again. A child
 * that a task forks may only exec or _exit. The thread that made it.
 */
QS_EXPORT int qs_run(qs_runtime *runtime);

/*
 * Asks for a shutdown; asked again, it moves on by a phase. `detail` says who, for people. -ENOMEM
 * (in a simulation only). Any thread.
 */
QS_EXPORT int qs_shutdown(qs_runtime *runtime, const char *detail);

/*
 * The same for a reason of the caller's own. Its deadline (absolute; 0: none) is where the cancel
 * comes if the plan would come later. Any thread.
 */
QS_EXPORT int qs_shutdown_for(qs_runtime *runtime, const struct qs_stop_reason *reason);

/*
 * Has `fn` called in the runtime's thread, in the order of the posts. -ENOMEM; -ESHUTDOWN once
 * qs_runtime_free has begun. Any thread.
 */
QS_EXPORT QS_MUST_CHECK int qs_post(qs_runtime *runtime, void (*fn)(void *arg), void *arg);

/* Its stop event, set when a shutdown begins; setting it begins one. Any thread. */
QS_EXPORT qs_stop *qs_runtime_stop(qs_runtime *runtime);

/* The runtime's present time: that of the loop's turn, virtual in a simulation. Its thread. */
QS_EXPORT uint64_t qs_now(qs_runtime *runtime);

/* How many tasks live. Any thread. */
QS_EXPORT uint64_t qs_live(const qs_runtime *runtime);

QS_END_DECLS

#endif
