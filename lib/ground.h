/*
 * What stays alive as long as any thread may touch it: the clock, the ledger and the stop event of
 * a runtime. The runtime holds on to it, and so does each thread that runs for it, one that was
 * abandoned too.
 */
#ifndef QS_GROUND_H
#define QS_GROUND_H

#include <stdatomic.h>

#include <quiesce/stop.h>

#include "lib/clock.h"
#include "lib/ledger.h"

struct qs_ground {
	_Atomic unsigned users;
	struct qs_clock clock; /* to be initialised by whoever makes the ground */
	struct qs_ledger *ledger;
	qs_stop *stop;
	const _Atomic uint64_t *stop_sets; /* see lib/stop.h */
};

/* -ENOMEM, -EMFILE, -ENFILE. The maker is its first user. */
QS_MUST_CHECK int qs_ground_new(struct qs_ground **ret_ground);

struct qs_ground *qs_ground_ref(struct qs_ground *ground);

/* The last user frees it. NULL is fine. Any thread. */
void qs_ground_unref(struct qs_ground *ground);

#endif
