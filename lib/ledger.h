/*
 * The ledger: a record of every task that lives, totals per owner of all that ended, and the last
 * endings of each owner. Records have a fixed layout and never move, so that another thread can
 * read them without a lock or an allocation while the loop is stuck anywhere.
 *
 * Written by the loop's thread only, but for qs_ledger_retain and qs_ledger_close_books. Another
 * thread reads a record by qs_ledger_read. The loop's own thread may look at it directly.
 */
#ifndef QS_LEDGER_H
#define QS_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <quiesce/words.h>

#include "lib/clock.h"

#define QS_NAME_MAX      64 /* of an owner, with the NUL */
#define QS_TASK_NAME_MAX 32 /* of a task, with the NUL; longer ones are cut */
#define QS_ENDINGS_KEPT  32
#define QS_NOTES_KEPT    256

struct qs_ledger;

struct qs_ending {
	uint64_t id, started_at, asked_at, ended_at; /* absolute, ns; asked_at 0: never */
	struct qs_outcome outcome;
	uint32_t stack; /* as in the record */
	uint8_t verdict, cause, rung;
};

/* A worker of the daemon, or whatever else tasks are counted by. Lives as long as the ledger. */
struct qs_owner {
	char name[QS_NAME_MAX];
	_Atomic uint64_t started;                 /* tasks, since the ledger began */
	_Atomic uint64_t ended[QS_VERDICT_COUNT]; /* by verdict */
	struct qs_ending *endings; /* ring of QS_ENDINGS_KEPT, NULL before the first; loop thread */
	uint64_t endings_count;    /* ever written; the newest at (count - 1) % KEPT */
	_Atomic(struct qs_owner *) next; /* in order of creation */
};

struct qs_record {
	_Atomic uint64_t id; /* 0: free */
	_Atomic uint64_t
	        polled_at; /* when the task last looked at its stop event, coarse; 0: unknown */
	_Atomic(const char *) waiting_on; /* a static string, NULL: nothing that is known */
	_Atomic(struct qs_owner *) owner; /* NULL: counted by nobody */
	_Atomic uint64_t started_at, asked_at, ended_at; /* absolute, ns; 0: not yet */
	_Atomic uint64_t outcome; /* packed; qs_ledger_read unpacks it. While free: the next free */
	union {
		_Atomic int32_t pid;    /* of a process, 0 for none */
		_Atomic uint32_t stack; /* of a fiber that is measured, the most so far, bytes */
	};
	_Atomic uint8_t kind, cause;
	_Atomic uint8_t rung, verdict; /* QS_VERDICT_NONE while it lives */
	char name[QS_TASK_NAME_MAX];
};

/* What qs_ledger_read took from a record: a copy that nobody changes. */
struct qs_record_copy {
	uint64_t id, polled_at, started_at, asked_at, ended_at;
	const char *waiting_on;
	const struct qs_owner *owner;
	int32_t pid;
	uint32_t stack;
	struct qs_outcome outcome; /* QS_OUTCOME_NONE while it lives */
	enum qs_kind kind;
	enum qs_cause cause;
	enum qs_rung rung;
	enum qs_verdict verdict;
	char name[QS_TASK_NAME_MAX];
};

QS_MUST_CHECK int qs_ledger_new(struct qs_ledger **ret_ledger); /* -ENOMEM */
void qs_ledger_free(struct qs_ledger *ledger);

/* The owner of that name, made if there is none. -ENOMEM, -ENAMETOOLONG, -EINVAL (empty). */
QS_MUST_CHECK int qs_ledger_owner(
        struct qs_ledger *ledger, const char *name, struct qs_owner **ret_owner);
struct qs_owner *qs_ledger_first_owner(const struct qs_ledger *ledger);

/* Opens a record with a new id, counts it as started. -ENOMEM, -ESHUTDOWN (the books are closed):
 * nothing was counted. */
QS_MUST_CHECK int qs_ledger_open(struct qs_ledger *ledger, struct qs_owner *owner,
        enum qs_kind kind, const char *name, uint64_t now, struct qs_record **ret_record);

/* The id that the next record to be opened will get, as long as none else is opened before. */
uint64_t qs_ledger_peek_id(const struct qs_ledger *ledger);

/*
 * Closes it with its verdict. The slot is free for another task, unless the ledger retains what
 * ends (from the request to stop on), for the report. Does nothing to a record that has a verdict.
 */
void qs_ledger_close(struct qs_ledger *ledger, struct qs_record *record, enum qs_verdict verdict,
        struct qs_outcome outcome, uint64_t now);

/*
 * What a straggler was found busy with, for the report: a copy that lasts as long as the ledger.
 * Only while what ends keeps its record, and at most QS_NOTES_KEPT; otherwise it is forgotten.
 */
void qs_ledger_note(struct qs_ledger *ledger, uint64_t id, const char *text);
/* NULL: there is none. Any thread. */
const char *qs_ledger_note_of(const struct qs_ledger *ledger, uint64_t id);

/* From now on what ends keeps its record. Any thread. */
void qs_ledger_retain(struct qs_ledger *ledger);

/*
 * The last entry: whatever lives is abandoned, and nothing that the loop still does changes a
 * verdict. For who leaves the process beside a stuck loop. Any thread, lock-free, no allocation.
 */
void qs_ledger_close_books(struct qs_ledger *ledger, uint64_t now);

/* How many tasks have ended with that verdict, of every owner and of none. Any thread. */
uint64_t qs_ledger_ended(const struct qs_ledger *ledger, enum qs_verdict verdict);

/* How many tasks live. Any thread. */
uint64_t qs_ledger_live(const struct qs_ledger *ledger);

/*
 * Walks the used records, from `*cursor` = 0 on; NULL at the end. Any thread, lock-free; another
 * thread than the loop's sees each record at some moment of the walk.
 */
const struct qs_record *qs_ledger_next(const struct qs_ledger *ledger, uint64_t *cursor);

/* A consistent copy of a record, or false if it is free or changed hands just now. Any thread. */
QS_MUST_CHECK bool qs_ledger_read(const struct qs_record *record, struct qs_record_copy *ret_copy);

#endif
