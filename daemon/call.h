/*
 * Calls of a worker that is called (`when: call`). A call is one fiber task in its worker's group,
 * from the request for it to its one outcome; what it does is a small table of functions (struct
 * call_kind). Whoever asked for it is answered when it is over; when he hangs up, it is cancelled;
 * a detached one goes on, and its outcome is kept for a while. Loop thread only.
 */
#ifndef QUIESCED_CALL_H
#define QUIESCED_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/call_kind.h"
#include "lib/list.h"
#include "lib/macro.h"

#define CALL_PROBLEM_MAX 512

struct call_stream;
struct callee;
struct fleet;
struct request;

struct call {
	struct callee *callee; /* NULL when it is over */
	struct fleet *fleet;
	struct qs_owner *owner; /* with the name of its worker */
	uint64_t id;            /* the task's */
	uint64_t started_at, ended_at;
	qs_task *task; /* NULL when it is over */
	/* Valid while it lives; the configuration as a whole is kept for it. */
	const struct worker_config *config;
	struct config *book;
	void *work; /* its kind's */
	struct call_result result;

	bool returned; /* its task has, with `error`; else it was ended by force */
	int error;
	enum qs_verdict verdict; /* QS_VERDICT_NONE while it lives */
	enum qs_cause cause;     /* of an ask */
	bool detached;           /* it goes on without anybody who waits, and is kept */
	bool left;               /* whoever waited has hung up */
	bool let_body_go;        /* it was too large to be kept */
	struct call_stream
	        *stream;         /* the head of its answer has gone to whoever waits; else NULL */
	struct request *request; /* who waits for the answer; NULL: nobody (any more) */
	struct list in_callee;   /* among those that live */
	struct list in_calls;    /* while it lives: among all; then: among those that are kept */
	struct call *next;       /* with the same hash */
};

/*
 * Begins a call of a worker that takes calls. -EINVAL: `problem` says what is wrong with the
 * payload; -ENOMEM; -ESHUTDOWN.
 */
QS_MUST_CHECK int call_begin(struct worker *worker, const struct call_payload *payload,
        char problem[static CALL_PROBLEM_MAX], struct call **ret_call);

/* The request is answered when the call is over; who hangs up cancels it. Right after call_begin.
 */
void call_attach(struct call *call, struct request *request);
/* Nobody waits for it: its outcome is kept. Right after call_begin. */
void call_detach(struct call *call);

/* Goes on to cancel, if it still lives. */
void call_cancel(struct call *call);

void call_look(const struct call *call, struct call_standing *ret_standing);
/* Where it stands, for people. Returns `buffer`. */
char *call_describe(const struct call *call, char *buffer, size_t size);
/* Whether it went well: there is an answer. */
bool call_is_good(const struct call *call);
/* The status of its answer. */
int call_status(const struct call *call);

/* Why it was ended, if the ladder did that; else NULL. Of a call that is over. */
const char *call_ended_because(const struct call *call);

/* Of a call that is over. */
enum call_outcome call_outcome(const struct call *call);

void call_free(struct call *call);
/* At the end of the daemon: its record is closed although it lives. Whoever waits is told so; frees
 * it. */
void call_abandon(struct call *call);

/* For kinds, while it lives: what `open` returned, the configuration that counts for it. */
void *call_common(const struct call *call);
const struct worker_config *call_config(const struct call *call);
struct worker *call_worker(const struct call *call);

/* For kinds: the text becomes result.problem, as far as there is memory for it; returns `error`. */
int call_fail(struct call *call, int error, int status, const char *format, ...) _printf_(4, 5);

#endif
