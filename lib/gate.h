/*
 * Inside a gate. A *flight* is one request on its way through it, over all its attempts: a state
 * machine without a stack, with the fibers that wait for it. Calls that are the same share a
 * flight; who waits leaves by itself (its deadline, the ladder), and with the last of them the
 * flight ends.
 */
#ifndef QS_GATE_H
#define QS_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/gate.h>
#include <quiesce/http_call.h>

#include "lib/cache.h"
#include "lib/fiber.h"
#include "lib/list.h"
#include "lib/loop.h"
#include "lib/rate.h"
#include "lib/retry.h"

#define QS_FLIGHT_STATE_MAP(X)                \
	X(QS_FLIGHT_NONE, "none")             \
	X(QS_FLIGHT_QUEUED, "its turn")       \
	X(QS_FLIGHT_IN_FLIGHT, "HTTP answer") \
	X(QS_FLIGHT_BACKOFF, "back-off")      \
	X(QS_FLIGHT_OPEN, "HTTP stream")      \
	X(QS_FLIGHT_OVER, "over")
#define QS_FLIGHT_STATE_VALUE(value, name) value,
enum qs_flight_state { QS_FLIGHT_STATE_MAP(QS_FLIGHT_STATE_VALUE) QS_FLIGHT_STATE_COUNT };
#undef QS_FLIGHT_STATE_VALUE

enum qs_flight_event {
	QS_FLIGHT_ADMIT,  /* its request has begun */
	QS_FLIGHT_AGAIN,  /* that went wrong, and there will be another */
	QS_FLIGHT_DUE,    /* the back-off is over */
	QS_FLIGHT_OPENED, /* the head is there, the rest is a stream */
	QS_FLIGHT_END,    /* there is a result */
	QS_FLIGHT_DROP,   /* nobody waits for it any more */
	QS_FLIGHT_EVENT_COUNT
};

/* QS_FLIGHT_NONE: that cannot happen. */
enum qs_flight_state qs_flight_next(enum qs_flight_state state, enum qs_flight_event event);

/* On the stack of the fiber that waits. */
struct qs_gate_waiter {
	struct qs_wait wait;
	struct list node;
	struct qs_fiber *fiber;
	struct qs_flight *flight; /* NULL once it has left, or was told */
	struct qs_gate_answer *answer;
	qs_http_stream *stream; /* what it was told, besides the answer */
	int result;
	uint64_t deadline; /* the earliest around it */
	bool is_shared;    /* the flight was there before it */
	bool is_stream;
};

struct qs_flight {
	qs_gate *gate; /* NULL: it is gone, and a stream is left */
	enum qs_flight_state state;
	struct list node; /* in the gate's list of that state */
	struct list waiters;
	struct qs_http_request request; /* the one waiter's own, or a copy behind the flight */
	bool is_idempotent, is_stream;
	bool is_shareable; /* it has a copy, a value and a place in the table */
	bool pinned;       /* the last waiter that leaves does not end it just now */
	unsigned attempts;
	qs_http_call *call;           /* while in flight */
	struct qs_timer timer;        /* the end of the back-off */
	uint64_t again_at;            /* the head told so; 0: it did not */
	bool judged;                  /* the head was good enough */
	struct qs_http_response last; /* of the attempt before, without an answer at first */

	struct qs_table_node in_table;
	struct qs_cache_value *value; /* for the answer */

	qs_http_stream *stream; /* while open */
	bool has_reader;        /* it is in the table of these */
};

struct qs_gate {
	qs_http *http;
	struct qs_context *context;
	bool (*streams)(const struct qs_http_response *head, void *arg);
	void *streams_arg;
	unsigned concurrency, backlog;
	struct qs_retry_plan plan; /* its statuses are a copy */
	char **cache_headers;      /* likewise; NULL: all of them */
	bool has_cache;
	uint8_t secret[16]; /* begins each digest: nobody can choose its bucket */

	struct list flights[QS_FLIGHT_STATE_COUNT];
	unsigned count[QS_FLIGHT_STATE_COUNT];
	struct qs_job job;     /* lets flights begin */
	struct qs_timer timer; /* when there will be a token for the first of them */
	struct qs_bucket bucket;
	struct qs_retry_budget budget;
	struct qs_random random;
	struct qs_cache cache;
	struct qs_table shared;  /* flights that others may join */
	struct qs_table readers; /* open ones, by the fibers that read their streams */
	uint64_t calls, requests, retries, hits, joined, refused;
};

static inline uint64_t qs_gate_now(const qs_gate *gate)
{
	return qs_loop_now(gate->context->loop);
}

/* --- gate_key.c: what makes calls the same --- */

const char *qs_gate_method(const struct qs_http_request *request);
bool qs_gate_may_share(const struct qs_http_request *request);
bool qs_gate_may_keep(const struct qs_http_response *response);
struct qs_digest qs_gate_digest(const qs_gate *gate, const struct qs_http_request *request);
struct qs_digest qs_gate_reader_digest(const struct qs_fiber *reader);

/* --- gate_flight.c --- */

/* Queued. With a digest it is shareable. -ENOMEM. */
QS_MUST_CHECK int qs_flight_new(qs_gate *gate, const struct qs_http_request *request,
        const struct qs_digest *digest, bool is_stream, struct qs_flight **ret_flight);

/* Without a gate any more. */
void qs_flight_free(struct qs_flight *flight);

void qs_flight_join(struct qs_flight *flight, struct qs_gate_waiter *waiter);

/* The abort of a waiter: sets its answer to how far all came. */
void qs_flight_leave(struct qs_wait *wait);

/* NULL: there is none in flight. */
struct qs_flight *qs_flight_find(const qs_gate *gate, const struct qs_digest *digest);

/* Moves it, tells its waiters; OVER frees it. */
void qs_flight_step(struct qs_flight *flight, enum qs_flight_event event);

/* --- gate_attempt.c: one request of a flight --- */

/* The job: lets flights begin, as many as may. */
void qs_gate_admit(struct qs_job *job);

/* Hands the result to all who wait. The response moves. */
void qs_flight_finish(struct qs_flight *flight, int result, struct qs_http_response *response);

#endif
