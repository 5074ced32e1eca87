/*
 * A mailbox: a bounded queue of pointers from many senders to whoever receives. It counts its
 * senders: when the last is gone and all is received, there is nothing to wait for any more.
 *
 * A message belongs to the mailbox from the moment it was sent until it is received. Messages that
 * nobody will receive are dropped: see qs_mailbox_options.
 */
#ifndef QUIESCE_MAILBOX_H
#define QUIESCE_MAILBOX_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/task.h>

QS_BEGIN_DECLS

typedef struct qs_mailbox qs_mailbox;

struct qs_mailbox_options {
	unsigned capacity; /* messages; 0: 1 */
	/* Takes a message that nobody received, when the mailbox closes or its receiver was killed.
	 * Loop thread. NULL: it is lost. */
	void (*drop)(void *message, void *arg);
	void *arg;
};

/*
 * Makes one for the runtime of that group, with one sender: its maker. The maker lets go of both:
 * qs_mailbox_remove_sender and qs_mailbox_close. -ENOMEM. Loop thread.
 */
QS_EXPORT QS_MUST_CHECK int qs_mailbox_new(
        qs_group *group, const struct qs_mailbox_options *options, qs_mailbox **ret_mailbox);

/*
 * Nothing is received any more: what lies in it is dropped, sends fail with -EPIPE, and receives
 * with -ECANCELED. The memory goes with the last sender. NULL is fine. Loop thread.
 */
QS_EXPORT void qs_mailbox_close(qs_mailbox *mailbox);

/* One more sender, by someone who is one; and one less. Any thread. */
QS_EXPORT qs_mailbox *qs_mailbox_add_sender(qs_mailbox *mailbox);
QS_EXPORT void qs_mailbox_remove_sender(qs_mailbox *mailbox);

/*
 * Sends, and waits while it is full. In flight: a message is not lost because of an ask. -EPIPE: it
 * is closed. When it fails the message is still the caller's.
 */
QS_EXPORT QS_MUST_CHECK int qs_mailbox_send(
        qs_task *self, qs_mailbox *mailbox, void *message, uint64_t deadline);

/* Sends without waiting, by a sender. -EAGAIN: it is full. -EPIPE: it is closed. Any thread. */
QS_EXPORT QS_MUST_CHECK int qs_mailbox_post(qs_mailbox *mailbox, void *message);

/*
 * Receives, and waits while it is empty. Idle; but what lies in it already is received after an ask
 * too. -EPIPE: it is empty and its last sender is gone.
 */
QS_EXPORT QS_MUST_CHECK int qs_mailbox_receive(
        qs_task *self, qs_mailbox *mailbox, uint64_t deadline, void **ret_message);

/* How many messages lie in it. Any thread. */
QS_EXPORT size_t qs_mailbox_count(qs_mailbox *mailbox);

QS_END_DECLS

#endif
