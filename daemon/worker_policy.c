/*
 * What follows the end of a run: by `when` and `restart` a worker rests, waits for its next slot,
 * backs off, or is given up.
 */
#include <stdio.h>

#include "daemon/fleet.h"
#include "daemon/worker_internal.h"

static uint64_t now_of(const struct worker *worker)
{
	return qs_loop_now(worker->fleet->context->loop);
}

static void give_up(struct worker *worker)
{
	char within[32], text[WORKER_TEXT_MAX + 64];
	const struct rate_config *limit = &worker->config->limit;

	span_format(limit->within, within, sizeof(within));
	snprintf(text, sizeof(text), "%u restarts within %s, the last after: %.200s", limit->count,
	        within, worker->detail);
	worker_set_state(worker, WORKER_FAILED, text);
}

static void back_off(struct worker *worker)
{
	char within[32], text[WORKER_TEXT_MAX + 64];
	uint64_t now = now_of(worker);

	if (qs_rate_free_at(&worker->limit, now) > now) {
		give_up(worker);
		return;
	}
	qs_rate_add(&worker->limit, now);
	uint64_t delay = qs_backoff_next(&worker->backoff, &worker->config->backoff,
	        qs_time_sub(now, worker->started_at), &worker->fleet->random);
	worker->next_start_at = qs_time_add(now, delay);
	worker->by_policy = true;
	qs_timer_arm(&worker->timer, worker->next_start_at);
	span_format(delay, within, sizeof(within));
	snprintf(text, sizeof(text), "%.200s; again in %s", worker->detail, within);
	worker_set_state(worker, WORKER_BACKOFF, text);
}

static bool wants_restart(const struct worker *worker, bool well)
{
	switch (worker->config->restart) {
	case RESTART_ALWAYS:
		return true;
	case RESTART_ON_FAILURE:
		return !well;
	case RESTART_NEVER:
		break;
	}
	return false;
}

void worker_follow_end(struct worker *worker, bool well, bool may_retry)
{
	bool again = worker->restart_wanted;

	worker->restart_wanted = false;
	if (!worker->wanted)
		worker_set_state(worker, WORKER_STOPPED, worker->detail);
	else if (worker->fleet->ending)
		worker_set_state(worker, well ? WORKER_STOPPED : WORKER_FAILED, worker->detail);
	else if (again)
		worker_set_state(worker, WORKER_WAITING, "");
	else if (worker->config->when == WHEN_EVERY)
		worker_set_state(worker, WORKER_WAITING, worker->detail);
	else if (may_retry && wants_restart(worker, well))
		back_off(worker);
	else
		worker_set_state(worker, well ? WORKER_STOPPED : WORKER_FAILED, worker->detail);
}
