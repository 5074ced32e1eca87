/* One request of a flight: when it may begin, what came of it, and whether there is another. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/gate.h"
#include "lib/http.h"

/* --- what came of it --- */

/* In a simulation the first day of 1970 is today. */
static uint64_t wall_time(const qs_gate *gate)
{
	const struct qs_clock *clock = gate->context->clock;

	return clock->is_virtual ? qs_gate_now(gate) / QS_USEC : qs_clock_wall_usec();
}

static uint64_t retry_after(const qs_gate *gate, const struct qs_http_response *response)
{
	const char *text = qs_http_response_header(response, "retry-after");
	uint64_t span = 0;

	if (!text || qs_retry_after_parse(text, wall_time(gate), &span) < 0)
		return 0;
	return span;
}

/* When the last of them will have left. */
static uint64_t latest_deadline(const struct qs_flight *flight)
{
	uint64_t latest = 0;

	list_for_each (node, &flight->waiters)
		latest = MAX(latest, list_entry(node, struct qs_gate_waiter, node)->deadline);
	return latest;
}

/* When it is tried again; 0: it is not. */
static uint64_t again_at(
        struct qs_flight *flight, int result, const struct qs_http_response *response)
{
	qs_gate *gate = flight->gate;
	struct qs_retry_attempt attempt = {
		.number = flight->attempts,
		.idempotent = flight->is_idempotent,
		.sent_any = response->sent_any,
		.error = result,
		.status = response->status,
		.retry_after = retry_after(gate, response),
		.now = qs_gate_now(gate),
		.deadline = latest_deadline(flight),
	};
	uint64_t at = 0;
	enum qs_retry use =
	        qs_retry_decide(&gate->plan, &attempt, &gate->budget, &gate->random, &at);

	gate->refused += use == QS_RETRY_BUDGET;
	return use == QS_RETRY_AGAIN ? MAX(at, UINT64_C(1)) : 0;
}

/* --- telling --- */

static void tell(struct qs_gate_waiter *waiter, int result)
{
	struct qs_flight *flight = TAKE(waiter->flight, NULL);

	list_remove(&waiter->node);
	waiter->answer->attempts = flight->attempts;
	waiter->answer->source = waiter->is_shared ? QS_GATE_SHARED : QS_GATE_SERVER;
	waiter->result = result;
	/* Whatever the result: one that is killed before it hears gives the answer back. */
	qs_fiber_wake(waiter->fiber, 0);
}

static struct qs_gate_waiter *first_waiter(const struct qs_flight *flight)
{
	return list_entry(flight->waiters.next, struct qs_gate_waiter, node);
}

static void tell_all(struct qs_flight *flight, int result)
{
	while (!list_empty(&flight->waiters)) {
		struct qs_gate_waiter *waiter = first_waiter(flight);

		waiter->answer->response = flight->value->response;
		waiter->answer->memory = qs_cache_value_hold(flight->value);
		tell(waiter, result);
	}
}

void qs_flight_finish(struct qs_flight *flight, int result, struct qs_http_response *response)
{
	qs_gate *gate = flight->gate;

	if (flight->is_shareable) {
		flight->value->response = *response;
		if (result == 0 && qs_gate_may_keep(response))
			qs_cache_put(&gate->cache, &flight->in_table.digest, flight->value,
			        qs_gate_now(gate));
		tell_all(flight, result);
	} else {
		first_waiter(flight)->answer->response = *response;
		tell(first_waiter(flight), result);
	}
	qs_flight_step(flight, QS_FLIGHT_END);
}

/* --- handlers of the request --- */

static void attempt_over(
        qs_http_call *call _unused_, int result, struct qs_http_response *response, void *arg)
{
	struct qs_flight *flight = arg;
	uint64_t at = TAKE(flight->again_at, 0);

	flight->call = NULL;
	if (at == 0 && !(TAKE(flight->judged, false) && result == 0))
		at = again_at(flight, result, response);
	if (at == 0) {
		qs_flight_finish(flight, result, response);
		return;
	}
	flight->last = *response;
	qs_timer_arm(&flight->timer, at);
	qs_flight_step(flight, QS_FLIGHT_AGAIN);
}

