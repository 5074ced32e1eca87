/* Guards of every kind below stacks, and kernels that can do less. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/fiber_context.h"
#include "tests/unit/stack_pool_fixture.h"

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

int main(void)
{
	Suite *suite = suite_create("stack_pool_guard");
	TCase *tcase = tcase_create("guards");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_exit_test(tcase, an_overflow_is_caught_where_the_kernel_has_guards, OVERFLOWN);
	tcase_add_exit_test(tcase, an_overflow_is_caught_where_the_kernel_has_none, OVERFLOWN);
	tcase_add_exit_test(tcase, a_stack_whose_memory_went_back_is_still_guarded, OVERFLOWN);
	tcase_add_loop_exit_test(tcase, lists_of_ranges_are_not_needed, OVERFLOWN, 0, 2);
	tcase_add_test(tcase, an_overflow_over_a_canary_is_noticed_by_the_check);
	tcase_add_test(tcase, a_canary_commits_no_memory);
	tcase_add_test(tcase, beyond_a_quarter_of_the_mappings_stacks_have_canaries);
	tcase_add_test(tcase, when_others_spend_the_mappings_stacks_have_canaries);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
