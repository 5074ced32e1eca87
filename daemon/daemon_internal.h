/* What the files of the daemon share. */
#ifndef QUIESCED_DAEMON_INTERNAL_H
#define QUIESCED_DAEMON_INTERNAL_H

#include "daemon/daemon.h"

/* Whether a stop was asked for. */
bool daemon_stopping(const struct daemon *daemon);

/* --- daemon_files.c: where things are, and what goes there --- */

/* The places, by flag, environment, file and default. Return `buffer`. */
char *daemon_socket_path(const struct daemon *daemon, char *buffer, size_t size);
char *daemon_state_path(const struct daemon *daemon, char *buffer, size_t size);

/* Each line of a text by itself; NULL is none. */
void daemon_log_lines(enum log_level level, const char *text);

/* These log what is wrong themselves. */
QS_MUST_CHECK int daemon_start_log(const struct daemon *daemon, const char *warnings);
QS_MUST_CHECK int daemon_open_state(struct daemon *daemon);
QS_MUST_CHECK int daemon_open_control(struct daemon *daemon);

/* ", listening on PATH": for the first line of the log. */
char *daemon_describe_control(const struct daemon *daemon, char *buffer, size_t size);

/* --- daemon_report.c --- */

/* What the report will say of this run; marks the run as begun. */
void daemon_begin_report(struct daemon *daemon);

/* Once, by whoever of loop and guard comes first; the other one never returns. */
void daemon_write_report(struct daemon *daemon, bool from_guard);

/* It could not be set up: a report that says so, where there is a place for it. */
void daemon_report_failure(struct daemon *daemon, int error);

/* --- daemon_manager.c --- */

/* STATUS=, STOPPING=1 and EXTEND_TIMEOUT_USEC=, as it stands; sees to the next time. */
void daemon_tell_manager(struct daemon *daemon);

#endif
