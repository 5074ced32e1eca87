/*
 * An answer that is passed on as it comes. Whoever reads slowly slows the server down: no more is
 * taken from it while much is unsent. Events of text/event-stream are passed on whole, so that the
 * stream can be ended between two of them, with a last one that says why. Loop thread only.
 */
#ifndef QUIESCED_CALL_STREAM_H
#define QUIESCED_CALL_STREAM_H

#include <quiesce/http.h>
#include <quiesce/task.h>

#include "lib/macro.h"

struct call;
struct request;

/* Whether an answer with this head is one to be passed on as it comes. */
bool call_stream_wanted(const struct qs_http_response *head);

/*
 * Begins the answer of whoever waits for the call, and passes the stream on to its end: 0, or what
 * reading has failed with; -ECANCELED: whoever read it has left. In flight.
 */
QS_MUST_CHECK int call_stream_pass(qs_task *self, struct call *call,
        const struct qs_http_response *head, qs_http_stream *stream);

/* The call is over: the last event, the trailer, and the end. */
void call_stream_end(struct call *call, struct request *request);

/* What was held back goes with the call. NULL is fine. */
struct call_stream;
void call_stream_free(struct call_stream *stream);

#endif
