/*
 * The stop event. Each event belongs to a tree, and a tree has one mutex, one descriptor that asks
 * for a dispatch, and one count of the sets in it. Polling looks at that count first, so that it is
 * a single load while nothing is set; after that it follows the parents, which live longer.
 *
 * Who sets first wins by a compare-and-swap and writes the reason before anybody can see the event
 * set. A thread then goes on under the mutex: it makes the descriptors below readable and hands the
 * callbacks below to the dispatch. A signal handler cannot take the mutex: it pushes the event on a
 * lock-free stack, and whoever takes the mutex next does that work for it.
 */
#include "lib/stop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "lib/alloc.h"
#include "lib/eventfd.h"
#include "lib/list.h"
#include "lib/macro.h"

enum stop_state {
	STOP_CLEAR,
	STOP_CLAIMED, /* somebody writes the reason */
	STOP_SET,     /* the reason can be read and never changes again */
};

struct callback {
	struct list of_stop; /* in the event's callbacks */
	struct list due;     /* in the tree's or the dispatch's list, once the event is set */
	int64_t id;
	qs_stop *stop;
	qs_stop_fn fn;
	void *arg;
};

struct tree {
	_Atomic uint64_t sets;        /* events set so far in the whole tree */
	_Atomic(qs_stop *) signalled; /* set by signal handlers and not spread yet */
	int wake_fd;

	pthread_mutex_t lock; /* over everything below, and over the links between the events */
	pthread_cond_t call_ended;
	struct list due; /* callbacks to be called */
	int64_t last_id;

	qs_stop *calling;   /* whose callback runs just now; NULL once it has been freed in it */
	int64_t calling_id; /* 0: none runs */
	pthread_t dispatcher;
};

struct qs_stop {
	struct tree *tree;
	qs_stop *parent;
	_Atomic int state;
	struct qs_stop_reason reason; /* meaningful once the state is STOP_SET */
	qs_stop *next_signalled;

	/* Under the lock: */
	struct list children, sibling;
	struct list callbacks;
	int fd;      /* -1 until somebody asks */
	bool spread; /* set, and everything below knows */
};

/* --- poll --- */

static const qs_stop *nearest_set(const qs_stop *stop)
{
	while (stop && atomic_load_explicit(&stop->state, memory_order_acquire) != STOP_SET)
		stop = stop->parent;
	return stop;
}

const _Atomic uint64_t *qs_stop_sets(const qs_stop *stop)
{
	return &stop->tree->sets;
}

bool qs_stop_is_set(const qs_stop *stop)
{
	if (atomic_load_explicit(&stop->tree->sets, memory_order_acquire) == 0)
		return false;
	return nearest_set(stop) != NULL;
}

int qs_stop_get_reason(const qs_stop *stop, struct qs_stop_reason *ret_reason)
{
	const qs_stop *set = nearest_set(stop);

	if (!set)
		return -ENODATA;
	*ret_reason = set->reason;
	return 0;
}

/* --- spreading a set, under the lock --- */

static void spread_one(qs_stop *stop)
{
	stop->spread = true;
	eventfd_raise(stop->fd);
	list_for_each (node, &stop->callbacks)
		list_append(&stop->tree->due, &list_entry(node, struct callback, of_stop)->due);
}

/* The event after `at` in a walk over `top` and all below it, parents first; NULL at the end. A
 * subtree that has been spread already is passed by. */
static qs_stop *next_below(qs_stop *top, qs_stop *at, bool descend)
{
	if (descend && !list_empty(&at->children))
		return list_entry(at->children.next, qs_stop, sibling);
	while (at != top && at->sibling.next == &at->parent->children)
		at = at->parent;
	return at == top ? NULL : list_entry(at->sibling.next, qs_stop, sibling);
}

static void spread(qs_stop *top)
{
	qs_stop *at = top;

	while (at) {
		bool fresh = !at->spread;

		if (fresh)
			spread_one(at);
		at = next_below(top, at, fresh);
	}
}

static void spread_signalled(struct tree *tree)
{
	qs_stop *stop = atomic_exchange_explicit(&tree->signalled, NULL, memory_order_acquire);

	for (; stop; stop = stop->next_signalled)
		spread(stop);
}

static void lock_tree(struct tree *tree)
{
	pthread_mutex_lock(&tree->lock);
	spread_signalled(tree);
}

/* --- set --- */

/* The state comes last: who sees the event set sees its reason, and polls true as well. */
static void publish(qs_stop *stop, const struct qs_stop_reason *reason)
{
	stop->reason = *reason;
	atomic_fetch_add_explicit(&stop->tree->sets, 1, memory_order_relaxed);
	atomic_store_explicit(&stop->state, STOP_SET, memory_order_release);
}

