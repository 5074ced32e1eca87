/*
 * A reload, in two halves. The first makes everything that is needed and may fail: workers that are
 * new, limits that have changed, room to keep the old configuration. The second only moves pointers
 * and asks tasks to stop, which cannot fail; what goes wrong later is that worker's own affair.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fleet_internal.h"
#include "daemon/http_poll.h"

/* One worker of the new configuration: an old one that follows it, or a new one. */
struct successor {
	struct worker *worker;
	bool is_new, same_run, same_policy;
	struct qs_rate limit; /* of an old one, by its new configuration */
};

struct transition {
	struct fleet *fleet;
	struct config *config;
	struct successor *successors; /* as many as config->worker_count */
	struct qs_rate budget;
	struct config **old; /* with room for one more */
};

static bool same_rate(const struct rate_config *a, const struct rate_config *b)
{
	return a->count == b->count && a->within == b->within;
}

static bool same_names(char *const *a, char *const *b)
{
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return !*a && !*b;
}

static bool same_statuses(const struct worker_config *a, const struct worker_config *b)
{
	size_t size = a->stop_success_count * sizeof(*a->stop_success);

	return a->stop_success_count == b->stop_success_count &&
	       (size == 0 || memcmp(a->stop_success, b->stop_success, size) == 0);
}

static bool same_policy(const struct worker_config *a, const struct worker_config *b)
{
	return a->essential == b->essential && a->restart == b->restart &&
	       a->backoff.base == b->backoff.base && a->backoff.cap == b->backoff.cap &&
	       a->backoff.reset_after == b->backoff.reset_after &&
	       same_rate(&a->limit, &b->limit) && a->stop_signal == b->stop_signal &&
	       a->cancel_signal == b->cancel_signal && a->stop_deadline == b->stop_deadline &&
	       same_statuses(a, b) && same_names(a->after, b->after);
}

static int prepare_one(struct transition *transition, struct successor *successor,
        const struct worker_config *config)
{
	struct worker *worker = fleet_find(transition->fleet, config->name);

	successor->worker = worker;
	successor->is_new = !worker;
	if (!worker)
		return worker_new(transition->fleet, config, &successor->worker);
	successor->same_run = worker_config_same_run(worker->config, config);
	successor->same_policy = same_policy(worker->config, config);
	return qs_rate_init(&successor->limit, config->limit.count, config->limit.within);
}

static void discard(struct transition *transition)
{
	for (size_t i = 0; transition->successors && i < transition->config->worker_count; i++) {
		struct successor *successor = &transition->successors[i];

		if (successor->is_new)
			worker_free(successor->worker);
		qs_rate_done(&successor->limit);
	}
	qs_rate_done(&transition->budget);
	free(transition->successors);
}

static int prepare(struct transition *transition)
{
	struct fleet *fleet = transition->fleet;
	const struct config *config = transition->config;

	struct config **old = realloc(fleet->old, (fleet->old_count + 1) * sizeof(*old));
	if (!old)
		return -ENOMEM;
	fleet->old = old;
	transition->successors = calloc(config->worker_count + 1, sizeof(*transition->successors));
	if (!transition->successors)
		return -ENOMEM;
	int r = qs_rate_init(&transition->budget, config->restarts.count, config->restarts.within);
	for (size_t i = 0; r == 0 && i < config->worker_count; i++)
		r = prepare_one(transition, &transition->successors[i], &config->workers[i]);
	return r;
}

