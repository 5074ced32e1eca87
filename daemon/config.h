/*
 * The configuration as the daemon uses it: read from YAML, checked against one table, immutable
 * afterwards. Spans are nanoseconds, sizes bytes.
 */
#ifndef QUIESCED_CONFIG_H
#define QUIESCED_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/config_http.h"
#include "lib/process.h"
#include "lib/shutdown_fsm.h"
#include "lib/supervise.h"

enum when { WHEN_ALWAYS, WHEN_ONCE, WHEN_EVERY, WHEN_CALL };
enum restart { RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_NEVER };
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

const char *when_name(enum when when);
const char *restart_name(enum restart restart);

/* Where something stands: 1-based, as editors count. */
struct mark {
	const char *file;
	unsigned line, column;
};

struct rate_config {
	unsigned count; /* 0: no limit */
	uint64_t within;
};

struct worker_config {
	char *name; /* [A-Za-z0-9] then [A-Za-z0-9_.@-]*, at most 63 bytes */
	struct mark mark;
	enum when when;
	uint64_t every;       /* with WHEN_EVERY */
	char **exec;          /* NULL-ended; NULL: it runs the module, or asks over HTTP */
	char *module_path;    /* NULL: it runs exec, or asks over HTTP */
	char *module_config;  /* JSON; NULL: {} */
	char **after;         /* NULL-ended names, maybe empty, never NULL */
	bool essential;       /* default true */
	enum restart restart; /* default by `when` */
	struct qs_backoff_plan backoff;
	struct rate_config limit;
	bool ready_notify;
	uint64_t ready_timeout; /* with ready_notify */
	uint64_t heartbeat;     /* 0: none expected */
	int stop_signal;        /* default SIGTERM */
	int cancel_signal;      /* stop.cancel_signal; 0: none */
	uint64_t stop_deadline; /* QS_FOREVER: only the shutdown's own */
	int *stop_success;
	size_t stop_success_count;
	char **environment;      /* NULL-ended "NAME=value", added to the daemon's; never NULL */
	char *working_directory; /* NULL: the daemon's */
	int umask;               /* -1: the daemon's */
	struct qs_process_limits limits;
	struct http_config http; /* without a URL: it runs exec or the module */
	struct call_config call; /* with WHEN_CALL */
};

struct config {
	struct shutdown_plan shutdown; /* 0, 20s, 2s, 1s */
	struct rate_config restarts;   /* supervision.restarts: 100 within 1min */
	enum log_level log_level;      /* log.level: info */
	size_t log_max_line;           /* log.max_line: 4KiB */
	bool log_bodies;               /* log.bodies: false */
	bool report_sync;
	char *control_socket;          /* control.socket, NULL: the default */
	char *control_group;           /* control.group, NULL: the default */
	char *state_directory;         /* state.directory, NULL: the default */
	struct worker_config *workers; /* in the order of the files */
	size_t worker_count;
	unsigned calls;            /* that live and have begun by it */
	unsigned runs;             /* likewise, of polls */
	struct config_file *files; /* owns the names that marks point to */
};

/* All that is wrong, one "FILE:LINE:COLUMN: text\n" each, in the order of the file. */
struct config_errors {
	char *text; /* malloc'ed, "" or NULL when there are none */
	size_t count;
	char *warnings; /* likewise, for what is odd but allowed */
};
void config_errors_done(struct config_errors *errors);

/*
 * Reads one file and then, if `directory` is not NULL, each *.yaml in it by name: a later file adds
 * workers and replaces settings; a worker's name must not come twice. 0; -EBADMSG with at least one
 * error listed (unreadable files are listed too); -ENOMEM.
 */
QS_MUST_CHECK int config_read(const char *file, const char *directory, struct config **ret_config,
        struct config_errors *ret_errors);
void config_free(struct config *config);

/* Whether what runs differs, so that a reload has to restart the worker. */
bool worker_config_same_run(const struct worker_config *a, const struct worker_config *b);

/* The reference of all keys, from the same table that checks them. */
void config_print_reference(FILE *out);

/* systemd's time spans ("1min 30s", "500ms", a plain number is seconds) and sizes ("256MiB").
 * -EINVAL, -ERANGE. */
QS_MUST_CHECK int span_parse(const char *text, uint64_t *ret_nanoseconds);
QS_MUST_CHECK int size_parse(const char *text, uint64_t *ret_bytes);
/* "1min 30s", "2.345s", "12ms": for people. Returns `buffer`. */
char *span_format(uint64_t nanoseconds, char *buffer, size_t size);

#endif
