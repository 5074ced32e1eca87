/*
 * Mailboxes. The ring and the counts are under a lock, for senders in other threads; who waits is
 * known to the loop's thread alone. Another thread puts its message into the ring and rings the
 * bell; when the loop hears it, it hands on what lies there.
 */
#include <quiesce/mailbox.h>

#include <errno.h>
#include <pthread.h>

#include "lib/alloc.h"
#include "lib/bell.h"
#include "lib/fiber.h"

struct qs_mailbox {
	struct qs_bells *bells; /* untouched once it is closed */
	struct qs_mailbox_options options;
	struct list receivers, senders; /* that wait */
	struct qs_bell bell;

	pthread_mutex_t lock; /* for all below */
	size_t head, count, sender_count;
	bool closed, released; /* the latter: the last sender frees it */
	void *ring[];
};

struct transfer {
	struct qs_wait wait;
	struct list node;
	struct qs_fiber *fiber;
	void *message;
	struct qs_mailbox_options options; /* of a receiver's mailbox, which may be gone by then */
};

/* --- the ring, under the lock --- */

static bool put(struct qs_mailbox *mailbox, void *message)
{
	unsigned capacity = mailbox->options.capacity;

	if (mailbox->count == capacity)
		return false;
	mailbox->ring[(mailbox->head + mailbox->count++) % capacity] = message;
	return true;
}

static bool take(struct qs_mailbox *mailbox, void **ret_message)
{
	if (mailbox->count == 0)
		return false;
	*ret_message = mailbox->ring[mailbox->head];
	mailbox->head = (mailbox->head + 1) % mailbox->options.capacity;
	mailbox->count--;
	return true;
}

/* --- who waits --- */

static struct transfer *first_of(struct list *waiting)
{
	return list_empty(waiting) ? NULL : list_entry(waiting->next, struct transfer, node);
}

static void finish(struct transfer *transfer, int result)
{
	list_remove(&transfer->node);
	qs_fiber_wake(transfer->fiber, result);
}

/* Hands on for as long as anybody can go on; the lock is held. */
static void settle(struct qs_mailbox *mailbox)
{
	struct transfer *receiver, *sender;

	while ((receiver = first_of(&mailbox->receivers)) && take(mailbox, &receiver->message))
		finish(receiver, 0);
	while ((sender = first_of(&mailbox->senders)) && put(mailbox, sender->message))
		finish(sender, 0);
	while (mailbox->sender_count == 0 && (receiver = first_of(&mailbox->receivers)))
		finish(receiver, -EPIPE);
}

static void bell_heard(struct qs_bell *bell)
{
	struct qs_mailbox *mailbox = container_of(bell, struct qs_mailbox, bell);

	pthread_mutex_lock(&mailbox->lock);
	settle(mailbox);
	pthread_mutex_unlock(&mailbox->lock);
}

static void give_up(struct qs_wait *wait)
{
	list_remove(&container_of(wait, struct transfer, wait)->node);
}

/* Its receiver was killed before it knew that it had received something. */
static void drop_received(struct qs_wait *wait)
{
	struct transfer *transfer = container_of(wait, struct transfer, wait);
	const struct qs_mailbox_options *options = &transfer->options;

	if (options->drop)
		options->drop(transfer->message, options->arg);
}

/* --- making and closing --- */

int qs_mailbox_new(
        qs_group *group, const struct qs_mailbox_options *options, qs_mailbox **ret_mailbox)
{
	unsigned capacity = options ? MAX(options->capacity, 1U) : 1U;
	struct qs_mailbox *mailbox = qs_malloc(sizeof(*mailbox) + capacity * sizeof(void *));

	if (!mailbox)
		return -ENOMEM;
	*mailbox = (struct qs_mailbox){ .bells = qs_fibers_bells(group->context->fibers),
		.sender_count = 1 };
	if (options)
		mailbox->options = *options;
	mailbox->options.capacity = capacity;
	list_init(&mailbox->receivers);
	list_init(&mailbox->senders);
	qs_bell_init(&mailbox->bell, bell_heard);
	pthread_mutex_init(&mailbox->lock, NULL);
	*ret_mailbox = mailbox;
	return 0;
}

static void destroy(struct qs_mailbox *mailbox)
{
	pthread_mutex_destroy(&mailbox->lock);
	qs_free(mailbox);
}

static void empty(struct qs_mailbox *mailbox)
{
	const struct qs_mailbox_options *options = &mailbox->options;
	struct transfer *transfer;
	void *message;

	while ((transfer = first_of(&mailbox->receivers)))
		finish(transfer, -ECANCELED);
	while ((transfer = first_of(&mailbox->senders)))
		finish(transfer, -EPIPE);
	while (take(mailbox, &message))
		if (options->drop)
			options->drop(message, options->arg);
}

