/*
 * A group owns tasks and other groups; it is over when all of them have ended. What a group is told
 * (to stop, to cancel, its deadline) holds for everything inside it. Loop thread only.
 *
 * A group that a fiber makes belongs to that fiber: before the fiber ends, the group is asked to
 * stop and waited for. All others belong to whoever made them.
 */
#ifndef QUIESCE_GROUP_H
#define QUIESCE_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/task.h>
#include <quiesce/words.h>

QS_BEGIN_DECLS

/* What happens to the others when a task of a group fails. */
enum qs_on_failure {
	QS_ON_FAILURE_CARRY_ON,
	QS_ON_FAILURE_CANCEL, /* the rest is cancelled, and nothing new is admitted */
};

/* All zero is a good default. */
struct qs_group_options {
	const char *name;  /* copied, cut to 31 bytes */
	uint64_t deadline; /* absolute, see qs_group_set_deadline; 0: none */
	enum qs_on_failure on_failure;
};

/* A task that has failed. */
struct qs_failure {
	uint64_t id;
	char name[32];
	struct qs_result result;
};

/* Makes a group below another. -ENOMEM; -ESHUTDOWN when that admits nothing. */
QS_EXPORT QS_MUST_CHECK int qs_group_new(
        qs_group *parent, const struct qs_group_options *options, qs_group **ret_group);

/*
 * Lets go of it: NULL is fine. What lives in it is asked to stop, nothing new is admitted, and the
 * memory goes with its last task, and with it the handles of tasks that have ended in it: read them
 * first. Failures that nobody read are reported by name.
 */
QS_EXPORT void qs_group_free(qs_group *group);

/*
 * At that time (absolute, QS_FOREVER for none) every wait inside returns -ETIMEDOUT, and what lives
 * in it is cancelled. An outer group's earlier deadline comes first. -ENOMEM.
 */
QS_EXPORT QS_MUST_CHECK int qs_group_set_deadline(qs_group *group, uint64_t at);

/* The earliest deadline of it and of the groups around it. */
QS_EXPORT uint64_t qs_group_deadline(const qs_group *group);

/* How many tasks live in it and below. */
QS_EXPORT uint64_t qs_group_live(const qs_group *group);

/* Asks everything in it to end: each task's ladder begins. What comes later is not asked. */
QS_EXPORT void qs_group_stop(qs_group *group);

/* Cancels or kills everything in it. */
QS_EXPORT void qs_group_cancel(qs_group *group, enum qs_cause cause);
QS_EXPORT void qs_group_kill(qs_group *group, enum qs_cause cause);

/* From now on nothing can enter it or a group below. qs_group_open takes that back. */
QS_EXPORT void qs_group_close(qs_group *group);
QS_EXPORT void qs_group_open(qs_group *group);

/*
 * Reads the oldest failure of a task of the group (not of groups below) that nobody has read.
 * Returns 1, or 0 when there is none. At most 16 wait there; older ones have been reported.
 */
QS_EXPORT QS_MUST_CHECK int qs_group_next_failure(qs_group *group, struct qs_failure *ret_failure);

QS_END_DECLS

#endif
