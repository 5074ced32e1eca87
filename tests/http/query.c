/* Queries: taken apart at '&' and '=', then decoded. */
#include "tests/http/query.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/clock.h>

#include "lib/macro.h"

static int hex_value(char digit)
{
	if (isdigit((unsigned char)digit))
		return digit - '0';
	return isxdigit((unsigned char)digit) ? tolower(digit) - 'a' + 10 : -1;
}

static void decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text == '%' && hex_value(text[1]) >= 0 && hex_value(text[2]) >= 0) {
			*to++ = (char)(hex_value(text[1]) * 16 + hex_value(text[2]));
			text += 2;
		} else {
			*to++ = *text == '+' ? ' ' : *text;
		}
	}
	*to = '\0';
}

void query_parse(struct query *query, char *text)
{
	char *item;

	query->count = 0;
	while ((item = strsep(&text, "&")) && query->count < QUERY_MAX) {
		char *value = item, *name = strsep(&value, "=");

		if (!value)
			value = name + strlen(name);
		decode(name);
		decode(value);
		query->items[query->count].name = name;
		query->items[query->count++].value = value;
	}
}

const char *query_text(const struct query *query, const char *name, const char *fallback)
{
	for (size_t i = 0; i < query->count; i++)
		if (strcmp(query->items[i].name, name) == 0)
			return query->items[i].value;
	return fallback;
}

bool query_has(const struct query *query, const char *name)
{
	return query_text(query, name, NULL) != NULL;
}

uint64_t query_number(const struct query *query, const char *name, uint64_t fallback)
{
	const char *text = query_text(query, name, "");
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (end == text)
		return fallback;
	switch (*end) {
	case 'k':
		return value << 10;
	case 'M':
		return value << 20;
	case 'G':
		return value << 30;
	}
	return value;
}

uint64_t query_span(const struct query *query, const char *name, uint64_t fallback)
{
	static const struct {
		const char *name;
		uint64_t span;
	} units[] = { { "", QS_MSEC }, { "ms", QS_MSEC }, { "s", QS_SEC }, { "us", QS_USEC } };
	const char *text = query_text(query, name, "");
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	for (size_t i = 0; end != text && i < ARRAY_SIZE(units); i++)
		if (strcmp(end, units[i].name) == 0)
			return value * units[i].span;
	return fallback;
}
