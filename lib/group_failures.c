/*
 * Failures that nobody has read yet. Each stays until it is read, by a join or as the group's, or
 * until the group ends; then it is reported by name. So no failure is lost, and a group that lives
 * for months keeps no more than a few.
 */
#include <errno.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/group.h"

struct unread {
	struct list node;
	const struct qs_task *claimant; /* who can still be joined, NULL for nobody */
	struct qs_failure failure;
};

static void report(const struct qs_group *group, const struct qs_failure *failure)
{
	const struct qs_context *context = group->context;

	if (context->unread)
		context->unread(failure, context->unread_arg);
}

static void drop(struct qs_group *group, struct unread *unread)
{
	list_remove(&unread->node);
	group->failure_count--;
	qs_free(unread);
}

/* Also when there is no memory to keep it. */
void qs_group_note_failure(
        struct qs_group *group, const struct qs_task *claimant, const struct qs_failure *failure)
{
	struct unread *unread = NULL;

	if (claimant || group->on_heap)
		unread = qs_malloc(sizeof(*unread));
	if (!unread) {
		report(group, failure);
		return;
	}
	*unread = (struct unread){ .claimant = claimant, .failure = *failure };
	list_append(&group->failures, &unread->node);
	if (++group->failure_count <= QS_FAILURES_KEPT)
		return;
	struct unread *oldest = list_entry(group->failures.next, struct unread, node);
	report(group, &oldest->failure);
	drop(group, oldest);
}

static struct unread *find(struct qs_group *group, const struct qs_task *claimant)
{
	list_for_each (node, &group->failures) {
		struct unread *unread = list_entry(node, struct unread, node);

		if (unread->claimant == claimant)
			return unread;
	}
	return NULL;
}

void qs_group_failure_is_read(struct qs_group *group, const struct qs_task *claimant)
{
	struct unread *unread = find(group, claimant);

	if (unread)
		drop(group, unread);
}

void qs_group_failure_is_nobodys(struct qs_group *group, const struct qs_task *claimant)
{
	struct unread *unread = find(group, claimant);

	if (!unread)
		return;
	unread->claimant = NULL;
	if (group->on_heap)
		return;
	report(group, &unread->failure);
	drop(group, unread);
}

void qs_group_report_failures(struct qs_group *group)
{
	list_for_each (node, &group->failures) {
		struct unread *unread = list_entry(node, struct unread, node);

		report(group, &unread->failure);
		drop(group, unread);
	}
}

int qs_group_next_failure(struct qs_group *group, struct qs_failure *ret_failure)
{
	struct unread *oldest;

	if (list_empty(&group->failures))
		return 0;
	oldest = list_entry(group->failures.next, struct unread, node);
	*ret_failure = oldest->failure;
	drop(group, oldest);
	return 1;
}
