/*
 * Requests that are not answered at once: those that wait for something (?wait=10s), and the
 * streams of events. Both are forgotten when their client goes. A stream never grows without bound:
 * who does not keep up is told so and cut.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/control_internal.h"
#include "daemon/routes.h"

#define STREAM_TYPE "application/x-ndjson"

struct wait {
	struct list node;
	struct request *request;
	struct qs_timer timer;
	wait_fn fn;
	uint64_t mark;
};

struct stream {
	struct list node;
	struct request *request;
	struct events_observer observer;
};

void pending_init(struct pending *pending, struct qs_loop *loop, size_t stream_backlog)
{
	*pending = (struct pending){ .loop = loop, .stream_backlog = stream_backlog };
	list_init(&pending->waits);
	list_init(&pending->streams);
}

/* --- waits --- */

int wait_parse(struct request *request, uint64_t *ret_span)
{
	char text[64];
	int r = query_get(request->query, "wait", text, sizeof(text));

	*ret_span = 0;
	if (r == 0)
		return 0;
	if (r > 0 && !*text) {
		*ret_span = QS_FOREVER;
		return 0;
	}
	if (r > 0)
		r = span_parse(text, ret_span);
	if (r < 0) {
		answer_problem(request, 400, "wait: not a span of time such as 10s or 1min");
		return -EINVAL;
	}
	return 0;
}

static void wait_free(struct wait *wait)
{
	list_remove(&wait->node);
	qs_timer_done(&wait->timer);
	free(wait);
}

static void wait_gone(struct request *request)
{
	wait_free(request->arg);
}

/* Once it is answered the request is not ours to write to. */
static void wait_look(struct wait *wait, enum wait_moment moment)
{
	struct request *request = wait->request;

	request->gone = NULL;
	if (wait->fn(request, wait->mark, moment))
		wait_free(wait);
	else
		request->gone = wait_gone;
}

static void wait_is_over(struct qs_timer *timer)
{
	wait_look(container_of(timer, struct wait, timer), WAIT_OVER);
}

void wait_begin(struct request *request, uint64_t span, wait_fn fn, uint64_t mark)
{
	struct pending *pending = request->pending;

	if (span == 0) {
		(void)fn(request, mark, WAIT_OVER);
		return;
	}
	if (fn(request, mark, WAIT_CHECK))
		return;
	struct wait *wait = calloc(1, sizeof(*wait));
	if (!wait || qs_timer_init(pending->loop, &wait->timer, wait_is_over) < 0) {
		free(wait);
		(void)fn(request, mark, WAIT_OVER);
		return;
	}
	wait->request = request;
	wait->fn = fn;
	wait->mark = mark;
	list_append(&pending->waits, &wait->node);
	request->arg = wait;
	request->gone = wait_gone;
	qs_timer_arm(&wait->timer, qs_time_add(qs_loop_now(pending->loop), span));
}

static void look_at_all(struct pending *pending, enum wait_moment moment)
{
	list_for_each (node, &pending->waits)
		wait_look(list_entry(node, struct wait, node), moment);
}

void pending_consider(struct pending *pending)
{
	look_at_all(pending, WAIT_CHECK);
}

/* --- streams --- */

static void stream_free(struct stream *stream)
{
	events_unsubscribe(&stream->observer);
	list_remove(&stream->node);
	free(stream);
}

static void stream_gone(struct request *request)
{
	stream_free(request->arg);
}

static void stream_end(struct stream *stream, const char *last_words)
{
	struct request *request = stream->request;

	request->transport->send(request, last_words, strlen(last_words));
	request->gone = NULL;
	stream_free(stream);
	request->transport->end(request, NULL);
}

static void stream_event(struct events_observer *observer, const char *line, size_t length)
{
	struct stream *stream = container_of(observer, struct stream, observer);
	struct request *request = stream->request;

	if (request->transport->unsent(request) > request->pending->stream_backlog) {
		stream_end(stream, "{\"event\":\"lost\"}");
		return;
	}
	request->transport->send(request, line, length);
}

void stream_begin(struct request *request, struct events *events)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream) {
		answer_json(request, 500, NULL);
		return;
	}
	stream->request = request;
	stream->observer.event = stream_event;
	list_append(&request->pending->streams, &stream->node);
	request->arg = stream;
	request->gone = stream_gone;
	request->transport->begin(request, &(struct answer){ .status = 200, .type = STREAM_TYPE });
	events_subscribe(events, &stream->observer);
}

/* --- the end --- */

void pending_finish(struct pending *pending)
{
	look_at_all(pending, WAIT_CLOSING);
	list_for_each (node, &pending->streams)
		stream_end(list_entry(node, struct stream, node), "{\"event\":\"end\"}");
}
