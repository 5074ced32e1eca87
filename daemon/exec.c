/* Workers of kind `exec`: a process tree, its output by line, and what it says over its notify
 * socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/exec.h"
#include "daemon/fleet.h"
#include "daemon/fold.h"
#include "daemon/module.h"
#include "lib/notify_message.h"
#include "lib/process.h"

/* What concerns the daemon alone is not for its children. */
static bool is_private(const char *variable)
{
	static const char *const names[] = { "NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_",
		"CREDENTIALS_DIRECTORY=", "JOURNAL_STREAM=", "INVOCATION_ID=", "STATE_DIRECTORY=" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static bool same_name(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");

	return strncmp(a, b, length) == 0 && b[length] == '=';
}

static bool overridden(const char *variable, char *const *by)
{
	for (; *by; by++)
		if (same_name(variable, *by))
			return true;
	return false;
}

char **exec_environment(char *const *own)
{
	size_t count = 0, used = 0;

	for (char **variable = environ; *variable; variable++)
		count++;
	for (char *const *variable = own; *variable; variable++)
		count++;
	char **result = calloc(count + 1, sizeof(*result));
	if (!result)
		return NULL;
	for (char **variable = environ; *variable; variable++)
		if (!is_private(*variable) && !overridden(*variable, own))
			result[used++] = *variable;
	for (char *const *variable = own; *variable; variable++)
		result[used++] = *variable;
	return result;
}

static void on_line(const char *line, size_t length, void *arg)
{
	struct exec_run *run = arg;

	worker_note_line(run->run.worker, qs_task_id(run->run.task), line, length);
}

static void on_output(struct qs_process *process _unused_, const char *data, size_t size, void *arg)
{
	struct exec_run *run = arg;

	if (!run->reader && line_reader_new(run->run.worker->fleet->config->log_max_line, on_line,
	                            run, &run->reader) < 0)
		return;
	line_reader_feed(run->reader, data, size);
}

static void on_notify(struct qs_process *process _unused_, const char *data, size_t size,
        pid_t sender _unused_, void *arg)
{
	struct worker *worker = ((struct exec_run *)arg)->run.worker;
	struct qs_notify_message message;

	if (qs_notify_message_parse(data, size, &message) < 0)
		return;
	if (message.has_status)
		worker_note_status(worker, message.status);
	if (message.ready)
		worker_note_ready(worker);
	if (message.watchdog)
		worker_note_beat(worker);
	if (message.extend_timeout)
		worker_note_extend(worker, message.extend_timeout);
}

static void on_warning(struct qs_process *process _unused_, const char *text, void *arg)
{
	const struct worker *worker = ((struct exec_run *)arg)->run.worker;

	log_event(LOG_LEVEL_WARNING, &(struct log_fields){ .worker = worker->config->name }, "%s",
	        text);
}

static void on_pushed(struct qs_task *task, enum qs_rung rung, void *arg)
{
	struct exec_run *run = arg;

	worker_note_pushed(run->run.worker, rung, qs_task_cause(task));
}

static void free_run(struct exec_run *run)
{
	module_link_free(run->link);
	line_reader_free(run->reader);
	qs_process_free(run->process);
	free(run);
}

void exec_free(struct run *run)
{
	free_run(exec_run_of(run));
}

static void on_ended(struct qs_task *task _unused_, enum qs_verdict verdict, void *arg)
{
	struct exec_run *run = arg;
	struct worker *worker = run->run.worker;
	const struct qs_outcome *outcome = qs_process_leader_outcome(run->process);

	if (run->reader)
		line_reader_finish(run->reader);
	if (outcome)
		qs_outcome_describe(*outcome, worker->detail, sizeof(worker->detail));
	if (run->link)
		module_link_end(run->link, verdict);
	free_run(run);
	worker_note_ended(worker, verdict);
}

struct qs_process_options exec_options(const struct worker_config *config)
{
	return (struct qs_process_options){
		.working_directory = config->working_directory,
		.umask = config->umask,
		.stop_signal = config->stop_signal,
		.cancel_signal = config->cancel_signal,
		.stop_success = config->stop_success,
		.stop_success_count = config->stop_success_count,
		.limits = config->limits,
	};
}

static int start_process(struct worker *worker, struct exec_run *run, const struct exec_plan *plan,
        char **environment)
{
	const struct worker_config *config = worker->config;
	const char *what = NULL;

	struct qs_process_options options = exec_options(config);

	run->terms = (struct qs_task_terms){
		.ladder = worker_ladder(worker), .pushed = on_pushed, .ended = on_ended
	};
	options.task = (struct qs_task_setup){
		.name = config->name, .owner = worker->owner, .terms = &run->terms, .arg = run
	};
	options.argv = plan->argv;
	options.environment = environment;
	options.watchdog = config->heartbeat;
	options.extra_fd = plan->extra_fd;
	options.events = (struct qs_process_events){
		.output = on_output, .notify = on_notify, .warning = on_warning
	};
	options.arg = run;
	int r = qs_process_start(
	        worker->fleet->reaper, &worker->group, &options, &run->process, &what);
	if (r < 0)
		snprintf(worker->detail, sizeof(worker->detail), "cannot start %s: %s%s%s",
		        plan->argv[0], what ? what : "", what ? ": " : "", strerror(-r));
	return r;
}

int exec_launch(struct worker *worker, const struct exec_plan *plan, struct exec_run **ret_run)
{
	_cleanup_(freep) char **environment = exec_environment(plan->environment);
	struct exec_run *run = calloc(1, sizeof(*run));
	int r = -ENOMEM;

	if (run && environment) {
		run->run.worker = worker;
		r = start_process(worker, run, plan, environment);
	} else {
		snprintf(worker->detail, sizeof(worker->detail), "cannot start: out of memory");
	}
	if (r < 0) {
		free(run);
		return r;
	}
	run->run.task = qs_process_task(run->process);
	run->run.pid = qs_process_pid(run->process);
	*ret_run = run;
	return 0;
}

static int exec_start(struct worker *worker, struct run **ret_run)
{
	const struct exec_plan plan = { .argv = worker->config->exec,
		.environment = worker->config->environment };

	struct exec_run *run;
	int r = exec_launch(worker, &plan, &run);

	if (r == 0)
		*ret_run = &run->run;
	return r;
}

const struct work exec_work = {
	.name = "exec",
	.start = exec_start,
	.free = exec_free,
};
