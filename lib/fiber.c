/*
 * The life of fibers: a ring of those that are ready, run by one job at the end of a turn, and what
 * each rung does to them.
 *
 * A fiber ends in one of two ways. Its function returns: then, still on its own stack, it leaves
 * the groups it owns and runs what it deferred. Or it is killed: then it never runs again; when
 * nothing lives in its groups any more, the loop runs what it deferred and drops its stack.
 */
#include "lib/fiber.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/supervise.h"

/* Beyond those that were ready at the start, so many go on in the same turn. */
#define TURN_EXTRA 256U

struct qs_fiber *qs_fiber_of(qs_task *task)
{
	return container_of(task, struct qs_fiber, task);
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

static struct qs_fiber **ready_at(struct qs_ready *ready, size_t place)
{
	return &ready->ring[(ready->head + place) & (ready->room - 1)];
}

void qs_fiber_make_ready(struct qs_fiber *fiber)
{
	struct qs_fibers *fibers = fiber->fibers;

	fiber->woken = true;
	*ready_at(&fibers->ready, fibers->ready.count++) = fiber;
	if (!fibers->turning)
		qs_job_schedule(fibers->context->loop, &fibers->job);
}

/* With a seed, any of those that are ready may be next. */
static void shuffle_first(struct qs_fibers *fibers)
{
	struct qs_random random = { fibers->random };
	struct qs_fiber **first = ready_at(&fibers->ready, 0);
	struct qs_fiber **chosen =
	        ready_at(&fibers->ready, qs_random_below(&random, fibers->ready.count));
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
	struct qs_fiber *fiber = *ready_at(ready, 0);
	ready->head++;
	ready->count--;
	/* Among very many fibers everything about the next one is far away. */
	if (ready->count >= 8) {
		const char *far = (const char *)*ready_at(ready, 7);
		__builtin_prefetch(far);
		__builtin_prefetch(far + 64);
		__builtin_prefetch(far + 128);
		__builtin_prefetch(far + 192);
		__builtin_prefetch(far + 256);
		qs_fiber_context_prefetch(&(*ready_at(ready, 3))->context);
	}
	return fiber;
}

/* --- running --- */

/* The last thing it does on its own stack is to leave it. */
void qs_fiber_run(void *argument)
{
	struct qs_fiber *fiber = argument;

	fiber->result = fiber->fn(&fiber->task, fiber->arg);
	qs_fiber_leave_groups(fiber);
	qs_fiber_run_deferred(fiber);
	fiber->over = true;
	qs_fiber_context_switch(NULL, &fiber->fibers->loop);
}

/* Nothing of it is left but its struct, and that goes when nobody wants to know more of it. */
static void end(struct qs_fiber *fiber, struct qs_outcome outcome)
{
	bool well = outcome.type == QS_OUTCOME_RETURN && outcome.value >= 0;

	qs_timer_done(&fiber->timer);
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

	if (wait && wait->undo)
		wait->undo(wait);
	if (!qs_fiber_kill_groups(fiber))
		return;
	qs_fiber_run_deferred(fiber);
	end(fiber, (struct qs_outcome){ .type = QS_OUTCOME_NONE });
}

static void check_stack(const struct qs_fiber *fiber)
{
	const struct qs_fibers_options *options = &fiber->fibers->options;

	if (qs_stack_check(qs_fiber_stack(fiber)))
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

	(void)qs_loop_hold(context->loop, qs_task_id(&fiber->task));
	fiber->woken = false;
	fiber->wait = NULL;
	fibers->running = fiber;
	context->nursery = &fiber->groups;
	qs_tell_witness(context, &fiber->task, "run");
	qs_fiber_context_switch(&fibers->loop, &fiber->context);
	context->nursery = NULL;
	fibers->running = NULL;
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

/* --- rungs --- */

static bool reaches_groups(const struct qs_fiber *fiber)
{
	return !list_empty(&fiber->groups) && !fiber->task.group->context->sweeping;
}

static void fiber_ask(struct qs_task *task)
{
	struct qs_fiber *fiber = qs_fiber_of(task);

	if (reaches_groups(fiber))
		list_for_each (node, &fiber->groups)
			qs_group_ask(list_entry(node, struct qs_group, in_owner), UINT_MAX,
			        qs_task_cause(task), QS_FOREVER);
	if (fiber->wait && fiber->wait->nature == QS_WAIT_IDLE && !qs_fiber_is_shielded(fiber))
		qs_fiber_interrupt(fiber, -ESHUTDOWN);
}

static void fiber_cancel(struct qs_task *task)
{
	struct qs_fiber *fiber = qs_fiber_of(task);

	if (reaches_groups(fiber))
		list_for_each (node, &fiber->groups)
			qs_group_cancel(
			        list_entry(node, struct qs_group, in_owner), qs_task_cause(task));
	if (fiber->wait && fiber->wait->nature != QS_WAIT_TO_THE_END &&
	        !qs_fiber_is_shielded(fiber))
		qs_fiber_interrupt(fiber, -ECANCELED);
	/* Asked in the same turn, it has not heard of that yet. */
	if (fiber->woken && !fiber->wait && fiber->result == -ESHUTDOWN)
		fiber->result = -ECANCELED;
}

/* It is ended by the loop, unless it runs just now: then as soon as it waits. */
static void fiber_kill(struct qs_task *task)
{
	struct qs_fiber *fiber = qs_fiber_of(task);

	fiber->killed = true;
	qs_fiber_interrupt(fiber, -ECANCELED);
}

static void fiber_expire(struct qs_task *task)
{
	struct qs_fiber *fiber = qs_fiber_of(task);

	if (fiber->wait && fiber->wait->nature != QS_WAIT_TO_THE_END &&
	        !qs_fiber_is_shielded(fiber))
		qs_fiber_interrupt(fiber, -ETIMEDOUT);
}

static void fiber_describe(const struct qs_task *task, char *buffer, size_t size)
{
	const struct qs_fiber *fiber = container_of(task, const struct qs_fiber, task);

	snprintf(buffer, size, "%s", fiber->wait ? fiber->wait->name : "ready");
}

static void fiber_abandoned(struct qs_task *task)
{
	struct qs_fiber *fiber = qs_fiber_of(task);

	qs_fiber_interrupt(fiber, -ECANCELED);
	qs_timer_done(&fiber->timer);
	qs_fiber_abandon_groups(fiber);
	list_append(&fiber->fibers->abandoned, &task->in_group);
}

const struct qs_task_kind qs_fiber_kind = {
	.id = QS_KIND_FIBER,
	.ask = fiber_ask,
	.cancel = fiber_cancel,
	.kill = fiber_kill,
	.describe = fiber_describe,
	.expire = fiber_expire,
	.abandoned = fiber_abandoned,
};

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
	r = qs_timer_init(context->loop, &fibers->next_turn, next_turn_came);
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
