/*
 * What all kinds of task have in common for those who start them. A task belongs to a group, and
 * ends with exactly one verdict.
 */
#ifndef QUIESCE_TASK_H
#define QUIESCE_TASK_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/words.h>

QS_BEGIN_DECLS

typedef struct qs_group qs_group;
typedef struct qs_task qs_task;

/* All zero is a good default, and so is NULL for all of it. Whatever is pointed at is copied. */
struct qs_task_options {
	const char *name;       /* for people; cut after 31 bytes */
	uint64_t deadline;      /* its own, absolute; 0: none but those of its groups */
	uint64_t stop_deadline; /* its ladder: from ask to cancel, ns; 0: the shutdown's */
	uint64_t cancel_grace;  /* from cancel to kill, ns; 0: the shutdown's */
	size_t stack_size;      /* of a fiber or a thread; 0: the runtime's */
};

QS_END_DECLS

#endif
