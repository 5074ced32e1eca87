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

/* One fixed MESSAGE_ID per kind of event; systemd/quiesced.catalog explains each. */
#define LOG_EVENT_MAP(X)                                                                     \
	X(LOG_NOTE, "")                                                                      \
	X(LOG_STARTED, "b1f09adfb8744293857c89d3a2a91ea0") /* the daemon is up */            \
	X(LOG_PHASE, "61377046cf2c40bebcadc20618d684bf")   /* a phase began */               \
	X(LOG_REPORT, "9b10bb54f23346819cf27e15287e939b")  /* the summary */                 \
	X(LOG_UNCLEAN, "828ed438822c4dbd88ca6601c5ebc1fc") /* the last run had no report */  \
	X(LOG_WORKER_STATE, "bfa9623e239247bb83e05d442f6455cb")                              \
	X(LOG_WORKER_ENDED, "0a2cf80f335447af9323cd97c0d1ec09")  /* a verdict */             \
	X(LOG_WORKER_OUTPUT, "32c3a3e30a284dbebfc3b3ab747bed6a") /* a line of a child */     \
	X(LOG_STRAGGLER, "421e7ca5d67e42e7b4e8aa8aede5e093")     /* who holds the stop up */ \
	X(LOG_STALL, "dcded927d9334dcfb66f0ee28dbae1ea")         /* the loop is stuck */     \
	X(LOG_RELOAD, "2970f303de18490e930afd4e3f5f6113")                                    \
	X(LOG_DROPPED, "cb4078258f8c47829e66d7bd59958cb0") /* lines were lost */             \
	X(LOG_CONTROL, "1040f28ad628497386128ba8fcd84842") /* who changed what */            \
	X(LOG_CALL, "c5455a2ea05b466e9fa0f9ca09ff2056")    /* a call, or a poll, is over */  \
	X(LOG_STORM, "976a2a7f17fa4f2891b1e66531f9d515")   /* many that failed alike */

#define LOG_EVENT_VALUE(value, id) value,
enum log_event { LOG_EVENT_MAP(LOG_EVENT_VALUE) LOG_EVENT_COUNT };
#undef LOG_EVENT_VALUE

/* What is told of a call besides its line: QUIESCED_HOST, _STATUS, _ATTEMPTS, _MS, _BYTES, _SOURCE.
 */
struct log_call {
	const char *host, *source;
	int status;
	unsigned attempts;
	uint64_t duration, bytes;
};

/* All may be left zero. */
struct log_fields {
	enum log_event event;
	const char *worker;  /* QUIESCED_WORKER */
	uint64_t task;       /* QUIESCED_TASK */
	const char *phase;   /* QUIESCED_PHASE */
	const char *verdict; /* QUIESCED_VERDICT */
	const struct log_call *call;
};

struct log_options {
	bool journal; /* datagrams to the journal's socket, else text to `fd` */
	int fd;       /* usually 2 */
	enum log_level level;
	size_t max_line;          /* bytes; longer texts are cut and marked with their length */
	const char *journal_path; /* of the journal's socket; NULL: the system's. Not copied */
};

/*
 * Starts the writer. Before it and after log_done lines go straight to standard error. -ENOMEM,
 * -EAGAIN (no thread), -EALREADY.
 */
QS_MUST_CHECK int log_init(const struct log_options *options);
void log_set_level(enum log_level level);
void log_set_max_line(size_t bytes);
void log_set_bodies(bool shown); /* of calls */
bool log_bodies(void);

/*
 * Waits at most until `deadline` (absolute) for what is in the ring, then ends the writer. One that
 * is stuck in a write is left behind for the process's exit to end.
 */
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
