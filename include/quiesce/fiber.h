/*
 * Fibers: straight-line code on a small stack of its own, by the hundred thousand, all in the
 * thread of their runtime. A fiber runs until it waits; so it polls qs_stopping in long loops.
 *
 * Every wait takes an absolute deadline (QS_FOREVER for none; qs_in makes one) and returns
 *   -ETIMEDOUT   that deadline, the task's own, or one of a group around it has come;
 *   -ESHUTDOWN   the task was asked to end, now or before: only if the wait is idle;
 *   -ECANCELED   the task was cancelled, now or before.
 * Idle is what waits for something to do; work in flight goes on until the cancel. Each wait says
 * which it is. A fiber that is killed does not come back: its deferred clean-ups run, and its stack
 * is dropped, without destructors. All functions: from within the fiber `self`.
 *
 * What belongs to a thread belongs to all its fibers: wait with no lock in hand (a FILE has one)
 * nor within a C++ catch block, and let no exception leave the function.
 */
#ifndef QUIESCE_FIBER_H
#define QUIESCE_FIBER_H

#include <stdint.h>

#include <quiesce/clock.h>
#include <quiesce/export.h>
#include <quiesce/group.h>
#include <quiesce/stop.h>
#include <quiesce/task.h>

QS_BEGIN_DECLS

/*
 * Starts a fiber; it runs when the loop comes to it. `options` may be NULL; so may `ret_task`: then
 * nobody joins it. -ENOMEM; -ESHUTDOWN when the group admits nothing; -EINVAL (stack size). Loop
 * thread.
 */
QS_EXPORT QS_MUST_CHECK int qs_spawn_fiber(qs_group *group, const struct qs_task_options *options,
        qs_task_fn fn, void *arg, qs_task **ret_task);

/* --- waits --- */

/* Waits until that time, and then returns 0 (a deadline around it comes first: -ETIMEDOUT). Idle.
 */
QS_EXPORT int qs_sleep(qs_task *self, uint64_t until);

/* Lets others run, and the loop look around. In flight: 0 or -ECANCELED. */
QS_EXPORT int qs_yield(qs_task *self);

#define QS_FD_READABLE  1U
#define QS_FD_WRITABLE  2U
#define QS_FD_IN_FLIGHT 4U /* this is work in flight, whatever is waited for */

/*
 * Waits until the descriptor is readable or writable; returns which. Idle if it waits for readable
 * only and without QS_FD_IN_FLIGHT; else in flight. -EPERM (a descriptor that is always ready),
 * -EBADF, -EINVAL (neither of them), -ENOMEM. Nobody may close it meanwhile.
 */
QS_EXPORT QS_MUST_CHECK int qs_wait_fd(qs_task *self, int fd, unsigned what, uint64_t deadline);

/* Waits until a stop event is set, of any tree: 0. Idle. -EMFILE, -ENFILE, -ENOMEM. */
QS_EXPORT QS_MUST_CHECK int qs_wait_stop(qs_task *self, qs_stop *stop, uint64_t deadline);

/*
 * Waits until the task has ended, of whatever kind, and lets go of its handle; `ret_result` may be
 * NULL. When this fails the handle is still good. In flight. -EINVAL: nobody has a handle of it.
 * -EDEADLK: it is the fiber itself.
 */
QS_EXPORT QS_MUST_CHECK int qs_task_join(
        qs_task *self, qs_task *task, uint64_t deadline, struct qs_result *ret_result);

/*
 * Joins all `count` of them; the place of each that is joined becomes NULL, and those that are NULL
 * are left out. `results` may be NULL. In flight.
 */
QS_EXPORT QS_MUST_CHECK int qs_join_all(qs_task *self, qs_task **tasks, unsigned count,
        uint64_t deadline, struct qs_result *results);

/*
 * Joins the first of them to end; returns its index and makes its place NULL. In flight. -EINVAL:
 * none is left, or one stands there twice. -ENOMEM.
 */
QS_EXPORT QS_MUST_CHECK int qs_join_first(qs_task *self, qs_task **tasks, unsigned count,
        uint64_t deadline, struct qs_result *ret_result);

/*
 * Waits until nothing lives in the group and below. Returns 0; or 1 if one of its tasks has failed
 * and nobody has read that yet: the first such failure is handed out. `ret_failure` may be NULL. In
 * flight. -EDEADLK: the fiber itself is in it.
 */
QS_EXPORT QS_MUST_CHECK int qs_group_join(
        qs_task *self, qs_group *group, uint64_t deadline, struct qs_failure *ret_failure);

/* --- clean-up --- */

/*
 * Has `fn` called when the fiber ends, however that comes: last in, first out, after the groups it
 * owns have ended. When it is killed its waits return -ECANCELED there. -ENOMEM: it will not be.
 */
QS_EXPORT QS_MUST_CHECK int qs_defer(qs_task *self, void (*fn)(void *arg), void *arg);

/*
 * From here to qs_shield_end waits take no notice of an ask, a cancel or deadlines further out:
 * they last until `deadline` at most. Then the shield is gone. Returns what qs_shield_end takes.
 */
QS_EXPORT QS_MUST_CHECK uint64_t qs_shield_begin(qs_task *self, uint64_t deadline);
QS_EXPORT void qs_shield_end(qs_task *self, uint64_t outer);

QS_END_DECLS

#endif
