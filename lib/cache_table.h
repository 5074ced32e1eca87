/* A table of embedded nodes by a digest. To grow it may need memory; without it is only slower. */
#ifndef QS_CACHE_TABLE_H
#define QS_CACHE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>

/* A SHA-256: two that are equal are of the same thing. */
struct qs_digest {
	uint8_t bytes[32];
};

struct qs_table_node {
	struct qs_table_node *next;
	struct qs_digest digest;
};

struct qs_table {
	struct qs_table_node **buckets;
	size_t bucket_count, count; /* a power of two; nodes in it */
};

/* -ENOMEM. */
QS_MUST_CHECK int qs_table_init(struct qs_table *table);
void qs_table_done(struct qs_table *table);

/* NULL: it is not there. */
struct qs_table_node *qs_table_find(const struct qs_table *table, const struct qs_digest *digest);

/* With its digest set; none that is equal may be there. */
void qs_table_add(struct qs_table *table, struct qs_table_node *node);

/* It must be there. */
void qs_table_remove(struct qs_table *table, struct qs_table_node *node);

#endif
