/*
 * Time. A point in time is an absolute CLOCK_MONOTONIC value in nanoseconds, a span is a number of
 * nanoseconds; both are uint64_t. QS_FOREVER is later than any time and longer than any span.
 */
#ifndef QUIESCE_CLOCK_H
#define QUIESCE_CLOCK_H

#include <stdint.h>

#include <quiesce/export.h>

#define QS_NSEC    UINT64_C(1)
#define QS_USEC    (UINT64_C(1000) * QS_NSEC)
#define QS_MSEC    (UINT64_C(1000) * QS_USEC)
#define QS_SEC     (UINT64_C(1000) * QS_MSEC)
#define QS_MIN     (UINT64_C(60) * QS_SEC)
#define QS_HOUR    (UINT64_C(60) * QS_MIN)
#define QS_FOREVER UINT64_MAX

QS_BEGIN_DECLS

/* The present time of the kernel's monotonic clock. Any thread; async-signal-safe. */
QS_EXPORT uint64_t qs_time_now(void);

/* The time `span` after `at`, QS_FOREVER instead of an overflow. */
QS_EXPORT uint64_t qs_time_add(uint64_t at, uint64_t span);

/* The span from `earlier` to `later`; 0 if it is not later. QS_FOREVER minus anything is
 * QS_FOREVER. */
QS_EXPORT uint64_t qs_time_sub(uint64_t later, uint64_t earlier);

QS_END_DECLS

#endif
