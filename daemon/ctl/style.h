/*
 * The look of the output: whether it goes to a terminal, how wide that is, whether it shows colour
 * and UTF-8. Texts from elsewhere are cleaned on their way out, so that no worker can talk to the
 * terminal of whoever looks at it.
 */
#ifndef QUIESCECTL_STYLE_H
#define QUIESCECTL_STYLE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum tone { TONE_PLAIN, TONE_BOLD, TONE_DIM, TONE_GOOD, TONE_BUSY, TONE_BAD, TONE_COUNT };

struct style {
	bool terminal, colour, utf8;
	unsigned width; /* columns; UINT_MAX when nothing need be cut */
};

/* Looks at the descriptor and the environment: NO_COLOR, TERM, COLUMNS, the locale. */
void style_init(struct style *style, int fd);

/* How many columns the cleaned text takes. */
unsigned style_measure(const struct style *style, const char *text);

/* Prints it cleaned, in its tone, cut with an ellipsis to `room` columns. Returns its columns. */
unsigned style_put_cut(
        const struct style *style, FILE *out, enum tone tone, const char *text, unsigned room);
unsigned style_put(const struct style *style, FILE *out, enum tone tone, const char *text);
void style_printf(const struct style *style, FILE *out, enum tone tone, const char *format, ...)
        __attribute__((__format__(__printf__, 4, 5)));

/* The first in a UTF-8 locale, else the second. */
const char *style_choose(const struct style *style, const char *utf8, const char *ascii);

/* A line on standard error that tells what takes long, rewritten in place. */
struct progress {
	const char *text;
	uint64_t began, shown; /* absolute, ns; whole seconds told last */
	bool terminal;
};

void progress_begin(struct progress *progress, const char *text);
void progress_tick(struct progress *progress); /* shows the seconds, from the first one on */
void progress_end(struct progress *progress);  /* leaves no trace */

#endif
