/*
 * Steps. What happens to a step (a time, a descriptor, a rung) is noted in it and puts it into the
 * list of the ready ones; the list is run by one job at the end of the turn. What becomes ready
 * while the list runs waits for the next turn, so that a step which is always ready starves nobody.
 *
 * A step has no room for what most steps do without: a descriptor, a clean-up, a deadline or a
 * ladder of its own are in an extra, which then also holds its function and argument.
 */
#include "lib/step.h"

#include <errno.h>
#include <stdio.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/supervise.h"

/* Beside QS_STEP_FIRST and its like in the mark of a step. */
#define MARK_WHY          0xffU
#define MARK_QUEUED       (1U << 8)
#define MARK_ENDING       (1U << 9)              /* never called again */
#define MARK_RESULT_SHIFT (STEP_PLACE_SHIFT + 8) /* the errno with which it ends: 14 bits */
#define RESULT_MAX        0x3fff

struct step_extra {
	struct qs_step *step;
	qs_step_fn fn;
	void *arg;
	void (*cleanup)(void *arg);
	struct qs_watch watch;
	struct qs_timer deadline;
	struct qs_task_terms terms;
};

struct qs_steps {
	struct qs_context *context;
	struct qs_job job;
	struct qs_timer next_turn; /* armed for what became ready while the list ran */
	struct qs_step *first, **end;
	struct qs_step *abandoned;
	struct list slabs;
	struct qs_loop_pulse *pulse;
	bool running;
	struct qs_random random; /* 0: in the order in which they became ready */

	size_t live;
	struct heap times;
	struct qs_timer timer;
};

static struct qs_step *step_of(qs_task *task)
{
	return container_of(task, struct qs_step, task);
}

static struct step_extra *extra_of(const struct qs_step *step)
{
	return step->fn ? NULL : step->task.arg;
}

/* --- the ready list --- */

static void enqueue(struct qs_steps *steps, struct qs_step *step)
{
	step->timer.mark |= MARK_QUEUED;
	step->next = NULL;
	*steps->end = step;
	steps->end = &step->next;
}

static void make_ready(struct qs_step *step, unsigned why)
{
	struct qs_steps *steps = qs_steps_of(step);

	step->timer.mark |= why;
	if (step->timer.mark & MARK_QUEUED)
		return;
	enqueue(steps, step);
	if (!steps->running)
		qs_job_schedule(steps->context->loop, &steps->job);
	else if (!qs_timer_armed(&steps->next_turn))
		qs_timer_arm(&steps->next_turn, qs_loop_now(steps->context->loop));
}

/* --- times: one timer for all --- */

/* When the earliest is taken out, the timer comes up in vain once: to look for who is next each
 * time a step ends would cost more. */
static void keep_timer(struct qs_steps *steps, uint64_t earlier)
{
	struct qs_timer *timer = &steps->timer;

	if (steps->times.count == 0)
		qs_timer_disarm(timer);
	else if (earlier != QS_FOREVER && (!qs_timer_armed(timer) || earlier < timer->at))
		qs_timer_arm(timer, earlier);
}

static void timer_due(struct qs_timer *timer)
{
	struct qs_steps *steps = container_of(timer, struct qs_steps, timer);
	uint64_t now = qs_loop_now(timer->loop);
	struct heap_node *first;

	while ((first = heap_first(&steps->times)) != NULL &&
	        heap_first_key(&steps->times) <= now) {
		heap_remove(&steps->times, first);
		make_ready(container_of(first, struct qs_step, timer), QS_STEP_TIMER);
	}
	qs_timer_arm(timer, heap_first_key(&steps->times));
}

void qs_step_again(qs_task *self, uint64_t at)
{
	struct qs_step *step = step_of(self);
	struct qs_steps *steps = qs_steps_of(step);

	if (step->timer.mark & MARK_ENDING)
		return;
	heap_remove(&steps->times, &step->timer);
	/* It does not fail: spawning reserved the room. */
	if (at != QS_FOREVER)
		(void)!heap_add(&steps->times, &step->timer, at);
	keep_timer(steps, at);
}

/* --- endings --- */

static void free_step(struct qs_step *step)
{
	struct step_extra *extra = extra_of(step);

	if (extra) {
		qs_watch_stop(&extra->watch);
		qs_timer_done(&extra->deadline);
		qs_free(extra);
	}
	qs_step_free(step, &qs_steps_of(step)->slabs);
}

/* Nothing happens to it any more, and nothing of its own is left but its handle. */
static void wind_up(struct qs_step *step)
{
	struct step_extra *extra = extra_of(step);

	heap_remove(&qs_steps_of(step)->times, &step->timer);
	qs_steps_of(step)->live--;
	if (!extra)
		return;
	qs_watch_stop(&extra->watch);
	qs_timer_done(&extra->deadline);
	if (extra->cleanup)
		extra->cleanup(extra->arg);
}

static void ended(struct qs_task *task, enum qs_verdict verdict _unused_, void *arg _unused_)
{
	free_step(step_of(task));
}

/* Somebody may hold its handle: it stays until all of them go. */
static void bury(struct qs_step *step)
{
	wind_up(step);
	step->next = qs_steps_of(step)->abandoned;
	qs_steps_of(step)->abandoned = step;
}

