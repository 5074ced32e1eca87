/*
 * What a supervisor keeps: its children, when each is to be started again, and how many restarts
 * there were. Lies on the heap, because children may end when its fiber is gone. Loop thread only.
 */
#ifndef QS_SUPERVISOR_H
#define QS_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/supervisor.h>

#include "lib/fiber.h"
#include "lib/supervise.h"

struct qs_supervised {
	const struct qs_child *child;
	struct qs_supervisor *supervisor;
	struct qs_task *task; /* while it lives, else NULL */
	struct qs_join join;
	struct qs_result result; /* once it has ended */
	struct qs_backoff backoff;
	uint64_t started_at;
	uint64_t due;  /* when to start it again, QS_FOREVER: not at all */
	bool stopping; /* its end will be the supervisor's doing */
	bool news;     /* it has ended by itself, and that was not looked at yet */
};

struct qs_supervisor {
	struct qs_wait wait;
	struct qs_fiber *fiber;
	const struct qs_supervision *plan;
	struct qs_group *group; /* owned by the fiber */
	struct qs_rate rate;
	struct qs_backoff_plan backoff;
	struct qs_random random;
	bool waiting; /* in `wait` */
	bool news;    /* a child has ended since it last waited */
	struct qs_supervised children[];
};

#endif
