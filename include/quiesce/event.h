/*
 * An event: something that happens once. For fibers of one runtime; loop thread only. (A stop event
 * is for all threads; see stop.h.)
 */
#ifndef QUIESCE_EVENT_H
#define QUIESCE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/task.h>

QS_BEGIN_DECLS

typedef struct qs_event qs_event;

QS_EXPORT QS_MUST_CHECK int qs_event_new(qs_event **ret_event); /* -ENOMEM */

/* Nobody may wait for it. NULL is fine. */
QS_EXPORT void qs_event_free(qs_event *event);

/* It has happened: whoever waits goes on, whoever comes later does not wait. */
QS_EXPORT void qs_event_set(qs_event *event);
QS_EXPORT bool qs_event_is_set(const qs_event *event);

/* Waits until it has happened: 0. Idle, but for an event that has happened already. */
QS_EXPORT QS_MUST_CHECK int qs_event_wait(qs_task *self, qs_event *event, uint64_t deadline);

QS_END_DECLS

#endif
