/* Stacks: reuse, guards of every kind, memory that comes back, and kernels that can do less. */
#include "lib/stack_pool.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/fiber_context.h"
#include "lib/fiber_context_tools.h"
#include "lib/macro.h"
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

static void pool_with(const struct qs_stack_pool_options *options)
{
	ck_assert_int_eq(qs_stack_pool_new(&pool, options), 0);
}

static void set_up(void)
{
	largest_mapping = SIZE_MAX;
	old_kernel = no_list_advice = mappings_run_out = false;
	list_calls = 0;
	budget = -1;
	pool = NULL;
}

static void tear_down(void)
{
	qs_stack_pool_free(pool);
}

static struct qs_stack *get(void)
{
	struct qs_stack *stack = NULL;

	ck_assert_int_eq(qs_stack_pool_get(pool, &stack), 0);
	ck_assert_ptr_nonnull(stack);
	return stack;
}

static struct qs_stack_pool_stats stats(void)
{
	struct qs_stack_pool_stats now;

	qs_stack_pool_stats(pool, &now);
	return now;
}

static long resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long total = 0, resident = 0;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%ld %ld", &total, &resident), 2);
	(void)fclose(file);
	return resident;
}

static size_t mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	size_t lines = 0;

	ck_assert_ptr_nonnull(file);
	for (int c = getc(file); c != EOF; c = getc(file))
		lines += c == '\n';
	(void)fclose(file);
	return lines;
}

START_TEST(sizes_are_rounded_up_to_pages)
{
	static const size_t sizes[][2] = { { 0, QS_STACK_SIZE }, { 1, 2 * PAGE },
		{ 8193, 3 * PAGE }, { 131072, 131072 } };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct qs_stack *stack;

		pool_with(&(struct qs_stack_pool_options){ .stack_size = sizes[i][0] });
		stack = get();
		ck_assert_uint_eq((size_t)((char *)(stack + 1) - stack->base), sizes[i][1]);
		ck_assert_uint_eq((uintptr_t)stack->base % PAGE, 0);
		memset(stack->base, 1, (size_t)((char *)stack - stack->base));
		qs_stack_pool_free(TAKE(pool, NULL));
	}
}
END_TEST

START_TEST(a_size_beyond_all_memory_is_refused)
{
	const struct qs_stack_pool_options options = { .stack_size = SIZE_MAX };

	ck_assert_int_eq(qs_stack_pool_new(&pool, &options), -EINVAL);
	ck_assert_ptr_null(pool);
}
END_TEST

START_TEST(the_last_stack_put_back_is_the_next_one_got)
{
	struct qs_stack *stacks[5];

	pool_with(&(struct qs_stack_pool_options){ .stack_size = 16384 });
	for (size_t i = 0; i < ARRAY_SIZE(stacks); i++)
		stacks[i] = get();
	for (size_t i = 0; i < ARRAY_SIZE(stacks); i++)
		qs_stack_pool_put(pool, stacks[i]);
	ck_assert_uint_eq(stats().pooled, 5);
	ck_assert_uint_eq(stats().in_use, 0);
	for (size_t i = ARRAY_SIZE(stacks); i-- > 0;)
		ck_assert_ptr_eq(get(), stacks[i]);
	ck_assert_uint_eq(stats().pooled, 0);
	ck_assert_uint_eq(stats().in_use, 5);
}
END_TEST

