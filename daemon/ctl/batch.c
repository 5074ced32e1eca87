/*
 * A batch, as fibers over our own library: each takes one line after the other, makes its call and
 * saves the answer. Ctrl+C is the shutdown of the runtime: no new line is begun, calls in flight
 * get a while, a second one cancels them at once. Every line that was begun is then answered,
 * failed, or as if it never had been: the next run takes it up.
 */
#include "daemon/ctl/batch.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/http.h>
#include <quiesce/quiesce.h>

#include "daemon/ctl/batch_output.h"
#include "daemon/ctl/batch_progress.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/render.h"
#include "lib/macro.h"

#define JOBS_DEFAULT 16u
#define LAST_WORDS   (10 * QS_SEC) /* for calls in flight, once it is told to stop */
#define TICK         (200 * QS_MSEC)
#define ANSWER_MAX   (64u << 20)
#define STACK_SIZE   (1u << 20) /* JSON may be deep */
#define LINES_A_TURN 64
#define BACKOFF_BASE (100 * QS_MSEC) /* when too many calls wait already */
#define BACKOFF_CAP  (2 * QS_SEC)

struct batch {
	struct ctl *ctl;
	const char *worker;
	char *url;
	struct batch_input input;
	struct batch_output output;
	struct batch_counts counts;
	struct batch_progress progress;
	qs_runtime *runtime;
	qs_http *http;
	unsigned turn;          /* lines since the loop was last let in */
	bool stopped;           /* nothing new is begun */
	bool interrupted;       /* by a signal */
	enum ctl_status status; /* why it stopped */
};

/* --- its end, before all is done --- */

/* The first reason is told. */
static void stop(struct batch *batch, enum ctl_status status, const char *format, ...)
        _printf_(3, 4);
static void stop(struct batch *batch, enum ctl_status status, const char *format, ...)
{
	char text[512];
	va_list arguments;

	if (batch->stopped)
		return;
	batch->stopped = true;
	batch->status = status;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	batch_progress_clear(&batch->progress);
	ctl_complain("%s", text);
}

static void on_phase(enum qs_phase phase, void *arg)
{
	struct batch *batch = arg;

	batch->interrupted = true;
	if (phase != QS_PHASE_STOPPING || batch->counts.in_flight == 0)
		return;
	batch_progress_clear(&batch->progress);
	ctl_complain("no new calls; %u in flight get %d s; again to end them at once",
	        batch->counts.in_flight, (int)(LAST_WORDS / QS_SEC));
}

static void on_signal(int signo, void *arg)
{
	struct batch *batch = arg;

	if (signo == SIGHUP)
		(void)qs_shutdown(batch->runtime, "hang-up");
}

/* --- a line --- */

static int fail_line(struct batch *batch, const struct batch_line *line, json_t *problem)
{
	int r = problem ? batch_output_fail(&batch->output, line, problem) : -ENOMEM;

	json_decref(problem);
	if (r < 0) {
		stop(batch, CTL_FAILURE, "%s/failed.jsonl: %s", batch->output.path, strerror(-r));
		return r;
	}
	batch->counts.failed++;
	return 0;
}

static int fail_text(struct batch *batch, const struct batch_line *line, const char *text)
{
	return fail_line(batch, line, json_pack("{s:s}", "detail", text));
}

struct saving {
	const struct batch *batch;
	const struct batch_line *line;
	const struct qs_http_response *response;
};

static int save_answer(qs_task *self _unused_, void *arg)
{
	const struct saving *saving = arg;
	const char *type = qs_http_response_header(saving->response, "Content-Type");

	return batch_output_save(&saving->batch->output, saving->line->name, type ? type : "",
	        saving->response->body, saving->response->body_size);
}

/* In a thread: a slow disk holds up its own line only. What has come is saved, also in a cancel. */
static int take_answer(qs_task *self, struct batch *batch, const struct batch_line *line,
        const struct qs_http_response *response)
{
	static const struct qs_call_options options = { .name = "save" };
	struct saving saving = { batch, line, response };
	int r = qs_call_blocking(self, &options, save_answer, &saving, QS_FOREVER);

	if (r >= 0)
		batch->counts.answered++;
	else if (r != -ECANCELED)
		stop(batch, CTL_FAILURE, "%s/%s: %s", batch->output.path, line->name, strerror(-r));
	return r;
}

/* Something else than an answer. A call that the daemon has ended is none that has failed. */
static int take_problem(
        struct batch *batch, const struct batch_line *line, const struct qs_http_response *response)
{
	json_t *problem = json_loadb(response->body, response->body_size, 0, NULL);
	const char *detail = field_text(problem, "detail");
	enum ctl_status status = response->status == 404 ? CTL_NOT_FOUND : CTL_REFUSED;

	switch (response->status) {
	case 503:
		if (*field_text(problem, "verdict"))
			break;
		/* fall through */
	case 403:
	case 404:
	case 409:
		stop(batch, status, "%s: %s", batch->worker, *detail ? detail : "refused");
		break;
	default:
		if (!json_is_object(problem)) {
			json_decref(problem);
			problem = json_pack("{s:i}", "status", response->status);
		}
		return fail_line(batch, line, problem);
	}
	json_decref(problem);
	return 0;
}

