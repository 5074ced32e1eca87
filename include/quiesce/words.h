/*
 * The vocabulary: what kinds of task there are, how far up the ladder one stands, why it was asked,
 * how it ended, and where a shutdown stands. The names are what logs, reports and the control
 * socket show; they never change.
 */
#ifndef QUIESCE_WORDS_H
#define QUIESCE_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/export.h>

QS_BEGIN_DECLS

/* What a task is made of. */
#define QS_KIND_MAP(X)              \
	X(QS_KIND_STEP, "step")     \
	X(QS_KIND_FIBER, "fiber")   \
	X(QS_KIND_THREAD, "thread") \
	X(QS_KIND_PROCESS, "process")

/* How far up the ladder a task has been pushed. A task only ever goes up. */
#define QS_RUNG_MAP(X)              \
	X(QS_RUNG_NONE, "none")     \
	X(QS_RUNG_ASK, "ask")       \
	X(QS_RUNG_CANCEL, "cancel") \
	X(QS_RUNG_KILL, "kill")

/* Why a task was asked to end. The first cause is kept. */
#define QS_CAUSE_MAP(X)                      \
	X(QS_CAUSE_NONE, "none")             \
	X(QS_CAUSE_SHUTDOWN, "shutdown")     \
	X(QS_CAUSE_API, "api")               \
	X(QS_CAUSE_RELOAD, "reload")         \
	X(QS_CAUSE_HEARTBEAT, "heartbeat")   \
	X(QS_CAUSE_READY, "ready")           \
	X(QS_CAUSE_DEPENDENCY, "dependency") \
	X(QS_CAUSE_LEADER_EXIT, "leader-exit")

/* How a task ended, best first. QS_VERDICT_NONE: it lives. */
#define QS_VERDICT_MAP(X)                    \
	X(QS_VERDICT_NONE, "none")           \
	X(QS_VERDICT_FINISHED, "finished")   \
	X(QS_VERDICT_STOPPED, "stopped")     \
	X(QS_VERDICT_FAILED, "failed")       \
	X(QS_VERDICT_CANCELLED, "cancelled") \
	X(QS_VERDICT_KILLED, "killed")       \
	X(QS_VERDICT_ABANDONED, "abandoned")

/* Where the shutdown stands. Draining without a stop is the only phase that may be left backwards.
 */
#define QS_PHASE_MAP(X)                      \
	X(QS_PHASE_RUNNING, "running")       \
	X(QS_PHASE_DRAINING, "draining")     \
	X(QS_PHASE_STOPPING, "stopping")     \
	X(QS_PHASE_CANCELLING, "cancelling") \
	X(QS_PHASE_KILLING, "killing")       \
	X(QS_PHASE_QUIESCED, "quiesced")

#define QS_WORD_VALUE(value, name) value,
enum qs_kind { QS_KIND_MAP(QS_WORD_VALUE) QS_KIND_COUNT };
enum qs_rung { QS_RUNG_MAP(QS_WORD_VALUE) QS_RUNG_COUNT };
enum qs_cause { QS_CAUSE_MAP(QS_WORD_VALUE) QS_CAUSE_COUNT };
enum qs_verdict { QS_VERDICT_MAP(QS_WORD_VALUE) QS_VERDICT_COUNT };
enum qs_phase { QS_PHASE_MAP(QS_WORD_VALUE) QS_PHASE_COUNT };
#undef QS_WORD_VALUE

/* The names above: static strings; "?" for a value out of range. Any thread. */
QS_EXPORT const char *qs_kind_name(enum qs_kind kind);
QS_EXPORT const char *qs_rung_name(enum qs_rung rung);
QS_EXPORT const char *qs_cause_name(enum qs_cause cause);
QS_EXPORT const char *qs_verdict_name(enum qs_verdict verdict);
QS_EXPORT const char *qs_phase_name(enum qs_phase phase);

/* What was left of a task: what it returned, or how its leading process ended. */
enum qs_outcome_type {
	QS_OUTCOME_NONE,   /* nothing known: it is still there */
	QS_OUTCOME_RETURN, /* value: 0 or more for success, or a negative errno */
	QS_OUTCOME_EXIT,   /* value: the exit status of the leading process */
	QS_OUTCOME_SIGNAL, /* value: the signal that ended the leading process */
};

struct qs_outcome {
	enum qs_outcome_type type;
	int value;
	bool core_dumped;   /* with QS_OUTCOME_SIGNAL */
	bool out_of_memory; /* the kernel's out-of-memory killer did it */
};

/*
 * Writes a text for people, such as "exit status 3" or "signal 11 (Segmentation fault), core
 * dumped", at most `size` bytes with the final NUL. Allocates nothing. Returns `buffer`.
 */
QS_EXPORT char *qs_outcome_describe(struct qs_outcome outcome, char *buffer, unsigned size);

QS_END_DECLS

#endif
