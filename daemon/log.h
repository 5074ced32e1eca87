/*
 * The log: one line per event, to the journal with fields when systemd started us, else to standard
 * error. It never blocks its caller: a writer thread of its own takes the lines from a bounded
 * ring; what does not fit is counted and told later. Any thread may log.
 */
#ifndef QUIESCED_LOG_H
#define QUIESCED_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/config.h"
#include "lib/macro.h"

/* One fixed 128-bit MESSAGE_ID per kind of event: log_events.h gives each its id and level. */
#define LOG_EVENT_MAP(X)                                                                     \
	X(LOG_NOTE, "")                                                                      \
	X(LOG_STARTED, "5f0c2f3d1e0a4c3f9d0b7a61c2e40001") /* the daemon is up */            \
	X(LOG_PHASE, "5f0c2f3d1e0a4c3f9d0b7a61c2e40002")   /* a phase began */               \
	X(LOG_REPORT, "5f0c2f3d1e0a4c3f9d0b7a61c2e40003")  /* the summary */                 \
	X(LOG_UNCLEAN, "5f0c2f3d1e0a4c3f9d0b7a61c2e40004") /* the last run had no report */  \
	X(LOG_WORKER_STATE, "5f0c2f3d1e0a4c3f9d0b7a61c2e40005")                              \
	X(LOG_WORKER_ENDED, "5f0c2f3d1e0a4c3f9d0b7a61c2e40006")  /* a verdict */             \
	X(LOG_WORKER_OUTPUT, "5f0c2f3d1e0a4c3f9d0b7a61c2e40007") /* a line of a child */     \
	X(LOG_STRAGGLER, "5f0c2f3d1e0a4c3f9d0b7a61c2e40008")     /* who holds the stop up */ \
	X(LOG_STALL, "5f0c2f3d1e0a4c3f9d0b7a61c2e40009")         /* the loop is stuck */     \
	X(LOG_RELOAD, "5f0c2f3d1e0a4c3f9d0b7a61c2e4000a")                                    \
	X(LOG_DROPPED, "5f0c2f3d1e0a4c3f9d0b7a61c2e4000b") /* lines were lost */             \
	X(LOG_CONTROL, "5f0c2f3d1e0a4c3f9d0b7a61c2e4000c") /* who changed what */

#define LOG_EVENT_VALUE(value, id) value,
enum log_event { LOG_EVENT_MAP(LOG_EVENT_VALUE) LOG_EVENT_COUNT };
#undef LOG_EVENT_VALUE

/* All may be left zero. */
struct log_fields {
	enum log_event event;
	const char *worker;  /* QUIESCED_WORKER */
	uint64_t task;       /* QUIESCED_TASK */
	const char *phase;   /* QUIESCED_PHASE */
	const char *verdict; /* QUIESCED_VERDICT */
};

struct log_options {
	bool journal; /* datagrams to the journal's socket, else text to `fd` */
	int fd;       /* usually 2 */
	enum log_level level;
	size_t max_line; /* bytes; longer texts are cut and marked with their length */
};

/* Starts the writer. Before it and after log_done lines go straight to standard error. */
QS_MUST_CHECK int log_init(const struct log_options *options);
void log_set_level(enum log_level level);
void log_set_max_line(size_t bytes);

/* Waits at most until `deadline` (absolute) for what is in the ring, then ends the writer. */
void log_done(uint64_t deadline);

void log_event(enum log_level level, const struct log_fields *fields, const char *format, ...)
        _printf_(3, 4);
#define log_error(...)   log_event(LOG_LEVEL_ERROR, &(struct log_fields){ 0 }, __VA_ARGS__)
#define log_warning(...) log_event(LOG_LEVEL_WARNING, &(struct log_fields){ 0 }, __VA_ARGS__)
#define log_info(...)    log_event(LOG_LEVEL_INFO, &(struct log_fields){ 0 }, __VA_ARGS__)
#define log_debug(...)   log_event(LOG_LEVEL_DEBUG, &(struct log_fields){ 0 }, __VA_ARGS__)

/* Straight to standard error or the journal, without the ring, an allocation or waiting: for the
 * guard. */
void log_emergency(const struct log_fields *fields, const char *text);

#endif
