#include "daemon/payload.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Brackets outside of strings. What is no JSON at all may look deep; it is refused anyway. */
static bool is_deep(const char *text, size_t size)
{
	size_t depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < size; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == '[' || text[i] == '{') &&
		         ++depth > PAYLOAD_DEPTH_MAX)
			return true;
		else if (!in_string && (text[i] == ']' || text[i] == '}') && depth > 0)
			depth--;
	}
	return false;
}

static bool is_blank(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!memchr(" \t\r\n", text[i], 4))
			return false;
	return true;
}

/* What the parser says also quotes the text, from " near '" on. */
static const char *without_quote(char *text)
{
	char *quote = strstr(text, " near ");
	if (quote)
		*quote = 0;
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
	return text;
}

/* Of two equal keys the parser quotes the second one. */
static const char *describe(json_error_t *error)
{
	enum json_error_code code = json_error_code(error);
	if (code == json_error_duplicate_key)
		return "an object has the same key twice";
	if (code == json_error_invalid_utf8)
		return "it is no UTF-8";
	if (code == json_error_null_character || code == json_error_null_byte_in_key)
		return "\\u0000 is not allowed";
	return without_quote(error->text);
}

int payload_parse(
        const char *text, size_t size, json_t **ret_json, char *problem, size_t problem_size)
{
	json_error_t error;
	problem[0] = 0;
	if (is_blank(text, size)) {
		*ret_json = NULL;
		return 0;
	}
	if (is_deep(text, size)) {
		(void)snprintf(
		        problem, problem_size, "is JSON of more than %d levels", PAYLOAD_DEPTH_MAX);
		return -EINVAL;
	}
	json_t *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (json) {
		*ret_json = json;
		return 0;
	}
	/* Where memory ends the parser has nothing to say, more often than not. */
	if (json_error_code(&error) == json_error_out_of_memory || error.text[0] == 0)
		return -ENOMEM;
	(void)snprintf(problem, problem_size, "is no JSON: line %d, column %d: %s", error.line,
	        error.column, describe(&error));
	return -EINVAL;
}
