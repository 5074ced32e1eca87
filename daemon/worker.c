/*
 * A worker's life: what starts it, what it tells of itself, and how an administrator moves it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/callee.h"
#include "daemon/fleet.h"
#include "daemon/http_poll.h"
#include "daemon/worker_internal.h"

static uint64_t now_of(const struct worker *worker)
{
	return qs_loop_now(worker->fleet->context->loop);
}

static struct qs_task *task_of(const struct worker *worker)
{
	return worker->run ? worker->run->task : NULL;
}

/* --- starting --- */

static bool dependencies_ready(const struct worker *worker)
{
	for (size_t i = 0; i < worker->after_count; i++)
		if (!worker_is_ready(worker->after[i]))
			return false;
	return true;
}

static void become_ready(struct worker *worker)
{
	/* `once` is ready for others when it has finished; see worker_note_ended. */
	if (worker->config->when != WHEN_ONCE)
		worker->ready = true;
	qs_timer_disarm(&worker->timer);
	qs_heartbeat_start(&worker->heartbeat, worker->config->heartbeat);
}

/* Errors that pass by themselves are a failure of this run; the others would come again. */
static bool error_may_pass(int error)
{
	return error == -EAGAIN || error == -ENOMEM || error == -EMFILE || error == -ENFILE ||
	       error == -ENOSPC;
}

/* Of the others their new state tells; periodic work just waits for its next slot. */
static void tell_failed_start(const struct worker *worker)
{
	log_event(LOG_LEVEL_WARNING,
	        &(struct log_fields){ LOG_WORKER_ENDED, .worker = worker->config->name }, "%s",
	        worker->detail);
}

static const struct work *work_of(const struct worker_config *config)
{
	return config->http.url ? &http_work : config->module_path ? &module_work : &exec_work;
}

static void begin_calls(struct worker *worker)
{
	int r = callee_open(worker);

	if (r < 0) {
		worker_follow_end(worker, false, error_may_pass(r));
		return;
	}
	become_ready(worker);
	worker_set_state(worker, WORKER_RUNNING, "");
}

static void launch(struct worker *worker)
{
	struct run *run = NULL;

	worker->detail[0] = worker->status_text[0] = '\0';
	worker->started_at = now_of(worker);
	worker->next_start_at = 0;
	worker->skip_told = false;
	worker->hopeless = false;
	if (worker->config->when == WHEN_CALL) {
		begin_calls(worker);
		return;
	}
	worker->work = work_of(worker->config);
	int r = worker->work->start(worker, &run);
	if (r < 0) {
		if (worker->config->when == WHEN_EVERY)
			tell_failed_start(worker);
		worker_follow_end(worker, false, error_may_pass(r));
		return;
	}
	worker->run = run;
	worker->restarts += worker->by_policy;
	worker->by_policy = false;
	if (worker->config->ready_notify) {
		qs_timer_arm(
		        &worker->timer, qs_time_add(now_of(worker), worker->config->ready_timeout));
		worker_set_state(worker, WORKER_STARTING, "");
	} else {
		become_ready(worker);
		worker_set_state(worker, WORKER_RUNNING, "");
	}
}

/* A restart that the budget over all workers has no room for is put off, never failed. */
static bool budget_allows(struct worker *worker)
{
	uint64_t now = now_of(worker);

	if (!worker->by_policy)
		return true;
	uint64_t free_at = qs_rate_free_at(&worker->fleet->budget, now);
	if (free_at > now) {
		worker->next_start_at = free_at;
		qs_timer_arm(&worker->timer, free_at);
		return false;
	}
	qs_rate_add(&worker->fleet->budget, now);
	return true;
}

static void begin_schedule(struct worker *worker)
{
	if (worker->config->when != WHEN_EVERY || qs_timer_armed(&worker->slot_timer))
		return;
	worker->ready = true;
	qs_timer_arm(&worker->slot_timer, now_of(worker));
}

int worker_consider(struct worker *worker)
{
	if (worker->run || worker->removed || worker->fleet->held)
		return 0;
	if (worker->state == WORKER_BACKOFF) {
		if (worker->next_start_at > now_of(worker) || !budget_allows(worker))
			return 0;
	} else if (worker->state != WORKER_WAITING || !dependencies_ready(worker)) {
		return 0;
	} else if (worker->config->when == WHEN_EVERY) {
		begin_schedule(worker);
		return 0;
	}
	launch(worker);
	return 1;
}

