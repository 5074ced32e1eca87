/*
 * A streaming producer whose reader leaves half-way. The reader closes the mailbox; the producer's
 * next send says -EPIPE, and it ends. What was made and not read is given back, nothing is lost,
 * and its error is seen: the producer is a task with an owner, and its result is read.
 *
 * It prints, and exits with status 0:
 *
 *	reader: The quick brown fox jumps
 *	reader: that is enough, good-bye
 *	producer: nobody listens any more
 *	the producer has finished; every word was read or given back
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/quiesce.h>

static const char text[] = "The quick brown fox jumps over the lazy dog , again and again , for "
                           "as long as there is somebody who listens";

static unsigned made, taken, given_back;

static void give_back(void *word, void *arg)
{
	(void)arg;
	given_back++;
	free(word);
}

static int produce_words(qs_task *self, qs_mailbox *stream, char *words)
{
	char *rest = NULL;
	int r = 0;

	for (char *word = strtok_r(words, " ", &rest); r == 0 && word;
	        word = strtok_r(NULL, " ", &rest)) {
		char *copy = strdup(word);

		if (!copy)
			return -ENOMEM;
		made++;
		/* At most four words ahead of the reader; then this waits for it. */
		r = qs_mailbox_send(self, stream, copy, QS_FOREVER);
		if (r < 0)
			give_back(copy, NULL); /* it is still ours */
	}
	return r;
}

static int produce(qs_task *self, void *arg)
{
	qs_mailbox *stream = arg;
	char words[sizeof(text)];

	int r = produce_words(self, stream, strcpy(words, text));
	qs_mailbox_remove_sender(stream); /* that was all: the reader would hear -EPIPE now */
	if (r != -EPIPE)
		return r;
	puts("producer: nobody listens any more");
	return 0;
}

static int read_five_words(qs_task *self, qs_mailbox *stream)
{
	int r = 0;

	printf("reader:");
	for (int i = 0; r == 0 && i < 5; i++) {
		void *word;

		r = qs_mailbox_receive(self, stream, QS_FOREVER, &word);
		if (r < 0)
			break;
		taken++;
		printf(" %s", (char *)word);
		free(word);
	}
	printf("\n");
	return r;
}

static int read_stream(qs_task *self, void *arg)
{
	const struct qs_task_options named = { .name = "producer" };
	const struct qs_mailbox_options options = { .capacity = 4, .drop = give_back };
	struct qs_result result;
	qs_mailbox *stream;
	qs_task *producer;

	(void)arg;
	int r = qs_mailbox_new(qs_task_group(self), &options, &stream);
	if (r < 0)
		return r;
	r = qs_spawn_fiber(qs_task_group(self), &named, produce, stream, &producer);
	if (r < 0) {
		qs_mailbox_remove_sender(stream);
		qs_mailbox_close(stream);
		return r;
	}
	r = read_five_words(self, stream);
	puts("reader: that is enough, good-bye");
	qs_mailbox_close(stream);
	if (r == 0)
		r = qs_task_join(self, producer, QS_FOREVER, &result);
	if (r < 0)
		return r;
	printf("the producer has %s; ", qs_verdict_name(result.verdict));
	puts(made == taken + given_back ? "every word was read or given back" : "words were lost");
	return 0;
}

int main(void)
{
	qs_runtime *runtime;

	if (qs_runtime_new(&runtime) < 0)
		return 1;
	if (qs_spawn_fiber(qs_root(runtime), NULL, read_stream, NULL, NULL) < 0)
		return 1;
	int status = qs_run(runtime);
	qs_runtime_free(runtime);
	return status;
}
