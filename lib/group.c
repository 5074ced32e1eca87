/*
 * Groups own tasks. Each keeps its own tasks and groups; the context keeps all tasks in the order
 * of their starts, so that a rung for everything reaches those first that have run longest.
 */
#include <assert.h>

#include "lib/group.h"

void qs_context_init(struct qs_context *context, struct qs_loop *loop, struct qs_ledger *ledger)
{
	*context =
	        (struct qs_context){ .loop = loop, .ledger = ledger, .clock = qs_loop_clock(loop) };
	list_init(&context->tasks);
}

void qs_context_done(struct qs_context *context)
{
	assert(context->task_count == 0);
	heap_done(&context->ladder);
	qs_timer_done(&context->ladder_timer);
}

void qs_group_init(struct qs_group *group, struct qs_context *context, struct qs_group *parent)
{
	*group = (struct qs_group){ .context = context, .parent = parent, .deadline = QS_FOREVER };
	list_init(&group->in_parent);
	list_init(&group->groups);
	list_init(&group->tasks);
	list_init(&group->ended);
	list_init(&group->failures);
	list_init(&group->joins);
	list_init(&group->in_owner);
	if (!parent)
		return;
	group->stage = parent->stage;
	list_append(&parent->groups, &group->in_parent);
}

void qs_group_done(struct qs_group *group)
{
	assert(group->live == 0 && list_empty(&group->groups));
	list_for_each (node, &group->ended)
		qs_task_release(list_entry(node, struct qs_task, in_group));
	qs_group_report_failures(group);
	qs_timer_done(&group->deadline_timer);
	list_remove(&group->in_owner);
	list_remove(&group->in_parent);
}

void qs_group_close(struct qs_group *group)
{
	group->closed = true;
}

void qs_group_open(struct qs_group *group)
{
	group->closed = false;
}

bool qs_group_is_closed(const struct qs_group *group)
{
	for (; group; group = group->parent)
		if (group->closed)
			return true;
	return false;
}

void qs_group_add(struct qs_group *group, struct qs_task *task)
{
	list_append(&group->tasks, &task->in_group);
	list_append(&group->context->tasks, &task->in_context);
	group->context->task_count++;
	for (; group; group = group->parent)
		group->live++;
}

void qs_group_add_join(struct qs_group *group, struct qs_group_join *join)
{
	list_append(&group->joins, &join->node);
}

void qs_group_remove_join(struct qs_group_join *join)
{
	list_remove(&join->node);
}

static void tell_empty(struct qs_group *group)
{
	while (!list_empty(&group->joins)) {
		struct list *node = group->joins.next;

		list_remove(node);
		struct qs_group_join *join = list_entry(node, struct qs_group_join, node);
		join->empty(join);
	}
}

/* One of its tasks has failed. */
static void cancel_rest(struct qs_group *group)
{
	group->closed = true;
	qs_group_cancel(group, QS_CAUSE_DEPENDENCY);
}

/* One task less lives in it and in those around it. */
static void count_down(struct qs_group *group)
{
	for (struct qs_group *parent; group; group = parent) {
		parent = group->parent;
		group->live--;
		if (group->left)
			group->left(group, group->arg);
		if (group->live == 0) {
			tell_empty(group);
			qs_group_sweep(group);
		}
	}
}

void qs_group_remove(struct qs_group *group, struct qs_task *task, bool kept)
{
	list_remove(&task->in_group);
	list_remove(&task->in_context);
	if (kept)
		list_append(&group->ended, &task->in_group);
	if (--group->context->task_count == 0)
		qs_tasks_swept(group->context, QS_FOREVER);
	if (group->cancels_rest && task->result.verdict == QS_VERDICT_FAILED)
		cancel_rest(group);
	count_down(group);
}

void qs_group_transfer(struct qs_task *task, struct qs_group *to)
{
	struct qs_group *from = task->group;

	list_remove(&task->in_group);
	list_append(&to->tasks, &task->in_group);
	task->group = to;
	for (struct qs_group *group = to; group; group = group->parent)
		group->live++;
	count_down(from);
}

struct rung_order {
	void (*push)(struct qs_task *task, const struct rung_order *order);
	const struct qs_group *group;
	unsigned stages;
	enum qs_cause cause;
	uint64_t cancel_at;
};

static void push_all(struct qs_group *group, const struct rung_order *order)
{
	/* The root's tasks are all there are: the context has them in the right order. */
	if (!group->parent) {
		group->context->sweeping = true;
		list_for_each (node, &group->context->tasks)
			order->push(list_entry(node, struct qs_task, in_context), order);
		group->context->sweeping = false;
		return;
	}
	list_for_each (node, &group->tasks)
		order->push(list_entry(node, struct qs_task, in_group), order);
	list_for_each (node, &group->groups)
		push_all(list_entry(node, struct qs_group, in_parent), order);
}

/* Whether its turn comes later, from somebody between it and the group that is asked. */
static bool has_own_order(const struct qs_task *task, const struct qs_group *outer)
{
	const struct qs_group *group = task->group;

	while (!group->keeps_order && group != outer)
		group = group->parent;
	return group->keeps_order;
}

static void push_ask(struct qs_task *task, const struct rung_order *order)
{
	if (task->group->stage < order->stages && !has_own_order(task, order->group))
		qs_task_ask(task, order->cause, order->cancel_at);
}

static void push_ask_swept(struct qs_task *task, const struct rung_order *order)
{
	if (task->group->stage < order->stages && !has_own_order(task, order->group))
		qs_task_ask_swept(task, order->cause, order->cancel_at);
}

static void push_cancel(struct qs_task *task, const struct rung_order *order)
{
	qs_task_cancel(task, order->cause);
}

static void push_kill(struct qs_task *task, const struct rung_order *order)
{
	qs_task_kill(task, order->cause);
}

static void push_abandon(struct qs_task *task, const struct rung_order *order _unused_)
{
	qs_task_abandon(task);
}

void qs_group_ask(struct qs_group *group, unsigned stages, enum qs_cause cause, uint64_t cancel_at)
{
	struct rung_order order = { push_ask, group, stages, cause, cancel_at };

	if (!group->parent)
		order.push = push_ask_swept;
	push_all(group, &order);
	if (!group->parent)
		qs_tasks_swept(group->context, MIN(cancel_at, group->context->swept_at));
}

void qs_group_cancel(struct qs_group *group, enum qs_cause cause)
{
	push_all(group, &(struct rung_order){ .push = push_cancel, .cause = cause });
}

void qs_group_kill(struct qs_group *group, enum qs_cause cause)
{
	push_all(group, &(struct rung_order){ .push = push_kill, .cause = cause });
}

void qs_group_abandon(struct qs_group *group)
{
	push_all(group, &(struct rung_order){ .push = push_abandon });
}

uint64_t qs_group_live_in_stages(const struct qs_group *group, unsigned stages)
{
	uint64_t live = 0;

	if (group->stage < stages) {
		list_for_each (node, &group->tasks)
			live++;
	}
	list_for_each (node, &group->groups)
		live += qs_group_live_in_stages(
		        list_entry(node, struct qs_group, in_parent), stages);
	return live;
}
