/*
 * A simulation is a runtime like any other, with a virtual clock, a seed, and somebody who listens:
 * each line of the trace goes into the digest, and a step is where a stop may come or the run is
 * broken off.
 */
#include <quiesce/sim.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/macro.h"
#include "lib/runtime.h"

#define USUAL_LIMIT  1000000U
#define DIGEST_BEGIN UINT64_C(0xcbf29ce484222325) /* FNV-1a */
#define DIGEST_PRIME UINT64_C(0x100000001b3)

struct sim {
	struct qs_witness witness;
	struct qs_sim_options options;
	struct qs_runtime_hooks hooks; /* the caller's */
	struct qs_seam seam;
	qs_runtime *runtime;
	struct qs_sim_result *result;
};

/* --- the trace --- */

static uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t count)
{
	const unsigned char *byte = bytes;

	while (count-- > 0)
		digest = (digest ^ *byte++) * DIGEST_PRIME;
	return digest;
}

static void add(struct sim *sim, const struct qs_sim_event *event)
{
	struct qs_sim_result *result = sim->result;
	const uint64_t numbers[] = { event->at, event->task };

	result->events++;
	result->digest = digest_bytes(result->digest, numbers, sizeof(numbers));
	result->digest = digest_bytes(result->digest, event->name, strlen(event->name) + 1);
	result->digest = digest_bytes(result->digest, event->what, strlen(event->what) + 1);
	if (sim->options.trace)
		sim->options.trace(event, sim->options.arg);
}

static void count_verdict(struct qs_sim_result *result, const char *what)
{
	static_assert(QS_VERDICT_COUNT <= ARRAY_SIZE(result->verdicts), "each has its place");
	for (int i = QS_VERDICT_NONE + 1; i < QS_VERDICT_COUNT; i++)
		if (what == qs_verdict_name((enum qs_verdict)i))
			result->verdicts[i]++;
}

static void begin_step(struct sim *sim)
{
	uint64_t step = ++sim->result->steps;

	if (sim->options.step)
		sim->options.step(sim->runtime, step, sim->options.arg);
	/* The first to ask needs no memory: it cannot fail. */
	if (step == sim->options.stop_at)
		(void)qs_shutdown(sim->runtime, "simulation");
}

static void noted(struct qs_witness *witness, const struct qs_task *task, const char *what)
{
	struct sim *sim = container_of(witness, struct sim, witness);

	if (strcmp(what, "run") == 0)
		begin_step(sim);
	else
		count_verdict(sim->result, what);
	add(sim, &(struct qs_sim_event){
	                 .at = qs_now(sim->runtime),
	                 .step = sim->result->steps,
	                 .task = qs_task_id(task),
	                 .name = task->record->name,
	                 .what = what,
	         });
}

void qs_sim_note(qs_task *self, const char *what)
{
	const struct qs_context *context = qs_task_group(self)->context;

	if (self->record)
		qs_tell_witness(context, self, what);
}

bool qs_sim_fails(void)
{
	return qs_refused(EIO);
}

/* --- hooks of the runtime --- */

static void logged(enum qs_log_level level, const char *text, void *arg)
{
	const struct sim *sim = arg;

	if (sim->hooks.log)
		sim->hooks.log(level, text, sim->hooks.arg);
}

static void phase_changed(enum qs_phase phase, void *arg)
{
	struct sim *sim = arg;

	add(sim, &(struct qs_sim_event){
	                 .at = qs_now(sim->runtime),
	                 .step = sim->result->steps,
	                 .name = "",
	                 .what = qs_phase_name(phase),
	         });
	if (sim->hooks.phase)
		sim->hooks.phase(phase, sim->hooks.arg);
}

/* --- the run --- */

static int make_runtime(struct sim *sim)
{
	struct qs_runtime_options options = { 0 };

	if (sim->options.runtime)
		options = *sim->options.runtime;
	sim->hooks = options.hooks;
	options.hooks =
	        (struct qs_runtime_hooks){ .log = logged, .phase = phase_changed, .arg = sim };
	options.virtual_clock = true;
	options.seed = MAX(sim->options.seed, 1U);
	int r = qs_runtime_new_with(&options, &sim->runtime);
	if (r < 0)
		return r;
	sim->witness.note = noted;
	sim->runtime->context.witness = &sim->witness;
	return 0;
}

static void run_to_the_end(struct sim *sim)
{
	uint64_t limit = sim->options.limit ? sim->options.limit : USUAL_LIMIT;
	struct qs_sim_result *result = sim->result;
	uint64_t began = qs_now(sim->runtime);
	int r;

	sim->seam.rate = sim->options.fail_rate;
	do
		r = qs_runtime_turn(sim->runtime);
	while (r > 0 && result->steps < limit);
	if (r == 0)
		r = qs_runtime_finish(sim->runtime);
	else if (r > 0)
		r = -ETIME;
	result->status = r;
	result->tasks_left = qs_live(sim->runtime);
	result->duration = qs_now(sim->runtime) - began;
}

int qs_sim_run(const struct qs_sim_options *options, int (*set_up)(qs_runtime *runtime, void *arg),
        void *arg, struct qs_sim_result *ret_result)
{
	struct sim sim = { .options = *options, .result = ret_result };
	struct qs_seam *outer = TAKE(qs_seam, &sim.seam);

	*ret_result = (struct qs_sim_result){ .digest = DIGEST_BEGIN };
	sim.seam.fail_at = options->fail_at;
	sim.seam.random = MAX(options->seed, 1U) * UINT64_C(0x9e3779b97f4a7c15);
	int r = make_runtime(&sim);
	if (r == 0)
		r = set_up(sim.runtime, arg);
	if (r >= 0)
		run_to_the_end(&sim);
	qs_runtime_free(sim.runtime);
	ret_result->chances = sim.seam.chances;
	ret_result->refused = sim.seam.refused;
	ret_result->memory_left = sim.seam.live;
	qs_seam = outer;
	return MIN(r, 0);
}
