/*
 * The switch by ucontext, where nobody wrote one for the architecture. It costs two system calls,
 * for the signal mask. Suspended, a context is a ucontext_t on its own stack.
 */
#include "lib/fiber_context_internal.h"

#include <stdint.h>
#include <ucontext.h>

/* makecontext passes ints only: two of them make a pointer. */
static uintptr_t join(unsigned int high, unsigned int low)
{
	return (uintptr_t)((uint64_t)high << 32 | low);
}

static void start(unsigned int entry_high, unsigned int entry_low, unsigned int argument_high,
        unsigned int argument_low)
{
	void (*entry)(void *) = (void (*)(void *))join(entry_high, entry_low);

	entry((void *)join(argument_high, argument_low));
	__builtin_trap();
}

void *qs_fiber_context_prepare(void *base, size_t size, void (*entry)(void *), void *argument)
{
	uintptr_t top = ((uintptr_t)base + size - sizeof(ucontext_t)) & ~(uintptr_t)63;
	ucontext_t *first = (ucontext_t *)top;
	uint64_t e = (uintptr_t)entry, a = (uintptr_t)argument;

	(void)getcontext(first); /* fails nowhere */
	first->uc_stack = (stack_t){ .ss_sp = base, .ss_size = top - (uintptr_t)base };
	first->uc_link = NULL;
	makecontext(first, (void (*)(void))start, 4, (unsigned int)(e >> 32), (unsigned int)e,
	        (unsigned int)(a >> 32), (unsigned int)a);
	return first;
}

void qs_fiber_context_swap(void **from, void *to)
{
	ucontext_t self;

	*from = &self;
	(void)swapcontext(&self, to);
}
