/*
 * A batch: forty requests, at most four of them at once, each with a timeout of its own, and the
 * answers gathered in order. One of the servers hangs; that costs its own request, and no other.
 *
 * It prints, and exits with status 0:
 *
 *	request 13: Connection timed out
 *	39 of 40 answered, never more than 4 at once
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/quiesce.h>

#define REQUESTS 40
#define AT_ONCE  4
#define TIMEOUT  (200 * QS_MSEC)

struct request {
	struct batch *batch;
	unsigned number;
};

/* It lives in main: requests use it until the group is empty, gather() may be gone before that. */
struct batch {
	qs_semaphore *permits;
	unsigned running, most;
	struct request requests[REQUESTS];
	qs_task *tasks[REQUESTS];
	struct qs_result results[REQUESTS];
};

/* A stand-in for a call over the network: it answers after a while, or (number 13) never. */
static int call(qs_task *self, const struct request *request, uint64_t deadline)
{
	uint64_t answered = qs_in(self, (1 + request->number % 5) * QS_MSEC);

	if (request->number == 13)
		answered = QS_FOREVER;
	int r = qs_sleep(self, answered < deadline ? answered : deadline);
	if (r < 0)
		return r;
	return answered < deadline ? (int)request->number : -ETIMEDOUT;
}

static int run_request(qs_task *self, void *arg)
{
	const struct request *request = arg;
	struct batch *batch = request->batch;
	int r = qs_semaphore_acquire(self, batch->permits, QS_FOREVER);

	if (r < 0)
		return r;
	if (++batch->running > batch->most)
		batch->most = batch->running;
	/* The clock of a request begins with its permit, not while it stands in line. */
	r = call(self, request, qs_in(self, TIMEOUT));
	batch->running--;
	qs_semaphore_release(batch->permits);
	return r;
}

static int gather(qs_task *self, void *arg)
{
	struct batch *batch = arg;
	qs_group *group; /* this fiber owns it: what is in it ends before the fiber does */
	unsigned answered = 0;

	int r = qs_group_new(qs_task_group(self), NULL, &group);
	for (unsigned i = 0; r == 0 && i < REQUESTS; i++) {
		batch->requests[i] = (struct request){ batch, i };
		r = qs_spawn_fiber(group, NULL, run_request, &batch->requests[i], &batch->tasks[i]);
	}
	if (r == 0)
		r = qs_join_all(
		        self, batch->tasks, REQUESTS, qs_in(self, 10 * QS_SEC), batch->results);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < REQUESTS; i++) {
		int answer = batch->results[i].outcome.value;

		if (answer >= 0)
			answered++;
		else
			printf("request %u: %s\n", i, strerror(-answer));
	}
	printf("%u of %d answered, never more than %u at once\n", answered, REQUESTS, batch->most);
	return 0;
}

int main(void)
{
	const struct qs_task_options options = { .name = "gather" };
	struct batch batch = { 0 };
	qs_runtime *runtime;

	if (qs_semaphore_new(AT_ONCE, &batch.permits) < 0 || qs_runtime_new(&runtime) < 0)
		return 1;
	if (qs_spawn_fiber(qs_root(runtime), &options, gather, &batch, NULL) < 0)
		return 1;
	int status = qs_run(runtime);
	qs_runtime_free(runtime);
	qs_semaphore_free(batch.permits);
	return status;
}
