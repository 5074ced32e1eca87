/* What the files of worker.c share: the one setter of its state, and what follows an end. */
#ifndef QUIESCED_WORKER_INTERNAL_H
#define QUIESCED_WORKER_INTERNAL_H

#include "daemon/worker.h"

/* Moves it, checks that the table allows it, logs and tells. Detail may be worker->detail itself.
 */
void worker_set_state(struct worker *worker, enum worker_state state, const char *detail);

/* Whether the table allows the move. */
bool worker_may_become(enum worker_state from, enum worker_state to);

/* Its calls have been asked: it is over when they are. */
void worker_await_calls(struct worker *worker, enum qs_cause cause);

/* By `when` and `restart`: what it does now that its run is over or could not be started. */
void worker_follow_end(struct worker *worker, bool well, bool may_retry);

#endif
