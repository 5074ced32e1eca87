/*
 * The verbs that change something, and health. A wait is one deadline for all that a command names,
 * so that `stop a b c --wait 10s` is back after ten seconds whatever happens.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/render.h"
#include "daemon/ctl/report.h"
#include "daemon/ctl/verbs.h"
#include "lib/macro.h"

/* The daemon itself answers when the wait is over; this is for one that does not. */
#define SLACK (10 * QS_SEC)

/* QS_FOREVER: no wait was asked for. */
static uint64_t wait_deadline(const struct ctl *ctl)
{
	return ctl->options.wait ? qs_time_add(qs_time_now(), ctl->options.wait_span) : QS_FOREVER;
}

/* "?wait=9876ms", or "" without a wait. */
static void wait_query(uint64_t deadline, char *query, size_t size)
{
	uint64_t left = qs_time_sub(deadline, qs_time_now());

	query[0] = '\0';
	if (deadline != QS_FOREVER)
		snprintf(query, size, "?wait=%llums",
		        (unsigned long long)MAX(UINT64_C(1), left / QS_MSEC));
}

/* Posts to a path; `what` names it in what is told. */
static int send_post(struct ctl *ctl, const char *path, const char *what, uint64_t deadline,
        struct qs_http_unix_response *ret_response)
{
	const char *doing = ctl->options.verb->doing;
	_cleanup_(freep) char *text = NULL;

	if (doing && asprintf(&text, "%s %s", doing, what) < 0)
		return -ENOMEM;
	return client_try(ctl,
	        &(struct qs_http_unix_request){ .method = "POST",
	                .path = path,
	                .deadline = deadline == QS_FOREVER ? 0 : qs_time_add(deadline, SLACK) },
	        text, ret_response);
}

/* With --json the answer is printed. */
static enum ctl_status conclude_post(const struct ctl *ctl, const char *what, bool waited,
        const struct qs_http_unix_response *response)
{
	enum ctl_status status = client_judge(ctl, response, what);

	if (status != CTL_OK)
		return status;
	if (ctl->options.json)
		client_print_body(response);
	if (!waited || response->status != 202)
		return CTL_OK;
	ctl_complain("%s: not done yet, the wait is over", what);
	return CTL_TIMED_OUT;
}

/* --- workers --- */

/* "● ticker running, pid 4711" */
static enum ctl_status tell_worker(
        const struct ctl *ctl, const struct qs_http_unix_response *response)
{
	const struct style *style = &ctl->style;
	_cleanup_(json_freep) json_t *worker = NULL;
	enum ctl_status status = client_read(response, &worker);
	const char *state, *detail;
	uint64_t pid;

	if (status != CTL_OK)
		return status;
	state = field_text(worker, "state");
	detail = field_text(worker, "detail");
	pid = field_unsigned(worker, "pid");
	if (style->terminal) {
		style_put(style, stdout, state_tone(state), state_symbol(style, state));
		fputc(' ', stdout);
	}
	style_put(style, stdout, TONE_BOLD, field_text(worker, "name"));
	fputc(' ', stdout);
	style_put(style, stdout, state_tone(state), state);
	if (pid > 0)
		printf(", pid %llu", (unsigned long long)pid);
	if (*detail)
		style_printf(style, stdout, TONE_PLAIN, " (%s)", detail);
	fputc('\n', stdout);
	return CTL_OK;
}

static enum ctl_status change_worker(struct ctl *ctl, const char *name, uint64_t deadline)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	_cleanup_(freep) char *path = NULL;
	char suffix[80], query[48];
	enum ctl_status status;
	int r;

	wait_query(deadline, query, sizeof(query));
	snprintf(suffix, sizeof(suffix), "/%s%s", ctl->options.verb->name, query);
	path = client_path("/v1/workers/", name, suffix);
	if (!path)
		return ctl_out_of_memory();
	r = send_post(ctl, path, name, deadline, &response);
	if (r < 0)
		return client_explain(ctl, r);
	status = conclude_post(ctl, name, deadline != QS_FOREVER, &response);
	if (status != CTL_OK || ctl->options.json)
		return status;
	return tell_worker(ctl, &response);
}

/* One that fails does not keep the others from their turn; the first failure is the exit status. */
enum ctl_status run_worker_change(struct ctl *ctl)
{
	uint64_t deadline = wait_deadline(ctl);
	enum ctl_status result = CTL_OK;

	for (size_t i = 0; i < ctl->options.argument_count; i++) {
		enum ctl_status status = change_worker(ctl, ctl->options.arguments[i], deadline);
		if (result == CTL_OK)
			result = status;
		if (status == CTL_NOT_RUNNING)
			return result;
	}
	return result;
}

/* --- the daemon --- */

static int post_verb(struct ctl *ctl, uint64_t deadline, struct qs_http_unix_response *ret_response)
{
	char path[128], query[48];

	wait_query(deadline, query, sizeof(query));
	snprintf(path, sizeof(path), "/v1/%s%s", ctl->options.verb->name, query);
	return send_post(ctl, path, "quiesced", deadline, ret_response);
}

static void tell_warnings(const json_t *answer)
{
	json_t *warning;
	size_t i;

	json_array_foreach (json_object_get(answer, "warnings"), i, warning)
		if (json_is_string(warning))
			ctl_complain("%s", json_string_value(warning));
}

