/*
 * A task: one unit of background work. It belongs to a group, has a name, and ends with exactly one
 * verdict. Steps, fibers, threads and processes are tasks; what is common to all of them is here.
 *
 * How a task is ended: it is asked (qs_stopping is true, idle waits return -ESHUTDOWN), then
 * cancelled (every wait returns -ECANCELED), then killed. Who spawned it with a place for the
 * handle owes a look at its result: qs_task_join, qs_task_result or qs_task_forget.
 */
#ifndef QUIESCE_TASK_H
#define QUIESCE_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/words.h>

QS_BEGIN_DECLS

typedef struct qs_task qs_task;
typedef struct qs_group qs_group;

/* What a fiber or a thread runs. 0 or more is success, a negative errno is a failure; after an ask
 * -ESHUTDOWN is a good end as well. */
typedef int (*qs_task_fn)(qs_task *self, void *arg);

/* All zero is a good default. */
struct qs_task_options {
	const char *name;       /* copied, cut to 31 bytes */
	uint64_t deadline;      /* absolute: no wait of it lasts longer (-ETIMEDOUT); 0: none */
	uint64_t stop_deadline; /* span from ask to cancel; 0: the runtime's, QS_FOREVER: none */
	uint64_t cancel_grace;  /* span from cancel to kill; likewise */
	size_t stack_size;      /* of a fiber (8 sizes at most) or a thread; 0: the usual one */
};

/* How a task has ended. */
struct qs_result {
	enum qs_verdict verdict;
	struct qs_outcome outcome;
};

/*
 * Whether it has been asked to end, for the task itself; stamps its stop lag. A task that polls
 * this hears the stop even if it never waits. A few nanoseconds.
 */
QS_EXPORT bool qs_stopping(qs_task *self);

/* The time `span` from now, for the task itself: the usual way to make a deadline. */
QS_EXPORT uint64_t qs_in(const qs_task *self, uint64_t span);

/* Loop thread, while it lives: */
QS_EXPORT qs_group *qs_task_group(const qs_task *task);
QS_EXPORT uint64_t qs_task_id(const qs_task *task); /* 0 once it has ended */

/*
 * Pushes it up the ladder, by way of all rungs below. Nothing happens to a task that is there
 * already. Asked, it goes on to the cancel when its own patience is over, or at `cancel_at`
 * (absolute) if that is earlier. The cause of a program's own doing is QS_CAUSE_API. Loop thread.
 */
QS_EXPORT void qs_task_ask(qs_task *task, enum qs_cause cause, uint64_t cancel_at);
QS_EXPORT void qs_task_cancel(qs_task *task, enum qs_cause cause);
QS_EXPORT void qs_task_kill(qs_task *task, enum qs_cause cause);

/*
 * Reads how it ended and lets go of it: the handle is not valid any more. -EINPROGRESS while it
 * lives: nothing has changed. Only for a handle that a spawn has given out. Loop thread.
 */
QS_EXPORT QS_MUST_CHECK int qs_task_result(qs_task *task, struct qs_result *ret_result);

/* Nobody will ask for its result; lets go of the handle. A failure is reported by name. */
QS_EXPORT void qs_task_forget(qs_task *task);

QS_END_DECLS

#endif
