/*
 * What calls do (struct call_kind), and what they have to say: what came with them, where they
 * stand, what came of them. See call.h for the calls themselves. Loop thread only.
 */
#ifndef QUIESCED_CALL_KIND_H
#define QUIESCED_CALL_KIND_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <quiesce/task.h>

#include "daemon/config.h"

struct call;
struct worker;

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
	char *host;             /* of the upstream; malloc'ed, NULL: it has none */
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

/* What became of a call, for counting. */
#define CALL_OUTCOME_MAP(X)                                                               \
	X(CALL_ANSWERED, "answered")                                                      \
	X(CALL_UPSTREAM_ERROR, "upstream-error")                                          \
	X(CALL_TIMEOUT, "timeout")                                                        \
	X(CALL_BACKLOG_FULL, "backlog-full")                                              \
	X(CALL_ENDED, "ended") /* by a shutdown, a reload, an administrator, a hang-up */ \
	X(CALL_ERROR, "error")

#define CALL_OUTCOME_VALUE(value, name) value,
enum call_outcome { CALL_OUTCOME_MAP(CALL_OUTCOME_VALUE) CALL_OUTCOME_COUNT };
#undef CALL_OUTCOME_VALUE
const char *call_outcome_name(enum call_outcome outcome);

/* Of all calls of a worker together; 0 where it does not apply. */
struct call_counts {
	uint64_t requests, retries, retries_refused, hits, shared; /* ever */
	unsigned waiting, in_flight, backing_off;                  /* now */
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
	 * -EINVAL with result.problem set; -ENOMEM. What it needs later goes to call->work, which
	 * `release` lets go of, also on failure.
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

#endif
