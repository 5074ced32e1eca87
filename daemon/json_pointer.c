#include "daemon/json_pointer.h"

#include <string.h>

bool json_pointer_is_valid(const char *pointer)
{
	if (strlen(pointer) > JSON_POINTER_MAX || (pointer[0] != 0 && pointer[0] != '/'))
		return false;
	for (const char *at = strchr(pointer, '~'); at; at = strchr(at + 1, '~'))
		if (at[1] != '0' && at[1] != '1')
			return false;
	return true;
}

/* One token without its escapes. Returns its length. */
static size_t unescape(const char *token, size_t size, char name[static JSON_POINTER_MAX])
{
	size_t length = 0;
	for (size_t i = 0; i < size; i++) {
		bool escaped = token[i] == '~' && i + 1 < size;
		if (escaped)
			i++;
		if (escaped)
			name[length++] = token[i] == '1' ? '/' : '~';
		else
			name[length++] = token[i];
	}
	return length;
}

/* No sign and no leading zero; "-", the place behind the last, is never there. */
static const json_t *find_item(const json_t *array, const char *token, size_t size)
{
	size_t index = 0;
	if (size == 0 || size > 9 || (token[0] == '0' && size > 1))
		return NULL;
	for (size_t i = 0; i < size; i++) {
		if (token[i] < '0' || token[i] > '9')
			return NULL;
		index = index * 10 + (size_t)(token[i] - '0');
	}
	return json_array_get(array, index);
}

const json_t *json_pointer_find(const json_t *document, const char *pointer)
{
	char name[JSON_POINTER_MAX];
	if (!json_pointer_is_valid(pointer))
		return NULL;
	while (document && *pointer) {
		const char *token = pointer + 1;
		size_t size = strcspn(token, "/");
		if (json_is_object(document))
			document = json_object_getn(document, name, unescape(token, size, name));
		else if (json_is_array(document))
			document = find_item(document, token, size);
		else
			document = NULL;
		pointer = token + size;
	}
	return document;
}

bool json_pointer_append(char pointer[static JSON_POINTER_MAX + 1], const char *token, size_t size)
{
	size_t length = strlen(pointer), needed = size + 1;
	for (size_t i = 0; i < size; i++)
		needed += token[i] == '~' || token[i] == '/';
	if (length + needed > JSON_POINTER_MAX)
		return false;
	pointer[length++] = '/';
	for (size_t i = 0; i < size; i++) {
		bool special = token[i] == '~' || token[i] == '/';
		if (special)
			pointer[length++] = '~';
		if (special)
			pointer[length++] = token[i] == '/' ? '1' : '0';
		else
			pointer[length++] = token[i];
	}
	pointer[length] = 0;
	return true;
}
