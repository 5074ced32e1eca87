/*
 * Any bytes as a stream of events: the framer finds what a reader finds who has all of it and goes
 * through it line by line, however it is cut.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* One line from `at`, its end included; 0: it has none. `*ret_length` is that of its text. */
static size_t line(const uint8_t *data, size_t size, size_t at, size_t *ret_length)
{
	size_t end = at;

	while (end < size && data[end] != '\r' && data[end] != '\n')
		end++;
	*ret_length = end - at;
	if (end == size)
		return 0;
	return end - at + (data[end] == '\r' && end + 1 < size && data[end + 1] == '\n' ? 2 : 1);
}

static size_t last_end(const uint8_t *data, size_t size, enum qs_sse_place *ret_place)
{
	size_t at = size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0, end = 0;
	size_t length, step;

	*ret_place = QS_SSE_BETWEEN;
	while ((step = line(data, size, at, &length)) > 0) {
		at += step;
		*ret_place = length == 0 ? QS_SSE_BETWEEN : QS_SSE_IN_EVENT;
		end = length == 0 ? at : end;
	}
	if (length > 0)
		*ret_place = QS_SSE_IN_LINE;
	return end;
}

/* The first byte says how long the pieces are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qs_sse sse;
	enum qs_sse_place place;
	size_t found = 0, piece;

	if (size < 1)
		return 0;
	piece = data[0] % 64 + 1;
	data++;
	size--;
	qs_sse_init(&sse);
	for (size_t at = 0; at < size; at += piece) {
		size_t count = size - at < piece ? size - at : piece;
		size_t end = qs_sse_feed(&sse, data + at, count);

		require(end <= count);
		found = end > 0 ? at + end : found;
	}
	require(found == last_end(data, size, &place));
	/* The begin of a byte order mark is not yet a line. */
	require(sse.place == place || size <= 2);
	return 0;
}
