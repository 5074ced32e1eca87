/* The ring never fills up to the last byte, so that equal ends always mean empty. */
#include "daemon/log_ring.h"

void *log_ring_reserve(struct log_ring *ring, size_t size)
{
	size = log_ring_rounded(size);
	if (!ring->wrapped && ring->head == ring->tail)
		ring->head = ring->tail = 0;
	if (ring->wrapped)
		return ring->head + size < ring->tail ? ring->data + ring->head : NULL;
	if (size <= ring->size - ring->head)
		return ring->data + ring->head;
	if (size >= ring->tail)
		return NULL;
	ring->end = ring->head;
	ring->wrapped = true;
	ring->head = 0;
	return ring->data;
}

void log_ring_commit(struct log_ring *ring, size_t size)
{
	ring->head += log_ring_rounded(size);
}

size_t log_ring_readable(const struct log_ring *ring, char **ret_data)
{
	*ret_data = ring->data + ring->tail;
	return (ring->wrapped ? ring->end : ring->head) - ring->tail;
}

void log_ring_drop(struct log_ring *ring, size_t size)
{
	ring->tail += size;
	if (ring->wrapped && ring->tail == ring->end) {
		ring->tail = 0;
		ring->wrapped = false;
	}
}
