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

static struct {
	qs_runtime *runtime;
	char line[4096];
	int error; /* of giving up */
	struct qs_result result;
	uint64_t asked_at, ended_at;
} scene;

static inline void note(char sign, const char *name)
{
	size_t length = strlen(scene.line);

	snprintf(scene.line + length, sizeof(scene.line) - length, "%c%s", sign, name);
}

static inline void note_started(const struct qs_child *child, qs_task *task, void *arg)
{
	(void)arg;
	ck_assert_ptr_nonnull(task);
	note('+', child->name);
}

static inline void note_ended(
        const struct qs_child *child, const struct qs_result *result, void *arg)
{
	(void)arg;
	ck_assert_int_ne(result->verdict, QS_VERDICT_NONE);
	note('-', child->name);
}

static inline void note_giving_up(const struct qs_child *child, int error, void *arg)
{
	(void)arg;
	scene.error = error;
	note('!', child->name);
}

static const struct qs_supervisor_hooks hooks = {
	.started = note_started, .ended = note_ended, .giving_up = note_giving_up
};

/* --- children --- */

struct worker {
	uint64_t runs_for; /* NEVER: until it is asked */
	int result;        /* then */
	unsigned times;    /* it ends so many times by itself; later runs last */
	uint64_t dawdles;  /* after an ask */
	unsigned runs;
	uint64_t asked_at;
};

static inline int work(qs_task *self, void *arg)
{
	struct worker *w = arg;
	bool lasts = w->runs++ >= w->times;
	int r = qs_sleep(self, lasts || w->runs_for == NEVER ? NEVER : qs_in(self, w->runs_for));

	if (r == 0)
		return w->result;
	w->asked_at = qs_in(self, 0);
	while (w->dawdles > 0 && r == -ESHUTDOWN) {
		uint64_t outer = qs_shield_begin(self, NEVER);

		r = qs_sleep(self, qs_in(self, w->dawdles));
		qs_shield_end(self, outer);
	}
	return -ESHUTDOWN;
}

/* Hears of nothing but force. */
static inline int ignore(qs_task *self, void *arg)
{
	(void)arg;
	uint64_t outer = qs_shield_begin(self, NEVER);
	int r = qs_sleep(self, NEVER);
	qs_shield_end(self, outer);
	return r;
}

/* --- a run: the supervisor, and a director who ends it --- */

struct play {
	struct qs_supervision *plan;
	uint64_t lasts;                   /* then the director acts */
	void (*act)(qs_task *supervisor); /* NULL: asks it */
};

static inline void ask(qs_task *supervisor)
{
	qs_task_ask(supervisor, QS_CAUSE_API, NEVER);
}

static inline int direct(qs_task *self, void *arg)
{
	const struct play *play = arg;
	const struct qs_task_options options = { .name = "supervisor" };
	qs_task *supervisor;

	ck_assert_int_eq(qs_spawn_fiber(qs_root(scene.runtime), &options, qs_supervise, play->plan,
	                         &supervisor),
	        0);
	if (qs_task_join(self, supervisor, qs_in(self, play->lasts), &scene.result) < 0) {
		scene.asked_at = qs_in(self, 0);
		(play->act ? play->act : ask)(supervisor);
		ck_assert_int_eq(qs_task_join(self, supervisor, NEVER, &scene.result), 0);
	}
	scene.ended_at = qs_in(self, 0);
	return 0;
}

static inline void open_scene(uint64_t seed)
{
	const struct qs_runtime_options options = { .virtual_clock = true, .seed = seed };

	memset(&scene, 0, sizeof(scene));
	ck_assert_int_eq(qs_runtime_new_with(&options, &scene.runtime), 0);
}

static inline int run_scene(struct qs_supervision *plan, const struct play *play)
{
	struct play with_plan = *play;

	with_plan.plan = plan;
	plan->hooks = hooks;
	ck_assert_int_eq(qs_spawn_fiber(qs_root(scene.runtime), NULL, direct, &with_plan, NULL), 0);
	int status = qs_run(scene.runtime);
	ck_assert_uint_eq(qs_live(scene.runtime), 0);
	qs_runtime_free(scene.runtime);
	return status;
}

static inline void run_for(struct qs_supervision *plan, uint64_t lasts)
{
	open_scene(0);
	ck_assert_int_eq(run_scene(plan, &(struct play){ .lasts = lasts }), 0);
}

static inline unsigned count(const char *what)
{
	unsigned n = 0;

	for (const char *at = scene.line; (at = strstr(at, what)) != NULL; at++)
		n++;
	return n;
}

#endif
