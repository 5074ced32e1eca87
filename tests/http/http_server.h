/*
 * The HTTP server for tests, as a process of its own: see server.c and the comments of its paths
 * (answers.c, broken.c, streams.c, routes.c) for what it can do. Whatever fails fails the test.
 */
#ifndef HTTP_SERVER_HELPER_H
#define HTTP_SERVER_HELPER_H

#include <stdint.h>
#include <sys/types.h>

struct http_server {
	pid_t pid;
	int input_fd; /* it ends when this does: also when the test dies */
	unsigned port, silent_port;
	char url[48];        /* "http://127.0.0.1:4711", without a slash */
	char silent_url[48]; /* accepts and never says anything */
};

/* `option`: "--stall-accept" (connecting to the silent port never comes to an end), "--unix=PATH"
 * (it listens there too), or NULL. */
void http_server_start(struct http_server *server, const char *option);

/* Ends it and waits for that. Nothing happens if it was not started (all zero). */
void http_server_stop(struct http_server *server);

/* Sends a GET and returns the body, malloc'ed. `path` with its query. */
char *http_server_get(const struct http_server *server, const char *path);

/* /counters: one of its numbers by its name, such as "requests", "in_flight", "cut" or "drop". */
uint64_t http_server_count(const struct http_server *server, const char *name);

/* Waits until a number of /counters (not of a nested object) is that, 20 s at most. */
void http_server_await(const struct http_server *server, const char *name, uint64_t value);
void http_server_await_least(const struct http_server *server, const char *name, uint64_t value);

#endif
