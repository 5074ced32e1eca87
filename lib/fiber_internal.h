/*
 * What the files behind fiber.h share. A fiber's struct lies at the high end of its own stack, so
 * that an idle fiber costs one page. fiber.c runs those that are ready; fiber_spawn.c begins them
 * and has their stacks; fiber_wait.c suspends them; fiber_ladder.c ends their waits; fiber_defer.c
 * is what happens at their end.
 */
#ifndef QS_FIBER_INTERNAL_H
#define QS_FIBER_INTERNAL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/bell.h"
#include "lib/fiber.h"
#include "lib/fiber_context.h"
#include "lib/stack_pool.h"

#define QS_DEFERRED_INLINE 4
#define QS_STACK_POOLS     8 /* as many sizes of stacks */

struct qs_deferred {
	void (*fn)(void *arg);
	void *arg;
};

struct qs_deferred_more {
	struct qs_deferred_more *next;
	struct qs_deferred items[QS_DEFERRED_INLINE * 4];
};

/* What is needed to ask it and to let it run lies in its first three lines of the cache. */
struct qs_fiber {
	struct qs_task task;
	struct qs_fibers *fibers;
	struct qs_wait *wait;   /* what it waits for or was woken from; NULL while it runs */
	struct heap_node alarm; /* among the deadlines of all fibers, while it waits */
	int result;             /* of the wait, in the end of its function */
	bool woken;             /* in the ready ring */
	bool killed, over;
	bool idle_alone;    /* its wait ends on ask and is known to nobody else */
	struct list groups; /* it owns */
	uint64_t shield;    /* until when it is shielded, 0: it is not */
	uint64_t deadline;  /* its own */
	unsigned deferred_count;
	uint8_t pool;
	bool is_checked; /* its stack has no guard page, or is to be measured */
	bool has_owned;  /* there may be something in `belongings` */
	qs_task_fn fn;
	void *arg;
	struct qs_fiber_context context;

	struct list belongings;                          /* if has_owned */
	struct qs_group_join last;                       /* killed, it waits for its groups */
	struct qs_deferred deferred[QS_DEFERRED_INLINE]; /* then in `more`, the latest first */
	struct qs_deferred_more *more;
	struct qs_task_terms terms;           /* if they are its own */
	const struct qs_fiber_keeper *keeper; /* NULL: nobody */
};

static_assert(offsetof(struct qs_fiber, context.base) <= 192, "the hot part of a fiber has grown");

/* Fibers that are ready, in a ring: whoever knows the order can ask for their memory ahead. */
struct qs_ready {
	struct qs_fiber **ring; /* a power of two, at least as many as there are fibers */
	size_t room, head, count;
};

struct qs_fibers {
	struct qs_context *context;
	struct qs_fibers_options options;
	struct qs_bells bells; /* for what other threads send */
	struct qs_ready ready;
	struct qs_job job;
	struct qs_timer next_turn;
	struct heap alarms;    /* deadlines of those that wait */
	struct qs_timer alarm; /* not later than the first of them */
	struct qs_loop_pulse *pulse;
	struct qs_timer trim; /* gives the memory of stacks back, some while after a peak */
	struct qs_fiber *running;
	struct qs_fiber_context loop;
	struct list abandoned;
	size_t count; /* of fibers, those that have ended and wait to be read included */
	bool turning;
	uint64_t random;
	struct {
		size_t stack_size;
		struct qs_stack_pool *pool;
	} pools[QS_STACK_POOLS];
};

/* Between its start and the qs_stack at the end of the stack; it begins with a line of the cache.
 */
#define QS_FIBER_ROOM                                                         \
	((sizeof(struct qs_fiber) + sizeof(struct qs_stack) + 63) / 64 * 64 - \
	        sizeof(struct qs_stack))

QS_SIBLING extern const struct qs_task_kind qs_fiber_kind;
extern const struct qs_task_terms qs_fiber_terms;

void qs_fiber_run(void *fiber); /* on its own stack, from its beginning to its end */
const struct qs_stack *qs_fiber_stack(const struct qs_fiber *fiber);
void qs_fiber_put_stack(struct qs_fiber *fiber);
QS_MUST_CHECK int qs_fibers_open_pools(struct qs_fibers *fibers);
void qs_fibers_close_pools(struct qs_fibers *fibers, bool stacks_in_use);

void qs_fiber_interrupt(struct qs_fiber *fiber, int result); /* if it waits */
void qs_fiber_make_ready(struct qs_fiber *fiber);
void qs_fiber_set_alarm(struct qs_fiber *fiber, uint64_t at);
QS_MUST_CHECK int qs_fibers_open_alarms(struct qs_fibers *fibers);
void qs_fibers_close_alarms(struct qs_fibers *fibers);
void qs_fiber_run_deferred(struct qs_fiber *fiber);
void qs_fiber_release_belongings(struct qs_fiber *fiber);
void qs_fiber_leave_groups(struct qs_fiber *fiber);
bool qs_fiber_kill_groups(struct qs_fiber *fiber); /* true: none is left */
void qs_fiber_abandon_groups(struct qs_fiber *fiber);

static inline bool qs_fiber_is_shielded(const struct qs_fiber *fiber)
{
	return fiber->shield != 0 && fiber->shield > qs_loop_now(fiber->fibers->context->loop);
}

static inline struct qs_fiber **qs_ready_at(struct qs_ready *ready, size_t place)
{
	return &ready->ring[(ready->head + place) & (ready->room - 1)];
}

/* -ENOMEM. Then as many fibers as this can be ready. */
QS_MUST_CHECK int qs_ready_reserve(struct qs_ready *ready, size_t count);

#endif
