/*
 * The client: its queue, and the job that gives calls to the driver and takes back what is left of
 * those that are gone. Both take long where there are many: libcurl looks through all connections
 * to a host for each new transfer, and through all hosts to remove one. So it goes by slices.
 */
#include "lib/http.h"

#include <errno.h>

#include "lib/alloc.h"
#include "lib/group.h"

#define CALLS_MAX     16384
#define RESOLVING_MAX 64

/* What one turn is worth to each kind of work, by the clock and, where that stands still, by count.
 */
#define SLICE       (4 * QS_MSEC)
#define SLICE_COUNT 512
#define BATCH       8 /* between two looks at the clock */

/* libcurl knows a name for a minute. */
#define KNOWN (50 * QS_SEC)

struct slice {
	struct qs_clock *clock;
	uint64_t until;
	unsigned count;
};

static struct slice slice_begin(const struct qs_http *http)
{
	struct qs_clock *clock = qs_loop_clock(http->loop);

	return (struct slice){ clock, qs_time_add(qs_clock_read(clock), SLICE), 0 };
}

static bool slice_is_over(struct slice *slice)
{
	if (++slice->count % BATCH != 0)
		return false;
	return slice->count >= SLICE_COUNT || qs_clock_read(slice->clock) >= slice->until;
}

/* --- the job --- */

/* Whether it may begin, and in which phase; else it waits for the one that looks its name up. */
static bool has_its_turn(
        struct qs_http *http, struct qs_http_call *call, enum qs_http_phase *ret_phase)
{
	uint64_t now = qs_loop_now(http->loop);
	struct qs_http_name *name;

	*ret_phase = QS_HTTP_CONNECTING;
	if (http->looks_nothing_up || qs_http_name_is_address(call->host))
		return true;
	if (qs_http_names_get(&http->names, call->host, now, &name) < 0)
		name = NULL;
	if (name && name->known_until > now)
		return true;
	if (name && name->looked_up) {
		list_append(&name->waiting, &call->node);
		return false;
	}
	*ret_phase = QS_HTTP_RESOLVING;
	if (name)
		name->looked_up = true;
	call->name = name;
	return true;
}

static struct qs_http_name *leave_name(struct qs_http_call *call)
{
	struct qs_http_name *name = TAKE(call->name, NULL);

	if (name)
		name->looked_up = false;
	return name;
}

void qs_http_lookup_over(struct qs_http_call *call, bool found)
{
	struct qs_http *http = call->http;
	struct qs_http_name *name = leave_name(call);

	http->resolving_count--;
	if (name && found)
		name->known_until = qs_time_add(qs_loop_now(http->loop), KNOWN);
	/* Who has waited goes first. */
	if (name) {
		list_move_all(&name->waiting, &http->queue);
		list_move_all(&http->queue, &name->waiting);
	}
	if (!list_empty(&http->queue))
		qs_http_wake(http);
}

void qs_http_lookup_failed(struct qs_http_call *call)
{
	struct qs_http_name *name = call->name;
	struct list waiting;

	if (!name)
		return;
	list_init(&waiting);
	list_move_all(&waiting, &name->waiting);
	while (!list_empty(&waiting)) {
		struct qs_http_call *other = list_entry(waiting.next, struct qs_http_call, node);

		qs_http_call_explain(other, "%s", call->error);
		qs_http_call_end(other, -EHOSTUNREACH);
	}
}

static bool can_admit(const struct qs_http *http)
{
	return !list_empty(&http->queue) && http->active_count < http->calls_max &&
	       http->resolving_count < http->resolving_max;
}

static void admit(struct qs_http *http, struct qs_http_call *call)
{
	enum qs_http_phase phase;
	int r;

	list_remove(&call->node);
	if (!has_its_turn(http, call, &phase))
		return;
	list_append(&http->active, &call->node);
	http->active_count++;
	qs_http_call_reached(call, phase);
	r = http->driver->add(call);
	if (r < 0)
		qs_http_call_over(call, r);
}

