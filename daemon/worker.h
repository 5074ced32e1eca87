/*
 * A worker: a named entry of the configuration; when it runs × what it runs × its policies. The
 * states and what moves them are one table in worker.c. What it runs is a small table of functions
 * (struct work), of which `exec` is the first. Loop thread only.
 */
#ifndef QUIESCED_WORKER_H
#define QUIESCED_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/worker_calls.h"
#include "lib/group.h"
#include "lib/health.h"
#include "lib/ledger.h"
#include "lib/supervise.h"

struct fleet;

#define WORKER_STATE_MAP(X)            \
	X(WORKER_WAITING, "waiting")   \
	X(WORKER_STARTING, "starting") \
	X(WORKER_RUNNING, "running")   \
	X(WORKER_STOPPING, "stopping") \
	X(WORKER_BACKOFF, "backoff")   \
	X(WORKER_STOPPED, "stopped")   \
	X(WORKER_FAILED, "failed")

#define WORKER_STATE_VALUE(value, name) value,
enum worker_state { WORKER_STATE_MAP(WORKER_STATE_VALUE) WORKER_STATE_COUNT };
#undef WORKER_STATE_VALUE
const char *worker_state_name(enum worker_state state);

#define WORKER_TEXT_MAX   256
#define WORKER_LINES_KEPT 16

struct http_poll;
struct module_told;
struct worker;

/* One run of a worker: the beginning of what each kind of work has of its own. */
struct run {
	struct worker *worker;
	struct qs_task *task;
	pid_t pid; /* of a process, else 0 */
};

/* What a worker runs. */
struct work {
	const char *name; /* the `kind` that status shows: "exec" */
	/* Starts one run. A negative errno with worker->detail filled in: it could not be started.
	 */
	int (*start)(struct worker *worker, struct run **ret_run);
	void (*free)(struct run *run); /* after its task has ended, or was abandoned */
	/* What it tells of tasks of its own; NULL: nothing. May be NULL. */
	const struct module_told *(*told)(struct run *run);
	bool logs_ends; /* the ends of runs are in the log already, by itself */
};

extern const struct work exec_work, http_work, module_work;

struct worker {
	struct fleet *fleet;
	struct list node; /* in fleet->workers */
	const struct worker_config *config;
	const struct work *work;
	struct qs_owner *owner; /* its counts and endings in the ledger */
	struct qs_group group;
	struct worker **after; /* who it waits for, as many as config->after names */
	size_t after_count;
	unsigned stage; /* in a shutdown; scratch of fleet_assign_stages */

	enum worker_state state;
	uint64_t since;            /* absolute, of the state */
	struct run *run;           /* NULL while nothing of it lives */
	struct worker_calls calls; /* `when: call` */
	bool wanted;               /* false: stopped through the API until it is started again */
	bool restart_wanted;       /* stop it, then start it anew */
	bool removed;              /* by a reload: freed when nothing of it lives */
	bool ready;                /* it has been ready in this run / `once`: has finished well */
	bool by_policy;            /* its next start is a restart */
	bool skip_told;            /* the log knows that this run makes slots be skipped */
	bool hopeless;             /* this run could not begin, and no other would */

	struct http_poll *poll; /* what lasts of an `http` worker's runs; NULL: nothing yet */
	struct qs_backoff backoff;
	struct qs_rate limit;
	uint64_t restarts;          /* how often it was started again by policy */
	uint64_t skipped;           /* slots of `every` that found it still running */
	uint64_t started_at;        /* of the present or last run, absolute; 0: never */
	uint64_t next_start_at;     /* of `every` or back-off, absolute; 0: none */
	struct qs_timer timer;      /* in back-off: the next start; starting: the ready timeout */
	struct qs_timer slot_timer; /* `every`: the next slot */
	struct qs_heartbeat heartbeat;

	/* Why it is in its state: "exit status 3", "restart limit reached". */
	char detail[WORKER_TEXT_MAX];
	char status_text[WORKER_TEXT_MAX]; /* its own STATUS= */
	char *lines[WORKER_LINES_KEPT];    /* the latest lines of its output, a ring */
	uint64_t line_count;
};

/* Takes no ownership of `config`, which must outlive it. -ENOMEM. */
QS_MUST_CHECK int worker_new(
        struct fleet *fleet, const struct worker_config *config, struct worker **ret_worker);

/* Nothing of it may live. */
void worker_free(struct worker *worker);

/*
 * By the administrator; done when the state says so. Start and restart are -EBUSY during a shutdown
 * or a drain.
 */
QS_MUST_CHECK int worker_start(struct worker *worker);
QS_MUST_CHECK int worker_restart(struct worker *worker);
void worker_stop(struct worker *worker, enum qs_cause cause);

/* Starts it anew, its old self ended first: what a restart and a reload come down to. */
void worker_renew(struct worker *worker, enum qs_cause cause);

/* Something it may wait for has changed. Returns 1 if it has been started, 0 otherwise. */
int worker_consider(struct worker *worker);

/* Whether what waits for it may start: `once` has finished well, `every` has its schedule. */
bool worker_is_ready(const struct worker *worker);

/* Whether the daemon's readiness need not wait for it (any longer). */
bool worker_is_satisfied(const struct worker *worker);

/* --- for what a worker runs (struct work) --- */

/* The patience with its tasks. */
struct qs_ladder worker_ladder(const struct worker *worker);

/* It said READY=1 / was heard of / asks for more time (ns) / says how it is. */
void worker_note_ready(struct worker *worker);
void worker_note_beat(struct worker *worker);
void worker_note_extend(struct worker *worker, uint64_t span);
void worker_note_status(struct worker *worker, const char *text);

/* A line of output of a task of its (0: of none), folded. Kept, logged, and told to whoever
 * watches. */
void worker_note_line(struct worker *worker, uint64_t task, const char *line, size_t length);

/* The run has been pushed to a rung / has ended. */
void worker_note_pushed(struct worker *worker, enum qs_rung rung, enum qs_cause cause);
void worker_note_ended(struct worker *worker, enum qs_verdict verdict);

/* The i-th latest line of its output, NULL beyond. 0 is the newest. */
const char *worker_line(const struct worker *worker, unsigned i);

/* What it waits for, or "" : for status, for people. Returns `buffer`. */
char *worker_waiting_on(const struct worker *worker, char *buffer, size_t size);

#endif
