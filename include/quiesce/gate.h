/*
 * A gate to an API: all calls to it pass here, so many at once and so many a second; what fails and
 * may be tried again is, after a back-off; what was asked before is answered from a cache, and
 * identical calls in flight share one request. In libquiesce-http. Loop thread only.
 *
 * On ask no new request starts and no other attempt is begun: a call that waits for its turn or in
 * a back-off returns -ESHUTDOWN at once. A request in flight goes on until the cancel.
 */
#ifndef QUIESCE_GATE_H
#define QUIESCE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/http.h>
#include <quiesce/http_call.h>

QS_BEGIN_DECLS

typedef struct qs_gate qs_gate;

#define QS_GATE_BUDGET_OFF UINT32_MAX

/*
 * All zero: one attempt. Tried again is what may pass by itself and does no harm: always where
 * nothing was asked yet (no name, no connection, no TLS); a broken connection or a timeout if
 * nothing was sent, or for GET, HEAD, OPTIONS, TRACE, PUT and DELETE; a status likewise, but 429 in
 * any case: that was turned away. Never what would come again (a certificate, a size, a redirect).
 */
struct qs_retry_plan {
	unsigned attempts; /* all in all; 0: 1 */
	uint64_t base;     /* span of the first back-off, doubled each time: 500 ms */
	uint64_t cap;      /* of a back-off; each is drawn between 0 and that (full jitter): 30 s */
	uint64_t retry_after_max; /* a server that asks for more gets no other attempt: 10 min */
	/* Also what is not idempotent and may have been received: POST, PATCH. */
	bool unsafe;
	/* Of 100 calls so many may be repeated, over the last minute, and at least 10 a minute: in
	 * a storm retries die down. 0: 20; QS_GATE_BUDGET_OFF: no limit. */
	unsigned budget;
	/* Statuses that are tried again, 0-ended; NULL: 408, 425, 429, 500, 502, 503 and 504. */
	const int *statuses;
};

/*
 * All zero: no limit and no cache. Whatever is pointed at is copied.
 *
 * Calls are the same when method, URL, body and those headers are. GET, HEAD, OPTIONS and POST may
 * share a request and be answered from the cache; what is kept there is a good answer (a status of
 * 2xx, but 202 and 206), whatever the server says of caching.
 */
struct qs_gate_options {
	unsigned concurrency; /* requests in flight at once; 0: no limit */
	unsigned backlog;     /* calls that may wait for their turn; beyond: -EAGAIN; 0: no limit */
	unsigned rate;        /* so many requests within ... (a token bucket of that size) */
	uint64_t rate_within; /* ... this span; 0 with a rate: 1 s */
	struct qs_retry_plan retry;
	size_t cache_size;                /* bytes, all in all; 0: no cache, nothing is shared */
	uint64_t cache_ttl;               /* ns; 0: 1 min */
	const char *const *cache_headers; /* that tell calls apart, NULL-ended; NULL: all headers */
	/* For qs_gate_open: whether an answer with this head is handed out as a stream. NULL: each
	 * is. */
	bool (*streams)(const struct qs_http_response *head, void *arg);
	void *arg;
};

/* Where the answer came from. */
enum qs_gate_source { QS_GATE_SERVER, QS_GATE_SHARED, QS_GATE_CACHE };

struct qs_gate_answer {
	struct qs_http_response response; /* of the last attempt */
	unsigned attempts;                /* requests sent; 0: from the cache, or none began */
	enum qs_gate_source source;
	void *memory; /* private */
};

/* Takes no ownership of the client, which outlives it. -ENOMEM, -EINVAL. */
QS_EXPORT QS_MUST_CHECK int qs_gate_new(
        qs_group *group, qs_http *http, const struct qs_gate_options *options, qs_gate **ret_gate);

/* Nobody may be in a call; open streams go on. NULL is fine. */
QS_EXPORT void qs_gate_free(qs_gate *gate);

/*
 * Makes a call and waits for its answer, whatever its status: the last attempt's. Idle while it
 * waits for its turn or in a back-off (for which there must be time before the deadline), in flight
 * while a request is. The answer is always set: to be released, and only so, by
 * qs_gate_answer_done. When the wait was ended it tells of the last attempt, without headers and
 * body. -EAGAIN: the backlog is full. Else as qs_http_perform.
 */
QS_EXPORT QS_MUST_CHECK int qs_gate_call(qs_task *self, qs_gate *gate,
        const struct qs_http_request *request, uint64_t deadline,
        struct qs_gate_answer *ret_answer);

/* Releases what an answer consists of; it may be done twice. */
QS_EXPORT void qs_gate_answer_done(struct qs_gate_answer *answer);

/*
 * The same for an answer as it comes: returns with its head, and is never shared or cached. Until
 * the stream is closed (qs_http_close) it counts as a request in flight. An answer that is no
 * stream by `streams` comes whole, tried again if it breaks off: then the stream is NULL. With
 * `streams`, response_max is for these only.
 */
QS_EXPORT QS_MUST_CHECK int qs_gate_open(qs_task *self, qs_gate *gate,
        const struct qs_http_request *request, uint64_t deadline, struct qs_gate_answer *ret_answer,
        qs_http_stream **ret_stream);

/* Where a gate stands. */
struct qs_gate_stats {
	uint64_t calls, requests, retries, hits, shared; /* ever */
	uint64_t retries_refused;                        /* by the budget */
	unsigned waiting, in_flight, backing_off;        /* now */
	size_t cached_bytes, cached_entries;
};
QS_EXPORT void qs_gate_stats(const qs_gate *gate, struct qs_gate_stats *ret_stats);

/* Where the call of a task stands, for people: "waiting for its turn", "back-off, 3.2 s left",
 * "api.example: receiving, 4 s, 1,024 bytes". "" if it is in none. Returns `buffer`. */
QS_EXPORT char *qs_gate_describe(
        const qs_gate *gate, const qs_task *task, char *buffer, size_t size);

/* The same for programs. */
struct qs_gate_progress {
	bool waiting, backing_off;    /* for its turn; for the next attempt */
	unsigned attempts;            /* that have begun */
	struct qs_http_progress http; /* of its request; its host is NULL while there is none */
};

/* Returns whether the task is in a call, or reads its stream. */
QS_EXPORT bool qs_gate_progress(
        const qs_gate *gate, const qs_task *task, struct qs_gate_progress *ret_progress);

QS_END_DECLS

#endif
