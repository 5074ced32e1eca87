/* Workers of kind `http` that ask by themselves. */
#include "daemon/http_poll.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/gate.h>

#include "daemon/control.h"
#include "daemon/fleet.h"
#include "daemon/http_request.h"
#include "daemon/http_save.h"
#include "lib/fiber.h"

struct poll_run {
	struct run run;
	struct http_poll *poll;
	const struct worker_config *config;
	struct config *book; /* ... is part of it, and it stays as long as the run */
	struct http_made made;
	struct qs_gate_answer answer;
	struct http_save save;
	uint64_t id, began_at;
	uint64_t latency; /* of the last attempt */
	int result;
	enum poll_outcome outcome;
	char problem[WORKER_TEXT_MAX];
	char where[160]; /* it stood when it was cancelled */
};

#define POLL_OUTCOME_NAME(value, name) [value] = name,
static const char *const outcome_names[POLL_OUTCOME_COUNT] = { POLL_OUTCOME_MAP(
	POLL_OUTCOME_NAME) };

const char *poll_outcome_name(enum poll_outcome outcome)
{
	return outcome < POLL_OUTCOME_COUNT ? outcome_names[outcome] : "?";
}

static struct poll_run *poll_run_of(struct run *run)
{
	return container_of(run, struct poll_run, run);
}

/* --- what lasts --- */

void http_poll_free(struct http_poll *poll)
{
	if (!poll)
		return;
	qs_gate_free(poll->gate);
	free(poll);
}

void http_poll_renew(struct http_poll *poll)
{
	if (poll)
		poll->stale = true;
}

/* A reload may have changed what it asks, and how often. */
static int need_gate(struct worker *worker)
{
	struct http_poll *poll = worker->poll;
	const struct http_config *config = &worker->config->http;
	const struct qs_gate_options options = { .retry = config->retry };
	qs_http *http;
	qs_gate *gate;

	if (poll->gate && !poll->stale)
		return 0;
	int r = http_clients_get(&worker->fleet->http, config->ca_file, &http);
	if (r == 0)
		r = qs_gate_new(worker->fleet->root, http, &options, &gate);
	if (r < 0)
		return r;
	qs_gate_free(poll->gate);
	poll->gate = gate;
	poll->stale = false;
	return 0;
}

static int need_poll(struct worker *worker)
{
	if (!worker->poll)
		worker->poll = calloc(1, sizeof(*worker->poll));
	return worker->poll ? need_gate(worker) : -ENOMEM;
}

/* --- the task --- */

static int fail_request(struct poll_run *run, int error)
{
	const char *text = run->answer.response.error;

	run->outcome = error == -ETIME || error == -ETIMEDOUT       ? POLL_TIMEOUT
	               : error == -ESHUTDOWN || error == -ECANCELED ? POLL_ENDED
	                                                            : POLL_ERROR;
	if (*text)
		snprintf(run->problem, sizeof(run->problem), "%s", text);
	else if (error == -ESHUTDOWN)
		snprintf(run->problem, sizeof(run->problem),
		        "asked to stop before it had asked again");
	else
		snprintf(run->problem, sizeof(run->problem), "%s", strerror(-error));
	return error;
}

static int check(struct poll_run *run)
{
	int r = http_expected(
	        &run->config->http, &run->answer.response, run->problem, sizeof(run->problem));

	if (r > 0)
		return 0;
	run->outcome = POLL_UNEXPECTED;
	return r < 0 ? r : -EBADMSG;
}

static int save(qs_task *self, struct poll_run *run)
{
	const struct http_save_plan plan = { .path = run->config->http.save,
		.directory = run->config->working_directory,
		.data = run->answer.response.body,
		.size = run->answer.response.body_size,
		.id = run->id };

	if (!plan.path)
		return 0;
	run->outcome = POLL_NOT_SAVED;
	return http_save(self, &run->save, &plan, run->problem, sizeof(run->problem));
}

/* A fast answer comes in the turn in which it was asked for; the client counts in turns. */
static void note_latency(struct poll_run *run, uint64_t span)
{
	bool once = run->answer.attempts == 1;

	run->latency = once ? span : run->answer.response.times.total;
}

static int ask(qs_task *self, struct poll_run *run)
{
	uint64_t before = qs_in(self, 0);
	int r = qs_gate_call(self, run->poll->gate, &run->made.request, QS_FOREVER, &run->answer);

	note_latency(run, qs_time_sub(qs_in(self, 0), before));
	if (r < 0)
		return fail_request(run, r);
	r = check(run);
	if (r == 0)
		r = save(self, run);
	if (r == 0)
		run->outcome = POLL_ANSWERED;
	else if (r == -ECANCELED)
		run->outcome = POLL_ENDED;
	return r;
}

static int poll_main(qs_task *self, void *arg)
{
	struct poll_run *run = arg;

	run->result = ask(self, run);
	return run->result;
}

/* --- what others hear of it --- */

static void look(const struct poll_run *run, const struct qs_task *task, char *buffer, size_t size)
{
	if (!*qs_gate_describe(run->poll->gate, task, buffer, size))
		snprintf(
		        buffer, size, "%s", run->save.temporary[0] ? "saving the answer" : "ready");
}

static void describe(const struct qs_task *task, char *buffer, size_t size, void *arg)
{
	const struct poll_run *run = arg;

	if (run->where[0])
		snprintf(buffer, size, "%s", run->where);
	else
		look(run, task, buffer, size);
}

static void on_cancelling(struct qs_task *task, void *arg)
{
	struct poll_run *run = arg;

	look(run, task, run->where, sizeof(run->where));
}

static void on_pushed(struct qs_task *task, enum qs_rung rung, void *arg)
{
	struct poll_run *run = arg;

	worker_note_pushed(run->run.worker, rung, qs_task_cause(task));
}

