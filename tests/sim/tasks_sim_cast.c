/*
 * Who takes part in a simulated world: how steps and the children of supervisors go about it, and
 * how all of them begin.
 */
#include <errno.h>

#include <quiesce/fiber.h>
#include <quiesce/step.h>

#include "lib/macro.h"
#include "tests/sim/tasks_sim.h"

static uint64_t draw(struct actor *actor, uint64_t bound)
{
	return qs_random_below(&actor->random, bound);
}

/* --- steps --- */

static void clean_up_step(void *arg)
{
	struct actor *actor = arg;

	actor->deferred[0].ran++;
	actor->deferred_count--;
}

int actor_as_step(qs_task *self, void *arg, unsigned why)
{
	struct actor *actor = arg;

	if ((why & QS_STEP_FIRST) && qs_step_cleanup(self, clean_up_step) == 0)
		actor->deferred_count = actor->deferred_total = 1;
	if ((why & QS_STEP_STOP) && actor->manner == COMPLIES)
		return draw(actor, 2) ? -ESHUTDOWN : QS_STEP_DONE;
	if (draw(actor, 4) == 0 && actor->manner != IGNORES)
		return actor->manner == FAILS ? -EIO : QS_STEP_DONE;
	if (draw(actor, 8) == 0)
		spawn_actor(actor, qs_task_group(self), NULL);
	qs_step_again(self,
	        qs_in(self, draw(actor, 8) * 10 * QS_MSEC + (actor->manner == IGNORES) * QS_SEC));
	return QS_STEP_WAIT;
}

/* --- children of supervisors: nothing of theirs outlives a start --- */

int actor_as_child(qs_task *self, void *arg)
{
	struct actor *actor = arg;
	uint64_t until = qs_in(self, draw(actor, 8) * 10 * QS_MSEC);
	int r = 0;

	if (draw(actor, 6) == 0)
		spawn_actor(actor, qs_task_group(self), NULL);
	while (r == 0 && draw(actor, 3) > 0)
		r = qs_sleep(self, until);
	if (actor->manner == DAWDLES)
		r = qs_yield(self);
	return actor->manner == FAILS ? -EIO : r;
}

int actor_as_child_step(qs_task *self, void *arg, unsigned why)
{
	struct actor *actor = arg;

	if ((why & QS_STEP_STOP) && actor->manner != IGNORES)
		return QS_STEP_DONE;
	if (draw(actor, 3) == 0)
		return actor->manner == FAILS ? -EIO : QS_STEP_DONE;
	qs_step_again(self, qs_in(self, draw(actor, 8) * 10 * QS_MSEC));
	return QS_STEP_WAIT;
}

/* --- beginnings --- */

void spawn_actor(struct actor *parent, qs_group *group, qs_task **ret_task)
{
	static const char *const names[] = { "complies", "dawdles", "ignores", "fails" };
	struct actor *actor = world_cast(parent->world, parent->depth + 1);

	if (!actor)
		return;
	const struct qs_task_options options = {
		.name = names[actor->manner],
		.deadline = draw(actor, 6) == 0
		                    ? qs_now(actor->world->runtime) + draw(actor, 20) * 10 * QS_MSEC
		                    : 0,
		.stop_deadline = draw(actor, 4) == 0 ? draw(actor, 5) * 10 * QS_MSEC : 0,
		.cancel_grace = draw(actor, 4) == 0 ? draw(actor, 5) * 10 * QS_MSEC : 0,
	};

	actor->deadline = options.deadline > 0 ? options.deadline : QS_FOREVER;
	struct qs_supervision *plan = draw(actor, 8) == 0 ? world_plan(actor->world, actor) : NULL;
	if (plan)
		(void)!qs_spawn_fiber(group, &options, qs_supervise, plan, ret_task);
	else if (draw(actor, 3) == 0)
		(void)!qs_spawn_step(group, &options, actor_as_step, actor, ret_task);
	else
		(void)!qs_spawn_fiber(group, &options, actor_as_fiber, actor, ret_task);
}
