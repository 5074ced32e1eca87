/*
 * A token bucket: at most `count` at once, and in the long run `count` within each span. Pure, in
 * integers: the n-th token after a begin comes at exactly n * within / count, for ever.
 */
#ifndef QS_RATE_H
#define QS_RATE_H

#include <stdint.h>

struct qs_bucket {
	unsigned count; /* 0: there is no limit */
	uint64_t within;
	/* When it will be full again, if nothing more is taken, and parts of `count` of a ns. */
	uint64_t full_at;
	unsigned part;
};

/* Full. */
void qs_bucket_init(struct qs_bucket *bucket, unsigned count, uint64_t within);

/* How many can be taken now; UINT_MAX without a limit. */
unsigned qs_bucket_available(const struct qs_bucket *bucket, uint64_t now);

/* When one can be taken: `now` or later. */
uint64_t qs_bucket_free_at(const struct qs_bucket *bucket, uint64_t now);

/* Takes one, which must be there. */
void qs_bucket_take(struct qs_bucket *bucket, uint64_t now);

#endif
