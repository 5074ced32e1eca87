/*
 * The log as text. For people at a terminal: "10:01:02.345 ticker: warning: text", the time dim,
 * the worker's name and what went wrong in colour. For files and pipes, which are searched:
 * "2026-11-21T10:01:02.345Z warning ticker: text".
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/log_line.h"
#include "lib/clock.h"
#include "lib/utf8.h"

#define DIM    "\033[2m"
#define RED    "\033[31m"
#define YELLOW "\033[33m"
#define CYAN   "\033[36m"
#define RESET  "\033[0m"

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static const char *const level_colours[] = {
	[LOG_LEVEL_ERROR] = RED,
	[LOG_LEVEL_WARNING] = YELLOW,
	[LOG_LEVEL_INFO] = "",
	[LOG_LEVEL_DEBUG] = DIM,
};

void log_put(struct log_buffer *buffer, const char *text, size_t size)
{
	size = qs_utf8_cut(text, size, buffer->size - buffer->used);
	memcpy(buffer->data + buffer->used, text, size);
	buffer->used += size;
}

void log_put_string(struct log_buffer *buffer, const char *text)
{
	log_put(buffer, text, strlen(text));
}

static void put_escape(struct log_buffer *buffer, char byte)
{
	static const char digits[] = "0123456789abcdef";
	unsigned value = (unsigned char)byte;
	if (byte == '\n')
		log_put(buffer, "\\n", 2);
	else
		log_put(buffer, (char[]){ '\\', 'x', digits[value >> 4], digits[value & 15] }, 4);
}

/* The length of what can be shown as it is. */
static size_t span_shown(const char *text, size_t size)
{
	size_t i = 0;
	while (i < size) {
		int length = qs_utf8_next(text + i, size - i);
		if (length <= 0 || (qs_utf8_is_control(text + i) && text[i] != '\t'))
			break;
		i += (size_t)length;
	}
	return i;
}

void log_put_escaped(struct log_buffer *buffer, const char *text, size_t size)
{
	while (size > 0 && buffer->used < buffer->size) {
		size_t span = span_shown(text, size);
		log_put(buffer, text, span);
		if (span < size)
			put_escape(buffer, text[span++]);
		text += span;
		size -= span;
	}
}

void log_put_message(struct log_buffer *buffer, const struct log_line *line)
{
	char mark[64];
	if (line->worker[0] != '\0') {
		log_put_escaped(buffer, line->worker, strlen(line->worker));
		log_put_string(buffer, ": ");
	}
	log_put_escaped(buffer, line->text, line->text_size);
	if (line->cut_from > 0) {
		snprintf(mark, sizeof(mark), "…[cut, %zu bytes in all]", line->cut_from);
		log_put_string(buffer, mark);
	}
}

struct log_style log_text_style(int fd)
{
	struct log_style style = { .terminal = isatty(fd) == 1 };
	const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
	bool dumb = !terminal || strcmp(terminal, "dumb") == 0;
	style.colour = style.terminal && !dumb && (!no_colour || no_colour[0] == '\0');
	time_t now = (time_t)(qs_clock_wall_usec() / 1000000);
	struct tm local;
	if (localtime_r(&now, &local))
		style.utc_offset = local.tm_gmtoff;
	return style;
}

static void put_time_of_day(
        struct log_buffer *buffer, uint64_t wall_usec, const struct log_style *style)
{
	char text[32];
	int64_t seconds = (int64_t)(wall_usec / 1000000) + style->utc_offset;
	snprintf(text, sizeof(text), "%02u:%02u:%02u.%03u ", (unsigned)(seconds / 3600 % 24),
	        (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60),
	        (unsigned)(wall_usec / 1000 % 1000));
	log_put_string(buffer, text);
}

static void put_coloured(struct log_buffer *buffer, const struct log_style *style,
        const char *colour, const char *text, size_t size)
{
	bool coloured = style->colour && colour[0] != '\0';
	if (coloured)
		log_put_string(buffer, colour);
	log_put_escaped(buffer, text, size);
	if (coloured)
		log_put_string(buffer, RESET);
}

static void render_for_terminal(
        struct log_buffer *buffer, const struct log_line *line, const struct log_style *style)
{
	struct log_line rest = *line;
	const char *colour = style->colour ? level_colours[line->level] : "";
	if (style->colour)
		log_put_string(buffer, DIM);
	put_time_of_day(buffer, line->wall_usec, style);
	if (style->colour)
		log_put_string(buffer, RESET);
	if (line->worker[0] != '\0') {
		put_coloured(buffer, style, CYAN, line->worker, strlen(line->worker));
		log_put_string(buffer, ": ");
	}
	log_put_string(buffer, colour);
	if (line->level <= LOG_LEVEL_WARNING) {
		log_put_string(buffer, level_names[line->level]);
		log_put_string(buffer, ": ");
	}
	rest.worker = "";
	log_put_message(buffer, &rest);
	if (colour[0] != '\0')
		log_put_string(buffer, RESET);
}

static void render_for_files(struct log_buffer *buffer, const struct log_line *line)
{
	char time_text[QS_WALL_TEXT_SIZE];
	log_put_string(buffer, qs_clock_format_wall(line->wall_usec, time_text));
	log_put_string(buffer, " ");
	log_put_string(buffer, level_names[line->level]);
	log_put_string(buffer, " ");
	if (line->worker[0] == '\0')
		log_put_string(buffer, "quiesced: ");
	log_put_message(buffer, line);
}

void log_text_render(
        struct log_buffer *buffer, const struct log_line *line, const struct log_style *style)
{
	if (buffer->used == buffer->size)
		return;
	buffer->size--;
	if (style->terminal)
		render_for_terminal(buffer, line, style);
	else
		render_for_files(buffer, line);
	buffer->size++;
	buffer->data[buffer->used++] = '\n';
}
