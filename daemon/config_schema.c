/*
 * Every key of the configuration: one row reads it, checks it, gives its default and explains it.
 * A new kind of worker adds rows here, and a type to config_values.c only if none fits.
 */
#include <string.h>

#include "daemon/config_internal.h"

const char *const when_words[] = { "always", "once", "every", "call", NULL };
const char *const restart_words[] = { "on-failure", "always", "never", NULL };
static const char *const level_words[] = { "error", "warning", "info", "debug", NULL };

static const struct schema_key schema[] = {
	{ .path = "shutdown.drain",
	        .type = VALUE_SPAN,
	        IN_CONFIG(shutdown.drain),
	        .maximum = SPAN_LONG,
	        .fallback = "0s",
	        .help = "How long a stop goes on undisturbed at first: not ready any more, nothing "
	                "new is started, work in flight goes on. Counted in the deadline, and "
	                "shorter than it." },
	{ .path = "shutdown.deadline",
	        .type = VALUE_SPAN,
	        IN_CONFIG(shutdown.deadline),
	        .maximum = SPAN_LONG,
	        .fallback = "20s",
	        .help = "From the request to stop to the cancel, for all stages together." },
	{ .path = "shutdown.cancel_grace",
	        .type = VALUE_SPAN,
	        IN_CONFIG(shutdown.cancel_grace),
	        .maximum = SPAN_LONG,
	        .fallback = "2s",
	        .help = "From the cancel to the kill." },
	{ .path = "shutdown.kill_grace",
	        .type = VALUE_SPAN,
	        IN_CONFIG(shutdown.kill_grace),
	        .maximum = SPAN_LONG,
	        .fallback = "1s",
	        .help = "From the kill to leaving, whatever is left." },
	{ .path = "supervision.restarts.count",
	        .type = VALUE_NUMBER,
	        IN_CONFIG(restarts.count),
	        .maximum = 100000,
	        .fallback = "100",
	        .help = "At most so many restarts over all workers within the span below; further "
	                "ones are delayed, never failed. 0: no limit." },
	{ .path = "supervision.restarts.within",
	        .type = VALUE_SPAN,
	        IN_CONFIG(restarts.within),
	        .minimum = QS_MSEC,
	        .maximum = SPAN_LONG,
	        .fallback = "1min",
	        .help = "The window of supervision.restarts.count." },
	{ .path = "log.level",
	        .type = VALUE_WORD,
	        IN_CONFIG(log_level),
	        .words = level_words,
	        .fallback = "info",
	        .help = "What is logged: this and everything graver." },
	{ .path = "log.max_line",
	        .type = VALUE_SIZE,
	        IN_CONFIG(log_max_line),
	        .minimum = 64,
	        .maximum = 64 * KIB,
	        .fallback = "4KiB",
	        .help = "Longer lines are cut, and say how long they were." },
	{ .path = "log.bodies",
	        .type = VALUE_FLAG,
	        IN_CONFIG(log_bodies),
	        .fallback = "false",
	        .help = "Whether what calls are given and answered is logged, folded as "
	                "all "
	                "that is long." },
	{ .path = "report.sync",
	        .type = VALUE_FLAG,
	        IN_CONFIG(report_sync),
	        .fallback = "false",
	        .help = "Whether the shutdown report is forced to the disk before leaving." },
	{ .path = "control.socket",
	        .type = VALUE_PATH,
	        IN_CONFIG(control_socket),
	        .maximum = 107,
	        .fallback_text = "/run/quiesced/control.sock, else below $XDG_RUNTIME_DIR",
	        .help = "Where the control socket is. --control-socket and the environment go "
	                "first." },
	{ .path = "control.group",
	        .type = VALUE_TEXT,
	        IN_CONFIG(control_group),
	        .maximum = 63,
	        .fallback_text = "quiesced, if there is such a group",
	        .help = "The group that may open the control socket." },
	{ .path = "state.directory",
	        .type = VALUE_PATH,
	        IN_CONFIG(state_directory),
	        .maximum = 4095,
	        .fallback_text = "$STATE_DIRECTORY, else /var/lib/quiesced",
	        .help = "Where the report and the marker of the run are kept. --state-dir and the "
	                "environment go first." },
	{ .path = WORKER "exec",
	        .type = VALUE_COMMAND,
	        IN_WORKER(exec),
	        .fallback_text = "none; it, module or http is required",
	        .help = "The program, looked up in PATH, and its arguments. No shell is involved. "
	                "${credential:NAME} stands for the content of the file NAME in "
	                "$CREDENTIALS_DIRECTORY without its last newline (quote it: YAML has its "
	                "own idea "
	                "of braces); write $${credential:NAME} for the text itself. Other $ mean "
	                "nothing here." },
	{ .path = WORKER "module.path",
	        .type = VALUE_PATH,
	        IN_WORKER(module_path),
	        .maximum = 4095,
	        .fallback_text = "none; it, exec or http is required",
	        .help = "A shared object that is run in a host process of its own, on the library; "
	                "see quiesced-host(8)." },
	{ .path = WORKER "module.config",
	        .type = VALUE_TREE,
	        IN_WORKER(module_config),
	        .fallback_text = "{}",
	        .help = "Handed to the module as JSON, at most 96KiB of it. What is quoted is a "
	                "text, and ${credential:NAME} works in texts as in exec." },
	{ .path = WORKER "when",
	        .type = VALUE_WHEN,
	        IN_WORKER(when),
	        .fallback = "always",
	        .fallback_text = "always; with http it is required, and never that",
	        .help = "always: from the start on. once: one time. every SPAN: at each slot; one "
	                "that is still running makes the next slot skipped. call: when it is "
	                "called, by quiescectl call or POST /v1/workers/NAME/call." },
	{ .path = WORKER "restart",
	        .type = VALUE_WORD,
	        IN_WORKER(restart),
	        .words = restart_words,
	        .fallback_text = "on-failure; with when: once or http, never",
	        .help = "Whether it is started again when it has ended. always is refused with "
	                "when: once, and every value with when: every, where a failure waits for "
	                "the next slot, and with when: call." },
	{ .path = WORKER "backoff.base",
	        .type = VALUE_SPAN,
	        IN_WORKER(backoff.base),
	        .minimum = QS_MSEC,
	        .maximum = SPAN_LONG,
	        .fallback = "1s",
	        .help = "The n-th restart in a row comes after a random part of base * 2^n." },
	{ .path = WORKER "backoff.cap",
	        .type = VALUE_SPAN,
	        IN_WORKER(backoff.cap),
	        .minimum = QS_MSEC,
	        .maximum = SPAN_LONG,
	        .fallback = "5min",
	        .help = "No delay is longer. At least backoff.base." },
	{ .path = WORKER "backoff.reset_after",
	        .type = VALUE_SPAN,
	        IN_WORKER(backoff.reset_after),
	        .maximum = QS_FOREVER,
	        .fallback = "10min",
	        .help = "Having run this long, its next failure counts as the first." },
	{ .path = WORKER "limit.count",
	        .type = VALUE_NUMBER,
	        IN_WORKER(limit.count),
	        .maximum = 10000,
	        .fallback = "10",
	        .help = "More restarts within the span below, and it is failed until it is started "
	                "by hand. 0: no limit." },
	{ .path = WORKER "limit.within",
	        .type = VALUE_SPAN,
	        IN_WORKER(limit.within),
	        .minimum = QS_MSEC,
	        .maximum = SPAN_LONG,
	        .fallback = "15min",
	        .help = "The window of limit.count." },
	{ .path = WORKER "after",
	        .type = VALUE_NAMES,
	        IN_WORKER(after),
	        .fallback_text = "[]",
	        .help = "It waits until these workers are ready (once and every: until a run has "
	                "finished well), and is ended before them." },
	{ .path = WORKER "essential",
	        .type = VALUE_FLAG,
	        IN_WORKER(essential),
	        .fallback = "true",
	        .help = "Whether the daemon is ready only when this worker is." },
	{ .path = WORKER "ready.notify",
	        .type = VALUE_FLAG,
	        IN_WORKER(ready_notify),
	        .fallback = "false",
	        .help = "Whether it says READY=1 (sd_notify) when it is ready; otherwise it is "
	                "ready "
	                "once it runs." },
	{ .path = WORKER "ready.timeout",
	        .type = VALUE_SPAN,
	        IN_WORKER(ready_timeout),
	        .minimum = QS_MSEC,
	        .maximum = QS_FOREVER,
	        .fallback = "30s",
	        .help = "With ready.notify: not ready within this is a failure." },
	{ .path = WORKER "heartbeat",
	        .type = VALUE_SPAN,
	        IN_WORKER(heartbeat),
	        .minimum = QS_MSEC,
	        .maximum = SPAN_LONG,
	        .fallback_text = "none is expected",
	        .help = "WATCHDOG=1 is expected this often; a miss is a failure." },
	{ .path = WORKER "stop.signal",
	        .type = VALUE_SIGNAL,
	        IN_WORKER(stop_signal),
	        .fallback = "SIGTERM",
	        .help = "How its process group is asked to stop." },
	{ .path = WORKER "stop.cancel_signal",
	        .type = VALUE_SIGNAL,
	        IN_WORKER(cancel_signal),
	        .fallback_text = "none",
	        .help = "What it is sent when it has not ended by the deadline, before the kill." },
	{ .path = WORKER "stop.deadline",
	        .type = VALUE_SPAN,
	        IN_WORKER(stop_deadline),
	        .maximum = QS_FOREVER,
	        .fallback = "infinity",
	        .fallback_text = "shutdown.deadline, and in a shutdown never later than that",
	        .help = "From being asked to the cancel, for this worker." },
	{ .path = WORKER "stop.success",
	        .type = VALUE_STATUSES,
	        IN_WORKER(stop_success),
	        .fallback_text = "[]",
	        .help = "Exit statuses besides 0 that are a good end once it has been asked." },
	{ .path = WORKER "environment",
	        .type = VALUE_ENVIRONMENT,
	        IN_WORKER(environment),
	        .fallback_text = "{}",
	        .help = "Variables added to the daemon's environment. ${credential:NAME} works as "
	                "in exec." },
	{ .path = WORKER "working_directory",
	        .type = VALUE_PATH,
	        IN_WORKER(working_directory),
	        .maximum = 4095,
	        .fallback_text = "the daemon's",
	        .help = "Where it is started." },
	{ .path = WORKER "umask",
	        .type = VALUE_UMASK,
	        IN_WORKER(umask),
	        .fallback_text = "the daemon's",
	        .help = "The mode bits that files it makes do not get." },
	{ .path = WORKER "limits.memory",
	        .type = VALUE_SIZE,
	        IN_WORKER(limits.memory),
	        .minimum = 4096,
	        .maximum = UINT64_MAX / 2,
	        .fallback_text = "none",
	        .help = "Memory of its whole tree, by its cgroup." },
	{ .path = WORKER "limits.pids",
	        .type = VALUE_NUMBER,
	        IN_WORKER(limits.pids),
	        .minimum = 1,
	        .maximum = 4194304,
	        .fallback_text = "none",
	        .help = "Processes and threads of its whole tree, by its cgroup." },
	{ .path = WORKER "limits.open_files",
	        .type = VALUE_NUMBER,
	        IN_WORKER(limits.open_files),
	        .minimum = 8,
	        .maximum = 1073741816,
	        .fallback_text = "the daemon's original one",
	        .help = "Open files of each of its processes." },
	{ .path = WORKER "user",
	        .type = VALUE_REFUSED,
	        .help = "one service runs as one user; run a second quiesced.service with User= "
	                "for "
	                "another one" },
};

size_t schema_count(void)
{
	return ARRAY_SIZE(schema) + schema_http_count;
}

const struct schema_key *schema_row(size_t index)
{
	return index < ARRAY_SIZE(schema) ? &schema[index]
	                                  : &schema_http[index - ARRAY_SIZE(schema)];
}

size_t schema_index(const struct schema_key *row)
{
	size_t index = 0;
	while (schema_row(index) != row)
		index++;
	return index;
}

const struct schema_key *schema_find(const char *path)
{
	for (size_t i = 0; i < schema_count(); i++)
		if (strcmp(schema_row(i)->path, path) == 0)
			return schema_row(i);
	return NULL;
}

bool schema_has_section(const char *path)
{
	size_t length = strlen(path);
	for (size_t i = 0; i < schema_count(); i++) {
		const char *known = schema_row(i)->path;
		if (strncmp(known, path, length) == 0 && known[length] == '.')
			return true;
	}
	return false;
}
