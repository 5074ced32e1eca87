/* What no key can tell by itself: keys that contradict each other. */
#include <stdio.h>
#include <string.h>

#include "daemon/config_internal.h"

struct mark source_mark(const struct source *source, const char *path)
{
	const struct schema_key *key = schema_find(path);
	return key ? source->keys[schema_index(key)] : (struct mark){ 0 };
}

static bool is_said(struct mark mark)
{
	return mark.line > 0;
}

static int check_shutdown(struct reader *reader)
{
	const struct shutdown_plan *plan = &reader->config->shutdown;
	char drain[64], deadline[64];
	struct mark mark = source_mark(&reader->source, "shutdown.drain");
	if (plan->drain == 0 || plan->drain < plan->deadline)
		return 0;
	return problem_add(reader, mark,
	        "shutdown.drain: %s leaves no time to stop: it is counted in shutdown.deadline "
	        "(%s); make it shorter than that",
	        span_format(plan->drain, drain, sizeof(drain)),
	        span_format(plan->deadline, deadline, sizeof(deadline)));
}

/* Of several keys of a worker the first that was said. */
static struct mark first_said(
        const struct source *source, const char *const *paths, struct mark otherwise)
{
	for (; *paths; paths++) {
		struct mark mark = source_mark(source, *paths);
		if (is_said(mark))
			return mark;
	}
	return otherwise;
}

static int check_restart(
        struct reader *reader, struct worker_config *worker, const struct source *source)
{
	struct mark mark = source_mark(source, "workers.NAME.restart");
	if (!is_said(mark)) {
		worker->restart = worker->when == WHEN_ALWAYS ? RESTART_ON_FAILURE : RESTART_NEVER;
		return 0;
	}
	if (worker->when == WHEN_ONCE && worker->restart == RESTART_ALWAYS)
		return problem_add(reader, mark,
		        "workers.%s.restart: 'always' is refused with when: once: write "
		        "on-failure or never",
		        worker->name);
	if (worker->when == WHEN_CALL)
		return problem_add(reader, mark,
		        "workers.%s.restart: is refused with when: call, where a call is made "
		        "again by http.retry: leave it out",
		        worker->name);
	if (worker->when != WHEN_EVERY)
		return 0;
	worker->restart = RESTART_NEVER;
	return problem_add(reader, mark,
	        "workers.%s.restart: is refused with when: every, where a failure waits for the "
	        "next slot: leave it out",
	        worker->name);
}

static int check_unused(
        struct reader *reader, const struct worker_config *worker, const struct source *source)
{
	static const char *const paths[] = { "workers.NAME.backoff.base",
		"workers.NAME.backoff.cap", "workers.NAME.backoff.reset_after",
		"workers.NAME.limit.count", "workers.NAME.limit.within", NULL };
	struct mark mark = first_said(source, paths, (struct mark){ 0 });
	if (worker->restart != RESTART_NEVER || !is_said(mark))
		return 0;
	return warning_add(reader, mark,
	        "workers.%s: backoff and limit have no effect: it is never restarted",
	        worker->name);
}

static int check_backoff(
        struct reader *reader, const struct worker_config *worker, const struct source *source)
{
	static const char *const backoff_paths[] = { "workers.NAME.backoff.cap",
		"workers.NAME.backoff.base", NULL };
	static const char *const limit_paths[] = { "workers.NAME.limit.count",
		"workers.NAME.limit.within", "workers.NAME.backoff.base",
		"workers.NAME.backoff.cap", NULL };
	const struct qs_backoff_plan *plan = &worker->backoff;
	char base[64], cap[64];
	if (plan->cap < plan->base)
		return problem_add(reader, first_said(source, backoff_paths, worker->mark),
		        "workers.%s.backoff: cap (%s) is below base (%s): raise cap or lower base",
		        worker->name, span_format(plan->cap, cap, sizeof(cap)),
		        span_format(plan->base, base, sizeof(base)));
	if (worker->restart == RESTART_NEVER || worker->limit.count == 0 ||
	        qs_backoff_can_reach(plan, worker->limit.count, worker->limit.within))
		return 0;
	return warning_add(reader, first_said(source, limit_paths, worker->mark),
	        "workers.%s.limit: %u restarts can never come within %s with this backoff, so it "
	        "is restarted for ever: lower limit.count, raise limit.within or lower backoff.cap",
	        worker->name, worker->limit.count,
	        span_format(worker->limit.within, cap, sizeof(cap)));
}

static int check_ready(
        struct reader *reader, const struct worker_config *worker, const struct source *source)
{
	struct mark mark = source_mark(source, "workers.NAME.ready.timeout");
	if (worker->ready_notify || !is_said(mark))
		return 0;
	return problem_add(reader, mark,
	        "workers.%s.ready.timeout: means nothing without ready.notify: true: add that, or "
	        "leave it out",
	        worker->name);
}

/* The first key that is said of those below a section. */
static struct mark mark_below(const struct source *source, const char *section)
{
	size_t length = strlen(section);
	for (size_t i = 0; i < schema_count(); i++) {
		const char *path = schema_row(i)->path;
		if (strncmp(path, section, length) == 0 && path[length] == '.' &&
		        is_said(source->keys[i]))
			return source->keys[i];
	}
	return (struct mark){ 0 };
}

/* Exactly one of exec, module and http. */
static int check_what(
        struct reader *reader, const struct worker_config *worker, const struct source *source)
{
	struct mark exec = source_mark(source, "workers.NAME.exec");
	struct mark module = mark_below(source, "workers.NAME.module");
	struct mark http = mark_below(source, "workers.NAME.http");
	if (!is_said(exec) && !is_said(module) && !is_said(http))
		return problem_add(reader, worker->mark,
		        "workers.%s: has no exec: say what to run, such as exec: "
		        "[/usr/bin/program, argument]; or what to ask, such as http: {url: "
		        "\"https://HOST/\"}",
		        worker->name);
	if (is_said(module) && (is_said(exec) || is_said(http)))
		return problem_add(reader, module,
		        "workers.%s.module: it has an %s too, and runs one of them only: leave one "
		        "out",
		        worker->name, is_said(exec) ? "exec" : "http");
	if (is_said(http) && is_said(exec))
		return problem_add(reader, http,
		        "workers.%s.http: it has an exec too, and runs one of them only: leave one "
		        "out",
		        worker->name);
	if (is_said(module) && !is_said(source_mark(source, "workers.NAME.module.path")))
		return problem_add(reader, module,
		        "workers.%s.module: has no path: say which shared object, such as path: "
		        "/usr/lib/quiesced/worker.so",
		        worker->name);
	if (is_said(http) && !is_said(source_mark(source, "workers.NAME.http.url")))
		return problem_add(reader, http,
		        "workers.%s.http: has no url: say what to ask, such as url: "
		        "\"https://HOST/\"",
		        worker->name);
	return 0;
}

static int check_worker(
        struct reader *reader, struct worker_config *worker, const struct source *source)
{
	int r = check_what(reader, worker, source);
	if (r == 0)
		r = check_restart(reader, worker, source);
	if (r == 0)
		r = check_unused(reader, worker, source);
	if (r == 0)
		r = check_backoff(reader, worker, source);
	if (r == 0)
		r = check_ready(reader, worker, source);
	return r < 0 ? r : config_check_http(reader, worker, source);
}

int config_check(struct reader *reader)
{
	int r = check_shutdown(reader);
	for (size_t i = 0; r == 0 && i < reader->config->worker_count; i++)
		r = check_worker(reader, &reader->config->workers[i], &reader->worker_sources[i]);
	return r < 0 ? r : config_check_names(reader);
}
