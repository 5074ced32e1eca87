/*
 * The stop event: the shared flag that background tasks poll. It is sticky, it carries a reason
 * (the first one wins) and a deadline, and events form a tree: setting one sets everything below.
 * It has four faces: poll it, wait for its descriptor, be called back, hand it to a child process.
 */
#ifndef QUIESCE_STOP_H
#define QUIESCE_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/words.h>

QS_BEGIN_DECLS

typedef struct qs_stop qs_stop;

struct qs_stop_reason {
	enum qs_cause cause; /* why */
	char detail[64];     /* who, for people: "signal SIGTERM", "api uid 0"; cut if longer */
	uint64_t at;         /* when it was set (absolute, ns) */
	uint64_t deadline;   /* when patience ends (absolute, ns), QS_FOREVER for never */
};

typedef void (*qs_stop_fn)(qs_stop *stop, void *arg);

/*
 * Makes an event below `parent` (NULL: a tree of its own). The caller owns it and must free all
 * events below it first. One set before, or above it, makes it born set. -ENOMEM, -EMFILE, -ENFILE
 * (a root holds one eventfd). Any thread.
 */
QS_EXPORT QS_MUST_CHECK int qs_stop_new(qs_stop *parent, qs_stop **ret_stop);
QS_EXPORT void qs_stop_free(qs_stop *stop);

/* Whether it or anything above it is set: one atomic load while nothing in the tree is. Any thread.
 */
QS_EXPORT bool qs_stop_is_set(const qs_stop *stop);

/*
 * Sets it and with it everything below. Returns 1 if this call was the first, 0 if it was set
 * already: then nothing changes. `reason->at` 0 means now. Any thread; not from a signal handler.
 */
QS_EXPORT int qs_stop_set(qs_stop *stop, const struct qs_stop_reason *reason);

/*
 * The same from a signal handler (async-signal-safe): polls see it at once; descriptors and
 * callbacks follow when the tree is next dispatched, which its wake descriptor asks for.
 */
QS_EXPORT int qs_stop_set_from_signal(qs_stop *stop, enum qs_cause cause, int signo);

/* The reason of the nearest set event at or above it. -ENODATA when none is set. Any thread. */
QS_EXPORT QS_MUST_CHECK int qs_stop_get_reason(
        const qs_stop *stop, struct qs_stop_reason *ret_reason);

/*
 * A descriptor that becomes and stays readable once it is set; made at the first call, owned by
 * the event, never to be read or closed by the caller. -EMFILE, -ENFILE, -ENOMEM. Any thread.
 */
QS_EXPORT QS_MUST_CHECK int qs_stop_fd(qs_stop *stop);

/* Blocks until it is set (0), or `deadline` has passed (-ETIMEDOUT), or a signal came (-EINTR). */
QS_EXPORT QS_MUST_CHECK int qs_stop_wait(qs_stop *stop, uint64_t deadline);

/*
 * Calls `fn` once it is set, in the thread that dispatches the tree (a runtime's loop), also when
 * it is set already. Returns an id above 0. -ENOMEM. Any thread.
 */
QS_EXPORT QS_MUST_CHECK int64_t qs_stop_add_callback(qs_stop *stop, qs_stop_fn fn, void *arg);

/*
 * Takes a callback back. Returns 1 if it will not run any more, 0 if it has run or is unknown. In
 * another thread than the dispatching one it waits for a call that is under way.
 */
QS_EXPORT int qs_stop_remove_callback(qs_stop *stop, int64_t id);

/*
 * The line a child process reads from its QUIESCE_STOP_FD: "stop reason=TOKEN deadline_usec=N\n",
 * N the absolute CLOCK_MONOTONIC in microseconds, 18446744073709551615 for none. Returns its length
 * or -ENOBUFS. Allocates nothing.
 */
QS_EXPORT QS_MUST_CHECK int qs_stop_format(
        const struct qs_stop_reason *reason, char *buffer, size_t size);

/* Reads such a line, with or without its newline. -EBADMSG when it is none. Unknown fields pass. */
QS_EXPORT QS_MUST_CHECK int qs_stop_parse(
        const char *line, size_t length, struct qs_stop_reason *ret_reason);

/*
 * For the owner of a tree's root: the descriptor that asks for a dispatch, and the dispatch, which
 * makes every due descriptor readable and calls every due callback. One dispatching thread a tree.
 * A callback may free any event but the root, its own too.
 */
QS_EXPORT int qs_stop_wake_fd(const qs_stop *root);
QS_EXPORT void qs_stop_dispatch(qs_stop *root);

QS_END_DECLS

#endif
