/*
 * The life of fibers: a ring of those that are ready, run by one job at the end of a turn, and what
 * each rung does to them.
 *
 * A fiber ends in one of two ways. Its function returns: then, still on its own stack, it leaves
 * the groups it owns and runs what it deferred. Or it is killed: then it never runs again; when
 * nothing lives in its groups any more, the loop runs what it deferred and drops its stack.
 */
#include "lib/fiber_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/supervise.h"

/* Beyond those that were ready at the start, so many go on in the same turn. */
#define TURN_EXTRA 256U

#define PREFETCH_AHEAD 3U
#define FRAME_LINES    6 /* of the cache */
#define HOT_LINES      3

struct qs_fiber *qs_fiber_of(qs_task *task)
{
	return container_of(task, struct qs_fiber, task);
}

struct qs_bells *qs_fibers_bells(struct qs_fibers *fibers)
{
	return &fibers->bells;
}

/* --- the ready ring --- */

int qs_ready_reserve(struct qs_ready *ready, size_t count)
{
	size_t room = ready->room ? ready->room : 64;
	struct qs_fiber **ring;

	if (count <= ready->room)
		return 0;
	while (room < count)
		room *= 2;
	ring = qs_malloc(room * sizeof(struct qs_fiber *));
	if (!ring)
		return -ENOMEM;
	for (size_t i = 0; i < ready->count; i++)
		ring[i] = ready->ring[(ready->head + i) & (ready->room - 1)];
	qs_free(ready->ring);
	*ready = (struct qs_ready){ .ring = ring, .room = room, .count = ready->count };
	return 0;
}

/* With a seed, any of those that are ready may be next. */
static void shuffle_first(struct qs_fibers *fibers)
{
	struct qs_random random = { fibers->random };
	struct qs_fiber **first = qs_ready_at(&fibers->ready, 0);
	struct qs_fiber **chosen =
	        qs_ready_at(&fibers->ready, qs_random_below(&random, fibers->ready.count));
	struct qs_fiber *fiber = *chosen;

	*chosen = *first;
	*first = fiber;
	fibers->random = random.state;
}

static struct qs_fiber *take_ready(struct qs_fibers *fibers)
{
	struct qs_ready *ready = &fibers->ready;

	if (fibers->options.seed != 0)
		shuffle_first(fibers);
	struct qs_fiber *fiber = *qs_ready_at(ready, 0);
	ready->head++;
	ready->count--;
	if (ready->count > PREFETCH_AHEAD) {
		/* Among very many fibers everything about the next one is far away. */
		const struct qs_fiber *later = *qs_ready_at(ready, PREFETCH_AHEAD);

		PREFETCH_LINES(
		        (const char *)later - FRAME_LINES * CACHE_LINE, FRAME_LINES + HOT_LINES);
		PREFETCH_LINES(qs_fiber_stack(later), 1);
		PREFETCH_LINES((*qs_ready_at(ready, PREFETCH_AHEAD / 2))->task.record, 1);
	}
	return fiber;
}

/* --- running --- */

/* The last thing it does on its own stack is to leave it. */
void qs_fiber_run(void *argument)
{
	struct qs_fiber *fiber = argument;

	fiber->result = fiber->fn(&fiber->task, fiber->arg);
	/* Clean-ups may make groups of their own. */
	do {
		if (!list_empty(&fiber->groups))
			qs_fiber_leave_groups(fiber);
		if (fiber->deferred_count > 0 || fiber->has_owned)
			qs_fiber_run_deferred(fiber);
	} while (!list_empty(&fiber->groups));
	fiber->over = true;
	qs_fiber_context_switch(NULL, &fiber->fibers->loop);
}

/* Nothing of it is left but its struct, and that goes when nobody wants to know more of it. */
static void end(struct qs_fiber *fiber, struct qs_outcome outcome)
{
	bool well = outcome.type == QS_OUTCOME_RETURN && outcome.value >= 0;

	qs_task_end(&fiber->task, outcome, well, well || outcome.value == -ESHUTDOWN);
}

static void fiber_ended(struct qs_task *task, enum qs_verdict verdict _unused_, void *arg)
{
	struct qs_fiber *fiber = qs_fiber_of(task);
	struct qs_fibers *fibers = arg;

	fibers->count--;
	qs_fiber_context_done(&fiber->context);
	qs_fiber_put_stack(fiber);
}

static void end_by_force(struct qs_fiber *fiber)
{
	struct qs_wait *wait = TAKE(fiber->wait, NULL);

	if (wait && wait->undo && fiber->result >= 0)
		wait->undo(wait);
	if (!qs_fiber_kill_groups(fiber))
		return;
	qs_fiber_run_deferred(fiber);
	end(fiber, (struct qs_outcome){ .type = QS_OUTCOME_NONE });
}

/* Pages that were touched stay: what is found is the most so far. */
static void measure_stack(const struct qs_fiber *fiber, const struct qs_stack *stack)
{
	size_t depth = qs_stack_pool_depth(fiber->fibers->pools[fiber->pool].pool, stack);

	if (fiber->task.record)
		atomic_store_explicit(&fiber->task.record->stack, (uint32_t)MIN(depth, UINT32_MAX),
		        memory_order_release);
}

