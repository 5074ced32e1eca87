/*
 * Supervision: a fiber that keeps children alive. It starts them in order, each when the one before
 * it has started, starts again what ends, and stops them in the reverse order. A supervisor is
 * itself a fiber's function, and so it can be the child of another:
 *
 *	qs_spawn_fiber(group, &options, qs_supervise, (void *)&plan, NULL);
 *
 * What its group is asked, a supervisor's children are not: they are asked by their supervisor, one
 * after the other. A cancel and force reach them directly.
 */
#ifndef QUIESCE_SUPERVISOR_H
#define QUIESCE_SUPERVISOR_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/group.h>
#include <quiesce/step.h>
#include <quiesce/task.h>

QS_BEGIN_DECLS

/* Which children are started again. To fail is to end with any verdict worse than `stopped`. */
enum qs_restart {
	QS_RESTART_PERMANENT, /* always */
	QS_RESTART_TRANSIENT, /* if it failed */
	QS_RESTART_TEMPORARY, /* never */
};

/* Which others are stopped and started again with it. */
enum qs_strategy {
	QS_ONE_FOR_ONE,  /* none */
	QS_ONE_FOR_ALL,  /* all */
	QS_REST_FOR_ONE, /* those that come after it */
};

/*
 * Starts a child of whatever kind in that group and gives out its handle. It runs in the
 * supervisor's fiber `self` and may wait until the child is of use; the children after it are
 * started when it returns. 0, or a negative errno: then nothing of it may be left.
 */
typedef int (*qs_start_fn)(qs_task *self, qs_group *group, const struct qs_task_options *options,
        void *arg, qs_task **ret_task);

/* One of `fiber`, `step` and `start` says what it is. */
struct qs_child {
	const char *name;
	qs_task_fn fiber;
	qs_step_fn step;
	qs_start_fn start;
	void *arg; /* for that function; it is the same at each start */
	enum qs_restart restart;
	/* As in qs_task_options; 0 is the default. */
	uint64_t stop_deadline, cancel_grace;
	size_t stack_size;
};

/*
 * Restarts. The n-th in a row, from 0, waits for a time drawn from [0, min(cap, base * 2^n)]; a
 * child that has run for `reset_after` begins anew. More than `count` of them, over all children,
 * within `within` are too many. Spans in ns; each 0 is the default.
 */
struct qs_intensity {
	unsigned count;       /* 10; UINT_MAX: no limit */
	uint64_t within;      /* 1 min */
	uint64_t base, cap;   /* 100 ms, 30 s */
	uint64_t reset_after; /* 1 min */
};

/* What a supervisor tells. All may be NULL; none may wait. Loop thread. */
struct qs_supervisor_hooks {
	/* Once for each start, and once for the end of what was started, however that comes. */
	void (*started)(const struct qs_child *child, qs_task *task, void *arg);
	void (*ended)(const struct qs_child *child, const struct qs_result *result, void *arg);
	/* Once, before it stops what is left: it fails with this error because of that child. */
	void (*giving_up)(const struct qs_child *child, int error, void *arg);
	void *arg;
};

/* What a supervisor goes by. All of it has to stay as it is while the supervisor lives. */
struct qs_supervision {
	const struct qs_child *children; /* in the order of their start */
	unsigned count;
	enum qs_strategy strategy;
	struct qs_intensity intensity;
	struct qs_supervisor_hooks hooks;
};

/*
 * Supervises until it is stopped (-ESHUTDOWN), or all its children have ended for good (0), or too
 * many restarts were needed (-EDQUOT); when it returns no child lives. A child that cannot be
 * started the first time is its failure too (that errno); the children before it are stopped again.
 * `plan` is a struct qs_supervision. Also -EINVAL (a child without a function or a handle),
 * -ENOMEM, -ECANCELED, -ETIMEDOUT. Within a fiber.
 */
QS_EXPORT QS_MUST_CHECK int qs_supervise(qs_task *self, void *plan);

QS_END_DECLS

#endif
