/*
 * How a process comes to be. Everything that can fail in us is done before the child is made, and
 * the task is opened last of all, once the child runs its program: what could not be run was never
 * a task. The child has to know the task's id before that, so the id is looked up ahead; nothing
 * else opens a task in between.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/process_members.h"
#include "lib/process_spawn.h"

/* --- the environment --- */

struct own_names {
	char notify[64], task[40], stop_fd[24], watchdog[48];
};

#define OWN_COUNT 4

/* WATCHDOG_PID= is left out: whoever of the tree sends the beats is welcome. */
static bool is_own_name(const char *variable)
{
	static const char *const names[] = { "NOTIFY_SOCKET=", "QUIESCE_STOP_FD=", "QUIESCE_TASK=",
		"WATCHDOG_USEC=", "WATCHDOG_PID=" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* The array is malloc'ed, the strings are borrowed. */
static char **make_environment(const struct qs_process *process,
        const struct qs_process_options *options, struct own_names *own)
{
	size_t count = 0, used = 0;

	while (options->environment[count])
		count++;
	char **result = malloc((count + OWN_COUNT + 1) * sizeof(*result));
	if (!result)
		return NULL;
	snprintf(own->notify, sizeof(own->notify), "NOTIFY_SOCKET=@%s%" PRIu64,
	        process->reaper->notify_prefix, process->id);
	snprintf(own->task, sizeof(own->task), "QUIESCE_TASK=%" PRIu64, process->id);
	snprintf(own->watchdog, sizeof(own->watchdog), "WATCHDOG_USEC=%" PRIu64,
	        options->watchdog / QS_USEC);
	snprintf(own->stop_fd, sizeof(own->stop_fd), "QUIESCE_STOP_FD=%d", CHILD_STOP_FD);
	result[used++] = own->notify;
	result[used++] = own->task;
	result[used++] = own->stop_fd;
	if (options->watchdog > 0)
		result[used++] = own->watchdog;
	for (char *const *variable = options->environment; *variable; variable++)
		if (!is_own_name(*variable))
			result[used++] = *variable;
	result[used] = NULL;
	return result;
}

/* --- the process --- */

static int copy_options(struct qs_process *process, const struct qs_process_options *options)
{
	size_t size = options->stop_success_count * sizeof(*options->stop_success);

	process->stop_signal = options->stop_signal > 0 ? options->stop_signal : SIGTERM;
	process->cancel_signal = options->cancel_signal;
	process->events = options->events;
	process->arg = options->arg;
	if (size == 0)
		return 0;
	process->stop_success = malloc(size);
	if (!process->stop_success)
		return -ENOMEM;
	memcpy(process->stop_success, options->stop_success, size);
	process->stop_success_count = options->stop_success_count;
	return 0;
}

static int make_process(struct qs_reaper *reaper, const struct qs_process_options *options,
        struct qs_process **ret_process)
{
	struct qs_process *process = calloc(1, sizeof(*process));

	if (!process)
		return -ENOMEM;
	process->reaper = reaper;
	process->id = qs_ledger_peek_id(reaper->context->ledger);
	process->leader.is_leader = true;
	process->output.fd = process->notify.fd = process->exit.fd = -1;
	process->input.fd = process->answer.fd = -1;
	process->stop_fd = process->cgroup_watch = -1;
	list_init(&process->in_reaper);
	list_init(&process->in_pending);
	list_init(&process->orphans);
	int r = copy_options(process, options);
	if (r < 0) {
		qs_process_free(process);
		return r;
	}
	*ret_process = process;
	return 0;
}

static int spawn(struct qs_process *process, const struct qs_process_options *options,
        struct qs_spawn *spawn, char *const *environment)
{
	_cleanup_(closep) int cgroup_fd = -1;
	char path[PATH_MAX];
	int r;

	spawn->what = "exec";
	r = qs_spawn_find_program(options->argv[0], environment, path);
	if (r < 0)
		return r;
	spawn->what = "cgroup";
	if (process->reaper->cgroup_fd >= 0) {
		r = qs_cgroup_make(process, &options->limits, &cgroup_fd);
		if (r < 0)
			return r;
	}
	spawn->path = path;
	spawn->argv = options->argv;
	spawn->environment = environment;
	spawn->working_directory = options->working_directory;
	spawn->umask = options->umask;
	spawn->death_signal = process->stop_signal;
	spawn->cgroup_fd = cgroup_fd;
	spawn->wants_pidfd = !process->reaper->subreaper;
	spawn->open_files = options->limits.open_files;
	r = qs_spawn(process->reaper, spawn);
	process->pid = spawn->pid;
	process->exit.fd = spawn->pidfd;
	return r;
}

/* It runs: from here on it has to be ended if anything fails. */
static int enter(struct qs_process *process, struct qs_group *group,
        const struct qs_process_options *options)
{
	struct qs_reaper *reaper = process->reaper;
	int r = 0;

	process->exit.ready = qs_process_exit_ready;
	if (process->exit.fd >= 0)
		r = qs_watch_start(
		        reaper->context->loop, &process->exit, process->exit.fd, QS_READ);
	if (r == 0)
		r = qs_task_init(&process->task, &qs_process_kind, group, &options->task);
	if (r < 0) {
		(void)kill(-process->pid, SIGKILL);
		qs_spawn_wait(process->pid);
		return r;
	}
	atomic_store_explicit(&process->task.record->pid, process->pid, memory_order_release);
	list_append(&reaper->processes, &process->in_reaper);
	qs_reaper_add_child(reaper, &process->leader, process->pid);
	return 0;
}

static void warn(struct qs_process *process, const struct qs_process_limits *limits, bool capped)
{
	char text[128];

	if (!process->events.warning)
		return;
	qs_cgroup_warn(process, limits);
	if (!capped)
		return;
	snprintf(text, sizeof(text), "limits.open_files is %ju: no more are allowed here",
	        (uintmax_t)process->reaper->open_files.rlim_max);
	process->events.warning(process, text, process->arg);
}

static int start(struct qs_process *process, struct qs_group *group,
        const struct qs_process_options *options, const char **ret_what)
{
	struct qs_spawn made = { .pidfd = -1 };
	struct own_names own;
	_cleanup_(freep) char **environment = make_environment(process, options, &own);
	int r = -ENOMEM;

	for (int seat = 0; seat < SEAT_COUNT; seat++)
		made.seats[seat] = -1;
	if (environment)
		r = qs_process_open_io(process, options, made.seats);
	if (r == 0) {
		made.seats[SEAT_EXTRA] = options->extra_fd > 0 ? options->extra_fd : -1;
		r = spawn(process, options, &made, environment);
		*ret_what = r < 0 ? made.what : NULL;
		made.seats[SEAT_EXTRA] = -1; /* it stays the caller's */
	}
	for (int seat = 0; seat < SEAT_COUNT; seat++)
		closep(&made.seats[seat]);
	if (r == 0)
		r = enter(process, group, options);
	if (r == 0)
		warn(process, &options->limits, made.capped);
	return r;
}

int qs_process_start(struct qs_reaper *reaper, struct qs_group *group,
        const struct qs_process_options *options, struct qs_process **ret_process,
        const char **ret_what)
{
	struct qs_process *process = NULL;
	const char *what = NULL;
	int r = qs_group_is_closed(group) ? -ESHUTDOWN : make_process(reaper, options, &process);

	if (r == 0)
		r = start(process, group, options, &what);
	if (ret_what)
		*ret_what = what;
	if (r < 0) {
		qs_process_free(process);
		return r;
	}
	*ret_process = process;
	return 0;
}
