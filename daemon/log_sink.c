/*
 * Getting lines out. The ordinary way waits for whoever reads the log, the urgent way for nobody:
 * it has neither lock nor allocation, as the present thread may be the guard, while another one is
 * stuck with any lock held.
 */
#include "daemon/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/clock.h"

#define BATCH_SIZE  (32 * 1024)
#define URGENT_SIZE 2048

/*
 * A description of our own may be non-blocking without a word to those we share the other one with.
 * A file's has its position, which must stay shared; but a file does not block either.
 */
static int open_urgent(int fd)
{
	struct stat status;
	char path[64];
	if (fstat(fd, &status) < 0 || !(S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void log_sink_open(struct log_sink *sink, const struct log_options *options, char *memory)
{
	sink->fd = options->fd;
	sink->style = log_text_style(options->fd);
	sink->journal_path = options->journal_path;
	sink->buffer = (struct log_buffer){ .data = memory, .size = LOG_SINK_BUFFER };
	atomic_store(&sink->journal_fd, options->journal ? log_journal_open() : -1);
	atomic_store(&sink->urgent_fd, open_urgent(options->fd));
}

void log_sink_close(struct log_sink *sink)
{
	int urgent_fd = atomic_exchange(&sink->urgent_fd, -1);
	int journal_fd = atomic_exchange(&sink->journal_fd, -1);
	closep(&urgent_fd);
	closep(&journal_fd);
}

/* Writes what can be written at once, the rest is lost. */
static void write_now(const struct log_sink *sink, const struct log_buffer *buffer)
{
	int urgent_fd = atomic_load(&sink->urgent_fd);
	int fd = sink->fd < 0 ? STDERR_FILENO : sink->fd;
	ssize_t written = send(fd, buffer->data, buffer->used, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (written >= 0 || errno != ENOTSOCK)
		return;
	struct pollfd writable = { .fd = fd, .events = POLLOUT };
	if (urgent_fd >= 0)
		written = write(urgent_fd, buffer->data, buffer->used);
	else if (poll(&writable, 1, 0) == 1)
		written = write(fd, buffer->data, buffer->used);
	(void)written;
}

void log_sink_write_now(const struct log_sink *sink, const struct log_line *line)
{
	char data[URGENT_SIZE];
	struct log_buffer buffer = { .data = data, .size = sizeof(data) };
	int journal_fd = atomic_load(&sink->journal_fd);
	if (journal_fd >= 0 &&
	        log_journal_send(journal_fd, sink->journal_path, line, &buffer, MSG_DONTWAIT) == 0)
		return;
	buffer.used = 0;
	struct log_style early;
	if (sink->fd < 0)
		early = log_text_style(STDERR_FILENO);
	log_text_render(&buffer, line, sink->fd < 0 ? &early : &sink->style);
	write_now(sink, &buffer);
}

/* Waits for a slow reader; an error is the reader's end. */
static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);
		if (written >= 0) {
			data += written;
			size -= (size_t)written;
		} else if (errno == EAGAIN) {
			struct pollfd writable = { .fd = fd, .events = POLLOUT };
			(void)poll(&writable, 1, -1);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

void log_sink_flush(struct log_sink *sink)
{
	int r = write_all(sink->fd, sink->buffer.data, sink->buffer.used);
	if (r < 0) {
		sink->unwritten += sink->lines;
		sink->error = -r;
	}
	sink->buffer.used = 0;
	sink->lines = 0;
}

void log_sink_write(struct log_sink *sink, const struct log_line *line)
{
	int journal_fd = atomic_load(&sink->journal_fd);
	bool sent = journal_fd >= 0 &&
	            log_journal_send(journal_fd, sink->journal_path, line, &sink->buffer, 0) == 0;
	if (journal_fd >= 0)
		sink->buffer.used = 0;
	if (sent)
		return;
	log_text_render(&sink->buffer, line, &sink->style);
	sink->lines++;
	if (sink->buffer.used >= BATCH_SIZE || journal_fd >= 0)
		log_sink_flush(sink);
}

void log_sink_write_loss(struct log_sink *sink, uint64_t lost, const char *why)
{
	char text[256];
	struct log_line line =
	        log_describe(LOG_LEVEL_WARNING, &(struct log_fields){ .event = LOG_DROPPED });
	snprintf(text, sizeof(text), "%ju line%s lost: %s", (uintmax_t)lost,
	        lost == 1 ? " was" : "s were", why);
	line.text = text;
	line.text_size = strlen(text);
	log_sink_write(sink, &line);
}

void log_sink_retell(struct log_sink *sink)
{
	uint64_t unwritten = TAKE(sink->unwritten, 0);
	if (unwritten == 0)
		return;
	const char *why = strerrordesc_np(sink->error);
	log_sink_write_loss(sink, unwritten, why ? why : "it could not be written");
	log_sink_flush(sink);
	if (sink->unwritten > 0)
		sink->unwritten = unwritten;
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

struct log_line log_describe(enum log_level level, const struct log_fields *fields)
{
	struct log_call call = fields->call ? *fields->call : (struct log_call){ 0 };
	call.host = or_empty(call.host);
	call.source = or_empty(call.source);
	return (struct log_line){
		.wall_usec = qs_clock_wall_usec(),
		.task = fields->task,
		.level = level,
		.event = fields->event,
		.worker = or_empty(fields->worker),
		.phase = or_empty(fields->phase),
		.verdict = or_empty(fields->verdict),
		.call = call,
	};
}
