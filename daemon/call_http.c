/*
 * Calls of `http` workers, through the worker's gate: what is allowed at once, tried again, shared
 * and remembered is decided there. An answer comes whole, or is passed on as it comes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/gate.h>

#include "daemon/call.h"
#include "daemon/call_stream.h"
#include "daemon/control_internal.h"
#include "daemon/fleet.h"
#include "daemon/http_request.h"

struct http_work {
	struct http_made made;
	struct http_body *body; /* of the answer, while it is being made */
};

/* An answer lasts as long as somebody has its body. */
struct http_body {
	struct call_body body;
	struct qs_gate_answer answer;
};

/* --- what they have in common --- */

static bool passes_on(const struct qs_http_response *head, void *arg)
{
	const struct worker_config *config = arg;
	char problem[CALL_PROBLEM_MAX];

	return !config->http.expect_pointer && call_stream_wanted(head) &&
	       http_expected(&config->http, head, problem, sizeof(problem)) == 1;
}

static int http_calls_open(
        struct worker *worker, const struct worker_config *config, void **ret_common)
{
	const struct call_config *call = &config->call;
	const struct qs_gate_options options = {
		.concurrency = call->concurrency,
		.backlog = call->backlog,
		.rate = call->rate_count,
		.rate_within = call->rate_within,
		.retry = config->http.retry,
		.cache_size = call->cache_size,
		.cache_ttl = call->cache_ttl,
		.cache_headers = (const char *const *)call->cache_headers,
		.streams = passes_on,
		.arg = (void *)config,
	};
	qs_gate *gate;
	qs_http *http;
	int r = http_clients_get(&worker->fleet->http, config->http.ca_file, &http);

	if (r == 0)
		r = qs_gate_new(worker->fleet->root, http, &options, &gate);
	if (r < 0) {
		char why[200];

		snprintf(worker->detail, sizeof(worker->detail), "cannot take calls: %s",
		        http_clients_explain(r, config->http.ca_file, why, sizeof(why)));
		return r;
	}
	*ret_common = gate;
	return 0;
}

static void http_calls_close(void *common)
{
	qs_gate_free(common);
}

static void http_calls_count(const void *common, struct call_counts *ret_counts)
{
	struct qs_gate_stats stats;

	qs_gate_stats(common, &stats);
	*ret_counts = (struct call_counts){
		.requests = stats.requests,
		.retries = stats.retries,
		.retries_refused = stats.retries_refused,
		.hits = stats.hits,
		.shared = stats.shared,
		.waiting = stats.waiting,
		.in_flight = stats.in_flight,
		.backing_off = stats.backing_off,
		.cached_bytes = stats.cached_bytes,
		.cached_entries = stats.cached_entries,
	};
}

/* --- one call --- */

static void free_body(struct call_body *base)
{
	struct http_body *body = container_of(base, struct http_body, body);

	qs_gate_answer_done(&body->answer);
	free(body);
}

static void http_call_release(struct call *call)
{
	struct http_work *work = TAKE(call->work, NULL);

	if (!work)
		return;
	/* It is still there if the fiber was ended by force. */
	if (work->body)
		call_body_unref(&work->body->body);
	http_made_done(&work->made);
	free(work);
}

static int http_call_prepare(struct call *call, const struct call_payload *payload)
{
	struct http_work *work = calloc(1, sizeof(*work));
	char problem[CALL_PROBLEM_MAX] = "";

	if (!work)
		return -ENOMEM;
	work->body = calloc(1, sizeof(*work->body));
	int r = work->body ? 0 : -ENOMEM;
	if (r == 0) {
		work->body->body = (struct call_body){ .refs = 1, .free = free_body };
		r = http_request_make(&call_config(call)->http, payload->json, &work->made, problem,
		        sizeof(problem));
	}
	if (r < 0) {
		free(work->body);
		free(work);
		return *problem ? call_fail(call, r, 422, "%s", problem) : r;
	}
	call->work = work;
	return 0;
}

static const char *source_name(enum qs_gate_source source)
{
	switch (source) {
	case QS_GATE_SERVER:
		return "server";
	case QS_GATE_SHARED:
		return "shared";
	case QS_GATE_CACHE:
		return "cache";
	}
	return NULL;
}

/* What is known of it in any case. A problem without some of that is still told. */
static void take_head(struct call *call, const struct qs_gate_answer *answer)
{
	const struct qs_http_response *response = &answer->response;
	const char *type = qs_http_response_header(response, "Content-Type");
	struct call_result *result = &call->result;

	result->attempts = answer->attempts;
	result->source = response->status ? source_name(answer->source) : NULL;
	result->upstream_status = response->status;
	result->phase = qs_http_phase_name(response->phase);
	result->received = MAX(result->received, response->received);
	if (!result->type && type)
		result->type = strdup(type);
	if (!result->host && *response->host)
		result->host = strdup(response->host);
}

