/*
 * Fibers and the one wait primitive on which all their waits are built. Loop thread only.
 */
#ifndef QS_FIBER_H
#define QS_FIBER_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/fiber.h>

#include "lib/group.h"
#include "lib/task.h"

struct qs_bells;
struct qs_fiber;
struct qs_fibers;

enum qs_wait_nature {
	QS_WAIT_IDLE,      /* ends on ask */
	QS_WAIT_IN_FLIGHT, /* ends on cancel */
	QS_WAIT_TO_THE_END /* ends when it is over, or by force */
};

/* Lies on the stack of the fiber that waits. */
struct qs_wait {
	const char *name; /* static, for people */
	enum qs_wait_nature nature;
	/* Takes it out of what it waits in: it will not be woken from there any more. NULL: nothing
	 * knows of it. */
	void (*abort)(struct qs_wait *wait);
	/*
	 * Not NULL: it cannot be taken out, because somebody uses the fiber's stack; it ends only
	 * by qs_fiber_wake, also when the fiber is killed. Called in place of `abort`.
	 */
	void (*hurry)(struct qs_wait *wait, int result);
	/* It was woken with 0 or more and is ended by force before it could hear of that. NULL: so
	 * be it. */
	void (*undo)(struct qs_wait *wait);
};

/*
 * Suspends the running fiber until qs_fiber_wake or the deadline, or until the ladder ends the
 * wait; returns the result. The wait has been entered into what it waits in; when this fails by
 * itself, also at once, the wait has been aborted.
 */
QS_SIBLING QS_MUST_CHECK int qs_fiber_wait(
        struct qs_fiber *self, struct qs_wait *wait, uint64_t deadline);

/* Makes a waiting fiber ready with that result. The first result counts. */
QS_SIBLING void qs_fiber_wake(struct qs_fiber *fiber, int result);

/*
 * What a waiting fiber waits for has become something else: it goes on under that name and nature,
 * unless it would be idle now and the fiber was asked: then it ends as by that ask.
 */
QS_SIBLING void qs_fiber_change_wait(
        struct qs_fiber *fiber, enum qs_wait_nature nature, const char *name);

/*
 * What a wait of that nature would fail with at once: -ESHUTDOWN, -ECANCELED, or 0. Does not return
 * if the fiber was killed while it ran: nothing may have been entered into anything before.
 */
QS_SIBLING QS_MUST_CHECK int qs_fiber_check(struct qs_fiber *self, enum qs_wait_nature nature);

/* Something that goes with the fiber, unless it goes before. Embedded in what it is. */
struct qs_belonging {
	struct list node;
	void (*release)(struct qs_belonging *belonging);
};

/* It is released with the fiber, after its clean-ups; in any order. list_remove takes it back. */
QS_SIBLING void qs_fiber_own(struct qs_fiber *fiber, struct qs_belonging *belonging);

/* Who starts fibers of a sort and watches over them; it outlives them. All of it may be NULL. */
struct qs_fiber_keeper {
	/* What it waits for, in more words than the name of its wait. */
	void (*describe)(const struct qs_task *task, char *buffer, size_t size, void *arg);
	/* It will be cancelled now: the last moment at which it is seen what it waits for. */
	void (*cancelling)(struct qs_task *task, void *arg);
	/* As in struct qs_task_terms; `ended` is still to leave the task alone. */
	void (*pushed)(struct qs_task *task, enum qs_rung rung, void *arg);
	void (*ended)(struct qs_task *task, enum qs_verdict verdict, void *arg);
};

struct qs_fiber_setup {
	const char *name;        /* copied, cut */
	struct qs_owner *owner;  /* who it counts for, may be NULL */
	struct qs_ladder ladder; /* QS_FOREVER where it has no patience of its own to lose */
	const struct qs_fiber_keeper *keeper;
	qs_task_fn fn;
	void *arg; /* of the function and of its keeper */
};

/* Starts a fiber that is kept and that nobody can join: the task is there until its keeper hears of
 * the end. -ENOMEM; -ESHUTDOWN when the group admits nothing. */
QS_MUST_CHECK int qs_fiber_start(
        struct qs_group *group, const struct qs_fiber_setup *setup, struct qs_task **ret_task);

struct qs_fibers_options {
	size_t stack_size; /* 0: QS_STACK_SIZE */
	size_t keep;   /* so many free stacks keep their memory for ever; 0: QS_STACK_POOL_KEEP */
	bool measure;  /* how deep stacks are: into the ledger; see stack_pool.h */
	uint64_t seed; /* 0: ready fibers run in the order in which they became ready */
	/* A stack without a guard page has overflowed: for last words, before the process aborts.
	 */
	void (*overflowed)(const char *name, void *arg);
	void *arg;
};

/* Becomes context->fibers. -ENOMEM, -EINVAL (stack size), -EMFILE, -ENFILE. */
QS_MUST_CHECK int qs_fibers_new(struct qs_context *context, const struct qs_fibers_options *options,
        struct qs_fibers **ret_fibers);

/* No fiber may live any more; abandoned ones are dropped. NULL is fine. */
void qs_fibers_free(struct qs_fibers *fibers);

/*
 * The name of the fiber whose stack, or the guard below it, holds the address; NULL if none does.
 * For a crash handler: async-signal-safe.
 */
const char *qs_fibers_name_at(const struct qs_fibers *fibers, const void *address);

QS_SIBLING struct qs_fiber *qs_fiber_of(qs_task *task);

/* For what other threads have to tell fibers. */
struct qs_bells *qs_fibers_bells(struct qs_fibers *fibers);

#endif
