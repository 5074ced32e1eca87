/* What quiescectl can be told to do: one table, from which the help is printed too. */
#ifndef QUIESCECTL_VERBS_H
#define QUIESCECTL_VERBS_H

#include <stdio.h>

#include "daemon/ctl/ctl.h"

/* Options that only some verbs take. */
enum verb_option {
	VERB_WAIT = 1 << 0,
	VERB_LIVE = 1 << 1,
	VERB_VERBOSE = 1 << 2,
	VERB_FOLLOW = 1 << 3,
	VERB_FILE = 1 << 4,
	VERB_DETACH = 1 << 5,
	VERB_BATCH = 1 << 6, /* and what goes with it */
};

struct verb {
	const char *name, *arguments, *help;
	unsigned least, most; /* how many arguments */
	unsigned options;     /* enum verb_option */
	const char *doing;    /* what to tell while it takes long */
	enum ctl_status (*run)(struct ctl *ctl);
	const char *subject; /* what the first argument is; NULL: the name of a worker */
};

/* NULL: there is none. */
const struct verb *verb_find(const char *name);
void verbs_print_help(FILE *out);
void verb_print_help(const struct verb *verb, FILE *out);

/* verbs_status.c */
enum ctl_status run_status(struct ctl *ctl);
enum ctl_status run_list(struct ctl *ctl);

/* verbs_show.c */
enum ctl_status run_show(struct ctl *ctl);

/* verbs_report.c */
enum ctl_status run_last_shutdown(struct ctl *ctl);

/* verbs_change.c */
enum ctl_status run_worker_change(struct ctl *ctl);
enum ctl_status run_daemon_change(struct ctl *ctl);
enum ctl_status run_shutdown(struct ctl *ctl);
enum ctl_status run_health(struct ctl *ctl);

/* verbs_call.c */
enum ctl_status run_call(struct ctl *ctl);
enum ctl_status run_answer(struct ctl *ctl);

/* verbs_calls.c */
enum ctl_status run_calls(struct ctl *ctl);
enum ctl_status run_cancel(struct ctl *ctl);

/* verbs_stream.c */
enum ctl_status run_events(struct ctl *ctl);
enum ctl_status run_logs(struct ctl *ctl);

#endif
