/*
 * The life of one process tree: its rungs, and its end, which is the meeting of three things in any
 * order: the leader was waited for, nothing of the tree is left, and what lay in its
 * pipe was read. It is looked for at the end of a turn only, so no callback ends a tree under the
 * feet of another.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/process_internal.h"
#include "lib/process_members.h"

/* How often a tree is stopped and looked through before it is killed as far as it is known. */
#define FREEZE_ROUNDS 8

/*
 * After so many doubtful scans what was missed is another tree's: of one's own something would have
 * been found in that time, and the one must not be kept waiting by the other.
 */
#define DOUBTS_MAX 64

struct qs_task *qs_process_task(struct qs_process *process)
{
	return &process->task;
}

struct qs_process *qs_process_of_task(struct qs_task *task)
{
	return container_of(task, struct qs_process, task);
}

pid_t qs_process_pid(const struct qs_process *process)
{
	return process->pid;
}

const struct qs_outcome *qs_process_leader_outcome(const struct qs_process *process)
{
	return process->announced ? &process->outcome : NULL;
}

/* --- ask and cancel --- */

static void signal_group(const struct qs_process *process, int signo)
{
	if (!process->group_gone)
		(void)kill(-process->pid, signo);
}

/* Who was stopped hears nothing before it goes on. */
static void signal_one(pid_t pid, int signo)
{
	(void)kill(pid, signo);
	(void)kill(pid, SIGCONT);
}

static int signal_of_rung(const struct qs_process *process, enum qs_rung rung, bool first)
{
	if (rung >= QS_RUNG_CANCEL && process->cancel_signal > 0)
		return process->cancel_signal;
	return first ? process->stop_signal : 0;
}

static void tell_orphans(struct qs_process *process, enum qs_rung rung, bool group_was_told)
{
	list_for_each (node, &process->orphans) {
		struct qs_orphan *orphan = list_entry(node, struct qs_orphan, in_owner);
		int signo = signal_of_rung(process, rung, orphan->told == QS_RUNG_NONE);
		if (orphan->told >= rung)
			continue;
		orphan->told = (uint8_t)rung;
		if (signo > 0 && !(group_was_told && orphan->group == process->pid))
			signal_one(orphan->child.pid, signo);
	}
}

static void tell_cgroup(const struct qs_process *process, int signo)
{
	_cleanup_(qs_pids_done) struct qs_pids pids = { 0 };

	qs_pids_of_cgroup(&pids, process);
	for (size_t i = 0; i < pids.count; i++)
		if (getpgid(pids.items[i]) != process->pid)
			signal_one(pids.items[i], signo);
}

static void tell_group(const struct qs_process *process, int signo)
{
	signal_group(process, signo);
	signal_group(process, SIGCONT);
}

/* Outside of its process group too, once there is no leader to see to them. */
static void tell(struct qs_process *process, int signo)
{
	tell_group(process, signo);
	if (!process->exited)
		return;
	process->left_told = true;
	if (process->has_cgroup)
		tell_cgroup(process, signo);
	else
		tell_orphans(process, qs_task_rung(&process->task), true);
}

/*
 * Who will lose its ancestors may show nothing of where it came from. While they live, it is still
 * to be seen.
 */
static void remember_tree(struct qs_process *process)
{
	if (process->reaper->subreaper && !process->has_cgroup && !process->exited)
		qs_pids_of_tree(&process->known, process);
}

static void process_ask(struct qs_task *task)
{
	struct qs_process *process = qs_process_of_task(task);

	remember_tree(process);
	qs_process_tell_stop(process);
	tell(process, process->stop_signal);
}

static void process_cancel(struct qs_task *task)
{
	struct qs_process *process = qs_process_of_task(task);

	if (process->cancel_signal > 0)
		tell(process, process->cancel_signal);
}

/*
 * The leader is gone and something is left. Even if that was told with the leader it is told once
 * more: a shell that was about to fork when the signal came has left a child that never heard it.
 */
static void press_on(struct qs_process *process)
{
	enum qs_rung rung = qs_task_rung(&process->task);

	if (rung == QS_RUNG_NONE)
		qs_task_ask(&process->task, QS_CAUSE_LEADER_EXIT, QS_FOREVER);
	else if (process->killing)
		return;
	else if (!process->left_told)
		tell(process, signal_of_rung(process, rung, true));
	else
		tell_orphans(process, rung, false);
}

