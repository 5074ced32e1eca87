/*
 * What the files of the control socket share: a request as its handler sees it, with nothing of the
 * HTTP library in it; the ways to answer; and the requests that are answered later.
 */
#ifndef QUIESCED_CONTROL_INTERNAL_H
#define QUIESCED_CONTROL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "daemon/events.h"
#include "lib/list.h"
#include "lib/loop.h"
#include "lib/macro.h"

struct daemon;
struct pending;
struct request;

/* --- who asks: control_access.c --- */

struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	bool may_change;
};

/* A Host that can only mean this socket: none, "localhost" or "quiesced", with or without port. */
bool access_host_is_ours(const char *host);

/* Of a connected Unix socket. `may_change`: root, our user, or a member of our group. */
QS_MUST_CHECK int access_read_peer(int fd, struct peer *ret_peer);
bool access_may_change(uid_t uid, const gid_t *groups, size_t count, uid_t own_uid, gid_t own_gid);

/* --- requests and answers --- */

enum method { METHOD_GET, METHOD_POST, METHOD_DELETE, METHOD_OTHER };

#define REQUEST_ARGUMENT_MAX 256

struct answer_header {
	const char *name, *value;
};

struct answer {
	int status;
	const char *type;                    /* NULL: application/json */
	const char *allow;                   /* the header of a 405, else NULL */
	const struct answer_header *headers; /* more of them, NULL-name-ended; NULL: none */
	const char *body;
	size_t size;
	bool owned; /* the body is malloc'ed and goes to whoever answers */
	/* Otherwise, if it is not NULL: called when the body is not needed any more. */
	void (*let_go)(void *arg);
	void *arg;
};

/* What carries requests; a test brings its own. Each request is ended by `respond` or `end`. */
struct transport {
	QS_MUST_CHECK int (*identify)(const struct request *request, struct peer *ret_peer);
	/* The value of a header of the request; NULL: it has none. */
	const char *(*header)(const struct request *request, const char *name);
	void (*respond)(struct request *request, const struct answer *answer);
	/* A body that comes bit by bit, after status, type and headers of that answer. */
	void (*begin)(struct request *request, const struct answer *head);
	void (*send)(struct request *request, const char *line, size_t length);
	void (*write)(struct request *request, const void *data, size_t size);
	size_t (*unsent)(const struct request *request);
	/* `trailer`: "Name: value\r\n" to stand behind the body; NULL: nothing. */
	void (*end)(struct request *request, const char *trailer);
};

struct request {
	const struct transport *transport;
	struct daemon *daemon;
	struct pending *pending;
	enum method method;
	bool head;                                /* a GET whose answer has no body */
	const char *path, *query, *host, *origin; /* query "" and the last two NULL for none */
	const char *body;
	size_t body_size;
	struct peer peer;                    /* known for requests that change anything */
	char argument[REQUEST_ARGUMENT_MAX]; /* what the `*` of its path stands for */

	/* For whoever answers later: the client has gone, forget the request. */
	void (*gone)(struct request *request);
	/* Called once, when little is unsent again; who wants to know sets it each time. */
	void (*drained)(struct request *request);
	void *arg;
};

/* --- answering: control_answer.c --- */

const char *answer_title(int status);
/* A static text. */
void answer_text(struct request *request, int status, const char *text);
/* A malloc'ed body (NULL: no memory); takes ownership. */
void answer_owned(struct request *request, int status, const char *type, char *body, size_t size);
/* Takes ownership; NULL is answered as lack of memory. */
void answer_json(struct request *request, int status, json_t *json);
/* The same with the headers, and without a type of its own, of that answer. */
void answer_json_with(struct request *request, struct answer *answer, json_t *json);
/* application/problem+json. */
void answer_problem(struct request *request, int status, const char *format, ...) _printf_(3, 4);
/* 405, with the methods that would be right. */
void answer_wrong_method(struct request *request, const char *allow);
json_t *answer_problem_body(int status, const char *detail);
/* A JSON string of what may be no UTF-8. NULL: no memory. */
json_t *answer_string(const char *text);

/* --- answering later: control_stream.c --- */

struct pending {
	struct qs_loop *loop;
	struct list waits, streams;
	size_t stream_backlog; /* an observer with more than that unsent is cut */
};

enum wait_moment { WAIT_CHECK, WAIT_OVER, WAIT_CLOSING };

/* Answers the request if what it waits for has happened, and in any case when the time is over or
 * the socket closes. Returns whether it has answered. `mark` is what wait_begin was given. */
typedef bool (*wait_fn)(struct request *request, uint64_t mark, enum wait_moment moment);

void pending_init(struct pending *pending, struct qs_loop *loop, size_t stream_backlog);
/* Looks at each waiting request again. */
void pending_consider(struct pending *pending);
/* Answers all that wait, ends all streams. */
void pending_finish(struct pending *pending);

/* The `wait` of a query: how long, 0 for not at all. -EINVAL: answered already. */
QS_MUST_CHECK int wait_parse(struct request *request, uint64_t *ret_span);
void wait_begin(struct request *request, uint64_t span, wait_fn fn, uint64_t mark);

/* Tells the request's client of everything that changes, until it goes. */
void stream_begin(struct request *request, struct events *events);

#endif
