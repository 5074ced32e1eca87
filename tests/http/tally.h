/*
 * What the server remembers from one request to the next: how often a key was asked for, and for
 * /faults what each id was answered.
 */
#ifndef HTTP_TALLY_H
#define HTTP_TALLY_H

#include <stddef.h>
#include <stdint.h>

#define OUTCOME_MAP(X)            \
	X(OUTCOME_OK, "ok")       \
	X(OUTCOME_SLOW, "slow")   \
	X(OUTCOME_DROP, "drop")   \
	X(OUTCOME_RESET, "reset") \
	X(OUTCOME_SHORT, "short") \
	X(OUTCOME_500, "500")     \
	X(OUTCOME_503, "503")
#define OUTCOME_VALUE(value, name) value,
enum outcome { OUTCOME_MAP(OUTCOME_VALUE) OUTCOME_COUNT };
#undef OUTCOME_VALUE

const char *outcome_name(enum outcome outcome);

struct tally_entry {
	char *key;
	unsigned count;                   /* requests */
	unsigned outcomes[OUTCOME_COUNT]; /* of /faults */
};

struct tally {
	struct tally_entry *entries; /* open addressing; a NULL key is a free place */
	size_t count, capacity;      /* the latter a power of two */
};

uint64_t tally_hash(uint64_t seed, const char *text);

/* Finds or adds it; valid until the next call. */
struct tally_entry *tally_find(struct tally *tally, const char *key);
void tally_done(struct tally *tally);

#endif