void qs_mailbox_close(qs_mailbox *mailbox)
{
	bool last;

	if (!mailbox)
		return;
	pthread_mutex_lock(&mailbox->lock);
	mailbox->closed = true;
	pthread_mutex_unlock(&mailbox->lock);
	/* Nobody rings it any more, and nobody else looks at the ring. */
	qs_bell_silence(mailbox->bells, &mailbox->bell);
	empty(mailbox);
	pthread_mutex_lock(&mailbox->lock);
	mailbox->released = true;
	last = mailbox->sender_count == 0;
	pthread_mutex_unlock(&mailbox->lock);
	if (last)
		destroy(mailbox);
}

qs_mailbox *qs_mailbox_add_sender(qs_mailbox *mailbox)
{
	pthread_mutex_lock(&mailbox->lock);
	mailbox->sender_count++;
	pthread_mutex_unlock(&mailbox->lock);
	return mailbox;
}

void qs_mailbox_remove_sender(qs_mailbox *mailbox)
{
	bool last, released;

	pthread_mutex_lock(&mailbox->lock);
	last = --mailbox->sender_count == 0;
	released = mailbox->released;
	/* Under the lock: it cannot be closed and silenced meanwhile. */
	if (last && !mailbox->closed)
		qs_bell_ring(mailbox->bells, &mailbox->bell);
	pthread_mutex_unlock(&mailbox->lock);
	if (last && released)
		destroy(mailbox);
}

/* --- sending and receiving --- */

int qs_mailbox_post(qs_mailbox *mailbox, void *message)
{
	int r = 0;

	pthread_mutex_lock(&mailbox->lock);
	if (mailbox->closed)
		r = -EPIPE;
	else if (!put(mailbox, message))
		r = -EAGAIN;
	else
		qs_bell_ring(mailbox->bells, &mailbox->bell);
	pthread_mutex_unlock(&mailbox->lock);
	return r;
}

/* Who came before and waits goes first. */
static int send_at_once(struct qs_mailbox *mailbox, void *message)
{
	int r = 0;

	pthread_mutex_lock(&mailbox->lock);
	if (mailbox->closed)
		r = -EPIPE;
	else if (!list_empty(&mailbox->senders) || !put(mailbox, message))
		r = -EAGAIN;
	else
		settle(mailbox);
	pthread_mutex_unlock(&mailbox->lock);
	return r;
}

int qs_mailbox_send(qs_task *self, qs_mailbox *mailbox, void *message, uint64_t deadline)
{
	struct transfer transfer = {
		.wait = { .name = "mailbox send", .nature = QS_WAIT_IN_FLIGHT, .abort = give_up },
		.fiber = qs_fiber_of(self),
		.message = message,
	};
	int r = qs_fiber_check(transfer.fiber, QS_WAIT_IN_FLIGHT);

	if (r == 0)
		r = send_at_once(mailbox, message);
	if (r != -EAGAIN)
		return r;
	list_append(&mailbox->senders, &transfer.node);
	return qs_fiber_wait(transfer.fiber, &transfer.wait, deadline);
}

/* Who came before goes first: what other threads have sent may not have been handed on yet. */
static int receive_at_once(struct qs_mailbox *mailbox, void **ret_message)
{
	int r = 0;

	pthread_mutex_lock(&mailbox->lock);
	settle(mailbox);
	if (mailbox->closed)
		r = -ECANCELED;
	else if (list_empty(&mailbox->receivers) && take(mailbox, ret_message))
		settle(mailbox);
	else
		r = mailbox->sender_count == 0 ? -EPIPE : -EAGAIN;
	pthread_mutex_unlock(&mailbox->lock);
	return r;
}

int qs_mailbox_receive(qs_task *self, qs_mailbox *mailbox, uint64_t deadline, void **ret_message)
{
	struct transfer transfer = {
		.wait = { .name = "mailbox receive",
		        .nature = QS_WAIT_IDLE,
		        .abort = give_up,
		        .undo = drop_received },
		.fiber = qs_fiber_of(self),
		.options = mailbox->options,
	};
	int r = qs_fiber_check(transfer.fiber, QS_WAIT_IN_FLIGHT);

	if (r == 0)
		r = receive_at_once(mailbox, &transfer.message);
	if (r == -EAGAIN) {
		list_append(&mailbox->receivers, &transfer.node);
		r = qs_fiber_wait(transfer.fiber, &transfer.wait, deadline);
	}
	if (r == 0)
		*ret_message = transfer.message;
	return r;
}

size_t qs_mailbox_count(qs_mailbox *mailbox)
{
	size_t count;

	pthread_mutex_lock(&mailbox->lock);
	count = mailbox->count;
	pthread_mutex_unlock(&mailbox->lock);
	return count;
}
