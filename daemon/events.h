/*
 * What happens, told to whoever watches: a stream of small JSON objects. Loop thread only.
 * {"seq": 12, "time": "2026-…Z", "event": "worker-state", "worker": …, …}
 */
#ifndef QUIESCED_EVENTS_H
#define QUIESCED_EVENTS_H

#include <stdint.h>

#include <jansson.h>

#include "lib/list.h"

struct events {
	struct list observers;
	uint64_t next_seq;
};

struct events_observer {
	struct list node;
	/* `line` is the object as one line of JSON without newline; valid during the call. */
	void (*event)(struct events_observer *observer, const char *line, size_t length);
};

void events_init(struct events *events);
void events_subscribe(struct events *events, struct events_observer *observer);
void events_unsubscribe(struct events_observer *observer);

/*
 * Takes ownership of `body`, an object (NULL: one that could not be made is told as lost). Adds
 * seq, time and event. Does nothing while nobody watches.
 */
void events_emit(struct events *events, const char *event, json_t *body);

#endif
