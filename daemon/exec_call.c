/*
 * Calls of `exec` workers: a program that reads the payload and writes the answer. The call is the
 * task that counts. Its process is a task in a group of the call's own: what the call is told its
 * process is told, and the call is over when nothing of the tree is left.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/fiber.h>
#include <quiesce/semaphore.h>

#include "daemon/call.h"
#include "daemon/exec.h"
#include "daemon/fleet.h"
#include "daemon/fold.h"
#include "lib/process.h"
#include "lib/rate.h"

#define TAIL_SIZE    512
#define FIRST_ANSWER 4096

/* What the calls of a worker have in common: their turns. */
struct exec_calls {
	qs_semaphore *slots; /* NULL: any number at once */
	qs_semaphore *first; /* of those that wait for the rate, the next one has it; NULL: none */
	struct qs_bucket rate;
	unsigned waiting, running, backlog;
	uint64_t begun;
};

struct exec_call {
	struct call *call;
	struct exec_calls *calls;
	char *payload;
	size_t payload_size;
	bool waits, is_first, has_slot; /* to be given back, whatever becomes of it */
	bool too_long;                  /* it answers more than it may */

	struct qs_task_terms terms;
	struct qs_process *process; /* NULL: not yet, or not any more */
	struct qs_outcome outcome;
	enum qs_verdict verdict; /* of the process */
	char *answer;
	size_t size, room;
	struct line_reader *reader; /* of what it says besides */
	char tail[TAIL_SIZE];       /* the end of that, by line */
	size_t tail_size;
};

/* --- what they have in common --- */

static void exec_calls_close(void *common)
{
	struct exec_calls *calls = common;

	qs_semaphore_free(calls->first);
	qs_semaphore_free(calls->slots);
	free(calls);
}

static int exec_calls_open(
        struct worker *worker, const struct worker_config *config, void **ret_common)
{
	const struct call_config *plan = &config->call;
	struct exec_calls *calls = calloc(1, sizeof(*calls));
	int r = calls ? 0 : -ENOMEM;

	if (r == 0 && plan->concurrency > 0)
		r = qs_semaphore_new(plan->concurrency, &calls->slots);
	if (r == 0 && plan->rate_count > 0)
		r = qs_semaphore_new(1, &calls->first);
	if (r < 0) {
		snprintf(worker->detail, sizeof(worker->detail), "cannot start: %s", strerror(-r));
		if (calls)
			exec_calls_close(calls);
		return r;
	}
	calls->backlog = plan->backlog;
	qs_bucket_init(&calls->rate, plan->rate_count, plan->rate_within);
	*ret_common = calls;
	return 0;
}

static void exec_calls_count(const void *common, struct call_counts *ret_counts)
{
	const struct exec_calls *calls = common;

	ret_counts->requests = calls->begun;
	ret_counts->waiting = calls->waiting;
	ret_counts->in_flight = calls->running;
}

/* --- its turn --- */

static bool would_wait(const struct exec_calls *calls, uint64_t now)
{
	if (calls->slots && qs_semaphore_available(calls->slots) == 0)
		return true;
	if (calls->first && qs_semaphore_available(calls->first) == 0)
		return true;
	return qs_bucket_available(&calls->rate, now) == 0;
}

/* Only the first of them sleeps, so that they go in the order they came. */
static int await_rate(qs_task *self, struct exec_call *work)
{
	struct exec_calls *calls = work->calls;
	int r = qs_semaphore_acquire(self, calls->first, QS_FOREVER);

	if (r < 0)
		return r;
	work->is_first = true;
	while (r == 0 && qs_bucket_available(&calls->rate, qs_in(self, 0)) == 0)
		r = qs_sleep(self, qs_bucket_free_at(&calls->rate, qs_in(self, 0)));
	if (r == 0)
		qs_bucket_take(&calls->rate, qs_in(self, 0));
	work->is_first = false;
	qs_semaphore_release(calls->first);
	return r;
}

static int await_turn(qs_task *self, struct exec_call *work)
{
	struct exec_calls *calls = work->calls;
	int r = 0;

	if (would_wait(calls, qs_in(self, 0))) {
		if (calls->waiting >= calls->backlog)
			return -EAGAIN;
		work->waits = true;
		calls->waiting++;
	}
	if (calls->slots)
		r = qs_semaphore_acquire(self, calls->slots, QS_FOREVER);
	work->has_slot = r == 0 && calls->slots;
	if (r == 0 && calls->first)
		r = await_rate(self, work);
	calls->waiting -= TAKE(work->waits, false);
	return r;
}

/* --- its process --- */

/* Older lines make room for newer ones. */
static void keep_tail(struct exec_call *work, const char *line, size_t length)
{
	length = MIN(length, sizeof(work->tail) - 1);
	while (work->tail_size > 0 && work->tail_size + 1 + length > sizeof(work->tail) - 1) {
		const char *end = memchr(work->tail, '\n', work->tail_size);
		size_t first = end ? (size_t)(end + 1 - work->tail) : work->tail_size;
		work->tail_size -= first;
		memmove(work->tail, work->tail + first, work->tail_size);
	}
	if (work->tail_size > 0)
		work->tail[work->tail_size++] = '\n';
	memcpy(work->tail + work->tail_size, line, length);
	work->tail_size += length;
	work->tail[work->tail_size] = '\0';
}

