/*
 * A semaphore: so many at once, the rest in the order they came. For fibers of one runtime; loop
 * thread only.
 */
#ifndef QUIESCE_SEMAPHORE_H
#define QUIESCE_SEMAPHORE_H

#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/task.h>

QS_BEGIN_DECLS

typedef struct qs_semaphore qs_semaphore;

/* With that many permits. -ENOMEM. */
QS_EXPORT QS_MUST_CHECK int qs_semaphore_new(unsigned permits, qs_semaphore **ret_semaphore);

/* Nobody may wait for it. NULL is fine. */
QS_EXPORT void qs_semaphore_free(qs_semaphore *semaphore);

/*
 * Takes a permit, waits for one if need be. Idle: the work it is for has not begun. So a task that
 * was asked to end gets -ESHUTDOWN even if there is a permit.
 */
QS_EXPORT QS_MUST_CHECK int qs_semaphore_acquire(
        qs_task *self, qs_semaphore *semaphore, uint64_t deadline);

/* Gives a permit back, not necessarily one's own. */
QS_EXPORT void qs_semaphore_release(qs_semaphore *semaphore);

/* How many permits there are just now. */
QS_EXPORT unsigned qs_semaphore_available(const qs_semaphore *semaphore);

QS_END_DECLS

#endif