/*
 * A signal handler in another thread may have claimed the event and not yet published it. It cannot
 * be held up there, so it is worth waiting for it: who is told "it was set already" must see it
 * set.
 */
static bool claim(qs_stop *stop)
{
	int state = STOP_CLEAR;

	if (atomic_compare_exchange_strong(&stop->state, &state, STOP_CLAIMED))
		return true;
	while (atomic_load_explicit(&stop->state, memory_order_acquire) == STOP_CLAIMED)
		(void)sched_yield();
	return false;
}

int qs_stop_set(qs_stop *stop, const struct qs_stop_reason *reason)
{
	struct tree *tree = stop->tree;
	struct qs_stop_reason own = *reason;
	bool first;

	own.detail[sizeof(own.detail) - 1] = '\0';
	if (own.at == 0)
		own.at = qs_time_now();
	lock_tree(tree);
	first = !nearest_set(stop) && claim(stop);
	if (first) {
		publish(stop, &own);
		spread(stop);
	}
	if (!list_empty(&tree->due))
		eventfd_raise(tree->wake_fd);
	pthread_mutex_unlock(&tree->lock);
	return first;
}

/* "signal SIGTERM", by hand: a signal handler may not use stdio. */
static void describe_signal(int signo, char detail[static 64])
{
	const char *name = sigabbrev_np(signo);
	char *end = stpcpy(detail, "signal ");

	if (name) {
		(void)stpcpy(stpcpy(end, "SIG"), name);
		return;
	}
	for (int unit = 100; unit > 0; unit /= 10)
		if (signo >= unit || unit == 1)
			*end++ = (char)('0' + signo / unit % 10);
	*end = '\0';
}

int qs_stop_set_from_signal(qs_stop *stop, enum qs_cause cause, int signo)
{
	struct tree *tree = stop->tree;
	struct qs_stop_reason reason = { .cause = cause, .deadline = QS_FOREVER };
	int state = STOP_CLEAR;

	if (nearest_set(stop) ||
	        !atomic_compare_exchange_strong(&stop->state, &state, STOP_CLAIMED))
		return 0;
	reason.at = qs_time_now();
	describe_signal(signo, reason.detail);
	publish(stop, &reason);
	stop->next_signalled = atomic_load_explicit(&tree->signalled, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&tree->signalled, &stop->next_signalled, stop,
	        memory_order_release, memory_order_relaxed))
		;
	eventfd_raise(tree->wake_fd);
	return 1;
}

/* --- descriptor --- */

int qs_stop_fd(qs_stop *stop)
{
	int fd;

	lock_tree(stop->tree);
	if (stop->fd < 0 && !qs_refused(EMFILE))
		stop->fd = eventfd(qs_stop_is_set(stop), EFD_CLOEXEC | EFD_NONBLOCK);
	fd = stop->fd < 0 ? -errno : stop->fd;
	pthread_mutex_unlock(&stop->tree->lock);
	return fd;
}

int qs_stop_wait(qs_stop *stop, uint64_t deadline)
{
	struct pollfd pollfd = { .fd = qs_stop_fd(stop), .events = POLLIN };

	if (pollfd.fd < 0)
		return pollfd.fd;
	while (!qs_stop_is_set(stop)) {
		uint64_t left = qs_time_sub(deadline, qs_time_now());
		struct timespec span = { .tv_sec = (time_t)(left / QS_SEC),
			.tv_nsec = (long)(left % QS_SEC) };

		if (left == 0)
			return -ETIMEDOUT;
		if (ppoll(&pollfd, 1, left == QS_FOREVER ? NULL : &span, NULL) < 0 &&
		        !qs_stop_is_set(stop))
			return -errno;
	}
	return 0;
}

/* --- callbacks --- */

int64_t qs_stop_add_callback(qs_stop *stop, qs_stop_fn fn, void *arg)
{
	struct callback *callback = qs_malloc(sizeof(*callback));
	struct tree *tree = stop->tree;
	int64_t id;

	if (!callback)
		return -ENOMEM;
	*callback = (struct callback){ .stop = stop, .fn = fn, .arg = arg };
	list_init(&callback->due);
	lock_tree(tree);
	id = callback->id = ++tree->last_id;
	list_append(&stop->callbacks, &callback->of_stop);
	if (stop->spread)
		list_append(&tree->due, &callback->due);
	if (!list_empty(&tree->due))
		eventfd_raise(tree->wake_fd);
	pthread_mutex_unlock(&tree->lock);
	return id;
}

