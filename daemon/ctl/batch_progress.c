/* The rate is one of the last seconds, so that the time left follows what the server does. */
#include "daemon/ctl/batch_progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "daemon/ctl/render.h"
#include "daemon/ctl/style.h"
#include "lib/macro.h"

#define LINE_EVERY (5 * QS_SEC) /* in a pipe */
#define RATE_EVERY QS_SEC
#define RATE_SPAN  10.0 /* s: older than that hardly counts */
#define BAR_MOST   40u
#define BAR_LEAST  8u

void batch_progress_begin(struct batch_progress *progress, uint64_t now)
{
	const char *terminal = getenv("TERM");

	*progress = (struct batch_progress){
		.terminal = isatty(STDERR_FILENO) == 1 && terminal && *terminal &&
		            strcmp(terminal, "dumb") != 0,
		.began_at = now,
		.shown_at = now,
		.rated_at = now,
	};
}

static uint64_t over_now(const struct batch_counts *counts)
{
	return counts->answered + counts->failed;
}

static void take_rate(
        struct batch_progress *progress, const struct batch_counts *counts, uint64_t now)
{
	double seconds = (double)qs_time_sub(now, progress->rated_at) / (double)QS_SEC;
	double fresh, weight;

	if (qs_time_sub(now, progress->rated_at) < RATE_EVERY)
		return;
	fresh = (double)(over_now(counts) - progress->rated) / seconds;
	weight = progress->rate > 0 ? 1 - exp(-seconds / RATE_SPAN) : 1;
	progress->rate += weight * (fresh - progress->rate);
	progress->rated = over_now(counts);
	progress->rated_at = now;
}

/* "512/1000  51%  3 failed  40s left  12.3/s": what matters most comes first */
static void make_text(const struct batch_progress *progress, const struct batch_counts *counts,
        char *text, size_t size)
{
	uint64_t over = counts->before + over_now(counts);
	uint64_t left = counts->lines > over ? counts->lines - over : 0;
	char span[SPAN_TEXT_SIZE];

	text[0] = '\0';
	text_join(text, size, "", "%" PRIu64 "/%" PRIu64 "  %.0f%%", over, counts->lines,
	        counts->lines > 0 ? floor(100 * (double)over / (double)counts->lines) : 100);
	if (counts->failed > 0)
		text_join(text, size, "  ", "%" PRIu64 " failed", counts->failed);
	if (progress->rate > 0 && left > 0)
		text_join(text, size, "  ", "%s left",
		        span_text(ceil((double)left / progress->rate), span));
	if (progress->rate > 0)
		text_join(text, size, "  ", "%.1f/s", progress->rate);
}

static void draw_bar(const struct style *style, const struct batch_counts *counts, unsigned room)
{
	uint64_t over = counts->before + over_now(counts);
	unsigned width = MIN(room, BAR_MOST);
	unsigned full = counts->lines > 0 ? (unsigned)(width * over / counts->lines) : width;

	for (unsigned i = 0; i < width; i++)
		fputs(i < full ? style_choose(style, "█", "#") : style_choose(style, "░", "-"),
		        stderr);
	fputs("  ", stderr);
}

static void draw(const struct batch_progress *progress, const struct batch_counts *counts)
{
	struct style style;
	unsigned columns, room;
	char text[160];

	style_init(&style, STDERR_FILENO);
	make_text(progress, counts, text, sizeof(text));
	columns = style_measure(&style, text);
	/* The last column stays free: some terminals go on to the next line there. */
	room = style.width > columns + 3 ? style.width - columns - 3 : 0;
	fputs("\r\033[K", stderr);
	if (room >= BAR_LEAST)
		draw_bar(&style, counts, room);
	(void)style_put_cut(&style, stderr, counts->failed > 0 ? TONE_BUSY : TONE_PLAIN, text,
	        style.width - MIN(style.width, 1u));
	fflush(stderr);
}

void batch_progress_tick(
        struct batch_progress *progress, const struct batch_counts *counts, uint64_t now)
{
	char text[160];

	take_rate(progress, counts, now);
	if (progress->terminal) {
		draw(progress, counts);
		progress->shown = true;
		return;
	}
	if (qs_time_sub(now, progress->shown_at) < LINE_EVERY)
		return;
	progress->shown_at = now;
	make_text(progress, counts, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
}

void batch_progress_clear(struct batch_progress *progress)
{
	if (!progress->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress->shown = false;
}
