/* Making a child: from a path, an environment and descriptors to a program that runs. */
#ifndef QS_PROCESS_SPAWN_H
#define QS_PROCESS_SPAWN_H

#include <limits.h>

#include "lib/process_internal.h"

struct qs_spawn {
	const char *path;
	char *const *argv, *const *environment;
	const char *working_directory;
	int umask;
	int death_signal;
	int seats[SEAT_COUNT]; /* the child's ends, whatever their numbers; below 0: none */
	int cgroup_fd;         /* a directory, -1 for none */
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

#endif
