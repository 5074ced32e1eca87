/*
 * Groups as the users of the library have them: on the heap, with a name, a deadline and a policy.
 * One that is let go of while something lives in it goes with its last task.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/group.h"
#include "lib/utf8.h"

static void copy_name(struct qs_group *group, const char *name)
{
	if (name)
		memcpy(group->name, name, qs_utf8_cut(name, strlen(name), QS_TASK_NAME_MAX - 1));
}

int qs_group_new(struct qs_group *parent, const struct qs_group_options *options,
        struct qs_group **ret_group)
{
	static const struct qs_group_options defaults;
	struct qs_context *context = parent->context;
	struct qs_group *group;
	int r = 0;

	if (!options)
		options = &defaults;
	if (qs_group_is_closed(parent))
		return -ESHUTDOWN;
	group = qs_malloc(sizeof(*group));
	if (!group)
		return -ENOMEM;
	qs_group_init(group, context, parent);
	group->on_heap = true;
	group->cancels_rest = options->on_failure == QS_ON_FAILURE_CANCEL;
	copy_name(group, options->name);
	if (options->deadline > 0)
		r = qs_group_set_deadline(group, options->deadline);
	if (r < 0) {
		qs_group_free(group);
		return r;
	}
	if (context->nursery)
		list_append(context->nursery, &group->in_owner);
	*ret_group = group;
	return 0;
}

void qs_group_free(struct qs_group *group)
{
	if (!group)
		return;
	list_remove(&group->in_owner);
	group->closed = group->let_go = true;
	if (group->live > 0)
		qs_group_stop(group);
	else
		qs_group_sweep(group);
}

void qs_group_sweep(struct qs_group *group)
{
	while (group && group->let_go && group->live == 0 && list_empty(&group->groups)) {
		struct qs_group *parent = group->parent;

		qs_group_done(group);
		qs_free(group);
		group = parent;
	}
}

void qs_group_stop(struct qs_group *group)
{
	qs_group_ask(group, UINT_MAX, QS_CAUSE_API, QS_FOREVER);
}

uint64_t qs_group_live(const struct qs_group *group)
{
	return group->live;
}

/* --- the deadline --- */

uint64_t qs_group_deadline(const struct qs_group *group)
{
	uint64_t earliest = QS_FOREVER;

	for (; group; group = group->parent)
		earliest = MIN(earliest, group->deadline);
	return earliest;
}

/* Waits end before anybody is asked or cancelled, so that they tell what has happened. */
static void expire(struct qs_group *group)
{
	list_for_each (node, &group->tasks) {
		struct qs_task *task = list_entry(node, struct qs_task, in_group);

		if (task->kind->expire)
			task->kind->expire(task);
	}
	list_for_each (node, &group->groups)
		expire(list_entry(node, struct qs_group, in_parent));
}

static void deadline_due(struct qs_timer *timer)
{
	struct qs_group *group = container_of(timer, struct qs_group, deadline_timer);

	group->closed = true;
	expire(group);
	qs_group_cancel(group, QS_CAUSE_API);
}

int qs_group_set_deadline(struct qs_group *group, uint64_t at)
{
	int r = 0;

	if (!group->deadline_timer.loop)
		r = qs_timer_init(group->context->loop, &group->deadline_timer, deadline_due);
	if (r < 0)
		return r;
	group->deadline = at;
	qs_timer_arm(&group->deadline_timer, at);
	return 0;
}
