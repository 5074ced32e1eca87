/* A client for HTTP in a world of fibers, and requests that are waited for. */
#ifndef QUIESCE_HTTP_WORLD_H
#define QUIESCE_HTTP_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include <quiesce/http_call.h>

#include "lib/http.h"
#include "tests/unit/fiber_world.h"

static qs_http *http;

/* One request, as a fiber makes it, and what came of it. */
struct exchange {
	struct qs_http_request request;
	uint64_t deadline; /* 0: none */
	int result;
	uint64_t took;
	struct qs_http_response response;
};

static inline int exchange_run(qs_task *self, void *arg)
{
	struct exchange *exchange = arg;
	uint64_t began = world_now();

	exchange->result = qs_http_perform(self, http, &exchange->request,
	        exchange->deadline ? exchange->deadline : QS_FOREVER, &exchange->response);
	exchange->took = world_now() - began;
	return 0;
}

/* Begins it; world_run waits for it. */
static inline void exchange_start(struct exchange *exchange)
{
	world_send_off(&world.root, exchange_run, exchange);
}

static inline void exchange_done(struct exchange *exchange)
{
	qs_http_response_done(&exchange->response);
}

static inline void exchange_perform(struct exchange *exchange)
{
	exchange_start(exchange);
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
}

#define ck_exchange(exchange, expected, expected_phase)                                      \
	do {                                                                                 \
		ck_assert_msg((exchange)->result == (expected), "%s: %d instead of %d (%s)", \
		        (exchange)->request.url, (exchange)->result, (expected),             \
		        (exchange)->response.error);                                         \
		ck_assert_msg((exchange)->response.phase == (expected_phase),                \
		        "%s: %s instead of %s", (exchange)->request.url,                     \
		        qs_http_phase_name((exchange)->response.phase),                      \
		        qs_http_phase_name(expected_phase));                                 \
	} while (0)

/* Of this process: for leaks. */
static inline unsigned count_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			count++;
	return count;
}

#endif
