/*
 * A real daemon under test: in a directory and a process group of its own, its log on a pipe, its
 * control socket at hand. The test process is a child subreaper, so that whatever the daemon leaves
 * behind falls to us and is found: rig_done fails the test for any process, file or descriptor
 * left.
 */
#ifndef QUIESCE_RIG_H
#define QUIESCE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#define RIG_PATIENCE_MS 20000 /* how long any one thing may take; sanitizers are slow */

struct rig {
	char directory[64]; /* the daemon's working directory: config.yaml, state/, control.sock */
	char socket[96];
	pid_t pid;         /* 0: not running */
	int log_fd;        /* the daemon's standard error */
	char log[1 << 18]; /* what came from it, NUL-ended; the oldest half goes when it is full */
	size_t log_used, log_seen; /* rig_expect looks from log_seen on */
	int descriptors;           /* open in the test process when the rig was made */
};

/* Makes the directory and writes config.yaml. */
void rig_init(struct rig *rig, const char *yaml);

/* Replaces config.yaml. */
void rig_configure(struct rig *rig, const char *yaml);

/* Writes a file into the directory; executable if it begins with "#!". */
void rig_write(struct rig *rig, const char *name, const char *content);

/* Starts the daemon and does not wait for anything. More arguments: strings, ended by NULL. */
void rig_launch(struct rig *rig, ...);

/* The same with the control socket answering and `ready` in the log. */
void rig_start(struct rig *rig);

void rig_signal(struct rig *rig, int signo);

/* Waits for it to exit by itself; the exit status, or 1000 + signal. */
int rig_wait(struct rig *rig);

/* SIGTERM and rig_wait. */
int rig_stop(struct rig *rig);

/* Waits until this text has come in the log after what was expected before. */
void rig_expect(struct rig *rig, const char *text);

/* Reads what is in the log by now (to its end, if the daemon is gone); whether it has the text. */
bool rig_logged(struct rig *rig, const char *text);

/* One request; the body as a new string (free it), the status in *ret_status. NULL: no answer. */
char *rig_request(struct rig *rig, const char *method, const char *target, int *ret_status);

/* The same for JSON; fails the test when the status is not `status` or the body no JSON. */
json_t *rig_json(struct rig *rig, const char *method, const char *target, int status);

/* Waits until the worker is in that state (by watching /v1/events). */
void rig_await_state(struct rig *rig, const char *worker, const char *state);

/* A connection to the control socket. */
int rig_connect(struct rig *rig);

/* The last report. New reference. */
json_t *rig_report(struct rig *rig);

/* The verdict of the only task of that worker in the report; "" if there is none. Borrowed. */
const char *rig_verdict(const json_t *report, const char *worker);

/* Whether any process has this text in its command line. */
bool rig_process_exists(const char *text);
void rig_await_process(const char *text, bool exists);

/* Kills the daemon if it still runs, asserts that nothing is left, removes the directory. */
void rig_done(struct rig *rig);

/* Milliseconds of the monotonic clock. */
uint64_t rig_now_ms(void);

#endif
