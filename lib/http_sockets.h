/*
 * The descriptors that libcurl wants to be watched, by their numbers.
 *
 * Of connections it takes back its wish after each answer and has it again with the next request.
 * Those we see being opened and closed, so they stay watched meanwhile: that saves two system calls
 * a request. All others are let go of at once, because somebody else may get the number next.
 */
#ifndef QS_HTTP_SOCKETS_H
#define QS_HTTP_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/loop.h"

struct qs_http_socket;

struct qs_http_sockets {
	struct qs_loop *loop;
	void (*ready)(struct qs_http_sockets *sockets, int fd, unsigned what); /* QS_READ … */
	struct qs_http_socket **table;
	size_t room;
	unsigned open; /* connections */
	struct qs_timer retry;
};

/* -ENOMEM. */
QS_MUST_CHECK int qs_http_sockets_init(struct qs_http_sockets *sockets, struct qs_loop *loop,
        void (*ready)(struct qs_http_sockets *, int, unsigned));
void qs_http_sockets_done(struct qs_http_sockets *sockets);

/* A connection; qs_http_sockets_closed comes before its close. -ENOMEM. */
QS_MUST_CHECK int qs_http_sockets_opened(struct qs_http_sockets *sockets, int fd);
void qs_http_sockets_closed(struct qs_http_sockets *sockets, int fd);

/* What to watch it for from now on, 0: nothing. What fails is tried again a little later. */
void qs_http_sockets_want(struct qs_http_sockets *sockets, int fd, unsigned what);

#endif
