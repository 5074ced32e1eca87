/*
 * The life of a flight: its states, and who waits for it. What a wait is changes with the state,
 * while it goes on: to wait for one's turn or in a back-off is idle and ends on ask, a request is
 * in flight and ends on cancel.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/gate.h"
#include "lib/http.h"

/* --- states --- */

#define NAME(value, name) name,
static const char *const state_names[] = { QS_FLIGHT_STATE_MAP(NAME) };
#undef NAME
static_assert(ARRAY_SIZE(state_names) == QS_FLIGHT_STATE_COUNT, "each has a name");

static const enum qs_flight_state table[QS_FLIGHT_STATE_COUNT][QS_FLIGHT_EVENT_COUNT] = {
	[QS_FLIGHT_QUEUED] = {
		[QS_FLIGHT_ADMIT] = QS_FLIGHT_IN_FLIGHT,
		[QS_FLIGHT_END] = QS_FLIGHT_OVER, /* it cannot even begin */
		[QS_FLIGHT_DROP] = QS_FLIGHT_OVER,
	},
	[QS_FLIGHT_IN_FLIGHT] = {
		[QS_FLIGHT_AGAIN] = QS_FLIGHT_BACKOFF,
		[QS_FLIGHT_OPENED] = QS_FLIGHT_OPEN,
		[QS_FLIGHT_END] = QS_FLIGHT_OVER,
		[QS_FLIGHT_DROP] = QS_FLIGHT_OVER,
	},
	[QS_FLIGHT_BACKOFF] = {
		[QS_FLIGHT_DUE] = QS_FLIGHT_QUEUED,
		[QS_FLIGHT_DROP] = QS_FLIGHT_OVER,
	},
	[QS_FLIGHT_OPEN] = {
		[QS_FLIGHT_END] = QS_FLIGHT_OVER, /* the stream was closed */
	},
};

enum qs_flight_state qs_flight_next(enum qs_flight_state state, enum qs_flight_event event)
{
	return table[state][event];
}

/* --- its memory --- */

void qs_flight_free(struct qs_flight *flight)
{
	qs_timer_done(&flight->timer);
	qs_http_response_done(&flight->last);
	qs_cache_value_release(flight->value);
	qs_free(flight);
}

/* Room for a copy of all that the request points at, and the copying: with `at` NULL it counts. */
static char *copy_bytes(char **at, size_t *size, const void *bytes, size_t count)
{
	char *copy = *at;

	*size += count;
	if (!copy)
		return NULL;
	*at = copy + count;
	return count > 0 ? memcpy(copy, bytes, count) : copy;
}

static char *copy_text(char **at, size_t *size, const char *text)
{
	return text ? copy_bytes(at, size, text, strlen(text) + 1) : NULL;
}

/* The headers come first: they are pointers. */
static size_t copy_request(
        struct qs_http_request *copy, const struct qs_http_request *from, char *at)
{
	size_t size = 0, count = 0;
	struct qs_http_header *headers = (struct qs_http_header *)at;

	*copy = *from;
	while (from->headers && from->headers[count].name)
		count++;
	(void)copy_bytes(&at, &size, from->headers, count * sizeof(*headers));
	(void)copy_bytes(&at, &size, &(struct qs_http_header){ 0 }, sizeof(*headers));
	for (size_t i = 0; i < count; i++) {
		const char *name = copy_text(&at, &size, from->headers[i].name);
		const char *value = copy_text(&at, &size, from->headers[i].value);

		if (headers)
			headers[i] = (struct qs_http_header){ name, value };
	}
	copy->headers = headers;
	copy->method = copy_text(&at, &size, from->method);
	copy->url = copy_text(&at, &size, from->url);
	if (from->body)
		copy->body = copy_bytes(&at, &size, from->body, from->body_size);
	return size;
}

static void backoff_due(struct qs_timer *timer)
{
	qs_flight_step(container_of(timer, struct qs_flight, timer), QS_FLIGHT_DUE);
}

static int set_up(struct qs_flight *flight, const struct qs_digest *digest)
{
	int r = qs_timer_init(flight->gate->context->loop, &flight->timer, backoff_due);

	if (r < 0 || !digest)
		return r;
	flight->value = qs_cache_value_new();
	if (!flight->value) {
		qs_timer_done(&flight->timer);
		return -ENOMEM;
	}
	flight->is_shareable = true;
	flight->in_table.digest = *digest;
	qs_table_add(&flight->gate->shared, &flight->in_table);
	return 0;
}

