/*
 * A client for HTTP over one Unix socket, which keeps its connection between requests. Requests
 * block their caller until the answer is there, the deadline has passed or a callback says no.
 */
#ifndef QS_HTTP_UNIX_H
#define QS_HTTP_UNIX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <quiesce/export.h>

struct qs_http_unix; /* one thread at a time */

/* All callbacks may be NULL; a negative errno from one ends the request with it. */
struct qs_http_unix_request {
	const char *method, *path;            /* path: with its query, from the slash on */
	const char *body;                     /* NULL: none; else sent as application/json */
	uint64_t deadline;                    /* absolute, ns; QS_FOREVER: none */
	int (*begun)(long status, void *arg); /* the head of the answer has come */
	int (*chunk)(const char *data, size_t size, void *arg); /* takes the body as it comes */
	int (*tick)(void *arg);                                 /* at least once a second */
	void *arg;
};

struct qs_http_unix_response {
	long status; /* 200, … */
	char *body;  /* with a NUL behind it; "" with `chunk` */
	size_t size;
};

/* -ENAMETOOLONG (the path of the socket), -ENOMEM. Nothing is connected yet. */
QS_MUST_CHECK int qs_http_unix_new(const char *socket_path, struct qs_http_unix **ret_http);
void qs_http_unix_free(struct qs_http_unix *http);

/*
 * Sends a request and waits for the whole answer, whatever its status. -ENOENT, -ECONNREFUSED:
 * nobody listens; -EACCES; -EAGAIN: the listener's backlog is full; -ETIMEDOUT; -ECONNRESET: it
 * hung up before the end; -EBADMSG: what it says is not HTTP; -EMSGSIZE: a body over 64 MiB;
 * -ENOMEM; -EIO; or what a callback returned.
 */
QS_MUST_CHECK int qs_http_unix_perform(struct qs_http_unix *http,
        const struct qs_http_unix_request *request, struct qs_http_unix_response *ret_response);
void qs_http_unix_response_done(struct qs_http_unix_response *response);

/*
 * Who listens at the other end of the latest connection, in our own numbering: the process that
 * made the listener, maybe PID 1 for a daemon that was passed its socket. 0: not known.
 */
pid_t qs_http_unix_peer(const struct qs_http_unix *http);

#endif
