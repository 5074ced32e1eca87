/*
 * All values live equally long, so the list by age is also the one by expiry: what is over is at
 * its front, and goes whenever somebody comes by.
 */
#include "lib/cache.h"

#include <string.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/http.h"

/* What the allocator adds to each piece, and a value's share of the table. */
#define PIECE_OVERHEAD 16
#define PIECES         4
#define TABLE_SHARE    (2 * sizeof(void *))

/* --- values --- */

struct qs_cache_value *qs_cache_value_new(void)
{
	struct qs_cache_value *value = qs_malloc(sizeof(*value));

	if (!value)
		return NULL;
	memset(value, 0, sizeof(*value));
	value->holders = 1;
	qs_http_response_init(&value->response);
	return value;
}

struct qs_cache_value *qs_cache_value_hold(struct qs_cache_value *value)
{
	value->holders++;
	return value;
}

void qs_cache_value_release(struct qs_cache_value *value)
{
	if (!value || --value->holders > 0)
		return;
	qs_http_response_done(&value->response);
	qs_free(value);
}

/* What was gathered may have room to spare. */
static void trim(struct qs_http_response *response)
{
	char *body;

	if (response->body_size == 0)
		return;
	body = qs_reallocarray((char *)response->body, response->body_size + 1, 1);
	if (body)
		response->body = body;
}

static size_t size_of(const struct qs_cache_value *value)
{
	const struct qs_http_response *response = &value->response;
	size_t size = sizeof(*value) + PIECES * PIECE_OVERHEAD + TABLE_SHARE + response->body_size +
	              1 + sizeof(*response->headers);

	for (const struct qs_http_header *at = response->headers; at->name; at++)
		size += sizeof(*at) + strlen(at->name) + strlen(at->value) + 2;
	return size;
}

/* --- the cache --- */

int qs_cache_init(struct qs_cache *cache, size_t size, uint64_t ttl)
{
	*cache = (struct qs_cache){ .size_max = size, .ttl = ttl };
	list_init(&cache->by_use);
	list_init(&cache->by_age);
	return qs_table_init(&cache->table);
}

static void drop(struct qs_cache *cache, struct qs_cache_value *value)
{
	qs_table_remove(&cache->table, &value->in_table);
	list_remove(&value->by_use);
	list_remove(&value->by_age);
	cache->size -= value->size;
	qs_cache_value_release(value);
}

void qs_cache_done(struct qs_cache *cache)
{
	/* One that could not be initialised has no lists. */
	while (cache->table.count > 0)
		drop(cache, list_entry(cache->by_use.next, struct qs_cache_value, by_use));
	qs_table_done(&cache->table);
}

static void drop_expired(struct qs_cache *cache, uint64_t now)
{
	while (!list_empty(&cache->by_age)) {
		struct qs_cache_value *oldest =
		        list_entry(cache->by_age.next, struct qs_cache_value, by_age);

		if (oldest->expires_at > now)
			return;
		drop(cache, oldest);
	}
}

static struct qs_cache_value *find(struct qs_cache *cache, const struct qs_digest *digest)
{
	struct qs_table_node *node = qs_table_find(&cache->table, digest);

	return node ? container_of(node, struct qs_cache_value, in_table) : NULL;
}

struct qs_cache_value *qs_cache_find(
        struct qs_cache *cache, const struct qs_digest *digest, uint64_t now)
{
	struct qs_cache_value *value;

	drop_expired(cache, now);
	value = find(cache, digest);
	if (!value)
		return NULL;
	list_remove(&value->by_use);
	list_append(&cache->by_use, &value->by_use);
	return qs_cache_value_hold(value);
}

void qs_cache_put(struct qs_cache *cache, const struct qs_digest *digest,
        struct qs_cache_value *value, uint64_t now)
{
	size_t size = size_of(value);
	struct qs_cache_value *older;

	drop_expired(cache, now);
	older = find(cache, digest);
	if (older)
		drop(cache, older);
	if (size > cache->size_max)
		return;
	trim(&value->response);
	while (cache->size > cache->size_max - size)
		drop(cache, list_entry(cache->by_use.next, struct qs_cache_value, by_use));
	value->in_table.digest = *digest;
	value->size = size;
	value->expires_at = qs_time_add(now, cache->ttl);
	qs_table_add(&cache->table, &value->in_table);
	list_append(&cache->by_use, &value->by_use);
	list_append(&cache->by_age, &value->by_age);
	cache->size += size;
	(void)qs_cache_value_hold(value);
}
