/* Calls of `http` workers. */
#include <errno.h>
#include <stdio.h>

#include "daemon/call.h"
#include "daemon/worker.h"

static int http_calls_open(struct worker *worker, const struct worker_config *config _unused_,
        void **ret_common _unused_)
{
	snprintf(worker->detail, sizeof(worker->detail), "calls over HTTP are not possible yet");
	return -ENOTSUP;
}

static int http_call_run(qs_task *self _unused_, struct call *call)
{
	return call_fail(call, -ENOTSUP, 501, "not possible yet");
}

const struct call_kind http_call_kind = {
	.name = "http", .open = http_calls_open, .run = http_call_run
};
