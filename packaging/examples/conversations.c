/*
 * Producer and consumer, with a handler for each conversation. Messages of many conversations come
 * in one stream. A "start" brings a fiber with a mailbox of its own to life, an "end" ends it: the
 * dispatcher is the only sender, and when the last sender is gone, receiving says so. The handlers
 * live in a group, so that none of them can be forgotten.
 *
 * It prints, and exits with status 0:
 *
 *	100000 conversations with 500000 messages, 1000 of them at once
 *	300000 texts were handled
 *	handlers left: 0
 *	memory: back to where it was
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include <quiesce/quiesce.h>

#define CONVERSATIONS 100000
#define AT_ONCE       1000
#define TEXTS         3

enum what { START, TEXT, END };

struct message {
	enum what what;
	unsigned conversation;
};

static unsigned long messages, texts;

static void drop(void *message, void *arg)
{
	(void)arg;
	free(message);
}

static const struct qs_mailbox_options mailbox_options = { .capacity = 8, .drop = drop };

/* --- the producer: somebody out there --- */

static int say(qs_task *self, qs_mailbox *stream, enum what what, unsigned conversation)
{
	struct message *message = malloc(sizeof(*message));

	if (!message)
		return -ENOMEM;
	*message = (struct message){ what, conversation };
	int r = qs_mailbox_send(self, stream, message, QS_FOREVER); /* waits while it is full */
	if (r < 0)
		free(message);
	else
		messages++;
	return r;
}

/* A round: each of a thousand conversations says its next thing. */
static int round_of(qs_task *self, qs_mailbox *stream, unsigned first, enum what what)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < AT_ONCE; i++)
		r = say(self, stream, what, first + i);
	return r;
}

static int produce(qs_task *self, void *arg)
{
	qs_mailbox *stream = arg;
	int r = 0;

	for (unsigned first = 0; r == 0 && first < CONVERSATIONS; first += AT_ONCE) {
		r = round_of(self, stream, first, START);
		for (int i = 0; r == 0 && i < TEXTS; i++)
			r = round_of(self, stream, first, TEXT);
		if (r == 0)
			r = round_of(self, stream, first, END);
	}
	qs_mailbox_remove_sender(stream); /* the stream ends: the dispatcher hears -EPIPE */
	return r == -EPIPE ? 0 : r;       /* nobody listens any more: as well */
}

/* --- the consumer: one handler for each conversation --- */

static void close_mailbox(void *mailbox)
{
	qs_mailbox_close(mailbox);
}

static int handle(qs_task *self, void *arg)
{
	qs_mailbox *mailbox = arg;
	void *message;
	int r = qs_defer(self, close_mailbox, mailbox); /* whatever happens */

	while (r == 0 && (r = qs_mailbox_receive(self, mailbox, QS_FOREVER, &message)) == 0) {
		texts++;
		free(message);
	}
	return r == -EPIPE ? 0 : r; /* the conversation has ended, and that is fine */
}

static int start_conversation(qs_group *handlers, qs_mailbox **ret_mailbox)
{
	const struct qs_task_options options = { .name = "conversation" };
	qs_mailbox *mailbox;
	int r = qs_mailbox_new(handlers, &mailbox_options, &mailbox);

	if (r < 0)
		return r;
	r = qs_spawn_fiber(handlers, &options, handle, mailbox, NULL);
	if (r < 0) {
		qs_mailbox_close(mailbox);
		qs_mailbox_remove_sender(mailbox);
		return r;
	}
	*ret_mailbox = mailbox;
	return 0;
}

static qs_mailbox *open_ones[AT_ONCE]; /* a real program would have a hash table */

static void end_conversation(qs_mailbox **mailbox)
{
	if (*mailbox)
		qs_mailbox_remove_sender(*mailbox);
	*mailbox = NULL;
}

static int dispatch_one(qs_task *self, qs_group *handlers, struct message *message)
{
	qs_mailbox **mailbox = &open_ones[message->conversation % AT_ONCE];
	int r = 0;

	switch (message->what) {
	case START:
		r = start_conversation(handlers, mailbox);
		break;
	case TEXT:
		r = qs_mailbox_send(self, *mailbox, message, QS_FOREVER);
		if (r == 0)
			return 0; /* it is the handler's now */
		break;
	case END:
		end_conversation(mailbox);
		break;
	}
	free(message);
	return r;
}

static size_t memory(void)
{
	return mallinfo2().uordblks;
}

static int dispatch(qs_task *self, void *arg)
{
	qs_mailbox *stream = arg;
	qs_group *handlers; /* this fiber owns it: it cannot end before the handlers have */
	size_t before = 0;
	void *message;
	int r = qs_group_new(qs_task_group(self), NULL, &handlers);

	while (r == 0 && (r = qs_mailbox_receive(self, stream, QS_FOREVER, &message)) == 0) {
		struct message *next = message;

		/* The first thousand have come and gone. */
		if (next->what == START && next->conversation == AT_ONCE)
			before = memory();
		r = dispatch_one(self, handlers, next);
	}
	qs_mailbox_close(stream);
	for (unsigned i = 0; i < AT_ONCE; i++)
		end_conversation(&open_ones[i]); /* those that a Ctrl+C has cut short */
	if (r == -EPIPE)
		r = qs_group_join(self, handlers, QS_FOREVER, NULL);
	printf("%d conversations with %lu messages, %d of them at once\n", CONVERSATIONS, messages,
	        AT_ONCE);
	printf("%lu texts were handled\n", texts);
	printf("handlers left: %lu\n", (unsigned long)qs_group_live(handlers));
	printf("memory: %s\n", memory() <= before + 4096 ? "back to where it was" : "has grown");
	return r;
}

int main(void)
{
	qs_runtime *runtime;
	qs_mailbox *stream;

	if (qs_runtime_new(&runtime) < 0)
		return 1;
	if (qs_mailbox_new(qs_root(runtime), &mailbox_options, &stream) < 0)
		return 1;
	if (qs_spawn_fiber(qs_root(runtime), NULL, produce, stream, NULL) < 0)
		return 1;
	if (qs_spawn_fiber(qs_root(runtime), NULL, dispatch, stream, NULL) < 0)
		return 1;
	int status = qs_run(runtime);
	qs_runtime_free(runtime);
	return status;
}
