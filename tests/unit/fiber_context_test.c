/* Contexts by the hundred thousand, dropped while suspended, in threads, and as the tools see them.
 */
#include "lib/fiber_context.h"

#include <check.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fiber_context_tools.h"
#include "lib/macro.h"
#include "lib/stack_pool.h"

#define MANY (QS_TOOLS_TSAN ? 1000 : QS_TOOLS_ASAN ? 5000 : 100000)

/* As a scheduler has it: the struct lies above the stack it runs on. */
struct fiber {
	struct qs_fiber_context context, *back;
	struct qs_stack *stack;
	int turns;
	void *kept;
};

static struct qs_stack_pool *pool;
static struct qs_fiber_context home;

static void set_up(void)
{
	const struct qs_stack_pool_options options = { .stack_size = 0 };

	home = (struct qs_fiber_context){ .base = NULL };
	ck_assert_int_eq(qs_stack_pool_new(&pool, &options), 0);
}

static void tear_down(void)
{
	qs_stack_pool_free(TAKE(pool, NULL));
}

static struct fiber *fiber_in(
        struct qs_stack_pool *from, struct qs_fiber_context *back, void (*entry)(void *))
{
	struct qs_stack *stack;
	struct fiber *fiber;

	ck_assert_int_eq(qs_stack_pool_get(from, &stack), 0);
	fiber = (struct fiber *)stack - 1;
	*fiber = (struct fiber){ .back = back, .stack = stack };
	qs_fiber_context_make(
	        &fiber->context, stack->base, (size_t)((char *)fiber - stack->base), entry, fiber);
	return fiber;
}

static struct fiber *fiber_new(void (*entry)(void *))
{
	return fiber_in(pool, &home, entry);
}

static void fiber_drop(struct qs_stack_pool *to, struct fiber *fiber)
{
	qs_fiber_context_done(&fiber->context);
	qs_stack_pool_put(to, fiber->stack);
}

static void turn(struct fiber *fiber)
{
	qs_fiber_context_switch(&home, &fiber->context);
}

/* Big locals: what sanitizers poison around them must not outlive the fiber. */
static __attribute__((noinline)) void wait_deep(struct fiber *fiber, int depth)
{
	volatile char room[400];

	memset((void *)(uintptr_t)room, depth, sizeof(room));
	if (depth > 0) {
		wait_deep(fiber, depth - 1);
	} else {
		fiber->turns++;
		qs_fiber_context_switch(&fiber->context, fiber->back);
	}
	ck_assert_int_eq(room[sizeof(room) - 1], depth);
}

static void waits_deep_for_ever(void *argument)
{
	for (;;)
		wait_deep(argument, 20);
}

static void waits_for_ever(void *argument)
{
	struct fiber *fiber = argument;

	for (;; fiber->turns++)
		qs_fiber_context_switch(&fiber->context, fiber->back);
}

static void waits_once(void *argument)
{
	struct fiber *fiber = argument;

	qs_fiber_context_switch(&fiber->context, fiber->back);
	fiber->turns++;
	qs_fiber_context_switch(NULL, fiber->back);
}

START_TEST(many_fibers_take_turns_and_end)
{
	size_t count = (size_t)MANY;
	struct fiber **fibers = calloc(count, sizeof(struct fiber *));

	ck_assert_ptr_nonnull(fibers);
	for (size_t i = 0; i < count; i++) {
		fibers[i] = fiber_new(waits_once);
		turn(fibers[i]);
	}
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(fibers[i]->turns, 0);
		turn(fibers[i]);
		ck_assert_int_eq(fibers[i]->turns, 1);
		fiber_drop(pool, fibers[i]);
	}
	free(fibers);
}
END_TEST

START_TEST(a_stack_is_fit_for_reuse_when_its_fiber_was_dropped_suspended)
{
	for (int i = 0; i < 2000; i++) {
		struct fiber *fiber = fiber_new(i % 2 ? waits_deep_for_ever : waits_for_ever);

		for (int turns = 0; turns < 3; turns++)
			turn(fiber);
		ck_assert_int_ge(fiber->turns, 2);
		fiber_drop(pool, fiber);
	}
}
END_TEST

START_TEST(a_stack_is_fit_for_reuse_after_its_pool_went_away)
{
	for (int i = 0; i < 20; i++) {
		struct fiber *fiber = fiber_new(waits_deep_for_ever);

		turn(fiber);
		qs_fiber_context_done(&fiber->context);
		tear_down();
		set_up();
	}
}
END_TEST

START_TEST(a_fiber_that_never_ran_can_be_dropped)
{
	struct fiber *fiber = fiber_new(waits_once);

	fiber_drop(pool, fiber);
	fiber = fiber_new(waits_once);
	turn(fiber);
	turn(fiber);
	ck_assert_int_eq(fiber->turns, 1);
	fiber_drop(pool, fiber);
}
END_TEST

