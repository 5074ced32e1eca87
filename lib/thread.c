/*
 * Threads as tasks, the loop's side: how they begin, what each rung does to them, and how the loop
 * hears of their end. A signal that comes just before a blocking call is lost, so those that are
 * cancelled get one again and again, at growing distances, until they have ended.
 */
#include "lib/thread.h"

#include <errno.h>
#include <stdio.h>

#include <quiesce/fiber.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/eventfd.h"
#include "lib/macro.h"

#define WAKE_FIRST QS_MSEC
#define WAKE_LAST  (50 * QS_MSEC)

static struct qs_thread *thread_of(const qs_task *task)
{
	return container_of(task, struct qs_thread, task);
}

/* --- for the thread itself --- */

static void stamp(struct qs_thread *thread, uint64_t at)
{
	atomic_store_explicit(&thread->record->polled_at, at, memory_order_relaxed);
}

/* Nothing of the loop's is looked at here: it may be gone. */
static bool stopping(struct qs_task *task)
{
	struct qs_thread *thread = thread_of(task);

	stamp(thread, qs_clock_coarse(&thread->ground->clock));
	if (!qs_stop_is_set(thread->stop))
		return false;
	thread->heard = true;
	return true;
}

/* In a simulation a call is played by the fiber that makes it. */
static bool is_played(const qs_task *self)
{
	return self->kind->id != QS_KIND_THREAD;
}

qs_stop *qs_thread_stop(qs_task *self)
{
	struct qs_thread *thread = thread_of(self);

	if (is_played(self))
		return self->group->context->ground->stop;
	thread->has_event = true;
	return thread->stop;
}