/* The first skip of a run is told; how many there were says the status. */
static void skip_slot(struct worker *worker)
{
	worker->skipped++;
	if (TAKE(worker->skip_told, true))
		return;
	log_event(LOG_LEVEL_WARNING,
	        &(struct log_fields){ LOG_WORKER_STATE, .worker = worker->config->name },
	        "still running at its next time: skipped, %llu so far",
	        (unsigned long long)worker->skipped);
}

static void slot_due(struct qs_timer *timer)
{
	struct worker *worker = container_of(timer, struct worker, slot_timer);
	uint64_t now = now_of(worker), next = qs_time_add(timer->at, worker->config->every);

	/* Slots that passed while nothing could be looked at are not made up for. */
	if (next <= now)
		next = qs_time_add(now, worker->config->every);
	qs_timer_arm(&worker->slot_timer, next);
	if (worker->run && !worker->fleet->held) {
		skip_slot(worker);
	} else if (!worker->fleet->held && worker->state == WORKER_WAITING) {
		launch(worker);
	}
	worker->next_start_at = next;
}

/* --- deadlines of its own --- */

static void fail_run(struct worker *worker, enum qs_cause cause)
{
	struct qs_task *task = task_of(worker);

	if (task)
		qs_task_ask(task, cause, QS_FOREVER);
}

static void timer_due(struct qs_timer *timer)
{
	struct worker *worker = container_of(timer, struct worker, timer);

	if (worker->state == WORKER_STARTING)
		fail_run(worker, QS_CAUSE_READY);
	else
		fleet_changed(worker->fleet, worker);
}

static void heartbeat_missed(struct qs_heartbeat *heartbeat)
{
	fail_run(container_of(heartbeat, struct worker, heartbeat), QS_CAUSE_HEARTBEAT);
}

/* --- what it tells of itself --- */

void worker_note_ready(struct worker *worker)
{
	if (worker->state != WORKER_STARTING)
		return;
	become_ready(worker);
	worker_set_state(worker, WORKER_RUNNING, "");
}

void worker_note_beat(struct worker *worker)
{
	qs_heartbeat_beat(&worker->heartbeat);
}

void worker_note_extend(struct worker *worker, uint64_t span)
{
	uint64_t until = qs_time_add(now_of(worker), span);

	if (worker->state == WORKER_STARTING && until > worker->timer.at)
		qs_timer_arm(&worker->timer, until);
	else if (worker->state == WORKER_RUNNING)
		qs_heartbeat_extend(&worker->heartbeat, span);
}

void worker_note_status(struct worker *worker, const char *text)
{
	snprintf(worker->status_text, sizeof(worker->status_text), "%s", text);
	if (!list_empty(&worker->fleet->events->observers))
		events_emit(worker->fleet->events, "worker-status",
		        json_pack("{s:s, s:s}", "worker", worker->config->name, "status", text));
}

struct qs_ladder worker_ladder(const struct worker *worker)
{
	return (struct qs_ladder){ worker->config->stop_deadline,
		worker->fleet->config->shutdown.cancel_grace };
}

void worker_note_line(struct worker *worker, uint64_t task, const char *line, size_t length)
{
	struct log_fields fields = {
		.event = LOG_WORKER_OUTPUT, .worker = worker->config->name, .task = task
	};
	char **slot = &worker->lines[worker->line_count % WORKER_LINES_KEPT];

	log_event(LOG_LEVEL_INFO, &fields, "%.*s", (int)length, line);
	free(*slot);
	*slot = strndup(line, length);
	worker->line_count++;
	if (!list_empty(&worker->fleet->events->observers))
		events_emit(worker->fleet->events, "worker-output",
		        json_pack("{s:s, s:s%}", "worker", worker->config->name, "line", line,
		                length));
}

const char *worker_line(const struct worker *worker, unsigned i)
{
	if (i >= WORKER_LINES_KEPT || i >= worker->line_count)
		return NULL;
	return worker->lines[(worker->line_count - 1 - i) % WORKER_LINES_KEPT];
}

