/* How the line is written, what children do, and how a run goes. */
#include "tests/unit/supervisor_scene.h"

struct scene scene;

void note(char sign, const char *name)
{
	size_t length = strlen(scene.line);

	snprintf(scene.line + length, sizeof(scene.line) - length, "%c%s", sign, name);
}

static void note_started(const struct qs_child *child, qs_task *task, void *arg)
{
	(void)arg;
	ck_assert_ptr_nonnull(task);
	note('+', child->name);
}

static void note_ended(const struct qs_child *child, const struct qs_result *result, void *arg)
{
	(void)arg;
	ck_assert_int_ne(result->verdict, QS_VERDICT_NONE);
	note('-', child->name);
}

static void note_giving_up(const struct qs_child *child, int error, void *arg)
{
	(void)arg;
	scene.error = error;
	note('!', child->name);
}

const struct qs_supervisor_hooks hooks = {
	.started = note_started, .ended = note_ended, .giving_up = note_giving_up
};

/* --- children --- */

int work(qs_task *self, void *arg)
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

int ignore(qs_task *self, void *arg)
{
	(void)arg;
	uint64_t outer = qs_shield_begin(self, NEVER);
	int r = qs_sleep(self, NEVER);
	qs_shield_end(self, outer);
	return r;
}

/* --- a run: the supervisor, and a director who ends it --- */

void ask(qs_task *supervisor)
{
	qs_task_ask(supervisor, QS_CAUSE_API, NEVER);
}

static int direct(qs_task *self, void *arg)
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

void open_scene(uint64_t seed)
{
	const struct qs_runtime_options options = { .virtual_clock = true, .seed = seed };

	memset(&scene, 0, sizeof(scene));
	ck_assert_int_eq(qs_runtime_new_with(&options, &scene.runtime), 0);
}

int run_scene(struct qs_supervision *plan, const struct play *play)
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

void run_for(struct qs_supervision *plan, uint64_t lasts)
{
	open_scene(0);
	ck_assert_int_eq(run_scene(plan, &(struct play){ .lasts = lasts }), 0);
}

unsigned count(const char *what)
{
	unsigned n = 0;

	for (const char *at = scene.line; (at = strstr(at, what)) != NULL; at++)
		n++;
	return n;
}
