/* What sanitizers and valgrind must be told of memory that becomes stacks. */
#ifndef QS_STACK_POOL_TOOLS_H
#define QS_STACK_POOL_TOOLS_H

#include "lib/fiber_context_tools.h"

/* Memory that becomes stacks. LeakSanitizer follows what suspended ones point to. */
TOOL void tools_region_new(void *memory, size_t size)
{
#if QS_TOOLS_ASAN
	__lsan_register_root_region(memory, size);
#endif
	(void)memory;
	(void)size;
}

TOOL void tools_region_gone(void *memory, size_t size)
{
#if QS_TOOLS_ASAN
	__lsan_unregister_root_region(memory, size);
#endif
	(void)memory;
	(void)size;
}

/* An earlier mapping at this address may have left it poisoned. */
TOOL void tools_record_new(void *record, size_t size)
{
#if QS_TOOLS_ASAN
	__asan_unpoison_memory_region(record, size);
#endif
	(void)record;
	(void)size;
}

/* Valgrind complains aloud about system calls that it does not know. */
TOOL bool tools_know_few_calls(void)
{
#if QS_TOOLS_VALGRIND
	return RUNNING_ON_VALGRIND;
#else
	return false;
#endif
}

#endif