static void begin_end(struct qs_step *step, int result)
{
	struct qs_steps *steps = qs_steps_of(step);

	if (step->timer.mark & MARK_ENDING)
		return;
	heap_remove(&steps->times, &step->timer);
	keep_timer(steps, QS_FOREVER);
	step->timer.mark |= MARK_ENDING | MIN(0U - (unsigned)result, RESULT_MAX)
	                                          << MARK_RESULT_SHIFT;
}

static void end(struct qs_step *step)
{
	int result = -(int)(step->timer.mark >> MARK_RESULT_SHIFT);

	wind_up(step);
	qs_task_end(&step->task, (struct qs_outcome){ .type = QS_OUTCOME_RETURN, .value = result },
	        result >= 0, result >= 0 || result == -ESHUTDOWN);
}

/* --- running --- */

static void note_poll(struct qs_step *step, uint64_t at)
{
	atomic_store_explicit(&step->task.record->polled_at, at, memory_order_relaxed);
}

static void call(struct qs_steps *steps, struct qs_step *step)
{
	const struct step_extra *extra = extra_of(step);
	qs_step_fn fn = extra ? extra->fn : step->fn;
	unsigned why = step->timer.mark & MARK_WHY;

	step->timer.mark &= ~MARK_WHY;
	note_poll(step, qs_loop_now(steps->context->loop));
	qs_tell_witness(steps->context, &step->task, "run");
	int r = fn(&step->task, extra ? extra->arg : step->task.arg, why);
	/* While it waits it is woken by stop at once: it does not lag. */
	if (r > 0)
		note_poll(step, QS_FOREVER);
	else
		begin_end(step, r);
}

static void run(struct qs_steps *steps, struct qs_step *step)
{
	step->timer.mark &= ~MARK_QUEUED;
	if (!step->task.record) {
		bury(step);
		return;
	}
	/* As qs_loop_hold would. */
	atomic_store_explicit(&steps->pulse->holder, qs_task_id(&step->task), memory_order_relaxed);
	if (!(step->timer.mark & MARK_ENDING))
		call(steps, step);
	/* One that has made itself ready again is in the list: its end comes from there. */
	if ((step->timer.mark & (MARK_ENDING | MARK_QUEUED)) == MARK_ENDING)
		end(step);
}

/* With a seed, any of them may be next. */
static struct qs_step *take_ready(struct qs_steps *steps, struct qs_step **first)
{
	struct qs_step **chosen = first, *step;
	uint64_t count = 0;

	if (steps->random.state != 0)
		for (struct qs_step **at = first; *at; at = &(*at)->next)
			if (qs_random_below(&steps->random, ++count) == 0)
				chosen = at;
	step = *chosen;
	*chosen = step->next;
	return step;
}

static void run_ready(struct qs_steps *steps)
{
	struct qs_step *ready = TAKE(steps->first, NULL);
	uint64_t holder = qs_loop_hold(steps->context->loop, 0);

	steps->end = &steps->first;
	steps->running = true;
	while (ready)
		run(steps, take_ready(steps, &ready));
	steps->running = false;
	(void)qs_loop_hold(steps->context->loop, holder);
}

static void job_runs(struct qs_job *job)
{
	run_ready(container_of(job, struct qs_steps, job));
}

static void next_turn_due(struct qs_timer *timer)
{
	struct qs_steps *steps = container_of(timer, struct qs_steps, next_turn);

	qs_job_schedule(timer->loop, &steps->job);
}

/* --- the kind --- */

static void ask(struct qs_task *task)
{
	make_ready(step_of(task), QS_STEP_STOP);
}

static void cancel(struct qs_task *task)
{
	begin_end(step_of(task), -ECANCELED);
	make_ready(step_of(task), 0);
}

static void kill_nothing_more(struct qs_task *task _unused_)
{
}

/* The list is where all ends. */
static void abandoned(struct qs_task *task)
{
	make_ready(step_of(task), 0);
}

static void describe(const struct qs_task *task, char *buffer, size_t size)
{
	const struct step_extra *extra = extra_of(container_of(task, const struct qs_step, task));

	if (extra && extra->watch.event)
		snprintf(buffer, size, "descriptor %d", extra->watch.fd);
	else
		snprintf(buffer, size, "step");
}

static const struct qs_task_kind step_kind = {
	.id = QS_KIND_STEP,
	.ask = ask,
	.cancel = cancel,
	.kill = kill_nothing_more,
	.describe = describe,
	.abandoned = abandoned,
};

static const struct qs_task_terms step_terms = {
	.ladder = { .deadline = QS_FOREVER, .cancel_grace = QS_FOREVER }, .ended = ended
};

/* --- extras --- */

static void watch_ready(struct qs_watch *watch, unsigned what)
{
	struct step_extra *extra = container_of(watch, struct step_extra, watch);

	make_ready(extra->step, (what & QS_READ ? QS_STEP_READABLE : 0U) |
	                                (what & QS_WRITE ? QS_STEP_WRITABLE : 0U));
}