static void on_line(const char *line, size_t length, void *arg)
{
	struct exec_call *work = arg;

	keep_tail(work, line, length);
	worker_note_line(call_worker(work->call), work->call->id, line, length);
}

static void on_output(struct qs_process *process _unused_, const char *data, size_t size, void *arg)
{
	struct exec_call *work = arg;

	if (!work->reader && line_reader_new(call_worker(work->call)->fleet->config->log_max_line,
	                             on_line, work, &work->reader) < 0)
		return;
	line_reader_feed(work->reader, data, size);
}

static bool make_room(struct exec_call *work, size_t size)
{
	size_t room = work->room > 0 ? work->room : FIRST_ANSWER;

	while (room < work->size + size + 1)
		room *= 2;
	char *answer = room > work->room ? realloc(work->answer, room) : work->answer;
	if (!answer)
		return false;
	work->answer = answer;
	work->room = room;
	return true;
}

/* Nobody is interested in it any more: it has its own patience if it has one, else none. */
static void end_process(const struct exec_call *work, enum qs_cause cause)
{
	uint64_t patience = call_config(work->call)->stop_deadline;
	uint64_t now = qs_loop_now(call_worker(work->call)->fleet->context->loop);

	qs_task_ask(qs_process_task(work->process), cause,
	        patience == QS_FOREVER ? now : qs_time_add(now, patience));
}

/* What a program leaves behind when it has answered must not keep the call from its end. */
static void on_pushed(struct qs_task *task, enum qs_rung rung, void *arg)
{
	if (rung == QS_RUNG_ASK && qs_task_cause(task) == QS_CAUSE_LEADER_EXIT)
		end_process(arg, QS_CAUSE_LEADER_EXIT);
}

static int on_answer(struct qs_process *process _unused_, const char *data, size_t size, void *arg)
{
	struct exec_call *work = arg;

	work->call->result.received += size;
	work->too_long = size > call_config(work->call)->call.answer_max - work->size;
	if (work->too_long || !make_room(work, size)) {
		end_process(work, QS_CAUSE_API);
		return -EMSGSIZE;
	}
	memcpy(work->answer + work->size, data, size);
	work->size += size;
	return 0;
}

static void on_warning(struct qs_process *process _unused_, const char *text, void *arg)
{
	const struct exec_call *work = arg;
	const struct log_fields fields = { .worker = call_config(work->call)->name,
		.task = work->call->id };

	log_event(LOG_LEVEL_WARNING, &fields, "%s", text);
}

static void on_ended(struct qs_task *task _unused_, enum qs_verdict verdict, void *arg)
{
	struct exec_call *work = arg;
	const struct qs_outcome *outcome = qs_process_leader_outcome(work->process);

	if (work->reader)
		line_reader_finish(work->reader);
	if (outcome)
		work->outcome = *outcome;
	work->verdict = verdict;
	work->calls->running--;
	qs_process_free(TAKE(work->process, NULL));
}

static int start_process(struct exec_call *work, qs_group *group)
{
	const struct worker_config *config = call_config(work->call);
	const struct worker *worker = call_worker(work->call);
	_cleanup_(freep) char **environment = exec_environment(config->environment);
	struct qs_process_options options = exec_options(config);
	const char *what = NULL;
	char name[QS_TASK_NAME_MAX];

	if (!environment)
		return call_fail(work->call, -ENOMEM, 503, "out of memory");
	snprintf(name, sizeof(name), "%.20s/%" PRIu64, config->name, work->call->id);
	work->terms = (struct qs_task_terms){
		.ladder = worker_ladder(worker), .pushed = on_pushed, .ended = on_ended
	};
	options.task = (struct qs_task_setup){ .name = name, .terms = &work->terms, .arg = work };
	options.argv = config->exec;
	options.environment = environment;
	options.input = work->payload;
	options.input_size = work->payload_size;
	options.events = (struct qs_process_events){
		.output = on_output, .answer = on_answer, .warning = on_warning
	};
	options.arg = work;
	int r = qs_process_start(worker->fleet->reaper, group, &options, &work->process, &what);
	if (r < 0)
		return call_fail(work->call, r, r == -ESHUTDOWN ? 503 : 502,
		        "cannot start %s: %s%s%s", config->exec[0], what ? what : "",
		        what ? ": " : "", strerror(-r));
	return 0;
}

/* --- the call --- */

