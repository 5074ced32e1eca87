/*
 * A min-heap of embedded nodes, ordered by a key and, among equals, by insertion. To add what is
 * later than all else and to remove anything take constant time: most timers never come up.
 */
#ifndef QS_HEAP_H
#define QS_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>

#define HEAP_NOT_IN 0

struct heap_node {
	uint32_t index; /* place in the heap + 1; HEAP_NOT_IN while it is in none */
	uint32_t mark;  /* whoever embeds it keeps what it likes here */
};

struct heap_entry {
	uint64_t key, order;
	struct heap_node *node; /* NULL once it was removed */
};

struct heap {
	struct heap_entry *entries;
	size_t count;          /* nodes in it */
	size_t used, capacity; /* entries, those of removed nodes too */
	uint64_t next_order;
	/* Not 0: equals come in an order drawn from it. For simulations: 2^32 insertions. */
	uint64_t random;
};

void heap_done(struct heap *heap);

/* Makes room for `count` nodes in all: below that heap_add cannot fail. -ENOMEM. */
QS_MUST_CHECK int heap_reserve(struct heap *heap, size_t count);

/* The node must be in no heap. -ENOMEM. */
QS_MUST_CHECK int heap_add(struct heap *heap, struct heap_node *node, uint64_t key);

/* A node that is in no heap is left alone. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* Changes the key of a node that is in the heap; it counts as inserted now. */
void heap_update(struct heap *heap, struct heap_node *node, uint64_t key);

/* The earliest node, NULL when empty. */
struct heap_node *heap_first(struct heap *heap);

/* The key of a node that is in the heap, and that of the earliest: UINT64_MAX when empty. */
uint64_t heap_key(const struct heap *heap, const struct heap_node *node);
uint64_t heap_first_key(struct heap *heap);

/* What `next_order` was when that earliest node came in; the heap must not be empty. */
uint64_t heap_first_order(struct heap *heap);

#endif
