/*
 * The journal's native protocol: one datagram a line, its fields as KEY=value lines. No value of
 * ours has a newline in it (they are escaped, as in the text form), so the binary form of a field
 * is not needed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/log_line.h"
#include "lib/utf8.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

#define LOG_EVENT_ID(value, id) [value] = id,
static const char *const message_ids[LOG_EVENT_COUNT] = { LOG_EVENT_MAP(LOG_EVENT_ID) };
#undef LOG_EVENT_ID

/* syslog's numbers */
static const char *const priorities[] = {
	[LOG_LEVEL_ERROR] = "3",
	[LOG_LEVEL_WARNING] = "4",
	[LOG_LEVEL_INFO] = "6",
	[LOG_LEVEL_DEBUG] = "7",
};

int log_journal_open(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static void put_field(struct log_buffer *buffer, const char *key, const char *value)
{
	if (value[0] == '\0')
		return;
	log_put_string(buffer, key);
	log_put_string(buffer, "=");
	log_put_escaped(buffer, value, strlen(value));
	log_put_string(buffer, "\n");
}

static void put_number(struct log_buffer *buffer, const char *key, uint64_t value)
{
	char text[32];
	snprintf(text, sizeof(text), "%ju", (uintmax_t)value);
	put_field(buffer, key, text);
}

/* A host, a status and attempts only where there were some. */
static void put_call(struct log_buffer *buffer, const struct log_line *line)
{
	const struct log_call *call = &line->call;
	put_field(buffer, "QUIESCED_HOST", call->host);
	if (call->status > 0)
		put_number(buffer, "QUIESCED_STATUS", (unsigned)call->status);
	if (call->attempts > 0)
		put_number(buffer, "QUIESCED_ATTEMPTS", call->attempts);
	put_field(buffer, "QUIESCED_SOURCE", call->source);
	if (line->event != LOG_CALL)
		return;
	put_number(buffer, "QUIESCED_MS", call->duration / QS_MSEC);
	put_number(buffer, "QUIESCED_BYTES", call->bytes);
}

/* The message comes last, where only it suffers when the buffer is too small. */
static void render(struct log_buffer *buffer, const struct log_line *line)
{
	char task[32] = "";
	if (line->task != 0)
		snprintf(task, sizeof(task), "%ju", (uintmax_t)line->task);
	put_field(buffer, "PRIORITY", priorities[line->level]);
	put_field(buffer, "SYSLOG_IDENTIFIER", "quiesced");
	put_field(buffer, "MESSAGE_ID", message_ids[line->event]);
	put_field(buffer, "QUIESCED_WORKER", line->worker);
	put_field(buffer, "QUIESCED_TASK", task);
	put_field(buffer, "QUIESCED_PHASE", line->phase);
	put_field(buffer, "QUIESCED_VERDICT", line->verdict);
	put_call(buffer, line);
	log_put_string(buffer, "MESSAGE=");
	buffer->size--;
	log_put_message(buffer, line);
	buffer->size++;
	log_put_string(buffer, "\n");
}

static int send_once(int fd, const char *path, const struct log_buffer *buffer, int flags)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *target = path ? path : JOURNAL_SOCKET;
	if (strlen(target) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, target, strlen(target));
	ssize_t sent = sendto(fd, buffer->data, buffer->used, flags | MSG_NOSIGNAL,
	        (const struct sockaddr *)&address, sizeof(address));
	return sent < 0 ? -errno : 0;
}

int log_journal_send(
        int fd, const char *path, const struct log_line *line, struct log_buffer *buffer, int flags)
{
	struct log_line shorter = *line;
	for (;;) {
		buffer->used = 0;
		render(buffer, &shorter);
		int r = send_once(fd, path, buffer, flags);
		if (r == -EINTR)
			continue;
		if (r != -EMSGSIZE || shorter.text_size < 64)
			return r;
		shorter.cut_from = MAX(line->cut_from, line->text_size);
		shorter.text_size = qs_utf8_cut(line->text, line->text_size, shorter.text_size / 2);
	}
}
