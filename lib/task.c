/*
 * What all kinds of task have in common: the way up the ladder, rung by rung and never down, the
 * deadlines between the rungs, and one verdict at the end.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/ground.h"
#include "lib/group.h"
#include "lib/task.h"
#include "lib/verdict.h"

static enum qs_rung rung_of(const struct qs_task *task)
{
	return (enum qs_rung)atomic_load_explicit(&task->record->rung, memory_order_relaxed);
}

static void set_rung(struct qs_task *task, enum qs_rung rung)
{
	assert(rung > rung_of(task));
	atomic_store_explicit(&task->record->rung, (uint8_t)rung, memory_order_release);
	if (task->group->context->witness)
		qs_tell_witness(task->group->context, task, qs_rung_name(rung));
}

static void tell(struct qs_task *task, enum qs_rung rung)
{
	if (task->terms->pushed)
		task->terms->pushed(task, rung, task->arg);
}

/* --- the ladder: one heap and one timer for all tasks of a context --- */

static void set_ladder_timer(struct qs_context *context)
{
	uint64_t at = MIN(heap_first_key(&context->ladder), context->swept_at);

	if (context->ladder_timer.loop)
		qs_timer_arm(&context->ladder_timer, at);
}

/*
 * QS_FOREVER: by itself it stays where it is. When the earliest leaves the ladder, the timer stays
 * as it is while there are others: it comes up in vain once, and a hundred thousand tasks that end
 * at once need not each look for who is next.
 */
static void set_next_rung(struct qs_task *task, uint64_t at)
{
	struct qs_context *context = task->group->context;
	struct qs_timer *timer = &context->ladder_timer;
	bool was_in = task->rung.index != HEAP_NOT_IN;

	if (was_in)
		heap_remove(&context->ladder, &task->rung);
	/* It does not fail: qs_task_init reserved the room. */
	if (at != QS_FOREVER)
		(void)!heap_add(&context->ladder, &task->rung, at);
	if (at != QS_FOREVER && (!qs_timer_armed(timer) || at < timer->at))
		qs_timer_arm(timer, at);
	else if (was_in && context->ladder.count == 0)
		set_ladder_timer(context);
}

uint64_t qs_task_next_rung_at(const struct qs_task *task)
{
	uint64_t at = QS_FOREVER;

	if (!task->record)
		return QS_FOREVER;
	if (task->rung.index != HEAP_NOT_IN)
		at = heap_key(&task->group->context->ladder, &task->rung);
	return rung_of(task) == QS_RUNG_ASK ? MIN(at, task->swept_at) : at;
}

void qs_tasks_swept(struct qs_context *context, uint64_t cancel_at)
{
	context->swept_at = cancel_at;
	set_ladder_timer(context);
}

static void climb(struct qs_task *task)
{
	if (rung_of(task) < QS_RUNG_CANCEL)
		qs_task_cancel(task, qs_task_cause(task));
	else
		qs_task_kill(task, qs_task_cause(task));
}

static void cancel_swept(struct qs_context *context, uint64_t now)
{
	uint64_t next = QS_FOREVER;

	list_for_each (node, &context->tasks) {
		struct qs_task *task = list_entry(node, struct qs_task, in_context);

		if (rung_of(task) != QS_RUNG_ASK)
			continue;
		if (task->swept_at <= now)
			qs_task_cancel(task, qs_task_cause(task));
		else
			next = MIN(next, task->swept_at);
	}
	context->swept_at = next;
}

/* A rung that is due because of this one waits for the next turn, like any other timer. */
static void ladder_due(struct qs_timer *timer)
{
	struct qs_context *context = container_of(timer, struct qs_context, ladder_timer);
	uint64_t now = qs_loop_now(context->loop), newer = context->ladder.next_order;
	struct heap_node *first;

	while ((first = heap_first(&context->ladder)) != NULL &&
	        heap_first_key(&context->ladder) <= now &&
	        heap_first_order(&context->ladder) < newer) {
		heap_remove(&context->ladder, first);
		climb(container_of(first, struct qs_task, rung));
	}
	if (context->swept_at <= now)
		cancel_swept(context, now);
	set_ladder_timer(context);
}

static int reserve_rung(struct qs_context *context)
{
	int r = 0;

	if (!context->ladder_timer.loop)
		r = qs_timer_init(context->loop, &context->ladder_timer, ladder_due);
	return r < 0 ? r : heap_reserve(&context->ladder, context->task_count + 1);
}

/* --- the result, and who waits for it --- */

struct qs_join qs_joins_end;

void qs_task_add_join(struct qs_task *task, struct qs_join *join)
{
	join->next = task->joins ? task->joins : &qs_joins_end;
	task->joins = join;
}

void qs_task_remove_join(struct qs_task *task, struct qs_join *join)
{
	struct qs_join **at = &task->joins;

	while (*at != join)
		at = &(*at)->next;
	*at = join->next;
}

