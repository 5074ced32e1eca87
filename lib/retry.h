/*
 * Whether a request that went wrong is sent again, and when. Pure: time and randomness come from
 * outside.
 *
 *   what went wrong                                        is tried again
 *   cannot be resolved, refused, no TLS, no descriptor     always: nothing was asked yet
 *   hung up, timed out                                     if nothing was sent, or it may be
 * repeated status 429                                             if the plan has it: it was turned
 * away another status of the plan                             if it may be repeated anything else
 * (certificate, size, redirects, …)        never: it would come again
 *
 * A request may be repeated when its method is idempotent or the plan is `unsafe`. A 503 promises
 * nothing of what was done before, with Retry-After or without.
 */
#ifndef QS_RETRY_H
#define QS_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/gate.h>

#include "lib/supervise.h"

/* What becomes of it. */
enum qs_retry {
	QS_RETRY_AGAIN,
	QS_RETRY_ANSWERED,  /* there is nothing to be tried again */
	QS_RETRY_HOPELESS,  /* the error would come again */
	QS_RETRY_UNSAFE,    /* the server may have done it already */
	QS_RETRY_EXHAUSTED, /* no attempt is left */
	QS_RETRY_TOO_LATE,  /* the server asks for more time than there is */
	QS_RETRY_BUDGET     /* too many are being repeated */
};

/* How one attempt went. */
struct qs_retry_attempt {
	unsigned number;      /* 1: the first */
	bool idempotent;      /* its method is */
	bool sent_any;        /* the server may have seen some of it */
	int error;            /* a negative errno of qs_http_perform; 0: there is an answer */
	int status;           /* of the answer */
	uint64_t retry_after; /* the span that the server asks for; 0: it does not */
	uint64_t now;
	uint64_t deadline; /* later than this nobody waits for it any more; QS_FOREVER: never */
};

/* GET, HEAD, OPTIONS, TRACE, PUT, DELETE; NULL is GET. */
bool qs_retry_is_idempotent(const char *method);

/* The same with the defaults filled in. `statuses` stays NULL for the usual ones. */
struct qs_retry_plan qs_retry_plan_of(const struct qs_retry_plan *plan);

/* How many calls and retries there were in each second of the last minute. */
#define QS_RETRY_SECONDS 60
#define QS_RETRY_LEAST   10 /* so many retries a minute are always granted */
struct qs_retry_budget {
	unsigned percent; /* of the calls; QS_GATE_BUDGET_OFF: no limit */
	uint64_t second;  /* the latest that something was counted in */
	uint32_t calls[QS_RETRY_SECONDS], retries[QS_RETRY_SECONDS];
	uint64_t call_sum, retry_sum;
};

void qs_retry_budget_init(struct qs_retry_budget *budget, unsigned percent);
void qs_retry_budget_call(struct qs_retry_budget *budget, uint64_t now);

/* Counts a retry, if there is one left. */
bool qs_retry_budget_take(struct qs_retry_budget *budget, uint64_t now);

/*
 * Decides, and takes from the budget (NULL: there is none) if it is tried again: at `*ret_at`,
 * which is set then only. The plan has its defaults filled in.
 */
enum qs_retry qs_retry_decide(const struct qs_retry_plan *plan,
        const struct qs_retry_attempt *attempt, struct qs_retry_budget *budget,
        struct qs_random *random, uint64_t *ret_at);

/*
 * The span that a Retry-After asks for, at the wall time `now` (microseconds since 1970): seconds,
 * or an HTTP date in one of its three forms; 0 for what is over. -EINVAL: it is neither.
 */
QS_MUST_CHECK int qs_retry_after_parse(const char *text, uint64_t now, uint64_t *ret_span);

#endif
