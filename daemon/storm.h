/*
 * Storms of the same error: told once, then counted, and summed up each minute while it lasts.
 * Pure: the time is an input, what is to be told an output. Bounded: of more different errors at
 * once than STORMS_MAX the one that was quiet for longest is summed up and forgotten.
 */
#ifndef QUIESCED_STORM_H
#define QUIESCED_STORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/clock.h>

#include "lib/macro.h"

#define STORMS_MAX   128
#define STORM_WINDOW (60 * QS_SEC)
#define STORM_TEXT   160

/* What makes two errors the same. Texts are cut at what an entry keeps. */
struct storm_key {
	const char *worker, *host; /* "" for none */
	int status, error;         /* 0 for none */
};

/* Some were not told by themselves. */
struct storm_sum {
	char worker[64], host[256];
	int status, error;
	char text[STORM_TEXT]; /* of the one that was told */
	uint64_t count, span;  /* so many more, in that time */
};

struct storms;

/* `tell` gets each sum; it must not call in here. -ENOMEM. */
QS_MUST_CHECK int storms_new(void (*tell)(void *arg, const struct storm_sum *sum), void *arg,
        struct storms **ret_storms);
void storms_free(struct storms *storms); /* tells nothing; NULL is fine */

/* True: it is news, and the caller's to tell. False: it is counted. */
bool storms_count(
        struct storms *storms, const struct storm_key *key, const char *text, uint64_t now);

/* When there will be something to tell; QS_FOREVER: nothing is counted. */
uint64_t storms_due(const struct storms *storms);

void storms_tell(struct storms *storms, uint64_t now);  /* what is due */
void storms_flush(struct storms *storms, uint64_t now); /* all that is counted */

#endif
