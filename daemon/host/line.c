/* A line of JSON in a buffer of its own. What does not fit makes the whole line void. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/host/host.h"
#include "lib/utf8.h"

void line_add(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->data) - line->used;
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(line->data + line->used, room, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= room)
		line->overflowed = true;
	else
		line->used += (size_t)length;
}

static void add_character(struct line *line, const char *at, int length)
{
	if (length == 1 && (*at == '"' || *at == '\\'))
		line_add(line, "\\%c", *at);
	else if (length == 1 && (unsigned char)*at < 0x20)
		line_add(line, "\\u%04x", (unsigned)(unsigned char)*at);
	else
		line_add(line, "%.*s", length, at);
}

void line_add_text(struct line *line, const char *text)
{
	if (!text) {
		line_add(line, "null");
		return;
	}
	line_add(line, "\"");
	for (size_t left = strlen(text); left > 0;) {
		int length = qs_utf8_next(text, left);

		if (length > 0)
			add_character(line, text, length);
		else
			line_add(line, "?");
		length = length > 0 ? length : 1;
		text += length;
		left -= (size_t)length;
	}
	line_add(line, "\"");
}
