/*
 * Contexts: places to go on from, each with a stack of its own. The lowest layer of fibers: it
 * knows no scheduler, no loop and no pool.
 *
 * A switch keeps the registers that a called function must keep, and nothing else. The
 * floating-point control words (rounding, exception masks, flush to zero: MXCSR and the x87 word,
 * or FPCR) belong to the thread: a context that changes them changes them for all, so it puts them
 * back before it switches. The signal mask and errno belong to the thread as well. A context goes
 * on only in the thread that it began in.
 *
 * AddressSanitizer, LeakSanitizer, ThreadSanitizer and valgrind hear of every stack and switch.
 */
#ifndef QS_FIBER_CONTEXT_H
#define QS_FIBER_CONTEXT_H

#include <stddef.h>

/* Zeroed for the context of a thread: the first switch away from it fills it in. */
struct qs_fiber_context {
	void *stack_pointer; /* where to go on, while it is suspended */
	void *base; /* lowest byte of its stack, and the size; of a thread only if a tool says */
	size_t size;
	void (*entry)(void *argument);
	void *argument;
	/* What the tools keep per context. */
	void *fake_stack; /* ASan's frames for use after return, while it is suspended */
	struct qs_fiber_context
	        *previous; /* ASan: who switched to it last; NULL if that one ended */
	void *tsan_fiber;
	unsigned int valgrind_stack;
};

/*
 * Makes a context which, at the first switch to it, calls entry(argument) on the stack of `size`
 * bytes that begins at `base`. The entry never returns: its last act is a switch from NULL. The
 * struct may lie anywhere but inside the range; the memory stays the caller's and may have been
 * used by another context which is done.
 */
void qs_fiber_context_make(struct qs_fiber_context *context, void *base, size_t size,
        void (*entry)(void *argument), void *argument);

/*
 * Suspends the running context into `from` and goes on in `to`. It returns when something switches
 * back to `from`. With `from` NULL the running one ends and never goes on.
 */
void qs_fiber_context_switch(struct qs_fiber_context *from, struct qs_fiber_context *to);

/*
 * Tells the tools that a context which was made has ended or, suspended, will never go on. To be
 * called from another one, before its stack is used again; the rest of the program needs no such
 * call.
 */
void qs_fiber_context_done(struct qs_fiber_context *context);

/*
 * Among very many contexts each switch waits for memory, some ten times longer than it takes by
 * itself, unless who knows the order asks for it ahead: the struct (say 8 switches before the one
 * to it), and when that has arrived (4 before) the frames with this.
 */
static inline void qs_fiber_context_prefetch(const struct qs_fiber_context *suspended)
{
	const char *frames = suspended->stack_pointer;

	__builtin_prefetch(frames);
	__builtin_prefetch(frames + 64);
	__builtin_prefetch(frames + 128);
}

#endif
