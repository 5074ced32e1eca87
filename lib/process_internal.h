/*
 * What the files behind process.h share. process.c is the life of one tree; process_start.c
 * begins it, and process_spawn.c makes the leader; process_io.c holds its pipes and its notify
 * socket, process_input.c what it is given to read; process_cgroup.c its cgroup; process_orphans.c
 * finds what has left its process group; process_reaper.c hears of exits and looks, at the end of a
 * turn, which trees have become empty.
 */
#ifndef QS_PROCESS_INTERNAL_H
#define QS_PROCESS_INTERNAL_H

#include <sys/resource.h>

#include "lib/process.h"

/* Where a child finds its stop pipe; with 0, 1, 2 and QS_CHILD_EXTRA_FD all that it inherits. */
#define CHILD_STOP_FD  3
#define CHILD_FD_COUNT 5

/* SEAT_ANSWER: standard output alone; who has none uses SEAT_OUTPUT for it too. */
enum { SEAT_INPUT, SEAT_ANSWER, SEAT_OUTPUT, SEAT_STOP, SEAT_EXTRA, SEAT_COUNT };

/* Enough for a few frames and the dynamic linker, should it still have to look a name up. */
#define CHILD_STACK_SIZE (64 * 1024)

/* How much of one child's output is read in one turn. */
#define OUTPUT_PORTION (64 * 1024)

struct qs_pids {
	pid_t *items;
	size_t count, capacity;
};

/* A child of ours, found by its pid. */
struct qs_child {
	struct qs_child *next;
	pid_t pid; /* 0: in no table */
	bool is_leader;
};

/* A child that was born further down and came to us when its parent ended. */
struct qs_orphan {
	struct qs_child child;
	struct list in_owner; /* of its process, or the reaper's strays: nobody knows whose it is */
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
	struct qs_pids known;   /* what was below its leader when it was told to end */
	struct qs_child leader; /* out of the table once it was reaped */
	pid_t pid;              /* of the leader and of its process group */
	struct qs_watch output, notify, exit; /* their fd is -1 when closed */
	struct qs_watch input, answer;        /* likewise */
	char *unread;                         /* of its input: what the pipe had no room for */
	size_t unread_size, unread_done;
	int stop_fd;      /* -1 once it has been told */
	int cgroup_watch; /* of inotify, -1 for none */
	int stop_signal, cancel_signal;
	int *stop_success;
	size_t stop_success_count;
	struct qs_outcome outcome; /* from `exited` on */
	bool exited, announced;
	bool group_gone; /* its process group is empty: the number may belong to another by now */
	bool has_cgroup;
	bool look;      /* its cgroup may have become empty */
	uint8_t doubts; /* scans in a row that found nothing of it but were doubtful */
	bool left_told; /* who had left its group was told to end */
	bool killing, kill_again, kills_by_hand; /* the last: where no cgroup does it */
	struct qs_process_events events;
	void *arg;
};

struct qs_reaper {
	struct qs_context *context;
	bool subreaper, no_clone3;
	pid_t pid; /* our own */
	int null_fd;
	int seats[SEAT_COUNT]; /* low descriptors for a child's ends while it is made; see spawn */
	struct qs_watch child_signal, cgroup_events; /* their fd is -1 for none */
	struct qs_timer timer;
	struct qs_job job;
	struct list processes; /* all that have not ended */
	struct list pending;   /* those of them that have to be looked at */
	struct list strays;
	struct qs_child **children; /* by pid */
	size_t child_slots, child_count;
	size_t undecided;         /* orphans with `tries` left */
	bool doubtful;            /* the latest scan came across a zombie */
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

/* --- process.c --- */

extern const struct qs_task_kind qs_process_kind;

/* What is known of the orphans at the end of a turn. */
enum scan {
	SCAN_NONE,     /* nothing new, the latest scan is too old */
	SCAN_DOUBTFUL, /* one may have been missed, since another ended meanwhile */
	SCAN_COMPLETE
};

/* Looks whether it has come to its end. It may be freed by that. */
void qs_process_look(struct qs_process *process, enum scan scan);
void qs_process_set_exited(struct qs_process *process, int code, int status);
void qs_process_exit_ready(struct qs_watch *watch, unsigned what);

/* --- process_io.c --- */

/* Moves a descriptor out of the way of those that a child gets. */
QS_MUST_CHECK int qs_lift_fd(int *fd);

/* Opens our ends, which qs_process_close_io closes, and the child's, by their seats: -1 for none.
 * Failing it may have some. */
QS_MUST_CHECK int qs_process_open_io(struct qs_process *process,
        const struct qs_process_options *options, int ret_seats[SEAT_COUNT]);
void qs_process_close_io(struct qs_process *process);

/* Reads what is there now; never waits for an end. */
void qs_process_drain(struct qs_process *process);

/* One line on its stop pipe, and the end of it. */
void qs_process_tell_stop(struct qs_process *process);

/* Like write, without a SIGPIPE: -EPIPE. */
QS_MUST_CHECK ssize_t qs_write_quietly(int fd, const char *data, size_t size);

/* --- process_input.c --- */

QS_MUST_CHECK int qs_process_open_input(
        struct qs_process *process, const void *input, size_t size, int *ret_fd);
void qs_process_close_input(struct qs_process *process);

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
