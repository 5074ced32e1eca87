/* The queue of posted functions: a list under a mutex, taken as a whole by the thread that runs it.
 */
#include "lib/post_queue.h"

#include <errno.h>

#include "lib/alloc.h"
#include "lib/macro.h"

struct post {
	struct list node;
	void (*fn)(void *arg);
	void *arg;
};

void post_queue_init(struct post_queue *queue)
{
	pthread_mutex_init(&queue->lock, NULL);
	list_init(&queue->posts);
	list_init(&queue->taken);
	queue->closed = false;
}

void post_queue_done(struct post_queue *queue)
{
	list_move_all(&queue->taken, &queue->posts);
	list_for_each (node, &queue->taken)
		qs_free(list_entry(node, struct post, node));
	pthread_mutex_destroy(&queue->lock);
}

int post_queue_add(struct post_queue *queue, void (*fn)(void *arg), void *arg)
{
	_cleanup_(qs_freep) struct post *post = qs_malloc(sizeof(*post));
	int r;

	if (!post)
		return -ENOMEM;
	*post = (struct post){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&queue->lock);
	if (queue->closed) {
		r = -ESHUTDOWN;
	} else {
		r = list_empty(&queue->posts);
		list_append(&queue->posts, &TAKE(post, NULL)->node);
	}
	pthread_mutex_unlock(&queue->lock);
	return r;
}

void post_queue_close(struct post_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->closed = true;
	pthread_mutex_unlock(&queue->lock);
}

bool post_queue_run(struct post_queue *queue)
{
	bool any = false;

	pthread_mutex_lock(&queue->lock);
	list_move_all(&queue->taken, &queue->posts);
	pthread_mutex_unlock(&queue->lock);
	while (!list_empty(&queue->taken)) {
		struct post *post = list_entry(queue->taken.next, struct post, node);
		struct post copy = *post;

		list_remove(&post->node);
		qs_free(post);
		copy.fn(copy.arg);
		any = true;
	}
	return any;
}
