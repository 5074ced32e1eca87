/* A line's text grows as it needs, up to its limit and the room for marks behind that. */
#include "daemon/fold_line.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fold.h"
#include "lib/macro.h"

#define INITIAL_SIZE 256

/* Room for `size` more bytes, which may be marks beyond the limit. */
static bool make_room(struct fold_line *line, size_t size)
{
	size_t needed = line->used + size, limit = line->limit + LINE_READER_SLACK;
	if (needed <= line->capacity)
		return true;
	if (needed > limit)
		return false;
	size_t capacity = MIN(MAX(MAX(line->capacity * 2, needed), INITIAL_SIZE), limit);
	char *data = realloc(line->data, capacity);
	if (!data)
		return false;
	line->data = data;
	line->capacity = capacity;
	return true;
}

void fold_line_put(struct fold_line *line, const char *text, size_t size)
{
	size_t left = line->limit > line->used ? line->limit - line->used : 0;
	size_t kept = MIN(size, left);
	if (line->cut || size == 0)
		return;
	line->cut = kept < size;
	if (kept > 0 && make_room(line, kept)) {
		memcpy(line->data + line->used, text, kept);
		line->used += kept;
	} else {
		line->cut = true;
	}
}

void fold_line_put_whole(struct fold_line *line, const char *text, size_t size)
{
	if (line->used + size > line->limit)
		line->cut = true;
	fold_line_put(line, text, size);
}

void fold_line_put_mark(struct fold_line *line, const char *text, size_t size)
{
	if (!make_room(line, size))
		return;
	memcpy(line->data + line->used, text, size);
	line->used += size;
}

void fold_line_put_escaped(struct fold_line *line, char byte)
{
	static const char digits[] = "0123456789abcdef";
	unsigned value = (unsigned char)byte;
	if (byte == '\n')
		fold_line_put_whole(line, "\\n", 2);
	else
		fold_line_put_whole(
		        line, (char[]){ '\\', 'x', digits[value >> 4], digits[value & 15] }, 4);
}
