/*
 * The state directory: locked by one daemon at a time, holds the last report and the marker of the
 * present run, by which the next start finds out about a run that ended without a report.
 */
#ifndef QUIESCED_STATE_H
#define QUIESCED_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>

struct state {
	int directory_fd; /* -1: none */
	int lock_fd;
};

/*
 * Opens (and makes, 0755, parents too) and locks it. -EWOULDBLOCK: another daemon has it;
 * -EACCES, -ENOSPC, … as the system says.
 */
QS_MUST_CHECK int state_open(struct state *state, const char *path);
void state_close(struct state *state);

/*
 * If a marker of an earlier run is there, writes a report with "unclean": true from what it says.
 * Returns 1 then, 0 otherwise. `ret_pid` and `ret_started_usec` tell of that run.
 */
QS_MUST_CHECK int state_find_unclean(
        struct state *state, int64_t *ret_pid, uint64_t *ret_started_usec);

/* Marks this run as begun / as over with its report written. */
QS_MUST_CHECK int state_mark(struct state *state, const char *invocation_id, uint64_t started_usec);
void state_unmark(struct state *state);

/* The text of the last report. malloc'ed. -ENOENT when there is none. */
QS_MUST_CHECK int state_read_report(const struct state *state, char **ret_text, size_t *ret_size);

#endif
