/*
 * A scene for tests of supervisors, on the virtual clock. What they do is written down as a line:
 * "+a" a child was started, "-a" it has ended, "!a" they give up because of it.
 */
#ifndef QUIESCE_SUPERVISOR_SCENE_H
#define QUIESCE_SUPERVISOR_SCENE_H

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/clock.h>
#include <quiesce/fiber.h>
#include <quiesce/runtime.h>
#include <quiesce/supervisor.h>

#define NEVER QS_FOREVER

struct scene {
	qs_runtime *runtime;
	char line[4096];
	int error; /* of giving up */
	struct qs_result result;
	uint64_t asked_at, ended_at;
};

extern struct scene scene;

/* They write the line. */
extern const struct qs_supervisor_hooks hooks;
void note(char sign, const char *name);

/* A child. */
struct worker {
	uint64_t runs_for; /* NEVER: until it is asked */
	int result;        /* then */
	unsigned times;    /* it ends so many times by itself; later runs last */
	uint64_t dawdles;  /* after an ask */
	unsigned runs;
	uint64_t asked_at;
};

int work(qs_task *self, void *worker);
int ignore(qs_task *self, void *arg); /* hears of nothing but force */

/* A run: the supervisor, and a director who ends it. */
struct play {
	struct qs_supervision *plan;
	uint64_t lasts;                   /* then the director acts */
	void (*act)(qs_task *supervisor); /* NULL: asks it */
};

void ask(qs_task *supervisor);
void open_scene(uint64_t seed);
int run_scene(struct qs_supervision *plan, const struct play *play);
void run_for(struct qs_supervision *plan, uint64_t lasts);

/* How often the line has that. */
unsigned count(const char *what);

#endif
