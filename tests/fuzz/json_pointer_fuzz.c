/*
 * A pointer in the first line, a document behind it: no pointer leads out of the document, and each
 * part of it is found by the pointer that is made of the way there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/json_pointer.h"
#include "daemon/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Follows the first or the last of everything. */
static void walk(const json_t *document, bool last)
{
	char pointer[JSON_POINTER_MAX + 1] = "", number[24];
	const json_t *here = document;
	for (;;) {
		require(json_pointer_is_valid(pointer));
		require(json_pointer_find(document, pointer) == here);
		if (json_is_array(here) && json_array_size(here) > 0) {
			size_t index = last ? json_array_size(here) - 1 : 0;
			int length = snprintf(number, sizeof(number), "%zu", index);
			if (!json_pointer_append(pointer, number, (size_t)length))
				return;
			here = json_array_get(here, index);
		} else if (json_is_object(here) && json_object_size(here) > 0) {
			json_t *object = (json_t *)(uintptr_t)here;
			void *at = json_object_iter(object), *next = at;
			while (last && (next = json_object_iter_next(object, next)) != NULL)
				at = next;
			if (!json_pointer_append(pointer, json_object_iter_key(at),
			            json_object_iter_key_len(at)))
				return;
			here = json_object_iter_value(at);
		} else {
			return;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char pointer[4096], problem[300];
	const char *line = memchr(data, '\n', size);
	size_t length = line ? (size_t)(line - (const char *)data) : size;
	json_t *document = NULL;
	if (length >= sizeof(pointer))
		return 0;
	memcpy(pointer, data, length);
	pointer[length] = 0;
	bool valid = json_pointer_is_valid(pointer);
	if (line && payload_parse(line, size - length, &document, problem, sizeof(problem)) < 0)
		require(problem[0] != 0);
	if (!document)
		return 0;
	require(valid || !json_pointer_find(document, pointer));
	require(pointer[0] != 0 || json_pointer_find(document, pointer) == document);
	walk(document, false);
	walk(document, true);
	json_decref(document);
	return 0;
}
