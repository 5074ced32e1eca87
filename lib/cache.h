/*
 * Answers that are kept: so many bytes in all, each for so long, the least lately used goes first.
 * A value is counted by who holds it, the cache among them, and does not change: so an answer from
 * the cache copies nothing, and stays good when the cache drops it. Pure but for memory.
 */
#ifndef QS_CACHE_H
#define QS_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/http.h>

#include "lib/cache_table.h"
#include "lib/list.h"

struct qs_cache_value {
	struct qs_http_response response; /* owned */
	unsigned holders;
	/* The cache's, while it has it: */
	struct qs_table_node in_table;
	struct list by_use, by_age;
	size_t size;
	uint64_t expires_at;
};

struct qs_cache {
	size_t size_max, size; /* bytes, with all that goes with them */
	uint64_t ttl;
	struct qs_table table;
	struct list by_use, by_age; /* the least lately used, and the oldest, first */
};

/* Held by the caller, with an empty response. NULL: no memory. */
struct qs_cache_value *qs_cache_value_new(void);
struct qs_cache_value *qs_cache_value_hold(struct qs_cache_value *value);
void qs_cache_value_release(struct qs_cache_value *value); /* NULL is fine */

/* -ENOMEM. */
QS_MUST_CHECK int qs_cache_init(struct qs_cache *cache, size_t size, uint64_t ttl);
void qs_cache_done(struct qs_cache *cache);

/* Held for the caller; NULL: there is none, or not any more. */
struct qs_cache_value *qs_cache_find(
        struct qs_cache *cache, const struct qs_digest *digest, uint64_t now);

/* Keeps it, in place of an older one, unless it is larger than all the room. Nobody changes it
 * from now on, and it may be in no cache yet. */
void qs_cache_put(struct qs_cache *cache, const struct qs_digest *digest,
        struct qs_cache_value *value, uint64_t now);

static inline size_t qs_cache_count(const struct qs_cache *cache)
{
	return cache->table.count;
}

#endif
