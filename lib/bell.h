/*
 * Bells: whatever other threads may want to be looked at in the loop's thread, without a lock that
 * the loop could be held up by and without memory that could be missing. Rung twice before it was
 * heard, a bell is heard once.
 */
#ifndef QS_BELL_H
#define QS_BELL_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/list.h"
#include "lib/loop.h"

struct qs_bell {
	struct list node;
	void (*heard)(struct qs_bell *bell); /* in the loop's thread */
};

/* All bells of one loop. */
struct qs_bells {
	struct qs_loop *loop;
	pthread_t home; /* the loop's thread */
	pthread_mutex_t lock;
	struct list rung;
	struct qs_watch watch; /* its fd is -1 for none */
	struct qs_job job;
};

/* By the loop's thread. -ENOMEM, -EMFILE, -ENFILE. */
QS_MUST_CHECK int qs_bells_init(struct qs_bells *bells, struct qs_loop *loop);
void qs_bells_done(struct qs_bells *bells);

void qs_bell_init(struct qs_bell *bell, void (*heard)(struct qs_bell *bell));

/* Any thread; whoever rings it keeps it alive meanwhile. */
void qs_bell_ring(struct qs_bells *bells, struct qs_bell *bell);

/* It will not be heard any more unless it is rung again. Loop thread. */
void qs_bell_silence(struct qs_bells *bells, struct qs_bell *bell);

#endif
