/*
 * A task: one unit of background work with a name, a group, a kind, a place on the ladder and, at
 * its end, exactly one verdict. Kinds embed struct qs_task and bring a small table of functions;
 * what is common to all (rungs, causes, deadlines, ledger, verdict) is here. Loop thread only.
 */
#ifndef QS_TASK_H
#define QS_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/task.h>
#include <quiesce/words.h>

#include "lib/heap.h"
#include "lib/ledger.h"
#include "lib/list.h"
#include "lib/loop.h"

/* What a kind of task can be made to do. None of these may end the task in its own call. */
struct qs_context;

struct qs_task_kind {
	enum qs_kind id;
	void (*ask)(struct qs_task *task);    /* please end; called once */
	void (*cancel)(struct qs_task *task); /* end now; called once, after ask */
	void (*kill)(struct qs_task *task);   /* force; called once, after cancel */
	/* What it waits for or consists of, for people: at most `size` bytes with the NUL. */
	void (*describe)(const struct qs_task *task, char *buffer, size_t size);

	/* The rest may be NULL. */
	void (*expire)(struct qs_task *task);    /* a deadline around it is over; cancel follows */
	void (*abandoned)(struct qs_task *task); /* its record is closed; it will not be ended */
	bool (*stopping)(struct qs_task *task);  /* qs_stopping in another thread than the loop's */
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

/* Somebody who waits for a task's result; `done` is called once, when the task has ended. */
struct qs_join {
	struct qs_join *next;
	void (*done)(struct qs_join *join, const struct qs_result *result);
};

struct qs_task_setup {
	const char *name;       /* copied, cut at QS_TASK_NAME_MAX - 1 */
	struct qs_owner *owner; /* who it counts for, may be NULL */
	const struct qs_task_terms *terms;
	void *arg; /* for what the terms call */
	/* Somebody has its handle: once it has ended it waits for qs_task_result, a join or
	 * qs_task_forget, and only then `ended` is called. */
	bool joinable;
	bool part; /* of a task that lives in the group: it may enter one that is closed */
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
	union {
		struct {
			struct heap_node rung; /* in the context's ladder: its next rung */
			uint64_t swept_at;     /* asked with all others: when it is cancelled */
		};
		struct qs_result result; /* once it has ended */
	};
	struct qs_join *joins; /* NULL: nobody has its handle. The last is &qs_joins_end */
};

extern struct qs_join qs_joins_end;

/* Enters it into the group and the ledger. -ENOMEM; -ESHUTDOWN when the group is closed. */
QS_MUST_CHECK int qs_task_init(struct qs_task *task, const struct qs_task_kind *kind,
        struct qs_group *group, const struct qs_task_setup *setup);

enum qs_rung qs_task_rung(const struct qs_task *task);
enum qs_cause qs_task_cause(const struct qs_task *task);

/* When it goes on to the next rung by itself; QS_FOREVER for never. */
uint64_t qs_task_next_rung_at(const struct qs_task *task);

/* Joins a task that lives and has a handle. Taken back, or `done` was called, it may be freed. */
void qs_task_add_join(struct qs_task *task, struct qs_join *join);
void qs_task_remove_join(struct qs_task *task, struct qs_join *join);

/*
 * For kinds: nothing of it is left. Decides the verdict, closes the record, leaves the group, and
 * calls `ended`. `well` and `well_when_asked` say whether the outcome is a good end without and
 * after an ask.
 */
void qs_task_end(struct qs_task *task, struct qs_outcome outcome, bool well, bool well_when_asked);

/*
 * For kinds: it has heard of the stop event of the runtime by itself, before the loop has come to
 * ask it. If it has not been asked, it has been from now on.
 */
void qs_task_heard(struct qs_task *task);

/* For group.c: asks it as one of all there are; see `swept_at` of the context. */
void qs_task_ask_swept(struct qs_task *task, enum qs_cause cause, uint64_t cancel_at);
void qs_tasks_swept(struct qs_context *context, uint64_t cancel_at);

/* For group.c: it has ended, and nobody waits for its result any more. */
void qs_task_release(struct qs_task *task);

/* For the end of the process: it is still there. Closes its record as abandoned; calls no `ended`.
 */
void qs_task_abandon(struct qs_task *task);

#endif
