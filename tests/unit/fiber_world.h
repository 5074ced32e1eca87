/* A loop, on a virtual clock unless said otherwise, with a root group and fibers. */
#ifndef QUIESCE_FIBER_WORLD_H
#define QUIESCE_FIBER_WORLD_H

#include <check.h>
#include <string.h>

#include "lib/fiber_internal.h"
#include "lib/group.h"
#include "lib/process.h"

struct fiber_world {
	struct qs_clock clock;
	struct qs_loop *loop;
	struct qs_ledger *ledger;
	struct qs_context context;
	struct qs_group root;
	struct qs_fibers *fibers;
	struct qs_owner *owner;
	unsigned reports;         /* of failures that nobody read */
	struct qs_failure report; /* the latest */
};

/* One in a test, however many of its files see it. */
__attribute__((weak)) struct fiber_world world;

static inline void world_unread(const struct qs_failure *failure, void *arg)
{
	(void)arg;
	world.reports++;
	world.report = *failure;
}

static inline void world_open(bool is_virtual, uint64_t seed)
{
	const struct qs_fibers_options options = { .seed = seed };

	world = (struct fiber_world){ 0 };
	if (is_virtual)
		qs_clock_init_virtual(&world.clock, QS_SEC);
	else
		qs_clock_init(&world.clock);
	ck_assert_int_eq(qs_loop_new(&world.clock, &world.loop), 0);
	ck_assert_int_eq(qs_ledger_new(&world.ledger), 0);
	qs_context_init(&world.context, world.loop, world.ledger);
	world.context.unread = world_unread;
	qs_group_init(&world.root, &world.context, NULL);
	ck_assert_int_eq(qs_fibers_new(&world.context, &options, &world.fibers), 0);
}

/* The mirror of it, and nothing may be left. */
static inline void world_close(void)
{
	ck_assert_uint_eq(world.root.live, 0);
	qs_group_done(&world.root);
	ck_assert_uint_eq(world.fibers->count, 0);
	qs_fibers_free(world.fibers);
	qs_reaper_free(world.context.reaper);
	qs_context_done(&world.context);
	ck_assert_uint_eq(qs_ledger_live(world.ledger), 0);
	qs_ledger_free(world.ledger);
	qs_loop_free(world.loop);
}

static inline uint64_t world_now(void)
{
	return qs_loop_now(world.loop);
}

/* Turns until nothing can happen without time passing. */
static inline void world_settle(void)
{
	while (qs_loop_turn(world.loop, false) > 0)
		;
}

/* Turns until nothing is left in the root; time passes as it must. */
static inline void world_run(void)
{
	for (int i = 0; i < 100000 && world.root.live > 0; i++)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_eq(world.root.live, 0);
}

static inline qs_task *world_spawn(qs_group *group, qs_task_fn fn, void *arg)
{
	const struct qs_task_options options = { .name = "fiber" };
	qs_task *task;

	ck_assert_int_eq(qs_spawn_fiber(group, &options, fn, arg, &task), 0);
	return task;
}

/* Without a handle. */
static inline void world_send_off(qs_group *group, qs_task_fn fn, void *arg)
{
	const struct qs_task_options options = { .name = "sent off" };

	ck_assert_int_eq(qs_spawn_fiber(group, &options, fn, arg, NULL), 0);
}

static inline struct qs_result world_result(qs_task *task)
{
	struct qs_result result = { 0 };

	ck_assert_int_eq(qs_task_result(task, &result), 0);
	return result;
}

/* --- notes of what happens, one after the other --- */

static char order[256];

static inline void note(const char *what)
{
	ck_assert_uint_lt(strlen(order) + strlen(what), sizeof(order));
	strcat(order, what);
}

static inline void note_arg(void *arg)
{
	note(arg);
}

static char letters[26][2];

static inline void *letter(char which)
{
	letters[which - 'a'][0] = which;
	return letters[which - 'a'];
}

#endif
