/*
 * All workers together: who waits for whom, whether the daemon is ready, the budget of restarts,
 * and what a new configuration means for them. Loop thread only.
 */
#ifndef QUIESCED_FLEET_H
#define QUIESCED_FLEET_H

#include <stdbool.h>

#include "daemon/config.h"
#include "daemon/events.h"
#include "daemon/worker.h"
#include "lib/group.h"
#include "lib/process.h"
#include "lib/supervise.h"

struct fleet_hooks {
	void (*readiness)(void *arg, bool ready); /* it has changed */
	void *arg;
};

struct fleet {
	struct qs_context *context;
	struct qs_group *root;
	struct qs_reaper *reaper;
	struct events *events;
	const struct config *config;
	struct list workers;   /* in the order of the configuration */
	struct qs_rate budget; /* restarts over all workers */
	struct qs_random random;
	bool held;  /* draining or stopping: nothing is started */
	bool ready; /* every essential worker is ready */
	struct fleet_hooks hooks;
	struct qs_job settle; /* after any change: dependencies, readiness */
};

/* Takes no ownership of the configuration. -ENOMEM. */
QS_MUST_CHECK int fleet_init(struct fleet *fleet, struct qs_context *context,
        struct qs_group *root, struct qs_reaper *reaper, struct events *events,
        const struct config *config, const struct fleet_hooks *hooks);
void fleet_done(struct fleet *fleet);

struct worker *fleet_find(const struct fleet *fleet, const char *name);

/* Starts what is due; called once, and again after a hold is lifted. */
void fleet_start(struct fleet *fleet);
void fleet_hold(struct fleet *fleet, bool held);

/* For workers: the state of one has changed. */
void fleet_changed(struct fleet *fleet, struct worker *worker);

/* Gives each worker its stage for a shutdown: the reverse of `after:`. Returns how many stages
 * there are. */
unsigned fleet_assign_stages(struct fleet *fleet);

/* What a reload did, counted. */
struct fleet_change {
	unsigned added, removed, changed, restarted, unchanged;
};

/*
 * Makes the fleet follow a new configuration. What can fail is done before the first worker is
 * touched: -ENOMEM leaves everything as it was. The old configuration may be freed when `*ret_done`
 * says that nobody uses it any more; the fleet keeps count itself and frees it: takes ownership.
 */
QS_MUST_CHECK int fleet_reload(
        struct fleet *fleet, struct config *config, struct fleet_change *ret_change);

#endif
