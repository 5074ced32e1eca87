/* Functions that other threads want to have called in the thread of a loop, in their order. */
#ifndef QS_POST_QUEUE_H
#define QS_POST_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include <quiesce/export.h>

#include "lib/list.h"

struct post_queue {
	pthread_mutex_t lock;
	struct list posts; /* under the lock */
	bool closed;       /* under the lock */
	struct list taken; /* the running thread's own: what it calls next */
};

void post_queue_init(struct post_queue *queue);

/* What is still in it is dropped, not called. */
void post_queue_done(struct post_queue *queue);

/* Returns 1 if it was empty: the running thread has to be woken; 0 if not. -ENOMEM; -ESHUTDOWN once
 * it is closed. Any thread. */
QS_MUST_CHECK int post_queue_add(struct post_queue *queue, void (*fn)(void *arg), void *arg);

/* Nothing can be added any more. Any thread. */
void post_queue_close(struct post_queue *queue);

/* Calls what is in it now; what these functions add is left for the next time. Returns whether
 * anything was called. It may be called by one of them: then all that came earlier runs first. */
bool post_queue_run(struct post_queue *queue);

#endif
