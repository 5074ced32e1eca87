/*
 * Speaking with the service manager above us: the only file with systemd/ behind it. Without a
 * manager ($NOTIFY_SOCKET unset) every call is a quiet 0. Errors are negative errno values that
 * nobody needs to act on: a manager that does not listen is not our failure.
 */
#ifndef QS_NOTIFY_H
#define QS_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qs_notify {
	uint64_t watchdog; /* the span within which a ping is expected, ns; 0: none */
	int listen_fds;    /* how many descriptors were passed, from 3 on */
	bool managed;      /* somebody listens */
	bool journal; /* standard error is the journal: $JOURNAL_STREAM says so and it is true */
};

/*
 * Reads the environment and leaves it as it is: who starts children takes these variables out of
 * theirs. Passed descriptors become close-on-exec and non-blocking.
 */
void qs_notify_init(struct qs_notify *notify);

/*
 * Thread-safe, no allocation, so that the guard may call them while the loop is stuck. A manager
 * that does not read is waited for by ready, reloading and stopping for a few milliseconds, by the
 * others not at all: -EAGAIN. Control characters in a status become spaces; a long one is cut.
 */
int qs_notify_ready(const char *status);
int qs_notify_status(const char *status);
int qs_notify_reloading(void); /* RELOADING=1 and MONOTONIC_USEC= in one datagram */
int qs_notify_stopping(const char *status);
int qs_notify_extend(uint64_t span);
int qs_notify_watchdog(void);

/* The name of the i-th passed descriptor, "" when it has none. Returns `buffer`. */
char *qs_notify_fd_name(int index, char *buffer, size_t size);

#endif