/* Each is written from end to end, so that any two that overlap would show. */
START_TEST(no_stack_overlaps_another)
{
	enum { COUNT = 2000 };
	struct qs_stack *stacks[COUNT];
	size_t wrong = 0;

	pool_with(&(struct qs_stack_pool_options){ .stack_size = 8192 });
	for (size_t i = 0; i < COUNT; i++) {
		stacks[i] = get();
		for (size_t *word = (size_t *)stacks[i]->base; word < (size_t *)stacks[i]; word++)
			*word = i;
	}
	for (size_t i = 0; i < COUNT; i++) {
		for (size_t *word = (size_t *)stacks[i]->base; word < (size_t *)stacks[i]; word++)
			wrong += *word != i;
		ck_assert(qs_stack_check(stacks[i]));
		qs_stack_pool_put(pool, stacks[i]);
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(memory_goes_back_when_many_stacks_do)
{
	size_t count = (size_t)MANY;
	struct qs_stack **stacks = calloc(count, sizeof(struct qs_stack *));
	long before, used;

	ck_assert_ptr_nonnull(stacks);
	memset(stacks, 1, count * sizeof(struct qs_stack *));
	pool_with(&(struct qs_stack_pool_options){ .keep = 100 });
	before = resident_pages();
	for (size_t i = 0; i < count; i++)
		stacks[i] = get();
	used = resident_pages() - before;
	ck_assert_uint_eq(stats().in_use, count);
	for (size_t i = 0; i < count; i++)
		qs_stack_pool_put(pool, stacks[i]);
	ck_assert_uint_lt(stats().pooled, 200);
	ck_assert_uint_eq(stats().pooled + stats().cold, count);
	if (!SANITIZED) {
		ck_assert_int_ge(used, (long)count);
		ck_assert_int_le(used, (long)(count + count / 100));
		ck_assert_int_le(resident_pages() - before, 500);
	}
	qs_stack_pool_trim(pool, 0);
	ck_assert_uint_eq(stats().pooled, 0);
	free(stacks);
}
END_TEST

START_TEST(cold_stacks_are_used_before_new_ones_are_made)
{
	enum { COUNT = 1500 };
	struct qs_stack *stacks[COUNT];
	size_t guarded;

	pool_with(&(struct qs_stack_pool_options){ .stack_size = 8192 });
	for (size_t i = 0; i < COUNT; i++) {
		stacks[i] = get();
		memset(stacks[i]->base, 1, 100);
	}
	for (size_t i = 0; i < COUNT; i += 3)
		qs_stack_pool_put(pool, stacks[i]);
	qs_stack_pool_trim(pool, 0);
	guarded = stats().guarded;
	ck_assert_uint_eq(stats().cold, COUNT / 3);
	for (size_t i = 0; i < COUNT; i += 3) {
		struct qs_stack *stack = get();

		ck_assert_int_eq(stack->base[50], 0);
		ck_assert_ptr_eq(qs_stack_pool_find(pool, stack->base), stack);
	}
	ck_assert_uint_eq(stats().cold, 0);
	ck_assert_uint_eq(stats().guarded, guarded);
	ck_assert_uint_eq(stats().in_use, COUNT);
}
END_TEST

START_TEST(an_address_belongs_to_the_stack_whose_guard_or_memory_it_is_in)
{
	struct qs_stack *one, *other;
	int local;

	pool_with(&(struct qs_stack_pool_options){ .stack_size = 8192 });
	ck_assert_ptr_null(qs_stack_pool_find(pool, &local));
	one = get();
	other = get();
	ck_assert_ptr_eq(qs_stack_pool_find(pool, one->base - 1), one);
	ck_assert_ptr_eq(qs_stack_pool_find(pool, one->base - PAGE), one);
	ck_assert_ptr_eq(qs_stack_pool_find(pool, one->base), one);
	ck_assert_ptr_eq(qs_stack_pool_find(pool, (char *)(one + 1) - 1), one);
	ck_assert_ptr_eq(qs_stack_pool_find(pool, other->base - PAGE), other);
	ck_assert_ptr_null(qs_stack_pool_find(pool, (char *)(other + 1) + PAGE));
	ck_assert_ptr_null(qs_stack_pool_find(pool, &local));
	ck_assert_ptr_null(qs_stack_pool_find(pool, NULL));
	qs_stack_pool_put(pool, other);
	ck_assert_ptr_null(qs_stack_pool_find(pool, other->base));
}
END_TEST

/* An overflow: the handler, on its own stack, finds whose it was. */

static struct qs_fiber_context home, fiber;
static struct qs_stack *overflowing;

static void on_segv(int signal _unused_, siginfo_t *info, void *context _unused_)
{
	const struct qs_stack *stack = qs_stack_pool_find(pool, info->si_addr);

	_exit(stack && stack == overflowing && (char *)info->si_addr < stack->base ? OVERFLOWN : 1);
}

static __attribute__((noinline)) int recurse(volatile char *above, int depth)
{
	volatile char room[200];

	room[0] = above ? above[0] : 0;
	return depth < 1000000 ? recurse(room, depth + 1) + room[0] : 0;
}

static void overflows(void *unused _unused_)
{
	(void)recurse(NULL, 0);
	qs_fiber_context_switch(NULL, &home);
}

static void overflow(void)
{
	static char alternate[65536];
	const stack_t other = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	const struct sigaction action = { .sa_sigaction = on_segv,
		.sa_flags = SA_SIGINFO | SA_ONSTACK };

	ck_assert_int_eq(sigaltstack(&other, NULL), 0);
	ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
	qs_fiber_context_make(&fiber, overflowing->base,
	        (size_t)((char *)overflowing - overflowing->base), overflows, NULL);
	qs_fiber_context_switch(&home, &fiber);
}

START_TEST(an_overflow_is_caught_where_the_kernel_has_guards)
{
	pool_with(&(struct qs_stack_pool_options){ .stack_size = 16384 });
	for (int i = 0; i < 500; i++)
		overflowing = get();
	ck_assert_int_ne(stats().guard, QS_STACK_GUARD_CANARY);
	ck_assert_uint_eq(stats().guarded, 500);
	overflow();
}
END_TEST

START_TEST(an_overflow_is_caught_where_the_kernel_has_none)
{
	old_kernel = true;
	pool_with(&(struct qs_stack_pool_options){ .stack_size = 16384 });
	ck_assert_int_eq(stats().guard, QS_STACK_GUARD_MPROTECT);
	(void)get();
	overflowing = get();
	ck_assert_uint_eq(stats().guarded, 2);
	overflow();
}
END_TEST

START_TEST(a_stack_whose_memory_went_back_is_still_guarded)
{
	pool_with(&(struct qs_stack_pool_options){ .stack_size = 16384 });
	qs_stack_pool_put(pool, get());
	qs_stack_pool_trim(pool, 0);
	overflowing = get();
	overflow();
}
END_TEST

START_TEST(an_overflow_over_a_canary_is_noticed_by_the_check)
{
	struct qs_stack *below, *stack;

	pool_with(&(struct qs_stack_pool_options){ .guard = QS_STACK_GUARD_CANARY });
	below = get();
	stack = get();
	ck_assert_uint_eq(stats().canaried, 2);
	memset(stack->base, 0xff, (size_t)((char *)stack - stack->base));
	ck_assert(qs_stack_check(stack));
	stack->base[-1] = 1;
	ck_assert(!qs_stack_check(stack));
	ck_assert(qs_stack_check(below));
}
END_TEST

START_TEST(a_canary_commits_no_memory)
{
	enum { COUNT = 1000 };
	long before;

	pool_with(&(struct qs_stack_pool_options){ .guard = QS_STACK_GUARD_CANARY });
	(void)get();
	before = resident_pages();
	for (int i = 0; i < COUNT; i++)
		ck_assert(qs_stack_check(get()));
	if (!SANITIZED)
		ck_assert_int_lt(resident_pages() - before, COUNT + COUNT / 2);
}
END_TEST

static size_t quota(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	size_t count = 0;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%zu", &count), 1);
	(void)fclose(file);
	return count / 4;
}

START_TEST(beyond_a_quarter_of_the_mappings_stacks_have_canaries)
{
	size_t most = quota();
	struct qs_stack *stack = NULL;

	if (SANITIZED || most > 100000)
		return;
	old_kernel = true;
	pool_with(&(struct qs_stack_pool_options){ .stack_size = 8192 });
	for (size_t i = 0; i < most + 10; i++)
		stack = get();
	ck_assert_uint_eq(stats().guarded, most);
	ck_assert_uint_eq(stats().canaried, 10);
	ck_assert_int_eq(stats().guard, QS_STACK_GUARD_CANARY);
	stack->base[-5] = 1;
	ck_assert(!qs_stack_check(stack));
}
END_TEST

START_TEST(when_others_spend_the_mappings_stacks_have_canaries)
{
	struct qs_stack *guarded, *stack;

	old_kernel = true;
	pool_with(&(struct qs_stack_pool_options){ .stack_size = 8192 });
	guarded = get();
	mappings_run_out = true;
	stack = get();
	mappings_run_out = false;
	ck_assert_ptr_null(guarded->canary);
	ck_assert_ptr_nonnull(stack->canary);
	ck_assert_ptr_nonnull(get()->canary);
	/* A stack keeps its kind when it is used again. */
	qs_stack_pool_put(pool, stack);
	qs_stack_pool_put(pool, guarded);
	qs_stack_pool_trim(pool, 0);
	ck_assert_ptr_null(get()->canary);
	ck_assert_ptr_nonnull(get()->canary);
}
END_TEST

START_TEST(lists_of_ranges_are_not_needed)
{
	no_list_advice = _i;
	pool_with(&(struct qs_stack_pool_options){ .stack_size = 8192 });
	for (int i = 0; i < 2000; i++)
		(void)get();
	ck_assert_uint_eq(stats().guarded, 2000);
	ck_assert_uint_eq(stats().canaried, 0);
	if (stats().guard == QS_STACK_GUARD_MADVISE && !no_list_advice)
		ck_assert_int_lt(list_calls, 300);
	overflowing = get();
	overflow();
}
END_TEST

/* Written with a stride of less than a page, so that no page on the way is left out. */
static void touch(struct qs_stack *stack, size_t depth)
{
	for (size_t i = 512; i < depth; i += 512)
		((volatile char *)(stack + 1))[-(ptrdiff_t)i - 1] = 1;
}

START_TEST(the_depth_of_a_stack_is_that_of_its_last_user)
{
	struct qs_stack *stack;

	pool_with(&(struct qs_stack_pool_options){ .measure = true });
	stack = get();
	ck_assert_uint_eq(qs_stack_pool_depth(pool, stack), PAGE);
	touch(stack, 5 * PAGE);
	ck_assert_uint_eq(qs_stack_pool_depth(pool, stack), 5 * PAGE);
	ck_assert_uint_eq(stats().deepest, 0);
	qs_stack_pool_put(pool, stack);
	ck_assert_uint_eq(stats().deepest, 5 * PAGE);
	ck_assert_ptr_eq(get(), stack);
	touch(stack, 2 * PAGE);
	ck_assert_uint_eq(qs_stack_pool_depth(pool, stack), 2 * PAGE);
	qs_stack_pool_put(pool, stack);
	ck_assert_uint_eq(stats().deepest, 5 * PAGE);
}
END_TEST

START_TEST(the_depth_of_a_large_stack_is_found)
{
	struct qs_stack *stack;

	pool_with(&(struct qs_stack_pool_options){ .stack_size = 700 * PAGE });
	stack = get();
	ck_assert_uint_eq(qs_stack_pool_depth(pool, stack), PAGE);
	stack->base[300 * PAGE] = 1;
	ck_assert_uint_eq(qs_stack_pool_depth(pool, stack), 400 * PAGE);
	stack->base[0] = 1;
	ck_assert_uint_eq(qs_stack_pool_depth(pool, stack), 700 * PAGE);
}
END_TEST

START_TEST(where_address_space_is_short_chunks_are_smaller)
{
	struct qs_stack *stack;
	size_t count = 0;
	int r;

	/* 40 chunks of 31 slots: half of a half of 1,024 fits, again and again. */
	largest_mapping = 40 * 3 * PAGE;
	pool_with(&(struct qs_stack_pool_options){ .stack_size = 8192 });
	for (r = 0; r == 0; count += r == 0)
		r = qs_stack_pool_get(pool, &stack);
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert_uint_ge(count, 20 * 32);
	largest_mapping = PAGE;
	ck_assert_int_eq(qs_stack_pool_get(pool, &stack), -ENOMEM);
}
END_TEST

START_TEST(without_memory_nothing_is_left_behind)
{
	const struct qs_stack_pool_options options = { .stack_size = 8192 };
	struct qs_stack *stack = NULL;
	size_t before;
	int r;

	/* The test library allocates too: it looks when the budget is over. */
	budget = 0;
	r = qs_stack_pool_new(&pool, &options);
	budget = -1;
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert_ptr_null(pool);
	pool_with(&options);
	(void)mappings();
	before = mappings();
	budget = 0;
	r = qs_stack_pool_get(pool, &stack);
	budget = -1;
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert_ptr_null(stack);
	if (!SANITIZED)
		ck_assert_uint_eq(mappings(), before);
	ck_assert_int_eq(qs_stack_pool_get(pool, &stack), 0);
	ck_assert_ptr_nonnull(stack);
}
END_TEST

START_TEST(no_mapping_outlives_the_pool)
{
	size_t before = 0;

	for (int round = 0; round < 5; round++) {
		pool_with(&(struct qs_stack_pool_options){ .guard = QS_STACK_GUARD_MPROTECT });
		for (int i = 0; i < 1500; i++)
			(void)get();
		qs_stack_pool_free(TAKE(pool, NULL));
		if (round == 0)
			before = mappings();
	}
	if (!SANITIZED)
		ck_assert_uint_le(mappings(), before);
}
END_TEST

START_TEST(freeing_no_pool_is_fine)
{
	qs_stack_pool_free(NULL);
}
END_TEST

static TCase *reuse_case(void)
{
	TCase *tcase = tcase_create("reuse");

	tcase_add_test(tcase, sizes_are_rounded_up_to_pages);
	tcase_add_test(tcase, a_size_beyond_all_memory_is_refused);
	tcase_add_test(tcase, the_last_stack_put_back_is_the_next_one_got);
	tcase_add_test(tcase, no_stack_overlaps_another);
	tcase_add_test(tcase, memory_goes_back_when_many_stacks_do);
	tcase_add_test(tcase, cold_stacks_are_used_before_new_ones_are_made);
	tcase_add_test(tcase, an_address_belongs_to_the_stack_whose_guard_or_memory_it_is_in);
	tcase_add_test(tcase, the_depth_of_a_stack_is_that_of_its_last_user);
	tcase_add_test(tcase, the_depth_of_a_large_stack_is_found);
	tcase_add_test(tcase, where_address_space_is_short_chunks_are_smaller);
	tcase_add_test(tcase, without_memory_nothing_is_left_behind);
	tcase_add_test(tcase, no_mapping_outlives_the_pool);
	tcase_add_test(tcase, freeing_no_pool_is_fine);
	return tcase;
}

static TCase *guards_case(void)
{
	TCase *tcase = tcase_create("guards");

	tcase_add_exit_test(tcase, an_overflow_is_caught_where_the_kernel_has_guards, OVERFLOWN);
	tcase_add_exit_test(tcase, an_overflow_is_caught_where_the_kernel_has_none, OVERFLOWN);
	tcase_add_exit_test(tcase, a_stack_whose_memory_went_back_is_still_guarded, OVERFLOWN);
	tcase_add_loop_exit_test(tcase, lists_of_ranges_are_not_needed, OVERFLOWN, 0, 2);
	tcase_add_test(tcase, an_overflow_over_a_canary_is_noticed_by_the_check);
	tcase_add_test(tcase, a_canary_commits_no_memory);
	tcase_add_test(tcase, beyond_a_quarter_of_the_mappings_stacks_have_canaries);
	tcase_add_test(tcase, when_others_spend_the_mappings_stacks_have_canaries);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("stack_pool");
	TCase *cases[] = { reuse_case(), guards_case() };
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		tcase_add_checked_fixture(cases[i], set_up, tear_down);
		suite_add_tcase(suite, cases[i]);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
