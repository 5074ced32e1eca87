/*
 * A process task: a child and its whole tree. It ends when the tree is empty, not when its leader
 * is gone. Ask: the stop signal to its process group, one line and EOF on its stop pipe. Cancel: a
 * second signal if one is configured. Kill: cgroup.kill where a cgroup was delegated, else SIGKILL
 * to the process group and to every descendant found.
 *
 * A leader that leaves its tree behind: what is left gets the task's own ladder at once.
 */
#ifndef QS_PROCESS_H
#define QS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <quiesce/words.h>

#include "lib/group.h"
#include "lib/task.h"

struct qs_process;
struct qs_reaper;

/* Where a child finds a further descriptor, if it is given one. */
#define QS_CHILD_EXTRA_FD 4

/* Resource limits of a tree; 0: none. */
struct qs_process_limits {
	uint64_t memory;     /* bytes, by cgroup */
	uint64_t pids;       /* by cgroup */
	uint64_t open_files; /* RLIMIT_NOFILE of each process; 0: the daemon's original one */
};

/*
 * What the tree says and does, all in the loop's thread. Any may be NULL. None may free the
 * process; all may push it up the ladder.
 */
struct qs_process_events {
	/* Bytes of its standard output and error (one pipe, so that their order holds); of its
	 * standard error alone if there is an `answer`. Not NUL-ended. */
	void (*output)(struct qs_process *process, const char *data, size_t size, void *arg);
	/* One datagram of the systemd notify protocol from a process with the right uid. */
	void (*notify)(struct qs_process *process, const char *message, size_t size, pid_t sender,
	        void *arg);
	/* The leader is gone; something of its tree may live on. */
	void (*leader_exited)(struct qs_process *process, struct qs_outcome outcome, void *arg);
	/* Bytes of its standard output alone, a portion a turn. A negative errno: no more of it
	 * is wanted, and who goes on writing gets SIGPIPE. */
	int (*answer)(struct qs_process *process, const char *data, size_t size, void *arg);
	/* A limit could not be enforced here, for people: "limits.memory: no memory controller". */
	void (*warning)(struct qs_process *process, const char *text, void *arg);
};

struct qs_process_options {
	struct qs_task_setup task; /* `ended` of its terms gets the qs_task inside the process; then
	                              qs_process_free */
	char *const *argv;         /* argv[0] is looked up in PATH */
	char *const
	        *environment; /* the whole of it, NULL-ended; the process adds its own four names */
	const char *working_directory; /* NULL: the daemon's */
	int umask;                     /* below 0: the daemon's */
	int stop_signal;               /* 0: SIGTERM */
	int cancel_signal;             /* 0: none */
	const int *stop_success;       /* exit statuses that are a good end after an ask */
	size_t stop_success_count;
	uint64_t watchdog; /* ns, told as WATCHDOG_USEC; 0: none */
	const void *input; /* what it reads on its standard input, then EOF; NULL: /dev/null */
	size_t input_size;
	int extra_fd; /* the child finds a duplicate of it as QS_CHILD_EXTRA_FD; 0: none */
	struct qs_process_limits limits;
	struct qs_process_events events;
	void *arg; /* for `events` */
};

/*
 * Starts it. Returns after the child has called execve: a program that cannot be run is this
 * function's error (-ENOENT, -EACCES, -ENOEXEC, -E2BIG, …; -ENOTDIR and the like for the working
 * directory), with *ret_what (static string, may be NULL) saying what was being done. Then no task
 * was ever opened. -ENOMEM, -EMFILE, -EAGAIN, -ESHUTDOWN as well. All options are copied or used
 * up.
 */
QS_MUST_CHECK int qs_process_start(struct qs_reaper *reaper, struct qs_group *group,
        const struct qs_process_options *options, struct qs_process **ret_process,
        const char **ret_what);

/* Only after it has ended (or was abandoned). */
void qs_process_free(struct qs_process *process);

struct qs_task *qs_process_task(struct qs_process *process);
struct qs_process *qs_process_of_task(struct qs_task *task);
pid_t qs_process_pid(const struct qs_process *process);
/* NULL before; valid from leader_exited on. */
const struct qs_outcome *qs_process_leader_outcome(const struct qs_process *process);

/*
 * The reaper knows the trees of one loop. With `subreaper` it makes the whole calling process a
 * child subreaper, waits for every child there is (P_ALL) and finds orphans by their session,
 * ancestry and QUIESCE_TASK; that is a daemon's right only: a library does not steal its host's
 * children. Without, trees are process groups. `uses_cgroups`: trees live in cgroups of their own
 * below the one that systemd delegated, after the daemon has moved itself into a leaf.
 */
struct qs_reaper_options {
	bool subreaper;
	bool no_cgroups; /* do not look for a delegated cgroup */
	bool no_clone3;  /* as where RestrictNamespaces= refuses it: clone with CLONE_PIDFD */
};

/*
 * -ENOMEM, -EMFILE, and what prctl, signalfd or cgroupfs answer. Block SIGCHLD in every thread
 * before (with `subreaper`). Raise RLIMIT_NOFILE after: children get the limit found here.
 */
QS_MUST_CHECK int qs_reaper_new(struct qs_context *context, const struct qs_reaper_options *options,
        struct qs_reaper **ret_reaper);
void qs_reaper_free(struct qs_reaper *reaper);

/* The path of the delegated cgroup below the cgroup mount, NULL where there is none. */
const char *qs_reaper_cgroup(const struct qs_reaper *reaper);

/*
 * With `subreaper`, at the end of everything: kills whatever is below the process until waitid says
 * ECHILD or `deadline` (absolute) has passed. Returns the number of processes that were found and
 * killed, -ETIMEDOUT if some are left.
 */
QS_MUST_CHECK int qs_reaper_sweep(struct qs_reaper *reaper, uint64_t deadline);

#endif
