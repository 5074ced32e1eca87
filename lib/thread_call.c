/*
 * A blocking call as a wait of a fiber. The call is a task in the fiber's group, run by the pool.
 *
 * Its argument usually lies on the fiber's stack. So a call that is not abandonable cannot be
 * walked away from: timeout, cancel and even a kill only hurry it, and if it never ends, the
 * fiber's stack stays where it is with it. A call that is abandonable is left behind with its
 * argument.
 */
#include <errno.h>

#include "lib/fiber.h"
#include "lib/macro.h"
#include "lib/thread.h"

struct call {
	struct qs_wait wait;
	struct qs_job_caller caller;
	struct qs_fiber *fiber;
	struct qs_thread *thread; /* NULL once it is over */
	void (*discard)(void *arg);
	void *arg;
	int result; /* of the function */
	int why;    /* why it was hurried, 0: it was not */
};

static void call_done(struct qs_job_caller *caller, int result)
{
	struct call *call = container_of(caller, struct call, caller);

	call->thread = NULL;
	call->result = result;
	qs_fiber_wake(call->fiber, 0);
}

static void desert(struct qs_wait *wait)
{
	struct call *call = container_of(wait, struct call, wait);

	qs_threads_desert(TAKE(call->thread, NULL));
}

static void hurry(struct qs_wait *wait, int why)
{
	struct call *call = container_of(wait, struct call, wait);

	if (call->why == 0)
		call->why = why;
	if (call->thread)
		qs_task_cancel(&call->thread->task, QS_CAUSE_API);
}

/* It had come back, and its caller never heard of it. */
static void undo(struct qs_wait *wait)
{
	struct call *call = container_of(wait, struct call, wait);

	if (call->discard)
		call->discard(call->arg);
}

/* Whoever returned that: to the caller it means that the argument is not his any more. */
static int let_go(const struct qs_call_options *options, void *arg, int r)
{
	if (options->abandonable && options->discard && (r == -ETIMEDOUT || r == -ECANCELED))
		options->discard(arg);
	return r;
}

static int wait_for(struct call *call, const struct qs_call_options *options, uint64_t deadline)
{
	int r = qs_fiber_wait(call->fiber, &call->wait, deadline);

	/* Left behind with its argument. */
	if (r < 0)
		return r;
	if (call->why < 0 && call->result < 0)
		return call->why;
	return let_go(options, call->arg, call->result);
}

int qs_call_blocking(qs_task *self, const struct qs_call_options *options, qs_task_fn fn, void *arg,
        uint64_t deadline)
{
	static const struct qs_call_options defaults;
	struct qs_fiber *fiber = qs_fiber_of(self);
	struct qs_context *context = self->group->context;

	if (!options)
		options = &defaults;
	int r = qs_fiber_check(fiber, QS_WAIT_IN_FLIGHT);
	if (r == 0 && deadline <= qs_loop_now(context->loop))
		r = -ETIMEDOUT;
	if (r < 0)
		return let_go(options, arg, r);
	if (context->clock->is_virtual)
		return let_go(options, arg, fn(self, arg));
	struct call call = {
		.wait = { .name = "blocking call", .nature = QS_WAIT_IN_FLIGHT },
		.caller.done = call_done,
		.fiber = fiber,
		.discard = options->discard,
		.arg = arg,
	};
	if (options->abandonable) {
		call.wait.abort = desert;
		call.wait.undo = undo;
	} else {
		call.wait.hurry = hurry;
	}
	r = qs_threads_call(self->group, options, fn, arg, &call.caller, &call.thread);
	return r < 0 ? r : wait_for(&call, options, deadline);
}
