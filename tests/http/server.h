/*
 * The insides of the server: one thread, one epoll, nothing blocks. Each connection answers one
 * request after the other; an answer is a head, a producer that makes the body piece by piece, and
 * what happens to the connection then.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/heap.h"
#include "lib/list.h"
#include "tests/http/buffer.h"
#include "tests/http/query.h"
#include "tests/http/tally.h"

struct connection;

struct counters {
	uint64_t requests, accepted, cut,
	        sent;                     /* ever; cut: the client left too early; bytes sent */
	uint64_t open, in_flight, silent; /* now */
};

struct server {
	int epoll_fd;
	struct heap timers;   /* of connections, by when they go on */
	struct list watching; /* connections that look at the counters after each turn */
	struct list dead;     /* freed after the turn */
	struct list alive;
	struct tally keys, faults, paths;
	struct counters counters;
};

/* A descriptor in the epoll; what it is tells its first member. */
struct source {
	void (*ready)(struct server *server, struct source *source, uint32_t events);
	int fd;
};

/* --- requests --- */

struct request {
	char *memory; /* all of it; the pointers are into that */
	const char *method, *target, *path;
	struct query query;
	struct {
		const char *name, *value;
	} headers[64];
	size_t header_count;
	const char *body;
	size_t body_size;
	bool head_only, keep_alive;
};

/* How many bytes the request at the front takes, 0: it has not all come, negative: an HTTP status
 * that says what is wrong with it. */
int64_t request_measure(const char *data, size_t size);
/* Of exactly that many bytes, copied. Returns whether it is one. */
bool request_parse(struct request *request, const char *data, size_t size);
void request_done(struct request *request);
/* Another path and query than it came with. */
void request_redirect(struct request *request, const char *target);
const char *request_header(const struct request *request, const char *name);

/* --- answers --- */

enum end {
	END_KEEP,  /* the next request */
	END_CLOSE, /* an orderly end */
	END_RESET,
	END_HALF, /* says no more, but hears */
	END_HANG, /* says no more and stays */
};

enum produced { PRODUCED_MORE, PRODUCED_ALL, PRODUCED_LATER /* after what others do */ };

struct answer {
	struct buffer head;
	uint64_t delay;      /* before the head */
	uint64_t head_every; /* a byte of the head so often; 0: at once */
	enum produced (*produce)(struct connection *connection); /* NULL: no body */
	void (*release)(struct answer *answer);                  /* of what it holds; may be NULL */
	void *state;                                             /* the producer's own */
	struct buffer body;                                      /* what is already there of it */
	uint64_t left, position;                                 /* bytes or events */
	uint64_t every;                                          /* between two pieces */
	size_t piece;                                            /* bytes at most; 0: as they go */
	bool cut;                                                /* no last chunk */
	enum end end;
};

struct connection {
	struct source source; /* first */
	struct list link;     /* alive or dead */
	struct list watch;    /* in `watching` while it waits for what others do */
	struct server *server;
	struct heap_node timer;
	struct buffer in, out;
	struct request request;
	struct answer answer;
	uint64_t wake_at; /* says nothing before; 0: goes on */
	uint32_t events;  /* what the epoll looks for */
	bool answering, over, observer, silent, dead;
};

struct connection *connection_new(struct server *server, int fd, bool silent);
void connection_go_on(struct connection *connection); /* as far as it can */
void connection_free(struct connection *connection);

/* Puts a head together: "HTTP/1.1 STATUS …" with the size or, for UINT64_MAX, chunked. */
void answer_head(struct connection *connection, int status, const char *type, uint64_t size);
/* Another line of the head; before the first byte of it is sent. */
void answer_headerf(struct connection *connection, const char *format, ...) _printf_(2, 3);
/* All of it: a short body that is there. */
void answer_text(struct connection *connection, int status, const char *type, const char *text);
/* A body of so many bytes, in a pattern: byte i is 'a' + i % 26. */
void answer_bytes(struct connection *connection, uint64_t size);

/* Producers: the pattern, as it is or as chunks, and what stands in answer.body. */
enum produced produce_bytes(struct connection *connection);
enum produced produce_chunks(struct connection *connection);
enum produced produce_ready(struct connection *connection);
/* A piece of it as a chunk of HTTP. */
void add_chunk(struct connection *connection, const char *data, size_t size);

/* The size of the body that the query asks for. */
uint64_t asked_size(const struct connection *connection, uint64_t fallback);

/* --- what stands where --- */

/* Decides on the answer. A path that ends in '/' stands for all below it. */
struct route {
	const char *path;
	void (*run)(struct connection *connection);
};

/* Runs the route that the path of the request belongs to; what belongs to none is 404. */
void route_run(struct connection *connection);

extern const struct route good_routes[], broken_routes[], stream_routes[]; /* NULL-path-ended */

#endif
