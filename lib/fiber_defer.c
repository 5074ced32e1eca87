/*
 * The clean-ups of a fiber, last in, first out: a few lie in the fiber itself. And the groups that
 * a fiber owns, which end before any clean-up runs: their tasks may still use what it takes away.
 */
#include <errno.h>
#include <limits.h>

#include "lib/alloc.h"
#include "lib/fiber_internal.h"

#define MORE_ITEMS (QS_DEFERRED_INLINE * 4)

int qs_defer(qs_task *self, void (*fn)(void *arg), void *arg)
{
	struct qs_fiber *fiber = qs_fiber_of(self);
	unsigned beyond = fiber->deferred_count - QS_DEFERRED_INLINE;
	struct qs_deferred *place = &fiber->deferred[fiber->deferred_count % QS_DEFERRED_INLINE];

	if (fiber->deferred_count >= QS_DEFERRED_INLINE) {
		if (beyond % MORE_ITEMS == 0) {
			struct qs_deferred_more *more = qs_malloc(sizeof(*more));

			if (!more)
				return -ENOMEM;
			more->next = fiber->more;
			fiber->more = more;
		}
		place = &fiber->more->items[beyond % MORE_ITEMS];
	}
	*place = (struct qs_deferred){ fn, arg };
	fiber->deferred_count++;
	return 0;
}

/* What it deferred may defer more. */
static struct qs_deferred take_latest(struct qs_fiber *fiber)
{
	unsigned latest = --fiber->deferred_count;

	if (latest < QS_DEFERRED_INLINE)
		return fiber->deferred[latest];
	unsigned beyond = (latest - QS_DEFERRED_INLINE) % MORE_ITEMS;
	struct qs_deferred item = fiber->more->items[beyond];
	if (beyond == 0) {
		struct qs_deferred_more *empty = fiber->more;

		fiber->more = empty->next;
		qs_free(empty);
	}
	return item;
}

void qs_fiber_own(struct qs_fiber *fiber, struct qs_belonging *belonging)
{
	if (!fiber->has_owned)
		list_init(&fiber->belongings);
	fiber->has_owned = true;
	list_append(&fiber->belongings, &belonging->node);
}

void qs_fiber_release_belongings(struct qs_fiber *fiber)
{
	while (fiber->has_owned && !list_empty(&fiber->belongings)) {
		struct list *first = fiber->belongings.next;

		list_remove(first);
		list_entry(first, struct qs_belonging, node)
		        ->release(list_entry(first, struct qs_belonging, node));
	}
}

void qs_fiber_run_deferred(struct qs_fiber *fiber)
{
	while (fiber->deferred_count > 0) {
		struct qs_deferred item = take_latest(fiber);

		item.fn(item.arg);
	}
	qs_fiber_release_belongings(fiber);
}

/* --- the groups it owns --- */

struct leaving {
	struct qs_wait wait;
	struct qs_group_join join;
	struct qs_fiber *fiber;
};

static void left_empty(struct qs_group_join *join)
{
	qs_fiber_wake(container_of(join, struct leaving, join)->fiber, 0);
}

static void stop_leaving(struct qs_wait *wait)
{
	qs_group_remove_join(&container_of(wait, struct leaving, wait)->join);
}

/* By its owner's end at the latest, all is asked at once and then waited for. */
static void stop_groups(struct qs_fiber *fiber)
{
	list_for_each (node, &fiber->groups) {
		struct qs_group *group = list_entry(node, struct qs_group, in_owner);

		qs_group_close(group);
		qs_group_stop(group);
	}
}

static struct qs_group *first_living(const struct qs_fiber *fiber)
{
	list_for_each (node, &fiber->groups) {
		struct qs_group *group = list_entry(node, struct qs_group, in_owner);

		if (group->live > 0)
			return group;
	}
	return NULL;
}

static void free_groups(struct qs_fiber *fiber)
{
	while (!list_empty(&fiber->groups))
		qs_group_free(list_entry(fiber->groups.next, struct qs_group, in_owner));
}

void qs_fiber_leave_groups(struct qs_fiber *fiber)
{
	struct leaving leaving = {
		.wait = { .name = "its groups",
		        .nature = QS_WAIT_TO_THE_END,
		        .abort = stop_leaving },
		.join = { .empty = left_empty },
		.fiber = fiber,
	};
	struct qs_group *group;
	int result = fiber->result;

	if (list_empty(&fiber->groups))
		return;
	stop_groups(fiber);
	while ((group = first_living(fiber)) != NULL) {
		qs_group_add_join(group, &leaving.join);
		(void)!qs_fiber_wait(fiber, &leaving.wait, QS_FOREVER);
	}
	free_groups(fiber);
	fiber->result = result;
}

/* Its stack is as good as gone: what waits for the groups is the fiber's struct. */
static void killed_and_empty(struct qs_group_join *join)
{
	qs_fiber_make_ready(container_of(join, struct qs_fiber, last));
}

bool qs_fiber_kill_groups(struct qs_fiber *fiber)
{
	enum qs_cause cause = qs_task_cause(&fiber->task);
	struct qs_group *living;

	list_for_each (node, &fiber->groups) {
		struct qs_group *group = list_entry(node, struct qs_group, in_owner);

		qs_group_close(group);
		qs_group_kill(group, cause);
	}
	living = first_living(fiber);
	if (living) {
		fiber->last.empty = killed_and_empty;
		qs_group_add_join(living, &fiber->last);
		return false;
	}
	free_groups(fiber);
	return true;
}

/* Each goes with its last task. */
void qs_fiber_abandon_groups(struct qs_fiber *fiber)
{
	list_for_each (node, &fiber->groups) {
		struct qs_group *group = list_entry(node, struct qs_group, in_owner);

		list_remove(node);
		group->let_go = true;
		qs_group_sweep(group);
	}
}
