/*
 * Records of varying size, first in, first out, in one block of memory; each lies in one piece, so
 * that it can be written and read where it is. No lock of its own. While it is empty it starts over
 * at the beginning, so that a quiet log touches few pages.
 */
#ifndef QUIESCED_LOG_RING_H
#define QUIESCED_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>

struct log_ring {
	char *data;
	size_t size;
	size_t head, tail; /* where the next record goes, and where the oldest lies */
	size_t end;        /* behind the last record before the beginning; with `wrapped` */
	bool wrapped;      /* head is behind tail */
};

/* Room for one record, aligned to 8 bytes; NULL when there is none. Commit it before the next. */
void *log_ring_reserve(struct log_ring *ring, size_t size);
void log_ring_commit(struct log_ring *ring, size_t size);

/* How many bytes of whole records, as committed, lie in one piece from the oldest on. */
size_t log_ring_readable(const struct log_ring *ring, char **ret_data);

/* Frees so much of them. */
void log_ring_drop(struct log_ring *ring, size_t size);

/* What a record of that size takes up. */
static inline size_t log_ring_rounded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

#endif
