/*
 * The threads' side: workers of the pool and threads of their own, the queue they take from, and
 * the list where they leave what is over. All of it is under one lock that is held for a few
 * instructions, and lives until the last thread has let go of it.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "lib/alloc.h"
#include "lib/eventfd.h"
#include "lib/macro.h"
#include "lib/thread.h"

#define DEFAULT_LIMIT 64

struct worker {
	struct thread_hub *hub;
	struct list node; /* in the hub */
	pthread_t thread;
	struct qs_thread *runs; /* NULL while it waits for work */
	bool detached;          /* the loop is gone, and nobody joins it: it frees itself */
};

/* --- the signal that makes blocking calls return --- */

/* It has nothing to do but to be there: without it and without SA_RESTART nothing is interrupted.
 */
static void wake_up(int signo _unused_)
{
}

/* A handler of the host program's is left alone. */
static int install_wake_handler(int signo)
{
	const struct sigaction ours = { .sa_handler = wake_up };
	struct sigaction present;

	if (sigaction(signo, NULL, &present) < 0)
		return -errno;
	if (present.sa_handler != SIG_DFL && present.sa_handler != SIG_IGN)
		return 0;
	return sigaction(signo, &ours, NULL) < 0 ? -errno : 0;
}

static void let_signal_in(int signo)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void thread_wake(struct qs_thread *thread)
{
	if (thread->state == THREAD_RUNNING)
		(void)pthread_kill(thread->runner, thread->hub->wake_signal);
}

/* --- jobs --- */

void qs_thread_unref(struct qs_thread *thread)
{
	if (atomic_fetch_sub_explicit(&thread->users, 1, memory_order_acq_rel) != 1)
		return;
	qs_stop_free(thread->stop);
	qs_ground_unref(thread->ground);
	thread_hub_unref(thread->hub);
	qs_free(thread);
}

void thread_is_over(struct qs_thread *thread, int result)
{
	struct thread_hub *hub = thread->hub;

	thread->state = THREAD_OVER;
	thread->result = result;
	if (hub->closed)
		return;
	list_append(&hub->over, &thread->node);
	eventfd_raise(hub->over_fd);
}

/* The lock is held at the beginning and at the end. */
static void run(struct qs_thread *thread)
{
	struct thread_hub *hub = thread->hub;

	thread->state = THREAD_RUNNING;
	thread->runner = pthread_self();
	pthread_mutex_unlock(&hub->lock);
	int result = thread->fn(&thread->task, thread->arg);
	pthread_mutex_lock(&hub->lock);
	bool deserted = thread->deserted;
	thread_is_over(thread, result);
	pthread_mutex_unlock(&hub->lock);
	if (deserted && thread->discard)
		thread->discard(thread->arg);
	pthread_mutex_lock(&hub->lock);
}

/* --- a thread of its own --- */

static void name_thread(const struct qs_thread *thread)
{
	char name[16];

	memcpy(name, thread->record->name, sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)pthread_setname_np(pthread_self(), name[0] ? name : "thread");
}

static void *own_main(void *arg)
{
	struct qs_thread *thread = arg;
	struct thread_hub *hub = thread->hub;

	let_signal_in(hub->wake_signal);
	pthread_mutex_lock(&hub->lock);
	if (!thread->dropped) {
		name_thread(thread);
		run(thread);
	}
	pthread_mutex_unlock(&hub->lock);
	qs_thread_unref(thread);
	return NULL;
}

int thread_start(struct qs_thread *thread, size_t stack_size)
{
	pthread_attr_t attributes;
	int r = pthread_attr_init(&attributes);

	if (r != 0)
		return -r;
	if (stack_size > 0)
		r = pthread_attr_setstacksize(&attributes, stack_size);
	if (r == 0)
		r = pthread_create(&thread->own, &attributes, own_main, thread);
	pthread_attr_destroy(&attributes);
	return -r;
}

/* --- the pool --- */

static struct qs_thread *next_in_queue(struct thread_hub *hub)
{
	while (list_empty(&hub->queue) && !hub->closed) {
		hub->idle++;
		pthread_cond_wait(&hub->work, &hub->lock);
		hub->idle--;
	}
	if (list_empty(&hub->queue))
		return NULL;
	struct qs_thread *thread = list_entry(hub->queue.next, struct qs_thread, node);
	thread_hub_withdraw(thread);
	return thread;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct thread_hub *hub = worker->hub;