/* A reload answers with what it did, drain and resume with what the daemon is now. */
enum ctl_status run_daemon_change(struct ctl *ctl)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	_cleanup_(json_freep) json_t *answer = NULL;
	_cleanup_(freep) char *counts = NULL;
	int r = post_verb(ctl, wait_deadline(ctl), &response);
	enum ctl_status status;
	const char *phase;

	if (r < 0)
		return client_explain(ctl, r);
	status = conclude_post(ctl, ctl->options.verb->name, ctl->options.wait, &response);
	if (status == CTL_OK)
		status = client_read(&response, &answer);
	if (status != CTL_OK)
		return status;
	tell_warnings(answer);
	if (ctl->options.json)
		return CTL_OK;
	phase = field_text(json_object_get(answer, "daemon"), "phase");
	counts = counts_text(answer);
	if (*phase)
		style_printf(&ctl->style, stdout, phase_tone(phase), "%s", phase);
	else
		style_printf(&ctl->style, stdout, TONE_PLAIN, "%s done%s%s",
		        ctl->options.verb->name, counts && *counts ? ": " : "",
		        counts ? counts : "");
	fputc('\n', stdout);
	return CTL_OK;
}

/*
 * A descriptor of the daemon's process, from the status: it tells the end for certain, also when
 * systemd goes on listening for it, so that asking again would start a new one. A daemon that is
 * not the one who listens, nor was passed its socket by PID 1, counts its pids in another
 * container: then who listens is the one. -1: not to be had.
 */
static int open_daemon(struct ctl *ctl)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	_cleanup_(json_freep) json_t *status = NULL;
	pid_t pid, peer;

	if (client_try(ctl, &(struct qs_http_unix_request){ .method = "GET", .path = "/v1/status" },
	            NULL, &response) < 0)
		return -1;
	status = json_loadb(response.body, response.size, 0, NULL);
	pid = (pid_t)field_unsigned(json_object_get(status, "daemon"), "pid");
	peer = qs_http_unix_peer(ctl->http);
	if (peer > 1)
		pid = peer;
	return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

/* Until the process is gone. Returns whether it is. */
static bool await_end(int pidfd, uint64_t deadline)
{
	struct pollfd descriptor = { .fd = pidfd, .events = POLLIN };
	struct progress progress;
	int r = 0;

	progress_begin(&progress, "waiting for quiesced to leave");
	while (r == 0 && qs_time_now() < deadline) {
		uint64_t left = qs_time_sub(deadline, qs_time_now()) / QS_MSEC + 1;
		r = poll(&descriptor, 1, (int)MIN(left, UINT64_C(1000)));
		progress_tick(&progress);
	}
	progress_end(&progress);
	return r > 0;
}

static void tell_end(const struct ctl *ctl, const struct qs_http_unix_response *response)
{
	_cleanup_(json_freep) json_t *answer =
	        response->size > 0 ? json_loadb(response->body, response->size, 0, NULL) : NULL;
	const json_t *report = json_object_get(answer, "report");

	if (ctl->options.json)
		return;
	if (json_is_object(report))
		report_print_summary(&ctl->style, report);
	else
		puts(ctl->options.wait ? "quiesced has ended" : "quiesced is shutting down");
}

/* A daemon that leaves while it is being asked has done what was asked of it. */
enum ctl_status run_shutdown(struct ctl *ctl)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	uint64_t deadline = wait_deadline(ctl);
	_cleanup_(closep) int pidfd = ctl->options.wait ? open_daemon(ctl) : -1;
	int r = post_verb(ctl, deadline, &response);
	enum ctl_status status = CTL_OK;

	if (r < 0 && (r != -ECONNRESET || pidfd < 0))
		return client_explain(ctl, r);
	if (r >= 0)
		status = conclude_post(ctl, "shutdown", ctl->options.wait, &response);
	if (status != CTL_OK)
		return status;
	if (pidfd >= 0 && !await_end(pidfd, deadline)) {
		ctl_complain("shutdown: not done yet, the wait is over");
		return CTL_TIMED_OUT;
	}
	tell_end(ctl, &response);
	return CTL_OK;
}

/* --- health --- */

static void print_check(const struct style *style, const char *line)
{
	enum tone tone = strncmp(line, "[+]", 3) == 0   ? TONE_GOOD
	                 : strncmp(line, "[-]", 3) == 0 ? TONE_BAD
	                                                : TONE_PLAIN;

	style_put(style, stdout, tone, line);
	fputc('\n', stdout);
}

/* The daemon's answer is text: with --json it is put into an object. */
static void tell_health(const struct ctl *ctl, const struct qs_http_unix_response *response)
{
	const char *name = ctl->options.live ? "live" : "ready";
	bool well = response->status == 200;
	char *rest = response->body, *line;

	if (ctl->options.json) {
		_cleanup_(json_freep) json_t *answer =
		        json_pack("{s:b, s:s}", name, well, "text", response->body);
		(void)json_dumpf(answer, stdout, JSON_COMPACT);
		fputc('\n', stdout);
		return;
	}
	if (!ctl->options.verbose) {
		style_printf(&ctl->style, stdout, well ? TONE_GOOD : TONE_BAD, "%s%s",
		        well ? "" : "not ", name);
		fputc('\n', stdout);
		return;
	}
	while ((line = strsep(&rest, "\n")))
		if (*line)
			print_check(&ctl->style, line);
}

enum ctl_status run_health(struct ctl *ctl)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	char path[32];

	snprintf(path, sizeof(path), "/%s%s", ctl->options.live ? "livez" : "readyz",
	        ctl->options.verbose ? "?verbose" : "");
	if (client_perform(ctl, &(struct qs_http_unix_request){ .method = "GET", .path = path },
	            NULL, &response) != CTL_OK)
		return CTL_FAILURE;
	if (response.status != 200 && response.status != 503) {
		(void)client_judge(ctl, &response, "health");
		return CTL_FAILURE;
	}
	tell_health(ctl, &response);
	return response.status == 200 ? CTL_OK : CTL_FAILURE;
}
