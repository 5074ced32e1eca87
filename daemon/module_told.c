/* See module_told.h. A line is taken whole or not at all. */
#include "daemon/module_told.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <quiesce/clock.h>

#include "lib/macro.h"
#include "lib/utf8.h"

/* So that nothing overflows where it is added up, or made nanoseconds. */
#define NUMBER_MAX (INT64_MAX / 1000000)

static bool take_number(const json_t *object, const char *key, uint64_t *ret_number)
{
	const json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || number > NUMBER_MAX)
		return false;
	*ret_number = (uint64_t)number;
	return true;
}

/* Cut at a character's edge, and nothing that a terminal would obey. */
static bool take_text(const json_t *object, const char *key, char *text, size_t size)
{
	const json_t *value = json_object_get(object, key);

	text[0] = '\0';
	if (json_is_null(value))
		return true;
	if (!json_is_string(value))
		return false;
	const char *from = json_string_value(value);
	size_t length = qs_utf8_cut(from, strlen(from), size - 1);
	memcpy(text, from, length);
	text[length] = '\0';
	for (size_t i = 0; i < length;) {
		int step = qs_utf8_next(text + i, length - i);
		if (step <= 0)
			return false;
		if (qs_utf8_is_control(text + i))
			memset(text + i, '?', (size_t)step);
		i += (size_t)step;
	}
	return true;
}

static bool take_word(const json_t *object, const char *key, unsigned count,
        const char *(*name)(unsigned value), unsigned *ret_value)
{
	const char *text = json_string_value(json_object_get(object, key));

	for (unsigned i = 0; text && i < count; i++)
		if (strcmp(name(i), text) == 0) {
			*ret_value = i;
			return true;
		}
	return false;
}

static const char *kind_name(unsigned value)
{
	return qs_kind_name((enum qs_kind)value);
}

static const char *rung_name(unsigned value)
{
	return qs_rung_name((enum qs_rung)value);
}

static bool take_task(const json_t *object, struct module_task *task)
{
	uint64_t started = 0, lag = QS_FOREVER, stack = 0;
	unsigned kind, rung;

	if (!json_is_object(object) || !take_number(object, "id", &task->id) ||
	        !take_number(object, "started_usec", &started) ||
	        !take_text(object, "name", task->name, sizeof(task->name)) ||
	        !take_text(object, "waiting_on", task->waiting_on, sizeof(task->waiting_on)) ||
	        !take_word(object, "kind", QS_KIND_COUNT, kind_name, &kind) ||
	        !take_word(object, "rung", QS_RUNG_COUNT, rung_name, &rung))
		return false;
	if (!json_is_null(json_object_get(object, "stop_lag_usec"))) {
		if (!take_number(object, "stop_lag_usec", &lag))
			return false;
		lag *= QS_USEC;
	}
	if (json_object_get(object, "stack_bytes") && !take_number(object, "stack_bytes", &stack))
		return false;
	task->started_at = started * QS_USEC;
	task->stack = stack;
	task->stop_lag = lag;
	task->kind = (enum qs_kind)kind;
	task->rung = (enum qs_rung)rung;
	return true;
}

static bool take_tasks(const json_t *object, struct module_told *told)
{
	const json_t *verdicts = json_object_get(object, "verdicts");
	const json_t *tasks = json_object_get(object, "tasks");

	if (!take_number(object, "live", &told->live) || !json_is_array(tasks) ||
	        json_array_size(tasks) > MODULE_TASKS_MAX || json_array_size(tasks) > told->live)
		return false;
	for (unsigned i = QS_VERDICT_NONE + 1; i < QS_VERDICT_COUNT; i++) {
		uint64_t before = told->ended[i];
		if (!take_number(verdicts, qs_verdict_name((enum qs_verdict)i), &told->ended[i]))
			return false;
		/* Nothing that has ended comes to life again. */
		if (told->ended[i] < before)
			return false;
	}
	told->count = json_array_size(tasks);
	for (size_t i = 0; i < told->count; i++)
		if (!take_task(json_array_get(tasks, i), &told->tasks[i]))
			return false;
	return true;
}

int module_told_parse(struct module_told *told, const char *line, size_t size)
{
	struct module_told next = *told;

	if (size > MODULE_LINE_MAX)
		return -EBADMSG;
	_cleanup_(json_decrefp) json_t *object =
	        json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	const char *type = json_string_value(json_object_get(object, "type"));
	if (!type)
		return -EBADMSG;
	bool tasks = strcmp(type, "tasks") == 0, failed = strcmp(type, "failed") == 0;
	if (tasks && !take_tasks(object, &next))
		return -EBADMSG;
	if (failed && !take_text(object, "text", next.failure, sizeof(next.failure)))
		return -EBADMSG;
	if (tasks || failed)
		*told = next;
	return tasks;
}

uint64_t module_told_lag(const struct module_told *told)
{
	uint64_t largest = QS_FOREVER;

	for (size_t i = 0; i < told->count; i++) {
		uint64_t lag = told->tasks[i].stop_lag;
		if (lag != QS_FOREVER && (largest == QS_FOREVER || lag > largest))
			largest = lag;
	}
	return largest;
}
