/*
 * The world around the random tasks: what they share, the first fiber that owns all of it, and the
 * eye from outside that counts beginnings, rungs and verdicts.
 */
#include "tests/sim/tasks_sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/event.h>
#include <quiesce/fiber.h>
#include <quiesce/mailbox.h>
#include <quiesce/semaphore.h>

#include "lib/macro.h"

#define LIFETIME (400 * QS_MSEC)

void world_break(struct world *world, const char *what)
{
	if (!world->broken[0])
		snprintf(world->broken, sizeof(world->broken), "%s", what);
}

struct actor *world_cast(struct world *world, unsigned depth)
{
	if (world->actor_count == MOST_ACTORS || depth > 5)
		return NULL;
	struct actor *actor = &world->actors[world->actor_count++];
	actor->world = world;
	actor->random.state = qs_random_next(&world->random);
	actor->manner = (enum manner)qs_random_below(&world->random, MANNERS);
	actor->depth = depth;
	return actor;
}

/* --- supervisors --- */

static void child_started(const struct qs_child *child _unused_, qs_task *task _unused_, void *arg)
{
	((struct world *)arg)->children_started++;
}

static void child_ended(
        const struct qs_child *child _unused_, const struct qs_result *result, void *arg)
{
	struct world *world = arg;

	world->children_ended++;
	if (result->verdict == QS_VERDICT_NONE)
		world_break(world, "a supervisor was told of no verdict");
}

static uint64_t some_span(struct world *world)
{
	return (1 + qs_random_below(&world->random, 5)) * 10 * QS_MSEC;
}

struct qs_supervision *world_plan(struct world *world, struct actor *actor)
{
	if (world->supervision_count == SUPERVISIONS)
		return NULL;
	struct supervision *s = &world->supervisions[world->supervision_count++];
	unsigned count = 1 + (unsigned)qs_random_below(&world->random, MOST_CHILDREN);

	for (unsigned i = 0; i < count; i++) {
		bool steps = qs_random_below(&world->random, 3) == 0;

		s->children[i] = (struct qs_child){
			.name = "child",
			.fiber = steps ? NULL : actor_as_child,
			.step = steps ? actor_as_child_step : NULL,
			.arg = actor,
			.restart = (enum qs_restart)qs_random_below(&world->random, 3),
			.stop_deadline = some_span(world),
			.cancel_grace = some_span(world),
		};
	}
	s->plan = (struct qs_supervision){
		.children = s->children,
		.count = count,
		.strategy = (enum qs_strategy)qs_random_below(&world->random, 3),
		.intensity = { .count = 8, .within = QS_SEC, .base = some_span(world) },
		.hooks = { .started = child_started, .ended = child_ended, .arg = world },
	};
	return &s->plan;
}

/* --- the first fiber --- */

static void drop(void *message, void *world _unused_)
{
	((struct message *)message)->ends++;
}

/* Everybody has ended: the groups of a fiber end before its clean-ups run. */
static void tear_down(void *arg)
{
	struct world *world = arg;

	world->torn_down++;
	if (world->semaphore && qs_semaphore_available(world->semaphore) != PERMITS)
		world_break(world, "a permit was lost or doubled");
	if (world->mailbox && !world->mailbox_closed)
		qs_mailbox_close(world->mailbox);
	if (world->mailbox)
		qs_mailbox_remove_sender(world->mailbox);
	qs_semaphore_free(world->semaphore);
	qs_event_free(world->event);
}

static int make_things(struct world *world, qs_group *group)
{
	const struct qs_mailbox_options options = {
		.capacity = (unsigned)qs_random_below(&world->random, 4), .drop = drop, .arg = world
	};
	int r = qs_mailbox_new(group, &options, &world->mailbox);

	if (r == 0)
		r = qs_semaphore_new(PERMITS, &world->semaphore);
	return r < 0 ? r : qs_event_new(&world->event);
}

static int first_fiber(qs_task *self, void *arg)
{
	struct world *world = arg;
	struct actor nobody = { .world = world };
	unsigned count = 1 + (unsigned)qs_random_below(&world->random, 6);
	qs_group *group;

	int r = qs_defer(self, tear_down, world);
	if (r < 0)
		return r;
	r = make_things(world, qs_task_group(self));
	if (r == 0)
		r = qs_group_new(qs_task_group(self), NULL, &group);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < count; i++)
		spawn_actor(&nobody, group, NULL);
	(void)!qs_sleep(self, qs_in(self, LIFETIME));
	/* Some wait for what never comes: so the end is always a shutdown. */
	return qs_stopping(self) ? 0 : qs_shutdown(world->runtime, "time is over");
}

int world_set_up(qs_runtime *runtime, void *arg)
{
	struct world *world = arg;

	world->runtime = runtime;
	return qs_spawn_fiber(qs_root(runtime), &(struct qs_task_options){ .name = "first" },
	        first_fiber, world, NULL);
}

/* --- the eye --- */

static enum qs_rung rung_named(const char *what)
{
	enum qs_rung rung = QS_RUNG_KILL;

	while (rung > QS_RUNG_NONE && strcmp(what, qs_rung_name(rung)) != 0)
		rung--;
	return rung;
}

static bool is_verdict(const char *what)
{
	for (int i = QS_VERDICT_NONE + 1; i < QS_VERDICT_COUNT; i++)
		if (strcmp(what, qs_verdict_name((enum qs_verdict)i)) == 0)
			return true;
	return false;
}

