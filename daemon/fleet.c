/*
 * All workers together. Whatever changes schedules one look at everything at the end of the turn:
 * who may start now, whether the daemon is ready, what a reload has left to be freed. Starts are
 * spread over turns, a few in each, so that the loop keeps answering while a thousand come up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/callee.h"
#include "daemon/fleet.h"
#include "daemon/fleet_internal.h"

#define STARTS_PER_TURN 8

/* --- who waits for whom --- */

struct worker *fleet_find(const struct fleet *fleet, const char *name)
{
	list_for_each (node, &fleet->workers) {
		struct worker *worker = list_entry(node, struct worker, node);

		if (strcmp(worker->config->name, name) == 0)
			return worker;
	}
	return NULL;
}

int fleet_link(struct fleet *fleet, struct worker *worker, const struct worker_config *config)
{
	size_t count = 0;

	while (config->after[count])
		count++;
	struct worker **after = calloc(count + 1, sizeof(*after));
	if (!after)
		return -ENOMEM;
	worker->after_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct worker *dependency = fleet_find(fleet, config->after[i]);

		if (dependency)
			after[worker->after_count++] = dependency;
	}
	free(worker->after);
	worker->after = after;
	return 0;
}

/* A worker's stage comes before those of everything it waits for. */
unsigned fleet_assign_stages(struct fleet *fleet)
{
	unsigned stages = 1;
	bool moved = true;

	list_for_each (node, &fleet->workers)
		list_entry(node, struct worker, node)->group.stage = 0;
	while (moved) {
		moved = false;
		list_for_each (node, &fleet->workers) {
			struct worker *worker = list_entry(node, struct worker, node);

			for (size_t i = 0; i < worker->after_count; i++) {
				struct worker *dependency = worker->after[i];

				if (dependency->group.stage > worker->group.stage)
					continue;
				dependency->group.stage = worker->group.stage + 1;
				stages = MAX(stages, dependency->group.stage + 1);
				moved = true;
			}
		}
	}
	return stages;
}

/* --- settling --- */

static bool start_some(struct fleet *fleet)
{
	int started = 0;

	list_for_each (node, &fleet->workers) {
		started += worker_consider(list_entry(node, struct worker, node));
		if (started >= STARTS_PER_TURN)
			return true;
	}
	return false;
}

static bool all_satisfied(const struct fleet *fleet)
{
	list_for_each (node, &fleet->workers) {
		if (!worker_is_satisfied(list_entry(node, struct worker, node)))
			return false;
	}
	return true;
}

static void look_at_readiness(struct fleet *fleet)
{
	bool ready = all_satisfied(fleet);

	if (ready == fleet->ready)
		return;
	fleet->ready = ready;
	if (fleet->hooks.readiness)
		fleet->hooks.readiness(fleet->hooks.arg, ready);
}

static void settle(struct qs_job *job)
{
	struct fleet *fleet = container_of(job, struct fleet, settle);

	if (!fleet->begun)
		return;
	fleet_free_removed(fleet);
	if (!fleet->held && start_some(fleet))
		qs_timer_arm(&fleet->more, qs_loop_now(fleet->context->loop));
	look_at_readiness(fleet);
	if (fleet->hooks.changed)
		fleet->hooks.changed(fleet->hooks.arg);
}

static void go_on(struct qs_timer *timer)
{
	struct fleet *fleet = container_of(timer, struct fleet, more);

	qs_job_schedule(fleet->context->loop, &fleet->settle);
}

void fleet_changed(struct fleet *fleet, struct worker *worker _unused_)
{
	qs_job_schedule(fleet->context->loop, &fleet->settle);
}

void fleet_start(struct fleet *fleet)
{
	fleet->begun = true;
	qs_job_schedule(fleet->context->loop, &fleet->settle);
}

void fleet_hold(struct fleet *fleet, bool held)
{
	fleet->held = held;
	qs_job_schedule(fleet->context->loop, &fleet->settle);
}

void fleet_end(struct fleet *fleet)
{
	if (TAKE(fleet->ending, true))
		return;
	list_for_each (node, &fleet->workers)
		worker_follow_calls(list_entry(node, struct worker, node));
}

void fleet_close_calls(struct fleet *fleet)
{
	if (!fleet->context)
		return;
	list_for_each (node, &fleet->workers)
		callee_free_all(list_entry(node, struct worker, node));
}

/* --- life --- */

static int add_workers(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->config->worker_count; i++) {
		struct worker *worker;
		int r = worker_new(fleet, &fleet->config->workers[i], &worker);
		if (r < 0)
			return r;
		list_append(&fleet->workers, &worker->node);
	}
	list_for_each (node, &fleet->workers) {
		struct worker *worker = list_entry(node, struct worker, node);
		int r = fleet_link(fleet, worker, worker->config);
		if (r < 0)
			return r;
	}
	return 0;
}

int fleet_init(struct fleet *fleet, struct qs_context *context, struct qs_group *root,
        struct qs_reaper *reaper, struct events *events, struct config *config,
        const struct fleet_hooks *hooks)
{
	*fleet = (struct fleet){ .context = context,
		.root = root,
		.reaper = reaper,
		.events = events,
		.config = config,
		.hooks = *hooks,
		.random = { .state = qs_time_now() ^ (uint64_t)getpid() << 32 } };
	list_init(&fleet->workers);
	http_clients_init(&fleet->http, root);
	qs_job_init(&fleet->settle, settle);
	int r = calls_init(&fleet->calls, context->loop);
	if (r == 0)
		r = qs_timer_init(context->loop, &fleet->more, go_on);
	if (r < 0) {
		calls_done(&fleet->calls);
		config_free(config);
		fleet->context = NULL;
		return r;
	}
	r = qs_rate_init(&fleet->budget, config->restarts.count, config->restarts.within);
	if (r == 0)
		r = call_log_init(&fleet->call_log, context->loop);
	if (r == 0)
		r = add_workers(fleet);
	if (r < 0)
		fleet_done(fleet);
	return r;
}

void fleet_done(struct fleet *fleet)
{
	if (!fleet->context)
		return;
	qs_job_cancel(&fleet->settle);
	list_for_each (node, &fleet->workers)
		worker_free(list_entry(node, struct worker, node));
	http_clients_done(&fleet->http);
	call_log_done(&fleet->call_log);
	calls_done(&fleet->calls);
	qs_timer_done(&fleet->more);
	qs_rate_done(&fleet->budget);
	for (size_t i = 0; i < fleet->old_count; i++)
		config_free(fleet->old[i]);
	free(fleet->old);
	config_free(fleet->config);
	fleet->context = NULL;
}
