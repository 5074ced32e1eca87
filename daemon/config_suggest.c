/* What somebody may have meant who wrote a key that nobody knows. */
#include <stdio.h>
#include <string.h>

#include "daemon/config_internal.h"

#define WORD_MAX 32

/* The name below `section` that a path passes through, "" for none: "stop" of
 * "workers.NAME.stop.x". */
static size_t child_of(const char *path, const char *section, char child[static WORD_MAX])
{
	size_t length = strlen(section);
	child[0] = 0;
	if (length > 0 && (strncmp(path, section, length) != 0 || path[length] != '.'))
		return 0;
	const char *name = length > 0 ? path + length + 1 : path;
	size_t size = MIN(strcspn(name, "."), WORD_MAX - 1);
	memcpy(child, name, size);
	child[size] = 0;
	return size;
}

/* Edits (insert, drop, replace, swap two neighbours) from one word to the other. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	size_t a_length = strlen(a), b_length = strlen(b);
	if (a_length > WORD_MAX || b_length > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_length; j++)
		before[j] = last[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
			best = MIN(best, MIN(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, before[j - 2] + 1);
			row[j] = best;
		}
		size_t *oldest = before;
		before = last;
		last = row;
		row = oldest;
	}
	return last[b_length];
}

static bool find_nearest(const char *section, const char *key, char nearest[static WORD_MAX])
{
	size_t best = MAX(MIN(strlen(key) / 3, 2), 1) + 1; /* in four letters one may be wrong */
	char child[WORD_MAX];
	for (size_t i = 0; i < schema_count(); i++) {
		if (schema_row(i)->type == VALUE_REFUSED ||
		        child_of(schema_row(i)->path, section, child) == 0)
			continue;
		size_t distance = edit_distance(key, child);
		if (distance < best) {
			best = distance;
			memcpy(nearest, child, WORD_MAX);
		}
	}
	return nearest[0] != 0;
}

/* A key that is right but stands one section too high: `signal` for `stop.signal`. */
static const char *find_below(const char *section, const char *key)
{
	size_t length = strlen(section);
	for (size_t i = 0; i < schema_count(); i++) {
		const char *path = schema_row(i)->path, *last = strrchr(path, '.');
		bool inside = length == 0
		                      ? strncmp(path, "workers.", 8) != 0
		                      : strncmp(path, section, length) == 0 && path[length] == '.';
		if (inside && last && strcmp(last + 1, key) == 0)
			return length == 0 ? path : path + length + 1;
	}
	return NULL;
}

static void list_known(const char *section, char *buffer, size_t size)
{
	char child[WORD_MAX], last[WORD_MAX] = "";
	size_t length = 0;
	for (size_t i = 0; i < schema_count() && length < size; i++) {
		if (schema_row(i)->type == VALUE_REFUSED ||
		        child_of(schema_row(i)->path, section, child) == 0 ||
		        strcmp(child, last) == 0)
			continue;
		int r = snprintf(buffer + length, size - length, "%s%s",
		        length == 0 ? "known here are " : ", ", child);
		length += r > 0 ? (size_t)r : 0;
		memcpy(last, child, sizeof(last));
	}
}

char *schema_suggest(const char *section, const char *key, char *buffer, size_t size)
{
	char nearest[WORD_MAX] = "";
	const char *below = find_below(section, key);
	buffer[0] = 0;
	if (below)
		(void)snprintf(buffer, size, "did you mean '%s'?", below);
	else if (find_nearest(section, key, nearest))
		(void)snprintf(buffer, size, "did you mean '%s'?", nearest);
	else
		list_known(section, buffer, size);
	return buffer;
}
