/* A run that is a process tree, for the kinds of work that are one: exec, and a module's host. */
#ifndef QUIESCED_EXEC_H
#define QUIESCED_EXEC_H

#include "daemon/worker.h"
#include "lib/process.h"

struct line_reader;
struct module_link;

struct exec_run {
	struct run run;
	struct qs_process *process;
	struct line_reader *reader; /* NULL before its first output */
	struct module_link *link;   /* to a module's host, else NULL */
	struct qs_task_terms terms;
};

struct exec_plan {
	char *const *argv;
	char *const *environment; /* NULL-ended, added to the daemon's own */
	int extra_fd;             /* as in struct qs_process_options */
};

/* The daemon's own environment less what is private to it, and `own`. The array is malloc'ed, the
 * strings are borrowed. NULL: no memory. */
char **exec_environment(char *const *own);

/* What the configuration says of any process of a worker; the rest is for who starts it. */
struct qs_process_options exec_options(const struct worker_config *config);

/* Starts what the plan says; -errno with worker->detail filled in. */
QS_MUST_CHECK int exec_launch(
        struct worker *worker, const struct exec_plan *plan, struct exec_run **ret_run);

/* Of struct work, for such a run. */
void exec_free(struct run *run);

static inline struct exec_run *exec_run_of(struct run *run)
{
	return container_of(run, struct exec_run, run);
}

#endif
