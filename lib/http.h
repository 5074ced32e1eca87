/*
 * Inside the HTTP client. A call copies its request, waits in the queue, is given to the driver
 * (libcurl, or a script) in batches, and ends once: by the driver, by one of its own timeouts, or
 * dropped. What the driver still holds of calls that are gone is given back in slices, so that ten
 * thousand can be dropped at once. Nothing of libcurl runs on a fiber's stack: what a fiber calls
 * only queues, and a job of the loop does the rest.
 */
#ifndef QS_HTTP_H
#define QS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/http.h>
#include <quiesce/http_call.h>

#include "lib/http_names.h"
#include "lib/list.h"
#include "lib/loop.h"

#define QS_HTTP_STREAM_MAX (64U << 10) /* bytes that lie in a stream at most */

struct qs_http_driver {
	/* Takes the call; what becomes of it is told by qs_http_call_..., never within this. */
	QS_MUST_CHECK int (*add)(struct qs_http_call *call);
	void (*begin)(struct qs_http *http); /* some were added: now it may tell. May be NULL */
	void (*resume)(struct qs_http_call *call);
	/* The call is gone: nothing more is told of it, and nothing of it is touched. Cheap, and
	 * without libcurl. */
	void (*drop)(struct qs_http_call *call);
	/* Gives back one of those that were dropped; false when there was none. May be NULL. */
	bool (*sweep)(struct qs_http *http);
	/* It has no call any more; frees the client. */
	void (*free)(struct qs_http *http);
};

/* Embedded in the driver's own. */
struct qs_http {
	const struct qs_http_driver *driver;
	struct qs_loop *loop;
	int socket; /* of the latest connection, maybe closed; -1: there was none */
	unsigned calls_max, resolving_max;
	unsigned active_count, resolving_count;
	struct list queue;    /* calls the driver does not have yet */
	struct list active;   /* those it has */
	struct list resuming; /* some of these, by `in_resuming` */
	struct qs_http_names names;
	bool looks_nothing_up; /* all goes to one place */
	struct qs_job job;     /* admits, resumes and sweeps, a slice a turn */
	struct qs_timer again;
	uint64_t turn;    /* of the loop: the latest in which it had all it may have of one */
	bool has_dropped; /* there may be something to sweep */
	bool closing;     /* nothing new is begun */
};

struct qs_http_buffer {
	char *data; /* with a NUL behind it, once there is any */
	size_t size, capacity;
};

/* One request under way. Whatever is pointed at lies behind it, but for the body. */
struct qs_http_call {
	struct qs_http *http;
	struct list node, in_resuming;
	void *transfer;            /* the driver's, while it has the call */
	struct qs_http_name *name; /* which it looks up; others wait for that */
	struct qs_http_handlers handlers;
	void *arg;
	void (*moved)(struct qs_http_call *call); /* to another phase; may be NULL */
	struct qs_timer timer; /* not later than the earliest of all its timeouts */

	const char *method, *url, *host;
	const struct qs_http_header *headers;
	const char *body;
	size_t body_size;
	struct qs_http_limits limits; /* the defaults filled in */
	bool compressed, is_https;

	enum qs_http_phase phase;
	uint64_t deadline, began_at;
	uint64_t connect_at, sent_at, byte_at; /* the beginnings of its timeouts */
	struct qs_http_times times;

	int status; /* of the latest head */
	bool head_is_whole, redirected, paused, reused, sent_any;
	unsigned header_count;
	struct qs_http_buffer head; /* "name\0value\0", of the latest head */
	struct qs_http_buffer answer;
	uint64_t taken; /* bytes of the body that came out of it, decompressed */
	uint64_t received, sent;
	char error[160];
};

/* --- http.c: clients --- */

/* Defaults for what the options leave open; the driver and the loop are set. -ENOMEM. */
QS_MUST_CHECK int qs_http_init(struct qs_http *http, const struct qs_http_options *options);
void qs_http_done(struct qs_http *http);

/* As qs_http_new, for who has a loop and no group. In http_curl.c. */
QS_MUST_CHECK int qs_http_new_on(
        struct qs_loop *loop, const struct qs_http_options *options, qs_http **ret_http);

/* The job has something to do. */
void qs_http_wake(struct qs_http *http);

/* A call leaves QS_HTTP_RESOLVING. Who waits for the name goes on; or, if it was looked up in vain,
 * ends as well. */
