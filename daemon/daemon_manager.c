/* What the service manager is told: more time while we start, and who is left while we stop. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/callee.h"
#include "daemon/daemon_internal.h"

#define EXTEND_EVERY (10 * QS_SEC)
#define EXTEND_BY    (30 * QS_SEC)
#define STATUS_EVERY QS_SEC

struct text {
	char *at;
	size_t left;
};

_printf_(2, 3) static void add(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = vsnprintf(text->at, text->left, format, arguments);
	va_end(arguments);
	if (n > 0 && (size_t)n < text->left) {
		text->at += n;
		text->left -= (size_t)n;
	}
}

static void name_stragglers(const struct daemon *daemon, struct text *text)
{
	unsigned named = 0, more = 0;

	list_for_each (node, &daemon->fleet.workers) {
		const struct worker *worker = list_entry(node, struct worker, node);
		char calls[160];

		if (!worker_is_live(worker))
			continue;
		callee_describe(worker, calls, sizeof(calls));
		if (named < 5)
			add(text, "%s%s%s%s%s", named++ ? ", " : "", worker->config->name,
			        *calls ? " (" : "", calls, *calls ? ")" : "");
		else
			more++;
	}
	if (more)
		add(text, " and %u more", more);
}

static void tell_stopping(struct daemon *daemon)
{
	uint64_t now = qs_time_now(),
	         left = qs_time_sub(fsm_leave_at(&daemon->coordinator.fsm), now);
	char status[512];
	struct text text = { status, sizeof(status) };

	add(&text, "%s", qs_phase_name(qs_coordinator_phase(&daemon->coordinator)));
	if (daemon->root.live > 0) {
		add(&text, "%s", ", waiting for ");
		name_stragglers(daemon, &text);
		add(&text, ", at most %.0f s left", (double)left / (double)QS_SEC);
	}
	(void)qs_notify_stopping(status);
	(void)qs_notify_extend(qs_time_add(left, QS_SEC));
	qs_timer_arm(
	        &daemon->tick, daemon->root.live > 0 ? qs_time_add(now, STATUS_EVERY) : QS_FOREVER);
}

void daemon_tell_manager(struct daemon *daemon)
{
	if (!daemon->notify.managed)
		return;
	if (daemon_stopping(daemon)) {
		tell_stopping(daemon);
	} else if (!daemon->announced_ready) {
		(void)qs_notify_extend(EXTEND_BY);
		qs_timer_arm(&daemon->tick, qs_time_add(qs_time_now(), EXTEND_EVERY));
	} else {
		bool draining = qs_coordinator_phase(&daemon->coordinator) == QS_PHASE_DRAINING;

		(void)qs_notify_status(draining ? "draining" : "ready");
	}
}