	let_signal_in(hub->wake_signal);
	(void)pthread_setname_np(pthread_self(), "pool");
	pthread_mutex_lock(&hub->lock);
	while ((worker->runs = next_in_queue(hub)) != NULL) {
		struct qs_thread *thread = worker->runs;

		run(thread);
		worker->runs = NULL;
		pthread_mutex_unlock(&hub->lock);
		qs_thread_unref(thread);
		pthread_mutex_lock(&hub->lock);
	}
	bool detached = worker->detached;
	pthread_mutex_unlock(&hub->lock);
	if (detached)
		qs_free(worker);
	thread_hub_unref(hub);
	return NULL;
}

static int add_worker(struct thread_hub *hub)
{
	struct worker *worker = qs_malloc(sizeof(*worker));

	if (!worker)
		return -ENOMEM;
	*worker = (struct worker){ .hub = hub };
	atomic_fetch_add(&hub->users, 1);
	int r = pthread_create(&worker->thread, NULL, worker_main, worker);
	if (r != 0) {
		atomic_fetch_sub(&hub->users, 1);
		qs_free(worker);
		return -r;
	}
	list_append(&hub->workers, &worker->node);
	hub->worker_count++;
	return 0;
}

int thread_hub_submit(struct thread_hub *hub, struct qs_thread *thread)
{
	int r = 0;

	if (hub->worker_count < hub->limit && hub->queued >= hub->idle)
		r = add_worker(hub);
	/* Fewer threads are slower, none is an error. */
	if (r < 0 && hub->worker_count == 0)
		return r;
	list_append(&hub->queue, &thread->node);
	hub->queued++;
	pthread_cond_signal(&hub->work);
	return 0;
}

void thread_hub_withdraw(struct qs_thread *thread)
{
	list_remove(&thread->node);
	thread->hub->queued--;
}

/* --- the hub's life --- */

int thread_hub_new(const struct qs_threads_options *options, struct thread_hub **ret_hub)
{
	struct thread_hub *hub = qs_calloc(1, sizeof(*hub));

	if (!hub)
		return -ENOMEM;
	hub->users = 1;
	hub->wake_signal = options->wake_signal ? options->wake_signal : SIGURG;
	hub->limit = options->limit ? options->limit : DEFAULT_LIMIT;
	list_init(&hub->queue);
	list_init(&hub->over);
	list_init(&hub->workers);
	pthread_mutex_init(&hub->lock, NULL);
	pthread_cond_init(&hub->work, NULL);
	hub->over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = hub->over_fd < 0 ? -errno : install_wake_handler(hub->wake_signal);
	if (r < 0) {
		closep(&hub->over_fd);
		hub->over_fd = -1;
		thread_hub_unref(hub);
		return r;
	}
	*ret_hub = hub;
	return 0;
}

void thread_hub_unref(struct thread_hub *hub)
{
	if (atomic_fetch_sub_explicit(&hub->users, 1, memory_order_acq_rel) != 1)
		return;
	pthread_cond_destroy(&hub->work);
	pthread_mutex_destroy(&hub->lock);
	qs_free(hub);
}

/* A worker that still runs something may never come back. What nobody has begun is dropped. */
static void dismiss(struct thread_hub *hub, struct list *ret_idle)
{
	list_for_each (node, &hub->workers) {
		struct worker *worker = list_entry(node, struct worker, node);

		list_remove(node);
		if (worker->runs && worker->runs->state != THREAD_OVER) {
			worker->detached = true;
			(void)pthread_detach(worker->thread);
		} else {
			list_append(ret_idle, node);
		}
	}
}

void thread_hub_close(struct thread_hub *hub)
{
	struct list idle, dropped;

	list_init(&idle);
	list_init(&dropped);
	pthread_mutex_lock(&hub->lock);
	hub->closed = true;
	dismiss(hub, &idle);
	pthread_cond_broadcast(&hub->work);
	closep(&hub->over_fd);
	hub->over_fd = -1;
	list_move_all(&dropped, &hub->queue);
	pthread_mutex_unlock(&hub->lock);
	list_for_each (node, &dropped)
		qs_thread_unref(list_entry(node, struct qs_thread, node));
	list_for_each (node, &idle) {
		struct worker *worker = list_entry(node, struct worker, node);

		(void)pthread_join(worker->thread, NULL);
		list_remove(node);
		qs_free(worker);
	}
}