/* "api.example: 200 in 45 ms, 1,024 bytes, 2 attempts", and what is wrong with it. */
static void say_result(const struct poll_run *run, char *text, size_t size)
{
	const struct qs_http_response *response = &run->answer.response;
	char head[96] = "", span[32];

	span_format(run->latency, span, sizeof(span));
	if (response->status > 0)
		snprintf(head, sizeof(head), "%d in %s, %llu bytes%s", response->status, span,
		        (unsigned long long)response->received,
		        run->answer.attempts > 1 ? ", the last of several attempts" : "");
	snprintf(text, size, "%s%s%.150s", head, *head && *run->problem ? ": " : "", run->problem);
}

static void remember(const struct poll_run *run, uint64_t now)
{
	const struct qs_http_response *response = &run->answer.response;
	struct http_poll *poll = run->poll;

	poll->outcomes[run->outcome]++;
	poll->last.at = now;
	poll->last.outcome = run->outcome;
	poll->last.status = response->status;
	poll->last.attempts = run->answer.attempts;
	poll->last.latency = run->latency;
	poll->last.bytes = response->received;
	if (response->status > 0) {
		poll->answers++;
		poll->latency = qs_time_add(poll->latency, run->latency);
	}
}

static void tell(struct poll_run *run, enum qs_verdict verdict, uint64_t now)
{
	const struct qs_http_response *response = &run->answer.response;
	struct worker *worker = run->run.worker;
	struct events *events = worker->fleet->events;
	const struct call_finished finished = {
		.polled = true,
		.worker = run->config->name,
		.task = run->id,
		.verdict = verdict,
		.host = response->host,
		.status = response->status,
		.error = run->result,
		.problem = *run->problem ? run->problem : NULL,
		.attempts = run->answer.attempts,
		.duration = qs_time_sub(now, run->began_at),
		.bytes = response->received,
		.source = response->status > 0 ? "server" : NULL,
	};

	call_log_finished(&worker->fleet->call_log, &finished);
	if (worker->fleet->config->log_bodies && response->body_size > 0)
		call_log_body(
		        worker->config, run->id, "answer", response->body, response->body_size);
	if (!list_empty(&events->observers))
		events_emit(events, "poll-ended",
		        json_pack("{s:s, s:o}", "worker", finished.worker, "last",
		                http_poll_view(run->poll)));
}

static void free_run(struct poll_run *run)
{
	http_save_done(&run->save);
	qs_gate_answer_done(&run->answer);
	http_made_done(&run->made);
	run->book->runs--;
	free(run);
}

static void on_ended(struct qs_task *task _unused_, enum qs_verdict verdict, void *arg)
{
	struct poll_run *run = arg;
	struct worker *worker = run->run.worker;
	uint64_t now = qs_loop_now(worker->fleet->context->loop);

	remember(run, now);
	tell(run, verdict, now);
	say_result(run, worker->detail, sizeof(worker->detail));
	free_run(run);
	worker_note_ended(worker, verdict);
}

/* --- the run --- */

static const struct qs_fiber_keeper keeper = {
	.describe = describe, .cancelling = on_cancelling, .pushed = on_pushed, .ended = on_ended
};

static int start_task(struct worker *worker, struct poll_run *run)
{
	const struct qs_fiber_setup setup = { .name = run->config->name,
		.owner = worker->owner,
		.ladder = worker_ladder(worker),
		.keeper = &keeper,
		.fn = poll_main,
		.arg = run };

	int r = need_poll(worker);
	if (r == 0)
		r = http_request_make(&run->config->http, NULL, &run->made, worker->detail,
		        sizeof(worker->detail));
	run->poll = worker->poll;
	return r < 0 ? r : qs_fiber_start(&worker->group, &setup, &run->run.task);
}

static int poll_start(struct worker *worker, struct run **ret_run)
{
	struct poll_run *run = calloc(1, sizeof(*run));
	char why[200];
	int r = -ENOMEM;

	worker->detail[0] = '\0';
	if (run) {
		run->run.worker = worker;
		run->config = worker->config;
		run->book = worker->fleet->config;
		run->book->runs++;
		run->save = HTTP_SAVE_NONE;
		/* Killed, it leaves no other word. */
		run->outcome = POLL_ENDED;
		run->result = -ECANCELED;
		run->began_at = qs_loop_now(worker->fleet->context->loop);
		r = start_task(worker, run);
	}
	if (r < 0) {
		if (worker->detail[0] == '\0')
			snprintf(worker->detail, sizeof(worker->detail), "cannot start: %s",
			        http_clients_explain(
			                r, worker->config->http.ca_file, why, sizeof(why)));
		if (run)
			free_run(run);
		return r;
	}
	run->id = qs_task_id(run->run.task);
	*ret_run = &run->run;
	return 0;
}

static void poll_free(struct run *run)
{
	free_run(poll_run_of(run));
}

const struct work http_work = {
	.name = "http",
	.start = poll_start,
	.free = poll_free,
	.logs_ends = true,
};

/* --- status --- */

json_t *http_poll_view(const struct http_poll *poll)
{
	char at[QS_WALL_TEXT_SIZE];

	if (!poll || poll->last.at == 0)
		return json_null();
	qs_clock_format_wall(qs_clock_wall_usec_of(poll->last.at), at);
	return json_pack("{s:o, s:s, s:f, s:I, s:I, s:s}", "status",
	        poll->last.status ? json_integer(poll->last.status) : json_null(), "outcome",
	        poll_outcome_name(poll->last.outcome), "ms",
	        (double)(poll->last.latency / QS_USEC) / 1000, "bytes",
	        (json_int_t)poll->last.bytes, "attempts", (json_int_t)poll->last.attempts, "at",
	        at);
}
