/* An event for fibers: set once, it stays set. */
#include <quiesce/event.h>

#include <errno.h>

#include "lib/alloc.h"
#include "lib/fiber.h"

struct qs_event {
	bool set;
	struct list waiting;
};

struct waiter {
	struct qs_wait wait;
	struct list node;
	struct qs_fiber *fiber;
};

static void give_up(struct qs_wait *wait)
{
	list_remove(&container_of(wait, struct waiter, wait)->node);
}

int qs_event_new(qs_event **ret_event)
{
	struct qs_event *event = qs_malloc(sizeof(*event));

	if (!event)
		return -ENOMEM;
	event->set = false;
	list_init(&event->waiting);
	*ret_event = event;
	return 0;
}

void qs_event_free(qs_event *event)
{
	qs_free(event);
}

void qs_event_set(qs_event *event)
{
	event->set = true;
	list_for_each (node, &event->waiting) {
		list_remove(node);
		qs_fiber_wake(list_entry(node, struct waiter, node)->fiber, 0);
	}
}

bool qs_event_is_set(const qs_event *event)
{
	return event->set;
}

int qs_event_wait(qs_task *self, qs_event *event, uint64_t deadline)
{
	struct waiter waiter = {
		.wait = { .name = "event", .nature = QS_WAIT_IDLE, .abort = give_up },
		.fiber = qs_fiber_of(self),
	};

	if (event->set)
		return qs_fiber_check(waiter.fiber, QS_WAIT_IN_FLIGHT);
	list_append(&event->waiting, &waiter.node);
	return qs_fiber_wait(waiter.fiber, &waiter.wait, deadline);
}
