/*
 * A four-ary min-heap. Four children to a parent make the tree half as high as a binary one. Keys
 * lie in the array itself, so that comparing touches no node. A removed node leaves its entry
 * behind without a node: it goes when it comes up, when most entries are such, or when room is
 * needed. So a hundred thousand timers that are given up at once cost one write each.
 */
#include "lib/heap.h"

#include <errno.h>
#include <stdbool.h>

#include "lib/alloc.h"

#define ARITY            4U
#define INITIAL_CAPACITY 16U

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
	return a->key < b->key || (a->key == b->key && a->order < b->order);
}

static void place(struct heap *heap, size_t at, struct heap_entry entry)
{
	heap->entries[at] = entry;
	if (entry.node)
		entry.node->index = (uint32_t)(at + 1);
}

static void sift_up(struct heap *heap, size_t at, struct heap_entry entry)
{
	while (at > 0) {
		size_t parent = (at - 1) / ARITY;

		if (!before(&entry, &heap->entries[parent]))
			break;
		place(heap, at, heap->entries[parent]);
		at = parent;
	}
	place(heap, at, entry);
}

/* The earliest child of `at`, or `used` when it has none. */
static size_t earliest_child(const struct heap *heap, size_t at)
{
	size_t best = at * ARITY + 1, end = best + ARITY;

	if (best >= heap->used)
		return heap->used;
	if (end > heap->used)
		end = heap->used;
	for (size_t child = best + 1; child < end; child++)
		if (before(&heap->entries[child], &heap->entries[best]))
			best = child;
	return best;
}

static void sift_down(struct heap *heap, size_t at, struct heap_entry entry)
{
	for (;;) {
		size_t child = earliest_child(heap, at);

		if (child == heap->used || !before(&heap->entries[child], &entry))
			break;
		place(heap, at, heap->entries[child]);
		at = child;
	}
	place(heap, at, entry);
}

/* Drops the entries without a node. */
static void compact(struct heap *heap)
{
	size_t kept = 0;

	for (size_t i = 0; i < heap->used; i++)
		if (heap->entries[i].node)
			heap->entries[kept++] = heap->entries[i];
	heap->used = kept;
	for (size_t i = 0; i < kept; i++)
		heap->entries[i].node->index = (uint32_t)(i + 1);
	for (size_t i = kept / ARITY + 1; i-- > 0;)
		if (i < kept)
			sift_down(heap, i, heap->entries[i]);
}

static void drop_first(struct heap *heap)
{
	struct heap_entry last = heap->entries[--heap->used];

	if (heap->used > 0)
		sift_down(heap, 0, last);
}

void heap_done(struct heap *heap)
{
	for (size_t i = 0; i < heap->used; i++)
		if (heap->entries[i].node)
			heap->entries[i].node->index = HEAP_NOT_IN;
	qs_free(heap->entries);
	*heap = (struct heap){ 0 };
}

int heap_reserve(struct heap *heap, size_t count)
{
	size_t capacity = heap->capacity ? heap->capacity : INITIAL_CAPACITY;
	struct heap_entry *entries;

	if (count <= heap->capacity)
		return 0;
	if (count >= UINT32_MAX)
		return -ENOMEM;
	while (capacity < count)
		capacity = capacity > SIZE_MAX / 2 ? count : capacity * 2;
	entries = qs_reallocarray(heap->entries, capacity, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	heap->entries = entries;
	heap->capacity = capacity;
	return 0;
}

/* Grows when most entries are alive, or it would have to be compacted again and again. */
static int make_room(struct heap *heap)
{
	if (heap->count >= heap->capacity - heap->capacity / 4 &&
	        heap_reserve(heap, heap->capacity + 1) == 0)
		return 0;
	if (heap->count == heap->capacity)
		return -ENOMEM;
	compact(heap);
	return 0;
}

/* Drawn, it has the true order in its lower half. */
static uint64_t draw_order(struct heap *heap)
{
	uint64_t order = heap->next_order++;

	if (heap->random == 0)
		return order;
	heap->random ^= heap->random << 13;
	heap->random ^= heap->random >> 7;
	heap->random ^= heap->random << 17;
	return (heap->random & ~(uint64_t)UINT32_MAX) | (uint32_t)order;
}

int heap_add(struct heap *heap, struct heap_node *node, uint64_t key)
{
	if (heap->used == heap->capacity && make_room(heap) < 0)
		return -ENOMEM;
	struct heap_entry *entry = &heap->entries[heap->used];
	entry->key = key;
	entry->order = draw_order(heap);
	entry->node = node;
	node->index = (uint32_t)++heap->used;
	heap->count++;
	/* What comes later than all else is where it belongs. */
	if (node->index > 1 && before(entry, &heap->entries[(node->index - 2) / ARITY]))
		sift_up(heap, node->index - 1, *entry);
	return 0;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	if (node->index == HEAP_NOT_IN)
		return;
	heap->entries[node->index - 1].node = NULL;
	node->index = HEAP_NOT_IN;
	if (--heap->count == 0)
		heap->used = 0;
}

void heap_update(struct heap *heap, struct heap_node *node, uint64_t key)
{
	size_t at = node->index - 1;
	struct heap_entry entry = { key, draw_order(heap), node };

	if (at > 0 && before(&entry, &heap->entries[(at - 1) / ARITY]))
		sift_up(heap, at, entry);
	else
		sift_down(heap, at, entry);
}

struct heap_node *heap_first(struct heap *heap)
{
	if (heap->count == 0)
		return NULL;
	if (!heap->entries[0].node && heap->count < heap->used / 2)
		compact(heap);
	while (!heap->entries[0].node)
		drop_first(heap);
	return heap->entries[0].node;
}

uint64_t heap_key(const struct heap *heap, const struct heap_node *node)
{
	return heap->entries[node->index - 1].key;
}

uint64_t heap_first_key(struct heap *heap)
{
	return heap_first(heap) ? heap->entries[0].key : UINT64_MAX;
}

uint64_t heap_first_order(struct heap *heap)
{
	(void)heap_first(heap);
	return heap->random ? (uint32_t)heap->entries[0].order : heap->entries[0].order;
}
