/*
 * A look at the tasks of a runtime: what they are, what they wait for, how long ago they last
 * looked at the stop event. From any thread, without a lock: also while the runtime's own is stuck
 * in one of them. Only the runtime has to be there.
 */
#ifndef QUIESCE_INSPECT_H
#define QUIESCE_INSPECT_H

#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/runtime.h>
#include <quiesce/words.h>

QS_BEGIN_DECLS

/* Times are absolute, ns; 0: not yet. */
struct qs_task_info {
	uint64_t id, started_at, asked_at;
	uint64_t stop_lag;      /* ns since it last looked; 0 while it waits; QS_FOREVER: unknown */
	const char *waiting_on; /* a static string; NULL: it waits for nothing that is known */
	/* Of a fiber: how deep its stack has been so far, bytes; 0: unknown. See `measure_stacks`
	 * of the runtime's options. */
	uint32_t stack;
	enum qs_kind kind;
	enum qs_rung rung;
	char name[32];
};

/* The next task that lives, from `*cursor` = 0 on. Returns 1, or 0 when there is none. */
QS_EXPORT QS_MUST_CHECK int qs_next_task(
        const qs_runtime *runtime, uint64_t *cursor, struct qs_task_info *ret_info);

/* How many tasks have ended with that verdict since the runtime was made; how many live is qs_live.
 */
QS_EXPORT uint64_t qs_ended(const qs_runtime *runtime, enum qs_verdict verdict);

QS_END_DECLS

#endif
