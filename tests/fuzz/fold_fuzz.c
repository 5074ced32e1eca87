/*
 * Any output of a child: the lines are fit to be shown, within their limit, and the same in
 * whatever pieces the bytes come. The first two bytes say the limit and the pieces.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fold.h"
#include "lib/macro.h"
#include "lib/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct lines {
	char *text;
	size_t size, max_line;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_shown(const char *text, size_t size)
{
	for (size_t i = 0; i < size;) {
		int length = qs_utf8_next(text + i, size - i);
		require(length > 0 && (text[i] == '\t' || !qs_utf8_is_control(text + i)));
		i += (size_t)length;
	}
}

static void keep(const char *line, size_t length, void *arg)
{
	struct lines *lines = arg;
	require(length <= lines->max_line + LINE_READER_SLACK);
	check_shown(line, length);
	lines->text = realloc(lines->text, lines->size + length + 1);
	require(lines->text != NULL);
	if (length > 0)
		memcpy(lines->text + lines->size, line, length);
	lines->text[lines->size + length] = '\n';
	lines->size += length + 1;
}

static struct lines read_in_pieces(const char *data, size_t size, size_t piece, size_t max_line)
{
	struct lines lines = { .max_line = max_line };
	struct line_reader *reader;
	require(line_reader_new(max_line, keep, &lines, &reader) == 0);
	for (size_t at = 0; at < size; at += piece)
		line_reader_feed(reader, data + at, MIN(piece, size - at));
	line_reader_finish(reader);
	line_reader_free(reader);
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	const char *text = (const char *)data + 2;
	size_t max_line = (size_t)data[0] * 4, piece = (size_t)data[1] + 1;
	size -= 2;
	struct lines whole = read_in_pieces(text, size, size, max_line);
	struct lines pieces = read_in_pieces(text, size, piece, max_line);
	require(whole.size == pieces.size);
	require(whole.size == 0 || memcmp(whole.text, pieces.text, whole.size) == 0);
	free(whole.text);
	free(pieces.text);
	_cleanup_(freep) char *folded = fold_text(text, size, max_line);
	require(folded != NULL && strlen(folded) <= max_line);
	check_shown(folded, strlen(folded));
	return 0;
}