static int exec_call_prepare(struct call *call, const struct call_payload *payload)
{
	struct exec_call *work = calloc(1, sizeof(*work));

	if (!work)
		return -ENOMEM;
	work->call = call;
	work->calls = call_common(call);
	work->payload = malloc(payload->size + 1);
	if (!work->payload) {
		free(work);
		return -ENOMEM;
	}
	memcpy(work->payload, payload->text, payload->size);
	work->payload_size = payload->size;
	call->work = work;
	return 0;
}

static void exec_call_release(struct call *call)
{
	struct exec_call *work = TAKE(call->work, NULL);

	if (!work)
		return;
	work->calls->waiting -= work->waits;
	if (work->is_first)
		qs_semaphore_release(work->calls->first);
	if (work->has_slot)
		qs_semaphore_release(work->calls->slots);
	/* It is still there only if it was abandoned. */
	qs_process_free(work->process);
	line_reader_free(work->reader);
	free(work->answer);
	free(work->payload);
	free(work);
}

static int fail_turn(struct call *call, int error)
{
	if (error == -EAGAIN)
		return call_fail(call, error, 429, "%u calls wait for their turn already",
		        call_config(call)->call.backlog);
	return call_fail(call, error, 503, "waiting for its turn");
}

static int take_answer(struct exec_call *work)
{
	struct call_result *result = &work->call->result;

	result->type = strdup(call_config(work->call)->call.type);
	result->body = call_body_new(TAKE(work->answer, NULL), work->size);
	if (!result->type || !result->body)
		return call_fail(work->call, -ENOMEM, 503, "out of memory");
	result->status = 200;
	return 0;
}

static int fail_by_outcome(qs_task *self, struct exec_call *work)
{
	bool asked = qs_stopping(self), stopped = asked && work->verdict == QS_VERDICT_STOPPED;
	char text[128];

	/* What it has answered until then may help. */
	if (work->size > 0)
		(void)!take_answer(work);
	qs_outcome_describe(work->outcome, text, sizeof(text));
	return call_fail(work->call, stopped ? -ESHUTDOWN : -EREMOTEIO, asked ? 503 : 502, "%s%s%s",
	        text, work->tail_size > 0 ? ": " : "", work->tail);
}

static int judge(qs_task *self, struct exec_call *work, bool late)
{
	const struct call_config *config = &call_config(work->call)->call;
	const struct qs_outcome *outcome = &work->outcome;
	char span[64];

	if (work->too_long)
		return call_fail(work->call, -EMSGSIZE, 502,
		        "the answer is longer than %zu bytes (call.max_answer)",
		        config->answer_max);
	if (late)
		return call_fail(work->call, -ETIME, 504, "no answer within %s (call.timeout)",
		        span_format(config->timeout, span, sizeof(span)));
	if (outcome->type == QS_OUTCOME_EXIT && outcome->value == 0)
		return take_answer(work);
	return fail_by_outcome(self, work);
}

static void exec_call_describe(const struct call *call, char *buffer, size_t size)
{
	const struct exec_call *work = call->work;
	const struct qs_task *task = work->process ? qs_process_task(work->process) : NULL;

	if (task)
		task->kind->describe(task, buffer, size);
	else
		snprintf(buffer, size, "waiting for its turn");
}

/* Until nothing of the tree is left. One that is late is ended by its own ladder. */
static int await_end(qs_task *self, struct exec_call *work, qs_group *group, uint64_t deadline)
{
	int r = qs_group_join(self, group, deadline, NULL);
	bool late = r == -ETIMEDOUT;

	if (late) {
		end_process(work, QS_CAUSE_API);
		r = qs_group_join(self, group, QS_FOREVER, NULL);
	}
	if (!work->process)
		return judge(self, work, late);
	/* Its process has heard of that too; the call is not over before it. */
	char text[128];
	exec_call_describe(work->call, text, sizeof(text));
	return call_fail(work->call, r, 503, "%s", text);
}

static int exec_call_run(qs_task *self, struct call *call)
{
	struct exec_call *work = call->work;
	qs_group *group;
	int r = await_turn(self, work);

	if (r < 0)
		return fail_turn(call, r);
	r = qs_group_new(qs_task_group(self), NULL, &group);
	if (r < 0)
		return call_fail(call, r, 503, "cannot start: %s", strerror(-r));
	r = start_process(work, group);
	if (r < 0)
		return r;
	work->calls->begun++;
	work->calls->running++;
	call->result.attempts = 1;
	call->result.source = "server";
	return await_end(self, work, group, qs_in(self, call_config(call)->call.timeout));
}

static void exec_call_look(const struct call *call, struct call_standing *standing)
{
	const struct exec_call *work = call->work;

	standing->state = work->process ? CALL_RUNNING : CALL_QUEUED;
	standing->attempts = call->result.attempts;
	standing->received = call->result.received;
}

const struct call_kind exec_call_kind = {
	.name = "exec",
	.open = exec_calls_open,
	.close = exec_calls_close,
	.prepare = exec_call_prepare,
	.run = exec_call_run,
	.release = exec_call_release,
	.look = exec_call_look,
	.describe = exec_call_describe,
	.count = exec_calls_count,
};
