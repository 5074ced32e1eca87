/*
 * A worker that is called, as its calls see it: what they have in common, which of them live, and
 * whether more are taken. A reload puts a new one in its place; the old one lives on until its
 * calls are over. Loop thread only.
 */
#ifndef QUIESCED_CALLEE_H
#define QUIESCED_CALLEE_H

#include <stdbool.h>

#include "daemon/call.h"
#include "daemon/worker.h"

struct callee {
	struct worker *worker;
	const struct call_kind *kind;
	void *common; /* the kind's */
	struct list in_worker;
	struct list calls; /* those that live */
	unsigned live;
};

/* Lets the worker take calls: worker->callee. A negative errno with worker->detail filled in. */
QS_MUST_CHECK int callee_open(struct worker *worker);

/* From now on it takes none; those that live are asked. Nothing happens if it took none. */
void callee_close(struct worker *worker, enum qs_cause cause);

/* A new one in its place, by the worker's present configuration; the calls of the old one are
 * asked. Errors as callee_open's, with the old one in its place still. */
QS_MUST_CHECK int callee_replace(struct worker *worker, enum qs_cause cause);

/* How many calls of the worker live, those of former callees included. */
unsigned callee_live(const struct worker *worker);

/* For call.c: one has begun / is over. The callee may be gone then. */
void callee_add(struct callee *callee, struct call *call);
void callee_remove(struct callee *callee, struct call *call);

/* What its calls have cost so far, by all its callees, and where they stand. */
void callee_count(const struct worker *worker, struct call_counts *ret_counts);

/* The call that has lived longest; NULL: none lives. */
const struct call *callee_oldest(const struct worker *worker);

/* For people: "3 calls, the oldest: api.example: receiving, 4 s, 1,024 bytes"; "" without any. */
char *callee_describe(const struct worker *worker, char *buffer, size_t size);

/* For worker_free: nothing of them may run any more. */
void callee_free_all(struct worker *worker);

#endif
