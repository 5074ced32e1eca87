/*
 * What a runtime is made of, for the files of the runtime and for tests. Loop thread, but for what
 * says otherwise.
 */
#ifndef QS_RUNTIME_H
#define QS_RUNTIME_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <quiesce/runtime.h>

#include "lib/coordinator.h"
#include "lib/fault.h"
#include "lib/ground.h"
#include "lib/group.h"
#include "lib/guard.h"
#include "lib/loop.h"
#include "lib/report.h"

struct qs_runtime {
	struct qs_runtime_options options; /* the defaults filled in; nothing behind the pointers */
	struct qs_ground *ground;
	struct qs_loop *loop;
	struct qs_context context;
	struct qs_group root;
	struct qs_coordinator coordinator;
	struct qs_watch stop_wake; /* the stop event's tree asks for a dispatch */
	struct qs_guard *guard;    /* NULL in a simulation */
	sigset_t mask_before;      /* of the maker's thread, when has_mask */
	bool has_mask;
	bool running;   /* qs_run is under way */
	bool announced; /* the service manager was told that we are ready */
	bool over;      /* the coordinator has left */
	bool concluded; /* ... and what follows is done: the status is known */
	int status;

	struct qs_fault_scope fault;

	struct qs_report report;
	int report_fd;               /* the directory, -1 for none */
	_Atomic bool report_claimed; /* by the loop or by the guard: one of them writes it */
};

void _printf_(3, 4) qs_runtime_log(const qs_runtime *runtime, enum qs_log_level level,
        const char *format, ...); /* any thread */

/* What qs_run consists of: turns, as long as they return 1 (0: all is over; -EDEADLK), and an end,
 * which returns the exit status. */
QS_MUST_CHECK int qs_runtime_turn(qs_runtime *runtime);
QS_MUST_CHECK int qs_runtime_finish(qs_runtime *runtime);

/* --- runtime_end.c: what is told of an end, and to whom --- */

void qs_runtime_begin_report(qs_runtime *runtime);
void qs_runtime_tell_phase(qs_runtime *runtime, enum qs_phase phase);
void qs_runtime_tell_ready(qs_runtime *runtime);

/* The shutdown is over: writes the report, says what was left, and keeps the exit status. */
void qs_runtime_conclude(qs_runtime *runtime);

/* Nothing lives but calls that nobody waits for: they are abandoned. */
void qs_runtime_leave_behind(qs_runtime *runtime);

void qs_runtime_tell_failure(const struct qs_failure *failure, void *arg); /* nobody will read it */
const char *qs_runtime_name_at(const void *address, void *arg); /* the fiber whose stack it is */
void qs_runtime_crashed(const char *text, void *arg);
void qs_runtime_overflowed(const char *name, void *arg); /* a fiber's stack */

/* Hooks of the guard, in its thread; `arg` is the runtime. */
void qs_runtime_alive(void *arg);
void qs_runtime_stalled(uint64_t holder, uint64_t span, void *arg);
void qs_runtime_traced(const char *line, void *arg);
int qs_runtime_last_words(void *arg);

#endif