/* Names are looked up among new and old workers alike, so they all have to be in the list. */
static int enlist(struct transition *transition)
{
	for (size_t i = 0; i < transition->config->worker_count; i++)
		if (transition->successors[i].is_new)
			list_append(&transition->fleet->workers,
			        &transition->successors[i].worker->node);
	for (size_t i = 0; i < transition->config->worker_count; i++) {
		struct worker *worker = transition->successors[i].worker;
		int r = fleet_link(transition->fleet, worker, &transition->config->workers[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* -ENOMEM half-way through linking: the old configuration's links are put back as far as they go.
 */
static void relink_old(struct fleet *fleet)
{
	list_for_each (node, &fleet->workers) {
		struct worker *worker = list_entry(node, struct worker, node);

		if (fleet_link(fleet, worker, worker->config) < 0)
			worker->after_count = 0;
	}
}

static void swap_rate(struct qs_rate *rate, struct qs_rate *fresh)
{
	struct qs_rate spent = *rate;

	*rate = *fresh;
	*fresh = spent;
}

static void follow(struct successor *successor, const struct worker_config *config,
        struct fleet_change *change)
{
	struct worker *worker = successor->worker;
	bool was_removed = TAKE(worker->removed, false);

	worker->config = config;
	http_poll_renew(worker->poll);
	if (successor->is_new) {
		change->added++;
		return;
	}
	if (!successor->same_policy)
		swap_rate(&worker->limit, &successor->limit);
	if (successor->same_run && !was_removed) {
		if (successor->same_policy)
			change->unchanged++;
		else
			change->changed++;
		return;
	}
	change->changed++;
	if (was_removed)
		worker->wanted = true;
	if (!worker->wanted)
		return;
	change->restarted += worker->run != NULL;
	worker_renew(worker, QS_CAUSE_RELOAD);
}

static void remove_the_rest(struct transition *transition, struct fleet_change *change)
{
	struct fleet *fleet = transition->fleet;

	list_for_each (node, &fleet->workers) {
		struct worker *worker = list_entry(node, struct worker, node);
		bool kept = false;

		for (size_t i = 0; !kept && i < transition->config->worker_count; i++)
			kept = transition->successors[i].worker == worker;
		if (kept || worker->removed)
			continue;
		worker->removed = true;
		worker->after_count = 0; /* whoever it waited for may be freed before it */
		change->removed++;
		worker_stop(worker, QS_CAUSE_RELOAD);
	}
}

/* The list is the order that people see: that of the configuration, then who is on the way out. */
static void reorder(struct transition *transition)
{
	struct list *workers = &transition->fleet->workers;

	for (size_t i = transition->config->worker_count; i-- > 0;) {
		struct list *node = &transition->successors[i].worker->node;

		list_remove(node);
		list_append(workers->next, node);
	}
}

static void apply(struct transition *transition, struct fleet_change *change)
{
	struct fleet *fleet = transition->fleet;

	*change = (struct fleet_change){ 0 };
	remove_the_rest(transition, change);
	for (size_t i = 0; i < transition->config->worker_count; i++)
		follow(&transition->successors[i], &transition->config->workers[i], change);
	reorder(transition);
	swap_rate(&fleet->budget, &transition->budget);
	fleet->old[fleet->old_count++] = fleet->config;
	fleet->config = transition->config;
	for (size_t i = 0; i < transition->config->worker_count; i++)
		transition->successors[i].is_new = false;
	fleet_changed(fleet, NULL);
}

int fleet_reload(struct fleet *fleet, struct config *config, struct fleet_change *ret_change)
{
	struct transition transition = { .fleet = fleet, .config = config };

	int r = prepare(&transition);
	if (r == 0) {
		r = enlist(&transition);
		if (r == 0)
			apply(&transition, ret_change);
		else
			relink_old(fleet);
	}
	discard(&transition);
	return r;
}

/* Calls go on by the configuration that they have begun with. */
static void free_unused_configs(struct fleet *fleet)
{
	size_t kept = 0;

	for (size_t i = 0; i < fleet->old_count; i++) {
		struct config *config = fleet->old[i];

		if (config->calls > 0 || config->runs > 0)
			fleet->old[kept++] = config;
		else
			config_free(config);
	}
	fleet->old_count = kept;
}

void fleet_free_removed(struct fleet *fleet)
{
	bool any = false;

	list_for_each (node, &fleet->workers) {
		struct worker *worker = list_entry(node, struct worker, node);

		if (worker->removed && !worker_is_live(worker))
			worker_free(worker);
		else
			any = any || worker->removed;
	}
	if (!any)
		free_unused_configs(fleet);
}
