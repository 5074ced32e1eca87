/* The HTTP client with a loop of its own, which turns until the answer is there. */
#include "lib/http_unix.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/alloc.h"
#include "lib/http.h"
#include "lib/macro.h"

#define BODY_MAX (64U << 20)
#define TICK     (500 * QS_MSEC)

struct qs_http_unix {
	struct qs_clock clock;
	struct qs_loop *loop;
	qs_http *http;
	struct qs_timer tick;
	struct exchange *exchange; /* under way */
	pid_t peer;
};

/* One request under way. */
struct exchange {
	struct qs_http_unix *http;
	const struct qs_http_unix_request *request;
	qs_http_call *call;
	bool over;
	int result;
	struct qs_http_response response;
};

/* --- making and freeing --- */

static void tick_due(struct qs_timer *timer);

int qs_http_unix_new(const char *socket_path, struct qs_http_unix **ret_http)
{
	const struct qs_http_options options = { .unix_socket = socket_path, .keep = 1 };
	struct qs_http_unix *http = calloc(1, sizeof(*http));
	int r;

	if (!http)
		return -ENOMEM;
	qs_clock_init(&http->clock);
	r = qs_loop_new(&http->clock, &http->loop);
	if (r == 0)
		r = qs_timer_init(http->loop, &http->tick, tick_due);
	if (r == 0)
		r = qs_http_new_on(http->loop, &options, &http->http);
	if (r < 0) {
		qs_http_unix_free(http);
		return r;
	}
	*ret_http = http;
	return 0;
}

void qs_http_unix_free(struct qs_http_unix *http)
{
	if (!http)
		return;
	qs_http_free(http->http);
	qs_timer_done(&http->tick);
	qs_loop_free(http->loop);
	free(http);
}

/* --- what is told --- */

static void end(struct exchange *exchange, int result)
{
	exchange->over = true;
	exchange->result = result;
	exchange->call = NULL;
}

static void tick_due(struct qs_timer *timer)
{
	struct qs_http_unix *http = container_of(timer, struct qs_http_unix, tick);
	struct exchange *exchange = http->exchange;
	const struct qs_http_unix_request *request = exchange->request;
	int r = request->tick ? request->tick(request->arg) : 0;

	qs_timer_arm(timer, qs_time_add(qs_loop_now(http->loop), TICK));
	if (r >= 0 || exchange->over)
		return;
	qs_http_drop(exchange->call, NULL);
	end(exchange, r);
}

/* While an answer comes the socket is open for certain, and nobody else's. */
static void note_peer(struct qs_http_unix *http)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	http->peer = 0;
	if (getsockopt(http->http->socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0)
		http->peer = credentials.pid;
}

static int head_came(
        qs_http_call *call _unused_, const struct qs_http_response *response, void *arg)
{
	const struct exchange *exchange = arg;
	const struct qs_http_unix_request *request = exchange->request;

	note_peer(exchange->http);
	return request->begun ? request->begun(response->status, request->arg) : 0;
}

static int data_came(qs_http_call *call _unused_, const void *data, size_t size, void *arg)
{
	const struct qs_http_unix_request *request = ((const struct exchange *)arg)->request;

	return MIN(request->chunk(data, size, request->arg), 0);
}

static void done(
        qs_http_call *call _unused_, int result, struct qs_http_response *response, void *arg)
{
	struct exchange *exchange = arg;

	exchange->response = *response;
	/* Of all timeouts only the deadline is set. */
	end(exchange, result == -ETIME ? -ETIMEDOUT : result);
}

/* --- requests --- */

static int start(struct exchange *exchange)
{
	static const struct qs_http_header json[] = { { "Content-Type", "application/json" },
		{ 0 } };
	const struct qs_http_unix_request *request = exchange->request;
	const struct qs_http_handlers handlers = {
		.head = head_came,
		.data = request->chunk ? data_came : NULL,
		.done = done,
	};
	struct qs_http_request what = {
		.method = request->method,
		.body = request->body,
		.body_size = request->body ? strlen(request->body) : 0,
		.limits = { QS_FOREVER, QS_FOREVER, QS_FOREVER, QS_FOREVER,
		        request->chunk ? SIZE_MAX : BODY_MAX, 0 },
	};
	_cleanup_(freep) char *url = NULL;

	if (request->body || strcmp(request->method, "POST") == 0)
		what.headers = json;
	if (asprintf(&url, "http://localhost%s", request->path) < 0)
		return -ENOMEM;
	what.url = url;
	return qs_http_start(exchange->http->http, &what, request->deadline, &handlers, exchange,
	        &exchange->call);
}

static int take_answer(
        struct qs_http_response *response, struct qs_http_unix_response *ret_response)
{
	char *body = malloc(response->body_size + 1);

	if (!body)
		return -ENOMEM;
	memcpy(body, response->body, response->body_size + 1);
	*ret_response = (struct qs_http_unix_response){
		.status = response->status,
		.body = body,
		.size = response->body_size,
	};
	return 0;
}

int qs_http_unix_perform(struct qs_http_unix *http, const struct qs_http_unix_request *request,
        struct qs_http_unix_response *ret_response)
{
	struct exchange exchange = { .http = http, .request = request };
	int r = start(&exchange);

	if (r < 0)
		return r;
	http->exchange = &exchange;
	qs_timer_arm(&http->tick, qs_time_add(qs_loop_now(http->loop), TICK));
	while (!exchange.over)
		(void)qs_loop_turn(http->loop, true);
	qs_timer_disarm(&http->tick);
	r = exchange.result;
	if (r == 0)
		r = take_answer(&exchange.response, ret_response);
	qs_http_response_done(&exchange.response);
	return r;
}

void qs_http_unix_response_done(struct qs_http_unix_response *response)
{
	free(TAKE(response->body, NULL));
	response->size = 0;
}

pid_t qs_http_unix_peer(const struct qs_http_unix *http)
{
	return http->peer;
}
