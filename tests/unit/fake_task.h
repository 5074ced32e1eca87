/* A task of no kind at all: does what the test says on each rung. For tests on a virtual clock. */
#ifndef QUIESCE_FAKE_TASK_H
#define QUIESCE_FAKE_TASK_H

#include <stdio.h>
#include <string.h>

#include "lib/group.h"
#include "lib/task.h"

struct fake_task {
	struct qs_task task;
	struct qs_task_terms terms;
	enum qs_rung ends_at; /* it ends in the turn after that rung; QS_RUNG_COUNT: never */
	struct qs_timer end;
	unsigned asks, cancels, kills, endings;
	enum qs_verdict verdict;
	uint64_t ended_at;
	char *order; /* its name's first letter is added at each push */
};

static inline void fake_push(struct qs_task *task, enum qs_rung rung)
{
	struct fake_task *fake = container_of(task, struct fake_task, task);
	size_t length = fake->order ? strlen(fake->order) : 0;

	if (fake->order) {
		fake->order[length] = task->record->name[0];
		fake->order[length + 1] = '\0';
	}
	if (rung == fake->ends_at)
		qs_timer_arm(&fake->end, qs_loop_now(task->group->context->loop));
}

static inline void fake_ask(struct qs_task *task)
{
	container_of(task, struct fake_task, task)->asks++;
	fake_push(task, QS_RUNG_ASK);
}

static inline void fake_cancel(struct qs_task *task)
{
	container_of(task, struct fake_task, task)->cancels++;
	fake_push(task, QS_RUNG_CANCEL);
}

static inline void fake_kill(struct qs_task *task)
{
	container_of(task, struct fake_task, task)->kills++;
	fake_push(task, QS_RUNG_KILL);
}

static inline void fake_describe(const struct qs_task *task, char *buffer, size_t size)
{
	snprintf(buffer, size, "fake %s", task->record->name);
}

static const struct qs_task_kind fake_kind = {
	.id = QS_KIND_STEP,
	.ask = fake_ask,
	.cancel = fake_cancel,
	.kill = fake_kill,
	.describe = fake_describe,
};

static inline void fake_due(struct qs_timer *timer)
{
	struct fake_task *fake = container_of(timer, struct fake_task, end);

	fake->ended_at = qs_loop_now(timer->loop);
	qs_timer_done(&fake->end);
	qs_task_end(&fake->task, (struct qs_outcome){ .type = QS_OUTCOME_RETURN }, true, true);
}

static inline void fake_ended(struct qs_task *task, enum qs_verdict verdict, void *arg)
{
	struct fake_task *fake = arg;

	(void)task;
	fake->verdict = verdict;
	fake->endings++;
}

static inline int fake_start(struct fake_task *fake, struct qs_group *group, const char *name,
        enum qs_rung ends_at, struct qs_ladder ladder)
{
	const struct qs_task_setup options = { .name = name, .terms = &fake->terms, .arg = fake };

	*fake = (struct fake_task){ .terms = { .ladder = ladder, .ended = fake_ended },
		.ends_at = ends_at };
	int r = qs_timer_init(group->context->loop, &fake->end, fake_due);
	if (r < 0)
		return r;
	r = qs_task_init(&fake->task, &fake_kind, group, &options);
	if (r < 0)
		qs_timer_done(&fake->end);
	return r;
}

/* Ends it by itself after `span`. */
static inline void fake_end_after(struct fake_task *fake, uint64_t span)
{
	struct qs_loop *loop = fake->task.group->context->loop;

	qs_timer_arm(&fake->end, qs_time_add(qs_loop_now(loop), span));
}

/* A loop on a virtual clock with a ledger and a root group. */
struct fake_world {
	struct qs_clock clock;
	struct qs_loop *loop;
	struct qs_ledger *ledger;
	struct qs_context context;
	struct qs_group root;
};

static inline int fake_world_init(struct fake_world *world)
{
	qs_clock_init_virtual(&world->clock, QS_SEC);
	int r = qs_loop_new(&world->clock, &world->loop);
	if (r == 0)
		r = qs_ledger_new(&world->ledger);
	qs_context_init(&world->context, world->loop, world->ledger);
	qs_group_init(&world->root, &world->context, NULL);
	return r;
}

static inline void fake_world_done(struct fake_world *world)
{
	qs_group_done(&world->root);
	qs_context_done(&world->context);
	qs_ledger_free(world->ledger);
	qs_loop_free(world->loop);
}

/* Turns until nothing is due any more. */
static inline void fake_world_run(struct fake_world *world)
{
	while (qs_loop_turn(world->loop, true) > 0)
		;
}

#endif
