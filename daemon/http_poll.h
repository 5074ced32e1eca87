/*
 * Polls: `http` workers that ask by themselves, at each slot or once. A run is one fiber in the
 * worker's group: the request through the worker's gate, the check of the answer, the file it is
 * saved to. Loop thread only.
 */
#ifndef QUIESCED_HTTP_POLL_H
#define QUIESCED_HTTP_POLL_H

#include <stdint.h>

#include <jansson.h>

#include "daemon/worker.h"

/* What became of a run, for counting. */
#define POLL_OUTCOME_MAP(X)              \
	X(POLL_ANSWERED, "answered")     \
	X(POLL_UNEXPECTED, "unexpected") \
	X(POLL_TIMEOUT, "timeout")       \
	X(POLL_ENDED, "ended")           \
	X(POLL_NOT_SAVED, "not-saved")   \
	X(POLL_ERROR, "error")

#define POLL_OUTCOME_VALUE(value, name) value,
enum poll_outcome { POLL_OUTCOME_MAP(POLL_OUTCOME_VALUE) POLL_OUTCOME_COUNT };
#undef POLL_OUTCOME_VALUE
const char *poll_outcome_name(enum poll_outcome outcome);

/* What lasts from one run of a worker to the next. */
struct http_poll {
	qs_gate *gate;
	bool stale;                            /* the gate is of a former configuration */
	uint64_t outcomes[POLL_OUTCOME_COUNT]; /* runs, ever */
	uint64_t answers, latency;             /* ever; and how long they took together, ns */
	/* Of the latest run that has ended; at 0: none has. */
	struct {
		uint64_t at; /* absolute */
		enum poll_outcome outcome;
		int status; /* 0: no answer */
		unsigned attempts;
		uint64_t latency; /* of the last attempt, ns */
		uint64_t bytes;
	} last;
};

/* The worker has a new configuration: it counts from the next run on. NULL is fine. */
void http_poll_renew(struct http_poll *poll);

/* No run of it may live. NULL is fine. */
void http_poll_free(struct http_poll *poll);

/* {"status", "outcome", "ms", "bytes", "attempts", "at"} of the latest run, or null. */
json_t *http_poll_view(const struct http_poll *poll);

#endif
