/*
 * What all of quiescectl shares: the options of the command line, the look of the output, the
 * connection, and the exit statuses.
 */
#ifndef QUIESCECTL_CTL_H
#define QUIESCECTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/ctl/style.h"

struct qs_http_unix;
struct table;
struct verb;

enum ctl_status {
	CTL_OK = 0,
	CTL_FAILURE = 1,
	CTL_USAGE = 2,
	CTL_NOT_FOUND = 3,
	CTL_REFUSED = 4, /* by the daemon, or by the mode of its socket */
	CTL_NOT_RUNNING = 7,
	CTL_TIMED_OUT = 8,
};

struct options {
	const char *socket; /* NULL: the default */
	const char *file;   /* a report to read instead of asking for it, NULL: ask */
	bool json, live, verbose, follow, help, version;
	bool detach;             /* of a call: do not wait for it */
	const char *batch, *out; /* a file of payloads, and where their answers go */
	unsigned jobs;           /* of a batch, at once; 0: the default */
	bool force;              /* go on with a batch whose file has changed */
	bool wait;
	uint64_t wait_span; /* with `wait`, ns */
	const struct verb *verb;
	char **arguments; /* of the verb, in argv */
	size_t argument_count;
};

struct ctl {
	struct options options;
	struct style style; /* of standard output */
	struct qs_http_unix *http;
	const char *socket; /* where the daemon is looked for */
	char *socket_text;  /* owns it if it was put together */
};

/* "quiescectl: …" on standard error; what others said in it is made fit for a terminal. */
void ctl_complain(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
enum ctl_status ctl_out_of_memory(void); /* told; a failure */

/* To standard output. */
enum ctl_status ctl_print_table(const struct ctl *ctl, const struct table *table, bool headings);

#endif
