/*
 * Threads, for code that blocks. A thread is a task like any other; but nobody can end it by force:
 * at its ask its stop event is set, at its cancel a signal makes blocking calls return EINTR (again
 * and again until it has ended), and one that does not end all the same is abandoned: qs_run
 * returns 151, and what it may still touch stays. Its argument is for its owner to keep alive as
 * well.
 */
#ifndef QUIESCE_THREAD_H
#define QUIESCE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/stop.h>
#include <quiesce/task.h>

QS_BEGIN_DECLS

/*
 * Starts a thread of its own for `fn`, which may use `self` for qs_stopping and the functions
 * below, and for nothing else. `options` may be NULL, and so may `ret_task`: then nobody joins it.
 * -ENOMEM, -EAGAIN, -EMFILE, -EINVAL (stack size); -ESHUTDOWN when the group admits nothing;
 * -EOPNOTSUPP in a simulation.
 * Loop thread.
 */
QS_EXPORT QS_MUST_CHECK int qs_spawn_thread(qs_group *group, const struct qs_task_options *options,
        qs_task_fn fn, void *arg, qs_task **ret_task);

/* The thread's own stop event, to be polled or waited for (qs_stop_fd). Within the thread. */
QS_EXPORT qs_stop *qs_thread_stop(qs_task *self);

/*
 * Waits until the thread is asked to end: 0; -ETIMEDOUT; -EINTR when a signal comes. While it waits
 * it does not lag. Within the thread.
 */
QS_EXPORT QS_MUST_CHECK int qs_thread_wait(qs_task *self, uint64_t deadline);

/* Whether it was cancelled: then EINTR is meant seriously. Within the thread. */
QS_EXPORT bool qs_thread_cancelled(qs_task *self);

struct qs_call_options {
	const char *name; /* of the task that the call is, for people; NULL: "call" */
	/*
	 * Nobody needs to wait for its end. When the deadline or a cancel comes, the caller goes
	 * on and the function is left behind. With -ETIMEDOUT or -ECANCELED the argument is not the
	 * caller's any more: `discard` (may be NULL) gets it, in any thread, once the function has
	 * returned or if it will never begin. What never returns is abandoned in the end, and keeps
	 * its thread of the pool until then.
	 */
	bool abandonable;
	void (*discard)(void *arg);
};

/*
 * Calls `fn` in a thread of the pool and waits for what it returns, in flight; from within the
 * fiber `self`. `fn` gets a task of its own, to be used as in qs_spawn_thread. What is not
 * abandonable is always waited for: at the deadline or the cancel it is itself cancelled, and this
 * returns when it has ended: its result if that is 0 or more, else -ETIMEDOUT or -ECANCELED.
 * `options` may be NULL. -ENOMEM, -EAGAIN. In a simulation `fn` is called where it is, by the
 * fiber: it gets `self`, and qs_thread_stop is the runtime's.
 */
QS_EXPORT QS_MUST_CHECK int qs_call_blocking(qs_task *self, const struct qs_call_options *options,
        qs_task_fn fn, void *arg, uint64_t deadline);

QS_END_DECLS

#endif
