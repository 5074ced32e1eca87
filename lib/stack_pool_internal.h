/* What keeps an overflow of one stack out of its neighbour, and the memory of new stacks. */
#ifndef QS_STACK_POOL_INTERNAL_H
#define QS_STACK_POOL_INTERNAL_H

#include <stddef.h>

#include "lib/stack_pool.h"

#define STACK_BATCH 64

struct stack_guards {
	enum qs_stack_guard kind; /* the best that still works */
	size_t page;
	bool no_lists;        /* the kernel does not take advice about many ranges */
	size_t mprotect_left; /* stacks that may be guarded before the mappings run short */
};

void stack_guards_init(struct stack_guards *guards, enum qs_stack_guard best, size_t page);

/*
 * Guards the first pages of `count` slots, 1 to STACK_BATCH: as many as one system call will do.
 * Returns that number; 0 when guards have run out, and then for ever.
 */
size_t stack_guards_install(
        struct stack_guards *guards, char *slots, size_t slot_size, size_t count);

/* Commits the last pages of slots that are about to be used. It may do nothing: they are touched
 * then. */
void stack_populate(struct stack_guards *guards, char *slots, size_t slot_size, size_t count);

#endif