static int play_wait(qs_task *self, uint64_t deadline)
{
	int r = qs_sleep(self, deadline);

	return r == 0 || r == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

int qs_thread_wait(qs_task *self, uint64_t deadline)
{
	struct qs_thread *thread = thread_of(self);

	if (is_played(self))
		return play_wait(self, deadline);
	stamp(thread, QS_FOREVER);
	int r = qs_stop_wait(thread->stop, deadline);
	stamp(thread, qs_clock_read(&thread->ground->clock));
	if (r == 0)
		thread->heard = true;
	return r;
}

bool qs_thread_cancelled(qs_task *self)
{
	const struct qs_record *record = is_played(self) ? self->record : thread_of(self)->record;

	return atomic_load_explicit(&record->rung, memory_order_acquire) >= QS_RUNG_CANCEL;
}

/* --- waking those that are cancelled --- */

static void wake_due(struct qs_timer *timer)
{
	struct qs_threads *threads = container_of(timer, struct qs_threads, wake);

	if (list_empty(&threads->cancelled))
		return;
	pthread_mutex_lock(&threads->hub->lock);
	list_for_each (node, &threads->cancelled)
		thread_wake(list_entry(node, struct qs_thread, in_list));
	pthread_mutex_unlock(&threads->hub->lock);
	qs_timer_arm(timer, qs_time_add(qs_loop_now(timer->loop), threads->wake_after));
	threads->wake_after = MIN(threads->wake_after * 2, WAKE_LAST);
}

/* --- the kind --- */

static void ask(struct qs_task *task)
{
	const struct qs_stop_reason reason = { .cause = qs_task_cause(task),
		.detail = "the task was asked",
		.at = qs_loop_now(task->group->context->loop),
		.deadline = qs_task_next_rung_at(task) };

	(void)qs_stop_set(thread_of(task)->stop, &reason);
}

/* One that waits for a worker never begins. */
static void cancel(struct qs_task *task)
{
	struct qs_thread *thread = thread_of(task);
	struct qs_threads *threads = thread->threads;
	bool waits, deserted;

	pthread_mutex_lock(&thread->hub->lock);
	deserted = thread->deserted;
	waits = thread->pooled && !list_empty(&thread->node) && thread->state == THREAD_WAITING;
	if (waits) {
		thread_hub_withdraw(thread);
		thread_is_over(thread, -ECANCELED);
	}
	thread_wake(thread);
	pthread_mutex_unlock(&thread->hub->lock);
	if (waits) {
		if (deserted && thread->discard)
			thread->discard(thread->arg);
		qs_thread_unref(thread);
		return;
	}
	list_append(&threads->cancelled, &thread->in_list);
	threads->wake_after = WAKE_FIRST;
	qs_timer_arm(&threads->wake, qs_time_add(qs_loop_now(threads->context->loop), WAKE_FIRST));
}

static void kill_nothing(struct qs_task *task _unused_)
{
}

static void describe(const struct qs_task *task, char *buffer, size_t size)
{
	const struct qs_thread *thread = thread_of(task);

	snprintf(buffer, size, "%s", thread->pooled ? "call in a thread" : "thread");
}

/* The loop's side keeps its share until the end: somebody may hold the handle. */
static void abandoned(struct qs_task *task)
{
	struct qs_thread *thread = thread_of(task);

	thread->gone = true;
	list_remove(&thread->in_list);
	list_append(&thread->threads->abandoned, &thread->in_list);
	if (!thread->pooled)
		(void)pthread_detach(thread->own);
}

static const struct qs_task_kind thread_kind = {
	.id = QS_KIND_THREAD,
	.ask = ask,
	.cancel = cancel,
	.kill = kill_nothing,
	.describe = describe,
	.abandoned = abandoned,
	.stopping = stopping,
};

static void ended(struct qs_task *task, enum qs_verdict verdict _unused_, void *arg _unused_)
{
	qs_thread_unref(thread_of(task));
}

static const struct qs_task_terms thread_terms = {
	.ladder = { .deadline = QS_FOREVER, .cancel_grace = QS_FOREVER }, .ended = ended
};

/* --- endings --- */

static void end(struct qs_thread *thread)
{
	struct qs_job_caller *caller = TAKE(thread->caller, NULL);
	int result = thread->result;

	list_remove(&thread->in_list);
	if (!thread->pooled)
		(void)pthread_join(thread->own, NULL);
	qs_loop_count_threads(thread->threads->context->loop, -1);
	if (caller)
		caller->done(caller, result);
	if (thread->heard || (thread->has_event && qs_stop_is_set(thread->stop)))
		qs_task_heard(&thread->task);
	qs_task_end(&thread->task,
	        (struct qs_outcome){ .type = QS_OUTCOME_RETURN, .value = result }, result >= 0,
	        result >= 0 || result == -ESHUTDOWN);
}

static void somebody_is_over(struct qs_watch *watch, unsigned what _unused_)
{
	struct qs_threads *threads = container_of(watch, struct qs_threads, watch);
	struct list over;

	list_init(&over);
	eventfd_lower(watch->fd);
	pthread_mutex_lock(&threads->hub->lock);
	list_move_all(&over, &threads->hub->over);
	pthread_mutex_unlock(&threads->hub->lock);
	while (!list_empty(&over)) {
		struct qs_thread *thread = list_entry(over.next, struct qs_thread, node);

		list_remove(&thread->node);
		/* Abandoned just before it ended: its verdict stands. */
		if (!thread->gone)
			end(thread);
	}
}

/* --- beginnings --- */

static int make(struct qs_threads *threads, qs_task_fn fn, void *arg, struct qs_thread **ret_thread)
{
	struct qs_thread *thread = qs_calloc(1, sizeof(*thread));

	if (!thread)
		return -ENOMEM;
	thread->users = 2;
	thread->fn = fn;
	thread->arg = arg;
	thread->threads = threads;
	list_init(&thread->node);
	list_init(&thread->in_list);
	int r = qs_stop_new(threads->context->ground->stop, &thread->stop);
	if (r < 0) {
		qs_free(thread);
		return r;
	}
	thread->ground = qs_ground_ref(threads->context->ground);
	thread->hub = threads->hub;
	atomic_fetch_add(&thread->hub->users, 1);
	*ret_thread = thread;
	return 0;
}

static const struct qs_task_terms *terms_of(
        struct qs_thread *thread, const struct qs_task_options *options)
{
	if (options->stop_deadline == 0 && options->cancel_grace == 0)
		return &thread_terms;
	thread->terms = thread_terms;
	if (options->stop_deadline > 0)
		thread->terms.ladder.deadline = options->stop_deadline;
	if (options->cancel_grace > 0)
		thread->terms.ladder.cancel_grace = options->cancel_grace;
	return &thread->terms;
}

static int open_task(
        struct qs_thread *thread, struct qs_group *group, const struct qs_task_setup *setup)
{
	int r = qs_task_init(&thread->task, &thread_kind, group, setup);

	if (r < 0)
		return r;
	thread->record = thread->task.record;
	qs_loop_count_threads(group->context->loop, 1);
	return 0;
}

/* Under the lock the new thread waits until its task has been opened. */
static int begin(struct qs_thread *thread, struct qs_group *group,
        const struct qs_task_options *options, bool joinable)
{
	const struct qs_task_setup setup = { .name = options->name ? options->name : "thread",
		.terms = terms_of(thread, options),
		.joinable = joinable };

	pthread_mutex_lock(&thread->hub->lock);
	int r = thread_start(thread, options->stack_size);
	if (r < 0) {
		pthread_mutex_unlock(&thread->hub->lock);
		qs_thread_unref(thread);
		return r;
	}
	r = open_task(thread, group, &setup);
	thread->dropped = r < 0;
	pthread_mutex_unlock(&thread->hub->lock);
	if (r < 0)
		(void)pthread_join(thread->own, NULL);
	return r;
}

int qs_spawn_thread(qs_group *group, const struct qs_task_options *options, qs_task_fn fn,
        void *arg, qs_task **ret_task)
{
	static const struct qs_task_options defaults;
	struct qs_threads *threads = group->context->threads;
	struct qs_thread *thread;

	if (group->context->clock->is_virtual)
		return -EOPNOTSUPP;
	if (qs_group_is_closed(group))
		return -ESHUTDOWN;
	int r = make(threads, fn, arg, &thread);
	if (r < 0)
		return r;
	r = begin(thread, group, options ? options : &defaults, ret_task != NULL);
	if (r < 0) {
		qs_thread_unref(thread);
		return r;
	}
	if (ret_task)
		*ret_task = &thread->task;
	return 0;
}

/* Where no thread can be made the call is over, with that error. */
static void submit(struct qs_thread *thread)
{
	struct thread_hub *hub = thread->hub;

	pthread_mutex_lock(&hub->lock);
	int r = thread_hub_submit(hub, thread);
	if (r < 0)
		thread_is_over(thread, r);
	pthread_mutex_unlock(&hub->lock);
	if (r < 0)
		qs_thread_unref(thread);
}

int qs_threads_call(struct qs_group *group, const struct qs_call_options *options, qs_task_fn fn,
        void *arg, struct qs_job_caller *caller, struct qs_thread **ret_thread)
{
	struct qs_threads *threads = group->context->threads;
	const struct qs_task_setup setup = {
		.name = options->name ? options->name : "call", .terms = &thread_terms, .part = true
	};
	struct qs_thread *thread;

	int r = make(threads, fn, arg, &thread);
	if (r < 0)
		return r;
	thread->pooled = true;
	thread->discard = options->discard;
	thread->caller = caller;
	r = open_task(thread, group, &setup);
	if (r < 0) {
		qs_thread_unref(thread);
		qs_thread_unref(thread);
		return r;
	}
	submit(thread);
	*ret_thread = thread;
	return 0;
}

void qs_threads_desert(struct qs_thread *thread)
{
	bool over;

	thread->caller = NULL;
	pthread_mutex_lock(&thread->hub->lock);
	over = thread->state == THREAD_OVER;
	thread->deserted = true;
	pthread_mutex_unlock(&thread->hub->lock);
	/* It has just ended, and its end is on the way here. */
	if (over && thread->discard)
		thread->discard(thread->arg);
	qs_group_transfer(&thread->task, &thread->threads->deserted);
	qs_task_cancel(&thread->task, QS_CAUSE_API);
}

/* --- all of them --- */

int qs_threads_new(struct qs_context *context, const struct qs_threads_options *options,
        struct qs_threads **ret_threads)
{
	struct qs_threads *threads = qs_calloc(1, sizeof(*threads));

	if (!threads)
		return -ENOMEM;
	threads->context = context;
	list_init(&threads->cancelled);
	list_init(&threads->abandoned);
	qs_group_init(&threads->deserted, context, NULL);
	threads->watch.ready = somebody_is_over;
	int r = qs_timer_init(context->loop, &threads->wake, wake_due);
	if (r == 0)
		r = thread_hub_new(options, &threads->hub);
	if (r == 0)
		r = qs_watch_start(context->loop, &threads->watch, threads->hub->over_fd, QS_READ);
	if (r < 0) {
		qs_threads_free(threads);
		return r;
	}
	*ret_threads = context->threads = threads;
	return 0;
}

void qs_threads_free(struct qs_threads *threads)
{
	if (!threads)
		return;
	qs_watch_stop(&threads->watch);
	qs_timer_done(&threads->wake);
	if (threads->hub) {
		thread_hub_close(threads->hub);
		thread_hub_unref(threads->hub);
	}
	while (!list_empty(&threads->abandoned)) {
		struct list *node = threads->abandoned.next;

		list_remove(node);
		qs_thread_unref(list_entry(node, struct qs_thread, in_list));
	}
	qs_group_done(&threads->deserted);
	if (threads->context->threads == threads)
		threads->context->threads = NULL;
	qs_free(threads);
}
