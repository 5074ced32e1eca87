/* Stacks: reuse, memory that comes back, depth, and what is left when there is no memory. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/stack_pool_fixture.h"

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

int main(void)
{
	Suite *suite = suite_create("stack_pool");
	TCase *tcase = tcase_create("reuse");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
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
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
