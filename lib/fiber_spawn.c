/*
 * How a fiber begins, and where its stack comes from and goes to. Stacks of each size have a pool;
 * a pool keeps what it has for a while after a peak, then gives it back bit by bit.
 */
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>

#include "lib/fiber_internal.h"

#define TRIM_AFTER   QS_SEC
#define TRIM_PAUSE   (2 * QS_MSEC)
#define TRIM_PORTION 1024U
#define LEAST_STACK  (8U * 1024)

/* --- stacks --- */

const struct qs_stack *qs_fiber_stack(const struct qs_fiber *fiber)
{
	return (const struct qs_stack *)(const void *)((const char *)fiber + QS_FIBER_ROOM);
}

static struct qs_fiber *fiber_on(struct qs_stack *stack)
{
	return (struct qs_fiber *)(void *)((char *)stack - QS_FIBER_ROOM);
}

static int open_pool(struct qs_fibers *fibers, size_t size, uint8_t *ret_pool)
{
	const struct qs_stack_pool_options options = {
		.stack_size = size,
		.keep = SIZE_MAX / 2,
		.measure = fibers->options.measure,
	};
	uint8_t i = 0;

	for (; i < QS_STACK_POOLS && fibers->pools[i].pool; i++)
		if (fibers->pools[i].stack_size == size) {
			*ret_pool = i;
			return 0;
		}
	if (i == QS_STACK_POOLS || size < LEAST_STACK)
		return -EINVAL;
	int r = qs_stack_pool_new(&fibers->pools[i].pool, &options);
	if (r < 0)
		return r;
	fibers->pools[i].stack_size = size;
	*ret_pool = i;
	return 0;
}

/* Sizes that are close to each other share a pool. */
static size_t round_size(size_t size)
{
	size_t rounded = LEAST_STACK;

	while (rounded < size && rounded < SIZE_MAX / 2)
		rounded *= 2;
	return rounded;
}

/* In portions, so that a peak of a hundred thousand does not stop the loop when it is over. */
static bool trim(struct qs_fibers *fibers, struct qs_stack_pool *pool)
{
	size_t keep = fibers->options.keep ? fibers->options.keep : QS_STACK_POOL_KEEP;
	struct qs_stack_pool_stats stats;

	qs_stack_pool_stats(pool, &stats);
	if (stats.pooled <= keep)
		return false;
	qs_stack_pool_trim(pool, MAX(keep, stats.pooled - MIN(stats.pooled, TRIM_PORTION)));
	return true;
}

static void trim_due(struct qs_timer *timer)
{
	struct qs_fibers *fibers = container_of(timer, struct qs_fibers, trim);
	bool more = false;

	for (size_t i = 0; i < QS_STACK_POOLS && fibers->pools[i].pool; i++)
		more |= trim(fibers, fibers->pools[i].pool);
	if (more)
		qs_timer_arm(timer, qs_time_add(qs_loop_now(fibers->context->loop), TRIM_PAUSE));
}

/* A virtual clock would jump to it. */
static void trim_later(struct qs_fibers *fibers)
{
	if (!qs_timer_armed(&fibers->trim) && !fibers->context->clock->is_virtual)
		qs_timer_arm(
		        &fibers->trim, qs_time_add(qs_loop_now(fibers->context->loop), TRIM_AFTER));
}

int qs_fibers_open_pools(struct qs_fibers *fibers)
{
	size_t size = fibers->options.stack_size;
	uint8_t first;
	int r = qs_timer_init(fibers->context->loop, &fibers->trim, trim_due);

	return r < 0 ? r : open_pool(fibers, size ? round_size(size) : QS_STACK_SIZE, &first);
}

void qs_fibers_close_pools(struct qs_fibers *fibers, bool stacks_in_use)
{
	qs_timer_done(&fibers->trim);
	for (size_t i = 0; i < QS_STACK_POOLS && !stacks_in_use; i++)
		qs_stack_pool_free(fibers->pools[i].pool);
}

void qs_fiber_put_stack(struct qs_fiber *fiber)
{
	struct qs_fibers *fibers = fiber->fibers;

	qs_stack_pool_put(
	        fibers->pools[fiber->pool].pool, (struct qs_stack *)qs_fiber_stack(fiber));
	if (fibers->count % TRIM_PORTION == 0)
		trim_later(fibers);
}

const char *qs_fibers_name_at(const struct qs_fibers *fibers, const void *address)
{
	for (size_t i = 0; i < QS_STACK_POOLS && fibers->pools[i].pool; i++) {
		const struct qs_stack *stack = qs_stack_pool_find(fibers->pools[i].pool, address);

		if (!stack)
			continue;
		const struct qs_record *record = fiber_on((struct qs_stack *)stack)->task.record;
		return record ? record->name : "(ended)";
	}
	return NULL;
}

/* --- the beginning --- */

