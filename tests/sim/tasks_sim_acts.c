/*
 * What the tasks of a simulated world do. All of it is bounded, so that a task which nobody stops
 * ends by itself; but some wait for what never comes.
 */
#include <errno.h>

#include <quiesce/event.h>
#include <quiesce/fiber.h>
#include <quiesce/mailbox.h>
#include <quiesce/semaphore.h>
#include <quiesce/thread.h>

#include "lib/macro.h"
#include "tests/sim/tasks_sim.h"

#define MOST_KIDS 4

/* A fiber while it acts: on its own stack. */
struct scene {
	qs_task *self;
	struct actor *actor;
	struct world *world;
	qs_group *group; /* its own, NULL: none */
	qs_task *kids[MOST_KIDS];
	bool own[MOST_KIDS]; /* the kid lives in that group */
};

static uint64_t draw(struct actor *actor, uint64_t bound)
{
	return qs_random_below(&actor->random, bound);
}

/* Often the same few times, so that much is due at once. */
static uint64_t soon(struct scene *scene)
{
	return qs_in(scene->self, draw(scene->actor, 8) * 10 * QS_MSEC);
}

static uint64_t some_deadline(struct scene *scene)
{
	return draw(scene->actor, 4) == 0 ? QS_FOREVER : soon(scene);
}

/* --- what must hold of any wait --- */

struct bounds {
	uint64_t began, deadline, around;
	bool asked;
};

static struct bounds before_wait(const struct scene *scene, uint64_t deadline)
{
	const struct seen_task *seen = &scene->world->tasks[qs_task_id(scene->self) % MOST_TASKS];

	return (struct bounds){
		.began = qs_in(scene->self, 0),
		.deadline = deadline,
		.around = qs_group_deadline(qs_task_group(scene->self)),
		.asked = seen->rung != QS_RUNG_NONE,
	};
}

static void after_wait(struct scene *scene, const struct bounds *bounds, int r, bool idle)
{
	uint64_t now = qs_in(scene->self, 0), deadline = bounds->deadline;

	/* Unless somebody has moved it meanwhile. */
	if (qs_group_deadline(qs_task_group(scene->self)) == bounds->around)
		deadline = MIN(deadline, bounds->around);
	if (now > MAX(deadline, bounds->began))
		world_break(scene->world, "a wait went on after its deadline");
	if (r == -ETIMEDOUT && deadline < MIN(bounds->deadline, scene->actor->deadline))
		scene->world->timed_out_by_group++;
	if (!idle && r == -ESHUTDOWN)
		world_break(scene->world, "an ask ended work in flight");
	if (idle && bounds->asked && now > bounds->began)
		world_break(scene->world, "who was asked waited for something to do");
}

/* --- clean-ups --- */

static void clean_up(void *arg)
{
	struct deferred *deferred = arg;
	struct actor *actor = deferred->actor;

	deferred->ran++;
	if (actor->deferred_count == 0 || deferred != &actor->deferred[--actor->deferred_count])
		world_break(actor->world, "a clean-up ran out of turn");
}

static int act_defer(struct scene *scene)
{
	struct actor *actor = scene->actor;
	struct deferred *deferred = &actor->deferred[actor->deferred_total];

	if (actor->deferred_total == MOST_DEFERRED || actor->deferred_count < actor->deferred_total)
		return 0;
	deferred->actor = actor;
	int r = qs_defer(scene->self, clean_up, deferred);
	if (r == 0)
		actor->deferred_count = ++actor->deferred_total;
	return r;
}

/* --- waits --- */

static int act_sleep(struct scene *scene)
{
	uint64_t until = soon(scene);
	struct bounds bounds = before_wait(scene, until);
	int r = qs_sleep(scene->self, until);

	after_wait(scene, &bounds, r, true);
	if (r == 0 && qs_in(scene->self, 0) < until)
		world_break(scene->world, "a sleep was too short");
	return r;
}

static int act_yield(struct scene *scene)
{
	int r = qs_yield(scene->self);

	if (r == -ESHUTDOWN || r == -ETIMEDOUT)
		world_break(scene->world, "an ask ended a yield");
	return r;
}

static int act_send(struct scene *scene)
{
	struct world *world = scene->world;

	if (world->message_count == MOST_MESSAGES)
		return 0;
	struct message *message = &world->messages[world->message_count++];
	uint64_t deadline = some_deadline(scene);
	struct bounds bounds = before_wait(scene, deadline);
	message->unknown = true;
	int r = qs_mailbox_send(scene->self, world->mailbox, message, deadline);
	after_wait(scene, &bounds, r, false);
	message->unknown = false;
	message->sent = r == 0;
	return r;
}

