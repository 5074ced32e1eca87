/*
 * The one wait on which all others are built, and the simplest of those. How waits end is in
 * fiber_ladder.c.
 */
#include <errno.h>

#include "lib/fiber_internal.h"

static uint64_t now_of(const struct qs_fiber *fiber)
{
	return qs_loop_now(fiber->fibers->context->loop);
}

int qs_fiber_check(struct qs_fiber *self, enum qs_wait_nature nature)
{
	enum qs_rung rung = qs_task_rung(&self->task);

	/* A clean-up that runs on the loop, because its fiber is gone, cannot wait. */
	if (self != self->fibers->running)
		return -ECANCELED;
	/* Killed while it ran: this is the first moment at which that can be done. */
	if (self->killed)
		qs_fiber_context_switch(&self->context, &self->fibers->loop);
	if (rung == QS_RUNG_NONE || nature == QS_WAIT_TO_THE_END || qs_fiber_is_shielded(self))
		return 0;
	if (rung >= QS_RUNG_CANCEL)
		return -ECANCELED;
	return nature == QS_WAIT_IDLE ? -ESHUTDOWN : 0;
}

/* Groups have timers of their own, which end all waits inside. */
static uint64_t effective(
        const struct qs_fiber *self, enum qs_wait_nature nature, uint64_t deadline)
{
	if (nature == QS_WAIT_TO_THE_END)
		return deadline;
	return MIN(deadline, qs_fiber_is_shielded(self) ? self->shield : self->deadline);
}

int qs_fiber_wait(struct qs_fiber *self, struct qs_wait *wait, uint64_t deadline)
{
	struct qs_record *record = self->task.record;
	bool is_last = self->killed && self == self->fibers->running;
	int r = 0;

	if (is_last && !wait->hurry && wait->abort)
		wait->abort(wait);
	if (!is_last || !wait->hurry)
		r = qs_fiber_check(self, wait->nature);
	deadline = effective(self, wait->nature, deadline);
	if (r == 0 && deadline != QS_FOREVER && deadline <= now_of(self))
		r = -ETIMEDOUT;
	if (r < 0 && !wait->hurry) {
		if (wait->abort)
			wait->abort(wait);
		return r;
	}
	if (r < 0)
		wait->hurry(wait, r);
	else if (deadline != QS_FOREVER)
		qs_fiber_set_alarm(self, deadline);
	atomic_store_explicit(&record->waiting_on, wait->name, memory_order_relaxed);
	self->wait = wait;
	self->idle_alone = wait->nature == QS_WAIT_IDLE && !wait->abort && !wait->hurry;
	qs_fiber_context_switch(&self->context, &self->fibers->loop);
	atomic_store_explicit(&record->waiting_on, NULL, memory_order_relaxed);
	atomic_store_explicit(&record->polled_at, qs_clock_coarse(self->fibers->context->clock),
	        memory_order_relaxed);
	return self->result;
}

/* --- shields --- */

uint64_t qs_shield_begin(qs_task *self, uint64_t deadline)
{
	struct qs_fiber *fiber = qs_fiber_of(self);
	uint64_t outer = fiber->shield;

	fiber->shield = qs_fiber_is_shielded(fiber) ? MIN(outer, deadline) : deadline;
	return outer;
}

void qs_shield_end(qs_task *self, uint64_t outer)
{
	qs_fiber_of(self)->shield = outer;
}

/* --- sleep and yield --- */

/* Not a part of qs_sleep's frame, which is the one that hundred thousands keep. */
static __attribute__((noinline)) int yield(struct qs_fiber *fiber, enum qs_wait_nature nature)
{
	struct qs_wait wait = { .name = "yield", .nature = nature };
	int r = qs_fiber_check(fiber, nature);

	if (r < 0)
		return r;
	fiber->wait = &wait;
	fiber->idle_alone = false;
	qs_fiber_wake(fiber, 0);
	qs_fiber_context_switch(&fiber->context, &fiber->fibers->loop);
	return fiber->result;
}

int qs_sleep(qs_task *self, uint64_t until)
{
	struct qs_wait wait = { .name = "sleep", .nature = QS_WAIT_IDLE };
	struct qs_fiber *fiber = qs_fiber_of(self);
	bool to_the_end = effective(fiber, wait.nature, until) == until;

	/* Who is late lets others run all the same. */
	if (to_the_end && until <= now_of(fiber))
		return yield(fiber, wait.nature);
	int r = qs_fiber_wait(fiber, &wait, until);
	if (r == -ETIMEDOUT && to_the_end && until <= now_of(fiber))
		return 0;
	return r;
}

int qs_yield(qs_task *self)
{
	return yield(qs_fiber_of(self), QS_WAIT_IN_FLIGHT);
}
