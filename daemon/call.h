/*
 * Calls of a worker that is called (`when: call`). A call is one fiber task in its worker's group,
 * from the request for it to its one outcome; what it does is a small table of functions (struct
 * call_kind). Whoever asked for it is answered when it is over; when he hangs up, it is cancelled;
 * a detached one goes on, and its outcome is kept for a while. Loop thread only.
 */
#ifndef QUIESCED_CALL_H
#define QUIESCED_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <quiesce/task.h>

#include "daemon/config.h"
#include "lib/list.h"
#include "lib/macro.h"

struct call;
struct callee;
struct fleet;
struct request;
struct worker;

/* --- what calls do --- */

/* Bytes of an answer, which may outlive their call. */
struct call_body {
	const char *data;
	size_t size;
	unsigned refs;
	void (*free)(struct call_body *body); /* after the last reference */
};

/* Takes a malloc'ed buffer, also on failure. NULL: no memory. */
struct call_body *call_body_new(char *data, size_t size);
struct call_body *call_body_ref(struct call_body *body);
void call_body_unref(struct call_body *body); /* NULL is fine */

/* How a call went, as far as its kind knows. All zero: nothing came of it. */
struct call_result {
	int status;             /* of the answer to whoever asked: 200, or a problem's: 502, … */
	char *problem;          /* what went wrong, for people; malloc'ed, NULL: nothing to say */
	char *type;             /* media type of the body; malloc'ed, NULL: unknown */
	struct call_body *body; /* the answer; beside a problem, what the upstream said */
	int upstream_status;    /* what the upstream answered with; 0: it did not */
	unsigned attempts;      /* how often the upstream was asked */
	const char *source;     /* static: "server", "shared", "cache"; NULL: from nowhere */
	const char *phase;      /* static: where it stood at its end; NULL: unknown */
	uint64_t received;      /* bytes of the answer that have come */
};

enum call_state { CALL_QUEUED, CALL_RUNNING, CALL_BACKOFF, CALL_OVER };
const char *call_state_name(enum call_state state); /* "queued", "running", "backoff", "over" */

/* Where a call stands while it lives. */
struct call_standing {
	enum call_state state;
	const char *phase; /* static, NULL: it has none */
	char host[256];    /* "": none */
	unsigned attempts;
	uint64_t received;
};

/* What came with the request for a call; valid while it is being made. */
struct call_payload {
	const char *text; /* as it came: JSON, or empty */
	size_t size;
	const json_t *json; /* NULL: empty */
};

/* Of all calls of a worker together, ever; 0 where it does not apply. */
struct call_counts {
	uint64_t requests, retries, retries_refused, hits, shared;
	size_t cached_bytes, cached_entries;
};

/* All but `prepare` and `run` may be NULL. */
struct call_kind {
	const char *name; /* of the worker: "http", "exec" */

	/* What the worker's calls have in common: made before it takes any, closed when the last
	 * one is over. A negative errno with worker->detail filled in. */
	int (*open)(struct worker *worker, const struct worker_config *config, void **ret_common);
	void (*close)(void *common);

	/*
	 * On the loop's stack, before there is a task: what can be said at once of the payload.
	 * -EINVAL with result->problem set; -ENOMEM. What it needs later goes to call->work.
	 */
	int (*prepare)(struct call *call, const struct call_payload *payload);

	/*
	 * The task: makes the call and sets call->result. Returns 0 when it went well, else a
	 * negative errno, with what waits returned passed on. When the fiber is killed this does
	 * not come back: `release` is called all the same.
	 */
	int (*run)(qs_task *self, struct call *call);

	/* It is over in whatever way: lets go of call->work. */
	void (*release)(struct call *call);

	/* Only `state` is set: to CALL_RUNNING. */
	void (*look)(const struct call *call, struct call_standing *standing);
	/* For people: "api.example: receiving, 4 s, 1,024 bytes". */
	void (*describe)(const struct call *call, char *buffer, size_t size);
	void (*count)(const void *common, struct call_counts *ret_counts);
};

extern const struct call_kind exec_call_kind, http_call_kind;

/* How a worker is called; NULL: it is not. */
const struct call_kind *call_kind_of(const struct worker_config *config);

/* --- one call --- */

struct call {
	struct callee *callee;
	uint64_t id; /* the task's */
	uint64_t started_at, ended_at;
	qs_task *task; /* NULL when it is over */
	void *work;    /* its kind's */
	struct call_result result;

	enum qs_verdict verdict; /* QS_VERDICT_NONE while it lives */
	enum qs_cause cause;     /* of an ask */
	bool detached;           /* it goes on without anybody who waits */
	bool streaming;          /* the head of the answer has gone to whoever waits */
	struct request *request; /* who waits for the answer; NULL: nobody (any more) */
	struct list in_callee;   /* among those that live */
	struct list in_calls;    /* while it lives: among all; then: among those that are kept */
	struct call *next;       /* with the same hash */
};

/* For kinds. Formatted text becomes result.problem; returns `error`. Without memory for it there
 * is no text. */
int call_fail(struct call *call, int error, int status, const char *format, ...) _printf_(4, 5);
/* What `open` returned, and the configuration that counts for the call. */
void *call_common(const struct call *call);
const struct worker_config *call_config(const struct call *call);
struct worker *call_worker(const struct call *call);

#endif