static int act_post(struct scene *scene)
{
	struct world *world = scene->world;

	if (world->message_count == MOST_MESSAGES)
		return 0;
	struct message *message = &world->messages[world->message_count++];
	message->sent = qs_mailbox_post(world->mailbox, message) == 0;
	return 0;
}

/* The memory of one that is closed stays: the first fiber is a sender. */
static int act_receive(struct scene *scene)
{
	uint64_t deadline = some_deadline(scene);
	struct bounds bounds = before_wait(scene, deadline);
	void *message = NULL;

	int r = qs_mailbox_receive(scene->self, scene->world->mailbox, deadline, &message);
	after_wait(scene, &bounds, r, true);
	if (r == 0)
		((struct message *)message)->ends++;
	return r;
}

static int act_close(struct scene *scene)
{
	if (draw(scene->actor, 8) == 0 && !TAKE(scene->world->mailbox_closed, true))
		qs_mailbox_close(scene->world->mailbox);
	return 0;
}

static void give_back(void *arg)
{
	struct actor *actor = arg;

	if (TAKE(actor->holds, false))
		qs_semaphore_release(actor->world->semaphore);
}

/* The permit is held for a while or to the end, whatever the end is. */
static int act_acquire(struct scene *scene)
{
	struct actor *actor = scene->actor;
	uint64_t deadline = some_deadline(scene);
	struct bounds bounds = before_wait(scene, deadline);

	if (actor->holds || qs_defer(scene->self, give_back, actor) < 0)
		return 0;
	int r = qs_semaphore_acquire(scene->self, scene->world->semaphore, deadline);
	after_wait(scene, &bounds, r, true);
	actor->holds = r == 0;
	if (r == 0 && draw(actor, 2) == 0)
		r = qs_sleep(scene->self, soon(scene));
	if (draw(actor, 2) == 0)
		give_back(actor);
	return r;
}

static int act_event(struct scene *scene)
{
	if (draw(scene->actor, 4) == 0)
		qs_event_set(scene->world->event);
	uint64_t deadline = some_deadline(scene);
	struct bounds bounds = before_wait(scene, deadline);
	int r = qs_event_wait(scene->self, scene->world->event, deadline);
	after_wait(scene, &bounds, r, true);
	return r;
}

static int act_wait_stop(struct scene *scene)
{
	return qs_wait_stop(scene->self, qs_runtime_stop(scene->world->runtime), soon(scene));
}

static int blocking(qs_task *self, void *arg _unused_)
{
	return qs_stopping(self) ? -ESHUTDOWN : 0;
}

static int act_call(struct scene *scene)
{
	return qs_call_blocking(scene->self, NULL, blocking, NULL, soon(scene));
}

static int act_shield(struct scene *scene)
{
	uint64_t until = soon(scene), outer = qs_shield_begin(scene->self, until);
	int r = qs_sleep(scene->self, soon(scene));

	if (r == -ESHUTDOWN && qs_in(scene->self, 0) < until)
		world_break(scene->world, "an ask came through a shield");
	if (r == -ECANCELED && qs_in(scene->self, 0) < until)
		world_break(scene->world, "a cancel came through a shield");
	qs_shield_end(scene->self, outer);
	return r;
}

/* --- others --- */

static int act_group(struct scene *scene)
{
	const struct qs_group_options options = {
		.deadline = draw(scene->actor, 3) == 0 ? soon(scene) : 0,
		.on_failure = (enum qs_on_failure)draw(scene->actor, 2),
	};

	if (scene->group)
		return 0;
	return qs_group_new(qs_task_group(scene->self), &options, &scene->group);
}

static int act_spawn(struct scene *scene)
{
	unsigned place = (unsigned)draw(scene->actor, MOST_KIDS);
	bool own = scene->group && draw(scene->actor, 3) > 0;
	bool keep = !scene->kids[place] && draw(scene->actor, 2) == 0;

	scene->own[place] = keep ? own : scene->own[place];
	spawn_actor(scene->actor, own ? scene->group : qs_task_group(scene->self),
	        keep ? &scene->kids[place] : NULL);
	return 0;
}

/* A second request moves the shutdown on to the cancel. */
static int act_hurry(struct scene *scene)
{
	struct world *world = scene->world;

	if (world->phase != QS_PHASE_STOPPING || TAKE(world->hurried, true))
		return 0;
	return qs_shutdown(world->runtime, "again");
}

static qs_task **some_kid(struct scene *scene)
{
	return &scene->kids[draw(scene->actor, MOST_KIDS)];
}

static int act_push(struct scene *scene)
{
	qs_task *kid = *some_kid(scene);

	if (!kid)
		return 0;
	switch (draw(scene->actor, 3)) {
	case 0:
		qs_task_ask(kid, QS_CAUSE_API, some_deadline(scene));
		break;
	case 1:
		qs_task_cancel(kid, QS_CAUSE_API);
		break;
	case 2:
		qs_task_kill(kid, QS_CAUSE_API);
		break;
	}
	return 0;
}

