/* A module that does what its configuration says, good and bad. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <quiesce/fiber.h>
#include <quiesce/module.h>
#include <quiesce/step.h>

QS_MODULE;

/* ThreadSanitizer knows of 8,128 fibers at most. */
#ifdef QUIESCE_TSAN
#define MANY 1000
#else
#define MANY 10000
#endif

static volatile int sink;

static int idle(qs_task *self, void *arg)
{
	(void)arg;
	return qs_sleep(self, QS_FOREVER);
}

static int poller(qs_task *self, void *arg)
{
	(void)arg;
	puts("the poller polls");
	fflush(stdout);
	while (!qs_stopping(self))
		if (qs_sleep(self, qs_in(self, 10 * QS_MSEC)) == -ECANCELED)
			return -ECANCELED;
	puts("the poller was asked");
	return 0;
}

static int quick(qs_task *self, void *arg)
{
	(void)self;
	(void)arg;
	return 0;
}

static int failing(qs_task *self, void *arg)
{
	(void)self;
	(void)arg;
	return -EIO;
}

static int crash(qs_task *self, void *arg)
{
	(void)self;
	(void)arg;
	abort();
}

static int spin(qs_task *self, void *arg)
{
	(void)self;
	(void)arg;
	puts("spinning");
	fflush(stdout);
	while (sink >= 0)
		sink ^= 1;
	return 0;
}

static int block(qs_task *self, void *arg)
{
	(void)self;
	(void)arg;
	puts("blocking");
	fflush(stdout);
	while (pause() < 0)
		continue;
	return 0;
}

/* Goes on whatever it is told, until it is cancelled. */
static int dawdle(qs_task *self, void *arg)
{
	(void)arg;
	puts("dawdling");
	fflush(stdout);
	while (qs_yield(self) == 0 && usleep(1000) == 0)
		continue;
	return 0;
}

static int leak(qs_task *self, void *arg)
{
	int count = 0;

	(void)arg;
	while (open("/dev/null", O_RDONLY) >= 0)
		count++;
	printf("leaked: %s\n", strerror(errno));
	fflush(stdout);
	return qs_sleep(self, QS_FOREVER) == -ESHUTDOWN && count > 0 ? 0 : -EIO;
}

/* Everything that it can write where only its host should, and much of it. */
static int babble(qs_task *self, void *arg)
{
	(void)arg;
	for (int i = 0; i < 5000; i++) {
		(void)send(4, "nonsense", 8, MSG_DONTWAIT);
		(void)send(4, "{\"type\":\"tasks\",\"live\":-1}", 26, MSG_DONTWAIT);
	}
	puts("babbled");
	fflush(stdout);
	return qs_sleep(self, QS_FOREVER);
}

static const struct role {
	const char *name;
	qs_task_fn fn;
	int count;
} roles[] = {
	{ "poller", poller, 1 },
	{ "idle", idle, 1 },
	{ "quick", quick, 3 },
	{ "failing", failing, 1 },
	{ "crash", crash, 1 },
	{ "spin", spin, 1 },
	{ "block", block, 1 },
	{ "dawdle", dawdle, 1 },
	{ "leak", leak, 1 },
	{ "babble", babble, 1 },
	{ "many", idle, MANY },
};

static bool wants(const char *config, const char *name)
{
	char quoted[32];

	snprintf(quoted, sizeof(quoted), "\"%s\"", name);
	return strstr(config, quoted) != NULL;
}

static int spawn(qs_runtime *runtime, const struct role *role)
{
	const struct qs_task_options options = { .name = role->name };
	int r = 0;

	for (int i = 0; r == 0 && i < role->count; i++)
		r = qs_spawn_fiber(qs_root(runtime), &options, role->fn, NULL, NULL);
	return r;
}

int quiesce_module_main(qs_runtime *runtime, const char *config)
{
	int r = 0;

	printf("configured: %s\n", config);
	fflush(stdout);
	if (wants(config, "refuse"))
		return -EPROTO;
	if (wants(config, "block-at-once"))
		(void)block(NULL, NULL);
	for (size_t i = 0; r == 0 && i < sizeof(roles) / sizeof(roles[0]); i++)
		if (wants(config, roles[i].name))
			r = spawn(runtime, &roles[i]);
	return r;
}
