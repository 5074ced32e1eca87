/* See the header. What must hold: each call ends once, permits add up, and so do the counters. */
#include "tests/sim/gate_sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/fiber.h>
#include <quiesce/group.h>
#include <quiesce/http_call.h>

#include "lib/macro.h"

static uint64_t draw(struct gate_world *world, uint64_t below)
{
	return qs_random_below(&world->random, below);
}

static void break_it(struct gate_world *world, const char *what, uint64_t detail)
{
	if (!world->broken[0])
		(void)snprintf(
		        world->broken, sizeof(world->broken), "%s (%" PRIu64 ")", what, detail);
}

/* --- the server --- */

static const struct qs_http_header soon[] = { { "Retry-After", "1" }, { 0 } };
static const struct qs_http_header later[] = { { "Retry-After", "20" }, { 0 } };

static void answer(
        const struct qs_http_request *request, struct qs_http_scripted *ret_scripted, void *arg)
{
	static const int statuses[] = { 200, 200, 200, 200, 404, 429, 503, 504 };
	static const int errors[] = { -ECONNRESET, -ECONNREFUSED, -ETIME, -EKEYREJECTED };
	static const char body[40000];
	struct gate_world *world = arg;

	(void)request;
	world->asked++;
	*ret_scripted = (struct qs_http_scripted){
		.delay = draw(world, 3 * QS_SEC),
		.status = statuses[draw(world, ARRAY_SIZE(statuses))],
		.body = body,
		.body_size = draw(world, sizeof(body)),
	};
	if (ret_scripted->status == 429 || ret_scripted->status == 503)
		ret_scripted->headers = draw(world, 3) == 0 ? NULL : draw(world, 3) ? soon : later;
	if (draw(world, 5) == 0)
		ret_scripted->error = errors[draw(world, ARRAY_SIZE(errors))];
	ret_scripted->unsent = draw(world, 2) == 0;
	if (draw(world, 20) == 0)
		ret_scripted->delay = QS_FOREVER;
}

/* --- calls --- */

/* Its fiber did not come back from the call: it was killed. */
static void note_loss(void *arg)
{
	struct call_record *record = arg;

	if (record->end == CALL_UNDER_WAY)
		record->end = CALL_LOST;
}

/* Who keeps its permit may not wait for another: false. */
static bool use_stream(qs_task *self, struct gate_world *world, qs_http_stream *stream)
{
	char buffer[5000];
	unsigned reads = (unsigned)draw(world, 20);

	while (reads-- > 0)
		if (qs_http_read(self, stream, buffer, sizeof(buffer), qs_in(self, QS_SEC)) <= 0)
			break;
	/* Who does not close it leaves that to its end. */
	if (draw(world, 3) == 0)
		return false;
	qs_http_close(stream);
	return true;
}

static bool call(qs_task *self, struct gate_world *world, struct call_record *record)
{
	static const char *const urls[] = { "http://a.example/1", "http://a.example/2",
		"http://a.example/3", "nonsense" };
	const struct qs_http_request request = {
		.method = draw(world, 4) == 0 ? "POST" : NULL,
		.url = urls[draw(world, draw(world, 10) == 0 ? 4 : 3)],
	};
	uint64_t deadline = draw(world, 3) ? QS_FOREVER : qs_in(self, draw(world, 20 * QS_SEC));
	qs_http_stream *stream = NULL;
	bool goes_on = true;

	record->end = CALL_UNDER_WAY;
	record->is_stream = draw(world, 5) == 0;
	if (record->is_stream)
		record->result = qs_gate_open(
		        self, world->gate, &request, deadline, &record->answer, &stream);
	else
		record->result =
		        qs_gate_call(self, world->gate, &request, deadline, &record->answer);
	if (record->end != CALL_UNDER_WAY)
		break_it(world, "a call came back twice", 0);
	record->end = CALL_RETURNED;
	if (stream)
		goes_on = use_stream(self, world, stream);
	qs_gate_answer_done(&record->answer);
	return goes_on;
}

