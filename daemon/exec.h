/* A run that is a process tree, for the kinds of work that are one: exec, and a module's host. */
#ifndef QUIESCED_EXEC_H
#define QUIESCED_EXEC_H

#include "daemon/worker.h"
#include "lib/process.h"

struct line_reader;
struct module_link;

struct run {
	struct worker *worker;
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

/* The functions of struct work for such a run; a launch takes what is run from a plan. */
QS_MUST_CHECK int exec_launch(
        struct worker *worker, const struct exec_plan *plan, struct run **ret_run);
struct qs_task *exec_task(struct run *run);
pid_t exec_pid(const struct run *run);
void exec_free(struct run *run);

#endif
