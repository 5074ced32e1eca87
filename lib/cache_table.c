/* Chains of nodes, about one a bucket. */
#include "lib/cache_table.h"

#include <errno.h>
#include <string.h>

#include "lib/alloc.h"

#define FIRST_BUCKETS 16

int qs_table_init(struct qs_table *table)
{
	*table = (struct qs_table){ .bucket_count = FIRST_BUCKETS };
	table->buckets = qs_calloc(FIRST_BUCKETS, sizeof(struct qs_table_node *));
	return table->buckets ? 0 : -ENOMEM;
}

void qs_table_done(struct qs_table *table)
{
	qs_free(table->buckets);
	*table = (struct qs_table){ 0 };
}

/* A digest is as good as random. */
static struct qs_table_node **bucket_of(
        const struct qs_table *table, const struct qs_digest *digest)
{
	uint64_t bits;

	memcpy(&bits, digest->bytes, sizeof(bits));
	return &table->buckets[bits & (table->bucket_count - 1)];
}

struct qs_table_node *qs_table_find(const struct qs_table *table, const struct qs_digest *digest)
{
	struct qs_table_node *node = *bucket_of(table, digest);

	while (node && memcmp(&node->digest, digest, sizeof(*digest)) != 0)
		node = node->next;
	return node;
}

static void push(struct qs_table *table, struct qs_table_node *node)
{
	struct qs_table_node **bucket = bucket_of(table, &node->digest);

	node->next = *bucket;
	*bucket = node;
}

static void grow(struct qs_table *table)
{
	struct qs_table larger = { .bucket_count = table->bucket_count * 2, .count = table->count };

	larger.buckets = qs_calloc(larger.bucket_count, sizeof(struct qs_table_node *));
	if (!larger.buckets)
		return;
	for (size_t i = 0; i < table->bucket_count; i++)
		for (struct qs_table_node *node = table->buckets[i], *next; node; node = next) {
			next = node->next;
			push(&larger, node);
		}
	qs_free(table->buckets);
	*table = larger;
}

void qs_table_add(struct qs_table *table, struct qs_table_node *node)
{
	if (++table->count > table->bucket_count)
		grow(table);
	push(table, node);
}

void qs_table_remove(struct qs_table *table, struct qs_table_node *node)
{
	struct qs_table_node **at = bucket_of(table, &node->digest);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	table->count--;
}