static void deliver(struct qs_task *task, const struct qs_result *result)
{
	struct qs_join *join = TAKE(task->joins, NULL);

	qs_group_failure_is_read(task->group, task);
	while (join != &qs_joins_end) {
		struct qs_join *next = join->next;

		join->done(join, result);
		join = next;
	}
}

void qs_task_release(struct qs_task *task)
{
	list_remove(&task->in_group);
	if (task->terms->ended)
		task->terms->ended(task, task->result.verdict, task->arg);
}

int qs_task_result(struct qs_task *task, struct qs_result *ret_result)
{
	if (task->record)
		return -EINPROGRESS;
	*ret_result = task->result;
	/* What was abandoned is nobody's to free. */
	if (task->joins) {
		qs_group_failure_is_read(task->group, task);
		qs_task_release(task);
	}
	return 0;
}

void qs_task_forget(struct qs_task *task)
{
	if (task->joins != &qs_joins_end)
		return;
	task->joins = NULL;
	if (!task->record) {
		qs_group_failure_is_nobodys(task->group, task);
		qs_task_release(task);
	}
}

int qs_task_init(struct qs_task *task, const struct qs_task_kind *kind, struct qs_group *group,
        const struct qs_task_setup *setup)
{
	struct qs_context *context = group->context;

	if (!setup->part && qs_group_is_closed(group))
		return -ESHUTDOWN;
	*task = (struct qs_task){
		.kind = kind,
		.terms = setup->terms,
		.arg = setup->arg,
		.group = group,
		.swept_at = QS_FOREVER,
		.joins = setup->joinable ? &qs_joins_end : NULL,
	};
	list_init(&task->in_group);
	list_init(&task->in_context);
	int r = reserve_rung(context);
	if (r < 0)
		return r;
	r = qs_ledger_open(context->ledger, setup->owner, kind->id, setup->name,
	        qs_loop_now(context->loop), &task->record);
	if (r < 0)
		return r;
	qs_group_add(group, task);
	qs_tell_witness(context, task, "begin");
	return 0;
}

uint64_t qs_task_id(const struct qs_task *task)
{
	return task->record ? atomic_load_explicit(&task->record->id, memory_order_relaxed) : 0;
}

enum qs_rung qs_task_rung(const struct qs_task *task)
{
	return rung_of(task);
}

enum qs_cause qs_task_cause(const struct qs_task *task)
{
	return (enum qs_cause)task->record->cause;
}

/* An earlier end of patience counts, a later one does not. */
static void hasten_cancel(struct qs_task *task, uint64_t cancel_at)
{
	if (cancel_at < qs_task_next_rung_at(task))
		set_next_rung(task, cancel_at);
}

/* Returns when its own patience will be over. */
static uint64_t begin_ask(struct qs_task *task, enum qs_cause cause, uint64_t at)
{
	struct qs_record *record = task->record;

	atomic_store_explicit(&record->cause, (uint8_t)cause, memory_order_release);
	atomic_store_explicit(&record->asked_at, at, memory_order_release);
	set_rung(task, QS_RUNG_ASK);
	return qs_time_add(at, task->terms->ladder.deadline);
}

static void finish_ask(struct qs_task *task)
{
	task->kind->ask(task);
	tell(task, QS_RUNG_ASK);
}

void qs_task_ask(struct qs_task *task, enum qs_cause cause, uint64_t cancel_at)
{
	if (!task->record || rung_of(task) > QS_RUNG_ASK)
		return;
	if (rung_of(task) == QS_RUNG_ASK) {
		hasten_cancel(task, cancel_at);
		return;
	}
	uint64_t patience_ends = begin_ask(task, cause, qs_loop_now(task->group->context->loop));

	hasten_cancel(task, MIN(cancel_at, patience_ends));
	finish_ask(task);
}

void qs_task_ask_swept(struct qs_task *task, enum qs_cause cause, uint64_t cancel_at)
{
	if (!task->record || rung_of(task) > QS_RUNG_ASK)
		return;
	task->swept_at = MIN(task->swept_at, cancel_at);
	if (rung_of(task) == QS_RUNG_ASK)
		return;
	hasten_cancel(task, begin_ask(task, cause, qs_loop_now(task->group->context->loop)));
	finish_ask(task);
}

void qs_task_heard(struct qs_task *task)
{
	struct qs_context *context = task->group->context;
	struct qs_stop_reason reason;

	if (!task->record || rung_of(task) != QS_RUNG_NONE ||
	        qs_stop_get_reason(context->ground->stop, &reason) < 0)
		return;
	/* The coordinator does the same when it hears: the report wants all that live now. */
	qs_ledger_retain(context->ledger);
	hasten_cancel(task,
	        begin_ask(task, QS_CAUSE_SHUTDOWN, MAX(reason.at, qs_loop_now(context->loop))));
	finish_ask(task);
}

