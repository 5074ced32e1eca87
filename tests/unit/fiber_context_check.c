/*
 * The switch on the bare processor: no library but libc, so that it is built for other
 * architectures too and run in an emulator, and once for each way to switch. The first claim that
 * does not hold ends it with its line.
 */
#include "lib/fiber_context.h"

#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/stack_pool.h"

#define CHECK(claim)                                                                      \
	do {                                                                              \
		if (!(claim)) {                                                           \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #claim); \
			exit(1);                                                          \
		}                                                                         \
	} while (0)

#define STACK  65536
#define FIBERS 1000
#define ROUNDS 20
#define WORDS  12
#define LINKED 8

static struct qs_fiber_context thread;
static struct qs_fiber_context fibers[FIBERS];
static int seen;

static void *new_stack(void)
{
	void *memory = aligned_alloc(4096, STACK);

	CHECK(memory);
	return memory;
}

static void ends_at_once(void *argument)
{
	seen = *(int *)argument;
	qs_fiber_context_switch(NULL, &thread);
}

static void an_entry_gets_its_argument_and_ends(void)
{
	char *stack = new_stack();

	/* The same memory again and again, by ranges that are aligned to nothing. */
	for (int i = 1; i <= 100; i++) {
		qs_fiber_context_make(
		        &fibers[0], stack + i, (size_t)(STACK - 2 * i), ends_at_once, &i);
		qs_fiber_context_switch(&thread, &fibers[0]);
		CHECK(seen == i);
		qs_fiber_context_done(&fibers[0]);
	}
	free(stack);
}

/* More live values across a switch than there are registers to keep. */
static void keeps_its_values(void *argument)
{
	size_t self = (size_t)(uintptr_t)argument;
	uint64_t words[WORDS];
	double numbers[WORDS];

	for (size_t i = 0; i < WORDS; i++) {
		words[i] = self * 1000 + i;
		numbers[i] = (double)(self * 1000 + i) / 8;
	}
	for (int round = 0; round < ROUNDS; round++) {
		qs_fiber_context_switch(&fibers[self], &thread);
		for (size_t i = 0; i < WORDS; i++) {
			CHECK(words[i] == self * 1000 + i + (uint64_t)round);
			CHECK(numbers[i] == (double)(self * 1000 + i) / 8 + round);
			words[i]++;
			numbers[i]++;
		}
	}
	seen++;
	qs_fiber_context_switch(NULL, &thread);
}

