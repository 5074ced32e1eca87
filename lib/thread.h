/*
 * Threads as tasks: dedicated ones, and calls that a pool of bounded size runs. A job is the task
 * and all that its thread may touch: counted by its users, the loop's side and the thread's, so
 * that it outlives the runtime if its thread does. Loop thread, but for what says otherwise.
 */
#ifndef QS_THREAD_H
#define QS_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <quiesce/thread.h>

#include "lib/ground.h"
#include "lib/group.h"
#include "lib/list.h"
#include "lib/loop.h"
#include "lib/task.h"

struct qs_job_caller;
struct thread_hub;

enum thread_state { THREAD_WAITING, THREAD_RUNNING, THREAD_OVER };

struct qs_thread {
	struct qs_task task;
	_Atomic unsigned users;
	struct thread_hub *hub;
	struct qs_ground *ground;
	struct qs_record *record; /* for stamps; stays readable when the task has none any more */
	qs_stop *stop;
	qs_task_fn fn;
	void *arg;
	void (*discard)(void *arg);
	bool pooled;
	_Atomic bool heard, has_event; /* of the stop; somebody may hear of it from the event */

	/* Under the hub's lock: */
	struct list node; /* in the queue of the pool, or among those that are over */
	enum thread_state state;
	pthread_t runner; /* while it runs */
	bool dropped;     /* never to run: its task could not be opened */
	bool deserted;    /* its caller has gone on: whoever ends it discards the argument */
	int result;       /* once it is over */

	/* The loop's: */
	struct qs_threads *threads;
	pthread_t own;       /* unless it is pooled */
	bool gone;           /* abandoned */
	struct list in_list; /* of those to be woken, or of those abandoned */
	struct qs_job_caller *caller;
	struct qs_task_terms terms; /* if they are its own */
};

/* Somebody in the loop who waits for a pooled one. Called once, when it is over. */
struct qs_job_caller {
	void (*done)(struct qs_job_caller *caller, int result);
};

struct qs_threads_options {
	unsigned limit;  /* threads of the pool; 0: 64 */
	int wake_signal; /* 0: SIGURG */
};

struct qs_threads {
	struct qs_context *context;
	struct thread_hub *hub;
	struct qs_watch watch; /* somebody is over */
	struct qs_timer wake;  /* the next signal for those that are cancelled */
	uint64_t wake_after;
	struct list cancelled;    /* to be woken */
	struct list abandoned;    /* their handles may be looked at */
	struct qs_group deserted; /* calls without a caller: the end of the others does not wait */
};

/* Becomes context->threads. -ENOMEM, -EMFILE, -ENFILE, -EINVAL (signal). */
QS_MUST_CHECK int qs_threads_new(struct qs_context *context,
        const struct qs_threads_options *options, struct qs_threads **ret_threads);

/* No thread may live any more as a task; those that were abandoned run on. NULL is fine. */
void qs_threads_free(struct qs_threads *threads);

/* A call for the pool, as a part of whoever makes it: also in a group that is closed. -ENOMEM. */
QS_MUST_CHECK int qs_threads_call(struct qs_group *group, const struct qs_call_options *options,
        qs_task_fn fn, void *arg, struct qs_job_caller *caller, struct qs_thread **ret_thread);

/* The caller goes on: it is cancelled, and nobody waits for it any more. */
void qs_threads_desert(struct qs_thread *thread);

/* --- thread_pool.c: the side of the threads; any thread, unless it says otherwise --- */

struct thread_hub {
	_Atomic unsigned users;
	int wake_signal;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list queue; /* for the pool */
	struct list over;  /* for the loop */
	struct list workers;
	size_t queued;
	unsigned worker_count, idle, limit;
	int over_fd; /* an eventfd of the loop's */
	bool closed; /* the loop is gone */
};

QS_MUST_CHECK int thread_hub_new(
        const struct qs_threads_options *options, struct thread_hub **ret_hub);

/* Loop thread. Those that run are left alone with the hub. */
void thread_hub_close(struct thread_hub *hub);
void thread_hub_unref(struct thread_hub *hub);

void qs_thread_unref(struct qs_thread *thread);

/* Loop thread, with the lock held: hands it to the pool, makes a worker if need be. -EAGAIN. */
QS_MUST_CHECK int thread_hub_submit(struct thread_hub *hub, struct qs_thread *thread);

/* With the lock held: takes it out of the queue. */
void thread_hub_withdraw(struct qs_thread *thread);

/* Loop thread, with the lock held: makes a thread of its own. It begins when the lock is let go. */
QS_MUST_CHECK int thread_start(struct qs_thread *thread, size_t stack_size);

/* With the lock held: makes its blocking call return, if it runs. */
void thread_wake(struct qs_thread *thread);

/* With the lock held. */
void thread_is_over(struct qs_thread *thread, int result);

#endif
