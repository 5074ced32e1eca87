/*
 * A task: one unit of background work with a name, a group, a kind, a place on the ladder and, at
 * its end, exactly one verdict. Kinds embed struct qs_task and bring a small table of functions;
 * what is common to all (rungs, causes, deadlines, ledger, verdict) is here. Loop thread only.
 */
#ifndef QS_TASK_H
#define QS_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/words.h>

#include "lib/heap.h"
#include "lib/ledger.h"
#include "lib/list.h"
#include "lib/loop.h"

struct qs_group;
struct qs_task;

/* What a kind of task can be made to do. None of these may end the task in its own call. */
struct qs_task_kind {
	enum qs_kind id;
	void (*ask)(struct qs_task *task);    /* please end; called once */
	void (*cancel)(struct qs_task *task); /* end now; called once, after ask */
	void (*kill)(struct qs_task *task);   /* force; called once, after cancel */
	/* What it waits for or consists of, for people: at most `size` bytes with the NUL. */
	void (*describe)(const struct qs_task *task, char *buffer, size_t size);
};

/* Spans in nanoseconds; QS_FOREVER: never by itself (a shutdown's own deadlines come anyway). */
struct qs_ladder {
	uint64_t deadline;     /* from ask to cancel */
	uint64_t cancel_grace; /* from cancel to kill */
};

/* What tasks have in common with others of their making; it outlives them. */
struct qs_task_terms {
	struct qs_ladder ladder;
	/* Called after each rung it is pushed to. It must not end the task. May be NULL. */
	void (*pushed)(struct qs_task *task, enum qs_rung rung, void *arg);
	/* Called last, when nothing of it is left and its verdict is known. It may free the task.
	 */
	void (*ended)(struct qs_task *task, enum qs_verdict verdict, void *arg);
};

struct qs_task_setup {
	const char *name;       /* copied, cut at QS_TASK_NAME_MAX - 1 */
	struct qs_owner *owner; /* who it counts for, may be NULL */
	const struct qs_task_terms *terms;
	void *arg; /* for what the terms call */
};

/* A hundred thousand of them may live: each word counts. */
struct qs_task {
	const struct qs_task_kind *kind;
	const struct qs_task_terms *terms;
	void *arg;
	struct qs_group *group;
	struct list in_group;     /* in the group, in the order of their starts */
	struct list in_context;   /* among all tasks of the context, in the order of their starts */
	struct qs_record *record; /* NULL once it has ended */
	struct heap_node rung; /* in the context's ladder, once asked: when the next rung is due */
};

/* Enters it into the group and the ledger. -ENOMEM; -ESHUTDOWN when the group is closed. */
QS_MUST_CHECK int qs_task_init(struct qs_task *task, const struct qs_task_kind *kind,
        struct qs_group *group, const struct qs_task_setup *setup);

uint64_t qs_task_id(const struct qs_task *task);
enum qs_rung qs_task_rung(const struct qs_task *task);
enum qs_cause qs_task_cause(const struct qs_task *task);

/* When it goes on to the next rung by itself; QS_FOREVER for never. */
uint64_t qs_task_next_rung_at(const struct qs_task *task);

/*
 * Asks it to end and starts its own ladder, which no later ask can lengthen: the cancel comes at
 * the earlier of the ladder's deadline and `cancel_at` (absolute). Asked again it keeps its first
 * cause, and an earlier `cancel_at` counts.
 */
void qs_task_ask(struct qs_task *task, enum qs_cause cause, uint64_t cancel_at);

/* Goes up to that rung by way of all before it. Nothing happens if it is there or higher. */
void qs_task_cancel(struct qs_task *task, enum qs_cause cause);
void qs_task_kill(struct qs_task *task, enum qs_cause cause);

/*
 * For kinds: nothing of it is left. Decides the verdict, closes the record, leaves the group, and
 * calls `ended`. `well` and `well_when_asked` say whether the outcome is a good end without and
 * after an ask.
 */
void qs_task_end(struct qs_task *task, struct qs_outcome outcome, bool well, bool well_when_asked);

/* For the end of the process: it is still there. Closes its record as abandoned; calls no `ended`.
 */
void qs_task_abandon(struct qs_task *task);

#endif
