/* What calls mean for the worker that is called. It runs while it takes calls. Loop thread only. */
#ifndef QUIESCED_WORKER_CALLS_H
#define QUIESCED_WORKER_CALLS_H

#include "daemon/call_kind.h"
#include "lib/list.h"

struct call;
struct callee;
struct qs_task;
struct worker;

/* Part of each worker; empty unless it is called. */
struct worker_calls {
	struct callee *callee;   /* takes them; NULL: none are taken */
	struct list callees;     /* that one, and former ones whose calls still live */
	struct call_counts past; /* of those that are gone */
	uint64_t outcomes[CALL_OUTCOME_COUNT];
	unsigned told_stragglers[QS_RUNG_COUNT]; /* that the log knows of */
};

/* What it is: "exec", "module", "http". */
const char *worker_kind_name(const struct worker *worker);

/* Whether anything of it lives: a run, or a call. */
bool worker_is_live(const struct worker *worker);

/* Why it takes no calls just now, for people; "" if it does. Returns `buffer`. */
char *worker_call_refusal(const struct worker *worker, char *buffer, size_t size);

/* A call has been pushed to a rung / is over, as it says. */
void worker_note_call_pushed(struct worker *worker, struct call *call, enum qs_rung rung);
/* One will be cancelled now. */
void worker_note_straggling_call(struct worker *worker, struct call *call);
void worker_note_call_ended(struct worker *worker, const struct call *call);

/* What follows for the worker when its calls are over. */
void worker_follow_calls(struct worker *worker);

#endif
