/* What each architecture provides: the bare switch, which no tool has heard of. */
#ifndef QS_FIBER_CONTEXT_INTERNAL_H
#define QS_FIBER_CONTEXT_INTERNAL_H

#include <stddef.h>

/* Lays out a first frame at the high end of the stack; returns what qs_fiber_context_swap takes. */
void *qs_fiber_context_prepare(void *base, size_t size, void (*entry)(void *), void *argument);

/* Leaves the stack pointer of the running context in *from and goes on at `to`. */
void qs_fiber_context_swap(void **from, void *to);

#endif
