/*
 * Makes a child's output fit for a log: takes a stream of bytes apart into lines, folds runs of
 * base64 or binary over 256 bytes to "…[N bytes, sha256 abcd1234]…", cuts what is longer than the
 * limit, and shows control characters and broken UTF-8 as escapes. Bounded memory whatever comes.
 */
#ifndef QUIESCED_FOLD_H
#define QUIESCED_FOLD_H

#include <stddef.h>

#include <quiesce/export.h>

struct line_reader; /* one a stream */

/* The line has no newline and no NUL behind it; it is valid during the call only. */
typedef void (*line_fn)(const char *line, size_t length, void *arg);

/* What marks may add to a line beyond its limit, at most. */
#define LINE_READER_SLACK 128

/*
 * `max_line` bytes of a line are kept, the rest counted ("…[cut, N bytes in all]"). -ENOMEM. No
 * more memory is taken before a line comes in pieces or needs changes.
 */
QS_MUST_CHECK int line_reader_new(
        size_t max_line, line_fn fn, void *arg, struct line_reader **ret_reader);
void line_reader_free(struct line_reader *reader);

/* Calls `fn` for each complete line, folded. Never fails: what memory lacks for is cut. */
void line_reader_feed(struct line_reader *reader, const char *data, size_t size);

/* The stream is over: a last line without its newline is a line too. */
void line_reader_finish(struct line_reader *reader);

/*
 * Folds one text to a new string of at most `max` bytes and a NUL: for error texts and bodies. A
 * newline in it becomes "\n". NULL: no memory.
 */
char *fold_text(const char *data, size_t size, size_t max);

#endif
