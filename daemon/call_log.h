/*
 * What the log says of calls and polls: one line for each that is over, at info when it went well
 * and as a warning when it failed; a storm of the same failure is folded (storm.h). No body, unless
 * log.bodies says so. Loop thread only.
 */
#ifndef QUIESCED_CALL_LOG_H
#define QUIESCED_CALL_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ledger.h"
#include "lib/loop.h"
#include "lib/macro.h"

struct storms;
struct worker_config;

struct call_log {
	struct storms *storms;
	struct qs_timer timer; /* armed only while something is folded */
	struct qs_loop *loop;
};

/* -ENOMEM. */
QS_MUST_CHECK int call_log_init(struct call_log *log, struct qs_loop *loop);
/* Tells what is still folded. One that was never set up is fine if it is all zero. */
void call_log_done(struct call_log *log);

/* One call, or one slot of a poll, that is over. Nothing is kept. */
struct call_finished {
	const char *worker;
	bool polled; /* by itself: nobody called */
	uint64_t task;
	enum qs_verdict verdict;
	const char *host;    /* NULL: it asked no server; it is a program's */
	int status;          /* of the server's answer, or an exit status; 0: none */
	int error;           /* a negative errno; 0: it went well */
	const char *problem; /* what went wrong, for people, without a secret; NULL: nothing */
	unsigned attempts;   /* requests that were sent */
	uint64_t duration;   /* ns, from ask to answer */
	uint64_t bytes;      /* of the answer */
	const char *source;  /* "server", "shared", "cache"; NULL: none */
};
void call_log_finished(struct call_log *log, const struct call_finished *finished);

/* With log.bodies: what a call was given ("payload") or answered ("answer"), folded. Never what is
 * made of templates; and where an answer repeats a credential of these, it is blotted out. */
void call_log_body(const struct worker_config *worker, uint64_t task, const char *what,
        const char *data, size_t size);

#endif
