/*
 * Colour, width and cleaning. Texts are taken apart as UTF-8 whatever the locale is, because that
 * is what the daemon sends; what the terminal could not show, or would obey, becomes '?'.
 */
#include "daemon/ctl/style.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include <quiesce/clock.h>

#include "lib/macro.h"
#include "lib/utf8.h"

static const char *const tone_codes[TONE_COUNT] = {
	[TONE_PLAIN] = "",
	[TONE_BOLD] = "\033[1m",
	[TONE_DIM] = "\033[2m",
	[TONE_GOOD] = "\033[32m",
	[TONE_BUSY] = "\033[33m",
	[TONE_BAD] = "\033[1;31m",
};

static bool terminal_obeys(void)
{
	const char *name = getenv("TERM");

	return name && *name && strcmp(name, "dumb") != 0;
}

static unsigned terminal_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	unsigned long value;

	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	value = columns ? strtoul(columns, NULL, 10) : 0;
	return value > 0 && value < 10000 ? (unsigned)value : 80;
}

void style_init(struct style *style, int fd)
{
	const char *no_color = getenv("NO_COLOR");

	style->terminal = isatty(fd) == 1;
	style->colour = style->terminal && terminal_obeys() && !(no_color && *no_color);
	style->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	style->width = style->terminal ? terminal_width(fd) : UINT_MAX;
}

/* One character on its way out. */
struct glyph {
	char text[5];
	size_t taken; /* bytes of the source */
	unsigned columns;
};

/* `text` must not be at its end. */
static struct glyph next_glyph(const struct style *style, const char *text)
{
	struct glyph glyph = { .text = "?", .taken = 1, .columns = 1 };
	int length = qs_utf8_next(text, strnlen(text, 4)), columns = 1;
	wchar_t code;

	if (length <= 0)
		return glyph;
	glyph.taken = (size_t)length;
	if (length > 1)
		columns = style->utf8 && mbrtowc(&code, text, glyph.taken, &(mbstate_t){ 0 }) ==
		                                  glyph.taken
		                  ? wcwidth(code)
		                  : -1;
	if (*text == '\t' || *text == '\n')
		strcpy(glyph.text, " ");
	else if (!qs_utf8_is_control(text) && columns >= 0) {
		glyph.columns = (unsigned)columns;
		memcpy(glyph.text, text, glyph.taken);
		glyph.text[length] = '\0';
	}
	return glyph;
}

unsigned style_measure(const struct style *style, const char *text)
{
	unsigned columns = 0;

	while (*text) {
		struct glyph glyph = next_glyph(style, text);
		columns += glyph.columns;
		text += glyph.taken;
	}
	return columns;
}

unsigned style_put_cut(
        const struct style *style, FILE *out, enum tone tone, const char *text, unsigned room)
{
	const char *ellipsis = style_choose(style, "…", "~");
	bool cut = style_measure(style, text) > room,
	     coloured = style->colour && tone != TONE_PLAIN;
	unsigned columns = 0, limit = cut && room > 0 ? room - 1 : room;

	if (coloured)
		fputs(tone_codes[tone], out);
	while (*text) {
		struct glyph glyph = next_glyph(style, text);
		if (columns + glyph.columns > limit)
			break;
		fputs(glyph.text, out);
		columns += glyph.columns;
		text += glyph.taken;
	}
	if (cut && room > 0) {
		fputs(ellipsis, out);
		columns++;
	}
	if (coloured)
		fputs("\033[0m", out);
	return columns;
}

unsigned style_put(const struct style *style, FILE *out, enum tone tone, const char *text)
{
	return style_put_cut(style, out, tone, text, UINT_MAX);
}

void style_printf(const struct style *style, FILE *out, enum tone tone, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (r < 0)
		text = NULL;
	style_put(style, out, tone, text ? text : "?");
}

const char *style_choose(const struct style *style, const char *utf8, const char *ascii)
{
	return style->utf8 ? utf8 : ascii;
}

void progress_begin(struct progress *progress, const char *text)
{
	*progress = (struct progress){
		.text = text,
		.began = qs_time_now(),
		.terminal = isatty(STDERR_FILENO) == 1 && terminal_obeys(),
	};
}

void progress_tick(struct progress *progress)
{
	uint64_t seconds = qs_time_sub(qs_time_now(), progress->began) / QS_SEC;
	struct style style;

	if (!progress->terminal || !progress->text || seconds <= progress->shown)
		return;
	style_init(&style, STDERR_FILENO);
	fputs("\r\033[K", stderr);
	(void)style_put_cut(
	        &style, stderr, TONE_BUSY, progress->text, style.width - MIN(style.width, 12u));
	fprintf(stderr, "%s %llus", style_choose(&style, "…", "..."), (unsigned long long)seconds);
	fflush(stderr);
	progress->shown = seconds;
}

void progress_end(struct progress *progress)
{
	if (progress->shown == 0)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress->shown = 0;
}