static void deadline_due(struct qs_timer *timer)
{
	make_ready(container_of(timer, struct step_extra, deadline)->step, QS_STEP_DEADLINE);
}

static struct step_extra *need_extra(struct qs_step *step)
{
	struct step_extra *extra = extra_of(step);

	if (extra)
		return extra;
	extra = qs_malloc(sizeof(*extra));
	if (!extra)
		return NULL;
	*extra = (struct step_extra){ .step = step,
		.fn = step->fn,
		.arg = step->task.arg,
		.watch = { .ready = watch_ready, .fd = -1 },
		.terms = step_terms };
	step->task.arg = extra;
	step->fn = NULL;
	return extra;
}

int qs_step_watch(qs_task *self, int fd, unsigned what)
{
	struct step_extra *extra = extra_of(step_of(self));

	if (extra)
		qs_watch_stop(&extra->watch);
	step_of(self)->timer.mark &= ~(QS_STEP_READABLE | QS_STEP_WRITABLE);
	if (what == 0)
		return 0;
	int r = qs_fd_check(fd);
	if (r < 0)
		return r;
	extra = need_extra(step_of(self));
	if (!extra)
		return -ENOMEM;
	return qs_watch_start(self->group->context->loop, &extra->watch, fd,
	        (what & QS_STEP_READABLE ? QS_READ : 0U) |
	                (what & QS_STEP_WRITABLE ? QS_WRITE : 0U));
}

int qs_step_cleanup(qs_task *self, void (*fn)(void *arg))
{
	struct step_extra *extra = need_extra(step_of(self));

	if (!extra)
		return -ENOMEM;
	extra->cleanup = fn;
	return 0;
}

/* --- starting --- */

static int apply_options(
        struct qs_step *step, struct qs_loop *loop, const struct qs_task_options *options)
{
	struct step_extra *extra;

	if (!options || (!options->deadline && !options->stop_deadline && !options->cancel_grace))
		return 0;
	extra = need_extra(step);
	if (!extra)
		return -ENOMEM;
	if (options->stop_deadline)
		extra->terms.ladder.deadline = options->stop_deadline;
	if (options->cancel_grace)
		extra->terms.ladder.cancel_grace = options->cancel_grace;
	if (!options->deadline)
		return 0;
	int r = qs_timer_init(loop, &extra->deadline, deadline_due);
	if (r == 0)
		qs_timer_arm(&extra->deadline, options->deadline);
	return r;
}

static int enter(
        struct qs_step *step, qs_group *group, const struct qs_task_options *options, bool joinable)
{
	struct qs_steps *steps = qs_steps_of(step);
	int r = heap_reserve(&steps->times, steps->live + 1);

	if (r < 0)
		return r;
	r = apply_options(step, steps->context->loop, options);
	if (r < 0)
		return r;
	const struct step_extra *extra = extra_of(step);
	return qs_task_init(&step->task, &step_kind, group,
	        &(struct qs_task_setup){ .name = options && options->name ? options->name : "step",
	                .terms = extra ? &extra->terms : &step_terms,
	                .arg = step->task.arg,
	                .joinable = joinable });
}

int qs_spawn_step(qs_group *group, const struct qs_task_options *options, qs_step_fn fn, void *arg,
        qs_task **ret_task)
{
	struct qs_steps *steps = group->context->steps;
	struct qs_step *step = qs_step_alloc(steps, &steps->slabs);

	if (!step)
		return -ENOMEM;
	step->fn = fn;
	step->task.arg = arg;
	int r = enter(step, group, options, ret_task != NULL);
	if (r < 0) {
		free_step(step);
		return r;
	}
	qs_steps_of(step)->live++;
	make_ready(step, QS_STEP_FIRST);
	if (ret_task)
		*ret_task = &step->task;
	return 0;
}

/* --- all of them --- */

int qs_steps_new(struct qs_context *context, uint64_t seed, struct qs_steps **ret_steps)
{
	struct qs_steps *steps = qs_calloc(1, sizeof(*steps));
	int r;

	if (!steps)
		return -ENOMEM;
	steps->context = context;
	steps->random.state = seed ? seed ^ UINT64_MAX >> 1 : 0;
	steps->end = &steps->first;
	list_init(&steps->slabs);
	steps->pulse = qs_loop_pulse(context->loop);
	qs_job_init(&steps->job, job_runs);
	r = qs_timer_init(context->loop, &steps->timer, timer_due);
	if (r == 0)
		r = qs_timer_init(context->loop, &steps->next_turn, next_turn_due);
	if (r < 0) {
		qs_steps_free(steps);
		return r;
	}
	*ret_steps = steps;
	return 0;
}

void qs_steps_free(struct qs_steps *steps)
{
	if (!steps)
		return;
	while (steps->first)
		run_ready(steps);
	for (struct qs_step *step = steps->abandoned, *next; step; step = next) {
		next = step->next;
		free_step(step);
	}
	qs_job_cancel(&steps->job);
	qs_timer_done(&steps->next_turn);
	qs_timer_done(&steps->timer);
	heap_done(&steps->times);
	qs_step_slabs_done(&steps->slabs);
	qs_free(steps);
}
