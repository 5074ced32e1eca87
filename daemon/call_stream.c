/*
 * Streams: from the server's answer to the control socket, by way of the call's fiber, which waits
 * for the one or for the other.
 */
#include "daemon/call_stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/call.h"
#include "daemon/call_answer.h"
#include "daemon/control_internal.h"
#include "lib/fiber.h"
#include "lib/sse.h"

#define UNSENT_MAX (64U << 10) /* then the reader has to catch up */
#define HELD_MAX   (64U << 10) /* of an event that is not whole; a larger one is not held back */
#define READ_SIZE  (16U << 10)

struct call_stream {
	bool has_events; /* text/event-stream */
	struct qs_sse sse;
	char *held; /* the beginning of an event */
	size_t held_size, held_room;
	bool cut; /* part of an event has gone, the rest has not */
	char buffer[READ_SIZE];
};

void call_stream_free(struct call_stream *stream)
{
	if (stream)
		free(stream->held);
	free(stream);
}

/* --- which --- */

/* Whether a media type is that one, whatever its parameters. */
static bool type_is(const char *type, const char *wanted)
{
	size_t length = type ? strcspn(type, "; \t") : 0;

	return length == strlen(wanted) && strncasecmp(type, wanted, length) == 0;
}

bool call_stream_wanted(const struct qs_http_response *head)
{
	const char *type = qs_http_response_header(head, "Content-Type");
	const char *coding = qs_http_response_header(head, "Transfer-Encoding");

	return type_is(type, "text/event-stream") || type_is(type, "application/x-ndjson") ||
	       (coding && strcasestr(coding, "chunked") &&
	               !qs_http_response_header(head, "Content-Length"));
}

/* --- passing on --- */

struct room_wait {
	struct qs_wait wait;
	struct request *request;
};

static void stop_waiting(struct qs_wait *wait)
{
	container_of(wait, struct room_wait, wait)->request->drained = NULL;
}

static void room_came(struct request *request)
{
	const struct call *call = request->arg;

	if (call->task)
		qs_fiber_wake(qs_fiber_of(call->task), 0);
}

/* Until whoever reads has caught up. A hang-up cancels the call. */
static int await_room(qs_task *self, struct call *call)
{
	struct request *request = call->request;
	struct room_wait room = {
		.wait = { .name = "a slow reader",
		        .nature = QS_WAIT_IN_FLIGHT,
		        .abort = stop_waiting },
		.request = request,
	};

	if (!request)
		return -ECANCELED;
	if (request->transport->unsent(request) <= UNSENT_MAX)
		return 0;
	request->drained = room_came;
	return qs_fiber_wait(qs_fiber_of(self), &room.wait, QS_FOREVER);
}

static void write_on(struct call *call, const void *data, size_t size)
{
	if (call->request)
		call->request->transport->write(call->request, data, size);
}

static int hold(struct call_stream *stream, const char *data, size_t size)
{
	size_t room = stream->held_room ? stream->held_room : 1024;

	while (room < stream->held_size + size)
		room *= 2;
	if (room > stream->held_room) {
		char *held = realloc(stream->held, room);

		if (!held)
			return -ENOMEM;
		stream->held = held;
		stream->held_room = room;
	}
	memcpy(stream->held + stream->held_size, data, size);
	stream->held_size += size;
	return 0;
}

static void release_held(struct call *call)
{
	struct call_stream *stream = call->stream;

	write_on(call, stream->held, stream->held_size);
	stream->held_size = 0;
}

/* Whole events go on at once; what comes after the last of them waits for its end. */
static void pass_events(struct call *call, const char *data, size_t size)
{
	struct call_stream *stream = call->stream;
	size_t whole = qs_sse_feed(&stream->sse, data, size);

	if (whole > 0) {
		release_held(call);
		write_on(call, data, whole);
		stream->cut = false;
	}
	size_t rest = size - whole;
	if (!stream->cut && stream->held_size + rest <= HELD_MAX &&
	        hold(stream, data + whole, rest) == 0)
		return;
	release_held(call);
	write_on(call, data + whole, rest);
	stream->cut = stream->sse.place != QS_SSE_BETWEEN;
}

static int pass_some(qs_task *self, struct call *call, qs_http_stream *source)
{
	struct call_stream *stream = call->stream;
	ssize_t size =
	        qs_http_read(self, source, stream->buffer, sizeof(stream->buffer), QS_FOREVER);

	if (size <= 0)
		return (int)size;
	call->result.received += (size_t)size;
	if (stream->has_events)
		pass_events(call, stream->buffer, (size_t)size);
	else
		write_on(call, stream->buffer, (size_t)size);
	int r = await_room(self, call);
	return r < 0 ? r : 1;
}

static int begin(struct call *call, const struct qs_http_response *head)
{
	char id[24], attempts[16];
	const struct answer_header headers[] = {
		{ "Quiesced-Call", id },
		{ "Quiesced-Attempts", attempts },
		{ "Quiesced-Source", "server" },
		{ "Trailer", "Quiesced-Status, Quiesced-Verdict" },
		{ NULL, NULL },
	};
	const char *type = qs_http_response_header(head, "Content-Type");
	struct call_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	if (!call->request) {
		free(stream);
		return -ECANCELED;
	}
	stream->has_events = type_is(type, "text/event-stream");
	qs_sse_init(&stream->sse);
	call->stream = stream;
	snprintf(id, sizeof(id), "%" PRIu64, call->id);
	snprintf(attempts, sizeof(attempts), "%u", call->result.attempts);
	call->request->transport->begin(
	        call->request, &(struct answer){ .status = 200,
	                               .type = type ? type : "application/octet-stream",
	                               .headers = headers });
	return 0;
}

int call_stream_pass(qs_task *self, struct call *call, const struct qs_http_response *head,
        qs_http_stream *source)
{
	int r = begin(call, head);

	if (r < 0)
		return r;
	do
		r = pass_some(self, call, source);
	while (r > 0);
	return r;
}

/* --- the end --- */

/* A half of an event that has gone becomes part of the last one, of which the name counts. */
static void write_last_event(const struct call *call, struct request *request)
{
	const struct call_stream *stream = call->stream;
	const char *name = call->cause == QS_CAUSE_SHUTDOWN ? "shutdown" : "error";
	_cleanup_(freep) char *data = call_problem_text(call);
	_cleanup_(freep) char *event = NULL;
	const char *before = stream->cut && stream->sse.place == QS_SSE_IN_LINE ? "\n" : "";

	int size = asprintf(&event, "%sevent: %s\ndata: %s\n\n", before, name,
	        data ? data : "{\"detail\":\"out of memory\"}");
	if (size > 0)
		request->transport->write(request, event, (size_t)size);
	else
		event = NULL;
}

void call_stream_end(struct call *call, struct request *request)
{
	struct call_stream *stream = call->stream;
	bool good = call_is_good(call);
	char trailer[96];

	if (good && stream->held_size > 0)
		request->transport->write(request, stream->held, stream->held_size);
	else if (!good && stream->has_events)
		write_last_event(call, request);
	snprintf(trailer, sizeof(trailer), "Quiesced-Status: %d\r\nQuiesced-Verdict: %s\r\n",
	        call_status(call), qs_verdict_name(call->verdict));
	request->transport->end(request, trailer);
}
