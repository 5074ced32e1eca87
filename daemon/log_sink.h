/*
 * Where the lines go: to the journal, or as text to a descriptor, several in one write. One thread
 * uses it, the writer, but for log_sink_write_now.
 */
#ifndef QUIESCED_LOG_SINK_H
#define QUIESCED_LOG_SINK_H

#include <stdatomic.h>

#include "daemon/log_line.h"

#define LOG_SINK_LINE   (64 * 1024)         /* the longest text */
#define LOG_SINK_BUFFER (5 * LOG_SINK_LINE) /* it may be all escapes, four bytes each */

struct log_sink {
	int fd; /* -1: not opened yet, standard error is meant */
	const char *journal_path;
	struct log_style style;
	_Atomic int journal_fd; /* -1: text */
	_Atomic int urgent_fd;  /* the same pipe or terminal, opened anew as non-blocking; or -1 */
	struct log_buffer buffer;
	uint64_t lines;     /* in the buffer */
	uint64_t unwritten; /* lines that could not be written, with the error of the last */
	int error;
};

/* `memory` has LOG_SINK_BUFFER bytes and outlives the sink. */
void log_sink_open(struct log_sink *sink, const struct log_options *options, char *memory);
void log_sink_close(struct log_sink *sink);

/* Takes a line, writes when there is enough. May wait. */
void log_sink_write(struct log_sink *sink, const struct log_line *line);
void log_sink_write_loss(struct log_sink *sink, uint64_t lost, const char *why);

/* Tells of what could not be written, if that can be written by now. */
void log_sink_retell(struct log_sink *sink);
void log_sink_flush(struct log_sink *sink);

/* Writes what can be written at once, the rest is lost. No lock, no allocation. Any thread. */
void log_sink_write_now(const struct log_sink *sink, const struct log_line *line);

/* A line without its text. */
struct log_line log_describe(enum log_level level, const struct log_fields *fields);

#endif
