/*
 * A daemon that is none: a process which listens on a Unix socket and gives canned answers, for the
 * tests of quiescectl; and the way to run that.
 */
#ifndef FAKE_DAEMON_H
#define FAKE_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum after {
	AFTER_CLOSE, /* hang up */
	AFTER_HOLD,  /* keep the connection open and say no more */
	AFTER_DIE,   /* the process ends */
};

struct canned {
	const char *request; /* how its first line begins: "GET /v1/status " */
	int status;          /* with `body`; 0: `raw` is sent as it is */
	const char *body;
	const char *raw;
	enum after after;
	bool on_word; /* not before fake_daemon_go() */
};

struct fake_daemon {
	char directory[64], socket[96];
	pid_t pid;
	int go_fd;
	struct fake_log *log; /* shared with the process */
};

/* `canned` ends with a NULL request; the first that matches counts; what none matches is 404. */
void fake_daemon_start(struct fake_daemon *fake, const struct canned *canned);
void fake_daemon_stop(struct fake_daemon *fake);
void fake_daemon_go(struct fake_daemon *fake);

/* The first line of the i-th request, NULL beyond. */
const char *fake_daemon_request(const struct fake_daemon *fake, unsigned i);
/* Its body, cut to 255 bytes. */
const char *fake_daemon_body(const struct fake_daemon *fake, unsigned i);

struct ctl_run {
	pid_t pid;
	int out_fd, err_fd; /* err_fd -1 on a terminal: all comes by out_fd */
	char *out, *err;
	size_t out_size, err_size;
	int status; /* exit status, or 256 + signal */
};

struct ctl_where {
	unsigned columns;           /* of a terminal; 0: pipes */
	const char *locale;         /* NULL: C.UTF-8 */
	const char *environment[4]; /* "NAME=value" */
	bool unprivileged;          /* root without its power over file modes */
};

/* Runs build/bin/quiescectl with the words of `words`. */
struct ctl_run ctl_begin(const char *socket, const struct ctl_where *where, const char *words);
/* Reads until its output contains the text; fails the test if it ends before. */
void ctl_await(struct ctl_run *run, const char *text);
void ctl_finish(struct ctl_run *run);
void ctl_done(struct ctl_run *run);
struct ctl_run ctl(const char *socket, const char *words);

#endif
