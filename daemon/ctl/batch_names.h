/*
 * Names of the lines of a batch: which have been answered, and which have come up in this run. A
 * name takes 8 to 32 bytes, whatever its length: a million of them fit into 16 MiB.
 */
#ifndef QUIESCECTL_BATCH_NAMES_H
#define QUIESCECTL_BATCH_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>

#define NAME_ANSWERED 1u
#define NAME_SEEN     2u

struct batch_names {
	uint64_t *entries; /* of a name its hash, with the flags in the two lowest bits */
	size_t count, capacity;
};

/* Adds flags to a name; `ret_before`: those that it had. -ENOMEM. */
QS_MUST_CHECK int batch_names_mark(
        struct batch_names *names, const char *name, unsigned flags, unsigned *ret_before);
void batch_names_done(struct batch_names *names);

#endif
