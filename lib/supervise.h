/*
 * When to start again what has ended: back-off with full jitter, a limit on restarts, a budget over
 * many. Pure: time and seed come from outside.
 */
#ifndef QS_SUPERVISE_H
#define QS_SUPERVISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>

#include "lib/macro.h"

/* splitmix64: small, seedable, good enough for jitter and simulation; never for secrets. */
struct qs_random {
	uint64_t state;
};
uint64_t qs_random_next(struct qs_random *random);
uint64_t qs_random_below(struct qs_random *random, uint64_t bound); /* 0 for bound 0 */

struct qs_backoff_plan {
	uint64_t base, cap;   /* the n-th delay is drawn from [0, min(cap, base * 2^n)], ns */
	uint64_t reset_after; /* having run this long, the next failure counts as the first; 0:
	                         never */
};

struct qs_backoff {
	unsigned failures; /* in a row */
};

/* The delay before the next start, after something that ran for `ran` nanoseconds. */
QS_SIBLING uint64_t qs_backoff_next(struct qs_backoff *backoff, const struct qs_backoff_plan *plan,
        uint64_t ran, struct qs_random *random);

/* At most `count` events in any window of `within` nanoseconds: the times of the latest ones. */
struct qs_rate {
	uint64_t within;
	uint64_t *times; /* ring of `count` */
	unsigned count, next;
};

/* count 0: never over. -ENOMEM. */
QS_MUST_CHECK int qs_rate_init(struct qs_rate *rate, unsigned count, uint64_t within);
void qs_rate_done(struct qs_rate *rate);

/* When one more event fits: `now` or later. QS_FOREVER never. */
uint64_t qs_rate_free_at(const struct qs_rate *rate, uint64_t now);
void qs_rate_add(struct qs_rate *rate, uint64_t now);

/* Whether `count` restarts can come within the limit's window at all, at the longest delays' mean.
 */
bool qs_backoff_can_reach(const struct qs_backoff_plan *plan, unsigned count, uint64_t within);

#endif
