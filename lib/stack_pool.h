/*
 * Stacks of one size for fibers: address space reserved in big chunks, memory committed by the
 * first touch, reused last in, first out.
 *
 * Below each stack lies a guard page, so that an overflow is a crash at a known address. Where the
 * kernel has MADV_GUARD_INSTALL (Linux 6.13) all are guarded. Elsewhere a guard costs two mappings
 * out of vm.max_map_count: a quarter of that number of stacks is guarded by mprotect, and those
 * beyond have a canary, which qs_stack_check looks at. A frame larger than a page
 * can step over either, unless it was compiled with -fstack-clash-protection. Not thread-safe,
 * except for qs_stack_pool_find.
 */
#ifndef QS_STACK_POOL_H
#define QS_STACK_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>

#define QS_STACK_SIZE      (64 * 1024)
#define QS_STACK_POOL_KEEP 1024
#define QS_STACK_CANARY    8 /* words, zero: reading them commits no memory */

struct qs_stack_pool;

enum qs_stack_guard { QS_STACK_GUARD_MADVISE, QS_STACK_GUARD_MPROTECT, QS_STACK_GUARD_CANARY };

/* Lies at the high end of its own stack; what is between `base` and it is the user's. */
struct qs_stack {
	char *base;            /* lowest usable byte */
	struct qs_stack *next; /* while it is pooled */
	const uint64_t
	        *canary; /* QS_STACK_CANARY words below base, NULL if a guard page is there */
	bool in_use;
};

struct qs_stack_pool_options {
	size_t stack_size; /* bytes, the guard page not counted; rounded up to pages; 0:
	                      QS_STACK_SIZE */
	size_t keep;       /* so many free stacks keep their memory; 0: QS_STACK_POOL_KEEP */
	bool measure; /* find out how deep each stack was when it comes back: some 0.5 µs more */
	enum qs_stack_guard guard; /* the best to be used: 0 for whatever the kernel has */
};

struct qs_stack_pool_stats {
	size_t in_use;
	size_t pooled;  /* free, with their memory */
	size_t cold;    /* free, their memory given back */
	size_t guarded; /* of all three */
	size_t canaried;
	size_t deepest; /* bytes of the deepest stack that came back (whole pages); 0 unless
	                   measured */
	enum qs_stack_guard guard; /* what the next new stack gets */
};

/* -EINVAL for a size that is not usable, -ENOMEM. */
QS_MUST_CHECK int qs_stack_pool_new(
        struct qs_stack_pool **ret_pool, const struct qs_stack_pool_options *options);

/* Its stacks are gone, those in use as well: their contexts must be done. */
void qs_stack_pool_free(struct qs_stack_pool *pool);

/* The stack and its contents (leftovers of others) are the caller's until it is put back. -ENOMEM.
 */
QS_MUST_CHECK int qs_stack_pool_get(struct qs_stack_pool *pool, struct qs_stack **ret_stack);

/* From time to time this gives the memory of a batch of stacks back to the kernel. */
void qs_stack_pool_put(struct qs_stack_pool *pool, struct qs_stack *stack);

/* Gives back the memory of all free stacks but `keep`. */
void qs_stack_pool_trim(struct qs_stack_pool *pool, size_t keep);

/*
 * The stack in use whose memory or whose guard, below its base, holds the address; NULL if none
 * does. Async-signal-safe, and safe in any thread for an address that its running code has just
 * touched.
 */
const struct qs_stack *qs_stack_pool_find(const struct qs_stack_pool *pool, const void *address);

/* Bytes of the stack that have been touched since it was new, in whole pages; one system call. */
size_t qs_stack_pool_depth(const struct qs_stack_pool *pool, const struct qs_stack *stack);

void qs_stack_pool_stats(const struct qs_stack_pool *pool, struct qs_stack_pool_stats *ret_stats);

/* False when a stack without a guard page has overflowed: its neighbour is damaged then. */
static inline bool qs_stack_check(const struct qs_stack *stack)
{
	uint64_t seen = 0;

	if (!stack->canary)
		return true;
	for (size_t i = 0; i < QS_STACK_CANARY; i++)
		seen |= stack->canary[i];
	return seen == 0;
}

#endif
