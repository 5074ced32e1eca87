/* What is shown of one line: text up to a limit, and marks that say what is not shown. */
#ifndef QUIESCED_FOLD_LINE_H
#define QUIESCED_FOLD_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct fold_line {
	char *data; /* malloc'ed, NULL before there is any */
	size_t used, capacity;
	size_t limit;
	bool cut; /* something did not fit, or memory was lacking; nothing follows but marks */
};

/* Text that may be cut anywhere, and what stays together or goes. */
void fold_line_put(struct fold_line *line, const char *text, size_t size);
void fold_line_put_whole(struct fold_line *line, const char *text, size_t size);

/* A byte as "\x1b", a newline as "\n". */
void fold_line_put_escaped(struct fold_line *line, char byte);

/* A mark, which may go beyond the limit; together at most LINE_READER_SLACK. */
void fold_line_put_mark(struct fold_line *line, const char *text, size_t size);

#endif