/* They begin in small batches: then the driver's own work on them counts here too. */
static bool admit_some(struct qs_http *http)
{
	struct slice slice = slice_begin(http);
	bool over = false;

	while (!over && can_admit(http)) {
		for (int i = 0; i < BATCH && can_admit(http); i++) {
			admit(http, list_entry(http->queue.next, struct qs_http_call, node));
			over |= slice_is_over(&slice);
		}
		if (http->driver->begin)
			http->driver->begin(http);
	}
	return can_admit(http);
}

static bool sweep_some(struct qs_http *http)
{
	struct slice slice = slice_begin(http);

	while (http->has_dropped) {
		http->has_dropped = http->driver->sweep && http->driver->sweep(http);
		if (slice_is_over(&slice))
			break;
	}
	return http->has_dropped;
}

static void resume_all(struct qs_http *http)
{
	struct list resuming;

	list_init(&resuming);
	list_move_all(&resuming, &http->resuming);
	while (!list_empty(&resuming)) {
		struct qs_http_call *call =
		        list_entry(resuming.next, struct qs_http_call, in_resuming);

		list_remove(&call->in_resuming);
		http->driver->resume(call);
	}
}

static void work(struct qs_job *job)
{
	struct qs_http *http = container_of(job, struct qs_http, job);
	uint64_t turn = qs_loop_pulse(http->loop)->turns;
	bool more = http->turn == turn;

	resume_all(http);
	if (!more) {
		more = sweep_some(http);
		more |= admit_some(http);
	}
	if (!more)
		return;
	/* A job would run in the same turn. */
	http->turn = turn;
	qs_timer_arm(&http->again, qs_loop_now(http->loop));
}

static void next_slice(struct qs_timer *timer)
{
	qs_http_wake(container_of(timer, struct qs_http, again));
}

void qs_http_wake(struct qs_http *http)
{
	qs_job_schedule(http->loop, &http->job);
}

/* --- clients --- */

int qs_http_init(struct qs_http *http, const struct qs_http_options *options)
{
	http->socket = -1;
	http->calls_max = options->calls ? options->calls : CALLS_MAX;
	http->resolving_max = options->resolving ? options->resolving : RESOLVING_MAX;
	list_init(&http->queue);
	list_init(&http->active);
	list_init(&http->resuming);
	qs_http_names_init(&http->names);
	qs_job_init(&http->job, work);
	return qs_timer_init(http->loop, &http->again, next_slice);
}

void qs_http_done(struct qs_http *http)
{
	qs_timer_done(&http->again);
	qs_job_cancel(&http->job);
	qs_http_names_done(&http->names);
}

int qs_http_new(qs_group *group, const struct qs_http_options *options, qs_http **ret_http)
{
	return qs_http_new_on(group->context->loop, options, ret_http);
}

static void end_all(struct list *calls)
{
	while (!list_empty(calls))
		qs_http_call_end(list_entry(calls->next, struct qs_http_call, node), -ECANCELED);
}

void qs_http_free(qs_http *http)
{
	if (!http)
		return;
	http->closing = true;
	/* With the last that looks a name up, who waits for that is back in the queue. */
	end_all(&http->active);
	end_all(&http->queue);
	http->driver->free(http);
}

/* --- calls --- */

int qs_http_start(qs_http *http, const struct qs_http_request *request, uint64_t deadline,
        const struct qs_http_handlers *handlers, void *arg, qs_http_call **ret_call)
{
	struct qs_http_call *call;
	int r = http->closing ? -ECANCELED : qs_http_request_copy(request, &call);

	if (r < 0)
		return r;
	call->http = http;
	call->handlers = *handlers;
	call->arg = arg;
	call->deadline = deadline;
	call->began_at = qs_loop_now(http->loop);
	r = qs_http_call_init(call);
	if (r < 0) {
		qs_free(call);
		return r;
	}
	list_append(&http->queue, &call->node);
	qs_http_wake(http);
	*ret_call = call;
	return 0;
}