static void drop_callback(struct callback *callback)
{
	list_remove(&callback->of_stop);
	list_remove(&callback->due);
	qs_free(callback);
}

static bool dispatches_here(const struct tree *tree)
{
	return tree->calling_id != 0 && pthread_equal(tree->dispatcher, pthread_self());
}

int qs_stop_remove_callback(qs_stop *stop, int64_t id)
{
	struct tree *tree = stop->tree;
	int taken = 0;

	pthread_mutex_lock(&tree->lock);
	list_for_each (node, &stop->callbacks) {
		struct callback *callback = list_entry(node, struct callback, of_stop);

		if (callback->id == id) {
			drop_callback(callback);
			taken = 1;
			break;
		}
	}
	while (!taken && tree->calling_id == id && !dispatches_here(tree))
		pthread_cond_wait(&tree->call_ended, &tree->lock);
	pthread_mutex_unlock(&tree->lock);
	return taken;
}

/* --- dispatch --- */

int qs_stop_wake_fd(const qs_stop *root)
{
	return root->tree->wake_fd;
}

/* Calls it without the lock. The event may be freed by its own callback: it is not touched after.
 */
static void call(struct tree *tree, struct callback *callback)
{
	struct callback copy = *callback;

	drop_callback(callback);
	tree->calling = copy.stop;
	tree->calling_id = copy.id;
	tree->dispatcher = pthread_self();
	pthread_mutex_unlock(&tree->lock);
	copy.fn(copy.stop, copy.arg);
	pthread_mutex_lock(&tree->lock);
	tree->calling = NULL;
	tree->calling_id = 0;
	pthread_cond_broadcast(&tree->call_ended);
}

/* What becomes due meanwhile asks for the next dispatch, so that this one ends. */
void qs_stop_dispatch(qs_stop *root)
{
	struct tree *tree = root->tree;
	struct list batch;

	list_init(&batch);
	/* Lowered first: what comes after this raises it again. */
	eventfd_lower(tree->wake_fd);
	lock_tree(tree);
	list_move_all(&batch, &tree->due);
	while (!list_empty(&batch))
		call(tree, list_entry(batch.next, struct callback, due));
	pthread_mutex_unlock(&tree->lock);
}

/* --- making and freeing --- */

static void tree_free(struct tree *tree)
{
	closep(&tree->wake_fd);
	pthread_cond_destroy(&tree->call_ended);
	pthread_mutex_destroy(&tree->lock);
	qs_free(tree);
}

static int tree_new(struct tree **ret_tree)
{
	struct tree *tree = qs_calloc(1, sizeof(*tree));

	if (!tree)
		return -ENOMEM;
	tree->wake_fd = qs_refused(EMFILE) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (tree->wake_fd < 0) {
		int r = -errno;

		qs_free(tree);
		return r;
	}
	list_init(&tree->due);
	pthread_mutex_init(&tree->lock, NULL);
	pthread_cond_init(&tree->call_ended, NULL);
	*ret_tree = tree;
	return 0;
}

int qs_stop_new(qs_stop *parent, qs_stop **ret_stop)
{
	_cleanup_(qs_freep) qs_stop *stop = qs_calloc(1, sizeof(*stop));
	int r;

	if (!stop)
		return -ENOMEM;
	stop->parent = parent;
	stop->fd = -1;
	list_init(&stop->children);
	list_init(&stop->sibling);
	list_init(&stop->callbacks);
	if (!parent) {
		r = tree_new(&stop->tree);
		if (r < 0)
			return r;
	} else {
		stop->tree = parent->tree;
		lock_tree(stop->tree);
		stop->spread = parent->spread;
		list_append(&parent->children, &stop->sibling);
		pthread_mutex_unlock(&stop->tree->lock);
	}
	*ret_stop = TAKE(stop, NULL);
	return 0;
}

void qs_stop_free(qs_stop *stop)
{
	struct tree *tree;

	if (!stop)
		return;
	tree = stop->tree;
	lock_tree(tree);
	while (tree->calling == stop && !dispatches_here(tree))
		pthread_cond_wait(&tree->call_ended, &tree->lock);
	if (tree->calling == stop)
		tree->calling = NULL;
	list_for_each (node, &stop->callbacks)
		drop_callback(list_entry(node, struct callback, of_stop));
	list_remove(&stop->sibling);
	pthread_mutex_unlock(&tree->lock);
	closep(&stop->fd);
	if (!stop->parent)
		tree_free(tree);
	qs_free(stop);
}
