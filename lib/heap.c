/*
 * A four-ary min-heap of pointers to embedded nodes. Four children to a parent make the tree half
 * as high as a binary one, and most timers are removed before they come up, near the bottom.
 */
#include "lib/heap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define ARITY            4U
#define INITIAL_CAPACITY 16U

static bool before(const struct heap_node *a, const struct heap_node *b)
{
	return a->key < b->key || (a->key == b->key && a->order < b->order);
}

static void place(struct heap *heap, size_t at, struct heap_node *node)
{
	heap->nodes[at] = node;
	node->index = at + 1;
}

static void sift_up(struct heap *heap, size_t at, struct heap_node *node)
{
	while (at > 0) {
		size_t parent = (at - 1) / ARITY;

		if (!before(node, heap->nodes[parent]))
			break;
		place(heap, at, heap->nodes[parent]);
		at = parent;
	}
	place(heap, at, node);
}

/* The earliest child of `at`, or `count` when it has none. */
static size_t earliest_child(const struct heap *heap, size_t at)
{
	size_t best = at * ARITY + 1, end = best + ARITY;

	if (best >= heap->count)
		return heap->count;
	if (end > heap->count)
		end = heap->count;
	for (size_t child = best + 1; child < end; child++)
		if (before(heap->nodes[child], heap->nodes[best]))
			best = child;
	return best;
}

static void sift_down(struct heap *heap, size_t at, struct heap_node *node)
{
	for (;;) {
		size_t child = earliest_child(heap, at);

		if (child == heap->count || !before(heap->nodes[child], node))
			break;
		place(heap, at, heap->nodes[child]);
		at = child;
	}
	place(heap, at, node);
}

/* Finds the place of a node that was put at `at` without looking at its key. */
static void settle(struct heap *heap, size_t at, struct heap_node *node)
{
	if (at > 0 && before(node, heap->nodes[(at - 1) / ARITY]))
		sift_up(heap, at, node);
	else
		sift_down(heap, at, node);
}

void heap_done(struct heap *heap)
{
	for (size_t i = 0; i < heap->count; i++)
		heap->nodes[i]->index = HEAP_NOT_IN;
	free(heap->nodes);
	*heap = (struct heap){ 0 };
}

int heap_reserve(struct heap *heap, size_t count)
{
	size_t capacity = heap->capacity ? heap->capacity : INITIAL_CAPACITY;
	struct heap_node **nodes;

	if (count <= heap->capacity)
		return 0;
	while (capacity < count)
		capacity = capacity > SIZE_MAX / 2 ? count : capacity * 2;
	nodes = reallocarray(heap->nodes, capacity, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	heap->nodes = nodes;
	heap->capacity = capacity;
	return 0;
}

int heap_add(struct heap *heap, struct heap_node *node, uint64_t key)
{
	int r = heap_reserve(heap, heap->count + 1);

	if (r < 0)
		return r;
	node->key = key;
	node->order = heap->next_order++;
	sift_up(heap, heap->count++, node);
	return 0;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	size_t at = node->index - 1;
	struct heap_node *last;

	if (node->index == HEAP_NOT_IN)
		return;
	node->index = HEAP_NOT_IN;
	last = heap->nodes[--heap->count];
	if (last != node)
		settle(heap, at, last);
}

void heap_update(struct heap *heap, struct heap_node *node, uint64_t key)
{
	node->key = key;
	node->order = heap->next_order++;
	settle(heap, node->index - 1, node);
}

struct heap_node *heap_first(const struct heap *heap)
{
	return heap->count > 0 ? heap->nodes[0] : NULL;
}
