/* Tables: cells are gathered first, widths are decided when all is known, then it is printed. */
#include "daemon/ctl/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"

#define GAP 2u

struct cell {
	char *text;
	enum tone tone;
};

struct table {
	const struct column *columns;
	size_t column_count;
	struct cell *cells;
	size_t count, capacity;
	bool failed;
};

int table_new(const struct column *columns, size_t column_count, struct table **ret_table)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->columns = columns;
	table->column_count = column_count;
	*ret_table = table;
	return 0;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}

void table_freep(struct table **table)
{
	table_free(*table);
}

/* Takes ownership of the text; NULL: it could not be made. */
static void take_cell(struct table *table, enum tone tone, char *text)
{
	if (text && table->count == table->capacity) {
		size_t capacity = MAX(64u, 2 * table->capacity);
		struct cell *cells = reallocarray(table->cells, capacity, sizeof(*cells));
		if (cells) {
			table->cells = cells;
			table->capacity = capacity;
		}
	}
	if (!text || table->count == table->capacity) {
		free(text);
		table->failed = true;
		return;
	}
	table->cells[table->count++] = (struct cell){ .text = text, .tone = tone };
}

void table_cell(struct table *table, enum tone tone, const char *text)
{
	bool empty = !text || !*text;

	take_cell(table, empty ? TONE_DIM : tone, strdup(empty ? "-" : text));
}

void table_cellf(struct table *table, enum tone tone, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	take_cell(table, tone, text);
}

static const char *heading_of(const struct column *column, bool brief)
{
	return brief && column->brief ? column->brief : column->heading;
}

/* As wide as what stands in them. Returns the width of it all. */
static size_t measure(const struct table *table, const struct style *style, bool headings,
        bool brief, unsigned *widths)
{
	size_t total = GAP * (table->column_count - 1);

	for (size_t i = 0; i < table->column_count; i++)
		widths[i] =
		        headings ? style_measure(style, heading_of(&table->columns[i], brief)) : 0;
	for (size_t i = 0; i < table->count; i++) {
		unsigned *width = &widths[i % table->column_count];
		*width = MAX(*width, style_measure(style, table->cells[i].text));
	}
	for (size_t i = 0; i < table->column_count; i++)
		total += widths[i];
	return total;
}

/* Takes columns away from the widest of those that may give way, one by one, until all fits. */
static void fit(const struct table *table, size_t total, size_t room, unsigned *widths)
{
	for (; total > room; total--) {
		size_t widest = table->column_count;

		for (size_t i = 0; i < table->column_count; i++)
			if (table->columns[i].least > 0 && widths[i] > table->columns[i].least &&
			        (widest == table->column_count || widths[i] >= widths[widest]))
				widest = i;
		if (widest == table->column_count)
			return;
		widths[widest]--;
	}
}

static void print_padding(FILE *out, unsigned columns)
{
	fprintf(out, "%*s", (int)columns, "");
}

/* `room` is what is left of the line: a table that cannot be fitted is cut at its right edge. */
static void print_cell(const struct style *style, FILE *out, const struct column *column,
        const struct cell *cell, unsigned width, bool last, unsigned *room)
{
	unsigned shown = MIN(style_measure(style, cell->text), width);
	unsigned gap = last ? 0 : GAP;

	if (column->right) {
		unsigned padding = MIN(width - shown, *room);
		print_padding(out, padding);
		*room -= padding;
	}
	shown = style_put_cut(style, out, cell->tone, cell->text, MIN(width, *room));
	*room -= shown;
	if (!last) {
		unsigned padding = MIN((column->right ? 0 : width - shown) + gap, *room);
		print_padding(out, padding);
		*room -= padding;
	}
}

static void print_row(const struct table *table, const struct style *style, FILE *out,
        const struct cell *cells, const unsigned *widths)
{
	unsigned room = style->width;

	for (size_t i = 0; i < table->column_count && room > 0; i++)
		print_cell(style, out, &table->columns[i], &cells[i], widths[i],
		        i + 1 == table->column_count, &room);
	fputc('\n', out);
}

static void print_headings(const struct table *table, const struct style *style, FILE *out,
        bool brief, const unsigned *widths)
{
	_cleanup_(freep) struct cell *cells = calloc(table->column_count, sizeof(*cells));

	for (size_t i = 0; cells && i < table->column_count; i++) {
		cells[i].text = (char *)heading_of(&table->columns[i], brief);
		cells[i].tone = TONE_DIM;
	}
	if (cells)
		print_row(table, style, out, cells, widths);
}

int table_print(const struct table *table, const struct style *style, FILE *out, bool headings)
{
	_cleanup_(freep) unsigned *widths = calloc(table->column_count, sizeof(*widths));
	bool brief = false;
	size_t total;

	if (!widths || table->failed)
		return -ENOMEM;
	total = measure(table, style, headings, false, widths);
	if (total > style->width) {
		brief = true;
		total = measure(table, style, headings, true, widths);
	}
	fit(table, total, style->width, widths);
	if (headings)
		print_headings(table, style, out, brief, widths);
	for (size_t i = 0; i + table->column_count <= table->count; i += table->column_count)
		print_row(table, style, out, &table->cells[i], widths);
	return 0;
}
