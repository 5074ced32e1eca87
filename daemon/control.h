/*
 * The control socket: HTTP/1.1 and JSON over a Unix socket. The only file with evhttp behind it is
 * control.c; what the requests mean stands in one table in routes.c.
 */
#ifndef QUIESCED_CONTROL_H
#define QUIESCED_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>

struct daemon;
struct control;

/* What is asked of clients; a zero takes the default. */
struct control_limits {
	unsigned connections;  /* 1,024; then the listener pauses */
	size_t body, headers;  /* 16 MiB, 64 KiB */
	size_t input;          /* 64 MiB of requests that have not come in whole, of all clients */
	size_t stream_backlog; /* 256 KiB */
	uint64_t request_time; /* 10 s from a request's first byte to its last */
	uint64_t answer_time;  /* 60 s to take an answer */
};

struct control_options {
	const char *path;  /* where to listen; NULL with `listen_fd` */
	const char *group; /* who may open it, 0660; unknown or not permitted: a warning */
	int listen_fd;     /* passed by systemd, -1: none; takes ownership */
	struct control_limits limits;
};

/*
 * Listens. A stale socket file is replaced; -EADDRINUSE when somebody answers there. -EACCES,
 * -ENOENT, -ENAMETOOLONG, -ENOMEM, ….
 */
QS_MUST_CHECK int control_new(
        struct daemon *daemon, const struct control_options *options, struct control **ret_control);

/*
 * The end: no new connection, streams are told and ended, waiting answers are given, what is being
 * answered gets until `deadline` (absolute), turning the loop itself. Removes the socket file.
 */
void control_close(struct control *control, uint64_t deadline);
void control_free(struct control *control);

/* Something has changed that a waiting request (?wait=) may be waiting for. NULL is fine here and
 * for all of these. */
void control_consider(struct control *control);

/* For the metrics: how many connections are open, how many requests there have been. */
unsigned control_connections(const struct control *control);
uint64_t control_requests(const struct control *control);

#endif