static int status_of(int error)
{
	switch (error) {
	case -ETIME:
	case -ETIMEDOUT:
		return 504;
	case -EAGAIN:
		return 429;
	case -ESHUTDOWN:
	case -ECANCELED:
		return 503;
	case -ENOMEM:
	case -EMFILE:
		return 500;
	default:
		return 502;
	}
}

static int fail(struct call *call, int error, const struct qs_http_response *response)
{
	if (error == -EAGAIN)
		return call_fail(call, error, 429, "%u calls wait for their turn already",
		        call_config(call)->call.backlog);
	if (error == -ESHUTDOWN || error == -ECANCELED)
		return error;
	return call_fail(call, error, status_of(error), "%s",
	        *response->error ? response->error : strerror(-error));
}

/* Hands the body on to the result, whatever it is worth. */
static void take_body(struct call *call)
{
	struct http_work *work = call->work;
	struct http_body *body = work->body;

	body->body.data = body->answer.response.body;
	body->body.size = body->answer.response.body_size;
	call->result.body = &TAKE(work->body, NULL)->body;
}

static int judge(struct call *call, int r)
{
	const struct http_work *work = call->work;
	const struct qs_http_response *response = &work->body->answer.response;
	char problem[CALL_PROBLEM_MAX] = "";
	int error = r;

	take_head(call, &work->body->answer);
	if (error == 0) {
		call->result.phase = qs_http_phase_name(QS_HTTP_OVER);
		r = http_expected(&call_config(call)->http, response, problem, sizeof(problem));
		error = r < 0 ? r : r == 0 ? -EREMOTEIO : 0;
	}
	if (error == -EREMOTEIO)
		call_fail(call, error, 502, "%s", problem);
	else if (error < 0)
		fail(call, error, response);
	if (response->status > 0)
		take_body(call);
	return error;
}

static int perform(qs_task *self, struct call *call)
{
	struct http_work *work = call->work;

	return judge(call, qs_gate_call(self, call_common(call), &work->made.request, QS_FOREVER,
	                           &work->body->answer));
}

/* --- streams --- */

/* Broken off in its midst: whoever reads it has had the beginning. */
static int judge_stream(struct call *call, int r, const qs_http_stream *stream)
{
	const char *error = qs_http_stream_error(stream);

	if (r == 0 || r == -ESHUTDOWN || r == -ECANCELED)
		return r;
	return call_fail(call, r, status_of(r), "the stream broke off after %llu bytes: %s",
	        (unsigned long long)call->result.received, *error ? error : strerror(-r));
}

static int pass_on(qs_task *self, struct call *call, qs_http_stream *stream)
{
	const struct http_work *work = call->work;

	take_head(call, &work->body->answer);
	/* Its client may have gone in the very turn in which the head came. */
	if (!call->request)
		return -ECANCELED;
	return judge_stream(
	        call, call_stream_pass(self, call, &work->body->answer.response, stream), stream);
}

static int open_stream(qs_task *self, struct call *call)
{
	struct http_work *work = call->work;
	qs_http_stream *stream = NULL;
	int r = qs_gate_open(self, call_common(call), &work->made.request, QS_FOREVER,
	        &work->body->answer, &stream);

	r = stream ? pass_on(self, call, stream) : judge(call, r);
	qs_http_close(stream);
	return r;
}

/*
 * Where answers are remembered a call is one of those, unless it asks for a stream; else what comes
 * decides.
 */
static bool may_stream(const struct call *call)
{
	const char *accept;

	if (!call->request)
		return false;
	if (call_config(call)->call.cache_size == 0)
		return true;
	accept = call->request->transport->header(call->request, "Accept");
	return accept && (strcasestr(accept, "text/event-stream") ||
	                         strcasestr(accept, "application/x-ndjson"));
}

static int http_call_run(qs_task *self, struct call *call)
{
	return may_stream(call) ? open_stream(self, call) : perform(self, call);
}

/* --- where it stands --- */

static void http_call_describe(const struct call *call, char *buffer, size_t size)
{
	qs_gate_describe(call_common(call), call->task, buffer, size);
}

static void http_call_look(const struct call *call, struct call_standing *standing)
{
	struct qs_gate_progress progress;

	standing->received = call->result.received;
	standing->attempts = call->result.attempts;
	if (!qs_gate_progress(call_common(call), call->task, &progress))
		return;
	standing->state = progress.waiting       ? CALL_QUEUED
	                  : progress.backing_off ? CALL_BACKOFF
	                                         : CALL_RUNNING;
	standing->attempts = progress.attempts;
	if (!progress.http.host)
		return;
	standing->phase = qs_http_phase_name(progress.http.phase);
	standing->received = progress.http.received;
	snprintf(standing->host, sizeof(standing->host), "%s", progress.http.host);
}

const struct call_kind http_call_kind = {
	.name = "http",
	.open = http_calls_open,
	.close = http_calls_close,
	.prepare = http_call_prepare,
	.run = http_call_run,
	.release = http_call_release,
	.look = http_call_look,
	.describe = http_call_describe,
	.count = http_calls_count,
};
