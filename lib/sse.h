/*
 * Where events of a server-sent stream (text/event-stream) end, as its bytes come: so that a stream
 * which is passed through can be left between two events, or at least be left well. Pure; a few
 * bytes of state, however long an event is.
 *
 * An event ends with an empty line; lines end with LF, CR or CRLF. To end a stream in the midst of
 * an event, end its line (QS_SSE_IN_LINE: a line feed) and go on with `event: NAME`: the reader
 * gets one event of that name, and does not take the half for a whole.
 */
#ifndef QS_SSE_H
#define QS_SSE_H

#include <stdbool.h>
#include <stddef.h>

/* Where a stream stands. */
enum qs_sse_place {
	QS_SSE_BETWEEN,  /* events: no byte of the next one has come */
	QS_SSE_IN_EVENT, /* at the begin of a line */
	QS_SSE_IN_LINE
};

struct qs_sse {
	enum qs_sse_place place;
	unsigned char bom; /* so many bytes of one have come; BOM_OVER: there can be none */
	bool after_return; /* a line feed that comes next is the rest of a line's end */
};

/* At the begin of a stream. */
void qs_sse_init(struct qs_sse *sse);

/* Takes the next bytes; returns how many of them come before the end of the last event that ends
 * here; 0: none does. */
size_t qs_sse_feed(struct qs_sse *sse, const void *data, size_t size);

#endif
