/*
 * A fiber's side of a call: whether it needs a flight at all, and the wait for it. An answer is
 * written where the caller wants it by whoever ends the wait; nothing of it needs to be given back
 * when the wait was ended from outside.
 */
#include <errno.h>
#include <limits.h>

#include "lib/fiber_internal.h"
#include "lib/gate.h"
#include "lib/http.h"

static const struct qs_gate_answer no_answer = { .attempts = 0 };

static void init_answer(struct qs_gate_answer *answer)
{
	*answer = no_answer;
	qs_http_response_init(&answer->response);
}

void qs_gate_answer_done(struct qs_gate_answer *answer)
{
	struct qs_cache_value *value = TAKE(answer->memory, NULL);

	/* What is shared belongs to the value. */
	if (value) {
		qs_cache_value_release(value);
		qs_http_response_init(&answer->response);
	}
	qs_http_response_done(&answer->response);
}

/* --- the wait --- */

/* It was told, and is killed before it hears of it. */
static void throw_away(struct qs_wait *wait)
{
	struct qs_gate_waiter *waiter = container_of(wait, struct qs_gate_waiter, wait);

	qs_gate_answer_done(waiter->answer);
	qs_http_close(waiter->stream);
}

static uint64_t earliest_deadline(const struct qs_fiber *fiber, uint64_t deadline)
{
	if (qs_fiber_is_shielded(fiber))
		return MIN(deadline, fiber->shield);
	return MIN(MIN(deadline, fiber->deadline), qs_group_deadline(fiber->task.group));
}

static int wait_for(struct qs_gate_waiter *waiter, struct qs_flight *flight, uint64_t deadline)
{
	int r;

	waiter->wait.abort = qs_flight_leave;
	waiter->wait.undo = throw_away;
	waiter->deadline = earliest_deadline(waiter->fiber, deadline);
	qs_flight_join(flight, waiter);
	r = qs_fiber_wait(waiter->fiber, &waiter->wait, deadline);
	return r < 0 ? r : waiter->result;
}

/* --- flights --- */

/* How many could begin just now, were nobody in the queue. */
static unsigned room(const qs_gate *gate)
{
	unsigned in_flight = gate->count[QS_FLIGHT_IN_FLIGHT] + gate->count[QS_FLIGHT_OPEN];
	unsigned permits = gate->concurrency == 0 ? UINT_MAX : gate->concurrency - in_flight;

	return MIN(permits, qs_bucket_available(&gate->bucket, qs_gate_now(gate)));
}

static bool is_full(const qs_gate *gate)
{
	return gate->backlog > 0 &&
	       gate->count[QS_FLIGHT_QUEUED] >= (uint64_t)room(gate) + gate->backlog;
}

static int fly(struct qs_gate_waiter *waiter, qs_gate *gate, const struct qs_http_request *request,
        const struct qs_digest *digest, uint64_t deadline)
{
	struct qs_flight *flight = digest ? qs_flight_find(gate, digest) : NULL;
	int r;

	if (flight) {
		gate->joined++;
		waiter->is_shared = true;
		return wait_for(waiter, flight, deadline);
	}
	if (is_full(gate))
		return -EAGAIN;
	r = qs_flight_new(gate, request, digest, waiter->is_stream, &flight);
	if (r < 0)
		return r;
	qs_retry_budget_call(&gate->budget, qs_gate_now(gate));
	return wait_for(waiter, flight, deadline);
}

/* --- calls --- */

static bool answer_from_cache(
        qs_gate *gate, const struct qs_digest *digest, struct qs_gate_answer *answer)
{
	struct qs_cache_value *value = qs_cache_find(&gate->cache, digest, qs_gate_now(gate));

	if (!value)
		return false;
	gate->hits++;
	answer->response = value->response;
	/* Nothing of this went over a wire. */
	answer->response.received = answer->response.sent = 0;
	answer->response.times = (struct qs_http_times){ 0 };
	answer->source = QS_GATE_CACHE;
	answer->memory = value;
	return true;
}

/* An answer from the cache begins nothing, so it is there after an ask too. */
int qs_gate_call(qs_task *self, qs_gate *gate, const struct qs_http_request *request,
        uint64_t deadline, struct qs_gate_answer *ret_answer)
{
	struct qs_gate_waiter waiter = { .fiber = qs_fiber_of(self), .answer = ret_answer };
	bool may_share = gate->has_cache && qs_gate_may_share(request);
	struct qs_digest digest;
	int r = qs_fiber_check(waiter.fiber, QS_WAIT_IN_FLIGHT);

	init_answer(ret_answer);
	if (r < 0)
		return r;
	gate->calls++;
	if (may_share) {
		digest = qs_gate_digest(gate, request);
		if (answer_from_cache(gate, &digest, ret_answer))
			return 0;
	}
	r = qs_fiber_check(waiter.fiber, QS_WAIT_IDLE);
	return r < 0 ? r : fly(&waiter, gate, request, may_share ? &digest : NULL, deadline);
}

int qs_gate_open(qs_task *self, qs_gate *gate, const struct qs_http_request *request,
        uint64_t deadline, struct qs_gate_answer *ret_answer, qs_http_stream **ret_stream)
{
	struct qs_gate_waiter waiter = {
		.fiber = qs_fiber_of(self), .answer = ret_answer, .is_stream = true
	};
	int r = qs_fiber_check(waiter.fiber, QS_WAIT_IDLE);

	init_answer(ret_answer);
	if (r < 0)
		return r;
	gate->calls++;
	r = fly(&waiter, gate, request, NULL, deadline);
	if (r < 0)
		return r;
	if (waiter.stream)
		qs_http_stream_own(waiter.stream, self);
	*ret_stream = waiter.stream;
	return 0;
}
