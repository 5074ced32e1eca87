/* One datagram of the systemd notify protocol, taken apart. Pure; input is not trusted. */
#ifndef QS_NOTIFY_MESSAGE_H
#define QS_NOTIFY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <quiesce/export.h>

#define QS_NOTIFY_STATUS_MAX  256 /* with the NUL; longer texts are cut at a character's edge */
#define QS_NOTIFY_MESSAGE_MAX 4096

struct qs_notify_message {
	bool ready, stopping, reloading, watchdog, watchdog_trigger, barrier, has_status;
	uint64_t extend_timeout;           /* ns, 0: not in it */
	uint64_t watchdog_span;            /* WATCHDOG_USEC=, ns, 0: not in it */
	pid_t main_pid;                    /* 0: not in it */
	int error_number;                  /* ERRNO=, 0: not in it */
	char status[QS_NOTIFY_STATUS_MAX]; /* valid UTF-8 without control characters */
};

/* Unknown fields pass, bad values of known ones are left out. -EBADMSG when no line is NAME=VALUE.
 */
QS_MUST_CHECK int qs_notify_message_parse(
        const char *data, size_t size, struct qs_notify_message *ret_message);

#endif
