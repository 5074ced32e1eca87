/*
 * What sanitizers and valgrind must be told of contexts; nothing where none is compiled in. All of
 * it is inlined also without optimisation: between TSan's switch and ours no function may begin or
 * end.
 */
#ifndef QS_FIBER_CONTEXT_TOOLS_H
#define QS_FIBER_CONTEXT_TOOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/fiber_context.h"
#include "lib/macro.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#ifndef __has_include
#define __has_include(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define QS_TOOLS_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#else
#define QS_TOOLS_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define QS_TOOLS_TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define QS_TOOLS_TSAN 0
#endif

#if __has_include(<valgrind/memcheck.h>)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <valgrind/memcheck.h>
#pragma GCC diagnostic pop
#define QS_TOOLS_VALGRIND 1
#else
#define QS_TOOLS_VALGRIND 0
#endif

#define QS_TOOLS_SWITCH (QS_TOOLS_ASAN || QS_TOOLS_TSAN)

#define TOOL static inline __attribute__((always_inline))

TOOL void tools_make(struct qs_fiber_context *context)
{
	/* The last user of this memory may have been dropped with its frames poisoned or given up.
	 */
#if QS_TOOLS_ASAN
	__asan_unpoison_memory_region(context->base, context->size);
#endif
#if QS_TOOLS_VALGRIND
	(void)VALGRIND_MAKE_MEM_UNDEFINED(context->base, context->size);
	context->valgrind_stack =
	        VALGRIND_STACK_REGISTER(context->base, (char *)context->base + context->size);
#endif
#if QS_TOOLS_TSAN
	context->tsan_fiber = __tsan_create_fiber(0);
#endif
	(void)context;
}

/* `from` is NULL if it ends. */
TOOL void tools_depart(struct qs_fiber_context *from, struct qs_fiber_context *to)
{
#if QS_TOOLS_ASAN
	to->previous = from;
	__sanitizer_start_switch_fiber(from ? &from->fake_stack : NULL, to->base, to->size);
#endif
#if QS_TOOLS_TSAN
	if (from && !from->tsan_fiber)
		from->tsan_fiber = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
	(void)from;
	(void)to;
}

/* On the stack of `self`. The one that we come from may be a thread, whose stack only ASan knows.
 */
TOOL void tools_arrive(struct qs_fiber_context *self)
{
#if QS_TOOLS_ASAN
	const void *base;
	size_t size;

	__sanitizer_finish_switch_fiber(TAKE(self->fake_stack, NULL), &base, &size);
	if (self->previous && !self->previous->base) {
		self->previous->base = (void *)(uintptr_t)base;
		self->previous->size = size;
	}
#endif
	(void)self;
}

TOOL void tools_done(struct qs_fiber_context *context)
{
#if QS_TOOLS_ASAN
	void *ours;

	/* Its fake frames are freed by leaving it for good: we pretend to be there for a moment. */
	if (context->fake_stack) {
		const void *base;
		size_t size;

		__sanitizer_start_switch_fiber(&ours, context->base, context->size);
		__sanitizer_finish_switch_fiber(TAKE(context->fake_stack, NULL), &base, &size);
		__sanitizer_start_switch_fiber(NULL, base, size);
		__sanitizer_finish_switch_fiber(ours, NULL, NULL);
	}
	__asan_unpoison_memory_region(context->base, context->size);
#endif
#if QS_TOOLS_VALGRIND
	VALGRIND_STACK_DEREGISTER(context->valgrind_stack);
#endif
#if QS_TOOLS_TSAN
	__tsan_destroy_fiber(context->tsan_fiber);
#endif
	(void)context;
}

#endif
