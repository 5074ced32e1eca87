/*
 * The outcome of a call as an answer: what the upstream said, as it said it, or a problem that says
 * how far the call came and why no further.
 */
#include "daemon/call_answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/call.h"
#include "daemon/call_stream.h"
#include "daemon/control_internal.h"
#include "daemon/fleet.h"
#include "daemon/fold.h"
#include "daemon/view.h"
#include "lib/utf8.h"

#define UPSTREAM_TEXT_MAX (64U << 10)
#define FOLDED_MAX        (4U << 10)

static void describe_problem(const struct call *call, char *buffer, size_t size)
{
	const char *why = call_ended_because(call), *problem = call->result.problem;

	if (why)
		snprintf(buffer, size, "the call was ended (%s): %s%s%s",
		        qs_verdict_name(call->verdict), why, problem ? "; it stood at: " : "",
		        problem ? problem : "");
	else
		snprintf(buffer, size, "%s", problem ? problem : strerror(-call->error));
}

/* --- the problem --- */

/* Text as it is, anything else by its digest. */
static json_t *text_of(const struct call_body *body)
{
	size_t size = qs_utf8_cut(body->data, body->size, UPSTREAM_TEXT_MAX);
	json_t *text = json_stringn(body->data, size);

	if (text)
		return text;
	_cleanup_(freep) char *folded =
	        fold_text(body->data, MIN(body->size, UPSTREAM_TEXT_MAX), FOLDED_MAX);
	return folded ? json_string(folded) : NULL;
}

static json_t *upstream_of(const struct call_result *result)
{
	if (result->upstream_status == 0 && !result->body)
		return NULL;
	return json_pack("{s:o?, s:s?, s:o*}", "status",
	        result->upstream_status ? json_integer(result->upstream_status) : NULL, "type",
	        result->type, "body", result->body ? text_of(result->body) : NULL);
}

static json_t *problem_of(const struct call *call)
{
	const struct call_result *result = &call->result;
	char detail[1024];

	describe_problem(call, detail, sizeof(detail));
	json_t *problem = answer_problem_body(call_status(call), detail);
	json_t *more = json_pack("{s:I, s:s, s:s, s:s, s:i, s:s?, s:s?, s:I, s:o*}", "call",
	        (json_int_t)call->id, "worker", call->owner->name, "verdict",
	        qs_verdict_name(call->verdict), "cause", qs_cause_name(call->cause), "attempts",
	        (int)result->attempts, "phase", result->phase, "host", result->host, "received",
	        (json_int_t)result->received, "upstream", upstream_of(result));

	if (!more || json_object_update(problem, more) < 0) {
		json_decref(problem);
		problem = NULL;
	}
	json_decref(more);
	return problem;
}

char *call_problem_text(const struct call *call)
{
	json_t *problem = problem_of(call);
	char *text = problem ? json_dumps(problem, JSON_COMPACT) : NULL;

	json_decref(problem);
	return text;
}

/* --- answering --- */

static void let_body_go(void *arg)
{
	call_body_unref(arg);
}

static void answer_good(const struct call *call, struct request *request)
{
	const struct call_result *result = &call->result;
	char id[24], attempts[16];
	const struct answer_header headers[] = {
		{ "Quiesced-Call", id },
		{ "Quiesced-Attempts", attempts },
		{ result->source ? "Quiesced-Source" : NULL, result->source },
		{ NULL, NULL },
	};
	struct answer answer = {
		.status = call_status(call),
		.type = result->type ? result->type : "application/octet-stream",
		.headers = headers,
	};

	snprintf(id, sizeof(id), "%" PRIu64, call->id);
	snprintf(attempts, sizeof(attempts), "%u", result->attempts);
	if (result->body) {
		answer.body = result->body->data;
		answer.size = result->body->size;
		answer.let_go = let_body_go;
		answer.arg = call_body_ref(result->body);
	}
	request->transport->respond(request, &answer);
}

void call_answer(const struct call *call, struct request *request)
{
	if (call->let_body_go)
		answer_problem(request, 410,
		        "the answer of this call was larger than call.keep_size allows to keep");
	else if (call_is_good(call))
		answer_good(call, request);
	else
		answer_json(request, call_status(call), problem_of(call));
}

void call_answer_waiting(struct call *call)
{
	struct request *request = TAKE(call->request, NULL);

	if (!request)
		return;
	request->gone = request->drained = NULL;
	if (call->stream)
		call_stream_end(call, request);
	else
		call_answer(call, request);
}

/* --- showing --- */

static const char *verdict_of(const struct call *call)
{
	return call->task ? NULL : qs_verdict_name(call->verdict);
}

static json_t *shown_problem(const struct call *call)
{
	char detail[1024];

	if (call->task || call_is_good(call))
		return json_null();
	describe_problem(call, detail, sizeof(detail));
	return answer_string(detail);
}

json_t *call_view(const struct call *call)
{
	uint64_t now = qs_loop_now(call->fleet->context->loop);
	uint64_t age = qs_time_sub(call->task ? now : call->ended_at, call->started_at);
	struct call_standing standing;

	call_look(call, &standing);
	return json_pack("{s:I, s:s, s:s, s:b, s:s?, s:s?, s:i, s:s?, s:s?, s:f, s:I, s:o?, s:o}",
	        "id", (json_int_t)call->id, "worker", call->owner->name, "state",
	        call_state_name(standing.state), "detached", call->detached, "verdict",
	        verdict_of(call), "cause",
	        call->cause == QS_CAUSE_NONE ? NULL : qs_cause_name(call->cause), "attempts",
	        (int)standing.attempts, "phase", standing.phase, "host",
	        *standing.host ? standing.host : NULL, "age_seconds",
	        (double)(age / QS_MSEC) / 1000, "received", (json_int_t)standing.received, "status",
	        call->task ? NULL : json_integer(call_status(call)), "problem",
	        shown_problem(call));
}
