/*
 * The notify protocol's datagram: lines of NAME=VALUE. A child writes it, so nothing in it is
 * believed: a value that is not exactly what the protocol says counts as not sent.
 */
#include "lib/notify_message.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <quiesce/clock.h>

#include "lib/macro.h"
#include "lib/utf8.h"

#define ERRNO_MAX 4095

/* A part of the datagram; not NUL-ended. */
struct piece {
	const char *data;
	size_t size;
};

static bool equals(struct piece piece, const char *text)
{
	return piece.size == strlen(text) && memcmp(piece.data, text, piece.size) == 0;
}

/* Decimal digits only, 1 to `max`. */
static bool read_number(struct piece piece, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;
	for (size_t i = 0; i < piece.size; i++) {
		unsigned digit = (unsigned)piece.data[i] - '0';
		if (digit > 9 || number > (max - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	if (number == 0)
		return false;
	*ret_number = number;
	return true;
}

static void read_span(struct piece value, uint64_t *span)
{
	uint64_t usec;
	if (read_number(value, (QS_FOREVER - 1) / QS_USEC, &usec))
		*span = usec * QS_USEC;
}

static void read_status(struct piece value, struct qs_notify_message *message)
{
	size_t used = 0;
	for (size_t i = 0; i < value.size;) {
		int length = qs_utf8_next(value.data + i, value.size - i);
		const char *shown = length > 0 ? value.data + i : "\xef\xbf\xbd";
		size_t size = length > 0 ? (size_t)length : 3;
		if (length > 0 && qs_utf8_is_control(shown)) {
			shown = " ";
			size = 1;
		}
		if (used + size >= sizeof(message->status))
			break;
		memcpy(message->status + used, shown, size);
		used += size;
		i += length > 0 ? (size_t)length : 1;
	}
	message->status[used] = '\0';
	message->has_status = true;
}

static bool read_flag(struct piece name, struct piece value, struct qs_notify_message *message)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {
		{ "READY", &message->ready },
		{ "STOPPING", &message->stopping },
		{ "RELOADING", &message->reloading },
		{ "WATCHDOG", &message->watchdog },
		{ "BARRIER", &message->barrier },
	};
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (equals(name, flags[i].name)) {
			*flags[i].flag |= equals(value, "1");
			return true;
		}
	}
	return false;
}

static void read_field(struct piece name, struct piece value, struct qs_notify_message *message)
{
	uint64_t number;
	if (equals(name, "WATCHDOG") && equals(value, "trigger")) {
		message->watchdog_trigger = true;
	} else if (read_flag(name, value, message)) {
		return;
	} else if (equals(name, "STATUS")) {
		read_status(value, message);
	} else if (equals(name, "EXTEND_TIMEOUT_USEC")) {
		read_span(value, &message->extend_timeout);
	} else if (equals(name, "WATCHDOG_USEC")) {
		read_span(value, &message->watchdog_span);
	} else if (equals(name, "MAINPID")) {
		if (read_number(value, INT_MAX, &number))
			message->main_pid = (pid_t)number;
	} else if (equals(name, "ERRNO")) {
		if (read_number(value, ERRNO_MAX, &number))
			message->error_number = (int)number;
	}
}

/* Returns whether the line has the form of a field at all. */
static bool read_line(struct piece line, struct qs_notify_message *message)
{
	const char *equal = line.size > 0 ? memchr(line.data, '=', line.size) : NULL;
	if (!equal || equal == line.data)
		return false;
	struct piece name = { line.data, (size_t)(equal - line.data) };
	struct piece value = { equal + 1, line.size - name.size - 1 };
	read_field(name, value, message);
	return true;
}

int qs_notify_message_parse(const char *data, size_t size, struct qs_notify_message *ret_message)
{
	struct qs_notify_message message = { 0 };
	bool any = false;
	while (size > 0) {
		const char *end = memchr(data, '\n', size);
		struct piece line = { data, end ? (size_t)(end - data) : size };
		any |= read_line(line, &message);
		size -= line.size + (end ? 1 : 0);
		data += line.size + (end ? 1 : 0);
	}
	if (!any)
		return -EBADMSG;
	*ret_message = message;
	return 0;
}
