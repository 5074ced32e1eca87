/*
 * What a runtime tells of itself: to the service manager, to the log hook, and in the report. The
 * guard's half allocates nothing, because the loop may be stuck with the allocator's lock.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/fiber.h"
#include "lib/notify.h"
#include "lib/runtime.h"

#define FAREWELL     (2 * QS_SEC) /* for the report; after that the guard leaves by itself */
#define CLAIMED_TIME 200          /* ms that the guard gives the loop to finish its report */

void qs_runtime_log(const qs_runtime *runtime, enum qs_log_level level, const char *format, ...)
{
	const struct qs_runtime_hooks *hooks = &runtime->options.hooks;
	char text[512];
	va_list arguments;

	if (!hooks->log)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	hooks->log(level, text, hooks->arg);
}

/* --- the service manager --- */

void qs_runtime_tell_ready(qs_runtime *runtime)
{
	if (runtime->options.keep_quiet || runtime->announced)
		return;
	runtime->announced = true;
	(void)qs_notify_ready("running");
}

static void tell_manager(qs_runtime *runtime, enum qs_phase phase)
{
	uint64_t leave_at = fsm_leave_at(&runtime->coordinator.fsm);
	char status[128];

	snprintf(status, sizeof(status), "%s: %" PRIu64 " tasks", qs_phase_name(phase),
	        runtime->root.live);
	(void)qs_notify_stopping(status);
	if (leave_at != QS_FOREVER)
		(void)qs_notify_extend(
		        qs_time_add(qs_time_sub(leave_at, qs_loop_now(runtime->loop)), QS_SEC));
}

void qs_runtime_tell_phase(qs_runtime *runtime, enum qs_phase phase)
{
	const struct qs_runtime_hooks *hooks = &runtime->options.hooks;

	if (!runtime->options.keep_quiet && fsm_stopping(&runtime->coordinator.fsm))
		tell_manager(runtime, phase);
	if (hooks->phase)
		hooks->phase(phase, hooks->arg);
}

/* --- the report --- */

void qs_runtime_begin_report(qs_runtime *runtime)
{
	const char *invocation = getenv("INVOCATION_ID");

	runtime->report = (struct qs_report){
		.ledger = runtime->ground->ledger,
		.chronicle = &runtime->coordinator.chronicle,
		.started_at = qs_loop_now(runtime->loop),
		.pid = getpid(),
		.loop = gettid(),
	};
	if (invocation)
		snprintf(runtime->report.invocation_id, sizeof(runtime->report.invocation_id), "%s",
		        invocation);
}

/* A stop that the loop never came to hear of is in the stop event all the same. */
static void complete_chronicle(qs_runtime *runtime)
{
	struct qs_chronicle *chronicle = &runtime->coordinator.chronicle;
	struct qs_stop_reason reason;

	if (atomic_load(&chronicle->requested_at) != 0 ||
	        qs_stop_get_reason(runtime->ground->stop, &reason) < 0)
		return;
	chronicle->reason = reason;
	atomic_store(&chronicle->requested_at, reason.at);
}

static void write_report(qs_runtime *runtime)
{
	if (atomic_load(&runtime->coordinator.chronicle.left_at) == 0)
		atomic_store(&runtime->coordinator.chronicle.left_at,
		        qs_clock_read(&runtime->ground->clock));
	if (runtime->report_fd < 0)
		return;
	int r = qs_report_write(&runtime->report, runtime->report_fd);
	if (r < 0)
		qs_runtime_log(
		        runtime, QS_LOG_ERROR, "the report could not be written: errno %d", -r);
}

static void summarise(qs_runtime *runtime, int status)
{
	char summary[400];

	qs_report_summarise(&runtime->report, summary, sizeof(summary));
	qs_runtime_log(runtime, QS_LOG_NOTICE, "%s", summary);
	if (status == 151)
		qs_runtime_log(runtime, QS_LOG_ERROR,
		        "something would not end and was abandoned: leave by _exit");
}

