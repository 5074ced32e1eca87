/*
 * What a module's host tells of its tasks. The module lives in the same process, so it is anybody's
 * word: what comes is checked, bounded, and believed in nothing that matters. Pure.
 */
#ifndef QUIESCED_MODULE_TOLD_H
#define QUIESCED_MODULE_TOLD_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/words.h>

#define MODULE_LINE_MAX  (32 * 1024)
#define MODULE_TASKS_MAX 64

struct module_task {
	uint64_t id, started_at; /* absolute, ns */
	uint64_t stop_lag;       /* ns; QS_FOREVER: unknown */
	uint64_t stack;          /* of a fiber, the most so far, bytes; 0: unknown */
	enum qs_kind kind;
	enum qs_rung rung;
	char name[32], waiting_on[32]; /* "": for nothing that is known */
};

struct module_told {
	uint64_t told_at; /* absolute; 0: nothing yet. For whoever owns it to set */
	uint64_t live, ended[QS_VERDICT_COUNT];
	size_t count; /* of `tasks`, those that matter most */
	struct module_task tasks[MODULE_TASKS_MAX];
	char failure[256]; /* why the module does not run, "" while it does */
};

/*
 * Takes one line. 1: the tasks have changed; 0: the failure has, or it is of a type that is not
 * known here. -EBADMSG: it is none, and nothing has changed. -ENOMEM.
 */
QS_MUST_CHECK int module_told_parse(struct module_told *told, const char *line, size_t size);

/* The largest stop lag of its tasks that is known; QS_FOREVER when there is none. */
uint64_t module_told_lag(const struct module_told *told);

#endif
