/*
 * A group owns tasks and other groups, and is over only when all of them have ended. Loop thread
 * only. Each group belongs to one context: the loop and the ledger its tasks live in.
 */
#ifndef QS_GROUP_H
#define QS_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/words.h>

#include "lib/heap.h"
#include "lib/ledger.h"
#include "lib/list.h"
#include "lib/loop.h"
#include "lib/task.h"

struct qs_fibers;
struct qs_ground;
struct qs_steps;
struct qs_threads;

struct qs_context {
	struct qs_loop *loop;
	struct qs_ledger *ledger;
	struct list tasks; /* all that live, in the order of their starts */
	size_t task_count; /* of them: the room in the ladder */
	struct heap
	        ladder; /* tasks that go on to the next rung by themselves, the earliest first */
	struct qs_timer ladder_timer; /* set to the first of them */

	/* Owned by the runtime, as is all below; NULL where there is none. */
	struct qs_ground *ground; /* with the stop event that any thread may set */

	/* What runs each kind of task. */
	struct qs_fibers *fibers;
	struct qs_steps *steps;
	struct qs_threads *threads;
};

/* Cannot fail. qs_context_done comes after the last task and before the loop is freed. */
void qs_context_init(struct qs_context *context, struct qs_loop *loop, struct qs_ledger *ledger);
void qs_context_done(struct qs_context *context);

struct qs_group {
	struct qs_context *context;
	struct qs_group *parent;
	struct list in_parent;
	struct list groups, tasks;
	uint64_t live;  /* tasks in it and in all groups below */
	unsigned stage; /* stages are stopped in the order 0, 1, …; inherited at init */
	bool closed;    /* admits nothing any more */
	/* Called each time a task in it or below has ended, once it is out. May be NULL. */
	void (*left)(struct qs_group *group, void *arg);
	void *arg;
};

/* Embedded; the parent (NULL for the root) must outlive it. Cannot fail. */
void qs_group_init(struct qs_group *group, struct qs_context *context, struct qs_group *parent);

/* It must be empty: a task cannot be destroyed while it is pending. */
void qs_group_done(struct qs_group *group);

/* From now on no task can enter it or a group below. qs_group_open takes that back. */
void qs_group_close(struct qs_group *group);
void qs_group_open(struct qs_group *group);
bool qs_group_is_closed(const struct qs_group *group);

/*
 * One rung for every task in it and below (to ask: whose stage is less than `stages`), those that
 * have run longest first. Each may be called again as the shutdown goes on.
 */
void qs_group_ask(struct qs_group *group, unsigned stages, enum qs_cause cause, uint64_t cancel_at);
void qs_group_cancel(struct qs_group *group, enum qs_cause cause);
void qs_group_kill(struct qs_group *group, enum qs_cause cause);
void qs_group_abandon(struct qs_group *group);

/* How many tasks live in it and below whose stage is less than `stages`. */
uint64_t qs_group_live_in_stages(const struct qs_group *group, unsigned stages);

/* For task.c. */
void qs_group_add(struct qs_group *group, struct qs_task *task);
void qs_group_remove(struct qs_group *group, struct qs_task *task);

#endif
