/* Any bytes as the line of a stop pipe: what is read can be written, and reads the same again. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/stop.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qs_stop_reason reason, again;
	char line[256];
	if (qs_stop_parse((const char *)data, size, &reason) < 0)
		return 0;
	require(reason.cause < QS_CAUSE_COUNT);
	require(memchr(reason.detail, '\0', sizeof(reason.detail)) != NULL);
	int length = qs_stop_format(&reason, line, sizeof(line));
	require(length > 0 && line[length - 1] == '\n');
	require(qs_stop_parse(line, (size_t)length, &again) == 0);
	require(again.cause == reason.cause && again.deadline == reason.deadline);
	return 0;
}
