/*
 * What the files behind process.h share. process.c is the life of one tree; process_start.c
 * begins it, and process_spawn.c makes the leader; process_io.c holds its pipes and its notify
 * socket; process_cgroup.c its cgroup; process_orphans.c finds what has left its process group;
 * process_reaper.c hears of exits and looks, at the end of a turn, which trees have become empty.
 */
#ifndef QS_PROCESS_INTERNAL_H
#define QS_PROCESS_INTERNAL_H

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>

#include "lib/process.h"

/* Where a child finds its stop pipe; with 0, 1, 2 and QS_CHILD_EXTRA_FD all that it inherits. */
#define CHILD_STOP_FD  3
#define CHILD_FD_COUNT 5

/* Enough for a few frames and the dynamic linker, should it still have to look a name up. */
#define CHILD_STACK_SIZE (64 * 1024)

/* How much of one child's output is read in one turn. */
#define OUTPUT_PORTION (64 * 1024)

/* A child of ours, found by its pid. */
struct qs_child {
	struct qs_child *next;
	pid_t pid; /* 0: in no table */
	bool is_leader;
};

/* A child that was born further down and came to us when its parent ended. */
struct qs_orphan {
	struct qs_child child;
	struct list in_owner;       /* of its process, or the reaper's strays */
	struct qs_process *process; /* NULL: nobody knows whose it is */
	pid_t group, session;
	uint8_t told;  /* the enum qs_rung that it has been told of */
	uint8_t tries; /* its environment may be readable later: it is in the middle of an execve */
};

struct qs_process {
	struct qs_task task;
	uint64_t id; /* of the task, also after its end */
	struct qs_reaper *reaper;
	struct list in_reaper, in_pending;
	struct list orphans;
	struct qs_child leader;               /* out of the table once it was reaped */
	pid_t pid;                            /* of the leader and of its process group */
	struct qs_watch output, notify, exit; /* their fd is -1 when closed */
	int stop_fd;                          /* -1 once it has been told */
	int cgroup_watch;                     /* of inotify, -1 for none */
	int stop_signal, cancel_signal;
	int *stop_success;
	size_t stop_success_count;
	struct qs_outcome outcome; /* from `exited` on */
	bool exited, announced;
	bool group_gone; /* its process group is empty: the number may belong to another by now */
	bool has_cgroup;
	bool look;                               /* its cgroup may have become empty */
	bool left_told;                          /* who had left its group was told to end */
	bool killing, kill_again, kills_by_hand; /* the last: where no cgroup does it */
	struct qs_process_events events;
	void *arg;
};

struct qs_reaper {
	struct qs_context *context;
	bool subreaper, no_clone3;
	pid_t pid; /* our own */
	int null_fd;
	struct qs_watch child_signal, cgroup_events; /* their fd is -1 for none */
	struct qs_timer timer;
	struct qs_job job;
	struct list processes; /* all that have not ended */
	struct list pending;   /* those of them that have to be looked at */
	struct list strays;
	struct qs_child **children; /* by pid */
	size_t child_slots, child_count;
	size_t undecided;         /* orphans with `tries` left */
	uint64_t scanned_at;      /* the turn of the latest scan for orphans */
	uint64_t retry_at;        /* when dying trees are looked at again, QS_FOREVER for never */
	uint64_t retry_after;     /* the span until the next time */
	bool more_exits;          /* than were heard of in one turn */
	struct rlimit open_files; /* as it was found */
	char notify_prefix[32];   /* of the abstract addresses of our notify sockets */
	char *stack;              /* for a child between clone and execve */
	char *buffer;             /* what was read of a child's output */
	int cgroup_fd;            /* the delegated cgroup, -1 for none */
	char *cgroup_path;        /* the same below the mount */
	bool has_memory, has_pids, controllers_known;
};

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

/* --- process.c --- */

extern const struct qs_task_kind qs_process_kind;

/* Looks whether it has come to its end. `scanned`: all its orphans are known. It may be freed. */
void qs_process_look(struct qs_process *process, bool scanned);
void qs_process_set_exited(struct qs_process *process, int code, int status);
void qs_process_exit_ready(struct qs_watch *watch, unsigned what);

/* --- process_spawn.c --- */

struct qs_spawn {
	const char *path;
	char *const *argv, *const *environment;
	const char *working_directory;
	int umask;
	int death_signal;
	int output_fd,
	        stop_fd; /* the child's ends, like all its descriptors CHILD_FD_COUNT or higher */
	int extra_fd;    /* below 0: none */
	int cgroup_fd;   /* a directory, -1 for none */
	bool wants_pidfd;
	uint64_t open_files; /* 0: as the reaper found it */
	/* Filled in, also by the child: */
	pid_t pid;
	int pidfd;
	int error;        /* what went wrong before or in execve */
	const char *what; /* ... while this was being done */
	bool capped;      /* `open_files` was too much */
};

/* Returns after execve. On failure nothing is left of the child, and `what` says what failed. */
QS_MUST_CHECK int qs_spawn(struct qs_reaper *reaper, struct qs_spawn *spawn);

QS_MUST_CHECK int qs_spawn_find_program(
        const char *name, char *const *environment, char ret_path[static PATH_MAX]);

/* Waits for a child that is certain to end. */
void qs_spawn_wait(pid_t pid);

/* --- process_io.c --- */

/* Moves a descriptor out of the way of those that a child gets. */
QS_MUST_CHECK int qs_lift_fd(int *fd);

/* Opens our ends, which qs_process_close_io closes, and the child's. Failing it may have some. */
QS_MUST_CHECK int qs_process_open_io(
        struct qs_process *process, int *ret_output_fd, int *ret_stop_fd);
void qs_process_close_io(struct qs_process *process);

/* Reads what is there now; never waits for an end. */
void qs_process_drain(struct qs_process *process);

/* One line on its stop pipe, and the end of it. */
void qs_process_tell_stop(struct qs_process *process);

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

struct qs_pids {
	pid_t *items;
	size_t count, capacity;
};

static inline void qs_pids_done(struct qs_pids *pids)
{
	free(pids->items);
}

/* Without memory, or beyond any sane number, it is dropped: whoever collects looks again. */
void qs_pids_add(struct qs_pids *pids, pid_t pid);
void qs_pids_signal(const struct qs_pids *pids, int signo);

void qs_pids_of_children(struct qs_pids *pids, pid_t pid);
void qs_pids_of_cgroup(struct qs_pids *pids, const struct qs_process *process);

/* Adds all descendants of those that are in it. */
void qs_pids_add_descendants(struct qs_pids *pids);

/* Everything of a tree that can be found, its leader first while that lives. */
void qs_pids_of_tree(struct qs_pids *pids, const struct qs_process *process);

/* Learns of the orphans that have come to us, and whose they are. */
void qs_orphans_scan(struct qs_reaper *reaper);
void qs_orphan_free(struct qs_reaper *reaper, struct qs_orphan *orphan);

/* --- process_reaper.c --- */

/* Has the process looked at, at the end of this turn. */
void qs_reaper_look_at(struct qs_process *process);
void qs_reaper_add_child(struct qs_reaper *reaper, struct qs_child *child, pid_t pid);
void qs_reaper_remove_child(struct qs_reaper *reaper, struct qs_child *child);
struct qs_child *qs_reaper_find_child(const struct qs_reaper *reaper, pid_t pid);

/* Learns of all orphans, unless that was done in this turn. */
void qs_reaper_scan(struct qs_reaper *reaper);

/* Waits for what has ended, without waiting for what has not. */
void qs_reaper_reap(struct qs_reaper *reaper);

#endif
