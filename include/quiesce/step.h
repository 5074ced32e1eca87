/*
 * A step: a task that is a callback. It has no stack and keeps its state in `arg`; it is called
 * when something has happened and says whether it wants to be called again. A hundred thousand of
 * them cost 256 bytes each. All functions: the runtime's thread.
 */
#ifndef QUIESCE_STEP_H
#define QUIESCE_STEP_H

#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/task.h>

QS_BEGIN_DECLS

/* What has happened since the last call: one or more of these. */
#define QS_STEP_FIRST    1U  /* it is its first call */
#define QS_STEP_TIMER    2U  /* the time of qs_step_again has come */
#define QS_STEP_READABLE 4U  /* the watched descriptor */
#define QS_STEP_WRITABLE 8U  /* the watched descriptor */
#define QS_STEP_STOP     16U /* it is asked to end, told once */
#define QS_STEP_DEADLINE 32U /* its own deadline has passed, told once */

/* What it returns: it has ended well, or waits; a negative errno is a failure. */
#define QS_STEP_DONE 0
#define QS_STEP_WAIT 1

/*
 * Called in the runtime's loop. After QS_STEP_STOP it may go on with work in flight until the
 * cancel: then it is called no more, its clean-up runs, and it has ended. -ESHUTDOWN is a good end
 * after QS_STEP_STOP.
 */
typedef int (*qs_step_fn)(qs_task *self, void *arg, unsigned why);

/*
 * Starts one; it is first called in the next turn. `options` may be NULL; `ret_task` too, and what
 * it gets is good until the task has ended. -ENOMEM; -ESHUTDOWN when the group admits nothing.
 */
QS_EXPORT QS_MUST_CHECK int qs_spawn_step(qs_group *group, const struct qs_task_options *options,
        qs_step_fn fn, void *arg, qs_task **ret_task);

/* Call it again at that time (absolute); the latest call counts. QS_FOREVER: not by time. */
QS_EXPORT void qs_step_again(qs_task *self, uint64_t at);

/*
 * Call it while the descriptor is ready: `what` is QS_STEP_READABLE, QS_STEP_WRITABLE or both; 0
 * takes the watch back, which comes before closing the descriptor. One at a time. -ENOMEM, -EBADF,
 * -EPERM (a descriptor that is always ready).
 */
QS_EXPORT QS_MUST_CHECK int qs_step_watch(qs_task *self, int fd, unsigned what);

/* Has `fn` called with the step's `arg` once it has ended, however that comes. -ENOMEM. */
QS_EXPORT QS_MUST_CHECK int qs_step_cleanup(qs_task *self, void (*fn)(void *arg));

QS_END_DECLS

#endif
