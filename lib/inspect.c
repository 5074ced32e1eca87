/* What the ledger and the loop's pulse tell of a runtime's tasks, for its users. */
#include <quiesce/inspect.h>

#include <string.h>

#include "lib/runtime.h"

/*
 * A step runs only in its callback, and an ask calls it: it lags as long as it holds the loop. What
 * waits is woken up. Everybody else has looked when he last polled, or when he began.
 */
static uint64_t stop_lag_of(
        const qs_runtime *runtime, const struct qs_record_copy *task, uint64_t now)
{
	if (task->kind == QS_KIND_PROCESS)
		return QS_FOREVER;
	if (task->waiting_on)
		return 0;
	if (task->kind == QS_KIND_STEP &&
	        atomic_load(&qs_loop_pulse(runtime->loop)->holder) != task->id)
		return 0;
	return qs_time_sub(now, task->polled_at > 0 ? task->polled_at : task->started_at);
}

int qs_next_task(const qs_runtime *runtime, uint64_t *cursor, struct qs_task_info *ret_info)
{
	uint64_t now = runtime->options.virtual_clock ? qs_clock_coarse(&runtime->ground->clock)
	                                              : qs_time_now();
	const struct qs_record *record;
	struct qs_record_copy task;

	while ((record = qs_ledger_next(runtime->ground->ledger, cursor)) != NULL) {
		if (!qs_ledger_read(record, &task) || task.verdict != QS_VERDICT_NONE)
			continue;
		*ret_info = (struct qs_task_info){
			.id = task.id,
			.started_at = task.started_at,
			.asked_at = task.asked_at,
			.stop_lag = stop_lag_of(runtime, &task, now),
			.waiting_on = task.waiting_on,
			.stack = task.stack,
			.kind = task.kind,
			.rung = task.rung,
		};
		memcpy(ret_info->name, task.name, sizeof(ret_info->name));
		return 1;
	}
	return 0;
}

uint64_t qs_ended(const qs_runtime *runtime, enum qs_verdict verdict)
{
	return qs_ledger_ended(runtime->ground->ledger, verdict);
}