void qs_http_lookup_over(struct qs_http_call *call, bool found);
void qs_http_lookup_failed(struct qs_http_call *call);

/* --- http_request.c --- */

/* Checks and copies it. -EINVAL, -EPROTONOSUPPORT, -ENOMEM. */
QS_MUST_CHECK int qs_http_request_copy(
        const struct qs_http_request *request, struct qs_http_call **ret_call);

/* --- http_response.c --- */

/* Without an answer: nothing in it needs to be released. */
void qs_http_response_init(struct qs_http_response *response);

/* Of a request that did not begin: where it would have gone. */
void qs_http_response_refuse(
        struct qs_http_response *response, const struct qs_http_request *request, int error);

/* An error for people, unless somebody knows more; "" for what is nobody's fault. */
const char *qs_http_error_text(int error);

/* How far a call came: all of that without memory. */
void qs_http_response_fill(struct qs_http_response *response, const struct qs_http_call *call);

/* The headers are copied (-ENOMEM); the body, which has been gathered, moves over. */
QS_MUST_CHECK int qs_http_response_take_headers(
        struct qs_http_response *response, const struct qs_http_call *call);
void qs_http_response_take_body(struct qs_http_response *response, struct qs_http_call *call);

/* Another of its own, to be released likewise. -ENOMEM: then it is one without an answer. */
QS_MUST_CHECK int qs_http_response_copy(
        const struct qs_http_response *response, struct qs_http_response *ret_copy);

/* -ENOMEM. */
QS_MUST_CHECK int qs_http_buffer_reserve(struct qs_http_buffer *buffer, size_t size);
QS_MUST_CHECK int qs_http_buffer_append(
        struct qs_http_buffer *buffer, const void *data, size_t size);
void qs_http_buffer_done(struct qs_http_buffer *buffer);

/* --- http_call.c --- */

/* Copied, with its client and its begin, it gets its timer. -ENOMEM. */
QS_MUST_CHECK int qs_http_call_init(struct qs_http_call *call);

/* The value of a header of the latest head; NULL: it has none. */
const char *qs_http_call_find(const struct qs_http_call *call, const char *name);

/* --- http_call.c: what a driver tells. When a negative errno comes back the call may be gone ---
 */

/* Does not end it. QS_HTTP_RESOLVING a second time: it goes on to another place. */
void qs_http_call_reached(struct qs_http_call *call, enum qs_http_phase phase);

/* A head begins. Another after it takes its place. Does not end it. */
void qs_http_call_status(struct qs_http_call *call, int status);
QS_MUST_CHECK int qs_http_call_header(struct qs_http_call *call, const char *name, size_t name_size,
        const char *value, size_t value_size);

/* The head is whole, and it is the answer's. A negative errno ends the transfer with it. */
QS_MUST_CHECK int qs_http_call_head(struct qs_http_call *call);

/* 0, QS_HTTP_PAUSE, or a negative errno, which ends the transfer with it. */
QS_MUST_CHECK int qs_http_call_data(struct qs_http_call *call, const void *data, size_t size);

/* What goes wrong, for people; a later text takes its place unless there is one. */
void _printf_(2, 3) qs_http_call_explain(struct qs_http_call *call, const char *format, ...);

/* The driver has let go of it, and it is over. */
void qs_http_call_over(struct qs_http_call *call, int result);

/* It is over, and the driver may still have it. */
void qs_http_call_end(struct qs_http_call *call, int result);

/* --- http_stream.c: streams of calls that others began --- */

/*
 * Makes a stream of a call: from within its `head` handler, which returns 0 then. It must have been
 * begun with a `data` handler. None of its handlers is called any more; the stream owns it, and
 * closes it. -ENOMEM.
 */
QS_MUST_CHECK int qs_http_stream_new(struct qs_http_call *call, qs_http_stream **ret_stream);

/* The opposite, there too: its body is gathered for `done`, as if it had no `data` handler. */
void qs_http_call_gather(struct qs_http_call *call);

/* Called once when it is closed, by whomever; the stream is not valid any more then. */
void qs_http_stream_on_close(qs_http_stream *stream, void (*closed)(void *arg), void *arg);

/* The fiber owns it from now on: it is closed with it at the latest. */
void qs_http_stream_own(qs_http_stream *stream, qs_task *self);

/* The call it reads from, for qs_http_progress; NULL once that is over. */
const struct qs_http_call *qs_http_stream_call(const qs_http_stream *stream);

#endif
