/*
 * A module for the daemon: a few fibers that work through items, run by a worker such as
 *
 *	workers:
 *	  resizer:
 *	    module:
 *	      path: /usr/local/lib/quiesced/module.so
 *	      config: { fibers: 3, every_ms: 200 }
 *
 *	cc -shared -fPIC -o module.so module.c $(pkg-config --cflags --libs quiesce jansson)
 *
 * `quiescectl show resizer` tells what each fiber waits for. Stopped, each of them finishes the
 *item that it has in its hands, and begins no further one. What it prints is in the daemon's log.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>
#include <quiesce/fiber.h>
#include <quiesce/module.h>

QS_MODULE;

struct settings {
	int fibers;
	uint64_t every;
};

static struct settings settings;

/* Work in flight: an ask lets it come to its end, a cancel does not. */
static int resize(qs_task *self, int item)
{
	uint64_t shield = qs_shield_begin(self, qs_in(self, QS_SEC));
	int r = qs_sleep(self, qs_in(self, 20 * QS_MSEC));

	qs_shield_end(self, shield);
	if (r == 0 && item == 0) {
		puts("the first item is done");
		fflush(stdout);
	}
	return r;
}

static int work(qs_task *self, void *arg)
{
	const struct settings *mine = arg;
	int done = 0;

	while (!qs_stopping(self)) {
		int r = resize(self, done);
		if (r < 0)
			return r;
		done++;
		/* Waiting for the next one is idle: the stop wakes it at once. */
		if (qs_sleep(self, qs_in(self, mine->every)) < 0)
			break;
	}
	printf("%d items, none of them by half\n", done);
	fflush(stdout);
	return 0;
}

static int read_settings(const char *config)
{
	json_t *json = json_loads(config, 0, NULL);
	int fibers = 1, every = 1000;
	int r = json_unpack(json, "{s?i, s?i}", "fibers", &fibers, "every_ms", &every);

	json_decref(json);
	if (r < 0 || fibers < 1 || every < 1)
		return -EINVAL; /* the worker has failed, and its detail says so */
	settings = (struct settings){ fibers, (uint64_t)every * QS_MSEC };
	return 0;
}

int quiesce_module_main(qs_runtime *runtime, const char *config)
{
	char name[32];
	int r = read_settings(config);

	for (int i = 0; r == 0 && i < settings.fibers; i++) {
		snprintf(name, sizeof(name), "resizer-%d", i);
		r = qs_spawn_fiber(qs_root(runtime), &(struct qs_task_options){ .name = name },
		        work, &settings, NULL);
	}
	return r;
}