static int caller(qs_task *self, void *arg);

static void begin_caller(struct gate_world *world, qs_group *group)
{
	const struct qs_task_options options = { .name = "caller" };

	if (world->fibers < 40 && qs_spawn_fiber(group, &options, caller, world, NULL) == 0)
		world->fibers++;
}

/* A few calls, one after the other, and now and then others that call, in a group of its own. */
static int caller(qs_task *self, void *arg)
{
	struct gate_world *world = arg;
	unsigned count = (unsigned)draw(world, 6) + 1;
	qs_group *group = NULL;

	if (draw(world, 3) == 0 && qs_group_new(qs_task_group(self), NULL, &group) == 0) {
		begin_caller(world, group);
		begin_caller(world, group);
		if (draw(world, 4) == 0)
			(void)!qs_group_set_deadline(group, qs_in(self, draw(world, 30 * QS_SEC)));
	}
	for (; count > 0 && world->calls < GATE_CALLS_MAX; count--) {
		struct call_record *record = &world->records[world->calls];

		if (qs_defer(self, note_loss, record) < 0)
			break;
		world->calls++;
		if (!call(self, world, record))
			break;
		if (group && draw(world, 3) == 0)
			qs_group_kill(group, QS_CAUSE_API);
		if (draw(world, 2) == 0 && qs_sleep(self, qs_in(self, draw(world, QS_SEC))) < 0)
			break;
	}
	return 0;
}

/* --- the world --- */

static void close_client(void *arg)
{
	struct gate_world *world = arg;

	qs_http_free(world->http);
}

static void close_gate(void *arg)
{
	struct gate_world *world = arg;

	qs_gate_stats(world->gate, &world->stats);
	world->has_stats = true;
	qs_gate_free(TAKE(world->gate, NULL));
}

static int open_gate(qs_task *self, struct gate_world *world)
{
	qs_group *group = qs_task_group(self);
	int r = qs_http_new_scripted(group, answer, world, &world->http);

	if (r < 0)
		return r;
	r = qs_defer(self, close_client, world);
	if (r < 0) {
		close_client(world);
		return r;
	}
	r = qs_gate_new(group, world->http, &world->options, &world->gate);
	if (r < 0)
		return r;
	r = qs_defer(self, close_gate, world);
	if (r < 0)
		qs_gate_free(TAKE(world->gate, NULL));
	return r;
}

/* It owns all: the callers end before the gate does, and the gate before its client. */
static int owner(qs_task *self, void *arg)
{
	struct gate_world *world = arg;
	unsigned count = (unsigned)draw(world, 8) + 1;
	int r = open_gate(self, world);

	if (r == 0)
		r = qs_group_new(qs_task_group(self), NULL, &world->group);
	if (r < 0)
		return r;
	while (count-- > 0)
		begin_caller(world, world->group);
	return qs_group_join(self, world->group, QS_FOREVER, NULL);
}

static int set_up(qs_runtime *runtime, void *arg)
{
	const struct qs_task_options options = { .name = "owner" };

	return qs_spawn_fiber(qs_root(runtime), &options, owner, arg, NULL);
}

static void draw_options(struct gate_world *world)
{
	struct qs_gate_options *options = &world->options;

	if (draw(world, 3) > 0)
		options->concurrency = (unsigned)draw(world, 4) + 1;
	if (draw(world, 3) == 0)
		options->backlog = (unsigned)draw(world, 5) + 1;
	if (draw(world, 3) == 0)
		options->rate = (unsigned)draw(world, 5) + 1;
	if (draw(world, 4) > 0)
		options->retry.attempts = (unsigned)draw(world, 6);
	options->retry.unsafe = draw(world, 2) == 0;
	if (draw(world, 2) == 0)
		options->retry.budget = QS_GATE_BUDGET_OFF;
	if (draw(world, 2) == 0)
		options->cache_size = draw(world, 200000);
	options->cache_ttl = draw(world, 20 * QS_SEC);
}

