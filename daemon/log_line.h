/* One line of the log on its way out, and its two forms: text, and a datagram for the journal. */
#ifndef QUIESCED_LOG_LINE_H
#define QUIESCED_LOG_LINE_H

#include "daemon/log.h"

struct log_line {
	uint64_t wall_usec;
	uint64_t task;
	enum log_level level;
	enum log_event event;
	const char *worker, *phase, *verdict; /* "" for none */
	struct log_call call;                 /* texts likewise; of LOG_CALL and LOG_STORM */
	const char *text;
	size_t text_size;
	size_t cut_from; /* its whole length, if it was cut; else 0 */
};

/* Text that does not fit is left out, by the whole character. */
struct log_buffer {
	char *data;
	size_t size, used;
};

void log_put(struct log_buffer *buffer, const char *text, size_t size);
void log_put_string(struct log_buffer *buffer, const char *text);

/* Control characters but the tab, and bytes that are no UTF-8, as escapes: it stays one line. */
void log_put_escaped(struct log_buffer *buffer, const char *text, size_t size);

/* "worker: text" and the mark of a cut. */
void log_put_message(struct log_buffer *buffer, const struct log_line *line);

struct log_style {
	bool terminal, colour;
	long utc_offset; /* seconds; terminals show the local time */
};

/* By what is behind the descriptor and $NO_COLOR. May allocate. */
struct log_style log_text_style(int fd);

/* Appends the line and a newline. Allocates nothing. */
void log_text_render(
        struct log_buffer *buffer, const struct log_line *line, const struct log_style *style);

/* A socket for the following. Negative errno. */
QS_MUST_CHECK int log_journal_open(void);

/*
 * Sends the line, using the buffer; cuts what is too long for a datagram. `path` NULL: the system's
 * journal. `flags` as of sendto. Allocates nothing. Errors of sendto.
 */
QS_MUST_CHECK int log_journal_send(int fd, const char *path, const struct log_line *line,
        struct log_buffer *buffer, int flags);

#endif
