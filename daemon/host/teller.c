/*
 * Tells the daemon of the runtime's tasks: how many there are, how they ended, and of each of the
 * most interesting ones what it waits for and how long it has not looked at the stop event. Each
 * line is one packet, sent without waiting: when the daemon is slow, one is left out, and a later
 * one says the same.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include <quiesce/clock.h>

#include "daemon/host/host.h"

#define TELL_EVERY QS_SEC /* also when nothing has changed: the daemon sees that we live */

/* Which of them is told of when there are too many: who lags most, then who is oldest. */
static bool matters_more(const struct qs_task_info *a, const struct qs_task_info *b)
{
	uint64_t lag_a = a->stop_lag == QS_FOREVER ? 0 : a->stop_lag;
	uint64_t lag_b = b->stop_lag == QS_FOREVER ? 0 : b->stop_lag;

	if (lag_a != lag_b)
		return lag_a > lag_b;
	return a->id < b->id;
}

static size_t least_of(const struct teller *teller)
{
	size_t least = 0;

	for (size_t i = 1; i < teller->count; i++)
		if (matters_more(&teller->tasks[least], &teller->tasks[i]))
			least = i;
	return least;
}

static void collect(struct teller *teller, const qs_runtime *runtime)
{
	struct qs_task_info task;
	uint64_t cursor = 0;
	size_t least = 0;

	teller->count = 0;
	teller->live = 0;
	while (qs_next_task(runtime, &cursor, &task) > 0) {
		teller->live++;
		if (teller->count < TASKS_TOLD) {
			teller->tasks[teller->count++] = task;
			least = least_of(teller);
		} else if (matters_more(&task, &teller->tasks[least])) {
			teller->tasks[least] = task;
			least = least_of(teller);
		}
	}
}

static void mix(uint64_t *hash, uint64_t value)
{
	*hash = (*hash ^ value) * UINT64_C(0x100000001b3);
}

/* Of what is told; but not how long somebody lags, which is never the same. */
static uint64_t hash_of(const struct teller *teller, const qs_runtime *runtime)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	mix(&hash, teller->live);
	for (unsigned i = QS_VERDICT_NONE + 1; i < QS_VERDICT_COUNT; i++)
		mix(&hash, qs_ended(runtime, (enum qs_verdict)i));
	for (size_t i = 0; i < teller->count; i++) {
		mix(&hash, teller->tasks[i].id);
		mix(&hash, (uint64_t)teller->tasks[i].rung);
		mix(&hash, teller->tasks[i].stack);
		mix(&hash, (uint64_t)(uintptr_t)teller->tasks[i].waiting_on);
	}
	return hash;
}

static void add_task(struct line *line, const struct qs_task_info *task)
{
	line_add(line, "{\"id\":%" PRIu64 ",\"name\":", task->id);
	line_add_text(line, task->name);
	line_add(line, ",\"kind\":\"%s\",\"rung\":\"%s\",\"started_usec\":%" PRIu64,
	        qs_kind_name(task->kind), qs_rung_name(task->rung), task->started_at / QS_USEC);
	if (task->stop_lag == QS_FOREVER)
		line_add(line, ",\"stop_lag_usec\":null");
	else
		line_add(line, ",\"stop_lag_usec\":%" PRIu64, task->stop_lag / QS_USEC);
	if (task->stack > 0)
		line_add(line, ",\"stack_bytes\":%" PRIu32, task->stack);
	line_add(line, ",\"waiting_on\":");
	line_add_text(line, task->waiting_on);
	line_add(line, "}");
}

static void send_line(struct teller *teller)
{
	struct line *line = &teller->line;

	line_add(line, "}\n");
	if (teller->fd >= 0 && !line->overflowed)
		(void)send(teller->fd, line->data, line->used, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void tell(struct teller *teller, const qs_runtime *runtime)
{
	struct line *line = &teller->line;

	line->used = 0;
	line->overflowed = false;
	line_add(line, "{\"type\":\"tasks\",\"live\":%" PRIu64 ",\"verdicts\":{", teller->live);
	for (unsigned i = QS_VERDICT_NONE + 1; i < QS_VERDICT_COUNT; i++)
		line_add(line, "%s\"%s\":%" PRIu64, i > QS_VERDICT_NONE + 1 ? "," : "",
		        qs_verdict_name((enum qs_verdict)i), qs_ended(runtime, (enum qs_verdict)i));
	line_add(line, "},\"tasks\":[");
	for (size_t i = 0; i < teller->count; i++) {
		if (i > 0)
			line_add(line, ",");
		add_task(line, &teller->tasks[i]);
	}
	line_add(line, "]");
	send_line(teller);
}

bool teller_look(struct teller *teller, const qs_runtime *runtime, bool force)
{
	uint64_t now = qs_time_now();

	collect(teller, runtime);
	uint64_t hash = hash_of(teller, runtime);
	bool changed = hash != teller->hash || teller->told_at == 0;
	if (!changed && !force && qs_time_sub(now, teller->told_at) < TELL_EVERY)
		return false;
	tell(teller, runtime);
	teller->told_at = now;
	teller->hash = hash;
	return changed;
}

void teller_tell_failure(struct teller *teller, const char *text)
{
	teller->line.used = 0;
	teller->line.overflowed = false;
	line_add(&teller->line, "{\"type\":\"failed\",\"text\":");
	line_add_text(&teller->line, text);
	send_line(teller);
}
