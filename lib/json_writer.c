/*
 * JSON through a fixed buffer and write(2). What lies at the top two levels stands on a line of its
 * own, so that a person reads one task a line; deeper levels stay on theirs.
 */
#include "lib/json_writer.h"

#include <errno.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/utf8.h"

#define LINED_DEPTH 2

static void flush(struct json_writer *writer)
{
	size_t written = 0;

	while (written < writer->used && writer->error == 0) {
		ssize_t n = write(writer->fd, writer->buffer + written, writer->used - written);

		if (n > 0)
			written += (size_t)n;
		else if (n == 0)
			writer->error = -EIO;
		else if (errno != EINTR)
			writer->error = -errno;
	}
	writer->used = 0;
}

static void put(struct json_writer *writer, char byte)
{
	if (writer->used == sizeof(writer->buffer))
		flush(writer);
	writer->buffer[writer->used++] = byte;
}

static void put_bytes(struct json_writer *writer, const char *bytes, size_t count)
{
	while (count > 0) {
		size_t part = MIN(count, sizeof(writer->buffer) - writer->used);

		memcpy(writer->buffer + writer->used, bytes, part);
		writer->used += part;
		bytes += part;
		count -= part;
		if (count > 0)
			flush(writer);
	}
}

static void put_text(struct json_writer *writer, const char *text)
{
	put_bytes(writer, text, strlen(text));
}

static void put_digits(struct json_writer *writer, uint64_t value, unsigned at_least)
{
	char digits[20], *end = digits + sizeof(digits), *at = end;

	do
		*--at = (char)('0' + value % 10);
	while ((value /= 10) > 0 || end - at < (ptrdiff_t)at_least);
	put_bytes(writer, at, (size_t)(end - at));
}

static void put_line(struct json_writer *writer)
{
	put(writer, '\n');
	for (unsigned i = 0; i < writer->depth; i++)
		put(writer, '\t');
}

static void put_escaped(struct json_writer *writer, unsigned char byte)
{
	static const char hex[] = "0123456789abcdef";

	if (byte == '"' || byte == '\\') {
		put(writer, '\\');
		put(writer, (char)byte);
	} else if (byte == '\n') {
		put_text(writer, "\\n");
	} else if (byte == '\t') {
		put_text(writer, "\\t");
	} else if (byte < 0x20 || byte == 0x7f) {
		put_text(writer, "\\u00");
		put(writer, hex[byte >> 4]);
		put(writer, hex[byte & 15]);
	} else {
		put(writer, (char)byte);
	}
}

/* How many bytes stand for themselves. */
static size_t plain_bytes(const char *text, size_t size)
{
	size_t count = 0;

	while (count < size && text[count] >= ' ' && text[count] < 0x7f && text[count] != '"' &&
	        text[count] != '\\')
		count++;
	return count;
}

static size_t put_special(struct json_writer *writer, const char *text, size_t size)
{
	int length = qs_utf8_next(text, size);

	if (length <= 0)
		put_text(writer, "\xef\xbf\xbd"); /* U+FFFD */
	else if (length == 1)
		put_escaped(writer, (unsigned char)*text);
	else
		put_bytes(writer, text, (size_t)length);
	return length > 0 ? (size_t)length : 1;
}

static void put_quoted(struct json_writer *writer, const char *text)
{
	size_t left = strlen(text);

	put(writer, '"');
	while (left > 0) {
		size_t taken = plain_bytes(text, left);

		if (taken > 0)
			put_bytes(writer, text, taken);
		else
			taken = put_special(writer, text, left);
		text += taken;
		left -= taken;
	}
	put(writer, '"');
}

/* What comes before every value: the comma, the line, the key. */
static void begin_value(struct json_writer *writer, const char *key)
{
	if (!writer->fresh)
		put(writer, ',');
	if (writer->depth > 0 && writer->depth <= LINED_DEPTH)
		put_line(writer);
	else if (!writer->fresh)
		put(writer, ' ');
	writer->fresh = false;
	if (key) {
		put_quoted(writer, key);
		put_text(writer, ": ");
	}
}

static void begin(struct json_writer *writer, const char *key, char bracket)
{
	begin_value(writer, key);
	put(writer, bracket);
	writer->depth++;
	writer->fresh = true;
}

static void end(struct json_writer *writer, char bracket)
{
	bool empty = writer->fresh;

	writer->depth--;
	if (!empty && writer->depth < LINED_DEPTH)
		put_line(writer);
	put(writer, bracket);
	writer->fresh = false;
}

void json_writer_init(struct json_writer *writer, int fd)
{
	writer->fd = fd;
	writer->error = 0;
	writer->depth = 0;
	writer->fresh = true;
	writer->used = 0;
}

int json_writer_finish(struct json_writer *writer)
{
	put(writer, '\n');
	flush(writer);
	return writer->error;
}

void qs_json_begin_object(struct json_writer *writer, const char *key)
{
	begin(writer, key, '{');
}

void qs_json_end_object(struct json_writer *writer)
{
	end(writer, '}');
}

void qs_json_begin_array(struct json_writer *writer, const char *key)
{
	begin(writer, key, '[');
}

void qs_json_end_array(struct json_writer *writer)
{
	end(writer, ']');
}

void qs_json_string(struct json_writer *writer, const char *key, const char *text)
{
	begin_value(writer, key);
	if (text)
		put_quoted(writer, text);
	else
		put_text(writer, "null");
}

void qs_json_unsigned(struct json_writer *writer, const char *key, uint64_t value)
{
	begin_value(writer, key);
	put_digits(writer, value, 1);
}

static uint64_t magnitude(int64_t value)
{
	return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

void qs_json_signed(struct json_writer *writer, const char *key, int64_t value)
{
	begin_value(writer, key);
	if (value < 0)
		put(writer, '-');
	put_digits(writer, magnitude(value), 1);
}

void qs_json_milliseconds(struct json_writer *writer, const char *key, int64_t nanoseconds)
{
	uint64_t microseconds = magnitude(nanoseconds) / 1000;

	begin_value(writer, key);
	if (nanoseconds < 0 && microseconds > 0)
		put(writer, '-');
	put_digits(writer, microseconds / 1000, 1);
	put(writer, '.');
	put_digits(writer, microseconds % 1000, 3);
}

void qs_json_bool(struct json_writer *writer, const char *key, bool value)
{
	begin_value(writer, key);
	put_text(writer, value ? "true" : "false");
}

void qs_json_null(struct json_writer *writer, const char *key)
{
	qs_json_string(writer, key, NULL);
}