/* Returns -EAGAIN if too many calls wait already. */
static int take_response(qs_task *self, struct batch *batch, const struct batch_line *line,
        const struct qs_http_response *response)
{
	if (response->status == 200)
		return take_answer(self, batch, line, response);
	return response->status == 429 ? -EAGAIN : take_problem(batch, line, response);
}

static int call_once(qs_task *self, struct batch *batch, const struct batch_line *line)
{
	static const struct qs_http_header headers[] = { { "Content-Type", "application/json" },
		{ 0 } };
	const struct qs_http_request request = {
		.method = "POST",
		.url = batch->url,
		.headers = headers,
		.body = line->text,
		.body_size = line->size,
		.limits = { .timeout = QS_FOREVER,
		        .idle_timeout = QS_FOREVER,
		        .response_max = ANSWER_MAX },
	};
	struct qs_http_response response;
	int r;

	batch->counts.in_flight++;
	r = qs_http_perform(self, batch->http, &request, QS_FOREVER, &response);
	if (r >= 0)
		r = take_response(self, batch, line, &response);
	else if (r == -EMSGSIZE)
		r = fail_text(batch, line, "the answer has more than 64 MiB");
	else if (r != -ECANCELED)
		stop(batch, r == -ENOENT || r == -ECONNREFUSED ? CTL_NOT_RUNNING : CTL_FAILURE,
		        "quiesced at %s: %s", batch->ctl->socket, strerror(-r));
	batch->counts.in_flight--;
	qs_http_response_done(&response);
	return r;
}

static int call_line(qs_task *self, struct batch *batch, const struct batch_line *line)
{
	uint64_t span = BACKOFF_BASE;
	int r;

	if (line->wrong)
		return fail_text(batch, line, line->wrong);
	while ((r = call_once(self, batch, line)) == -EAGAIN && !batch->stopped) {
		r = qs_sleep(self, qs_in(self, span / 2 + (uint64_t)random() % (span / 2)));
		if (r < 0)
			return r;
		span = MIN(2 * span, BACKOFF_CAP);
	}
	return r;
}

/* --- one line after the other --- */

/* Whether it is one to be called, failed ones included. */
static int look_at_line(struct batch *batch, struct batch_line *line)
{
	unsigned before;
	int r = batch_names_mark(&batch->output.names, line->name, NAME_SEEN, &before);

	if (r < 0)
		return r;
	if (before & NAME_SEEN)
		line->wrong = "another line has the same id";
	else if (before & NAME_ANSWERED)
		batch->counts.before++;
	return (before & NAME_SEEN) || !(before & NAME_ANSWERED);
}

/* 1; 0 when there is none, or none may be begun. Lines that were answered before are passed over,
 * and the loop is let in now and then. */
static int next_line(qs_task *self, struct batch *batch, struct batch_line *ret_line)
{
	int r;

	for (;;) {
		if (++batch->turn % LINES_A_TURN == 0 && qs_yield(self) < 0)
			return 0;
		if (batch->stopped || qs_stopping(self))
			return 0;
		r = batch_input_next(&batch->input, ret_line);
		if (r == 0)
			return 0;
		if (r > 0)
			r = look_at_line(batch, ret_line);
		if (r > 0)
			return 1;
		free(TAKE(ret_line->text, NULL));
		if (r < 0) {
			stop(batch, CTL_FAILURE, "%s: %s", batch->input.path, strerror(-r));
			return 0;
		}
	}
}

static int run_lines(qs_task *self, void *arg)
{
	struct batch *batch = arg;
	struct batch_line line = { 0 };
	int r = 0;

	while (r >= 0 && next_line(self, batch, &line) > 0) {
		r = call_line(self, batch, &line);
		free(TAKE(line.text, NULL));
	}
	return 0;
}

/* --- all of it --- */

/* Shows how far it is until all have ended; that is in flight, so it goes on after the ask. */
static int run_batch(qs_task *self, void *arg)
{
	const struct qs_task_options options = { .name = "line", .stack_size = STACK_SIZE };
	struct batch *batch = arg;
	unsigned jobs = batch->ctl->options.jobs ? batch->ctl->options.jobs : JOBS_DEFAULT;
	qs_group *group;
	int r = qs_group_new(qs_task_group(self), NULL, &group);

	for (unsigned i = 0; r >= 0 && i < jobs; i++)
		r = qs_spawn_fiber(group, &options, run_lines, batch, NULL);
	if (r < 0 && r != -ESHUTDOWN)
		stop(batch, CTL_FAILURE, "cannot begin: %s", strerror(-r));
	do {
		batch_progress_tick(&batch->progress, &batch->counts, qs_time_now());
		r = qs_group_join(self, group, qs_in(self, TICK), NULL);
	} while (r == -ETIMEDOUT);
	return 0;
}

