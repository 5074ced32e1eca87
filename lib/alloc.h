/*
 * The seam through which the library asks for memory, and for what else a system may refuse. A
 * simulation puts its own `struct qs_seam` there for its thread: then it counts what is asked for
 * and given back, and refuses what it was told to. Otherwise the seam costs one branch.
 */
#ifndef QS_ALLOC_H
#define QS_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/macro.h"

struct qs_seam {
	uint64_t fail_at; /* refuse the n-th chance, counted from 1; 0: none */
	uint32_t rate;    /* refuse so many of a million, drawn from `random` */
	uint64_t random;
	uint64_t chances; /* what could have been refused so far */
	uint64_t refused;
	int64_t live; /* allocations that were not given back */
};

/* Of this thread; NULL (nothing is counted, nothing refused) unless a simulation runs in it. */
QS_SIBLING extern _Thread_local struct qs_seam *qs_seam __attribute__((tls_model("initial-exec")));

/* As without the prefix. What one of these gave goes back by qs_free. */
QS_SIBLING void *qs_malloc(size_t size) __attribute__((malloc));
QS_SIBLING void *qs_calloc(size_t members, size_t size) __attribute__((malloc));
QS_SIBLING void *qs_reallocarray(void *memory, size_t members, size_t size);
QS_SIBLING void qs_free(void *memory);

static inline void qs_freep(void *pointer)
{
	qs_free(*(void **)pointer);
}

QS_SIBLING bool qs_seam_draw(int error);

/* Whether a system call that comes next is to fail: then errno is `error`, and it is not made. */
static inline bool qs_refused(int error)
{
	return qs_seam && qs_seam_draw(error);
}

#endif
