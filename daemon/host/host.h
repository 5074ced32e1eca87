/*
 * quiesced-host: a process that runs one module on a runtime of the library. The main thread is the
 * runtime's; beside it the attendant hears the stop and tells the daemon what lives here, also
 * while the module holds the loop. Only public headers of the library are used: the module may
 * bring it along, and there must be one of it.
 */
#ifndef QUIESCED_HOST_H
#define QUIESCED_HOST_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/inspect.h>
#include <quiesce/runtime.h>
#include <quiesce/stop.h>

#define HOST_EXIT_FAILURE  1
#define HOST_EXIT_USAGE    2
#define HOST_EXIT_UNLOADED 160 /* the module could not be loaded */
#define HOST_EXIT_REFUSED  161 /* its main has failed */

#define LINE_SIZE   (32 * 1024) /* the daemon takes no longer one */
#define TASKS_TOLD  64
#define STOP_LINE   512
#define HOST_FAILED 256 /* of a text that says why it does not run */

/* One JSON object, built without allocation: the loop may be stuck with the allocator's lock. */
struct line {
	size_t used;
	bool overflowed;
	char data[LINE_SIZE];
};

void line_add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A string with its quotes, made valid UTF-8; NULL is null. */
void line_add_text(struct line *line, const char *text);

/* What was told last, to tell whether there is anything new. */
struct teller {
	int fd; /* to the daemon, -1 for none */
	uint64_t told_at, hash;
	struct line line;
	struct qs_task_info tasks[TASKS_TOLD];
	size_t count;
	uint64_t live;
};

/* Looks at all tasks; tells of them when something has changed, after a second, and if `force`.
 * Returns whether something had. */
bool teller_look(struct teller *teller, const qs_runtime *runtime, bool force);
void teller_tell_failure(struct teller *teller, const char *text);

struct attendant {
	qs_runtime *runtime;
	struct teller teller;
	pthread_t thread;
	int stop_fd, signal_fd, quit_fd; /* stop_fd: -1 when there is none (any more) */
	bool asked;                      /* a stop has been passed on */
	bool signal_due;                 /* the daemon sends one with its line */
	size_t line_used;
	char line[STOP_LINE];
};

/* The signals that mean a stop are blocked by now. 0 or a negative errno. */
int attendant_start(struct attendant *attendant, qs_runtime *runtime);

/* Ends it; what the runtime has become is told. */
void attendant_stop(struct attendant *attendant);

/* The signals that it takes for a request to stop. */
void attendant_signals(sigset_t *ret_signals);

#endif
