/*
 * A group owns tasks and other groups, and is over only when all of them have ended. Loop thread
 * only. Each group belongs to one context: the loop and the ledger its tasks live in.
 */
#ifndef QS_GROUP_H
#define QS_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/group.h>
#include <quiesce/words.h>

#include "lib/heap.h"
#include "lib/ledger.h"
#include "lib/list.h"
#include "lib/loop.h"
#include "lib/task.h"

#define QS_FAILURES_KEPT 16

struct qs_fibers;
struct qs_reaper;
struct qs_ground;
struct qs_steps;
struct qs_threads;

/* Hears of all that happens to tasks, in its order: `what` is a word. */
struct qs_witness {
	void (*note)(struct qs_witness *witness, const struct qs_task *task, const char *what);
};

struct qs_context {
	struct qs_loop *loop;
	struct qs_ledger *ledger;
	struct list tasks; /* all that live, in the order of their starts */
	size_t task_count; /* of them: the room in the ladder */
	struct heap
	        ladder; /* tasks that go on to the next rung by themselves, the earliest first */
	/*
	 * Whoever was asked with all others goes on with them, unless its own ladder is faster:
	 * so a hundred thousand tasks that are asked at once need not enter the ladder. QS_FOREVER:
	 * nobody does.
	 */
	uint64_t swept_at;
	struct qs_timer ladder_timer; /* set to the first of all these */

	/* Owned by the runtime, as is all below; NULL where there is none. */
	struct qs_ground *ground; /* with the stop event that any thread may set */

	/* What runs each kind of task. */
	struct qs_fibers *fibers;
	struct qs_steps *steps;
	struct qs_threads *threads;
	struct qs_reaper *reaper; /* made for the first process task */

	struct qs_clock *clock; /* the loop's */
	bool sweeping;          /* a rung for all tasks is under way: groups need not pass it on */
	struct list *nursery;   /* who makes a group now owns it: a fiber's list, NULL for none */
	/* A failure that nobody has read and nobody will. May be NULL. */
	void (*unread)(const struct qs_failure *failure, void *arg);
	void *unread_arg;
	struct qs_witness *witness; /* of a simulation, else NULL */
};

static inline void qs_tell_witness(
        const struct qs_context *context, const struct qs_task *task, const char *what)
{
	if (context->witness)
		context->witness->note(context->witness, task, what);
}

/* Cannot fail. qs_context_done comes after the last task and before the loop is freed. */
void qs_context_init(struct qs_context *context, struct qs_loop *loop, struct qs_ledger *ledger);
void qs_context_done(struct qs_context *context);

struct qs_group {
	struct qs_context *context;
	struct qs_group *parent;
	struct list in_parent;
	struct list groups, tasks;
	uint64_t live;    /* tasks in it and in all groups below */
	unsigned stage;   /* stages are stopped in the order 0, 1, …; inherited at init */
	bool closed;      /* admits nothing any more */
	bool keeps_order; /* its owner asks its tasks one by one; others pass it by */
	/* Called each time a task in it or below has ended, once it is out. May be NULL. */
	void (*left)(struct qs_group *group, void *arg);
	void *arg;

	struct list ended;    /* tasks that wait for their result to be read */
	struct list failures; /* that nobody has read yet, the oldest first */
	unsigned failure_count;
	struct list joins;    /* who waits for it to be empty */
	struct list in_owner; /* of the fiber that made it */
	uint64_t deadline;    /* its own, QS_FOREVER for none */
	struct qs_timer deadline_timer;
	bool cancels_rest;    /* when one fails */
	bool on_heap, let_go; /* made by qs_group_new; freed once it is empty */
	char name[QS_TASK_NAME_MAX];
};

/* Somebody who waits for a group to be empty. Called once; it may be freed then. */
struct qs_group_join {
	struct list node;
	void (*empty)(struct qs_group_join *join);
};

void qs_group_add_join(struct qs_group *group, struct qs_group_join *join);
void qs_group_remove_join(struct qs_group_join *join);

/* Embedded; the parent (NULL for the root) must outlive it. Cannot fail. */
void qs_group_init(struct qs_group *group, struct qs_context *context, struct qs_group *parent);

/* It must be empty: a task cannot be destroyed while it is pending. */
void qs_group_done(struct qs_group *group);

bool qs_group_is_closed(const struct qs_group *group);

/*
 * One rung for every task in it and below (to ask: whose stage is less than `stages`), those that
 * have run longest first. Each may be called again as the shutdown goes on.
 */
void qs_group_ask(struct qs_group *group, unsigned stages, enum qs_cause cause, uint64_t cancel_at);
void qs_group_abandon(struct qs_group *group);

/* How many tasks live in it and below whose stage is less than `stages`. */
uint64_t qs_group_live_in_stages(const struct qs_group *group, unsigned stages);

/* For task.c. `kept`: it has ended, and its result waits to be read. */
void qs_group_add(struct qs_group *group, struct qs_task *task);
/* Moves one that lives to another group of the same context. */
void qs_group_transfer(struct qs_task *task, struct qs_group *to);
void qs_group_remove(struct qs_group *group, struct qs_task *task, bool kept);

/* Frees it if it was let go of and nothing is left in it; then those around it likewise. */
void qs_group_sweep(struct qs_group *group);

/*
 * The failures of a group's tasks, until they are read. A task that can still be joined has a claim
 * to its own; without, or where nobody ever reads (the root), a failure is reported at once.
 */
void qs_group_note_failure(
        struct qs_group *group, const struct qs_task *claimant, const struct qs_failure *failure);
void qs_group_failure_is_read(struct qs_group *group, const struct qs_task *claimant);
void qs_group_failure_is_nobodys(struct qs_group *group, const struct qs_task *claimant);
void qs_group_report_failures(struct qs_group *group);

#endif
