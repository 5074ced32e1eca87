/*
 * The handlers for calls: make one, look at it, fetch its answer, cancel it. A call is found by its
 * id in each turn anew: outcomes are not kept for ever.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/call.h"
#include "daemon/call_answer.h"
#include "daemon/daemon.h"
#include "daemon/payload.h"
#include "daemon/routes.h"

#define LISTED_MAX 1000

/* --- making one --- */

/* The phase goes with it, so that whoever asks knows whether to come back. */
static void answer_refusal(struct request *request, const struct worker *worker, const char *why)
{
	enum qs_phase phase = qs_coordinator_phase(&request->daemon->coordinator);
	json_t *problem = answer_problem_body(503, why);
	json_t *more = json_pack("{s:s, s:s, s:s}", "worker", worker->config->name, "state",
	        worker_state_name(worker->state), "phase", qs_phase_name(phase));

	if (!more || json_object_update(problem, more) < 0) {
		json_decref(problem);
		problem = NULL;
	}
	json_decref(more);
	answer_json(request, 503, problem);
}

static struct worker *find_called(struct request *request)
{
	struct worker *worker = fleet_find(&request->daemon->fleet, request->argument);
	char why[512];

	if (!worker)
		answer_problem(request, 404, "there is no worker \"%s\"", request->argument);
	else if (worker->config->when != WHEN_CALL)
		answer_problem(request, 409,
		        "%s cannot be called: its configuration has no \"when: call\"",
		        request->argument);
	else if (*worker_call_refusal(worker, why, sizeof(why)))
		answer_refusal(request, worker, why);
	else
		return worker;
	return NULL;
}

static bool is_type(const char *type, size_t length, const char *name)
{
	return length == strlen(name) && strncasecmp(type, name, length) == 0;
}

/*
 * application/json, application/problem+json, and parameters of them. What curl says of whatever it
 * is given with -d says nothing.
 */
static bool may_be_json(const char *type)
{
	static const char suffix[] = "+json";
	size_t length = strcspn(type, "; \t");

	return is_type(type, length, "application/json") ||
	       is_type(type, length, "application/x-www-form-urlencoded") ||
	       (length > strlen(suffix) &&
	               is_type(type + length - strlen(suffix), strlen(suffix), suffix));
}

/* 1 with the payload, which is to be released; 0 if it was refused. */
static int read_payload(struct request *request, json_t **ret_json)
{
	const char *type = request->transport->header(request, "Content-Type");
	char problem[256];

	*ret_json = NULL;
	if (request->body_size > 0 && type && !may_be_json(type)) {
		answer_problem(request, 415,
		        "a payload is JSON (Content-Type: application/json), not %.64s", type);
		return 0;
	}
	int r = payload_parse(
	        request->body, request->body_size, ret_json, problem, sizeof(problem));
	if (r == -EINVAL)
		answer_problem(request, 400, "the payload %s", problem);
	else if (r < 0)
		answer_problem(request, 503, "no memory for the payload");
	return r == 0;
}

/* Prefer: respond-async, among others, in any case. */
static bool prefers_async(const char *prefer)
{
	static const char word[] = "respond-async";

	while (prefer && *prefer) {
		size_t length;

		prefer += strspn(prefer, ", \t");
		length = strcspn(prefer, ",; \t");
		if (length == strlen(word) && strncasecmp(prefer, word, length) == 0)
			return true;
		prefer += strcspn(prefer, ",");
	}
	return false;
}

static bool is_detached(struct request *request)
{
	char value[8];

	return query_get(request->query, "detach", value, sizeof(value)) != 0 ||
	       prefers_async(request->transport->header(request, "Prefer"));
}

static void answer_detached(struct request *request, const struct call *call)
{
	char location[64];
	const struct answer_header headers[] = { { "Location", location }, { NULL, NULL } };
	struct answer answer = { .status = 202, .headers = headers, .owned = true };

	snprintf(location, sizeof(location), "/v1/calls/%" PRIu64, call->id);
	answer_json_with(request, &answer,
	        json_pack("{s:I, s:s, s:s}", "id", (json_int_t)call->id, "worker",
	                call->owner->name, "state", call_state_name(CALL_QUEUED)));
}

