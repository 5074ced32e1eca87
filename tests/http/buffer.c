/* Bytes at the end, bytes from the front. */
#include "tests/http/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *need(void *memory)
{
	if (memory)
		return memory;
	fputs("http-server: out of memory\n", stderr);
	exit(1);
}

void buffer_done(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}

char *buffer_room(struct buffer *buffer, size_t size)
{
	if (buffer->taken > 0 && buffer->used + size >= buffer->capacity) {
		memmove(buffer->data, buffer_front(buffer), buffer_size(buffer));
		buffer->used -= buffer->taken;
		buffer->taken = 0;
	}
	if (buffer->used + size >= buffer->capacity) {
		buffer->capacity = MAX((size_t)1024, 2 * (buffer->used + size));
		buffer->data = need(realloc(buffer->data, buffer->capacity));
	}
	return buffer->data + buffer->used;
}

void buffer_grew(struct buffer *buffer, size_t size)
{
	buffer->used += size;
	buffer->data[buffer->used] = '\0';
}

void buffer_add(struct buffer *buffer, const void *data, size_t size)
{
	if (size == 0)
		return;
	memcpy(buffer_room(buffer, size), data, size);
	buffer_grew(buffer, size);
}

void buffer_addf(struct buffer *buffer, const char *format, ...)
{
	char *text = NULL;
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vasprintf(&text, format, arguments);
	va_end(arguments);
	need(size < 0 ? NULL : text);
	buffer_add(buffer, text, (size_t)size);
	free(text);
}

void buffer_take(struct buffer *buffer, size_t size)
{
	buffer->taken += size;
	if (buffer->taken == buffer->used)
		buffer->taken = buffer->used = 0;
}

void buffer_move(struct buffer *buffer, struct buffer *from, size_t size)
{
	size = MIN(size, buffer_size(from));
	if (size == 0)
		return;
	buffer_add(buffer, buffer_front(from), size);
	buffer_take(from, size);
}