/* The guard may be at its last words already: then it ends the process while this one waits. */
void qs_runtime_conclude(qs_runtime *runtime)
{
	if (atomic_exchange(&runtime->report_claimed, true))
		(void)poll(NULL, 0, -1);
	int status = qs_report_exit_status(&runtime->report);
	if (runtime->guard)
		qs_guard_farewell(runtime->guard, FAREWELL, status);
	write_report(runtime);
	summarise(runtime, status);
	if (runtime->guard)
		qs_guard_stand_down(runtime->guard);
	runtime->status = status;
	runtime->concluded = true;
}

/* Their records are kept: their threads may still stamp them. */
void qs_runtime_leave_behind(qs_runtime *runtime)
{
	qs_ledger_retain(runtime->ground->ledger);
	qs_runtime_log(runtime, QS_LOG_ERROR, "%zu that did not come back from a call: abandoned",
	        runtime->context.task_count);
	qs_group_abandon(&runtime->root);
	runtime->status = 151;
}

void qs_runtime_tell_failure(const struct qs_failure *failure, void *arg)
{
	char text[128];

	qs_outcome_describe(failure->result.outcome, text, sizeof(text));
	qs_runtime_log(arg, QS_LOG_ERROR, "task %" PRIu64 " (%s) failed: %s", failure->id,
	        failure->name, text);
}

/* --- crashes --- */

const char *qs_runtime_name_at(const void *address, void *arg)
{
	const qs_runtime *runtime = arg;

	return runtime->context.fibers ? qs_fibers_name_at(runtime->context.fibers, address) : NULL;
}

/* The process is about to end, and this is the only way for anybody to know why. */
void qs_runtime_crashed(const char *text, void *arg)
{
	const struct qs_runtime_hooks *hooks = &((const qs_runtime *)arg)->options.hooks;
	char line[256];

	if (hooks->log) {
		hooks->log(QS_LOG_ERROR, text, hooks->arg);
		return;
	}
	(void)snprintf(line, sizeof(line), "%s\n", text);
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return; /* there is nobody to tell */
}

void qs_runtime_overflowed(const char *name, void *arg)
{
	char text[128];

	snprintf(text, sizeof(text), "fiber %s: stack overflow", name);
	qs_runtime_crashed(text, arg);
}

/* --- in the guard's thread --- */

void qs_runtime_alive(void *arg)
{
	const qs_runtime *runtime = arg;

	if (!runtime->options.keep_quiet)
		(void)qs_notify_watchdog();
}

static void find_name(const struct qs_ledger *ledger, uint64_t id, char name[QS_TASK_NAME_MAX])
{
	const struct qs_record *record;
	struct qs_record_copy copy;
	uint64_t cursor = 0;

	name[0] = '\0';
	while (id != 0 && (record = qs_ledger_next(ledger, &cursor)) != NULL) {
		if (!qs_ledger_read(record, &copy) || copy.id != id)
			continue;
		memcpy(name, copy.name, QS_TASK_NAME_MAX);
		return;
	}
}

void qs_runtime_stalled(uint64_t holder, uint64_t span, void *arg)
{
	const qs_runtime *runtime = arg;
	char name[QS_TASK_NAME_MAX];

	find_name(runtime->ground->ledger, holder, name);
	if (holder == 0)
		qs_runtime_log(runtime, QS_LOG_ERROR, "the loop has been stuck for %" PRIu64 " ms",
		        span / QS_MSEC);
	else
		qs_runtime_log(runtime, QS_LOG_ERROR,
		        "the loop has been stuck for %" PRIu64 " ms in task %" PRIu64 " (%s)",
		        span / QS_MSEC, holder, name);
}

void qs_runtime_traced(const char *line, void *arg)
{
	qs_runtime_log(arg, QS_LOG_ERROR, "stuck at %s", line);
}

int qs_runtime_last_words(void *arg)
{
	qs_runtime *runtime = arg;

	if (atomic_exchange(&runtime->report_claimed, true)) {
		(void)poll(NULL, 0, CLAIMED_TIME);
		return qs_report_exit_status(&runtime->report);
	}
	qs_ledger_close_books(runtime->ground->ledger, qs_time_now());
	complete_chronicle(runtime);
	write_report(runtime);
	int status = qs_report_exit_status(&runtime->report);
	summarise(runtime, status);
	return status;
}
