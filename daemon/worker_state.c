/*
 * The states of a worker: which may follow which, the one setter, and what they mean for others.
 */
#include <assert.h>
#include <string.h>

#include "daemon/callee.h"
#include "daemon/fleet.h"
#include "daemon/worker_internal.h"

#define WORKER_STATE_NAME(value, name) [value] = name,
static const char *const state_names[WORKER_STATE_COUNT] = { WORKER_STATE_MAP(WORKER_STATE_NAME) };

#define TO(state) (1U << WORKER_##state)

/*
 * [from] = the states it may become. Only what has no live run may be waiting or at rest. Periodic
 * work that could not be started goes on waiting, with another detail.
 */
static const unsigned moves[WORKER_STATE_COUNT] = {
	[WORKER_WAITING] =
	        TO(WAITING) | TO(STARTING) | TO(RUNNING) | TO(BACKOFF) | TO(STOPPED) | TO(FAILED),
	[WORKER_STARTING] =
	        TO(RUNNING) | TO(STOPPING) | TO(WAITING) | TO(BACKOFF) | TO(STOPPED) | TO(FAILED),
	[WORKER_RUNNING] = TO(STOPPING) | TO(WAITING) | TO(BACKOFF) | TO(STOPPED) | TO(FAILED),
	[WORKER_STOPPING] = TO(WAITING) | TO(BACKOFF) | TO(STOPPED) | TO(FAILED),
	[WORKER_BACKOFF] =
	        TO(WAITING) | TO(STARTING) | TO(RUNNING) | TO(BACKOFF) | TO(STOPPED) | TO(FAILED),
	[WORKER_STOPPED] = TO(WAITING),
	[WORKER_FAILED] = TO(WAITING) | TO(STOPPED),
};

const char *worker_state_name(enum worker_state state)
{
	return state < WORKER_STATE_COUNT ? state_names[state] : "?";
}

bool worker_may_become(enum worker_state from, enum worker_state to)
{
	return (moves[from] & (1U << to)) != 0;
}

/* In a shutdown the verdict says it all. */
static enum log_level level_of(const struct worker *worker)
{
	if (worker->fleet->ending && !worker->run)
		return LOG_LEVEL_DEBUG;
	if (worker->state == WORKER_RUNNING && worker->run && worker->work->logs_ends)
		return LOG_LEVEL_DEBUG;
	switch (worker->state) {
	case WORKER_FAILED:
		return LOG_LEVEL_ERROR;
	case WORKER_BACKOFF:
		return LOG_LEVEL_WARNING;
	case WORKER_WAITING:
		return LOG_LEVEL_DEBUG;
	case WORKER_STARTING:
	case WORKER_RUNNING:
	case WORKER_STOPPING:
	case WORKER_STOPPED:
	case WORKER_STATE_COUNT:
		break;
	}
	return LOG_LEVEL_INFO;
}

static void tell(const struct worker *worker, enum worker_state before)
{
	pid_t pid = worker->run ? worker->run->pid : 0;
	struct log_fields fields = { .event = LOG_WORKER_STATE, .worker = worker->config->name };

	if (pid > 0)
		log_event(level_of(worker), &fields, "%s, pid %d%s%s",
		        worker_state_name(worker->state), (int)pid, *worker->detail ? ": " : "",
		        worker->detail);
	else
		log_event(level_of(worker), &fields, "%s%s%s", worker_state_name(worker->state),
		        *worker->detail ? ": " : "", worker->detail);
	if (list_empty(&worker->fleet->events->observers))
		return;
	events_emit(worker->fleet->events, "worker-state",
	        json_pack("{s:s, s:s, s:s, s:I, s:s}", "worker", worker->config->name, "state",
	                worker_state_name(worker->state), "before", worker_state_name(before),
	                "pid", (json_int_t)pid, "detail", worker->detail));
}

void worker_set_state(struct worker *worker, enum worker_state state, const char *detail)
{
	enum worker_state before = worker->state;

	assert(worker_may_become(before, state));
	if (detail != worker->detail)
		snprintf(worker->detail, sizeof(worker->detail), "%s", detail);
	worker->state = state;
	worker->since = qs_loop_now(worker->fleet->context->loop);
	tell(worker, before);
	fleet_changed(worker->fleet, worker);
}

const char *worker_kind_name(const struct worker *worker)
{
	const struct call_kind *kind = call_kind_of(worker->config);

	return kind ? kind->name : worker->work->name;
}

bool worker_is_ready(const struct worker *worker)
{
	return worker->ready;
}

bool worker_is_satisfied(const struct worker *worker)
{
	if (worker->ready || !worker->wanted || !worker->config->essential)
		return true;
	return worker->state == WORKER_STOPPED;
}

static const struct worker *first_missing(const struct worker *worker)
{
	for (size_t i = 0; i < worker->after_count; i++)
		if (!worker_is_ready(worker->after[i]))
			return worker->after[i];
	return NULL;
}

char *worker_waiting_on(const struct worker *worker, char *buffer, size_t size)
{
	const struct worker *missing = first_missing(worker);
	struct qs_task *task = worker->run ? worker->run->task : NULL;

	buffer[0] = '\0';
	if (worker->state == WORKER_STOPPING && !worker->run)
		callee_describe(worker, buffer, size);
	else if (task && worker->state == WORKER_STOPPING)
		task->kind->describe(task, buffer, size);
	else if (worker->state == WORKER_WAITING && missing)
		snprintf(buffer, size, "%s%s", missing->config->name,
		        missing->state == WORKER_FAILED ? ", which has failed" : "");
	else if (worker->state == WORKER_WAITING && worker->next_start_at)
		snprintf(buffer, size, "its next slot");
	else if (worker->state == WORKER_WAITING && worker->fleet->held)
		snprintf(buffer, size, "the end of the drain");
	return buffer;
}
