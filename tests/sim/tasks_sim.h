/*
 * A world of random tasks for simulations: trees of groups; fibers and steps that comply, dawdle,
 * ignore, fail and spawn; what they share. One world is one run, drawn from one seed.
 */
#ifndef TASKS_SIM_H
#define TASKS_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/sim.h>
#include <quiesce/supervisor.h>

#include "lib/supervise.h"

#define MOST_ACTORS   90
#define MOST_TASKS    1024
#define MOST_MESSAGES 256
#define MOST_DEFERRED 12
#define PERMITS       2
#define SUPERVISIONS  4
#define MOST_CHILDREN 4

enum manner { COMPLIES, DAWDLES, IGNORES, FAILS, MANNERS };

struct world;

struct deferred {
	struct actor *actor;
	unsigned ran;
};

/* What a fiber or a step draws from and is held to. */
struct actor {
	struct world *world;
	struct qs_random random;
	enum manner manner;
	unsigned depth;
	uint64_t deadline;       /* its own, QS_FOREVER for none */
	bool holds;              /* a permit */
	unsigned deferred_count; /* so many are due */
	unsigned deferred_total;
	struct deferred deferred[MOST_DEFERRED];
};

struct message {
	bool sent;    /* the sender knows that it was */
	bool unknown; /* the sender may not live to know */
	unsigned ends;
};

struct seen_task {
	unsigned begins, verdicts;
	enum qs_rung rung;
};

struct supervision {
	struct world *world;
	struct qs_supervision plan;
	struct qs_child children[MOST_CHILDREN];
};

struct world {
	struct qs_random random;
	qs_runtime *runtime;
	struct qs_runtime_options options;
	bool print;

	struct qs_mailbox *mailbox;
	bool mailbox_closed;
	struct qs_semaphore *semaphore;
	struct qs_event *event;

	unsigned supervision_count;
	struct supervision supervisions[SUPERVISIONS];
	uint64_t children_started, children_ended;

	unsigned actor_count, message_count;
	unsigned torn_down;
	struct actor actors[MOST_ACTORS];
	struct message messages[MOST_MESSAGES];

	/* What is seen from outside. */
	struct seen_task tasks[MOST_TASKS];
	uint64_t begun, ended;
	enum qs_phase phase;
	uint64_t requested_at; /* the shutdown, 0: never */
	bool hurried;          /* somebody has asked for it again */
	unsigned timed_out_by_group;
	char broken[128];      /* the first invariant that did not hold; empty: all did */
};

void world_break(struct world *world, const char *what) __attribute__((nonnull));

/* For qs_sim_run: puts the first fiber into the runtime. */
int world_set_up(qs_runtime *runtime, void *world);

/* The next actor, NULL when there are enough. */
struct actor *world_cast(struct world *world, unsigned depth);
int actor_as_fiber(qs_task *self, void *actor);
int actor_as_step(qs_task *self, void *actor, unsigned why);
int actor_as_child(qs_task *self, void *actor);
int actor_as_child_step(qs_task *self, void *actor, unsigned why);
void spawn_actor(struct actor *parent, qs_group *group, qs_task **ret_task);

/* A supervisor's plan, NULL when there are enough. */
struct qs_supervision *world_plan(struct world *world, struct actor *actor);

/*
 * Runs the world of that seed and checks it. What does not hold is in world->broken. `stop_at` 0:
 * drawn as well.
 */
void world_run(struct world *world, uint64_t seed, uint64_t stop_at, bool print,
        struct qs_sim_result *ret_result);

#endif
