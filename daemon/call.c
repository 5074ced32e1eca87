/*
 * The life of one call: begun on the loop's stack, made by its fiber, ended by the hook of its
 * task, in which whoever waits is answered.
 */
#include "daemon/call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/call_answer.h"
#include "daemon/call_stream.h"
#include "daemon/callee.h"
#include "daemon/control_internal.h"
#include "daemon/fleet.h"
#include "lib/fiber.h"

static uint64_t now_of(const struct call *call)
{
	return qs_loop_now(call->fleet->context->loop);
}

/* --- bodies --- */

static void free_malloced(struct call_body *body)
{
	free((void *)body->data);
	free(body);
}

struct call_body *call_body_new(char *data, size_t size)
{
	struct call_body *body = malloc(sizeof(*body));

	if (!body) {
		free(data);
		return NULL;
	}
	*body = (struct call_body){ .data = data, .size = size, .refs = 1, .free = free_malloced };
	return body;
}

struct call_body *call_body_ref(struct call_body *body)
{
	body->refs++;
	return body;
}

void call_body_unref(struct call_body *body)
{
	if (body && --body->refs == 0)
		body->free(body);
}

/* --- small things --- */

const struct call_kind *call_kind_of(const struct worker_config *config)
{
	if (config->when != WHEN_CALL)
		return NULL;
	return config->http.url ? &http_call_kind : &exec_call_kind;
}

void *call_common(const struct call *call)
{
	return call->callee->common;
}

const struct worker_config *call_config(const struct call *call)
{
	return call->config;
}

struct worker *call_worker(const struct call *call)
{
	return call->callee->worker;
}

/* --- where it stands --- */

const char *call_state_name(enum call_state state)
{
	switch (state) {
	case CALL_QUEUED:
		return "queued";
	case CALL_RUNNING:
		return "running";
	case CALL_BACKOFF:
		return "backoff";
	case CALL_OVER:
		return "over";
	}
	return "?";
}

void call_look(const struct call *call, struct call_standing *ret_standing)
{
	const struct call_result *result = &call->result;

	*ret_standing = (struct call_standing){ .state = CALL_RUNNING };
	if (!call->task)
		*ret_standing = (struct call_standing){ .state = CALL_OVER,
			.phase = result->phase,
			.attempts = result->attempts,
			.received = result->received };
	else if (call->callee->kind->look)
		call->callee->kind->look(call, ret_standing);
	if (!call->task && result->host)
		snprintf(ret_standing->host, sizeof(ret_standing->host), "%s", result->host);
}

char *call_describe(const struct call *call, char *buffer, size_t size)
{
	buffer[0] = '\0';
	if (call->task && call->callee->kind->describe)
		call->callee->kind->describe(call, buffer, size);
	return buffer;
}

bool call_is_good(const struct call *call)
{
	return call->returned && call->error >= 0;
}

static bool ended_by_ladder(const struct call *call)
{
	return !call->returned || call->error == -ESHUTDOWN || call->error == -ECANCELED;
}

const char *call_ended_because(const struct call *call)
{
	if (!ended_by_ladder(call))
		return NULL;
	if (call->left)
		return "whoever asked for it has left";
	if (call->cause == QS_CAUSE_SHUTDOWN)
		return "the daemon shuts down";
	if (call->cause == QS_CAUSE_RELOAD)
		return "a reload has changed its worker";
	return "it was cancelled, or its worker stopped";
}

/* What the ladder has ended is nobody's fault up there. */
int call_status(const struct call *call)
{
	if (call_is_good(call))
		return call->result.status ? call->result.status : 200;
	if (ended_by_ladder(call))
		return 503;
	return call->result.status ? call->result.status : 500;
}

#define CALL_OUTCOME_NAME(value, name) [value] = name,
static const char *const outcome_names[CALL_OUTCOME_COUNT] = { CALL_OUTCOME_MAP(
	CALL_OUTCOME_NAME) };

const char *call_outcome_name(enum call_outcome outcome)
{
	return outcome < CALL_OUTCOME_COUNT ? outcome_names[outcome] : "?";
}

enum call_outcome call_outcome(const struct call *call)
{
	if (call_is_good(call))
		return CALL_ANSWERED;
	switch (call_status(call)) {
	case 429:
		return CALL_BACKLOG_FULL;
	case 502:
		return CALL_UPSTREAM_ERROR;
	case 503:
		return CALL_ENDED;
	case 504:
		return CALL_TIMEOUT;
	default:
		return CALL_ERROR;
	}
}

int call_fail(struct call *call, int error, int status, const char *format, ...)
{
	va_list arguments;

	free(TAKE(call->result.problem, NULL));
	va_start(arguments, format);
	if (vasprintf(&call->result.problem, format, arguments) < 0)
		call->result.problem = NULL;
	va_end(arguments);
	call->result.status = status;
	return error;
}

/* --- the task --- */

static int call_run(qs_task *self, void *arg)
{
	struct call *call = arg;

	call->error = call->callee->kind->run(self, call);
	call->returned = true;
	return call->error;
}

