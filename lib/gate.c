/* The life of a gate, and what it tells of itself. */
#include <quiesce/gate.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "lib/alloc.h"
#include "lib/fiber_internal.h"
#include "lib/gate.h"
#include "lib/http.h"

#define USUAL_WITHIN QS_SEC
#define USUAL_TTL    QS_MIN

/* --- copies of what the options point at --- */

static int copy_statuses(qs_gate *gate, const int *statuses)
{
	size_t count = 1;
	int *copy;

	gate->plan.statuses = NULL;
	if (!statuses)
		return 0;
	while (statuses[count - 1] != 0)
		count++;
	copy = qs_malloc(count * sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	gate->plan.statuses = memcpy(copy, statuses, count * sizeof(*copy));
	return 0;
}

/* One piece: the array, then the names. */
static int copy_names(qs_gate *gate, const char *const *names)
{
	size_t count = 0, size = 0;
	char *at;

	if (!names)
		return 0;
	for (; names[count]; count++)
		size += strlen(names[count]) + 1;
	gate->cache_headers = qs_malloc((count + 1) * sizeof(char *) + size);
	if (!gate->cache_headers)
		return -ENOMEM;
	at = (char *)(gate->cache_headers + count + 1);
	for (size_t i = 0; i < count; i++) {
		gate->cache_headers[i] = at;
		at = stpcpy(at, names[i]) + 1;
	}
	gate->cache_headers[count] = NULL;
	return 0;
}

/* --- its life --- */

/* In a simulation everything is drawn from its seed. */
static void seed(qs_gate *gate)
{
	uint64_t seed = gate->context->fibers ? gate->context->fibers->options.seed : 0;

	gate->random.state = seed ^ qs_gate_now(gate);
	if (seed > 0)
		return;
	/* Should there be no randomness yet, what is there will do. */
	(void)!getrandom(gate->secret, sizeof(gate->secret), GRND_NONBLOCK);
	(void)!getrandom(&gate->random.state, sizeof(gate->random.state), GRND_NONBLOCK);
}

static void token_due(struct qs_timer *timer)
{
	qs_gate *gate = container_of(timer, struct qs_gate, timer);

	qs_job_schedule(gate->context->loop, &gate->job);
}

static void init(qs_gate *gate, const struct qs_gate_options *options)
{
	uint64_t within = options->rate_within ? options->rate_within : USUAL_WITHIN;

	gate->concurrency = options->concurrency;
	gate->backlog = options->backlog;
	gate->streams = options->streams;
	gate->streams_arg = options->arg;
	gate->plan = qs_retry_plan_of(&options->retry);
	gate->has_cache = options->cache_size > 0;
	for (unsigned i = 0; i < QS_FLIGHT_STATE_COUNT; i++)
		list_init(&gate->flights[i]);
	qs_job_init(&gate->job, qs_gate_admit);
	qs_bucket_init(&gate->bucket, options->rate, within);
	qs_retry_budget_init(&gate->budget, gate->plan.budget);
	seed(gate);
}

static int allocate(qs_gate *gate, const struct qs_gate_options *options)
{
	int r = copy_statuses(gate, options->retry.statuses);

	if (r == 0)
		r = copy_names(gate, options->cache_headers);
	if (r == 0 && gate->has_cache)
		r = qs_cache_init(&gate->cache, options->cache_size,
		        options->cache_ttl ? options->cache_ttl : USUAL_TTL);
	if (r == 0)
		r = qs_table_init(&gate->shared);
	if (r == 0)
		r = qs_table_init(&gate->readers);
	return r;
}

static void free_memory(qs_gate *gate)
{
	qs_free((int *)gate->plan.statuses);
	qs_free(gate->cache_headers);
	if (gate->has_cache)
		qs_cache_done(&gate->cache);
	qs_table_done(&gate->shared);
	qs_table_done(&gate->readers);
	qs_free(gate);
}

int qs_gate_new(
        qs_group *group, qs_http *http, const struct qs_gate_options *options, qs_gate **ret_gate)
{
	qs_gate *gate;
	int r;

	if (!http)
		return -EINVAL;
	gate = qs_calloc(1, sizeof(*gate));
	if (!gate)
		return -ENOMEM;
	gate->http = http;
	gate->context = group->context;
	init(gate, options);
	r = allocate(gate, options);
	if (r == 0)
		r = qs_timer_init(gate->context->loop, &gate->timer, token_due);
	if (r < 0) {
		free_memory(gate);
		return r;
	}
	*ret_gate = gate;
	return 0;
}

void qs_gate_free(qs_gate *gate)
{
	struct list *open;

	if (!gate)
		return;
	/* Each goes with its stream. */
	open = &gate->flights[QS_FLIGHT_OPEN];
	while (!list_empty(open)) {
		struct qs_flight *flight = list_entry(open->next, struct qs_flight, node);

		list_remove(&flight->node);
		flight->gate = NULL;
	}
	qs_job_cancel(&gate->job);
	qs_timer_done(&gate->timer);
	free_memory(gate);
}

/* --- what it tells --- */

void qs_gate_stats(const qs_gate *gate, struct qs_gate_stats *ret_stats)
{
	*ret_stats = (struct qs_gate_stats){
		.calls = gate->calls,
		.requests = gate->requests,
		.retries = gate->retries,
		.hits = gate->hits,
		.shared = gate->joined,
		.retries_refused = gate->refused,
		.waiting = gate->count[QS_FLIGHT_QUEUED],
		.in_flight = gate->count[QS_FLIGHT_IN_FLIGHT] + gate->count[QS_FLIGHT_OPEN],
		.backing_off = gate->count[QS_FLIGHT_BACKOFF],
		.cached_bytes = gate->cache.size,
		.cached_entries = gate->has_cache ? qs_cache_count(&gate->cache) : 0,
	};
}

/* "1,234,567" */
static void format_count(uint64_t number, char *buffer, size_t size)
{
	char digits[32];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
	size_t at = 0;

	for (int i = 0; i < length && at + 2 < size; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			buffer[at++] = ',';
		buffer[at++] = digits[i];
	}
	buffer[at] = '\0';
}

static void describe_call(const qs_gate *gate, const qs_http_call *call, char *buffer, size_t size)
{
	struct qs_http_progress progress;
	char received[48];

	qs_http_progress(call, &progress);
	format_count(progress.received, received, sizeof(received));
	(void)snprintf(buffer, size, "%s: %s, %" PRIu64 " s, %s bytes", progress.host,
	        qs_http_phase_name(progress.phase),
	        qs_time_sub(qs_gate_now(gate), progress.began_at) / QS_SEC, received);
}

static void describe(const struct qs_flight *flight, char *buffer, size_t size)
{
	const qs_gate *gate = flight->gate;
	uint64_t left;

	switch (flight->state) {
	case QS_FLIGHT_QUEUED:
		(void)snprintf(buffer, size, "waiting for its turn");
		return;
	case QS_FLIGHT_BACKOFF:
		left = qs_time_sub(flight->timer.at, qs_gate_now(gate)) / (QS_SEC / 10);
		(void)snprintf(buffer, size, "back-off, %" PRIu64 ".%" PRIu64 " s left", left / 10,
		        left % 10);
		return;
	case QS_FLIGHT_IN_FLIGHT:
		describe_call(gate, flight->call, buffer, size);
		return;
	case QS_FLIGHT_OPEN:
		if (qs_http_stream_call(flight->stream))
			describe_call(gate, qs_http_stream_call(flight->stream), buffer, size);
		return;
	case QS_FLIGHT_NONE:
	case QS_FLIGHT_OVER:
	case QS_FLIGHT_STATE_COUNT:
		return;
	}
}

/* The flight that a fiber waits for, or whose stream it reads. */
static const struct qs_flight *flight_of(const qs_gate *gate, const struct qs_fiber *fiber)
{
	const struct qs_wait *wait = fiber->wait;
	const struct qs_digest digest = qs_gate_reader_digest(fiber);
	const struct qs_table_node *node;

	if (wait && !fiber->woken && wait->abort == qs_flight_leave) {
		const struct qs_gate_waiter *waiter =
		        container_of(wait, const struct qs_gate_waiter, wait);

		return waiter->flight && waiter->flight->gate == gate ? waiter->flight : NULL;
	}
	node = qs_table_find(&gate->readers, &digest);
	return node ? container_of(node, const struct qs_flight, in_table) : NULL;
}

static const struct qs_flight *flight_of_task(const qs_gate *gate, const qs_task *task)
{
	if (task->kind != &qs_fiber_kind)
		return NULL;
	return flight_of(gate, container_of(task, const struct qs_fiber, task));
}

char *qs_gate_describe(const qs_gate *gate, const qs_task *task, char *buffer, size_t size)
{
	const struct qs_flight *flight = flight_of_task(gate, task);

	buffer[0] = '\0';
	if (flight)
		describe(flight, buffer, size);
	return buffer;
}

bool qs_gate_progress(
        const qs_gate *gate, const qs_task *task, struct qs_gate_progress *ret_progress)
{
	const struct qs_flight *flight = flight_of_task(gate, task);
	const qs_http_call *call = NULL;

	if (!flight)
		return false;
	*ret_progress = (struct qs_gate_progress){
		.waiting = flight->state == QS_FLIGHT_QUEUED,
		.backing_off = flight->state == QS_FLIGHT_BACKOFF,
		.attempts = flight->attempts,
	};
	if (flight->state == QS_FLIGHT_IN_FLIGHT)
		call = flight->call;
	else if (flight->state == QS_FLIGHT_OPEN)
		call = qs_http_stream_call(flight->stream);
	if (call)
		qs_http_progress(call, &ret_progress->http);
	return true;
}