static const struct qs_task_terms *terms_of(
        struct qs_fiber *fiber, const struct qs_task_options *options)
{
	if (options->stop_deadline == 0 && options->cancel_grace == 0)
		return &qs_fiber_terms;
	fiber->terms = qs_fiber_terms;
	if (options->stop_deadline > 0)
		fiber->terms.ladder.deadline = options->stop_deadline;
	if (options->cancel_grace > 0)
		fiber->terms.ladder.cancel_grace = options->cancel_grace;
	return &fiber->terms;
}

/* A fiber on a stack of that size (0: the usual one), in no group yet. */
static int take_fiber(struct qs_fibers *fibers, size_t stack_size, struct qs_fiber **ret_fiber)
{
	struct qs_stack *stack;
	uint8_t pool = 0;
	int r = 0;

	if (stack_size > 0)
		r = open_pool(fibers, round_size(stack_size), &pool);
	if (r == 0)
		r = qs_stack_pool_get(fibers->pools[pool].pool, &stack);
	if (r < 0)
		return r;
	struct qs_fiber *fiber = fiber_on(stack);
	fiber->fibers = fibers;
	fiber->wait = NULL;
	fiber->alarm = (struct heap_node){ 0 };
	fiber->shield = 0;
	fiber->result = 0;
	fiber->woken = fiber->killed = fiber->over = fiber->has_owned = false;
	fiber->pool = pool;
	fiber->is_checked = stack->canary != NULL || fibers->options.measure;
	fiber->deadline = QS_FOREVER;
	fiber->deferred_count = 0;
	fiber->more = NULL;
	fiber->keeper = NULL;
	list_init(&fiber->groups);
	list_init(&fiber->last.node);
	*ret_fiber = fiber;
	return 0;
}

/* It is gone when this fails. */
static int begin(struct qs_fiber *fiber, struct qs_group *group, const struct qs_task_setup *setup)
{
	struct qs_fibers *fibers = fiber->fibers;
	struct qs_stack *stack = (struct qs_stack *)qs_fiber_stack(fiber);
	int r = qs_ready_reserve(&fibers->ready, fibers->count + 1);

	if (r == 0)
		r = heap_reserve(&fibers->alarms, fibers->count + 1);
	if (r == 0)
		r = qs_task_init(&fiber->task, &qs_fiber_kind, group, setup);
	if (r < 0) {
		qs_stack_pool_put(fibers->pools[fiber->pool].pool, stack);
		return r;
	}
	fibers->count++;
	qs_fiber_context_make(&fiber->context, stack->base, (size_t)((char *)fiber - stack->base),
	        qs_fiber_run, fiber);
	qs_fiber_make_ready(fiber);
	return 0;
}

int qs_spawn_fiber(qs_group *group, const struct qs_task_options *options, qs_task_fn fn, void *arg,
        qs_task **ret_task)
{
	static const struct qs_task_options defaults;
	struct qs_fibers *fibers = group->context->fibers;
	struct qs_fiber *fiber;

	if (!options)
		options = &defaults;
	int r = take_fiber(fibers, options->stack_size, &fiber);
	if (r < 0)
		return r;
	fiber->fn = fn;
	fiber->arg = arg;
	if (options->deadline > 0)
		fiber->deadline = options->deadline;
	const struct qs_task_setup setup = {
		.name = options->name ? options->name : "fiber",
		.terms = terms_of(fiber, options),
		.arg = fibers,
		.joinable = ret_task != NULL,
	};
	r = begin(fiber, group, &setup);
	if (r == 0 && ret_task)
		*ret_task = &fiber->task;
	return r;
}

/* --- fibers that are kept --- */

static void kept_pushed(struct qs_task *task, enum qs_rung rung, void *arg _unused_)
{
	const struct qs_fiber *fiber = qs_fiber_of(task);

	if (fiber->keeper->pushed)
		fiber->keeper->pushed(task, rung, fiber->arg);
}

static void kept_ended(struct qs_task *task, enum qs_verdict verdict, void *arg)
{
	const struct qs_fiber *fiber = qs_fiber_of(task);

	if (fiber->keeper->ended)
		fiber->keeper->ended(task, verdict, fiber->arg);
	qs_fiber_terms.ended(task, verdict, arg);
}

int qs_fiber_start(
        struct qs_group *group, const struct qs_fiber_setup *setup, struct qs_task **ret_task)
{
	struct qs_fibers *fibers = group->context->fibers;
	struct qs_fiber *fiber;
	int r = take_fiber(fibers, 0, &fiber);

	if (r < 0)
		return r;
	fiber->fn = setup->fn;
	fiber->arg = setup->arg;
	fiber->keeper = setup->keeper;
	fiber->terms = (struct qs_task_terms){
		.ladder = setup->ladder, .pushed = kept_pushed, .ended = kept_ended
	};
	const struct qs_task_setup task = {
		.name = setup->name, .owner = setup->owner, .terms = &fiber->terms, .arg = fibers
	};
	r = begin(fiber, group, &task);
	if (r == 0)
		*ret_task = &fiber->task;
	return r;
}
