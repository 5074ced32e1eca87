/*
 * The report of this run: what it is about, and who writes it. The loop's thread does, on its way
 * out; the guard does when the loop never gets there. Whoever comes first has claimed it.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/daemon_internal.h"
#include "daemon/log.h"

#define CLAIMED_TIME 2000 /* ms that the loop's thread gets to finish what it has begun */

void daemon_begin_report(struct daemon *daemon)
{
	struct qs_report *report = &daemon->report;
	const char *invocation = getenv("INVOCATION_ID");

	*report = (struct qs_report){ .ledger = daemon->ledger,
		.chronicle = &daemon->coordinator.chronicle,
		.started_at = daemon->started_at,
		.pid = getpid(),
		.sync = daemon->config->report_sync };
	if (invocation)
		snprintf(report->invocation_id, sizeof(report->invocation_id), "%s", invocation);
	int r = state_mark(
	        &daemon->state, report->invocation_id, qs_clock_wall_usec_of(daemon->started_at));
	if (r < 0)
		log_warning("cannot mark the run in the state directory: %s", strerror(-r));
}

/* A stop that the loop never came to hear of is in the stop event all the same. */
static void complete_chronicle(struct daemon *daemon)
{
	struct qs_chronicle *chronicle = &daemon->coordinator.chronicle;
	struct qs_stop_reason reason;

	if (atomic_load(&chronicle->requested_at) != 0 ||
	        qs_stop_get_reason(daemon->stop, &reason) < 0)
		return;
	chronicle->reason = reason;
	atomic_store(&chronicle->requested_at, reason.at);
}

static void tell_failed_write(int error, bool from_guard)
{
	if (from_guard)
		log_emergency(&(struct log_fields){ .event = LOG_REPORT },
		        "the report could not be written");
	else
		log_error("the report could not be written: %s", strerror(-error));
}

void daemon_write_report(struct daemon *daemon, bool from_guard)
{
	if (atomic_exchange(&daemon->report_claimed, true)) {
		(void)poll(NULL, 0, from_guard ? CLAIMED_TIME : -1);
		return;
	}
	complete_chronicle(daemon);
	if (atomic_load(&daemon->coordinator.chronicle.left_at) == 0)
		atomic_store(&daemon->coordinator.chronicle.left_at, qs_time_now());
	int r = qs_report_write(&daemon->report, daemon->state.directory_fd);
	if (r < 0)
		tell_failed_write(r, from_guard);
	else
		state_unmark(&daemon->state);
}

void daemon_report_failure(struct daemon *daemon, int error)
{
	struct qs_chronicle *chronicle = &daemon->coordinator.chronicle;

	if (daemon->state.directory_fd < 0 || !daemon->report.ledger)
		return;
	chronicle->reason.cause = QS_CAUSE_SHUTDOWN;
	snprintf(chronicle->reason.detail, sizeof(chronicle->reason.detail), "start-up: %s",
	        strerror(-error));
	atomic_store(&chronicle->failure, true);
	atomic_store(&chronicle->requested_at, qs_time_now());
	daemon_write_report(daemon, false);
}