void qs_task_cancel(struct qs_task *task, enum qs_cause cause)
{
	if (!task->record || rung_of(task) >= QS_RUNG_CANCEL)
		return;
	qs_task_ask(task, cause, QS_FOREVER);
	set_rung(task, QS_RUNG_CANCEL);
	uint64_t now = qs_loop_now(task->group->context->loop);
	set_next_rung(task, qs_time_add(now, task->terms->ladder.cancel_grace));
	task->kind->cancel(task);
	tell(task, QS_RUNG_CANCEL);
}

void qs_task_kill(struct qs_task *task, enum qs_cause cause)
{
	if (!task->record || rung_of(task) >= QS_RUNG_KILL)
		return;
	qs_task_cancel(task, cause);
	set_rung(task, QS_RUNG_KILL);
	set_next_rung(task, QS_FOREVER);
	task->kind->kill(task);
	tell(task, QS_RUNG_KILL);
}

/* What the group has to know of a failure, while the record still has the name. */
static void note_failure(struct qs_task *task, struct qs_result result)
{
	struct qs_failure failure = { .id = qs_task_id(task), .result = result };

	memcpy(failure.name, task->record->name, sizeof(failure.name));
	qs_group_note_failure(task->group, task->joins ? task : NULL, &failure);
}

/* The record is closed, the timer gone: for the ledger it is over. */
static struct qs_result conclude(struct qs_task *task, const struct qs_verdict_input *input)
{
	struct qs_context *context = task->group->context;
	struct qs_result result = { qs_verdict_decide(input), input->outcome };

	if (context->witness)
		qs_tell_witness(context, task, qs_verdict_name(result.verdict));
	if (result.verdict == QS_VERDICT_FAILED)
		note_failure(task, result);
	/* One that has heard of a stop in this turn was asked later than the turn began. */
	qs_ledger_close(context->ledger, task->record, result.verdict, result.outcome,
	        MAX(qs_loop_now(context->loop), task->record->asked_at));
	set_next_rung(task, QS_FOREVER);
	task->record = NULL;
	task->result = result;
	return result;
}

void qs_task_end(struct qs_task *task, struct qs_outcome outcome, bool well, bool well_when_asked)
{
	/* Abandoned in the same turn: its verdict stands. */
	if (!task->record)
		return;
	struct qs_verdict_input input = { .rung = rung_of(task),
		.cause = qs_task_cause(task),
		.outcome = outcome,
		.well = well,
		.well_when_asked = well_when_asked };
	struct qs_group *group = task->group;
	struct qs_result result = conclude(task, &input);
	bool kept = task->joins == &qs_joins_end;

	if (task->joins && !kept)
		deliver(task, &result);
	/* If it is kept, it may be freed together with its group from here on. */
	qs_group_remove(group, task, kept);
	if (!kept && task->terms->ended)
		task->terms->ended(task, result.verdict, task->arg);
}

void qs_task_abandon(struct qs_task *task)
{
	if (!task->record)
		return;
	(void)conclude(
	        task, &(struct qs_verdict_input){
	                      .rung = rung_of(task), .cause = qs_task_cause(task), .left = true });
	task->joins = NULL;
	qs_group_remove(task->group, task, false);
	if (task->kind->abandoned)
		task->kind->abandoned(task);
}

/* --- for the task itself --- */

/*
 * The loop asks each task in its turn. A stop that was set after this turn began has not come to
 * that yet, and never will while this task keeps the loop: so the task hears of it here, and that
 * is its ask.
 */
static bool stop_is_new(const struct qs_context *context)
{
	struct qs_stop_reason reason;

	return qs_stop_is_set(context->ground->stop) &&
	       qs_stop_get_reason(context->ground->stop, &reason) == 0 &&
	       reason.at >= qs_loop_now(context->loop);
}

/* Of a thread, or while something in the tree of stop events is set. */
static __attribute__((noinline, cold)) bool stopping_slowly(struct qs_task *task)
{
	/* In a thread that was abandoned the group and all else of the loop's may be gone. */
	if (task->kind->stopping)
		return task->kind->stopping(task);
	if (!task->record || rung_of(task) != QS_RUNG_NONE)
		return true;
	if (!stop_is_new(task->group->context))
		return false;
	qs_task_heard(task);
	return true;
}

bool qs_stopping(struct qs_task *task)
{
	/* For a thread nothing else of it is to be looked at here. */
	if (task->kind->stopping || !task->record)
		return stopping_slowly(task);
	struct qs_record *record = task->record;
	const struct qs_context *context = task->group->context;
	atomic_store_explicit(
	        &record->polled_at, qs_clock_coarse(context->clock), memory_order_relaxed);
	if (rung_of(task) != QS_RUNG_NONE)
		return true;
	if (!context->ground ||
	        atomic_load_explicit(context->ground->stop_sets, memory_order_acquire) == 0)
		return false;
	return stopping_slowly(task);
}

uint64_t qs_in(const struct qs_task *task, uint64_t span)
{
	return qs_time_add(qs_clock_read(task->group->context->clock), span);
}

struct qs_group *qs_task_group(const struct qs_task *task)
{
	return task->group;
}
