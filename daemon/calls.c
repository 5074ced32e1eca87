/* The table of calls: a hash of ids, and shelves of outcomes with the oldest in front. */
#include "daemon/calls.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/call.h"

#define BUCKETS_FIRST 64

struct shelf {
	struct list in_calls;
	const struct qs_owner *owner;
	struct list kept; /* in the order of their ends */
	size_t bytes, count;
	uint64_t keep; /* how long, by its latest configuration */
};

static struct call *kept_first(const struct shelf *shelf)
{
	return list_empty(&shelf->kept) ? NULL
	                                : list_entry(shelf->kept.next, struct call, in_calls);
}

/* --- finding --- */

static struct call **bucket_of(const struct calls *calls, uint64_t id)
{
	return &calls->buckets[id & (calls->bucket_count - 1)];
}

struct call *calls_find(const struct calls *calls, uint64_t id)
{
	struct call *call = *bucket_of(calls, id);

	while (call && call->id != id)
		call = call->next;
	return call;
}

/* Ids are given out one after the other: they spread by themselves. */
static int grow(struct calls *calls)
{
	struct call **old = calls->buckets;
	size_t old_count = calls->bucket_count;
	struct call **buckets = calloc(old_count * 2, sizeof(struct call *));

	if (!buckets)
		return -ENOMEM;
	calls->buckets = buckets;
	calls->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		for (struct call *call = old[i], *next; call; call = next) {
			struct call **bucket = bucket_of(calls, call->id);

			next = call->next;
			call->next = *bucket;
			*bucket = call;
		}
	}
	free(old);
	return 0;
}

int calls_add(struct calls *calls, struct call *call)
{
	/* A full table without memory to grow is only slower. */
	if (calls->count >= calls->bucket_count && grow(calls) < 0 &&
	        calls->count >= calls->bucket_count * 16)
		return -ENOMEM;
	struct call **bucket = bucket_of(calls, call->id);
	call->next = *bucket;
	*bucket = call;
	calls->count++;
	list_append(&calls->live, &call->in_calls);
	return 0;
}

void calls_remove(struct calls *calls, struct call *call)
{
	struct call **at = bucket_of(calls, call->id);

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	calls->count--;
	list_remove(&call->in_calls);
}

/* --- keeping --- */

static struct shelf *shelf_of(struct calls *calls, const struct qs_owner *owner)
{
	list_for_each (node, &calls->shelves) {
		struct shelf *shelf = list_entry(node, struct shelf, in_calls);

		if (shelf->owner == owner)
			return shelf;
	}
	struct shelf *shelf = calloc(1, sizeof(*shelf));
	if (!shelf)
		return NULL;
	shelf->owner = owner;
	list_init(&shelf->kept);
	list_append(&calls->shelves, &shelf->in_calls);
	return shelf;
}

static size_t bytes_of(const struct call *call)
{
	return sizeof(*call) + (call->result.body ? call->result.body->size : 0);
}

static uint64_t due_at(const struct shelf *shelf)
{
	const struct call *first = kept_first(shelf);

	return first ? qs_time_add(first->ended_at, shelf->keep) : QS_FOREVER;
}

static void forget(struct calls *calls, struct shelf *shelf, struct call *call)
{
	shelf->bytes -= bytes_of(call);
	shelf->count--;
	calls_remove(calls, call);
	call_free(call);
}

static void arm(struct calls *calls)
{
	uint64_t at = QS_FOREVER;

	list_for_each (node, &calls->shelves)
		at = MIN(at, due_at(list_entry(node, struct shelf, in_calls)));
	qs_timer_arm(&calls->expiry, at);
}

static void expiry_due(struct qs_timer *timer)
{
	struct calls *calls = container_of(timer, struct calls, expiry);
	uint64_t now = qs_loop_now(calls->loop);

	list_for_each (node, &calls->shelves) {
		struct shelf *shelf = list_entry(node, struct shelf, in_calls);

		while (due_at(shelf) <= now)
			forget(calls, shelf, kept_first(shelf));
	}
	arm(calls);
}

void calls_keep(struct calls *calls, struct call *call, const struct call_config *config)
{
	struct shelf *shelf = shelf_of(calls, call->owner);

	list_remove(&call->in_calls);
	if (!shelf || config->keep == 0) {
		calls_remove(calls, call);
		call_free(call);
		return;
	}
	if (bytes_of(call) > config->keep_size && call->result.body) {
		call_body_unref(TAKE(call->result.body, NULL));
		call->let_body_go = true;
	}
	bool first = list_empty(&shelf->kept) || shelf->keep != config->keep;
	shelf->keep = config->keep;
	list_append(&shelf->kept, &call->in_calls);
	shelf->bytes += bytes_of(call);
	shelf->count++;
	while (shelf->count > CALLS_KEPT_MAX ||
	        (shelf->bytes > config->keep_size && shelf->count > 1))
		forget(calls, shelf, kept_first(shelf));
	if (first)
		arm(calls);
}

void calls_forget(struct calls *calls, struct call *call)
{
	list_for_each (node, &calls->shelves) {
		struct shelf *shelf = list_entry(node, struct shelf, in_calls);

		if (shelf->owner == call->owner) {
			forget(calls, shelf, call);
			return;
		}
	}
}

void calls_walk(
        const struct calls *calls, void (*visit)(const struct call *call, void *arg), void *arg)
{
	list_for_each (node, &calls->live)
		visit(list_entry(node, struct call, in_calls), arg);
	list_for_each (in_calls, &calls->shelves) {
		const struct shelf *shelf = list_entry(in_calls, struct shelf, in_calls);

		list_for_each (node, &shelf->kept)
			visit(list_entry(node, struct call, in_calls), arg);
	}
}

/* --- life --- */

int calls_init(struct calls *calls, struct qs_loop *loop)
{
	*calls = (struct calls){ .loop = loop, .bucket_count = BUCKETS_FIRST };
	list_init(&calls->live);
	list_init(&calls->shelves);
	calls->buckets = calloc(calls->bucket_count, sizeof(struct call *));
	if (!calls->buckets)
		return -ENOMEM;
	int r = qs_timer_init(loop, &calls->expiry, expiry_due);
	if (r < 0)
		free(TAKE(calls->buckets, NULL));
	return r;
}

void calls_done(struct calls *calls)
{
	if (!calls->buckets)
		return;
	list_for_each (node, &calls->shelves) {
		struct shelf *shelf = list_entry(node, struct shelf, in_calls);

		while (!list_empty(&shelf->kept))
			forget(calls, shelf, kept_first(shelf));
		free(shelf);
	}
	qs_timer_done(&calls->expiry);
	free(TAKE(calls->buckets, NULL));
}
