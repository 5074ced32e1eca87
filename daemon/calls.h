/*
 * All calls of the daemon by their ids: those that live, and outcomes that are kept for whoever
 * will ask for them. What is kept is bounded by time, bytes and number for each worker; the oldest
 * go first. Loop thread only.
 */
#ifndef QUIESCED_CALLS_H
#define QUIESCED_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>

#include "lib/list.h"
#include "lib/loop.h"

struct call;
struct call_config;
struct qs_owner;

#define CALLS_KEPT_MAX 10000 /* outcomes of one worker */

struct calls {
	struct qs_loop *loop;
	struct call **buckets; /* a power of two */
	size_t bucket_count, count;
	struct list live;    /* in the order of their beginnings */
	struct list shelves; /* of kept outcomes, one a worker that has had any */
	struct qs_timer expiry;
};

QS_MUST_CHECK int calls_init(struct calls *calls, struct qs_loop *loop); /* -ENOMEM */
void calls_done(struct calls *calls);                                    /* none lives any more */

/* NULL: there is none, or no longer. */
struct call *calls_find(const struct calls *calls, uint64_t id);

/* One that lives; afterwards it is dropped or kept. -ENOMEM. */
QS_MUST_CHECK int calls_add(struct calls *calls, struct call *call);
void calls_remove(struct calls *calls, struct call *call);

/* One that lived is over and becomes the table's: kept on its owner's shelf, or freed. */
void calls_keep(struct calls *calls, struct call *call, const struct call_config *config);

/* Visits all of them: those that live in the order of their beginnings, then what is kept. */
void calls_walk(
        const struct calls *calls, void (*visit)(const struct call *call, void *arg), void *arg);

/* Forgets an outcome that is kept. */
void calls_forget(struct calls *calls, struct call *call);

#endif
