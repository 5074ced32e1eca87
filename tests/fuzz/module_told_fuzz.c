/* Any line as one of a module's host: what is believed keeps what the header promises. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/clock.h>

#include "daemon/module_told.h"
#include "lib/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void require_text(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	require(length < size);
	for (size_t i = 0; i < length;) {
		int step = qs_utf8_next(text + i, length - i);
		require(step > 0 && !qs_utf8_is_control(text + i));
		i += (size_t)step;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct module_told told, before;

	memset(&told, 0, sizeof(told));
	told.ended[QS_VERDICT_FINISHED] = 2;
	before = told;
	int r = module_told_parse(&told, (const char *)data, size);
	if (r < 0) {
		require(memcmp(&told, &before, sizeof(told)) == 0);
		return 0;
	}
	require(told.ended[QS_VERDICT_FINISHED] >= 2);
	require(told.count <= MODULE_TASKS_MAX && told.count <= told.live);
	require_text(told.failure, sizeof(told.failure));
	for (size_t i = 0; i < told.count; i++) {
		const struct module_task *task = &told.tasks[i];
		require(task->kind < QS_KIND_COUNT && task->rung < QS_RUNG_COUNT);
		require_text(task->name, sizeof(task->name));
		require_text(task->waiting_on, sizeof(task->waiting_on));
	}
	(void)module_told_lag(&told);
	return 0;
}