/* --- kill --- */

static bool has_left_group(const struct qs_pids *pids, pid_t group)
{
	for (size_t i = 0; i < pids->count; i++) {
		pid_t present = getpgid(pids->items[i]);
		if (present >= 0 && present != group)
			return true;
	}
	return false;
}

/* Again and again until nothing new is found: what is stopped forks no more. */
static void freeze(struct qs_pids *pids, const struct qs_process *process)
{
	for (unsigned round = 0; round < FREEZE_ROUNDS; round++) {
		size_t known = pids->count;
		qs_pids_signal(pids, SIGSTOP);
		pids->count = 0;
		qs_pids_of_tree(pids, process);
		if (pids->count <= known)
			break;
	}
}

/*
 * A process group dies in one piece. Whoever has left it is harder to find once it has lost its
 * parent, so such a tree is stopped before it is killed.
 */
static void kill_by_hand(struct qs_process *process)
{
	_cleanup_(qs_pids_done) struct qs_pids pids = { 0 };

	qs_pids_of_tree(&pids, process);
	if (has_left_group(&pids, process->pid))
		freeze(&pids, process);
	signal_group(process, SIGKILL);
	for (size_t i = 0; i < pids.count; i++) {
		if (!process->group_gone && getpgid(pids.items[i]) == process->pid)
			continue;
		(void)kill(pids.items[i], SIGKILL);
		if (!qs_pids_contain(&process->known, pids.items[i]))
			qs_pids_add(&process->known, pids.items[i]);
	}
}

static void kill_tree(struct qs_process *process)
{
	process->kill_again = false;
	process->kills_by_hand = !process->has_cgroup || qs_cgroup_kill(process) < 0;
	if (process->kills_by_hand)
		kill_by_hand(process);
}

static void process_kill(struct qs_task *task)
{
	struct qs_process *process = qs_process_of_task(task);

	process->killing = true;
	if (!process->has_cgroup)
		qs_reaper_scan(process->reaper);
	kill_tree(process);
	qs_reaper_look_at(process);
}

/* --- describe --- */

static void read_name(pid_t pid, char *name, size_t size)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, name, size - 1);
	name[MAX(length, 0)] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

static void process_describe(const struct qs_task *task, char *buffer, size_t size)
{
	const struct qs_process *process = container_of(task, const struct qs_process, task);
	_cleanup_(qs_pids_done) struct qs_pids pids = { 0 };
	char name[32];

	qs_pids_of_tree(&pids, process);
	if (pids.count == 0) {
		snprintf(buffer, size, "process group %d", (int)process->pid);
		return;
	}
	pid_t first = process->exited ? pids.items[0] : process->pid;
	read_name(first, name, sizeof(name));
	if (pids.count == 1)
		snprintf(buffer, size, "pid %d (%s)", (int)first, name);
	else
		snprintf(
		        buffer, size, "pid %d (%s) and %zu more", (int)first, name, pids.count - 1);
}

const struct qs_task_kind qs_process_kind = {
	.id = QS_KIND_PROCESS,
	.ask = process_ask,
	.cancel = process_cancel,
	.kill = process_kill,
	.describe = process_describe,
};

/* --- the end --- */

void qs_process_set_exited(struct qs_process *process, int code, int status)
{
	process->exited = process->look = true;
	process->outcome = (struct qs_outcome){
		.type = code == CLD_EXITED ? QS_OUTCOME_EXIT : QS_OUTCOME_SIGNAL,
		.value = status,
		.core_dumped = code == CLD_DUMPED,
	};
	qs_reaper_look_at(process);
}

/* Without a subreaper. Somebody else in this process may have waited for our child: so be it. */
void qs_process_exit_ready(struct qs_watch *watch, unsigned what _unused_)
{
	struct qs_process *process = container_of(watch, struct qs_process, exit);
	siginfo_t info = { 0 };

	if (waitid(P_PIDFD, (id_t)watch->fd, &info, WEXITED | WNOHANG) < 0) {
		if (errno == EINTR)
			return;
		qs_process_set_exited(process, CLD_EXITED, 0);
		process->outcome =
		        (struct qs_outcome){ .type = QS_OUTCOME_RETURN, .value = -ECHILD };
	} else if (info.si_pid != 0) {
		qs_process_set_exited(process, info.si_code, info.si_status);
	} else {
		return;
	}
	qs_watch_stop(watch);
}