static void answer_no_begin(struct request *request, int error, const char *problem)
{
	if (error == -EINVAL || *problem)
		answer_problem(request, 422, "%s", *problem ? problem : "a wrong payload");
	else if (error == -ESHUTDOWN)
		answer_problem(request, 503, "no new calls are taken: the daemon shuts down");
	else
		answer_problem(request, 500, "cannot begin the call: %s", strerror(-error));
}

static void make_call(struct request *request, struct worker *worker, const json_t *json)
{
	const struct call_payload payload = {
		.text = request->body ? request->body : "", .size = request->body_size, .json = json
	};
	char problem[CALL_PROBLEM_MAX];
	struct call *call;

	int r = call_begin(worker, &payload, problem, &call);
	if (r < 0) {
		answer_no_begin(request, r, problem);
	} else if (is_detached(request)) {
		call_detach(call);
		answer_detached(request, call);
	} else {
		call_attach(call, request);
	}
}

void route_call(struct request *request)
{
	struct worker *worker = find_called(request);
	json_t *json;

	if (!worker || !read_payload(request, &json))
		return;
	make_call(request, worker, json);
	json_decref(json);
}

/* --- looking --- */

/* The id in the path; 0: it is none. */
static uint64_t id_of(const struct request *request)
{
	const char *text = request->argument;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 19 || text[digits])
		return 0;
	return strtoull(text, NULL, 10);
}

static struct call *find_call(struct request *request)
{
	uint64_t id = id_of(request);
	struct call *call = id > 0 ? calls_find(&request->daemon->fleet.calls, id) : NULL;

	if (!call)
		answer_problem(request, 404,
		        "there is no call \"%.32s\", or its outcome is not kept any more; only "
		        "those "
		        "of detached calls are",
		        request->argument);
	return call;
}

static bool show_when_over(struct request *request, _unused_ uint64_t mark, enum wait_moment moment)
{
	const struct call *call = find_call(request);

	if (!call)
		return true;
	if (call->task && moment == WAIT_CHECK)
		return false;
	answer_json(request, call->task && moment == WAIT_OVER ? 202 : 200, call_view(call));
	return true;
}

static bool fetch_when_over(
        struct request *request, _unused_ uint64_t mark, enum wait_moment moment)
{
	const struct call *call = find_call(request);

	if (!call)
		return true;
	if (call->task && moment == WAIT_CHECK)
		return false;
	if (call->task)
		answer_json(request, 202, call_view(call));
	else
		call_answer(call, request);
	return true;
}

void route_call_show(struct request *request)
{
	const struct call *call = find_call(request);
	uint64_t span;

	if (!call || wait_parse(request, &span) < 0)
		return;
	if (span > 0)
		wait_begin(request, span, show_when_over, 0);
	else
		answer_json(request, 200, call_view(call));
}

void route_call_answer(struct request *request)
{
	uint64_t span;

	if (wait_parse(request, &span) == 0)
		wait_begin(request, span, fetch_when_over, 0);
}

void route_call_cancel(struct request *request)
{
	struct call *call = find_call(request);
	uint64_t span;

	if (!call || wait_parse(request, &span) < 0)
		return;
	if (call->task) {
		call_cancel(call);
		wait_begin(request, span, show_when_over, 0);
		return;
	}
	json_t *view = call_view(call);
	calls_forget(&request->daemon->fleet.calls, call);
	answer_json(request, 200, view);
}

/* Those that live, the oldest first; then what is kept. */
struct listing {
	json_t *array;
	const char *worker; /* "": of all */
	uint64_t omitted;
};

static void list_one(const struct call *call, void *arg)
{
	struct listing *listing = arg;

	if (*listing->worker && strcmp(listing->worker, call->owner->name) != 0)
		return;
	if (json_array_size(listing->array) >= LISTED_MAX)
		listing->omitted++;
	else if (listing->array && json_array_append_new(listing->array, call_view(call)) < 0)
		listing->omitted++;
}

void route_call_list(struct request *request)
{
	char worker[64] = "";
	struct listing listing = { .array = json_array(), .worker = worker };

	if (query_get(request->query, "worker", worker, sizeof(worker)) < 0) {
		json_decref(listing.array);
		answer_problem(request, 400, "worker: not the name of a worker");
		return;
	}
	calls_walk(&request->daemon->fleet.calls, list_one, &listing);
	answer_json(request, 200,
	        json_pack("{s:o, s:I}", "calls", listing.array, "omitted",
	                (json_int_t)listing.omitted));
}
