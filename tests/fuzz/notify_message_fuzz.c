/* Any datagram as a notify message: what is taken from it keeps what the header promises. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/clock.h>

#include "lib/notify_message.h"
#include "lib/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qs_notify_message message;
	if (qs_notify_message_parse((const char *)data, size, &message) < 0)
		return 0;
	require(message.main_pid >= 0 && message.error_number >= 0);
	require(message.extend_timeout < QS_FOREVER && message.watchdog_span < QS_FOREVER);
	require(message.extend_timeout % QS_USEC == 0 && message.watchdog_span % QS_USEC == 0);
	size_t length = strnlen(message.status, sizeof(message.status));
	require(length < sizeof(message.status) && (length == 0 || message.has_status));
	for (size_t i = 0; i < length;) {
		int character = qs_utf8_next(message.status + i, length - i);
		require(character > 0 && !qs_utf8_is_control(message.status + i));
		i += (size_t)character;
	}
	return 0;
}