static void announce(struct qs_process *process)
{
	struct qs_loop *loop = process->reaper->context->loop;
	bool well = process->outcome.type == QS_OUTCOME_EXIT && process->outcome.value == 0;

	process->announced = true;
	if (process->has_cgroup && !well)
		process->outcome.out_of_memory = qs_cgroup_ran_out_of_memory(process);
	qs_process_drain(process);
	if (!process->events.leader_exited)
		return;
	uint64_t before = qs_loop_hold(loop, process->id);
	process->events.leader_exited(process, process->outcome, process->arg);
	(void)qs_loop_hold(loop, before);
}

enum left { LEFT_NOTHING, LEFT_SOMETHING, LEFT_UNKNOWN };

/* The watch comes first, then another look: what happened in between is seen by one of both. */
static enum left look_into_cgroup(struct qs_process *process)
{
	if (!process->look)
		return LEFT_SOMETHING;
	int empty = qs_cgroup_is_empty(process);
	if (empty == 0 && process->cgroup_watch < 0) {
		qs_cgroup_watch(process);
		empty = qs_cgroup_is_empty(process);
	}
	process->look = empty < 0 || process->cgroup_watch < 0;
	return empty < 0 ? LEFT_UNKNOWN : empty ? LEFT_NOTHING : LEFT_SOMETHING;
}

/*
 * Orphans of a guest are for somebody else to reap, the first process of a container perhaps, which
 * does so late or never: a group of zombies is gone.
 */
static bool is_group_gone(const struct qs_process *process)
{
	if (kill(-process->pid, 0) < 0)
		return errno == ESRCH;
	return process->exited && !process->reaper->subreaper &&
	       !qs_process_group_runs(process->pid);
}

static enum left look_for_rest(struct qs_process *process, enum scan scan)
{
	if (process->has_cgroup)
		return look_into_cgroup(process);
	if (!process->group_gone && is_group_gone(process))
		process->group_gone = true;
	if (!process->group_gone || !list_empty(&process->orphans)) {
		process->doubts = 0;
		return LEFT_SOMETHING;
	}
	if (scan == SCAN_DOUBTFUL && ++process->doubts >= DOUBTS_MAX)
		return LEFT_NOTHING;
	return scan == SCAN_COMPLETE ? LEFT_NOTHING : LEFT_UNKNOWN;
}

static bool is_well_when_asked(const struct qs_process *process)
{
	const struct qs_outcome *outcome = &process->outcome;

	if (outcome->type == QS_OUTCOME_SIGNAL)
		return outcome->value == process->stop_signal;
	if (outcome->type != QS_OUTCOME_EXIT)
		return false;
	for (size_t i = 0; i < process->stop_success_count; i++)
		if (process->stop_success[i] == outcome->value)
			return true;
	return outcome->value == 0 || outcome->value == 128 + process->stop_signal;
}

/* Takes it out of everything but its task and the memory. In the mirror order of its start. */
static void retire(struct qs_process *process)
{
	list_for_each (node, &process->orphans)
		qs_orphan_free(process->reaper, list_entry(node, struct qs_orphan, in_owner));
	qs_reaper_remove_child(process->reaper, &process->leader);
	list_remove(&process->in_pending);
	list_remove(&process->in_reaper);
	qs_cgroup_remove(process);
	qs_process_close_io(process);
}

static void end(struct qs_process *process)
{
	struct qs_outcome outcome = process->outcome;
	bool well = outcome.type == QS_OUTCOME_EXIT && outcome.value == 0;

	qs_process_drain(process);
	retire(process);
	/* It may be freed in there. */
	qs_task_end(&process->task, outcome, well, is_well_when_asked(process));
}

void qs_process_look(struct qs_process *process, enum scan scan)
{
	/* Abandoned: its owner frees it. */
	if (!process->task.record) {
		list_remove(&process->in_pending);
		return;
	}
	if (process->exited && !process->announced)
		announce(process);
	if (process->exited) {
		enum left left = look_for_rest(process, scan);
		if (left == LEFT_NOTHING) {
			end(process);
			return;
		}
		if (left == LEFT_SOMETHING)
			press_on(process);
	}
	if (process->kill_again)
		kill_tree(process);
}

void qs_process_free(struct qs_process *process)
{
	if (!process)
		return;
	retire(process);
	qs_pids_done(&process->known);
	free(process->stop_success);
	free(process);
}
