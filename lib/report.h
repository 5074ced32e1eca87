/*
 * The report of a shutdown, from the ledger and the chronicle, written without allocation: on the
 * loop's way out, or by the guard when the loop is stuck.
 */
#ifndef QS_REPORT_H
#define QS_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/coordinator.h"
#include "lib/ledger.h"

#define QS_REPORT_NAME "last-shutdown.json"

struct qs_report {
	const struct qs_ledger *ledger;
	const struct qs_chronicle *chronicle;
	char invocation_id[40]; /* "" for none */
	uint64_t started_at;    /* absolute, ns */
	pid_t pid;
	pid_t loop; /* the loop's thread; 0: the program's first */
	bool sync;  /* fsync before the rename */
};

/* The tasks that the report is about, counted by verdict; one that lives counts as abandoned. */
void qs_report_count(const struct qs_report *report, uint64_t ret_counts[static QS_VERDICT_COUNT]);

/* By the design's table: 151, 150, 1 or 0. */
int qs_report_exit_status(const struct qs_report *report);

/* A temporary file in the directory, renamed to QS_REPORT_NAME. Errors of open, write, rename. */
QS_MUST_CHECK int qs_report_write(const struct qs_report *report, int directory_fd);

/*
 * The summary for people, such as "quiesced in 1.2 s: 3 stopped, 1 killed (stubborn)". At most
 * `size` bytes with the NUL. Allocates nothing.
 */
void qs_report_summarise(const struct qs_report *report, char *buffer, size_t size);

#endif
