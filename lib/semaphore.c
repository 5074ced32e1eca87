/*
 * A semaphore for fibers. A permit that is given back goes straight to the first who waits, so that
 * nobody overtakes; killed before it could hear of that, it hands the permit on.
 */
#include <quiesce/semaphore.h>

#include <errno.h>

#include "lib/alloc.h"
#include "lib/fiber.h"

struct qs_semaphore {
	unsigned permits;
	struct list waiting;
};

struct acquisition {
	struct qs_wait wait;
	struct list node;
	struct qs_fiber *fiber;
	struct qs_semaphore *semaphore;
};

static struct acquisition *acquisition_of(struct qs_wait *wait)
{
	return container_of(wait, struct acquisition, wait);
}

static void give_up(struct qs_wait *wait)
{
	list_remove(&acquisition_of(wait)->node);
}

static void hand_on(struct qs_wait *wait)
{
	qs_semaphore_release(acquisition_of(wait)->semaphore);
}

int qs_semaphore_new(unsigned permits, qs_semaphore **ret_semaphore)
{
	struct qs_semaphore *semaphore = qs_malloc(sizeof(*semaphore));

	if (!semaphore)
		return -ENOMEM;
	semaphore->permits = permits;
	list_init(&semaphore->waiting);
	*ret_semaphore = semaphore;
	return 0;
}

void qs_semaphore_free(qs_semaphore *semaphore)
{
	qs_free(semaphore);
}

int qs_semaphore_acquire(qs_task *self, qs_semaphore *semaphore, uint64_t deadline)
{
	struct qs_fiber *fiber = qs_fiber_of(self);
	struct acquisition acquisition = {
		.wait = { .name = "semaphore",
		        .nature = QS_WAIT_IDLE,
		        .abort = give_up,
		        .undo = hand_on },
		.fiber = fiber,
		.semaphore = semaphore,
	};
	int r = qs_fiber_check(fiber, QS_WAIT_IDLE);

	if (r < 0)
		return r;
	if (semaphore->permits > 0) {
		semaphore->permits--;
		return 0;
	}
	list_append(&semaphore->waiting, &acquisition.node);
	return qs_fiber_wait(fiber, &acquisition.wait, deadline);
}

void qs_semaphore_release(qs_semaphore *semaphore)
{
	struct list *first = semaphore->waiting.next;

	if (first == &semaphore->waiting) {
		semaphore->permits++;
		return;
	}
	list_remove(first);
	qs_fiber_wake(list_entry(first, struct acquisition, node)->fiber, 0);
}

unsigned qs_semaphore_available(const qs_semaphore *semaphore)
{
	return semaphore->permits;
}
