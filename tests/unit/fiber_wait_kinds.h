/* The kinds of wait, each with a scene to wait in and what ends it well: a table for the tests of
 * all. */
#ifndef QUIESCE_FIBER_WAIT_KINDS_H
#define QUIESCE_FIBER_WAIT_KINDS_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/event.h>
#include <quiesce/mailbox.h>
#include <quiesce/semaphore.h>
#include <quiesce/stop.h>
#include <quiesce/task.h>

#include "lib/http.h"

/* What a wait is done in; each kind uses what it needs. */
struct scene {
	qs_group *outer, *inner, *other;
	int fds[2];
	qs_stop *stop;
	qs_event *event, *gate;
	qs_semaphore *semaphore;
	qs_mailbox *mailbox;
	qs_task *tasks[2];
	unsigned dropped;
	struct qs_http http; /* whose driver only keeps ... */
	qs_http_call *call;  /* ... this */
};

extern struct scene scene;

struct kind {
	const char *name;
	bool idle;
	bool real; /* it needs the kernel's time */
	void (*set_up)(void);
	int (*wait)(qs_task *self, uint64_t deadline);
	void (*satisfy)(void);
	void (*tear_down)(void);
};

#define KINDS 17

extern const struct kind kinds[KINDS];

/* Those of which something has to come back. */
int wait_send(qs_task *self, uint64_t deadline);
int wait_semaphore(qs_task *self, uint64_t deadline);

#endif
