/* What can be asked of the daemon from outside: a reload, a stop, and whether it is ready. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/daemon_internal.h"
#include "daemon/log.h"

bool daemon_stopping(const struct daemon *daemon)
{
	return fsm_stopping(&daemon->coordinator.fsm);
}

bool daemon_is_ready(const struct daemon *daemon)
{
	return daemon->fleet.ready &&
	       qs_coordinator_phase(&daemon->coordinator) == QS_PHASE_RUNNING;
}

void daemon_shutdown(struct daemon *daemon, const char *detail)
{
	struct qs_stop_reason reason = { .cause = QS_CAUSE_API };

	snprintf(reason.detail, sizeof(reason.detail), "%s", detail);
	qs_guard_request_stop(daemon->guard, &reason);
}

static void take_settings(struct daemon *daemon)
{
	const struct config *config = daemon->fleet.config;

	daemon->config = daemon->fleet.config;
	daemon->report.sync = config->report_sync;
	log_set_level(config->log_level);
	log_set_max_line(config->log_max_line);
	log_set_bodies(config->log_bodies);
	qs_coordinator_set_plan(&daemon->coordinator, &config->shutdown);
	qs_guard_set_plan(daemon->guard, &config->shutdown);
}

static void log_refusal(int error, const struct config_errors *errors)
{
	log_event(LOG_LEVEL_ERROR, &(struct log_fields){ .event = LOG_RELOAD },
	        "reload refused: %s",
	        error == -EBADMSG ? "the configuration is wrong; nothing has changed"
	                          : strerror(-error));
	daemon_log_lines(LOG_LEVEL_ERROR, errors->text);
}

static int try_reload(
        struct daemon *daemon, struct fleet_change *ret_change, struct config_errors *ret_errors)
{
	struct config *config = NULL;

	if (qs_coordinator_phase(&daemon->coordinator) != QS_PHASE_RUNNING)
		return -EBUSY;
	int r = daemon_read_config(&daemon->options, &config, ret_errors);
	if (r < 0)
		return r;
	r = fleet_reload(&daemon->fleet, config, ret_change);
	if (r < 0)
		config_free(config);
	return r;
}

int daemon_reload(
        struct daemon *daemon, struct fleet_change *ret_change, struct config_errors *ret_errors)
{
	(void)qs_notify_reloading();
	int r = try_reload(daemon, ret_change, ret_errors);
	if (r < 0) {
		log_refusal(r, ret_errors);
	} else {
		take_settings(daemon);
		log_event(LOG_LEVEL_INFO, &(struct log_fields){ .event = LOG_RELOAD },
		        "reloaded: %u added, %u removed, %u changed (%u restarted), %u unchanged",
		        ret_change->added, ret_change->removed, ret_change->changed,
		        ret_change->restarted, ret_change->unchanged);
	}
	(void)qs_notify_ready(daemon->announced_ready ? "ready" : "starting");
	return r;
}
