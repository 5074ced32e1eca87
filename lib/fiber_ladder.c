/*
 * How waits end, and what each rung does. A wait ends once: by what it waits for, by its deadline
 * or by the ladder; whoever comes first decides the result, and takes the wait out of the others.
 *
 * When a hundred thousand fibers are asked at once each costs what is done here: for one that only
 * sleeps nothing on its stack is touched.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "lib/fiber_internal.h"

/* --- waking --- */

void qs_fiber_make_ready(struct qs_fiber *fiber)
{
	struct qs_fibers *fibers = fiber->fibers;

	fiber->woken = true;
	*qs_ready_at(&fibers->ready, fibers->ready.count++) = fiber;
	if (!fibers->turning)
		qs_job_schedule(fibers->context->loop, &fibers->job);
}

static void end_wait(struct qs_fiber *fiber, int result)
{
	struct qs_fibers *fibers = fiber->fibers;

	fiber->result = result;
	heap_remove(&fibers->alarms, &fiber->alarm);
	if (fibers->alarms.count == 0)
		qs_timer_disarm(&fibers->alarm);
	qs_fiber_make_ready(fiber);
}

void qs_fiber_wake(struct qs_fiber *fiber, int result)
{
	if (fiber->wait && !fiber->woken)
		end_wait(fiber, result);
}

void qs_fiber_interrupt(struct qs_fiber *fiber, int result)
{
	struct qs_wait *wait = fiber->wait;

	if (!wait || fiber->woken)
		return;
	if (!fiber->idle_alone && wait->hurry) {
		wait->hurry(wait, result);
		return;
	}
	if (!fiber->idle_alone && wait->abort)
		wait->abort(wait);
	end_wait(fiber, result);
	/* There is nothing to be undone. */
	fiber->wait = NULL;
}

void qs_fiber_change_wait(struct qs_fiber *fiber, enum qs_wait_nature nature, const char *name)
{
	struct qs_wait *wait = fiber->wait;

	if (!wait || fiber->woken)
		return;
	wait->nature = nature;
	wait->name = name;
	atomic_store_explicit(&fiber->task.record->waiting_on, name, memory_order_relaxed);
	if (nature == QS_WAIT_IDLE && qs_task_rung(&fiber->task) >= QS_RUNG_ASK &&
	        !qs_fiber_is_shielded(fiber))
		qs_fiber_interrupt(fiber, -ESHUTDOWN);
}

/* --- deadlines --- */

/* The timer may come in vain, when the earliest has been taken back: see task.c. */
void qs_fiber_set_alarm(struct qs_fiber *fiber, uint64_t at)
{
	struct qs_fibers *fibers = fiber->fibers;

	/* It does not fail: there is room for all fibers. */
	(void)!heap_add(&fibers->alarms, &fiber->alarm, at);
	if (!qs_timer_armed(&fibers->alarm) || at < fibers->alarm.at)
		qs_timer_arm(&fibers->alarm, at);
}

static void alarm_due(struct qs_timer *timer)
{
	struct qs_fibers *fibers = container_of(timer, struct qs_fibers, alarm);
	uint64_t now = qs_loop_now(fibers->context->loop);
	struct heap_node *first;

	while ((first = heap_first(&fibers->alarms)) && heap_first_key(&fibers->alarms) <= now) {
		heap_remove(&fibers->alarms, first);
		qs_fiber_interrupt(container_of(first, struct qs_fiber, alarm), -ETIMEDOUT);
	}
	qs_timer_arm(timer, heap_first_key(&fibers->alarms));
}

int qs_fibers_open_alarms(struct qs_fibers *fibers)
{
	return qs_timer_init(fibers->context->loop, &fibers->alarm, alarm_due);
}

void qs_fibers_close_alarms(struct qs_fibers *fibers)
{
	qs_timer_done(&fibers->alarm);
	heap_done(&fibers->alarms);
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
	if (fiber->wait && (fiber->idle_alone || fiber->wait->nature == QS_WAIT_IDLE) &&
	        !qs_fiber_is_shielded(fiber))
		qs_fiber_interrupt(fiber, -ESHUTDOWN);
}

static void fiber_cancel(struct qs_task *task)
{
	struct qs_fiber *fiber = qs_fiber_of(task);

	if (fiber->keeper && fiber->keeper->cancelling)
		fiber->keeper->cancelling(task, fiber->arg);
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

	if (fiber->keeper && fiber->keeper->describe)
		fiber->keeper->describe(task, buffer, size, fiber->arg);
	else
		snprintf(buffer, size, "%s", fiber->wait ? fiber->wait->name : "ready");
}

static void fiber_abandoned(struct qs_task *task)
{
	struct qs_fiber *fiber = qs_fiber_of(task);

	qs_fiber_interrupt(fiber, -ECANCELED);
	heap_remove(&fiber->fibers->alarms, &fiber->alarm);
	qs_fiber_abandon_groups(fiber);
	qs_fiber_release_belongings(fiber);
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