static const char *push_text(enum qs_rung rung)
{
	switch (rung) {
	case QS_RUNG_ASK:
		return "asked to stop";
	case QS_RUNG_CANCEL:
		return "not gone by its deadline: cancelled";
	case QS_RUNG_KILL:
		return "not gone after its grace: killed";
	case QS_RUNG_NONE:
	case QS_RUNG_COUNT:
		break;
	}
	return "?";
}

void worker_note_pushed(struct worker *worker, enum qs_rung rung, enum qs_cause cause)
{
	struct log_fields fields = { .event = LOG_STRAGGLER, .worker = worker->config->name };
	char text[128];

	if (rung == QS_RUNG_ASK) {
		qs_heartbeat_stop(&worker->heartbeat);
		qs_timer_disarm(&worker->timer);
		worker->ready = worker->ready && worker->config->when != WHEN_ALWAYS;
		snprintf(text, sizeof(text), "asked to stop (%s)", qs_cause_name(cause));
		worker_set_state(worker, WORKER_STOPPING, text);
		return;
	}
	char waits_for[128] = "";
	struct qs_task *task = task_of(worker);
	if (task)
		fields.task = qs_task_id(task);
	/* Who it is has been told with the cancel; at the kill every moment counts, for all of
	 * them. */
	if (task && rung == QS_RUNG_CANCEL) {
		task->kind->describe(task, waits_for, sizeof(waits_for));
		qs_ledger_note(worker->fleet->context->ledger, fields.task, waits_for);
	}
	log_event(LOG_LEVEL_WARNING, &fields, "%s%s%s", push_text(rung), *waits_for ? ": " : "",
	        waits_for);
	if (!list_empty(&worker->fleet->events->observers))
		events_emit(worker->fleet->events, "worker-pushed",
		        json_pack("{s:s, s:s, s:s}", "worker", worker->config->name, "rung",
		                qs_rung_name(rung), "waiting_on", waits_for));
}

/* Its task has left the ledger's live ones by now, and is the newest of its endings. */
static uint64_t ended_task(const struct worker *worker)
{
	const struct qs_owner *owner = worker->owner;

	if (!owner || !owner->endings || owner->endings_count == 0)
		return 0;
	return owner->endings[(owner->endings_count - 1) % QS_ENDINGS_KEPT].id;
}

static void tell_end(const struct worker *worker, enum qs_verdict verdict)
{
	char ran[32];
	bool well = verdict == QS_VERDICT_FINISHED || verdict == QS_VERDICT_STOPPED;
	struct log_fields fields = { .event = LOG_WORKER_ENDED,
		.worker = worker->config->name,
		.task = ended_task(worker),
		.verdict = qs_verdict_name(verdict) };

	span_format(qs_time_sub(now_of(worker), worker->started_at), ran, sizeof(ran));
	log_event(worker->work->logs_ends ? LOG_LEVEL_DEBUG
	          : well                  ? LOG_LEVEL_INFO
	                                  : LOG_LEVEL_WARNING,
	        &fields, "ended: %s, %s, after %s", fields.verdict, worker->detail, ran);
	if (!list_empty(&worker->fleet->events->observers))
		events_emit(worker->fleet->events, "worker-ended",
		        json_pack("{s:s, s:s, s:s}", "worker", worker->config->name, "verdict",
		                fields.verdict, "detail", worker->detail));
}

void worker_note_ended(struct worker *worker, enum qs_verdict verdict)
{
	bool well = verdict == QS_VERDICT_FINISHED || verdict == QS_VERDICT_STOPPED;

	qs_timer_disarm(&worker->timer);
	qs_heartbeat_stop(&worker->heartbeat);
	worker->run = NULL;
	if (worker->config->when == WHEN_ALWAYS)
		worker->ready = false;
	else if (worker->config->when == WHEN_ONCE && verdict == QS_VERDICT_FINISHED)
		worker->ready = true;
	tell_end(worker, verdict);
	worker_follow_end(worker, well, !worker->hopeless);
}

/* --- by the administrator --- */

static void rest(struct worker *worker)
{
	qs_timer_disarm(&worker->timer);
	qs_timer_disarm(&worker->slot_timer);
	worker->next_start_at = 0;
	if (worker->config->when == WHEN_EVERY || worker->config->when == WHEN_CALL)
		worker->ready = false;
}

