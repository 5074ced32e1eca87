/*
 * A supervisor is straight-line code: start the children, watch them, stop them. It waits in one
 * place, for a child to end or for a back-off to be over; that wait is idle, so an ask ends it at
 * once. What ends meanwhile is noted by the child's join and looked at in the next round.
 */
#include <errno.h>
#include <limits.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/fiber_internal.h"
#include "lib/supervisor.h"

#define DEFAULT_COUNT       10
#define DEFAULT_WITHIN      QS_MIN
#define DEFAULT_BASE        (100 * QS_MSEC)
#define DEFAULT_CAP         (30 * QS_SEC)
#define DEFAULT_RESET_AFTER QS_MIN

static uint64_t now_of(const struct qs_supervisor *s)
{
	return qs_loop_now(s->group->context->loop);
}

static bool is_asked(const struct qs_supervisor *s)
{
	return qs_task_rung(&s->fiber->task) != QS_RUNG_NONE;
}

/* --- waiting --- */

static void stop_waiting(struct qs_wait *wait)
{
	container_of(wait, struct qs_supervisor, wait)->waiting = false;
}

/* Until a child has ended, if none has since the last time. */
static int await_news(struct qs_supervisor *s, enum qs_wait_nature nature, uint64_t deadline)
{
	int r = qs_fiber_check(s->fiber, nature);

	if (r == 0 && !s->news) {
		s->wait.nature = nature;
		s->waiting = true;
		r = qs_fiber_wait(s->fiber, &s->wait, deadline);
		s->waiting = false;
	}
	s->news = false;
	return r;
}

/* --- one child --- */

/* Also when the supervisor was killed: its struct stays until nothing lives in its group. */
static void child_ended(struct qs_join *join, const struct qs_result *result)
{
	struct qs_supervised *c = container_of(join, struct qs_supervised, join);
	struct qs_supervisor *s = c->supervisor;
	const struct qs_supervisor_hooks *hooks = &s->plan->hooks;

	c->task = NULL;
	c->result = *result;
	c->news = !c->stopping;
	s->news = true;
	if (s->waiting)
		qs_fiber_wake(s->fiber, 0);
	if (hooks->ended)
		hooks->ended(c->child, result, hooks->arg);
}

static int spawn(struct qs_supervised *c)
{
	const struct qs_child *child = c->child;
	struct qs_group *group = c->supervisor->group;
	const struct qs_task_options options = {
		.name = child->name,
		.stop_deadline = child->stop_deadline,
		.cancel_grace = child->cancel_grace,
		.stack_size = child->stack_size,
	};

	if (child->fiber)
		return qs_spawn_fiber(group, &options, child->fiber, child->arg, &c->task);
	if (child->step)
		return qs_spawn_step(group, &options, child->step, child->arg, &c->task);
	int r = child->start(&c->supervisor->fiber->task, group, &options, child->arg, &c->task);
	return r >= 0 && !c->task ? -EINVAL : r;
}

static int start_child(struct qs_supervised *c)
{
	struct qs_supervisor *s = c->supervisor;
	const struct qs_supervisor_hooks *hooks = &s->plan->hooks;
	struct qs_result result;

	c->due = QS_FOREVER;
	c->stopping = c->news = false;
	int r = qs_fiber_check(s->fiber, QS_WAIT_IDLE);
	if (r == 0)
		r = spawn(c);
	if (r < 0) {
		c->task = NULL;
		return r;
	}
	c->started_at = now_of(s);
	if (hooks->started)
		hooks->started(c->child, c->task, hooks->arg);
	if (qs_task_result(c->task, &result) == 0)
		child_ended(&c->join, &result);
	else
		qs_task_add_join(c->task, &c->join);
	return 0;
}

/* It ends by its own ladder; a cancel of the supervisor reaches it directly. */
static void stop_child(struct qs_supervised *c, enum qs_cause cause)
{
	c->due = QS_FOREVER;
	c->stopping = true;
	c->news = false;
	if (c->task)
		qs_task_ask(c->task, cause, QS_FOREVER);
	while (c->task)
		(void)!await_news(c->supervisor, QS_WAIT_TO_THE_END, QS_FOREVER);
}

static void stop_from(struct qs_supervisor *s, unsigned first, enum qs_cause cause)
{
	for (unsigned i = s->plan->count; i-- > first;)
		stop_child(&s->children[i], cause);
}

/* --- restarts --- */

static bool wants_restart(const struct qs_supervised *c)
{
	switch (c->child->restart) {
	case QS_RESTART_PERMANENT:
		return true;
	case QS_RESTART_TRANSIENT:
		return c->result.verdict > QS_VERDICT_STOPPED;
	case QS_RESTART_TEMPORARY:
		break;
	}
	return false;
}

static int give_up(const struct qs_supervised *c, int error)
{
	const struct qs_supervisor_hooks *hooks = &c->supervisor->plan->hooks;

	if (!is_asked(c->supervisor) && hooks->giving_up)
		hooks->giving_up(c->child, error, hooks->arg);
	return error;
}

/* The first of those that are stopped and started again with it; the others come after that. */
static unsigned first_of(const struct qs_supervised *c)
{
	const struct qs_supervisor *s = c->supervisor;

	return s->plan->strategy == QS_ONE_FOR_ALL ? 0 : (unsigned)(c - s->children);
}