static void describe_task(const struct qs_task *task _unused_, char *buffer, size_t size, void *arg)
{
	(void)call_describe(arg, buffer, size);
}

/* Cancelled, it does not show any more what it waited for. */
static void call_cancelling(struct qs_task *task _unused_, void *arg)
{
	struct call *call = arg;

	worker_note_straggling_call(call->callee->worker, call);
}

static void call_pushed(struct qs_task *task, enum qs_rung rung, void *arg)
{
	struct call *call = arg;

	if (rung == QS_RUNG_ASK)
		call->cause = qs_task_cause(task);
	worker_note_call_pushed(call->callee->worker, call, rung);
}

/* Nothing of it is left but what it leaves. */
static void conclude(struct call *call, enum qs_verdict verdict)
{
	const struct call_kind *kind = call->callee->kind;

	call->verdict = verdict;
	call->ended_at = now_of(call);
	call->task = NULL;
	if (kind->release)
		kind->release(call);
	call->work = NULL;
}

static void leave(struct call *call)
{
	const struct call_config *config = &call->config->call;

	call->config = NULL;
	call->book->calls--;
	call->book = NULL;
	if (call->detached) {
		calls_keep(&call->fleet->calls, call, config);
	} else {
		calls_remove(&call->fleet->calls, call);
		call_free(call);
	}
}

static void call_ended(struct qs_task *task _unused_, enum qs_verdict verdict, void *arg)
{
	struct call *call = arg;
	struct callee *callee = call->callee;
	struct worker *worker = callee->worker;
	struct fleet *fleet = call->fleet;

	conclude(call, verdict);
	call_answer_waiting(call);
	worker_note_call_ended(worker, call);
	callee_remove(callee, call);
	leave(call);
	worker_follow_calls(worker);
	if (fleet->hooks.changed)
		fleet->hooks.changed(fleet->hooks.arg);
}

static const struct qs_fiber_keeper keeper = { .describe = describe_task,
	.cancelling = call_cancelling,
	.pushed = call_pushed,
	.ended = call_ended };

/* --- the beginning --- */

static int start_task(struct call *call, struct worker *worker)
{
	const struct qs_fiber_setup setup = {
		.name = worker->config->name,
		.owner = worker->owner,
		.ladder = worker_ladder(worker),
		.keeper = &keeper,
		.fn = call_run,
		.arg = call,
	};

	call->id = qs_ledger_peek_id(worker->fleet->context->ledger);
	int r = calls_add(&worker->fleet->calls, call);
	if (r < 0)
		return r;
	r = qs_fiber_start(&worker->group, &setup, &call->task);
	if (r < 0)
		calls_remove(&worker->fleet->calls, call);
	return r;
}

static struct call *call_new(struct worker *worker)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->fleet = worker->fleet;
	call->owner = worker->owner;
	call->config = worker->config;
	call->book = worker->fleet->config;
	call->book->calls++;
	call->started_at = now_of(call);
	list_init(&call->in_callee);
	list_init(&call->in_calls);
	callee_add(worker->calls.callee, call);
	return call;
}

/* Before there was a task: nobody else knows of it. */
static void undo(struct call *call)
{
	struct callee *callee = call->callee;

	if (callee->kind->release)
		callee->kind->release(call);
	callee_remove(callee, call);
	call->book->calls--;
	call_free(call);
}

int call_begin(struct worker *worker, const struct call_payload *payload,
        char problem[static CALL_PROBLEM_MAX], struct call **ret_call)
{
	struct call *call = call_new(worker);
	int r = 0;

	problem[0] = '\0';
	if (!call)
		return -ENOMEM;
	if (call->callee->kind->prepare)
		r = call->callee->kind->prepare(call, payload);
	if (r == 0)
		r = start_task(call, worker);
	if (r < 0) {
		if (call->result.problem)
			snprintf(problem, CALL_PROBLEM_MAX, "%s", call->result.problem);
		undo(call);
		return r;
	}
	*ret_call = call;
	return 0;
}

static void caller_gone(struct request *request)
{
	struct call *call = request->arg;

	call->request = NULL;
	call->left = true;
	call_cancel(call);
}

void call_attach(struct call *call, struct request *request)
{
	call->request = request;
	request->arg = call;
	request->gone = caller_gone;
}

void call_detach(struct call *call)
{
	call->detached = true;
}

void call_cancel(struct call *call)
{
	if (call->task)
		qs_task_cancel(call->task, QS_CAUSE_API);
}

/* --- the end --- */

void call_free(struct call *call)
{
	struct call_result *result = &call->result;

	if (!call)
		return;
	call_stream_free(call->stream);
	call_body_unref(result->body);
	free(result->problem);
	free(result->type);
	free(result->host);
	free(call);
}

void call_abandon(struct call *call)
{
	conclude(call, QS_VERDICT_ABANDONED);
	call_answer_waiting(call);
	call->callee = NULL;
	call->detached = false;
	leave(call);
}
