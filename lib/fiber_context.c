/*
 * Contexts, as the tools have to see them.
 *
 * The switch itself is a few instructions per architecture. Here it is wrapped in what sanitizers
 * and valgrind must be told, since none of them can know that a changed stack pointer means another
 * stack and not a very deep or very wild one. Without them the wrapping is a tail call.
 */
#include "lib/fiber_context.h"

#include <stdint.h>

#include "lib/fiber_context_internal.h"
#include "lib/fiber_context_tools.h"

#if QS_TOOLS_SWITCH

/* The first thing on a new stack is to tell that we arrived. */
static void enter(void *argument)
{
	struct qs_fiber_context *context = argument;

	tools_arrive(context);
	context->entry(context->argument);
}

#endif

void qs_fiber_context_make(struct qs_fiber_context *context, void *base, size_t size,
        void (*entry)(void *argument), void *argument)
{
	*context = (struct qs_fiber_context){
		.base = base, .size = size, .entry = entry, .argument = argument
	};
	tools_make(context);
#if QS_TOOLS_SWITCH
	entry = enter;
	argument = context;
#endif
	context->stack_pointer = qs_fiber_context_prepare(base, size, entry, argument);
}

void qs_fiber_context_switch(struct qs_fiber_context *from, struct qs_fiber_context *to)
{
	/* Nobody wants the stack pointer of one that ends: it goes where none is kept just now. */
	void **place = from ? &from->stack_pointer : &to->stack_pointer;

#if QS_TOOLS_SWITCH
	tools_depart(from, to);
	qs_fiber_context_swap(place, to->stack_pointer);
	tools_arrive(from);
#else
	qs_fiber_context_swap(place, to->stack_pointer);
#endif
}

void qs_fiber_context_done(struct qs_fiber_context *context)
{
	tools_done(context);
}
