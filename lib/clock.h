/*
 * The clock of a runtime: the kernel's, or a virtual one that stands still until it is advanced.
 * Each reading is also kept as the coarse time, which any thread may look at for free. Nothing but
 * clock.c asks the kernel for the time.
 */
#ifndef QS_LIB_CLOCK_H
#define QS_LIB_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>

#include <quiesce/clock.h>

#include "lib/macro.h"

struct qs_clock {
	_Atomic uint64_t coarse;
	_Atomic uint64_t virtual_now;
	bool is_virtual;
};

void qs_clock_init(struct qs_clock *clock);
void qs_clock_init_virtual(struct qs_clock *clock, uint64_t now);

/* The present time; refreshes the coarse time. */
QS_SIBLING uint64_t qs_clock_read(struct qs_clock *clock);

/* The time of the latest reading, whoever made it. */
static inline uint64_t qs_clock_coarse(const struct qs_clock *clock)
{
	return atomic_load_explicit(&clock->coarse, memory_order_relaxed);
}

/* Moves a virtual clock forward; never backwards. */
void qs_clock_advance_to(struct qs_clock *clock, uint64_t now);

/* CLOCK_REALTIME in microseconds since 1970, for what people and other programs read. */
QS_SIBLING uint64_t qs_clock_wall_usec(void);

/* The wall time of a monotonic point in time, by the present offset of the two. */
uint64_t qs_clock_wall_usec_of(uint64_t at);

/* "2026-11-21T10:01:02.345Z": 25 bytes with the NUL. Allocates nothing. Returns `buffer`. */
#define QS_WALL_TEXT_SIZE 32
char *qs_clock_format_wall(uint64_t wall_usec, char buffer[static QS_WALL_TEXT_SIZE]);

#endif