static void every_fiber_keeps_its_values(size_t count)
{
	const struct qs_stack_pool_options options = { .stack_size = STACK };
	struct qs_stack_pool *pool = NULL;
	struct qs_stack **stacks = calloc(count, sizeof(*stacks));
	double outside[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	CHECK(stacks && qs_stack_pool_new(&pool, &options) == 0);
	seen = 0;
	for (size_t i = 0; i < count; i++) {
		CHECK(qs_stack_pool_get(pool, &stacks[i]) == 0);
		qs_fiber_context_make(&fibers[i], stacks[i]->base,
		        (size_t)((char *)stacks[i] - stacks[i]->base), keeps_its_values,
		        (void *)(uintptr_t)i);
	}
	for (int round = 0; round <= ROUNDS; round++)
		for (size_t i = 0; i < count; i++) {
			qs_fiber_context_switch(&thread, &fibers[i]);
			outside[i % 8] += 1;
			CHECK(qs_stack_check(stacks[i]));
		}
	for (size_t i = 0; i < 8; i++)
		CHECK(outside[i] == (double)(i + 1) + (double)(ROUNDS + 1) * (double)(count / 8));
	CHECK(seen == (int)count);
	for (size_t i = 0; i < count; i++) {
		qs_fiber_context_done(&fibers[i]);
		qs_stack_pool_put(pool, stacks[i]);
	}
	free(stacks);
	qs_stack_pool_free(pool);
}

/* Both want the stack aligned as the ABI promises, and registers that hold more than integers. */
static void prints(void *argument)
{
	char *text = argument;
	_Alignas(64) volatile char aligned[64];

	aligned[0] = 1;
	CHECK((uintptr_t)aligned % 64 == 0);
	CHECK((uintptr_t)__builtin_frame_address(0) % 16 == 0);
	(void)snprintf(text, 100, "%d %.3f %s %.1Lf %g %g %g %g %g %g %g %g %g", 7, 2.5, "x",
	        (long double)1.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0);
	qs_fiber_context_switch(NULL, &thread);
}

static void variable_arguments_work_on_a_fiber_stack(void)
{
	char *stack = new_stack(), text[100] = "";

	for (size_t off = 0; off < 64; off += 8) {
		qs_fiber_context_make(&fibers[0], stack, STACK - off, prints, text);
		qs_fiber_context_switch(&thread, &fibers[0]);
		qs_fiber_context_done(&fibers[0]);
		CHECK(strcmp(text, "7 2.500 x 1.5 1 2 3 4 5 6 7 8 9") == 0);
		text[0] = '\0';
	}
	free(stack);
}

/* Written through and through: a tool that thinks a dropped frame alive would complain of the next.
 */
static __attribute__((noinline)) void waits_deep(size_t self, int depth)
{
	volatile char room[300];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = (char)depth;
	if (depth > 0)
		waits_deep(self, depth - 1);
	else
		qs_fiber_context_switch(&fibers[self], &thread);
	CHECK(room[17] == (char)depth);
}

static void waits_for_ever(void *argument)
{
	for (int depth = 1;; depth += 7)
		waits_deep((size_t)(uintptr_t)argument, depth % 40);
}

static void fibers_are_dropped_while_suspended(void)
{
	char *stack = new_stack();

	for (size_t i = 0; i < 200; i++) {
		size_t self = i % 2;

		qs_fiber_context_make(&fibers[self], stack, STACK - 16 * self, waits_for_ever,
		        (void *)(uintptr_t)self);
		for (size_t turns = 0; turns <= i % 5; turns++)
			qs_fiber_context_switch(&thread, &fibers[self]);
		qs_fiber_context_done(&fibers[self]);
	}
	free(stack);
}

static void looks_back(void *argument)
{
	void *frames[50];

	*(int *)argument = backtrace(frames, 50);
	qs_fiber_context_switch(NULL, &thread);
}

/* By the unwind tables of the switch, not by luck: it stops there, and does not get lost. */
static void a_backtrace_ends_at_the_bottom(void)
{
	char *stack = new_stack();
	int depth = 0;

	memset(stack, 0x55, STACK);
	qs_fiber_context_make(&fibers[0], stack, STACK, looks_back, &depth);
	qs_fiber_context_switch(&thread, &fibers[0]);
	qs_fiber_context_done(&fibers[0]);
	CHECK(depth >= 2 && depth <= 5);
	free(stack);
}

static void calls_another(void *argument)
{
	size_t self = (size_t)(uintptr_t)argument;

	if (self + 1 < LINKED)
		qs_fiber_context_switch(&fibers[self], &fibers[self + 1]);
	seen = seen * 10 + (int)self;
	qs_fiber_context_switch(NULL, self > 0 ? &fibers[self - 1] : &thread);
}

static void fibers_switch_among_themselves(void)
{
	char *stacks = aligned_alloc(4096, LINKED * (size_t)STACK);

	CHECK(stacks);
	seen = 0;
	for (size_t i = 0; i < LINKED; i++)
		qs_fiber_context_make(
		        &fibers[i], stacks + i * STACK, STACK, calls_another, (void *)(uintptr_t)i);
	qs_fiber_context_switch(&thread, &fibers[0]);
	CHECK(seen == 76543210);
	for (size_t i = 0; i < LINKED; i++)
		qs_fiber_context_done(&fibers[i]);
	free(stacks);
}

int main(void)
{
	an_entry_gets_its_argument_and_ends();
	every_fiber_keeps_its_values(FIBERS);
	variable_arguments_work_on_a_fiber_stack();
	fibers_switch_among_themselves();
	fibers_are_dropped_while_suspended();
	a_backtrace_ends_at_the_bottom();
	(void)puts("All contexts hold.");
	return 0;
}
