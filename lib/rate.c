/*
 * The bucket is one point in time: when it will be full again. A token that is taken puts that off
 * by within / count; the fraction of a nanosecond is kept beside it.
 */
#include "lib/rate.h"

#include <limits.h>

#include "lib/clock.h"
#include "lib/macro.h"

void qs_bucket_init(struct qs_bucket *bucket, unsigned count, uint64_t within)
{
	*bucket = (struct qs_bucket){ .count = count, .within = within };
}

static bool is_unlimited(const struct qs_bucket *bucket)
{
	return bucket->count == 0 || bucket->within == 0;
}

static bool is_full(const struct qs_bucket *bucket, uint64_t now)
{
	return bucket->full_at < now || (bucket->full_at == now && bucket->part == 0);
}

unsigned qs_bucket_available(const struct qs_bucket *bucket, uint64_t now)
{
	unsigned __int128 parts;
	uint64_t missing;

	if (is_unlimited(bucket))
		return UINT_MAX;
	if (is_full(bucket, now))
		return bucket->count;
	missing = bucket->full_at - now;
	if (missing >= bucket->within)
		return 0;
	/* What is there, in parts of `count` of a ns; a token is `within` of them. */
	parts = (unsigned __int128)(bucket->within - missing) * bucket->count - bucket->part;
	return (unsigned)(parts / bucket->within);
}

uint64_t qs_bucket_free_at(const struct qs_bucket *bucket, uint64_t now)
{
	struct qs_bucket next = *bucket;

	if (qs_bucket_available(bucket, now) > 0)
		return now;
	/* With that one taken it lacks as much as it can hold. */
	qs_bucket_take(&next, now);
	if (next.full_at == QS_FOREVER)
		return QS_FOREVER;
	return next.full_at - next.within + (next.part > 0);
}

void qs_bucket_take(struct qs_bucket *bucket, uint64_t now)
{
	uint64_t part;

	if (is_unlimited(bucket))
		return;
	if (is_full(bucket, now)) {
		bucket->full_at = now;
		bucket->part = 0;
	}
	part = bucket->part + bucket->within % bucket->count;
	bucket->full_at =
	        qs_time_add(bucket->full_at, bucket->within / bucket->count + part / bucket->count);
	bucket->part = (unsigned)(part % bucket->count);
}
