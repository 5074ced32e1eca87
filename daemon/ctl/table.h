/*
 * A table of text: columns as wide as what stands in them. On a terminal the table is fitted into
 * its width: columns that allow it give way, the widest first, and what does not fit is cut. In a
 * pipe nothing is ever cut.
 */
#ifndef QUIESCECTL_TABLE_H
#define QUIESCECTL_TABLE_H

#include <quiesce/export.h>

#include "daemon/ctl/style.h"

struct column {
	const char *heading, *brief; /* the latter, if any, where room is short */
	bool right;                  /* numbers */
	unsigned least;              /* may be cut down to so many columns; 0: never cut */
};

struct table;

/* `columns` must outlive it. -ENOMEM. */
QS_MUST_CHECK int table_new(
        const struct column *columns, size_t column_count, struct table **ret_table);
void table_free(struct table *table);
void table_freep(struct table **table);

/* Adds a cell, row by row from left to right; an empty or NULL text shows as "-". A failure to
 * allocate is told by table_print. */
void table_cell(struct table *table, enum tone tone, const char *text);
void table_cellf(struct table *table, enum tone tone, const char *format, ...)
        __attribute__((__format__(__printf__, 3, 4)));

/* -ENOMEM: a cell was lost; nothing was printed. */
QS_MUST_CHECK int table_print(
        const struct table *table, const struct style *style, FILE *out, bool headings);

#endif
