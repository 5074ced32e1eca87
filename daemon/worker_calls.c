/*
 * What its calls mean for a worker that is called. It runs while it takes calls, whether there are
 * any or not; when it is to stop, it stops as long as one of them lives.
 */
#include <errno.h>
#include <stdio.h>

#include "daemon/call_answer.h"
#include "daemon/callee.h"
#include "daemon/fleet.h"
#include "daemon/worker_internal.h"
#include "lib/task.h"

#define STRAGGLERS_TOLD \
	8 /* calls of one worker, at each rung; then it is said that there are more */

bool worker_is_live(const struct worker *worker)
{
	return worker->run || callee_live(worker) > 0;
}

char *worker_call_refusal(const struct worker *worker, char *buffer, size_t size)
{
	const char *name = worker->config->name;
	char waits_for[128];

	buffer[0] = '\0';
	if (worker->fleet->held)
		snprintf(buffer, size, "no new calls are taken: the daemon drains or shuts down");
	else if (!worker->calls.callee && worker->state == WORKER_WAITING)
		snprintf(buffer, size, "%s takes no calls yet: it waits for %s", name,
		        worker_waiting_on(worker, waits_for, sizeof(waits_for)));
	else if (!worker->calls.callee)
		snprintf(buffer, size, "%s takes no calls: it is %s%s%s", name,
		        worker_state_name(worker->state), *worker->detail ? ": " : "",
		        worker->detail);
	return buffer;
}

/* --- stopping --- */

void worker_await_calls(struct worker *worker, enum qs_cause cause)
{
	char text[64];

	worker->ready = false;
	if (worker->state != WORKER_RUNNING)
		return;
	snprintf(text, sizeof(text), "its calls were asked to stop (%s)", qs_cause_name(cause));
	worker_set_state(worker, WORKER_STOPPING, text);
}

void worker_follow_calls(struct worker *worker)
{
	if (worker->run || callee_live(worker) > 0)
		return;
	if (worker->state == WORKER_STOPPING) {
		worker_follow_end(worker, true, false);
	} else if (worker->fleet->ending && worker->calls.callee) {
		callee_close(worker, QS_CAUSE_SHUTDOWN);
		worker->ready = false;
		worker_set_state(worker, WORKER_STOPPED, "");
	}
	/* A configuration may have been kept for them. */
	if (worker->removed || worker->fleet->old_count > 0)
		fleet_changed(worker->fleet, worker);
}

/* --- what is told of calls --- */

static void tell_straggler(
        struct worker *worker, const struct call *call, enum qs_rung rung, const char *where)
{
	const struct log_fields fields = { LOG_STRAGGLER, .worker = worker->config->name,
		.task = call->id };
	const char *what = rung == QS_RUNG_CANCEL ? "not gone by its deadline: cancelled"
	                                          : "not gone after its grace: killed";
	unsigned told = worker->calls.told_stragglers[rung]++;

	if (told < STRAGGLERS_TOLD)
		log_event(LOG_LEVEL_WARNING, &fields, "call %llu %s%s%s",
		        (unsigned long long)call->id, what, *where ? ": " : "", where);
	else if (told == STRAGGLERS_TOLD)
		log_event(LOG_LEVEL_WARNING, &fields, "more calls %s", what);
	if (!list_empty(&worker->fleet->events->observers))
		events_emit(worker->fleet->events, "call-pushed",
		        json_pack("{s:I, s:s, s:s, s:s}", "call", (json_int_t)call->id, "worker",
		                worker->config->name, "rung", qs_rung_name(rung), "waiting_on",
		                where));
}

/* Who hung up or asked for it knows. */
static bool is_straggler(const struct call *call)
{
	return call->cause != QS_CAUSE_API;
}

void worker_note_straggling_call(struct worker *worker, struct call *call)
{
	char where[160];

	if (!is_straggler(call))
		return;
	call_describe(call, where, sizeof(where));
	qs_ledger_note(worker->fleet->context->ledger, call->id, where);
	tell_straggler(worker, call, QS_RUNG_CANCEL, where);
}

void worker_note_call_pushed(struct worker *worker, struct call *call, enum qs_rung rung)
{
	if (rung == QS_RUNG_ASK && call->cause == QS_CAUSE_SHUTDOWN)
		worker_await_calls(worker, call->cause);
	else if (rung == QS_RUNG_KILL && is_straggler(call))
		tell_straggler(worker, call, rung, "");
}

static void log_call(struct worker *worker, const struct call *call)
{
	const struct call_result *result = &call->result;
	const char *because = call_ended_because(call);
	const struct call_finished finished = {
		.worker = call->owner->name,
		.task = call->id,
		.verdict = call->verdict,
		.host = result->host,
		.status = result->upstream_status,
		.error = call_is_good(call) ? 0
		         : call->returned   ? call->error
		                            : -ECANCELED,
		.problem = because ? because : result->problem,
		.attempts = result->attempts,
		.duration = qs_time_sub(call->ended_at, call->started_at),
		.bytes = result->received,
		.source = result->source,
	};

	call_log_finished(&worker->fleet->call_log, &finished);
	if (worker->fleet->config->log_bodies && result->body)
		call_log_body(
		        worker->config, call->id, "answer", result->body->data, result->body->size);
}

void worker_note_call_ended(struct worker *worker, const struct call *call)
{
	worker->calls.outcomes[call_outcome(call)]++;
	log_call(worker, call);
	if (!list_empty(&worker->fleet->events->observers))
		events_emit(worker->fleet->events, "call-ended", call_view(call));
}
