/* The plain values that only HTTP work has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"
#include "daemon/json_pointer.h"

bool is_http_token(const char *text)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                             "0123456789!#$%&'*+-.^_`|~");
	return length > 0 && text[length] == 0;
}

static int store_text(const struct schema_key *key, const char *text, void *target)
{
	char *copy = strdup(text), **field = (char **)(void *)((char *)target + key->offset);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

int parse_method(const struct schema_key *key, const char *text, void *target)
{
	if (!is_http_token(text))
		return -EINVAL;
	/* These two ask for no resource. */
	if (strlen(text) > key->maximum || strcmp(text, "CONNECT") == 0 ||
	        strcmp(text, "TRACE") == 0)
		return -ERANGE;
	return store_text(key, text, target);
}

int parse_pointer(const struct schema_key *key, const char *text, void *target)
{
	if (!json_pointer_is_valid(text))
		return strlen(text) > key->maximum ? -ERANGE : -EINVAL;
	return store_text(key, text, target);
}

int parse_percent(const struct schema_key *key, const char *text, void *target)
{
	unsigned *field = (unsigned *)(void *)((char *)target + key->offset);
	_cleanup_(freep) char *digits = strdup(text);
	uint64_t number;
	if (!digits)
		return -ENOMEM;
	size_t length = strlen(digits);
	if (strcmp(text, "off") == 0) {
		*field = QS_GATE_BUDGET_OFF;
		return 0;
	}
	if (length < 2 || digits[length - 1] != '%')
		return -EINVAL;
	digits[length - 1] = 0;
	int r = number_parse(digits, &number);
	if (r == 0 && (number < key->minimum || number > key->maximum))
		r = -ERANGE;
	if (r == 0)
		*field = (unsigned)number;
	return r;
}

/* It goes into a header, so it has to be one line: "type/subtype" and maybe parameters. */
int parse_media_type(const struct schema_key *key, const char *text, void *target)
{
	const char *slash = strchr(text, '/');
	if (!slash || slash == text || slash[1] == 0 || slash[1] == ';')
		return -EINVAL;
	for (const char *c = text; *c; c++)
		if (*c < ' ' || *c > '~' || (*c == ' ' && !memchr(text, ';', (size_t)(c - text))))
			return -EINVAL;
	if (strlen(text) > key->maximum)
		return -ERANGE;
	return store_text(key, text, target);
}
