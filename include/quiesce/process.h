/*
 * Processes as tasks: a child and everything it starts. Asked to end, its process group gets the
 * stop signal; killed, SIGKILL goes to whatever is left of the tree. It has ended when the tree is
 * empty, and its outcome is that of the child itself.
 */
#ifndef QUIESCE_PROCESS_H
#define QUIESCE_PROCESS_H

#include <stddef.h>

#include <quiesce/export.h>
#include <quiesce/task.h>

QS_BEGIN_DECLS

/* Everything is copied. */
struct qs_program {
	char *const *argv;             /* argv[0] is looked up in PATH */
	char *const *environment;      /* NULL: this program's own */
	const char *working_directory; /* NULL: this program's own */
	int stop_signal;               /* 0: SIGTERM */
	int cancel_signal;             /* sent at the cancel; 0: none */
	/* What it reads on its standard input, then its end; NULL: nothing. */
	const void *input;
	size_t input_size;
	/* What it writes to standard output and error, as it comes; with an `answer` to its
	 * standard error alone. May be NULL. Loop thread. */
	void (*output)(qs_task *task, const char *data, size_t size, void *arg);
	/* What it writes to standard output alone, 64 KiB a turn at most. A negative errno: no more
	 * of it is wanted, and who goes on writing gets SIGPIPE. May be NULL. Loop thread. */
	int (*answer)(qs_task *task, const char *data, size_t size, void *arg);
	void *arg;
};

/*
 * Starts it. A program that cannot be run is this function's error: -ENOENT, -EACCES, … Also
 * -EINVAL (no argv[0], a signal that is none), -ENOMEM, -EMFILE, -EAGAIN; -ESHUTDOWN when the group
 * admits nothing; -ENOTSUP in a simulation. Of the options `stack_size` and `deadline` have no
 * meaning here. Loop thread.
 */
QS_EXPORT QS_MUST_CHECK int qs_spawn_process(qs_group *group, const struct qs_task_options *options,
        const struct qs_program *program, qs_task **ret_task);

QS_END_DECLS

#endif
