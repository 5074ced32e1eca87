/*
 * A blocking library call that does not come back. It runs in a thread; its caller waits with a
 * deadline, and goes on when that has passed, because the call was declared abandonable. The rest
 * of the program is never held up. What nobody can end is not called a success, though, and the
 * program leaves by _exit, because the thread still runs.
 *
 * It prints, and exits with status 151:
 *
 *	a call that answers: 42
 *	a call that hangs: Connection timed out
 *	meanwhile others worked on
 *	status 151: a thread was abandoned
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/quiesce.h>

static unsigned ticks;

static int answer(qs_task *self, void *arg)
{
	(void)self, (void)arg;
	return 42;
}

/* As a library would that was never told of stop events: it begins again after each signal. */
static int hang(qs_task *self, void *arg)
{
	const int *fd = arg; /* nobody ever writes to it */
	char byte;
	ssize_t n;

	(void)self;
	do
		n = read(*fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return 0;
}

static int caller(qs_task *self, void *arg)
{
	/* `discard` gets the argument if the call comes back after all. Ours is never freed. */
	const struct qs_call_options options = { .name = "hang", .abandonable = true };

	int r = qs_call_blocking(self, NULL, answer, NULL, QS_FOREVER);
	printf("a call that answers: %d\n", r);
	unsigned before = ticks;
	r = qs_call_blocking(self, &options, hang, arg, qs_in(self, 200 * QS_MSEC));
	printf("a call that hangs: %s\n", strerror(-r));
	puts(ticks > before ? "meanwhile others worked on" : "meanwhile all stood still");
	return 0;
}

static int tick(qs_task *self, void *arg)
{
	(void)arg;
	for (int i = 0; i < 30 && qs_sleep(self, qs_in(self, 10 * QS_MSEC)) == 0; i++)
		ticks++;
	return 0;
}

int main(void)
{
	static int fds[2]; /* the thread outlives main */
	qs_runtime *runtime;

	if (pipe(fds) < 0 || qs_runtime_new(&runtime) < 0)
		return 1;
	if (qs_spawn_fiber(qs_root(runtime), NULL, caller, &fds[0], NULL) < 0)
		return 1;
	if (qs_spawn_fiber(qs_root(runtime), NULL, tick, NULL, NULL) < 0)
		return 1;
	int status = qs_run(runtime);
	qs_runtime_free(runtime); /* keeps what the thread may still touch */
	if (status == 151)
		puts("status 151: a thread was abandoned");
	fflush(stdout);
	_exit(status);
}
