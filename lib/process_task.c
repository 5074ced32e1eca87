/*
 * Processes as the users of the library have them. The reaper is made for the first of them; it
 * waits for its own children only, and makes no cgroups: both are a daemon's business.
 */
#include <quiesce/process.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/process.h"

struct program {
	struct qs_process *process;
	struct qs_task_terms terms;
	void (*output)(qs_task *task, const char *data, size_t size, void *arg);
	int (*answer)(qs_task *task, const char *data, size_t size, void *arg);
	void *arg;
};

static void program_ended(
        struct qs_task *task _unused_, enum qs_verdict verdict _unused_, void *arg)
{
	struct program *program = arg;

	qs_process_free(program->process);
	free(program);
}

static void program_output(struct qs_process *process, const char *data, size_t size, void *arg)
{
	const struct program *program = arg;

	program->output(qs_process_task(process), data, size, program->arg);
}

static int program_answer(struct qs_process *process, const char *data, size_t size, void *arg)
{
	const struct program *program = arg;

	return program->answer(qs_process_task(process), data, size, program->arg);
}

static int need_reaper(struct qs_context *context)
{
	const struct qs_reaper_options options = { .no_cgroups = true };

	if (context->clock->is_virtual)
		return -ENOTSUP;
	return context->reaper ? 0 : qs_reaper_new(context, &options, &context->reaper);
}

static struct qs_ladder ladder_of(const struct qs_task_options *options)
{
	struct qs_ladder ladder = { QS_FOREVER, QS_FOREVER };

	if (options->stop_deadline > 0)
		ladder.deadline = options->stop_deadline;
	if (options->cancel_grace > 0)
		ladder.cancel_grace = options->cancel_grace;
	return ladder;
}

static int start(struct program *program, qs_group *group, const struct qs_task_options *options,
        const struct qs_program *what, bool joinable)
{
	const struct qs_process_options process = {
		.task = { .name = options->name,
		        .terms = &program->terms,
		        .arg = program,
		        .joinable = joinable },
		.argv = what->argv,
		.environment = what->environment ? what->environment : environ,
		.working_directory = what->working_directory,
		.umask = -1,
		.stop_signal = what->stop_signal,
		.cancel_signal = what->cancel_signal,
		.input = what->input,
		.input_size = what->input_size,
		.events = { .output = what->output ? program_output : NULL,
		        .answer = what->answer ? program_answer : NULL },
		.arg = program,
	};

	program->terms =
	        (struct qs_task_terms){ .ladder = ladder_of(options), .ended = program_ended };
	program->output = what->output;
	program->answer = what->answer;
	program->arg = what->arg;
	return qs_process_start(group->context->reaper, group, &process, &program->process, NULL);
}

int qs_spawn_process(qs_group *group, const struct qs_task_options *options,
        const struct qs_program *what, qs_task **ret_task)
{
	static const struct qs_task_options defaults;
	int r = what->argv && what->argv[0] ? need_reaper(group->context) : -EINVAL;

	if (r < 0)
		return r;
	struct program *program = calloc(1, sizeof(*program));
	if (!program)
		return -ENOMEM;
	r = start(program, group, options ? options : &defaults, what, ret_task != NULL);
	if (r < 0) {
		free(program);
		return r;
	}
	if (ret_task)
		*ret_task = qs_process_task(program->process);
	return 0;
}