/* --- streams --- */

static void stream_closed(void *arg)
{
	struct qs_flight *flight = arg;

	if (flight->gate)
		qs_flight_step(flight, QS_FLIGHT_END);
	else
		qs_flight_free(flight);
}

static int open_stream(
        struct qs_flight *flight, qs_http_call *call, const struct qs_http_response *response)
{
	struct qs_gate_waiter *waiter = first_waiter(flight);
	int r = qs_http_response_copy(response, &waiter->answer->response);

	if (flight->gate->streams)
		call->limits.response_max = SIZE_MAX;
	if (r == 0)
		r = qs_http_stream_new(call, &flight->stream);
	if (r < 0) {
		qs_http_response_done(&waiter->answer->response);
		return r;
	}
	qs_http_stream_on_close(flight->stream, stream_closed, flight);
	flight->call = NULL;
	flight->has_reader = true;
	flight->in_table.digest = qs_gate_reader_digest(waiter->fiber);
	qs_table_add(&flight->gate->readers, &flight->in_table);
	waiter->stream = flight->stream;
	tell(waiter, 0);
	qs_flight_step(flight, QS_FLIGHT_OPENED);
	return 0;
}

/* A head that is to be tried again is not opened: its request ends here. */
static int head_came(qs_http_call *call, const struct qs_http_response *response, void *arg)
{
	struct qs_flight *flight = arg;

	const qs_gate *gate = flight->gate;

	flight->again_at = again_at(flight, 0, response);
	if (flight->again_at > 0)
		return -ECANCELED;
	if (!gate->streams || gate->streams(response, gate->streams_arg))
		return open_stream(flight, call, response);
	flight->judged = true;
	qs_http_call_gather(call);
	return 0;
}

/* By then it is the stream's. */
static int no_data(qs_http_call *call _unused_, const void *data _unused_, size_t size _unused_,
        void *arg _unused_)
{
	return -EIO;
}

/* --- the begin --- */

static const struct qs_http_handlers whole = { .done = attempt_over };
static const struct qs_http_handlers streaming = {
	.head = head_came,
	.data = no_data,
	.done = attempt_over,
};

static void not_begun(struct qs_flight *flight, int result)
{
	struct qs_http_response response;

	qs_http_response_refuse(&response, &flight->request, result);
	qs_flight_finish(flight, result, &response);
}

static void begin(struct qs_flight *flight)
{
	qs_gate *gate = flight->gate;
	int r = qs_http_start(gate->http, &flight->request, QS_FOREVER,
	        flight->is_stream ? &streaming : &whole, flight, &flight->call);

	if (r < 0) {
		not_begun(flight, r);
		return;
	}
	qs_http_response_done(&flight->last);
	qs_bucket_take(&gate->bucket, qs_gate_now(gate));
	gate->requests++;
	gate->retries += flight->attempts > 0;
	flight->attempts++;
	qs_flight_step(flight, QS_FLIGHT_ADMIT);
}

static bool has_permit(const qs_gate *gate)
{
	unsigned in_flight = gate->count[QS_FLIGHT_IN_FLIGHT] + gate->count[QS_FLIGHT_OPEN];

	return gate->concurrency == 0 || in_flight < gate->concurrency;
}

void qs_gate_admit(struct qs_job *job)
{
	qs_gate *gate = container_of(job, struct qs_gate, job);
	struct list *queue = &gate->flights[QS_FLIGHT_QUEUED];

	qs_timer_disarm(&gate->timer);
	while (!list_empty(queue) && has_permit(gate)) {
		uint64_t now = qs_gate_now(gate), at = qs_bucket_free_at(&gate->bucket, now);

		if (at > now) {
			qs_timer_arm(&gate->timer, at);
			return;
		}
		begin(list_entry(queue->next, struct qs_flight, node));
	}
}
