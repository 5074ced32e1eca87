/*
 * Streams: the bytes of an answer lie here until they are read. When there is no room the call is
 * paused, and goes on when half of it is free; so the server waits for the reader.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/fiber.h"
#include "lib/http.h"

struct reader {
	struct qs_wait wait;
	struct qs_fiber *fiber;
	struct qs_http_stream *stream;
};

struct qs_http_stream {
	struct qs_belonging belonging; /* of its fiber */
	struct qs_http_call *call;     /* NULL once that is over, with this result: */
	int result;
	char error[sizeof(((struct qs_http_response *)NULL)->error)];
	struct reader *reader; /* who waits */
	struct qs_http_buffer buffer;
	size_t begin; /* of what has not been read */
	void (*closed)(void *arg);
	void *arg;
};

static size_t unread(const struct qs_http_stream *stream)
{
	return stream->buffer.size - stream->begin;
}

static void wake_reader(struct qs_http_stream *stream)
{
	struct reader *reader = TAKE(stream->reader, NULL);

	if (reader)
		qs_fiber_wake(reader->fiber, 0);
}

/* --- the call --- */

static void make_room(struct qs_http_stream *stream)
{
	struct qs_http_buffer *buffer = &stream->buffer;

	if (stream->begin == 0)
		return;
	buffer->size = unread(stream);
	memmove(buffer->data, buffer->data + stream->begin, buffer->size);
	stream->begin = 0;
}

static int data_came(qs_http_call *call _unused_, const void *data, size_t size, void *arg)
{
	struct qs_http_stream *stream = arg;
	int r;

	if (unread(stream) > 0 && unread(stream) + size > QS_HTTP_STREAM_MAX)
		return QS_HTTP_PAUSE;
	if (stream->buffer.size + size >= stream->buffer.capacity)
		make_room(stream);
	r = qs_http_buffer_append(&stream->buffer, data, size);
	if (r == 0)
		wake_reader(stream);
	return r;
}

static void call_over(
        qs_http_call *call _unused_, int result, struct qs_http_response *response, void *arg)
{
	struct qs_http_stream *stream = arg;

	memcpy(stream->error, response->error, sizeof(stream->error));
	qs_http_response_done(response);
	stream->call = NULL;
	stream->result = result;
	wake_reader(stream);
}

/* --- its life --- */

static void release(struct qs_belonging *belonging)
{
	qs_http_close(container_of(belonging, struct qs_http_stream, belonging));
}

int qs_http_stream_new(struct qs_http_call *call, qs_http_stream **ret_stream)
{
	struct qs_http_stream *stream = qs_calloc(1, sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	list_init(&stream->belonging.node);
	stream->belonging.release = release;
	stream->call = call;
	call->handlers = (struct qs_http_handlers){ .data = data_came, .done = call_over };
	call->arg = stream;
	call->moved = NULL;
	*ret_stream = stream;
	return 0;
}

void qs_http_stream_on_close(qs_http_stream *stream, void (*closed)(void *arg), void *arg)
{
	stream->closed = closed;
	stream->arg = arg;
}

void qs_http_stream_own(qs_http_stream *stream, qs_task *self)
{
	list_remove(&stream->belonging.node);
	qs_fiber_own(qs_fiber_of(self), &stream->belonging);
}

const struct qs_http_call *qs_http_stream_call(const qs_http_stream *stream)
{
	return stream->call;
}

void qs_http_close(qs_http_stream *stream)
{
	struct qs_http_stream gone;

	if (!stream)
		return;
	list_remove(&stream->belonging.node);
	if (stream->call)
		qs_http_drop(stream->call, NULL);
	gone = *stream;
	qs_free(stream);
	qs_http_buffer_done(&gone.buffer);
	if (gone.reader)
		qs_fiber_wake(gone.reader->fiber, -ECANCELED);
	if (gone.closed)
		gone.closed(gone.arg);
}

/* --- reading --- */

static void stop_reading(struct qs_wait *wait)
{
	container_of(wait, struct reader, wait)->stream->reader = NULL;
}

static size_t take(struct qs_http_stream *stream, void *buffer, size_t size)
{
	size_t count = MIN(size, unread(stream));

	memcpy(buffer, stream->buffer.data + stream->begin, count);
	stream->begin += count;
	if (unread(stream) == 0)
		stream->begin = stream->buffer.size = 0;
	if (stream->call && unread(stream) <= QS_HTTP_STREAM_MAX / 2)
		qs_http_resume(stream->call);
	return count;
}

ssize_t qs_http_read(
        qs_task *self, qs_http_stream *stream, void *buffer, size_t size, uint64_t deadline)
{
	struct reader reader = {
		.wait = { .name = "HTTP stream",
		        .nature = QS_WAIT_IN_FLIGHT,
		        .abort = stop_reading },
		.fiber = qs_fiber_of(self),
		.stream = stream,
	};
	int r = qs_fiber_check(reader.fiber, QS_WAIT_IN_FLIGHT);

	if (r == 0 && (size == 0 || stream->reader))
		r = -EINVAL;
	if (r == 0 && unread(stream) == 0 && stream->call) {
		stream->reader = &reader;
		r = qs_fiber_wait(reader.fiber, &reader.wait, deadline);
	}
	if (r < 0)
		return r;
	if (unread(stream) == 0)
		return stream->result;
	return (ssize_t)take(stream, buffer, MIN(size, (size_t)SSIZE_MAX));
}

const char *qs_http_stream_error(const qs_http_stream *stream)
{
	return stream->error;
}