static void looks_back(void *argument)
{
	struct fiber *fiber = argument;
	void *frames[50];

	fiber->turns = backtrace(frames, (int)ARRAY_SIZE(frames));
	qs_fiber_context_switch(NULL, fiber->back);
}

START_TEST(a_backtrace_ends_at_the_bottom_of_the_fiber)
{
	struct fiber *fiber = fiber_new(looks_back);

	turn(fiber);
	ck_assert_int_ge(fiber->turns, 2);
	ck_assert_int_le(fiber->turns, 5);
	fiber_drop(pool, fiber);
}
END_TEST

static void jumps_over_frames(void *argument)
{
	struct fiber *fiber = argument;
	jmp_buf here;

	if (setjmp(here) == 0) {
		qs_fiber_context_switch(&fiber->context, fiber->back);
		longjmp(here, 1);
	}
	fiber->turns++;
	qs_fiber_context_switch(NULL, fiber->back);
}

START_TEST(a_long_jump_stays_on_the_stack_of_the_fiber)
{
	struct fiber *fiber = fiber_new(jumps_over_frames);

	turn(fiber);
	turn(fiber);
	ck_assert_int_eq(fiber->turns, 1);
	fiber_drop(pool, fiber);
}
END_TEST

/* Each thread has its own pool and home; TSan sees two threads that share nothing. */
static void *takes_turns(void *unused _unused_)
{
	const struct qs_stack_pool_options options = { .stack_size = 16384 };
	struct qs_fiber_context back = { .base = NULL };
	struct qs_stack_pool *own;
	struct fiber *fibers[20];

	ck_assert_int_eq(qs_stack_pool_new(&own, &options), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fibers); i++)
		fibers[i] = fiber_in(own, &back, waits_for_ever);
	for (size_t i = 0; i < 100 * ARRAY_SIZE(fibers); i++)
		qs_fiber_context_switch(&back, &fibers[i % ARRAY_SIZE(fibers)]->context);
	for (size_t i = 0; i < ARRAY_SIZE(fibers); i++) {
		ck_assert_int_eq(fibers[i]->turns, 99);
		fiber_drop(own, fibers[i]);
	}
	qs_stack_pool_free(own);
	return NULL;
}

START_TEST(threads_have_fibers_of_their_own)
{
	pthread_t threads[3];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, takes_turns, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

#if QS_TOOLS_ASAN

static void reads_past_an_array(void *argument)
{
	struct fiber *fiber = argument;
	volatile char array[8] = "";
	volatile char *volatile end = array + sizeof(array);

	qs_fiber_context_switch(&fiber->context, fiber->back);
	fiber->turns = *end;
	qs_fiber_context_switch(NULL, fiber->back);
}

/* ASan leaves by _exit(1). */
START_TEST(the_address_sanitizer_sees_the_frames_of_a_fiber)
{
	struct fiber *fiber = fiber_new(reads_past_an_array);

	turn(fiber);
	turn(fiber);
	_exit(0);
}
END_TEST

static void keeps_the_only_pointer(void *argument)
{
	struct fiber *fiber = argument;
	void *volatile memory = malloc(1000);

	qs_fiber_context_switch(&fiber->context, fiber->back);
	free(memory);
	qs_fiber_context_switch(NULL, fiber->back);
}

/* Frames that ASan keeps elsewhere, for use after return, are out of LeakSanitizer's sight. */
START_TEST(what_a_suspended_fiber_points_to_is_no_leak)
{
	struct fiber *fiber;

	if (__asan_get_current_fake_stack())
		return;
	fiber = fiber_new(keeps_the_only_pointer);
	turn(fiber);
	ck_assert_int_eq(__lsan_do_recoverable_leak_check(), 0);
	turn(fiber);
	fiber_drop(pool, fiber);
}
END_TEST

#endif

int main(void)
{
	Suite *suite = suite_create("fiber_context");
	TCase *contexts = tcase_create("contexts");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(contexts, set_up, tear_down);
	tcase_add_test(contexts, many_fibers_take_turns_and_end);
	tcase_add_test(contexts, a_stack_is_fit_for_reuse_when_its_fiber_was_dropped_suspended);
	tcase_add_test(contexts, a_stack_is_fit_for_reuse_after_its_pool_went_away);
	tcase_add_test(contexts, a_fiber_that_never_ran_can_be_dropped);
	tcase_add_test(contexts, a_backtrace_ends_at_the_bottom_of_the_fiber);
	tcase_add_test(contexts, a_long_jump_stays_on_the_stack_of_the_fiber);
	tcase_add_test(contexts, threads_have_fibers_of_their_own);
#if QS_TOOLS_ASAN
	tcase_add_exit_test(contexts, the_address_sanitizer_sees_the_frames_of_a_fiber, 1);
	tcase_add_test(contexts, what_a_suspended_fiber_points_to_is_no_leak);
#endif
	suite_add_tcase(suite, contexts);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
