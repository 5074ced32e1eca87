/*
 * Allocation failure on demand, for a test linked with -Wl,--wrap=malloc,--wrap=calloc and
 * --wrap=reallocarray: `budget` allocations succeed, then none does. Below 0 all do.
 */
#ifndef QS_TEST_BUDGET_H
#define QS_TEST_BUDGET_H

#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static _Atomic long budget = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

static inline bool budget_spend(void)
{
	return budget < 0 || (budget > 0 && budget-- > 0);
}

void *__wrap_malloc(size_t size)
{
	return budget_spend() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return budget_spend() ? __real_calloc(count, size) : NULL;
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
	return budget_spend() ? __real_reallocarray(memory, count, size) : NULL;
}

/* How many descriptors this process has open (and one for looking). */
static inline int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count;
}

#endif