/* A child has failed, having run for that long. */
static int plan_restart(struct qs_supervised *c, uint64_t ran)
{
	struct qs_supervisor *s = c->supervisor;
	uint64_t now = now_of(s);

	if (qs_rate_free_at(&s->rate, now) > now)
		return give_up(c, -EDQUOT);
	qs_rate_add(&s->rate, now);
	uint64_t at = qs_time_add(now, qs_backoff_next(&c->backoff, &s->backoff, ran, &s->random));
	if (s->plan->strategy != QS_ONE_FOR_ONE) {
		stop_from(s, first_of(c), QS_CAUSE_DEPENDENCY);
		for (unsigned i = first_of(c); i < s->plan->count; i++)
			if (s->children[i].child->restart != QS_RESTART_TEMPORARY)
				s->children[i].due = at;
	}
	c->due = at;
	return 0;
}

static int look_at_ends(struct qs_supervisor *s)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < s->plan->count; i++) {
		struct qs_supervised *c = &s->children[i];

		if (TAKE(c->news, false) && wants_restart(c))
			r = plan_restart(c, qs_time_sub(now_of(s), c->started_at));
	}
	return r;
}

/* While its group admits nothing, as at the beginning of a shutdown, it is tried again and again:
 * either it is asked soon, or the group opens. */
static int start_again(struct qs_supervised *c)
{
	struct qs_supervisor *s = c->supervisor;
	int r = start_child(c);

	if (r == 0 || is_asked(s))
		return r;
	if (r != -ESHUTDOWN)
		return plan_restart(c, 0);
	c->due = qs_time_add(
	        now_of(s), 1 + qs_backoff_next(&c->backoff, &s->backoff, 0, &s->random));
	return 0;
}

static int start_due(struct qs_supervisor *s)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < s->plan->count; i++)
		if (s->children[i].due <= now_of(s))
			r = start_again(&s->children[i]);
	return r;
}

/* When something is to be done next: QS_FOREVER when a child ends. 0: there is nothing left. */
static uint64_t next_start(const struct qs_supervisor *s)
{
	uint64_t next = QS_FOREVER;
	bool lives = false;

	for (unsigned i = 0; i < s->plan->count; i++) {
		next = MIN(next, s->children[i].due);
		lives |= s->children[i].task || s->children[i].news;
	}
	return lives || next != QS_FOREVER ? next : 0;
}

/* --- from its beginning to its end --- */

static int watch(struct qs_supervisor *s)
{
	for (;;) {
		int r = look_at_ends(s);
		if (r == 0)
			r = start_due(s);
		if (r < 0)
			return r;
		uint64_t next = next_start(s);
		if (next == 0)
			return 0;
		r = await_news(s, QS_WAIT_IDLE, next);
		if (r < 0 && (r != -ETIMEDOUT || next > now_of(s)))
			return r;
	}
}

static int start_all(struct qs_supervisor *s)
{
	for (unsigned i = 0; i < s->plan->count; i++) {
		int r = start_child(&s->children[i]);

		if (r < 0)
			return give_up(&s->children[i], r);
	}
	return 0;
}

static void free_supervisor(void *arg)
{
	struct qs_supervisor *s = arg;

	qs_rate_done(&s->rate);
	qs_free(s);
}

static uint64_t or_default(uint64_t value, uint64_t instead)
{
	return value ? value : instead;
}

static int init(struct qs_supervisor *s, struct qs_fiber *fiber, const struct qs_supervision *plan)
{
	const struct qs_intensity *intensity = &plan->intensity;
	const struct qs_group_options options = { .name = "children" };

	s->wait = (struct qs_wait){ .name = "children", .abort = stop_waiting };
	s->fiber = fiber;
	s->plan = plan;
	s->backoff = (struct qs_backoff_plan){
		.base = or_default(intensity->base, DEFAULT_BASE),
		.cap = or_default(intensity->cap, DEFAULT_CAP),
		.reset_after = or_default(intensity->reset_after, DEFAULT_RESET_AFTER),
	};
	s->random.state = fiber->fibers->options.seed ^ qs_task_id(&fiber->task) << 32 ^
	                  qs_loop_now(fiber->fibers->context->loop);
	for (unsigned i = 0; i < plan->count; i++) {
		const struct qs_child *child = &plan->children[i];

		if (!child->fiber && !child->step && !child->start)
			return -EINVAL;
		s->children[i] = (struct qs_supervised){
			.child = child, .supervisor = s, .join.done = child_ended, .due = QS_FOREVER
		};
	}
	/* To a rate, 0 is no limit. */
	unsigned limit = intensity->count == UINT_MAX
	                         ? 0
	                         : (unsigned)or_default(intensity->count, DEFAULT_COUNT);
	int r = qs_rate_init(&s->rate, limit, or_default(intensity->within, DEFAULT_WITHIN));
	return r < 0 ? r : qs_group_new(fiber->task.group, &options, &s->group);
}

static int make(qs_task *self, const struct qs_supervision *plan, struct qs_supervisor **ret_s)
{
	struct qs_supervisor *s = qs_calloc(1, sizeof(*s) + plan->count * sizeof(s->children[0]));
	int r;

	if (!s)
		return -ENOMEM;
	r = init(s, qs_fiber_of(self), plan);
	if (r == 0)
		r = qs_defer(self, free_supervisor, s);
	if (r < 0) {
		qs_group_free(s->group);
		free_supervisor(s);
		return r;
	}
	s->group->keeps_order = true;
	*ret_s = s;
	return 0;
}

int qs_supervise(qs_task *self, void *plan)
{
	struct qs_supervisor *s;
	int r = make(self, plan, &s);

	if (r < 0)
		return r;
	r = start_all(s);
	if (r == 0)
		r = watch(s);
	stop_from(s, 0, is_asked(s) ? qs_task_cause(self) : QS_CAUSE_DEPENDENCY);
	/* What children have put there besides is the fiber's to stop, like all its groups. */
	s->group->keeps_order = false;
	return r;
}
