/* Events of a stream, by their ends. Long lines are skipped by memchr. */
#include "lib/sse.h"

#include <string.h>

#include "lib/macro.h"

#define BOM      "\xef\xbb\xbf"
#define BOM_OVER 4

void qs_sse_init(struct qs_sse *sse)
{
	*sse = (struct qs_sse){ .place = QS_SSE_BETWEEN };
}

static const char *end_of_line(const char *at, const char *end)
{
	const char *feed = memchr(at, '\n', (size_t)(end - at));
	const char *limit = feed ? feed : end;
	const char *back = memchr(at, '\r', (size_t)(limit - at));

	return back ? back : limit;
}

/* A byte order mark that begins the stream belongs to no line. */
static bool is_of_bom(struct qs_sse *sse, char character)
{
	if (sse->bom < strlen(BOM) && character == BOM[sse->bom]) {
		sse->bom++;
		return true;
	}
	/* It was none: those bytes began a line. */
	if (sse->bom > 0 && sse->bom < strlen(BOM))
		sse->place = QS_SSE_IN_LINE;
	sse->bom = BOM_OVER;
	return false;
}

size_t qs_sse_feed(struct qs_sse *sse, const void *data, size_t size)
{
	const char *begin = data, *end = begin + size, *boundary = begin;

	for (const char *at = begin; at < end; at++) {
		if (sse->bom != BOM_OVER && is_of_bom(sse, *at))
			continue;
		if (*at == '\n' && TAKE(sse->after_return, false)) {
			/* The event was over with the CR already. */
			if (sse->place == QS_SSE_BETWEEN)
				boundary = at + 1;
			continue;
		}
		sse->after_return = *at == '\r';
		if (*at != '\r' && *at != '\n') {
			sse->place = QS_SSE_IN_LINE;
			at = end_of_line(at, end) - 1;
		} else if (sse->place == QS_SSE_IN_LINE) {
			sse->place = QS_SSE_IN_EVENT;
		} else {
			sse->place = QS_SSE_BETWEEN;
			boundary = at + 1;
		}
	}
	return (size_t)(boundary - begin);
}
