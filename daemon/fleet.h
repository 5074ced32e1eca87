/*
 * All workers together: who waits for whom, whether the daemon is ready, the budget of restarts,
 * and what a new configuration means for them. Loop thread only.
 */
#ifndef QUIESCED_FLEET_H
#define QUIESCED_FLEET_H

#include <stdbool.h>

#include "daemon/call_log.h"
#include "daemon/calls.h"
#include "daemon/config.h"
#include "daemon/events.h"
#include "daemon/http_clients.h"
#include "daemon/worker.h"
#include "lib/group.h"
#include "lib/process.h"
#include "lib/supervise.h"

struct fleet_hooks {
	void (*readiness)(void *arg, bool ready); /* it has changed */
	void (*changed)(void *arg); /* at the end of a turn in which a worker changed */
	void *arg;
};

struct fleet {
	struct qs_context *context;
	struct qs_group *root;
	struct qs_reaper *reaper;
	struct events *events;
	struct config *config; /* its own */
	struct http_clients http;
	struct calls calls;
	struct list workers;   /* in the order of the configuration */
	struct qs_rate budget; /* restarts over all workers */
	struct qs_random random;
	bool begun;               /* fleet_start was called */
	bool held;                /* draining or stopping: nothing is started */
	bool ending;              /* for good: what ends now is not followed by anything */
	bool ready;               /* every essential worker is ready */
	struct call_log call_log; /* what the log says of calls and polls */
	struct fleet_hooks hooks;
	struct qs_job settle; /* after any change: dependencies, readiness */
	struct qs_timer more; /* goes on with the starts in the next turn */
	struct config **old;  /* replaced by reloads; kept while a removed worker lives */
	size_t old_count;
};

/* Takes ownership of the configuration, also on failure. -ENOMEM. */
QS_MUST_CHECK int fleet_init(struct fleet *fleet, struct qs_context *context, struct qs_group *root,
        struct qs_reaper *reaper, struct events *events, struct config *config,
        const struct fleet_hooks *hooks);
void fleet_done(struct fleet *fleet);

struct worker *fleet_find(const struct fleet *fleet, const char *name);

/* Starts what is due; called once, and again after a hold is lifted. */
void fleet_start(struct fleet *fleet);
void fleet_hold(struct fleet *fleet, bool held);

/* A stop was asked for: there will be no further start. */
void fleet_end(struct fleet *fleet);

/* What calls have in use is let go of, and those that were abandoned are answered. */
void fleet_close_calls(struct fleet *fleet);

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
 * Makes the fleet follow a new configuration, of which it takes ownership on success. What can fail
 * is done before the first worker is touched: -ENOMEM leaves everything as it was.
 */
QS_MUST_CHECK int fleet_reload(
        struct fleet *fleet, struct config *config, struct fleet_change *ret_change);

#endif