int qs_flight_new(qs_gate *gate, const struct qs_http_request *request,
        const struct qs_digest *digest, bool is_stream, struct qs_flight **ret_flight)
{
	struct qs_http_request copy;
	size_t size = sizeof(struct qs_flight) + (digest ? copy_request(&copy, request, NULL) : 0);
	struct qs_flight *flight = qs_malloc(size);
	int r;

	if (!flight)
		return -ENOMEM;
	memset(flight, 0, sizeof(*flight));
	flight->gate = gate;
	flight->request = *request;
	if (digest)
		(void)copy_request(&flight->request, request, (char *)(flight + 1));
	flight->is_idempotent = qs_retry_is_idempotent(qs_gate_method(request));
	flight->is_stream = is_stream;
	list_init(&flight->waiters);
	qs_http_response_init(&flight->last);
	r = set_up(flight, digest);
	if (r < 0) {
		qs_free(flight);
		return r;
	}
	flight->state = QS_FLIGHT_QUEUED;
	gate->count[QS_FLIGHT_QUEUED]++;
	list_append(&gate->flights[QS_FLIGHT_QUEUED], &flight->node);
	qs_job_schedule(gate->context->loop, &gate->job);
	*ret_flight = flight;
	return 0;
}

struct qs_flight *qs_flight_find(const qs_gate *gate, const struct qs_digest *digest)
{
	struct qs_table_node *node = qs_table_find(&gate->shared, digest);

	return node ? container_of(node, struct qs_flight, in_table) : NULL;
}

/* --- steps --- */

static enum qs_wait_nature nature_of(enum qs_flight_state state)
{
	return state == QS_FLIGHT_IN_FLIGHT ? QS_WAIT_IN_FLIGHT : QS_WAIT_IDLE;
}

/* Some are asked already: they leave where the wait becomes an idle one. */
static void tell_waiters(struct qs_flight *flight)
{
	flight->pinned = true;
	list_for_each (node, &flight->waiters)
		qs_fiber_change_wait(list_entry(node, struct qs_gate_waiter, node)->fiber,
		        nature_of(flight->state), state_names[flight->state]);
	flight->pinned = false;
	if (list_empty(&flight->waiters))
		qs_flight_step(flight, QS_FLIGHT_DROP);
}

static void end(struct qs_flight *flight)
{
	if (flight->is_shareable)
		qs_table_remove(&flight->gate->shared, &flight->in_table);
	if (flight->has_reader)
		qs_table_remove(&flight->gate->readers, &flight->in_table);
	qs_flight_free(flight);
}

/* Who comes back from a back-off has waited longest. */
static void enter(struct qs_flight *flight, enum qs_flight_event event)
{
	struct list *list = &flight->gate->flights[flight->state];

	list_append(event == QS_FLIGHT_DUE ? list->next : list, &flight->node);
	flight->gate->count[flight->state]++;
}

void qs_flight_step(struct qs_flight *flight, enum qs_flight_event event)
{
	qs_gate *gate = flight->gate;
	enum qs_flight_state next = qs_flight_next(flight->state, event);

	assert(next != QS_FLIGHT_NONE);
	list_remove(&flight->node);
	gate->count[flight->state]--;
	/* There is one more in the queue, or one less in flight. */
	if (event != QS_FLIGHT_ADMIT && event != QS_FLIGHT_OPENED)
		qs_job_schedule(gate->context->loop, &gate->job);
	flight->state = next;
	if (next == QS_FLIGHT_OVER) {
		end(flight);
		return;
	}
	enter(flight, event);
	if (next != QS_FLIGHT_OPEN)
		tell_waiters(flight);
}

/* --- who waits --- */

void qs_flight_join(struct qs_flight *flight, struct qs_gate_waiter *waiter)
{
	list_append(&flight->waiters, &waiter->node);
	waiter->flight = flight;
	waiter->wait.nature = nature_of(flight->state);
	waiter->wait.name = state_names[flight->state];
}

/* Without memory: somebody who is killed could not give it back. */
static void copy_outline(struct qs_http_response *outline, const struct qs_http_response *from)
{
	struct qs_http_response empty;

	qs_http_response_init(&empty);
	*outline = *from;
	outline->headers = empty.headers;
	outline->body = empty.body;
	outline->body_size = 0;
	outline->memory = NULL;
}

static void outline_of_progress(struct qs_http_response *outline, const struct qs_flight *flight)
{
	struct qs_http_progress progress;

	qs_http_progress(flight->call, &progress);
	qs_http_response_init(outline);
	outline->phase = progress.phase;
	outline->received = progress.received;
	outline->sent = progress.sent;
	outline->times.total = qs_time_sub(qs_gate_now(flight->gate), progress.began_at);
	(void)stpncpy(outline->host, progress.host, sizeof(outline->host) - 1);
}

void qs_flight_leave(struct qs_wait *wait)
{
	struct qs_gate_waiter *waiter = container_of(wait, struct qs_gate_waiter, wait);
	struct qs_flight *flight = TAKE(waiter->flight, NULL);
	struct qs_gate_answer *answer = waiter->answer;

	list_remove(&waiter->node);
	answer->attempts = flight->attempts;
	if (!flight->call)
		copy_outline(&answer->response, &flight->last);
	else if (list_empty(&flight->waiters))
		qs_http_drop(TAKE(flight->call, NULL), &answer->response);
	else
		outline_of_progress(&answer->response, flight);
	if (list_empty(&flight->waiters) && !flight->pinned)
		qs_flight_step(flight, QS_FLIGHT_DROP);
}
