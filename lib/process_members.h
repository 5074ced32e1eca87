/* What a tree consists of: the processes of a cgroup, or what can be found of it in /proc. */
#ifndef QS_PROCESS_MEMBERS_H
#define QS_PROCESS_MEMBERS_H

#include <dirent.h>
#include <stdio.h>

#include "lib/process_internal.h"

static inline void fclosep(FILE **file)
{
	if (*file)
		(void)fclose(*file);
}

static inline void closedirp(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory);
}

/* --- process_cgroup.c --- */

/* Finds the delegated cgroup and moves this process into a leaf of it. 0 also without one. */
QS_MUST_CHECK int qs_cgroup_open(struct qs_reaper *reaper);
void qs_cgroup_close(struct qs_reaper *reaper);

/* Makes the cgroup of a tree, with its limits. Gives a descriptor for qs_spawn. */
QS_MUST_CHECK int qs_cgroup_make(
        struct qs_process *process, const struct qs_process_limits *limits, int *ret_fd);
void qs_cgroup_remove(struct qs_process *process);
void qs_cgroup_warn(struct qs_process *process, const struct qs_process_limits *limits);
QS_MUST_CHECK int qs_cgroup_is_empty(const struct qs_process *process); /* 1, 0 or an error */
void qs_cgroup_watch(struct qs_process *process); /* from now on `look` is set when it is */
bool qs_cgroup_ran_out_of_memory(const struct qs_process *process);
QS_MUST_CHECK int qs_cgroup_kill(const struct qs_process *process);

/* Kills what is left in the cgroups of trees, and removes those that are empty. */
void qs_cgroup_sweep(struct qs_reaper *reaper);

/* --- process_orphans.c --- */

static inline void qs_pids_done(struct qs_pids *pids)
{
	free(pids->items);
}

/* Without memory, or beyond any sane number, it is dropped: whoever collects looks again. */
void qs_pids_add(struct qs_pids *pids, pid_t pid);
bool qs_pids_contain(const struct qs_pids *pids, pid_t pid);
void qs_pids_signal(const struct qs_pids *pids, int signo);

void qs_pids_of_children(struct qs_pids *pids, pid_t pid);
void qs_pids_of_cgroup(struct qs_pids *pids, const struct qs_process *process);

/* Adds all descendants of those that are in it. */
void qs_pids_add_descendants(struct qs_pids *pids);

/* Everything of a tree that can be found, its leader first while that lives. */
void qs_pids_of_tree(struct qs_pids *pids, const struct qs_process *process);

/* Whether somebody of that process group runs. Zombies do not; if nobody can say, somebody does. */
bool qs_process_group_runs(pid_t group);

/* Learns of the orphans that have come to us, and whose they are. */
void qs_orphans_scan(struct qs_reaper *reaper);
void qs_orphan_free(struct qs_reaper *reaper, struct qs_orphan *orphan);

#endif
