/* Any text as Retry-After, at any time: an answer, the same with blanks around it, never too long.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/retry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* The first eight bytes are the time, the rest is the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t now, span = 4711, padded_span = 4712, later_span;

	if (size < sizeof(now))
		return 0;
	memcpy(&now, data, sizeof(now));
	size -= sizeof(now);
	char *text = strndup((const char *)data + sizeof(now), size), *padded = NULL;
	size_t length = text ? strlen(text) : 0;
	if (text)
		padded = malloc(length + 3);
	require(padded);
	padded[0] = ' ';
	memcpy(padded + 1, text, length);
	memcpy(padded + 1 + length, "\t", 2);

	int r = qs_retry_after_parse(text, now, &span);
	require(r == 0 || (r == -EINVAL && span == 4711));
	require(qs_retry_after_parse(padded, now, &padded_span) == r);
	require(r < 0 || padded_span == span);
	/* What is to be waited for comes nearer. */
	if (r == 0 && qs_retry_after_parse(text, qs_time_add(now, 1), &later_span) == 0)
		require(later_span <= span);
	free(padded);
	free(text);
	return 0;
}