static void wait_anew(struct worker *worker)
{
	rest(worker);
	worker->backoff.failures = 0;
	worker->by_policy = false;
	if (worker->state == WORKER_WAITING)
		fleet_changed(worker->fleet, worker);
	else
		worker_set_state(worker, WORKER_WAITING, "");
}

void worker_renew(struct worker *worker, enum qs_cause cause)
{
	worker->wanted = true;
	if (cause == QS_CAUSE_RELOAD && worker->calls.callee && worker->state == WORKER_RUNNING &&
	        dependencies_ready(worker) && callee_replace(worker, cause) == 0)
		return;
	callee_close(worker, cause);
	worker->restart_wanted = worker_is_live(worker);
	if (!worker->run && worker->restart_wanted) {
		worker_await_calls(worker, cause);
		return;
	}
	if (worker->run) {
		/* For a periodic worker now is meant, not its next slot. */
		rest(worker);
		qs_task_ask(task_of(worker), cause, QS_FOREVER);
		return;
	}
	worker->ready = false;
	wait_anew(worker);
}

int worker_start(struct worker *worker)
{
	if (worker->fleet->held)
		return -EBUSY;
	if (!worker_is_live(worker) && !worker->calls.callee)
		worker_renew(worker, QS_CAUSE_API);
	worker->wanted = true;
	worker->restart_wanted = worker->state == WORKER_STOPPING;
	return 0;
}

int worker_restart(struct worker *worker)
{
	if (worker->fleet->held)
		return -EBUSY;
	worker_renew(worker, QS_CAUSE_API);
	return 0;
}

void worker_stop(struct worker *worker, enum qs_cause cause)
{
	worker->wanted = worker->restart_wanted = false;
	rest(worker);
	callee_close(worker, cause);
	if (worker->run)
		qs_task_ask(task_of(worker), cause, QS_FOREVER);
	else if (worker_is_live(worker))
		worker_await_calls(worker, cause);
	else if (worker->state != WORKER_STOPPED)
		worker_set_state(worker, WORKER_STOPPED, "");
}

/* --- life --- */

int worker_new(struct fleet *fleet, const struct worker_config *config, struct worker **ret_worker)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int r = -ENOMEM;

	if (!worker)
		return r;
	worker->fleet = fleet;
	worker->config = config;
	worker->work = work_of(config);
	worker->wanted = true;
	worker->since = qs_loop_now(fleet->context->loop);
	list_init(&worker->node);
	list_init(&worker->calls.callees);
	r = qs_ledger_owner(fleet->context->ledger, config->name, &worker->owner);
	if (r < 0)
		goto fail;
	r = qs_rate_init(&worker->limit, config->limit.count, config->limit.within);
	if (r < 0)
		goto fail;
	r = qs_timer_init(fleet->context->loop, &worker->timer, timer_due);
	if (r < 0)
		goto fail_limit;
	r = qs_timer_init(fleet->context->loop, &worker->slot_timer, slot_due);
	if (r < 0)
		goto fail_timer;
	r = qs_heartbeat_init(fleet->context->loop, &worker->heartbeat, heartbeat_missed);
	if (r < 0)
		goto fail_slot_timer;
	qs_group_init(&worker->group, fleet->context, fleet->root);
	*ret_worker = worker;
	return 0;

fail_slot_timer:
	qs_timer_done(&worker->slot_timer);
fail_timer:
	qs_timer_done(&worker->timer);
fail_limit:
	qs_rate_done(&worker->limit);
fail:
	free(worker);
	return r;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	/* Abandoned at the end of the daemon. */
	if (worker->run)
		worker->work->free(worker->run);
	callee_free_all(worker);
	http_poll_free(worker->poll);
	list_remove(&worker->node);
	qs_group_done(&worker->group);
	qs_heartbeat_done(&worker->heartbeat);
	qs_timer_done(&worker->slot_timer);
	qs_timer_done(&worker->timer);
	qs_rate_done(&worker->limit);
	for (size_t i = 0; i < WORKER_LINES_KEPT; i++)
		free(worker->lines[i]);
	free(worker->after);
	free(worker);
}
