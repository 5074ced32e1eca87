/* Waits for the ends of tasks and groups. All of them are in flight: who is waited for ends too. */
#include <errno.h>

#include "lib/alloc.h"
#include "lib/fiber.h"

/* --- one --- */

struct task_join {
	struct qs_wait wait;
	struct qs_join join;
	struct qs_task *task;
	struct qs_fiber *fiber;
	struct qs_result result;
};

static void task_ended(struct qs_join *join, const struct qs_result *result)
{
	struct task_join *self = container_of(join, struct task_join, join);

	self->result = *result;
	qs_fiber_wake(self->fiber, 0);
}

static void leave_task(struct qs_wait *wait)
{
	struct task_join *self = container_of(wait, struct task_join, wait);

	qs_task_remove_join(self->task, &self->join);
}

int qs_task_join(qs_task *self, qs_task *task, uint64_t deadline, struct qs_result *ret_result)
{
	struct task_join join = {
		.wait = { .name = "join", .nature = QS_WAIT_IN_FLIGHT, .abort = leave_task },
		.join = { .done = task_ended },
		.task = task,
		.fiber = qs_fiber_of(self),
	};
	int r = qs_fiber_check(join.fiber, QS_WAIT_IN_FLIGHT);

	if (r == 0 && !task->joins)
		r = -EINVAL;
	if (r == 0 && task == self)
		r = -EDEADLK;
	if (r == 0 && qs_task_result(task, &join.result) < 0) {
		qs_task_add_join(task, &join.join);
		r = qs_fiber_wait(join.fiber, &join.wait, deadline);
	}
	if (r == 0 && ret_result)
		*ret_result = join.result;
	return r;
}

int qs_join_all(qs_task *self, qs_task **tasks, unsigned count, uint64_t deadline,
        struct qs_result *results)
{
	for (unsigned i = 0; i < count; i++) {
		int r = tasks[i] ? qs_task_join(
		                           self, tasks[i], deadline, results ? &results[i] : NULL)
		                 : 0;

		if (r < 0)
			return r;
		tasks[i] = NULL;
	}
	return 0;
}

/* --- the first of several --- */

struct first_join;

struct runner {
	struct qs_join join;
	struct qs_task *task; /* NULL: it has no part in this */
	struct first_join *race;
};

struct first_join {
	struct qs_wait wait;
	struct qs_fiber *fiber;
	struct runner *runners;
	unsigned count, first;
	struct qs_result result;
};

static void end_race(struct first_join *race, const struct runner *winner)
{
	for (unsigned i = 0; i < race->count; i++) {
		struct runner *runner = &race->runners[i];

		if (runner->task && runner != winner)
			qs_task_remove_join(runner->task, &runner->join);
	}
	qs_free(TAKE(race->runners, NULL));
}

static void give_up_race(struct qs_wait *wait)
{
	end_race(container_of(wait, struct first_join, wait), NULL);
}

static void runner_ended(struct qs_join *join, const struct qs_result *result)
{
	struct runner *runner = container_of(join, struct runner, join);
	struct first_join *race = runner->race;

	race->first = (unsigned)(runner - race->runners);
	race->result = *result;
	end_race(race, runner);
	qs_fiber_wake(race->fiber, 0);
}

/* One that has ended already: its index, or -EINPROGRESS, or -EINVAL when there is none at all. */
static int find_ended(qs_task **tasks, unsigned count, struct qs_result *ret_result)
{
	int r = -EINVAL;

	for (unsigned i = 0; i < count; i++) {
		if (!tasks[i])
			continue;
		if (!tasks[i]->joins)
			return -EINVAL;
		if (qs_task_result(tasks[i], ret_result) == 0)
			return (int)i;
		r = -EINPROGRESS;
	}
	return r;
}

/* One that stands there twice would be joined twice. */
static bool takes_part(const struct first_join *race, const qs_task *task)
{
	uintptr_t latest = (uintptr_t)task->joins, first = (uintptr_t)race->runners;

	return latest >= first && latest < (uintptr_t)(race->runners + race->count);
}

static int start_race(struct first_join *race, qs_task **tasks, unsigned count)
{
	race->runners = qs_calloc(count, sizeof(*race->runners));
	if (!race->runners)
		return -ENOMEM;
	race->count = count;
	for (unsigned i = 0; i < count; i++) {
		struct runner *runner = &race->runners[i];

		if (!tasks[i])
			continue;
		if (takes_part(race, tasks[i])) {
			end_race(race, NULL);
			return -EINVAL;
		}
		*runner = (struct runner){
			.join = { .done = runner_ended }, .task = tasks[i], .race = race
		};
		qs_task_add_join(tasks[i], &runner->join);
	}
	return 0;
}

int qs_join_first(qs_task *self, qs_task **tasks, unsigned count, uint64_t deadline,
        struct qs_result *ret_result)
{
	struct first_join race = {
		.wait = { .name = "join first",
		        .nature = QS_WAIT_IN_FLIGHT,
		        .abort = give_up_race },
		.fiber = qs_fiber_of(self),
	};
	int r = qs_fiber_check(race.fiber, QS_WAIT_IN_FLIGHT);

	if (r == 0)
		r = find_ended(tasks, count, &race.result);
	if (r == -EINPROGRESS) {
		r = start_race(&race, tasks, count);
		if (r == 0)
			r = qs_fiber_wait(race.fiber, &race.wait, deadline);
		if (r == 0)
			r = (int)race.first;
	}
	if (r < 0)
		return r;
	tasks[r] = NULL;
	if (ret_result)
		*ret_result = race.result;
	return r;
}

/* --- a group --- */

struct group_join {
	struct qs_wait wait;
	struct qs_group_join join;
	struct qs_fiber *fiber;
	struct qs_group *group; /* NULL once it is gone */
	struct qs_failure failure;
	int failed;
};

/* One that was let go of is not there any more when the fiber goes on. */
static void group_empty(struct qs_group_join *join)
{
	struct group_join *self = container_of(join, struct group_join, join);

	if (self->group->let_go) {
		self->failed = qs_group_next_failure(self->group, &self->failure);
		self->group = NULL;
	}
	qs_fiber_wake(self->fiber, 0);
}

static void leave_group(struct qs_wait *wait)
{
	qs_group_remove_join(&container_of(wait, struct group_join, wait)->join);
}

static bool is_inside(const struct qs_group *inner, const struct qs_group *outer)
{
	for (; inner; inner = inner->parent)
		if (inner == outer)
			return true;
	return false;
}

int qs_group_join(qs_task *self, qs_group *group, uint64_t deadline, struct qs_failure *ret_failure)
{
	struct group_join join = {
		.wait = { .name = "join group", .nature = QS_WAIT_IN_FLIGHT, .abort = leave_group },
		.join = { .empty = group_empty },
		.fiber = qs_fiber_of(self),
		.group = group,
	};
	int r = qs_fiber_check(join.fiber, QS_WAIT_IN_FLIGHT);

	if (r == 0 && is_inside(self->group, group))
		r = -EDEADLK;
	while (r == 0 && join.group && group->live > 0) {
		qs_group_add_join(group, &join.join);
		r = qs_fiber_wait(join.fiber, &join.wait, deadline);
	}
	if (r < 0)
		return r;
	if (!join.group) {
		if (join.failed && ret_failure)
			*ret_failure = join.failure;
		return join.failed;
	}
	if (list_empty(&group->failures))
		return 0;
	return ret_failure ? qs_group_next_failure(group, ret_failure) : 1;
}
