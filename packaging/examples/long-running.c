/*
 * A long-running task, and the three ways it can end: it is asked (the stop event is set), it is
 * cancelled when the deadline has passed, and it is ended by force. Ctrl+C begins all this; so does
 * the program itself after half a second.
 *
 * It prints, and exits with status 150, because something had to be forced:
 *
 *	polite: working
 *	slow: waiting for an answer
 *	deaf: working
 *	polite: asked to end, and all is saved
 *	slow: cancelled (Operation canceled)
 *	deaf: a deferred clean-up runs, also by force
 *	polite was stopped
 *	slow was cancelled
 *	deaf was killed
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/quiesce.h>

/* This is all that most tasks need: a look at the stop event, and waits that it interrupts. */
static int polite(qs_task *self, void *arg)
{
	(void)arg;
	puts("polite: working");
	while (!qs_stopping(self))
		qs_sleep(self, qs_in(self, 200 * QS_MSEC)); /* a stop wakes it at once */
	puts("polite: asked to end, and all is saved");
	return 0;
}

/* Work in flight is not disturbed by the ask. At the deadline every wait returns -ECANCELED. */
static int slow(qs_task *self, void *arg)
{
	const int *fd = arg; /* nobody ever writes to it */

	puts("slow: waiting for an answer");
	int r = qs_wait_fd(self, *fd, QS_FD_READABLE | QS_FD_IN_FLIGHT, QS_FOREVER);
	printf("slow: cancelled (%s)\n", strerror(-r));
	return r;
}

static void clean_up(void *arg)
{
	(void)arg;
	puts("deaf: a deferred clean-up runs, also by force");
}

/* In a shield neither ask nor cancel is heard: meant for a clean-up, and misused here. */
static int deaf(qs_task *self, void *arg)
{
	(void)arg;
	if (qs_defer(self, clean_up, NULL) < 0)
		return -1;
	puts("deaf: working");
	uint64_t outer = qs_shield_begin(self, QS_FOREVER);
	int r = qs_sleep(self, QS_FOREVER);
	qs_shield_end(self, outer);
	return r;
}

static int ask_to_stop(qs_task *self, void *arg)
{
	int r = qs_sleep(self, qs_in(self, QS_SEC / 2));

	return r < 0 ? r : qs_shutdown(arg, "the example is over");
}

int main(void)
{
	static const char *const names[] = { "polite", "slow", "deaf" };
	static const qs_task_fn functions[] = { polite, slow, deaf };
	/* 200 ms for those who are asked, 100 ms for those who are cancelled, then force. */
	const struct qs_runtime_options options = {
		.plan = { .deadline = 200 * QS_MSEC, .cancel_grace = 100 * QS_MSEC },
	};
	qs_runtime *runtime;
	qs_task *tasks[3];
	int fds[2];

	if (pipe(fds) < 0 || qs_runtime_new_with(&options, &runtime) < 0)
		return 1;
	for (int i = 0; i < 3; i++) {
		const struct qs_task_options named = { .name = names[i] };

		if (qs_spawn_fiber(qs_root(runtime), &named, functions[i], &fds[0], &tasks[i]) < 0)
			return 1;
	}
	if (qs_spawn_fiber(qs_root(runtime), NULL, ask_to_stop, runtime, NULL) < 0)
		return 1;
	int status = qs_run(runtime); /* signals, the ladder, the report */
	for (int i = 0; i < 3; i++) {
		struct qs_result result;

		if (qs_task_result(tasks[i], &result) == 0)
			printf("%s was %s\n", names[i], qs_verdict_name(result.verdict));
	}
	qs_runtime_free(runtime);
	return status;
}
