/*
 * What is wrong with the files: collected while reading goes on, told in the order of the files.
 * Beyond the first thousand they are only counted.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

#define PROBLEMS_MAX 1000

static int format_text(char **ret_text, const char *format, va_list arguments) _printf_(2, 0);
static int format_text(char **ret_text, const char *format, va_list arguments)
{
	va_list again;
	va_copy(again, arguments);
	int length = vsnprintf(NULL, 0, format, arguments);
	char *text = length < 0 ? NULL : malloc((size_t)length + 1);
	if (text)
		(void)vsnprintf(text, (size_t)length + 1, format, again);
	va_end(again);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}

static int reserve(struct reader *reader)
{
	if (reader->problem_count < reader->problem_capacity)
		return 0;
	size_t capacity = MAX(reader->problem_capacity * 2, 8);
	struct problem *problems = realloc(reader->problems, capacity * sizeof(*problems));
	if (!problems)
		return -ENOMEM;
	reader->problems = problems;
	reader->problem_capacity = capacity;
	return 0;
}

static unsigned file_number(const struct reader *reader, const char *name)
{
	for (const struct config_file *file = reader->config->files; file; file = file->next)
		if (file->name == name)
			return file->number;
	return 0;
}

static int add(struct reader *reader, struct mark mark, bool warning, const char *format,
        va_list arguments) _printf_(4, 0);
static int add(struct reader *reader, struct mark mark, bool warning, const char *format,
        va_list arguments)
{
	if (!warning)
		reader->error_count++;
	if (reader->problem_count >= PROBLEMS_MAX)
		return 0;
	int r = reserve(reader);
	if (r < 0)
		return r;
	struct problem problem = {
		.file = file_number(reader, mark.file),
		.line = mark.line,
		.column = mark.column,
		.warning = warning,
		.sequence = reader->problem_count,
	};
	r = format_text(&problem.text, format, arguments);
	if (r < 0)
		return r;
	reader->problems[reader->problem_count++] = problem;
	return 0;
}

int problem_add(struct reader *reader, struct mark mark, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int r = add(reader, mark, false, format, arguments);
	va_end(arguments);
	return r;
}

int warning_add(struct reader *reader, struct mark mark, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int r = add(reader, mark, true, format, arguments);
	va_end(arguments);
	return r;
}

static int compare_numbers(size_t a, size_t b)
{
	return (a > b) - (a < b);
}

static int compare_problems(const void *left, const void *right)
{
	const struct problem *a = left, *b = right;
	int r = compare_numbers(a->file, b->file);
	if (r == 0)
		r = compare_numbers(a->line, b->line);
	if (r == 0)
		r = compare_numbers(a->column, b->column);
	return r != 0 ? r : compare_numbers(a->sequence, b->sequence);
}

static const char *file_name(const struct reader *reader, unsigned number)
{
	const struct config_file *file = reader->config->files;
	while (file && file->number != number)
		file = file->next;
	return file ? file->name : "";
}

/* Room for "FILE:LINE:COLUMN: text\n". */
static size_t line_size(const struct reader *reader, const struct problem *problem)
{
	return strlen(file_name(reader, problem->file)) + strlen(problem->text) + 32;
}

static int join(const struct reader *reader, bool warnings, char **ret_text)
{
	size_t size = 64, length = 0, listed = 0;
	for (size_t i = 0; i < reader->problem_count; i++)
		if (reader->problems[i].warning == warnings)
			size += line_size(reader, &reader->problems[i]);
	char *text = malloc(size);
	if (!text)
		return -ENOMEM;
	text[0] = 0;
	for (size_t i = 0; i < reader->problem_count; i++) {
		const struct problem *problem = &reader->problems[i];
		if (problem->warning != warnings)
			continue;
		int r = snprintf(text + length, size - length, "%s:%u:%u: %s\n",
		        file_name(reader, problem->file), problem->line, problem->column,
		        problem->text);
		length += r > 0 ? (size_t)r : 0;
		listed++;
	}
	if (!warnings && reader->error_count > listed)
		(void)snprintf(text + length, size - length, "and %zu more\n",
		        reader->error_count - listed);
	*ret_text = text;
	return 0;
}

int problems_join(struct reader *reader, struct config_errors *ret_errors)
{
	_cleanup_(config_errors_done) struct config_errors errors = {
		.count = reader->error_count,
	};
	if (reader->problem_count > 1)
		qsort(reader->problems, reader->problem_count, sizeof(*reader->problems),
		        compare_problems);
	int r = join(reader, false, &errors.text);
	if (r == 0)
		r = join(reader, true, &errors.warnings);
	if (r == 0)
		*ret_errors = TAKE(errors, (struct config_errors){ 0 });
	return r;
}

void problems_done(struct reader *reader)
{
	for (size_t i = 0; i < reader->problem_count; i++)
		free(reader->problems[i].text);
	free(reader->problems);
	reader->problems = NULL;
	reader->problem_count = reader->problem_capacity = 0;
}

char *quoted(const char *text, char buffer[static QUOTED_SIZE])
{
	size_t length = strlen(text), kept = MIN(length, QUOTED_SIZE - 8);
	while (kept < length && kept > 0 && (text[kept] & 0xc0) == 0x80)
		kept--;
	(void)snprintf(
	        buffer, QUOTED_SIZE, "'%.*s%s'", (int)kept, text, kept < length ? "\u2026" : "");
	for (char *c = buffer; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return buffer;
}
