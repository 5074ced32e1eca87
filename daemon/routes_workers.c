/*
 * The handlers for workers: show, start, stop, restart. With ?wait= the answer comes when it is
 * done: 200; when the time was not enough: 202; when it came to nothing: 409 or 500.
 */
#include <errno.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/routes.h"
#include "daemon/view.h"

/* Across turns a worker is looked up anew: a reload may have removed it. */
static struct worker *find_worker(struct request *request)
{
	struct worker *worker = fleet_find(&request->daemon->fleet, request->argument);

	if (!worker)
		answer_problem(request, 404, "there is no worker \"%s\"", request->argument);
	return worker;
}

void route_worker_list(struct request *request)
{
	json_t *workers = view_workers(request->daemon);

	answer_json(request, 200, workers ? json_pack("{s:o}", "workers", workers) : NULL);
}

void route_worker_show(struct request *request)
{
	const struct worker *worker = find_worker(request);

	if (worker)
		answer_json(request, 200, view_worker(worker, true));
}

/* Its present run by the id of its task, 0 for none. */
static uint64_t run_of(const struct worker *worker)
{
	struct qs_task *task = worker->run ? worker->run->task : NULL;

	return task ? qs_task_id(task) : 0;
}

static bool is_down(const struct worker *worker)
{
	return !worker->run && (worker->state == WORKER_STOPPED || worker->state == WORKER_FAILED);
}

/* `once` is there when it has ended well, `every` when its schedule runs. */
static bool is_up(const struct worker *worker)
{
	if (worker->restart_wanted)
		return false;
	switch (worker->config->when) {
	case WHEN_ALWAYS:
	case WHEN_CALL:
		return worker->state == WORKER_RUNNING;
	case WHEN_ONCE:
		return worker->state == WORKER_STOPPED && worker->ready;
	case WHEN_EVERY:
		return worker->ready &&
		       (worker->state == WORKER_WAITING || worker->state == WORKER_RUNNING);
	}
	return false;
}

static void answer_worker(struct request *request, int status, const struct worker *worker)
{
	answer_json(request, status, view_worker(worker, true));
}

static bool stop_is_done(struct request *request, _unused_ uint64_t mark, enum wait_moment moment)
{
	const struct worker *worker = find_worker(request);

	if (!worker)
		return true;
	bool done = is_down(worker);
	if (!done && moment == WAIT_CHECK)
		return false;
	answer_worker(request, done ? 200 : 202, worker);
	return true;
}

/* Why it will not come up any more; answered then. */
static bool start_has_failed(struct request *request, const struct worker *worker)
{
	const char *name = worker->config->name;

	if (worker->state == WORKER_FAILED)
		answer_problem(request, 500, "%s has failed: %s", name, worker->detail);
	else if (!worker->wanted)
		answer_problem(request, 409, "%s was stopped meanwhile", name);
	else if (is_down(worker))
		answer_problem(request, 409, "%s has ended already: %s", name, worker->detail);
	else if (worker->fleet->held)
		answer_problem(request, 409, "%s is held: the daemon drains or shuts down", name);
	else
		return false;
	return true;
}

/* `mark` is the run that has to be gone first. */
static bool start_is_done(struct request *request, uint64_t mark, enum wait_moment moment)
{
	const struct worker *worker = find_worker(request);

	if (!worker)
		return true;
	bool done = is_up(worker) && (mark == 0 || run_of(worker) != mark);
	if (!done && start_has_failed(request, worker))
		return true;
	if (!done && moment == WAIT_CHECK)
		return false;
	answer_worker(request, done ? 200 : 202, worker);
	return true;
}

static bool answer_refusal(struct request *request, int r)
{
	if (r == -EBUSY)
		answer_problem(
		        request, 409, "nothing is started while the daemon drains or shuts down");
	else if (r < 0)
		answer_problem(request, 500, "%s", strerror(-r));
	return r < 0;
}

/* Without a wait the answer is 202, whatever has happened already. */
static void answer_when(struct request *request, uint64_t span, wait_fn fn, uint64_t mark)
{
	const struct worker *worker;

	if (span > 0)
		wait_begin(request, span, fn, mark);
	else if ((worker = find_worker(request)))
		answer_worker(request, 202, worker);
}

void route_worker_start(struct request *request)
{
	struct worker *worker = find_worker(request);
	uint64_t span;

	if (!worker || wait_parse(request, &span) < 0)
		return;
	if (!answer_refusal(request, worker_start(worker)))
		answer_when(request, span, start_is_done, 0);
}

void route_worker_stop(struct request *request)
{
	struct worker *worker = find_worker(request);
	uint64_t span;

	if (!worker || wait_parse(request, &span) < 0)
		return;
	worker_stop(worker, QS_CAUSE_API);
	answer_when(request, span, stop_is_done, 0);
}

void route_worker_restart(struct request *request)
{
	struct worker *worker = find_worker(request);
	uint64_t span;

	if (!worker || wait_parse(request, &span) < 0)
		return;
	uint64_t mark = run_of(worker);
	if (!answer_refusal(request, worker_restart(worker)))
		answer_when(request, span, start_is_done, mark);
}
