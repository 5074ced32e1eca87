/*
 * The JSON of status and workers. Times are RFC 3339 in UTC, spans are seconds. Texts that a child
 * wrote may be no UTF-8; they are folded before they are shown.
 */
#include "daemon/view.h"

#include <stdio.h>
#include <string.h>

#include "daemon/callee.h"
#include "daemon/control_internal.h"
#include "daemon/daemon.h"
#include "daemon/http_poll.h"
#include "daemon/module_told.h"

/* --- small values --- */

static json_t *time_or_null(uint64_t at)
{
	char text[QS_WALL_TEXT_SIZE];

	if (at == 0 || at == QS_FOREVER)
		return json_null();
	return json_string(qs_clock_format_wall(qs_clock_wall_usec_of(at), text));
}

static json_t *seconds(uint64_t span)
{
	/* To the millisecond: nobody reads more. */
	return json_real((double)(span / QS_MSEC) / 1000);
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? answer_string(text) : json_null();
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* Takes ownership of the value. A half-built object is none: NULL is passed on. */
static void put(json_t **object, const char *key, json_t *value)
{
	if (*object && json_object_set_new_nocheck(*object, key, value) < 0) {
		json_decref(*object);
		*object = NULL;
	} else if (!*object) {
		json_decref(value);
	}
}

static void append(json_t **array, json_t *value)
{
	if (*array && json_array_append_new(*array, value) < 0) {
		json_decref(*array);
		*array = NULL;
	} else if (!*array) {
		json_decref(value);
	}
}

/* --- one worker --- */

static const struct qs_ending *ending_of(const struct qs_owner *owner, unsigned i)
{
	if (!owner || i >= QS_ENDINGS_KEPT || i >= owner->endings_count)
		return NULL;
	return &owner->endings[(owner->endings_count - 1 - i) % QS_ENDINGS_KEPT];
}

static json_t *counts_of(const struct qs_owner *owner)
{
	uint64_t started = atomic_load_explicit(&owner->started, memory_order_relaxed);
	json_t *counts = json_object();

	put(&counts, "started", number(started));
	for (unsigned i = QS_VERDICT_NONE + 1; i < QS_VERDICT_COUNT; i++)
		put(&counts, qs_verdict_name((enum qs_verdict)i),
		        number(atomic_load_explicit(&owner->ended[i], memory_order_relaxed)));
	return counts;
}

static json_t *view_ending(const struct qs_ending *ending)
{
	char detail[128];
	json_t *view = json_object();

	put(&view, "id", number(ending->id));
	put(&view, "verdict", json_string(qs_verdict_name(ending->verdict)));
	put(&view, "cause", json_string(qs_cause_name(ending->cause)));
	put(&view, "rung", json_string(qs_rung_name(ending->rung)));
	put(&view, "started_at", time_or_null(ending->started_at));
	put(&view, "asked_at", time_or_null(ending->asked_at));
	put(&view, "ended_at", time_or_null(ending->ended_at));
	put(&view, "detail",
	        json_string(qs_outcome_describe(ending->outcome, detail, sizeof(detail))));
	return view;
}

static json_t *endings_of(const struct worker *worker)
{
	const struct qs_ending *ending;
	json_t *endings = json_array();

	for (unsigned i = 0; (ending = ending_of(worker->owner, i)); i++)
		append(&endings, view_ending(ending));
	return endings;
}

/* Oldest first, as one reads. */
static json_t *lines_of(const struct worker *worker)
{
	json_t *lines = json_array();

	for (unsigned i = WORKER_LINES_KEPT; i-- > 0;) {
		const char *line = worker_line(worker, i);

		if (line)
			append(&lines, answer_string(line));
	}
	return lines;
}

static json_t *when_of(const struct worker_config *config)
{
	char span[64], text[80];

	if (config->when != WHEN_EVERY)
		return json_string(when_name(config->when));
	snprintf(text, sizeof(text), "every %s", span_format(config->every, span, sizeof(span)));
	return json_string(text);
}

/* --- what a module's host tells --- */

static json_t *view_module_task(const struct module_task *task)
{
	bool waits = task->waiting_on[0] != '\0';
	json_t *view = json_object();

	put(&view, "id", number(task->id));
	put(&view, "name", json_string(task->name));
	put(&view, "kind", json_string(qs_kind_name(task->kind)));
	put(&view, "state", json_string(waits ? "waiting" : "running"));
	put(&view, "rung", json_string(qs_rung_name(task->rung)));
	put(&view, "started_at", time_or_null(task->started_at));
	put(&view, "stop_lag_seconds",
	        task->stop_lag == QS_FOREVER ? json_null() : seconds(task->stop_lag));
	put(&view, "stack_bytes", task->stack > 0 ? number(task->stack) : json_null());
	put(&view, "waiting_on", text_or_null(task->waiting_on));
	return view;
}

static json_t *view_told(const struct module_told *told, uint64_t now)
{
	json_t *view = json_object(), *verdicts = json_object(), *tasks = json_array();

	for (unsigned i = QS_VERDICT_NONE + 1; i < QS_VERDICT_COUNT; i++)
		put(&verdicts, qs_verdict_name((enum qs_verdict)i), number(told->ended[i]));
	for (size_t i = 0; i < told->count; i++)
		append(&tasks, view_module_task(&told->tasks[i]));
	put(&view, "heard_seconds",
	        told->told_at ? seconds(qs_time_sub(now, told->told_at)) : json_null());
	put(&view, "live", number(told->live));
	put(&view, "verdicts", verdicts);
	put(&view, "tasks", tasks);
	put(&view, "tasks_omitted", number(told->live - told->count));
	return view;
}

static const struct module_told *told_of(const struct worker *worker)
{
	return worker->run && worker->work->told ? worker->work->told(worker->run) : NULL;
}

/* For a process it is unknown: only a module's tasks poll where we can see it. */
static json_t *stop_lag_of(const struct worker *worker, uint64_t now)
{
	const struct module_told *told = told_of(worker);

	if (told && told->told_at) {
		uint64_t lag = module_told_lag(told);
		return lag == QS_FOREVER ? json_null() : seconds(lag);
	}
	const struct qs_task *task = worker->run ? worker->run->task : NULL;
	uint64_t polled_at = 0;

	if (task && task->record)
		polled_at = atomic_load_explicit(&task->record->polled_at, memory_order_relaxed);
	return polled_at ? seconds(qs_time_sub(now, polled_at)) : json_null();
}

static json_t *task_of(const struct worker *worker)
{
	const struct qs_task *task = worker->run ? worker->run->task : NULL;
	json_t *view;

	if (!task || !task->record)
		return json_null();
	view = json_object();
	put(&view, "id", number(qs_task_id(task)));
	put(&view, "rung", json_string(qs_rung_name(qs_task_rung(task))));
	put(&view, "cause", json_string(qs_cause_name(qs_task_cause(task))));
	put(&view, "started_at", time_or_null(task->record->started_at));
	put(&view, "asked_at", time_or_null(task->record->asked_at));
	return view;
}

static void put_last_ending(json_t **view, const struct worker *worker)
{
	const struct qs_ending *last = ending_of(worker->owner, 0);
	char text[128];

	if (!last) {
		put(view, "last_verdict", json_null());
		put(view, "last_detail", json_null());
		return;
	}
	put(view, "last_verdict", json_string(qs_verdict_name(last->verdict)));
	put(view, "last_detail",
	        json_string(qs_outcome_describe(last->outcome, text, sizeof(text))));
}

/* Of a worker that is called; what is ever is counted since it was configured. */
static json_t *calls_of(const struct worker *worker)
{
	struct call_counts counts;
	json_t *view = json_object(), *outcomes = json_object();

	callee_count(worker, &counts);
	for (unsigned i = 0; i < CALL_OUTCOME_COUNT; i++)
		put(&outcomes, call_outcome_name((enum call_outcome)i),
		        number(worker->calls.outcomes[i]));
	put(&view, "live", number(callee_live(worker)));
	put(&view, "waiting", number(counts.waiting));
	put(&view, "in_flight", number(counts.in_flight));
	put(&view, "backing_off", number(counts.backing_off));
	put(&view, "requests", number(counts.requests));
	put(&view, "retries", number(counts.retries));
	put(&view, "retries_refused", number(counts.retries_refused));
	put(&view, "cache_hits", number(counts.hits));
	put(&view, "shared", number(counts.shared));
	put(&view, "cached_bytes", number(counts.cached_bytes));
	put(&view, "outcomes", outcomes);
	return view;
}

json_t *view_worker(const struct worker *worker, bool full)
{
	const struct worker_config *config = worker->config;
	uint64_t now = qs_clock_coarse(qs_loop_clock(worker->fleet->context->loop));
	uint64_t beat_at = worker->heartbeat.last_at;
	pid_t pid = worker->run ? worker->run->pid : 0;
	char text[256];
	json_t *view = json_object();

	put(&view, "name", json_string(config->name));
	put(&view, "kind", json_string(worker_kind_name(worker)));
	put(&view, "when", when_of(config));
	put(&view, "essential", json_boolean(config->essential));
	put(&view, "state", json_string(worker_state_name(worker->state)));
	put(&view, "detail", text_or_null(worker->detail));
	put(&view, "since", time_or_null(worker->since));
	put(&view, "ready", json_boolean(worker->ready));
	put(&view, "pid", pid > 0 ? number((uint64_t)pid) : json_null());
	put(&view, "restarts", number(worker->restarts));
	put(&view, "skipped", number(worker->skipped));
	put(&view, "next_restart_at", time_or_null(worker->next_start_at));
	put(&view, "stop_lag_seconds", stop_lag_of(worker, now));
	put(&view, "heartbeat_age_seconds",
	        beat_at ? seconds(qs_time_sub(now, beat_at)) : json_null());
	put(&view, "waiting_on", text_or_null(worker_waiting_on(worker, text, sizeof(text))));
	put(&view, "status", text_or_null(worker->status_text));
	put_last_ending(&view, worker);
	put(&view, "counts", counts_of(worker->owner));
	put(&view, "task", task_of(worker));
	if (config->when == WHEN_CALL)
		put(&view, "calls", calls_of(worker));
	if (worker->poll)
		put(&view, "last", http_poll_view(worker->poll));
	if (told_of(worker))
		put(&view, "module", view_told(told_of(worker), now));
	if (full) {
		put(&view, "lines", lines_of(worker));
		put(&view, "endings", endings_of(worker));
	}
	return view;
}

json_t *view_workers(const struct daemon *daemon)
{
	json_t *workers = json_array();

	list_for_each (node, &daemon->fleet.workers)
		append(&workers, view_worker(list_entry(node, struct worker, node), false));
	return workers;
}

/* --- the daemon --- */

json_t *view_daemon(const struct daemon *daemon)
{
	uint64_t now = qs_clock_coarse(&daemon->clock);
	json_t *view = json_object();

	put(&view, "version", json_string(QUIESCE_VERSION));
	put(&view, "pid", number((uint64_t)getpid()));
	put(&view, "phase", json_string(qs_phase_name(qs_coordinator_phase(&daemon->coordinator))));
	put(&view, "ready", json_boolean(daemon_is_ready(daemon)));
	put(&view, "started_at", time_or_null(daemon->started_at));
	put(&view, "uptime_seconds", seconds(qs_time_sub(now, daemon->started_at)));
	put(&view, "tasks_live", number(qs_ledger_live(daemon->ledger)));
	return view;
}

/* All calls of a worker are one straggler; the oldest of them says what it waits for. */
static json_t *view_straggling_calls(const struct worker *worker, uint64_t now)
{
	const struct call *oldest = callee_oldest(worker);
	const struct qs_record *record = oldest->task->record;
	uint64_t asked_at = record ? record->asked_at : 0;
	char text[256];
	json_t *view = json_object();

	put(&view, "worker", json_string(worker->config->name));
	put(&view, "pid", json_null());
	put(&view, "rung", json_string(record ? qs_rung_name(qs_task_rung(oldest->task)) : "none"));
	put(&view, "asked_seconds", asked_at ? seconds(qs_time_sub(now, asked_at)) : json_null());
	put(&view, "waiting_on", text_or_null(callee_describe(worker, text, sizeof(text))));
	return view;
}

/* Who is still there, and who was asked how long ago. */
static json_t *stragglers_of(const struct daemon *daemon, uint64_t now)
{
	json_t *stragglers = json_array();

	list_for_each (node, &daemon->fleet.workers) {
		const struct worker *worker = list_entry(node, struct worker, node);
		const struct qs_task *task = worker->run ? worker->run->task : NULL;
		char text[256];

		if (callee_oldest(worker))
			append(&stragglers, view_straggling_calls(worker, now));
		if (!task || !task->record)
			continue;
		uint64_t asked_at = task->record->asked_at;
		json_t *view = json_object();
		put(&view, "worker", json_string(worker->config->name));
		put(&view, "pid", number((uint64_t)worker->run->pid));
		put(&view, "rung", json_string(qs_rung_name(qs_task_rung(task))));
		put(&view, "asked_seconds",
		        asked_at ? seconds(qs_time_sub(now, asked_at)) : json_null());
		put(&view, "waiting_on",
		        text_or_null(worker_waiting_on(worker, text, sizeof(text))));
		append(&stragglers, view);
	}
	return stragglers;
}

static json_t *reason_of(const struct qs_chronicle *chronicle)
{
	const char *detail = chronicle->reason.detail;
	const char *kind = chronicle->failure                  ? "failure"
	                   : strncmp(detail, "signal", 6) == 0 ? "signal"
	                                                       : "api";

	return json_pack("{s:s, s:o}", "kind", kind, "detail", answer_string(detail));
}

json_t *view_shutdown(const struct daemon *daemon)
{
	const struct shutdown_fsm *fsm = &daemon->coordinator.fsm;
	uint64_t now = qs_clock_coarse(&daemon->clock);
	json_t *view;

	if (!fsm_stopping(fsm))
		return json_null();
	view = json_object();
	put(&view, "phase", json_string(qs_phase_name(fsm_phase(fsm))));
	put(&view, "reason", reason_of(&daemon->coordinator.chronicle));
	put(&view, "requested_at", time_or_null(fsm->requested_at));
	put(&view, "cancel_at", time_or_null(fsm_cancel_at(fsm)));
	put(&view, "leave_at", time_or_null(fsm_leave_at(fsm)));
	put(&view, "seconds_left", seconds(qs_time_sub(fsm_leave_at(fsm), now)));
	put(&view, "stages", number(fsm->stages));
	put(&view, "asked_stages", number(fsm->asked_stages));
	put(&view, "overdue_stages", number(fsm->overdue_stages));
	put(&view, "stragglers", stragglers_of(daemon, now));
	return view;
}

json_t *view_status(const struct daemon *daemon)
{
	json_t *view = json_object();

	put(&view, "daemon", view_daemon(daemon));
	put(&view, "workers", view_workers(daemon));
	put(&view, "shutdown", view_shutdown(daemon));
	return view;
}
