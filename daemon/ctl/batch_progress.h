/*
 * How far a batch is: on a terminal a bar on the last line, rewritten in place and as wide as there
 * is room; elsewhere a line every few seconds.
 */
#ifndef QUIESCECTL_BATCH_PROGRESS_H
#define QUIESCECTL_BATCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct batch_counts {
	uint64_t lines;            /* all in all */
	uint64_t before;           /* answered by earlier runs */
	uint64_t answered, failed; /* in this one */
	unsigned in_flight;
};

struct batch_progress {
	bool terminal, shown;
	uint64_t began_at, shown_at; /* ns */
	uint64_t rated_at, rated;    /* when the rate was last taken, and how many were over then */
	double rate;                 /* a second, of late; 0: not known yet */
};

void batch_progress_begin(struct batch_progress *progress, uint64_t now);
void batch_progress_tick(
        struct batch_progress *progress, const struct batch_counts *counts, uint64_t now);
void batch_progress_clear(struct batch_progress *progress); /* before other lines, and at the end */

#endif
