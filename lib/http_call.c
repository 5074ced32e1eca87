/*
 * The life of a call: its phases, its timeouts, and what the driver tells of it.
 *
 * Each call has one timer, armed for the earliest of its timeouts. That is moved forward only when
 * an earlier one comes up: a byte that comes in only notes the time, and when the timer is due it
 * looks whether any timeout really is over.
 *
 * A handler may drop its call, and it is freed at once: then it returns an error, after which
 * nobody looks at the call any more. The driver knows, because it was told to drop it too.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/http.h"

#define HEAD_MAX     (256U << 10)
#define RESPONSE_MAX (16U << 20)

/* --- timeouts --- */

struct expiry {
	uint64_t at, span;
	const char *what;
};

static void expires(struct expiry *expiry, uint64_t from, uint64_t span, const char *what)
{
	uint64_t at = qs_time_add(from, span);

	if (at < expiry->at)
		*expiry = (struct expiry){ at, span, what };
}

static struct expiry earliest(const struct qs_http_call *call)
{
	const struct qs_http_limits *limits = &call->limits;
	struct expiry expiry = { call->deadline, 0, "not over by its deadline" };

	expires(&expiry, call->began_at, limits->timeout, "not over");
	switch (call->phase) {
	case QS_HTTP_RESOLVING:
	case QS_HTTP_CONNECTING:
		expires(&expiry, call->connect_at, limits->connect_timeout, "no connection");
		break;
	case QS_HTTP_WAITING:
		expires(&expiry, call->sent_at, limits->first_byte_timeout, "no answer");
		break;
	case QS_HTTP_RECEIVING:
		if (!call->paused)
			expires(&expiry, call->byte_at, limits->idle_timeout,
			        "nothing more of the answer");
		break;
	case QS_HTTP_QUEUED:
	case QS_HTTP_SENDING:
	case QS_HTTP_OVER:
	case QS_HTTP_PHASE_COUNT:
		break;
	}
	return expiry;
}

static void arm(struct qs_http_call *call)
{
	uint64_t at = earliest(call).at;

	if (at != QS_FOREVER && (!qs_timer_armed(&call->timer) || at < call->timer.at))
		qs_timer_arm(&call->timer, at);
}

static void timer_due(struct qs_timer *timer)
{
	struct qs_http_call *call = container_of(timer, struct qs_http_call, timer);
	struct expiry expiry = earliest(call);

	if (expiry.at > qs_loop_now(call->http->loop)) {
		qs_timer_arm(timer, expiry.at);
		return;
	}
	if (expiry.span > 0)
		qs_http_call_explain(call, "%s within %.4g s", expiry.what,
		        (double)expiry.span / (double)QS_SEC);
	else
		qs_http_call_explain(call, "%s", expiry.what);
	qs_http_call_end(call, -ETIME);
}

int qs_http_call_init(struct qs_http_call *call)
{
	int r = qs_timer_init(call->http->loop, &call->timer, timer_due);

	if (r < 0)
		return r;
	list_init(&call->node);
	list_init(&call->in_resuming);
	arm(call);
	return 0;
}

/* --- phases --- */

static uint64_t since_begin(const struct qs_http_call *call)
{
	/* At least 1: 0 is for what has not come. */
	return MAX(qs_time_sub(qs_loop_now(call->http->loop), call->began_at), UINT64_C(1));
}

static void note_time(struct qs_http_call *call, enum qs_http_phase from)
{
	uint64_t now = qs_loop_now(call->http->loop), span = since_begin(call);
	struct qs_http_times *times = &call->times;

	if (from == QS_HTTP_QUEUED)
		times->queued = span;
	switch (call->phase) {
	case QS_HTTP_RESOLVING:
		call->connect_at = now;
		call->http->resolving_count++;
		break;
	case QS_HTTP_CONNECTING:
		times->resolved = span;
		if (from != QS_HTTP_RESOLVING)
			call->connect_at = now;
		break;
	case QS_HTTP_SENDING:
	case QS_HTTP_WAITING:
		if (from < QS_HTTP_SENDING) {
			times->connected = span;
			times->secured = call->is_https ? span : 0;
			call->sent_any = true;
		}
		if (call->phase == QS_HTTP_WAITING) {
			times->sent = span;
			call->sent_at = now;
		}
		break;
	case QS_HTTP_RECEIVING:
		times->first_byte = span;
		call->byte_at = now;
		break;
	case QS_HTTP_QUEUED:
	case QS_HTTP_OVER:
	case QS_HTTP_PHASE_COUNT:
		break;
	}
}

void qs_http_call_reached(struct qs_http_call *call, enum qs_http_phase phase)
{
	enum qs_http_phase from = call->phase;

	if (phase == from)
		return;
	if (from == QS_HTTP_RESOLVING)
		qs_http_lookup_over(call, phase > QS_HTTP_RESOLVING);
	call->phase = phase;
	note_time(call, from);
	arm(call);
	if (call->moved)
		call->moved(call);
}

/* --- the answer --- */

void qs_http_call_status(struct qs_http_call *call, int status)
{
	qs_http_call_reached(call, QS_HTTP_RECEIVING);
	call->status = status;
	call->head.size = 0;
	call->header_count = 0;
	call->head_is_whole = false;
}

/* A NUL within would part it. */
static int add_text(struct qs_http_buffer *buffer, const char *text, size_t size)
{
	int r = qs_http_buffer_append(buffer, text, strnlen(text, size));

	return r < 0 ? r : qs_http_buffer_append(buffer, "", 1);
}