/* --- what must hold --- */

static void check_step(qs_runtime *runtime, uint64_t step, void *arg)
{
	struct gate_world *world = arg;
	struct qs_gate_stats stats;

	(void)runtime;
	if (!world->gate)
		return;
	qs_gate_stats(world->gate, &stats);
	if (world->options.concurrency > 0 && stats.in_flight > world->options.concurrency)
		break_it(world, "more are in flight than may be, at step", step);
	if (stats.cached_bytes > world->options.cache_size)
		break_it(world, "the cache is too large, at step", step);
}

static void check_call(struct gate_world *world, const struct call_record *record)
{
	if (record->end != CALL_RETURNED && record->end != CALL_LOST)
		break_it(world, "a call has no outcome", (uint64_t)(record - world->records));
	world->returned += record->end == CALL_RETURNED;
	world->lost += record->end == CALL_LOST;
	world->late += record->result == -ETIMEDOUT;
	world->stopped += record->result == -ESHUTDOWN;
	world->answered += record->end == CALL_RETURNED && record->result == 0;
	world->streamed += record->is_stream && record->result == 0;
}

static void check_counters(struct gate_world *world)
{
	const struct qs_gate_stats *stats = &world->stats;
	uint64_t attempts = 0;

	for (unsigned i = 0; i < world->calls; i++)
		attempts += world->records[i].answer.attempts;
	if (stats->waiting + stats->in_flight + stats->backing_off > 0)
		break_it(world, "a flight was left", stats->in_flight);
	/* Without sharing each request is an attempt of one call. */
	if (world->options.cache_size == 0 && attempts != stats->requests)
		break_it(world, "attempts and requests do not add up", attempts);
	if (world->asked > stats->requests)
		break_it(world, "the server was asked more often", world->asked);
	if (stats->retries > stats->requests || stats->calls > world->calls ||
	        stats->hits + stats->shared > stats->calls)
		break_it(world, "the counters do not add up", stats->calls);
	world->hits += stats->hits;
	world->shared += stats->shared;
	world->retries += stats->retries;
	world->refused += stats->retries_refused;
}

static void check_end(struct gate_world *world, const struct qs_sim_result *result)
{
	if (result->status == -EDEADLK || result->status == -ETIME)
		break_it(world, "it does not end", result->steps);
	if (result->tasks_left > 0)
		break_it(world, "tasks are left", result->tasks_left);
	if (result->memory_left != 0)
		break_it(world, "memory is left", (uint64_t)result->memory_left);
	for (unsigned i = 0; i < world->calls; i++)
		check_call(world, &world->records[i]);
	if (world->has_stats)
		check_counters(world);
}

static void trace_line(const struct qs_sim_event *event, void *arg)
{
	const struct gate_world *world = arg;

	if (world->is_trace_wanted)
		printf("%10.6f %6" PRIu64 " %4" PRIu64 " %-8s %s\n",
		        (double)event->at / (double)QS_SEC, event->step, event->task, event->name,
		        event->what);
}

void gate_world_run(struct gate_world *world, uint64_t seed, uint64_t stop_at, bool trace,
        struct qs_sim_result *ret_result)
{
	struct qs_sim_options options = {
		.seed = seed,
		.stop_at = stop_at,
		.trace = trace_line,
		.step = check_step,
		.arg = world,
	};
	int r;

	memset(world, 0, sizeof(*world));
	world->random.state = seed;
	world->is_trace_wanted = trace;
	draw_options(world);
	if (stop_at == 0 && draw(world, 2) == 0)
		options.stop_at = draw(world, 200) + 1;
	if (draw(world, 3) == 0)
		options.fail_rate = (unsigned)draw(world, 50000);
	r = qs_sim_run(&options, set_up, world, ret_result);
	if (r < 0)
		break_it(world, "it did not begin", (uint64_t)-r);
	else
		check_end(world, ret_result);
}
