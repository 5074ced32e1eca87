/* A pool of stacks on a kernel that does less than ours, if a test says so. */
#ifndef QUIESCE_STACK_POOL_FIXTURE_H
#define QUIESCE_STACK_POOL_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "lib/fiber_context_tools.h"
#include "lib/macro.h"
#include "lib/stack_pool.h"
#include "tests/unit/budget.h"

#define PAGE          4096
#define GUARD_INSTALL 102
#define OVERFLOWN     42
#define MANY          (QS_TOOLS_ASAN || QS_TOOLS_TSAN ? 2000 : 100000)
#define SANITIZED     (QS_TOOLS_ASAN || QS_TOOLS_TSAN)

void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);
int __real_mprotect(void *address, size_t size, int protection);
int __wrap_mprotect(void *address, size_t size, int protection);
long __wrap_syscall(long number, ...);

static struct qs_stack_pool *pool;
static size_t largest_mapping = SIZE_MAX;
static bool old_kernel;     /* has no MADV_GUARD_INSTALL */
static bool no_list_advice; /* process_madvise does not do what it does for others for oneself */
static long list_calls;
static bool mappings_run_out;

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (size > largest_mapping) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(address, size, protection, flags, fd, offset);
}

int __wrap_madvise(void *address, size_t size, int advice)
{
	if (old_kernel && advice == GUARD_INSTALL) {
		errno = EINVAL;
		return -1;
	}
	return __real_madvise(address, size, advice);
}

int __wrap_mprotect(void *address, size_t size, int protection)
{
	if (mappings_run_out) {
		errno = ENOMEM;
		return -1;
	}
	return __real_mprotect(address, size, protection);
}

/* Its one use is process_madvise. Done for two ranges less than asked, as the kernel may. */
long __wrap_syscall(long number, ...)
{
	va_list arguments;
	const struct iovec *ranges;
	size_t count;
	int advice;

	ck_assert_int_eq(number, SYS_process_madvise);
	if (no_list_advice) {
		errno = EBADF;
		return -1;
	}
	va_start(arguments, number);
	(void)va_arg(arguments, int);
	ranges = va_arg(arguments, const struct iovec *);
	count = va_arg(arguments, size_t);
	advice = va_arg(arguments, int);
	va_end(arguments);
	list_calls++;
	count = count > 4 ? count - 2 : count;
	for (size_t i = 0; i < count; i++)
		if (__wrap_madvise(ranges[i].iov_base, ranges[i].iov_len, advice) < 0)
			return -1;
	return (long)(count * PAGE);
}

static inline void pool_with(const struct qs_stack_pool_options *options)
{
	ck_assert_int_eq(qs_stack_pool_new(&pool, options), 0);
}

static inline void set_up(void)
{
	largest_mapping = SIZE_MAX;
	old_kernel = no_list_advice = mappings_run_out = false;
	list_calls = 0;
	budget = -1;
	pool = NULL;
}

static inline void tear_down(void)
{
	qs_stack_pool_free(pool);
}

static inline struct qs_stack *get(void)
{
	struct qs_stack *stack = NULL;

	ck_assert_int_eq(qs_stack_pool_get(pool, &stack), 0);
	ck_assert_ptr_nonnull(stack);
	return stack;
}

static inline struct qs_stack_pool_stats stats(void)
{
	struct qs_stack_pool_stats now;

	qs_stack_pool_stats(pool, &now);
	return now;
}

static inline long resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long total = 0, resident = 0;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%ld %ld", &total, &resident), 2);
	(void)fclose(file);
	return resident;
}

#endif
