/* Bytes that are gathered at the end and taken at the front. Without memory the server ends. */
#ifndef HTTP_BUFFER_H
#define HTTP_BUFFER_H

#include <stddef.h>

#include "lib/macro.h"

struct buffer {
	char *data; /* NUL behind what is used, once there was anything */
	size_t taken, used, capacity;
};

void buffer_done(struct buffer *buffer);

/* Room for so many bytes behind what is there; buffer_grew tells how many were written. */
char *buffer_room(struct buffer *buffer, size_t size);
void buffer_grew(struct buffer *buffer, size_t size);

void buffer_add(struct buffer *buffer, const void *data, size_t size);
void buffer_addf(struct buffer *buffer, const char *format, ...) _printf_(2, 3);

/* Moves at most `size` bytes. */
void buffer_move(struct buffer *buffer, struct buffer *from, size_t size);
void buffer_take(struct buffer *buffer, size_t size);

static inline size_t buffer_size(const struct buffer *buffer)
{
	return buffer->used - buffer->taken;
}

static inline char *buffer_front(const struct buffer *buffer)
{
	return buffer->data + buffer->taken;
}

/* Memory, or the end. */
void *need(void *memory);

#endif
