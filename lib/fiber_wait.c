/*
 * The one wait on which all others are built, and the simplest of those. A wait ends once: by what
 * it waits for, by its timer or by the ladder; whoever comes first decides the result, and takes
 * the wait out of the others.
 */
#include <errno.h>

#include "lib/fiber.h"

static uint64_t now_of(const struct qs_fiber *fiber)
{
	return qs_loop_now(fiber->fibers->context->loop);
}

bool qs_fiber_is_shielded(const struct qs_fiber *fiber)
{
	return fiber->shield != 0 && fiber->shield > now_of(fiber);
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

	if (is_last && !wait->hurry)
		wait->abort(wait);
	if (!is_last || !wait->hurry)
		r = qs_fiber_check(self, wait->nature);
	deadline = effective(self, wait->nature, deadline);
	if (r == 0 && deadline != QS_FOREVER && deadline <= now_of(self))
		r = -ETIMEDOUT;
	if (r < 0 && !wait->hurry) {
		wait->abort(wait);
		return r;
	}
	if (r < 0)
		wait->hurry(wait, r);
	else if (deadline != QS_FOREVER)
		qs_timer_arm(&self->timer, deadline);
	atomic_store_explicit(&record->waiting_on, wait->name, memory_order_relaxed);
	self->wait = wait;
	qs_fiber_context_switch(&self->context, &self->fibers->loop);
	atomic_store_explicit(&record->waiting_on, NULL, memory_order_relaxed);
	atomic_store_explicit(&record->polled_at, qs_clock_coarse(self->fibers->context->clock),
	        memory_order_relaxed);
	return self->result;
}

void qs_fiber_wake(struct qs_fiber *fiber, int result)
{
	if (!fiber->wait || fiber->woken)
		return;
	fiber->result = result;
	qs_timer_disarm(&fiber->timer);
	qs_fiber_make_ready(fiber);
}

void qs_fiber_interrupt(struct qs_fiber *fiber, int result)
{
	struct qs_wait *wait = fiber->wait;

	if (!wait || fiber->woken)
		return;
	if (wait->hurry) {
		wait->hurry(wait, result);
		return;
	}
	wait->abort(wait);
	qs_fiber_wake(fiber, result);
	/* There is nothing to be undone. */
	fiber->wait = NULL;
}

static void timed_out(struct qs_timer *timer)
{
	qs_fiber_interrupt(container_of(timer, struct qs_fiber, timer), -ETIMEDOUT);
}

int qs_fiber_init_timer(struct qs_fiber *fiber)
{
	return qs_timer_init(fiber->fibers->context->loop, &fiber->timer, timed_out);
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

static void abort_nothing(struct qs_wait *wait _unused_)
{
}

static int yield(struct qs_fiber *fiber, enum qs_wait_nature nature)
{
	struct qs_wait wait = { .name = "yield", .nature = nature, .abort = abort_nothing };
	int r = qs_fiber_check(fiber, nature);

	if (r < 0)
		return r;
	fiber->wait = &wait;
	qs_fiber_wake(fiber, 0);
	qs_fiber_context_switch(&fiber->context, &fiber->fibers->loop);
	return fiber->result;
}

int qs_sleep(qs_task *self, uint64_t until)
{
	struct qs_wait wait = { .name = "sleep", .nature = QS_WAIT_IDLE, .abort = abort_nothing };
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
