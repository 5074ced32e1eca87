/*
 * A supervised tree that restarts. The store and what is built on it are children of an inner
 * supervisor: when one fails, those that come after it are started again with it. The web part
 * beside them is left in peace. At the end all are stopped in the reverse order of their start.
 *
 * It prints, and exits with status 0:
 *
 *	storage started
 *	web started
 *	store started
 *	cache started
 *	store: failing once
 *	store ended: failed
 *	cache ended: stopped
 *	store started
 *	cache started
 *	web ended: stopped
 *	cache ended: stopped
 *	store ended: stopped
 *	storage ended: stopped
 */
#include <errno.h>
#include <stdio.h>

#include <quiesce/quiesce.h>

/* Does its work until it is asked to end. */
static int serve(qs_task *self, void *arg)
{
	(void)arg;
	return qs_sleep(self, QS_FOREVER);
}

static int store(qs_task *self, void *arg)
{
	unsigned *failures = arg;
	int r = qs_sleep(self, *failures == 0 ? qs_in(self, 50 * QS_MSEC) : QS_FOREVER);

	if (r < 0)
		return r;
	++*failures;
	puts("store: failing once");
	return -EIO;
}

static void tell_start(const struct qs_child *child, qs_task *task, void *arg)
{
	(void)task, (void)arg;
	printf("%s started\n", child->name);
}

static void tell_end(const struct qs_child *child, const struct qs_result *result, void *arg)
{
	(void)arg;
	printf("%s ended: %s\n", child->name, qs_verdict_name(result->verdict));
}

static unsigned failures;

static const struct qs_child storage_children[] = {
	{ .name = "store", .fiber = store, .arg = &failures },
	{ .name = "cache", .fiber = serve },
};

static struct qs_supervision storage = {
	.children = storage_children,
	.count = 2,
	.strategy = QS_REST_FOR_ONE,
	/* Restarts wait for up to 20 ms, then 40 ms, …; more than 5 in a minute are too many. */
	.intensity = { .count = 5, .within = QS_MIN, .base = 20 * QS_MSEC },
	.hooks = { .started = tell_start, .ended = tell_end },
};

static const struct qs_child top_children[] = {
	{ .name = "storage", .fiber = qs_supervise, .arg = &storage },
	{ .name = "web", .fiber = serve },
};

static struct qs_supervision top = {
	.children = top_children,
	.count = 2,
	.strategy = QS_ONE_FOR_ONE,
	.hooks = { .started = tell_start, .ended = tell_end },
};

static int ask_to_stop(qs_task *self, void *arg)
{
	int r = qs_sleep(self, qs_in(self, QS_SEC / 2));

	return r < 0 ? r : qs_shutdown(arg, "the example is over");
}

int main(void)
{
	const struct qs_task_options options = { .name = "supervisor" };
	qs_runtime *runtime;

	if (qs_runtime_new(&runtime) < 0)
		return 1;
	if (qs_spawn_fiber(qs_root(runtime), &options, qs_supervise, &top, NULL) < 0)
		return 1;
	if (qs_spawn_fiber(qs_root(runtime), NULL, ask_to_stop, runtime, NULL) < 0)
		return 1;
	int status = qs_run(runtime);
	qs_runtime_free(runtime);
	return status;
}
