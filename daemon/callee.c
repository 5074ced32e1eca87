/* A worker's side of its calls. */
#include "daemon/callee.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/task.h"

static void callee_free(struct callee *callee)
{
	if (callee->kind->close)
		callee->kind->close(callee->common);
	list_remove(&callee->in_worker);
	free(callee);
}

int callee_open(struct worker *worker)
{
	const struct call_kind *kind = call_kind_of(worker->config);
	struct callee *callee = calloc(1, sizeof(*callee));
	int r = 0;

	if (!kind) {
		free(callee);
		snprintf(worker->detail, sizeof(worker->detail),
		        "calls of this kind of worker are not possible yet");
		return -ENOTSUP;
	}
	if (!callee) {
		snprintf(worker->detail, sizeof(worker->detail), "cannot start: out of memory");
		return -ENOMEM;
	}
	callee->worker = worker;
	callee->kind = kind;
	list_init(&callee->calls);
	if (kind->open)
		r = kind->open(worker, worker->config, &callee->common);
	if (r < 0) {
		free(callee);
		return r;
	}
	list_append(&worker->calls.callees, &callee->in_worker);
	worker->calls.callee = callee;
	return 0;
}

/* What it has counted so far stays, or the worker's totals would fall. */
static void add_up(struct call_counts *sum, const struct call_counts *counts)
{
	sum->requests += counts->requests;
	sum->retries += counts->retries;
	sum->retries_refused += counts->retries_refused;
	sum->hits += counts->hits;
	sum->shared += counts->shared;
	sum->waiting += counts->waiting;
	sum->in_flight += counts->in_flight;
	sum->backing_off += counts->backing_off;
	sum->cached_bytes += counts->cached_bytes;
	sum->cached_entries += counts->cached_entries;
}

static void count_one(const struct callee *callee, struct call_counts *counts)
{
	struct call_counts own = { 0 };

	if (callee->kind->count)
		callee->kind->count(callee->common, &own);
	add_up(counts, &own);
}

static void retire(struct callee *callee)
{
	struct call_counts *past = &callee->worker->calls.past;

	count_one(callee, past);
	past->waiting = past->in_flight = past->backing_off = 0;
	past->cached_bytes = past->cached_entries = 0;
	callee_free(callee);
}

void callee_close(struct worker *worker, enum qs_cause cause)
{
	struct callee *callee = TAKE(worker->calls.callee, NULL);

	if (!callee)
		return;
	list_for_each (node, &callee->calls)
		qs_task_ask(list_entry(node, struct call, in_callee)->task, cause, QS_FOREVER);
	if (callee->live == 0)
		retire(callee);
}

int callee_replace(struct worker *worker, enum qs_cause cause)
{
	struct callee *old = TAKE(worker->calls.callee, NULL);
	int r = callee_open(worker);
	struct callee *fresh = TAKE(worker->calls.callee, old);

	if (r < 0)
		return r;
	callee_close(worker, cause);
	worker->calls.callee = fresh;
	return 0;
}

unsigned callee_live(const struct worker *worker)
{
	unsigned live = 0;

	list_for_each (node, &worker->calls.callees)
		live += list_entry(node, struct callee, in_worker)->live;
	return live;
}

void callee_add(struct callee *callee, struct call *call)
{
	call->callee = callee;
	list_append(&callee->calls, &call->in_callee);
	callee->live++;
}

void callee_remove(struct callee *callee, struct call *call)
{
	struct worker *worker = callee->worker;

	list_remove(&call->in_callee);
	call->callee = NULL;
	if (--callee->live == 0 && worker->calls.callee != callee)
		retire(callee);
}

void callee_count(const struct worker *worker, struct call_counts *ret_counts)
{
	*ret_counts = worker->calls.past;
	list_for_each (node, &worker->calls.callees)
		count_one(list_entry(node, struct callee, in_worker), ret_counts);
}

const struct call *callee_oldest(const struct worker *worker)
{
	list_for_each (node, &worker->calls.callees) {
		const struct callee *callee = list_entry(node, struct callee, in_worker);

		if (callee->live > 0)
			return list_entry(callee->calls.next, struct call, in_callee);
	}
	return NULL;
}

char *callee_describe(const struct worker *worker, char *buffer, size_t size)
{
	const struct call *oldest = callee_oldest(worker);
	unsigned live = callee_live(worker);
	char where[128] = "";

	buffer[0] = '\0';
	if (!oldest)
		return buffer;
	call_describe(oldest, where, sizeof(where));
	if (live == 1)
		snprintf(buffer, size, "1 call: %s", where);
	else
		snprintf(buffer, size, "%u calls, the oldest: %s", live, where);
	return buffer;
}

void callee_free_all(struct worker *worker)
{
	list_for_each (node, &worker->calls.callees) {
		struct callee *callee = list_entry(node, struct callee, in_worker);

		list_for_each (in_callee, &callee->calls) {
			list_remove(in_callee);
			call_abandon(list_entry(in_callee, struct call, in_callee));
		}
		callee_free(callee);
	}
	worker->calls.callee = NULL;
}
