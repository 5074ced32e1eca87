/*
 * An event is put together once, whoever watches. Watchers come first in nobody's mind: while there
 * are none, nothing is made, and one that cannot be made is told as lost, in its place.
 */
#include "daemon/events.h"

#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/macro.h"

void events_init(struct events *events)
{
	list_init(&events->observers);
	events->next_seq = 1;
}

void events_subscribe(struct events *events, struct events_observer *observer)
{
	list_append(&events->observers, &observer->node);
}

void events_unsubscribe(struct events_observer *observer)
{
	list_remove(&observer->node);
}

static void tell(struct events *events, const char *line, size_t length)
{
	list_for_each (node, &events->observers) {
		struct events_observer *observer = list_entry(node, struct events_observer, node);
		observer->event(observer, line, length);
	}
}

/* The object as text, its three first fields in front. malloc'ed, NULL without memory. */
static char *compose(uint64_t seq, const char *time_text, const char *event, json_t *body)
{
	json_t *object = json_pack(
	        "{s:I, s:s, s:s}", "seq", (json_int_t)seq, "time", time_text, "event", event);
	char *line = NULL;
	if (object && body && json_object_update(object, body) == 0)
		line = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return line;
}

void events_emit(struct events *events, const char *event, json_t *body)
{
	char time_text[QS_WALL_TEXT_SIZE], lost[256];
	if (list_empty(&events->observers)) {
		json_decref(body);
		return;
	}
	uint64_t seq = events->next_seq++;
	qs_clock_format_wall(qs_clock_wall_usec(), time_text);
	_cleanup_(freep) char *line = compose(seq, time_text, event, body);
	json_decref(body);
	if (!line)
		snprintf(lost, sizeof(lost),
		        "{\"seq\":%ju,\"time\":\"%s\",\"event\":\"%s\",\"lost\":true}",
		        (uintmax_t)seq, time_text, event);
	tell(events, line ? line : lost, strlen(line ? line : lost));
}
