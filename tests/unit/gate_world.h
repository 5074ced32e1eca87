/*
 * A gate before a scripted server, on a virtual clock: what the server says next is in a list, and
 * each request that comes in is noted. Nothing may be left of all that, not a byte.
 */
#ifndef QUIESCE_GATE_WORLD_H
#define QUIESCE_GATE_WORLD_H

#include <errno.h>
#include <stdio.h>

#include <quiesce/gate.h>
#include <quiesce/http_call.h>

#include "lib/alloc.h"
#include "lib/gate.h"
#include "tests/unit/fiber_world.h"

#define CALLS_MAX 2048

static qs_http *http;
static qs_gate *gate;
static struct qs_seam seam;

/* --- the server --- */

/* The last of these goes on for ever. */
static struct qs_http_scripted says[32];
static unsigned says_count, asked;
static uint64_t asked_at[CALLS_MAX];
static char asked_for[CALLS_MAX][32]; /* the ends of URLs */
static unsigned most_in_flight;
static const char *seen_body;

static inline void answer(
        const struct qs_http_request *request, struct qs_http_scripted *ret_scripted, void *arg)
{
	struct qs_gate_stats stats;

	(void)arg;
	ck_assert_uint_lt(asked, CALLS_MAX);
	asked_at[asked] = world_now() - QS_SEC;
	(void)snprintf(
	        asked_for[asked], sizeof(asked_for[asked]), "%s", strrchr(request->url, '/') + 1);
	seen_body = request->body;
	qs_gate_stats(gate, &stats);
	most_in_flight = MAX(most_in_flight, stats.in_flight);
	*ret_scripted = says[MIN(asked, says_count - 1)];
	asked++;
}

static inline void server_says(struct qs_http_scripted what)
{
	says[says_count++] = what;
}

#define SAYS(...) server_says((struct qs_http_scripted){ __VA_ARGS__ })

static const struct qs_http_header in_five_seconds[] = { { "Retry-After", "5" }, { 0 } };

/* --- calls --- */

struct a_call {
	struct qs_http_request request;
	uint64_t deadline;
	struct qs_gate_answer answer;
	int result;
	uint64_t over_at; /* since the begin of the world */
	bool over;
	qs_task *task;
};

static struct a_call calls[CALLS_MAX];

/* Its request lies on its own stack, and is written over as soon as the call is over. */
static inline int make_call(qs_task *self, void *arg)
{
	struct a_call *call = arg;
	struct qs_http_request request = call->request;
	char url[64], body[64];

	strcpy(url, request.url);
	request.url = url;
	if (request.body) {
		memcpy(body, request.body, request.body_size);
		request.body = body;
	}
	call->result = qs_gate_call(self, gate, &request, call->deadline, &call->answer);
	memset(url, '#', sizeof(url) - 1);
	memset(body, '#', sizeof(body));
	call->over_at = world_now() - QS_SEC;
	call->over = true;
	return call->result;
}

static inline struct a_call *begin_call(unsigned which, struct qs_http_request request)
{
	struct a_call *call = &calls[which];

	*call = (struct a_call){ .request = request, .deadline = QS_FOREVER };
	if (!request.url)
		call->request.url = "http://api.example/";
	call->task = world_spawn(&world.root, make_call, call);
	return call;
}

static inline struct a_call *call_at_once(struct qs_http_request request)
{
	struct a_call *call = begin_call(0, request);

	world_run();
	return call;
}

#define CALL(...) call_at_once((struct qs_http_request){ __VA_ARGS__ })

/* As many as there are places for, each to a URL of its own. */
static inline void begin_calls(unsigned count)
{
	static char urls[CALLS_MAX][40];

	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(urls[i], sizeof(urls[i]), "http://api.example/%u", i);
		(void)begin_call(i, (struct qs_http_request){ .url = urls[i] });
	}
}

static bool has_passed;

static inline void time_passed(struct qs_timer *timer)
{
	(void)timer;
	has_passed = true;
}

/* Lets so much time pass, and all happen that happens until then. */
static inline void pass(uint64_t span)
{
	struct qs_timer timer = { 0 };

	ck_assert_int_eq(qs_timer_init(world.loop, &timer, time_passed), 0);
	qs_timer_arm(&timer, world_now() + span);
	for (has_passed = false; !has_passed;)
		(void)qs_loop_turn(world.loop, true);
	qs_timer_done(&timer);
	world_settle();
}

static inline struct qs_gate_stats stats_now(void)
{
	struct qs_gate_stats stats;

	qs_gate_stats(gate, &stats);
	return stats;
}

/* --- the world --- */

static inline void open_gate(const struct qs_gate_options *options)
{
	qs_gate_free(TAKE(gate, NULL));
	ck_assert_int_eq(qs_gate_new(&world.root, http, options, &gate), 0);
}

static inline void open_gate_world(void)
{
	seam = (struct qs_seam){ 0 };
	qs_seam = &seam;
	world_open(true, 0);
	says_count = asked = most_in_flight = 0;
	memset(calls, 0, sizeof(calls));
	ck_assert_int_eq(qs_http_new_scripted(&world.root, answer, NULL, &http), 0);
	gate = NULL;
	open_gate(&(struct qs_gate_options){ 0 });
}

static inline void release_calls(void)
{
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		if (calls[i].task)
			qs_task_forget(calls[i].task);
		if (calls[i].over)
			qs_gate_answer_done(&calls[i].answer);
	}
}

static inline void close_gate_world(void)
{
	const struct qs_gate_stats stats = stats_now();

	ck_assert_uint_eq(world.root.live, 0);
	ck_assert_uint_eq(stats.waiting + stats.in_flight + stats.backing_off, 0);
	qs_gate_free(gate);
	qs_http_free(http);
	release_calls();
	world_settle();
	world_close();
	qs_seam = NULL;
	ck_assert_int_eq(seam.live, 0);
}

#endif
