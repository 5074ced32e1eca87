/*
 * The daemon: everything that lives from start to end, set up and torn down in mirrored order in
 * daemon.c. Loop thread only, but for what the guard reads.
 */
#ifndef QUIESCED_DAEMON_H
#define QUIESCED_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"
#include "daemon/events.h"
#include "daemon/fleet.h"
#include "daemon/state.h"
#include "lib/coordinator.h"
#include "lib/guard.h"
#include "lib/notify.h"
#include "lib/report.h"

struct control;

/* From the command line and the environment; NULL where nothing was said. */
struct daemon_options {
	const char *config_file;
	const char *control_socket;
	const char *state_directory;
};

struct daemon {
	struct daemon_options options;
	struct config *config; /* the fleet's, once there is one */
	struct qs_notify notify;
	struct qs_clock clock;
	struct qs_loop *loop;
	struct qs_ledger *ledger;
	struct qs_context context;
	struct qs_group root;
	qs_stop *stop;
	struct qs_coordinator coordinator;
	struct qs_guard *guard;
	struct qs_reaper *reaper;
	struct events events;
	struct fleet fleet;
	struct state state;
	struct qs_report report;
	struct control *control;
	uint64_t started_at; /* absolute, ns */
	bool announced_ready;
	struct qs_timer tick; /* while it starts or stops: words to the service manager */
	_Atomic bool
	        report_claimed; /* by the loop's thread or the guard's: the first one writes it */
};

enum exit_status {
	EXIT_ENDED_WELL = 0,
	EXIT_RUNTIME_FAILURE = 1,
	EXIT_USAGE = 2,
	EXIT_NO_PERMISSION = 4,
	EXIT_BAD_CONFIGURATION = 6,
	EXIT_FORCED = 150,
	EXIT_ABANDONED = 151,
};

/* The whole life; returns the exit status. */
int daemon_run(const struct daemon_options *options);

/* Reads the configuration files that the options name; prints what is wrong with `print`. */
QS_MUST_CHECK int daemon_read_config(const struct daemon_options *options,
        struct config **ret_config, struct config_errors *ret_errors);

/* The reload transaction. -EBUSY in a shutdown; -EBADMSG with the errors; -ENOMEM. */
QS_MUST_CHECK int daemon_reload(
        struct daemon *daemon, struct fleet_change *ret_change, struct config_errors *ret_errors);

/* From the control socket: who asked, for the report. */
void daemon_shutdown(struct daemon *daemon, const char *detail);

/* Ready for work: every essential worker is up, and nobody drains or stops. */
bool daemon_is_ready(const struct daemon *daemon);

#endif
