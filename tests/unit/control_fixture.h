/*
 * A control server over real sockets for the tests of it. It runs in a thread of its own; what
 * happens in its loop is looked at in its loop.
 */
#ifndef QUIESCED_TEST_CONTROL_FIXTURE_H
#define QUIESCED_TEST_CONTROL_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/control_http.h"
#include "daemon/daemon.h"

#define PATIENCE  20 /* seconds: nothing here takes that long unless it never comes */
#define HEARD_MAX (4 << 20)

/* The daemon has the workers steady, deaf (to SIGTERM, once it has said "up"), crash and brief. */
extern struct daemon served;
extern char directory[64], socket_path[96];
extern size_t clients_open; /* that a test leaves open while the server ends */

/* NULL: the usual limits. */
void start_server(const struct control_limits *limits);
/* Both halves of the end. Afterwards everything is as it was before, down to the descriptors. */
void stop_thread(void);
void stop_parts(void);
void stop_server(void);

/* Calls it in the loop's thread and waits for it. */
void in_loop(void (*fn)(void *arg), void *arg);
void read_count(void *arg); /* of connections, into an unsigned */
void await_connections(unsigned wanted);

size_t count_descriptors(void);
void write_file(const char *name, const char *text);

/* --- clients --- */

int dial(void);
int dial_from(const char *own_path);
void say(int fd, const char *text);

/* Reads on until the text is there, or (NULL) the end. What came is kept in `heard`. */
bool hear(int fd, const char *until);
extern char heard[HEARD_MAX];
extern size_t heard_size;
int status_heard(void);
const char *body_heard(void);

/* One request on a connection of its own; the status, and all that came in `heard`. */
int ask(const char *line);

/* Waits until the other side has closed, without reading. */
bool was_cut(int fd);

#endif