int qs_http_call_header(struct qs_http_call *call, const char *name, size_t name_size,
        const char *value, size_t value_size)
{
	int r;

	call->byte_at = qs_loop_now(call->http->loop);
	if (name_size + value_size > HEAD_MAX - MIN(call->head.size, HEAD_MAX)) {
		qs_http_call_explain(
		        call, "the head of the answer is larger than %u KiB", HEAD_MAX >> 10);
		return -EMSGSIZE;
	}
	r = add_text(&call->head, name, name_size);
	if (r == 0)
		r = add_text(&call->head, value, value_size);
	if (r == 0)
		call->header_count++;
	return r;
}

/* What is gathered has a limit; what is handed on has one only if it was asked for. */
static size_t response_max(const struct qs_http_call *call)
{
	if (call->limits.response_max > 0)
		return call->limits.response_max;
	return call->handlers.data ? SIZE_MAX : RESPONSE_MAX;
}

static int too_large(struct qs_http_call *call)
{
	qs_http_call_explain(call, "the answer is larger than %zu bytes", response_max(call));
	return -EMSGSIZE;
}

/* The length that the answer says it has; 0 if it says none. Of a HEAD's no byte will come. */
static uint64_t announced(const struct qs_http_call *call)
{
	const char *text = qs_http_call_find(call, "content-length");

	if (!text || strcmp(call->method, "HEAD") == 0 || call->status == 304)
		return 0;
	return strtoull(text, NULL, 10);
}

static int expect_body(struct qs_http_call *call)
{
	uint64_t length = announced(call);

	if (length > response_max(call))
		return too_large(call);
	if (call->handlers.data)
		return 0;
	return qs_http_buffer_reserve(&call->answer, (size_t)MIN(length, UINT64_C(1) << 20));
}

int qs_http_call_head(struct qs_http_call *call)
{
	struct qs_http_response response;
	int r = expect_body(call);

	call->head_is_whole = true;
	if (r < 0 || !call->handlers.head)
		return r;
	qs_http_response_init(&response);
	qs_http_response_fill(&response, call);
	r = qs_http_response_take_headers(&response, call);
	if (r == 0)
		r = call->handlers.head(call, &response, call->arg);
	qs_http_response_done(&response);
	return r;
}

void qs_http_call_gather(struct qs_http_call *call)
{
	call->handlers.data = NULL;
}

/* A handler that has dropped the call says no. */
int qs_http_call_data(struct qs_http_call *call, const void *data, size_t size)
{
	int r;

	call->byte_at = qs_loop_now(call->http->loop);
	if (size > response_max(call) - call->taken)
		return too_large(call);
	if (call->handlers.data)
		r = call->handlers.data(call, data, size, call->arg);
	else
		r = qs_http_buffer_append(&call->answer, data, size);
	if (r < 0)
		return r;
	call->paused = r == QS_HTTP_PAUSE;
	if (!call->paused) {
		call->taken += size;
		call->received += size;
	}
	return r;
}

void qs_http_resume(qs_http_call *call)
{
	struct qs_http *http = call->http;

	if (!TAKE(call->paused, false))
		return;
	call->byte_at = qs_loop_now(http->loop);
	arm(call);
	list_append(&http->resuming, &call->in_resuming);
	qs_http_wake(http);
}

void qs_http_call_explain(struct qs_http_call *call, const char *format, ...)
{
	va_list arguments;

	if (call->error[0])
		return;
	va_start(arguments, format);
	(void)vsnprintf(call->error, sizeof(call->error), format, arguments);
	va_end(arguments);
}

/* --- the end --- */

static void leave(struct qs_http_call *call)
{
	struct qs_http *http = call->http;

	if (call->phase != QS_HTTP_QUEUED)
		http->active_count--;
	if (call->phase == QS_HTTP_RESOLVING)
		qs_http_lookup_over(call, false);
	list_remove(&call->node);
	list_remove(&call->in_resuming);
	qs_timer_done(&call->timer);
	if (!list_empty(&http->queue))
		qs_http_wake(http);
}

/* The driver may still have something of it; that is swept up later. */
static void take_from_driver(struct qs_http_call *call)
{
	struct qs_http *http = call->http;

	if (!call->transfer)
		return;
	http->driver->drop(call);
	call->transfer = NULL;
	http->has_dropped = true;
	qs_http_wake(http);
}

static void free_call(struct qs_http_call *call)
{
	qs_http_buffer_done(&call->head);
	qs_http_buffer_done(&call->answer);
	qs_free(call);
}

void qs_http_call_over(struct qs_http_call *call, int result)
{
	struct qs_http_response response;
	int r;

	if (result == -EHOSTUNREACH && call->phase == QS_HTTP_RESOLVING)
		qs_http_lookup_failed(call);
	qs_http_call_explain(call, "%s", qs_http_error_text(result));
	leave(call);
	if (result == 0)
		call->phase = QS_HTTP_OVER;
	qs_http_response_init(&response);
	qs_http_response_fill(&response, call);
	qs_http_response_take_body(&response, call);
	r = qs_http_response_take_headers(&response, call);
	call->handlers.done(call, result < 0 ? result : r, &response, call->arg);
	free_call(call);
}

void qs_http_call_end(struct qs_http_call *call, int result)
{
	take_from_driver(call);
	qs_http_call_over(call, result);
}

void qs_http_drop(qs_http_call *call, struct qs_http_response *ret_response)
{
	take_from_driver(call);
	leave(call);
	if (ret_response) {
		qs_http_response_init(ret_response);
		qs_http_response_fill(ret_response, call);
	}
	free_call(call);
}

void qs_http_progress(const qs_http_call *call, struct qs_http_progress *ret_progress)
{
	*ret_progress = (struct qs_http_progress){
		.phase = call->phase,
		.began_at = call->began_at,
		.received = call->received,
		.sent = call->sent,
		.host = call->host,
	};
}
