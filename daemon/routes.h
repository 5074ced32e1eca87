/*
 * The one table of what can be asked: method, path, handler, and whether it changes anything. A
 * handler answers, or arranges for the answer to come later; it knows nothing of HTTP's library.
 */
#ifndef QUIESCED_ROUTES_H
#define QUIESCED_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/control_internal.h"

/* What is needed to ask for it: changes need the right to; calls too, and log what becomes of them.
 */
enum route_kind { ROUTE_READS, ROUTE_CHANGES, ROUTE_CALLS };

struct route {
	enum method method;
	const char *path; /* a segment "*" is any one, and becomes the argument */
	enum route_kind kind;
	void (*handle)(struct request *request);
};

/* Checks where it comes from, who may, what for; then calls the handler. */
void routes_dispatch(struct request *request);

/* The value of a query's key, decoded. 1, or 0 when it is not there; -EINVAL, -ENOBUFS. */
QS_MUST_CHECK int query_get(const char *query, const char *key, char *buffer, size_t size);

/* routes_calls.c */
void route_call(struct request *request);
void route_call_list(struct request *request);
void route_call_show(struct request *request);
void route_call_answer(struct request *request);
void route_call_cancel(struct request *request);

/* routes_workers.c */
void route_worker_list(struct request *request);
void route_worker_show(struct request *request);
void route_worker_start(struct request *request);
void route_worker_stop(struct request *request);
void route_worker_restart(struct request *request);

#endif