static void check_stack(const struct qs_fiber *fiber)
{
	const struct qs_fibers_options *options = &fiber->fibers->options;
	const struct qs_stack *stack = qs_fiber_stack(fiber);

	if (options->measure)
		measure_stack(fiber, stack);
	if (!stack->canary || qs_stack_check(stack))
		return;
	/* Another fiber's memory is damaged: nothing can be trusted from here on. */
	if (options->overflowed)
		options->overflowed(fiber->task.record->name, options->arg);
	abort();
}

static void resume(struct qs_fiber *fiber)
{
	struct qs_fibers *fibers = fiber->fibers;
	struct qs_context *context = fibers->context;

	/* As qs_loop_hold would. */
	atomic_store_explicit(&fibers->pulse->holder,
	        atomic_load_explicit(&fiber->task.record->id, memory_order_relaxed),
	        memory_order_relaxed);
	fiber->woken = false;
	fiber->wait = NULL;
	fibers->running = fiber;
	context->nursery = &fiber->groups;
	qs_tell_witness(context, &fiber->task, "run");
	qs_fiber_context_switch(&fibers->loop, &fiber->context);
	context->nursery = NULL;
	fibers->running = NULL;
	if (fiber->is_checked)
		check_stack(fiber);
	if (fiber->over)
		end(fiber,
		        (struct qs_outcome){ .type = QS_OUTCOME_RETURN, .value = fiber->result });
	else if (fiber->killed && fiber->wait)
		qs_fiber_interrupt(fiber, -ECANCELED);
	else if (fiber->killed)
		qs_fiber_make_ready(fiber);
}

static void run_ready(struct qs_fibers *fibers)
{
	size_t left = fibers->ready.count + TURN_EXTRA;
	uint64_t holder = qs_loop_hold(fibers->context->loop, 0);

	fibers->turning = true;
	for (; fibers->ready.count > 0 && left > 0; left--) {
		struct qs_fiber *fiber = take_ready(fibers);

		/* One that was abandoned stays where it is. */
		if (!fiber->task.record)
			continue;
		if (fiber->killed)
			end_by_force(fiber);
		else
			resume(fiber);
	}
	fibers->turning = false;
	(void)qs_loop_hold(fibers->context->loop, holder);
	if (fibers->ready.count > 0)
		qs_timer_arm(&fibers->next_turn, qs_loop_now(fibers->context->loop));
}

static void job_runs(struct qs_job *job)
{
	run_ready(container_of(job, struct qs_fibers, job));
}

/* A job would run in the same turn: timers and descriptors come first. */
static void next_turn_came(struct qs_timer *timer)
{
	struct qs_fibers *fibers = container_of(timer, struct qs_fibers, next_turn);

	qs_job_schedule(fibers->context->loop, &fibers->job);
}

/* --- the scheduler --- */

int qs_fibers_new(struct qs_context *context, const struct qs_fibers_options *options,
        struct qs_fibers **ret_fibers)
{
	struct qs_fibers *fibers = qs_calloc(1, sizeof(*fibers));
	int r;

	if (!fibers)
		return -ENOMEM;
	fibers->context = context;
	fibers->options = *options;
	fibers->random = options->seed;
	fibers->bells.watch.fd = -1;
	list_init(&fibers->abandoned);
	qs_job_init(&fibers->job, job_runs);
	fibers->pulse = qs_loop_pulse(context->loop);
	r = qs_timer_init(context->loop, &fibers->next_turn, next_turn_came);
	if (r == 0)
		r = qs_fibers_open_alarms(fibers);
	if (r == 0)
		r = qs_fibers_open_pools(fibers);
	if (r == 0)
		r = qs_bells_init(&fibers->bells, context->loop);
	if (r < 0) {
		qs_fibers_free(fibers);
		return r;
	}
	*ret_fibers = context->fibers = fibers;
	return 0;
}

/* Another thread may still use the stack of one that waits for it: that stays for ever. */
static bool drop_abandoned(struct qs_fibers *fibers)
{
	bool in_use = false;

	list_for_each (node, &fibers->abandoned) {
		struct qs_task *task = list_entry(node, struct qs_task, in_group);
		const struct qs_fiber *fiber = qs_fiber_of(task);

		list_remove(node);
		if (fiber->wait && fiber->wait->hurry && !fiber->woken)
			in_use = true;
		else
			fiber_ended(task, QS_VERDICT_ABANDONED, fibers);
	}
	return in_use;
}

void qs_fibers_free(struct qs_fibers *fibers)
{
	if (!fibers)
		return;
	bool stacks_in_use = drop_abandoned(fibers);
	qs_bells_done(&fibers->bells);
	qs_fibers_close_pools(fibers, stacks_in_use);
	qs_fibers_close_alarms(fibers);
	qs_timer_done(&fibers->next_turn);
	qs_job_cancel(&fibers->job);
	qs_free(fibers->ready.ring);
	if (fibers->context->fibers == fibers)
		fibers->context->fibers = NULL;
	qs_free(fibers);
}

const struct qs_task_terms qs_fiber_terms = {
	.ladder = { QS_FOREVER, QS_FOREVER },
	.ended = fiber_ended,
};
