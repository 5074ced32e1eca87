/*
 * A run of bytes that may be too long to be shown: the first FOLD_LIMIT bytes are held as they are,
 * beyond that only the length and the digest of all are known.
 */
#ifndef QUIESCED_FOLD_RUN_H
#define QUIESCED_FOLD_RUN_H

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOLD_LIMIT     256 /* longer runs fold */
#define FOLD_MARK_SIZE 96

struct fold_run {
	uint64_t size; /* bytes in it so far */
	size_t held;   /* of `bytes`: all of the run while it is not too long */
	bool hashing;
	char bytes[FOLD_LIMIT];
	struct sha256_ctx digest; /* of all but `bytes`, once hashing */
};

void fold_run_init(struct fold_run *run);
void fold_run_add(struct fold_run *run, const char *data, size_t size);

static inline bool fold_run_is_long(const struct fold_run *run)
{
	return run->size > FOLD_LIMIT;
}

/* Ends a long run: "…[N bytes, sha256 abcd1234]…". Returns the text's length. */
size_t fold_run_mark(struct fold_run *run, char mark[static FOLD_MARK_SIZE]);

#endif