static int set_up(struct batch *batch)
{
	const struct qs_runtime_options options = {
		.plan = { .deadline = LAST_WORDS, .cancel_grace = QS_SEC, .kill_grace = QS_SEC },
		.hooks = { .phase = on_phase, .signalled = on_signal, .arg = batch },
		.keep_quiet = true,
	};
	_cleanup_(freep) char *path = client_path("/v1/workers/", batch->worker, "/call");
	struct qs_http_options client = { .unix_socket = batch->ctl->socket };
	int r;

	client.keep = batch->ctl->options.jobs ? batch->ctl->options.jobs : JOBS_DEFAULT;
	if (!path || asprintf(&batch->url, "http://localhost%s", path) < 0)
		return -ENOMEM;
	r = qs_runtime_new_with(&options, &batch->runtime);
	if (r >= 0)
		r = qs_http_new(qs_root(batch->runtime), &client, &batch->http);
	if (r >= 0)
		r = qs_spawn_fiber(qs_root(batch->runtime),
		        &(struct qs_task_options){ .name = "batch" }, run_batch, batch, NULL);
	return r;
}

static void tear_down(struct batch *batch)
{
	qs_http_free(batch->http);
	qs_runtime_free(batch->runtime);
	batch_output_close(&batch->output);
	batch_input_close(&batch->input);
	free(batch->url);
}

static void tell_json(const struct batch *batch, uint64_t left)
{
	const struct batch_counts *counts = &batch->counts;
	_cleanup_(json_freep) json_t *summary = json_pack(
	        "{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:f}", "worker", batch->worker, "lines",
	        (json_int_t)counts->lines, "answered_before", (json_int_t)counts->before,
	        "answered", (json_int_t)counts->answered, "failed", (json_int_t)counts->failed,
	        "left", (json_int_t)left, "interrupted", batch->interrupted, "seconds",
	        (double)(qs_time_now() - batch->progress.began_at) / (double)QS_SEC);

	(void)json_dumpf(summary, stdout, JSON_COMPACT | JSON_REAL_PRECISION(4));
	fputc('\n', stdout);
}

/* "1000 lines: 990 answered (400 of them before), 10 failed, 0 left" */
static void tell_text(const struct batch *batch, uint64_t left)
{
	const struct batch_counts *counts = &batch->counts;

	printf("%" PRIu64 " lines: %" PRIu64 " answered", counts->lines,
	        counts->before + counts->answered);
	if (counts->before > 0)
		printf(" (%" PRIu64 " of them before)", counts->before);
	printf(", %" PRIu64 " failed, %" PRIu64 " left\n", counts->failed, left);
	if (counts->failed > 0)
		printf("What has failed is in %s/failed.jsonl; the same command tries it again.\n",
		        batch->output.path);
	if (left > 0)
		printf("The same command goes on with what is left.\n");
}

static enum ctl_status conclude(struct batch *batch)
{
	const struct batch_counts *counts = &batch->counts;
	uint64_t over = counts->before + counts->answered + counts->failed;
	uint64_t left = counts->lines > over ? counts->lines - over : 0;

	batch_progress_tick(&batch->progress, counts, qs_time_now());
	batch_progress_clear(&batch->progress);
	if (batch_input_changed(&batch->input))
		ctl_complain("%s has changed meanwhile", batch->input.path);
	if (batch->ctl->options.json)
		tell_json(batch, left);
	else
		tell_text(batch, left);
	if (batch->status != CTL_OK)
		return batch->status;
	return counts->failed > 0 || left > 0 ? CTL_FAILURE : CTL_OK;
}

/* The worker is asked for first, so that a wrong name makes no directory. */
static enum ctl_status prepare(struct batch *batch)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	_cleanup_(freep) char *path = client_path("/v1/workers/", batch->worker, "");
	const struct options *options = &batch->ctl->options;
	enum ctl_status status;
	int r;

	if (!path)
		return ctl_out_of_memory();
	status = client_perform(batch->ctl,
	        &(struct qs_http_unix_request){ .method = "GET", .path = path }, NULL, &response);
	if (status == CTL_OK)
		status = client_judge(batch->ctl, &response, batch->worker);
	if (status != CTL_OK)
		return status;
	r = batch_input_open(&batch->input, options->batch);
	if (r < 0) {
		ctl_complain("%s: %s", options->batch,
		        r == -EINVAL ? "the lines of a batch stand in a file" : strerror(-r));
		return CTL_USAGE;
	}
	batch->counts.lines = batch->input.lines;
	return batch_output_open(&batch->output, options, batch->worker, &batch->input);
}

enum ctl_status batch_run(struct ctl *ctl, const char *worker)
{
	struct batch batch = {
		.ctl = ctl, .worker = worker, .output = { .fd = -1, .failed_fd = -1 }
	};
	enum ctl_status status = prepare(&batch);
	int r;

	if (status == CTL_OK) {
		if (batch.output.failed_before > 0)
			ctl_complain("%" PRIu64 " lines that failed before are tried again",
			        batch.output.failed_before);
		batch_progress_begin(&batch.progress, qs_time_now());
		r = set_up(&batch);
		if (r < 0)
			status = client_explain(ctl, r);
		else if (qs_run(batch.runtime) >= 0)
			status = conclude(&batch);
	}
	tear_down(&batch);
	return status;
}
