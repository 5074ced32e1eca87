/*
 * Requests as waits of a fiber. The fiber only queues its call and parks; libcurl never runs on its
 * stack. A wait that is ended from outside drops the call at once: then the response says how far
 * it came, without any memory that somebody who is killed could not give back.
 */
#include <errno.h>

#include "lib/fiber.h"
#include "lib/http.h"

struct performance {
	struct qs_wait wait;
	struct qs_fiber *fiber;
	qs_http_call *call; /* NULL once it is over, or a stream's */
	struct qs_http_response *response;
	qs_http_stream *stream;
};

static struct performance *performance_of(struct qs_wait *wait)
{
	return container_of(wait, struct performance, wait);
}

static void give_up(struct qs_wait *wait)
{
	struct performance *performance = performance_of(wait);

	qs_http_drop(TAKE(performance->call, NULL), performance->response);
}

/* It was killed before it could hear of the answer. */
static void throw_away(struct qs_wait *wait)
{
	struct performance *performance = performance_of(wait);

	qs_http_response_done(performance->response);
	qs_http_close(performance->stream);
}

static void performed(
        qs_http_call *call _unused_, int result, struct qs_http_response *response, void *arg)
{
	struct performance *performance = arg;

	performance->call = NULL;
	if (result < 0)
		qs_http_response_done(response);
	*performance->response = *response;
	qs_fiber_wake(performance->fiber, result);
}

/* Who looks at a straggler sees what it waits for. */
static void moved(struct qs_http_call *call)
{
#define NAME(value, name) "HTTP: " name,
	static const char *const names[] = { QS_HTTP_PHASE_MAP(NAME) };
#undef NAME
	const struct performance *performance = call->arg;

	qs_fiber_change_wait(performance->fiber, QS_WAIT_IN_FLIGHT, names[call->phase]);
}

static int perform(struct performance *performance, qs_http *http,
        const struct qs_http_request *request, uint64_t deadline,
        const struct qs_http_handlers *handlers)
{
	int r = qs_fiber_check(performance->fiber, QS_WAIT_IN_FLIGHT);

	performance->wait.nature = QS_WAIT_IN_FLIGHT;
	performance->wait.abort = give_up;
	performance->wait.undo = throw_away;
	if (r == 0)
		r = qs_http_start(
		        http, request, QS_FOREVER, handlers, performance, &performance->call);
	if (r == 0) {
		performance->call->moved = moved;
		return qs_fiber_wait(performance->fiber, &performance->wait, deadline);
	}
	qs_http_response_refuse(performance->response, request, r);
	return r;
}

int qs_http_perform(qs_task *self, qs_http *http, const struct qs_http_request *request,
        uint64_t deadline, struct qs_http_response *ret_response)
{
	static const struct qs_http_handlers handlers = { .done = performed };
	struct performance performance = {
		.wait = { .name = "HTTP: queued" },
		.fiber = qs_fiber_of(self),
		.response = ret_response,
	};

	return perform(&performance, http, request, deadline, &handlers);
}

/* --- streams --- */

static int head_came(qs_http_call *call, const struct qs_http_response *response, void *arg)
{
	struct performance *performance = arg;
	struct qs_http_response copy;
	int r = qs_http_response_copy(response, &copy);

	if (r == 0)
		r = qs_http_stream_new(call, &performance->stream);
	if (r < 0) {
		qs_http_response_done(&copy);
		return r;
	}
	performance->call = NULL;
	*performance->response = copy;
	qs_fiber_wake(performance->fiber, 0);
	return 0;
}

/* By then it is the stream's. */
static int no_data(qs_http_call *call _unused_, const void *data _unused_, size_t size _unused_,
        void *arg _unused_)
{
	return -EIO;
}

int qs_http_open(qs_task *self, qs_http *http, const struct qs_http_request *request,
        uint64_t deadline, struct qs_http_response *ret_response, qs_http_stream **ret_stream)
{
	static const struct qs_http_handlers handlers = {
		.head = head_came,
		.data = no_data,
		.done = performed,
	};
	struct performance performance = {
		.wait = { .name = "HTTP: queued" },
		.fiber = qs_fiber_of(self),
		.response = ret_response,
	};
	int r = perform(&performance, http, request, deadline, &handlers);

	if (r < 0)
		return r;
	qs_http_stream_own(performance.stream, self);
	*ret_stream = performance.stream;
	return 0;
}