/* Whoever is handed something is ended by force before he can hear of it. */
static int act_rush(struct scene *scene)
{
	struct world *world = scene->world;
	uint64_t now = qs_in(scene->self, 0);

	if (world->message_count == MOST_MESSAGES)
		return 0;
	struct message *message = &world->messages[world->message_count++];
	message->sent = qs_mailbox_send(scene->self, world->mailbox, message, now) == 0;
	give_back(scene->actor);
	if (scene->group && draw(scene->actor, 2) == 0)
		qs_group_kill(scene->group, QS_CAUSE_API);
	else if (draw(scene->actor, 4) == 0)
		qs_group_kill(qs_task_group(scene->self), QS_CAUSE_API);
	return 0;
}

static int act_join(struct scene *scene)
{
	qs_task **kid = some_kid(scene);
	struct qs_result result = { 0 };
	uint64_t deadline = some_deadline(scene);
	struct bounds bounds = before_wait(scene, deadline);
	int r = *kid ? qs_task_join(scene->self, *kid, deadline, &result) : -ENOENT;

	after_wait(scene, &bounds, r, false);
	if (r == 0) {
		*kid = NULL;
		if (result.verdict == QS_VERDICT_NONE)
			world_break(scene->world, "a join told of no verdict");
	}
	return r;
}

static int act_join_first(struct scene *scene)
{
	struct qs_result result;
	uint64_t deadline = some_deadline(scene);
	struct bounds bounds = before_wait(scene, deadline);
	int r = qs_join_first(scene->self, scene->kids, MOST_KIDS, deadline, &result);

	after_wait(scene, &bounds, r, false);
	if (r >= 0 && scene->kids[r])
		world_break(scene->world, "the first to end is still there");
	return r;
}

static int act_read(struct scene *scene)
{
	qs_task **kid = some_kid(scene);
	struct qs_result result;

	if (*kid && draw(scene->actor, 2) == 0)
		qs_task_forget(TAKE(*kid, NULL));
	else if (*kid && qs_task_result(*kid, &result) == 0)
		*kid = NULL;
	return 0;
}

/* With it go the handles of who lived there. */
static void let_group_go(struct scene *scene)
{
	for (unsigned i = 0; i < MOST_KIDS; i++)
		if (scene->own[i])
			scene->kids[i] = NULL;
	qs_group_free(TAKE(scene->group, NULL));
}

static int act_on_group(struct scene *scene)
{
	struct qs_failure failure;

	if (!scene->group)
		return 0;
	switch (draw(scene->actor, 6)) {
	case 0:
		qs_group_stop(scene->group);
		break;
	case 1:
		qs_group_cancel(scene->group, QS_CAUSE_API);
		break;
	case 2:
		qs_group_kill(scene->group, QS_CAUSE_API);
		break;
	case 3:
		let_group_go(scene);
		break;
	case 4:
		return qs_group_set_deadline(scene->group, some_deadline(scene));
	case 5:
		return qs_group_join(scene->self, scene->group, some_deadline(scene), &failure);
	}
	return 0;
}

/* --- how they go about it --- */

static int (*const acts[])(struct scene *scene) = {
	act_defer,
	act_sleep,
	act_sleep,
	act_yield,
	act_send,
	act_post,
	act_receive,
	act_receive,
	act_close,
	act_acquire,
	act_event,
	act_wait_stop,
	act_call,
	act_shield,
	act_group,
	act_group,
	act_spawn,
	act_spawn,
	act_spawn,
	act_push,
	act_hurry,
	act_rush,
	act_join,
	act_join,
	act_join_first,
	act_read,
	act_on_group,
	act_on_group,
};

/* Whatever comes, it goes on for long: nothing but force ends this. */
static void ignore_all(struct scene *scene)
{
	(void)!qs_shield_begin(scene->self, QS_FOREVER);
	(void)!qs_sleep(scene->self, qs_in(scene->self, QS_HOUR));
}

int actor_as_fiber(qs_task *self, void *arg)
{
	struct actor *actor = arg;
	struct scene scene = { .self = self, .actor = actor, .world = actor->world };
	unsigned count = 1 + (unsigned)draw(actor, 16);

	for (unsigned i = 0; i < count; i++) {
		int r = acts[draw(actor, ARRAY_SIZE(acts))](&scene);

		if ((r == -ESHUTDOWN || qs_stopping(self)) && actor->manner == COMPLIES)
			return draw(actor, 2) ? -ESHUTDOWN : 0;
		if (r == -ECANCELED && actor->manner != DAWDLES)
			return r;
	}
	if (actor->manner == IGNORES)
		ignore_all(&scene);
	return actor->manner == FAILS ? -EIO : 0;
}
