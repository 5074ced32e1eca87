/*
 * A backtrace of a thread that is stuck, taken from another one: a signal makes it note where it
 * is. Neither side allocates or takes a lock, since the stuck one may hold any.
 */
#ifndef QS_TRACE_H
#define QS_TRACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>

#include "lib/fault.h"

#define QS_TRACE_DEPTH   48
#define QS_TRACE_MODULES 48
#define QS_TRACE_LINE    128

struct qs_trace {
	pthread_t thread;
	struct qs_alt_stack stack; /* it may be stuck on a small stack of a fiber's */
	_Atomic int taken;         /* how many addresses, 0 or less: none yet */
	void *addresses[QS_TRACE_DEPTH];
	struct {
		uintptr_t begin, end, base;
		char name[40];       /* the end of the path */
	} modules[QS_TRACE_MODULES]; /* those that were loaded when it was made */
	size_t module_count;
};

/* By the thread that is to be traced. -ENOMEM, -EINVAL. */
QS_MUST_CHECK int qs_trace_init(struct qs_trace *trace);

/* By the same thread, when nobody asks any more. */
void qs_trace_done(struct qs_trace *trace);

/* Any thread: asks for a new one, which comes when the thread next runs any code of its own. */
void qs_trace_ask(struct qs_trace *trace);

/* How many lines it has; 0 as long as it has not come. */
size_t qs_trace_lines(const struct qs_trace *trace);

/* One line of it, as backtrace_symbols_fd has them: "MODULE(+0xOFFSET) [0xADDRESS]". */
char *qs_trace_line(const struct qs_trace *trace, size_t index, char line[static QS_TRACE_LINE]);

#endif