static void watch_task(struct world *world, const struct qs_sim_event *event)
{
	struct seen_task *task = &world->tasks[event->task % MOST_TASKS];
	enum qs_rung rung = rung_named(event->what);

	if (strcmp(event->what, "begin") == 0) {
		task->begins++;
		world->begun++;
	} else if (task->begins != 1 || task->verdicts != 0) {
		world_break(world, "something happened to a task that does not live");
	} else if (is_verdict(event->what)) {
		task->verdicts++;
		world->ended++;
	} else if (strcmp(event->what, "run") == 0 && world->phase == QS_PHASE_CANCELLING &&
	           task->rung < QS_RUNG_CANCEL) {
		world_break(world, "one was not cancelled with the others");
	} else if (world->requested_at > 0 && task->rung < QS_RUNG_CANCEL &&
	           event->at > world->requested_at + world->options.plan.deadline) {
		world_break(world, "the deadline passed without a cancel");
	} else if (rung != QS_RUNG_NONE) {
		if (rung != task->rung + 1)
			world_break(world, "a rung was passed over or taken back");
		task->rung = rung;
	}
}

static void watch(const struct qs_sim_event *event, void *arg)
{
	struct world *world = arg;

	if (world->print)
		printf("%10.3f ms  step %-4" PRIu64 " %4" PRIu64 " %-10s %s\n",
		        (double)event->at / (double)QS_MSEC, event->step, event->task, event->name,
		        event->what);
	if (event->task != 0)
		watch_task(world, event);
}

static void phase_changed(enum qs_phase phase, void *arg)
{
	struct world *world = arg;

	if (phase <= world->phase)
		world_break(world, "a phase went back");
	if (world->requested_at == 0)
		world->requested_at = qs_now(world->runtime);
	world->phase = phase;
}

/* --- a run --- */

static void check_messages(struct world *world)
{
	for (unsigned i = 0; i < world->message_count; i++) {
		const struct message *message = &world->messages[i];

		if (message->ends > 1)
			world_break(world, "a message came twice");
		if (message->sent && message->ends == 0)
			world_break(world, "a message was lost");
		if (!message->sent && !message->unknown && message->ends > 0)
			world_break(world, "a message came that was not sent");
	}
}

static void check_clean_ups(struct world *world)
{
	for (unsigned i = 0; i < world->actor_count; i++) {
		const struct actor *actor = &world->actors[i];

		for (unsigned j = 0; j < actor->deferred_total; j++)
			if (actor->deferred[j].ran != 1)
				world_break(world, "a clean-up did not run exactly once");
	}
	if (world->children_started != world->children_ended)
		world_break(world, "a supervisor was not told of each end once");
	if (world->begun > 0 && world->torn_down != 1)
		world_break(world, "the first fiber did not clean up");
}

static void check_end(struct world *world, const struct qs_sim_result *result)
{
	const struct qs_shutdown_plan *plan = &world->options.plan;
	uint64_t latest = world->requested_at + plan->deadline + plan->cancel_grace;
	uint64_t sum = 0, forced;

	for (int i = QS_VERDICT_NONE + 1; i < QS_VERDICT_COUNT; i++)
		sum += result->verdicts[i];
	if (sum != world->ended || world->begun != world->ended)
		world_break(world, "the verdicts do not add up");
	if (result->tasks_left != 0 || result->verdicts[QS_VERDICT_ABANDONED] != 0)
		world_break(world, "tasks were left");
	if (result->status != 0 && result->status != 150)
		world_break(world, "the run did not come to its end");
	forced = result->verdicts[QS_VERDICT_CANCELLED] + result->verdicts[QS_VERDICT_KILLED];
	if (result->status == 150 && forced == 0)
		world_break(world, "the status tells of force, the verdicts do not");
	if (world->requested_at > 0 && QS_SEC + result->duration > latest)
		world_break(world, "the end came too late");
}

/* Spans between a tick and a second; sometimes none is left for the cancel. */
static void draw_plan(struct world *world)
{
	struct qs_shutdown_plan *plan = &world->options.plan;

	plan->drain = qs_random_below(&world->random, 3) * 10 * QS_MSEC;
	plan->deadline = plan->drain + 1 + qs_random_below(&world->random, 10) * 10 * QS_MSEC;
	plan->cancel_grace = 1 + qs_random_below(&world->random, 5) * 10 * QS_MSEC;
	plan->kill_grace = 1 + qs_random_below(&world->random, 5) * 10 * QS_MSEC;
}

void world_run(struct world *world, uint64_t seed, uint64_t stop_at, bool print,
        struct qs_sim_result *ret_result)
{
	*world = (struct world){ .random = { seed }, .print = print };
	draw_plan(world);
	world->options.hooks = (struct qs_runtime_hooks){ .phase = phase_changed, .arg = world };
	struct qs_sim_options options = {
		.seed = seed,
		.stop_at = 1 + qs_random_below(&world->random, 150),
		.runtime = &world->options,
		.trace = watch,
		.arg = world,
	};
	if (stop_at > 0)
		options.stop_at = stop_at;
	if (qs_random_below(&world->random, 4) == 0)
		options.fail_rate = 1000U << qs_random_below(&world->random, 8);
	else if (qs_random_below(&world->random, 4) == 0)
		options.fail_at = qs_random_below(&world->random, 200);
	int r = qs_sim_run(&options, world_set_up, world, ret_result);

	if (r < 0 && ret_result->refused == 0)
		world_break(world, "it did not begin");
	if (r == 0)
		check_end(world, ret_result);
	check_messages(world);
	if (r == 0)
		check_clean_ups(world);
	if (ret_result->memory_left != 0)
		world_break(world, "memory was left");
}
