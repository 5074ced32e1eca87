/*
 * The table of requests, how one finds its place in it, and the handlers that concern the daemon as
 * a whole.
 */
#include "daemon/routes.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/metrics.h"
#include "daemon/view.h"

#define MOVE_TIME QS_SEC /* for a request to reach the guard and come back */

static void route_livez(struct request *request);
static void route_readyz(struct request *request);
static void route_metrics(struct request *request);
static void route_status(struct request *request);
static void route_events(struct request *request);
static void route_last_shutdown(struct request *request);
static void route_drain(struct request *request);
static void route_resume(struct request *request);
static void route_reload(struct request *request);
static void route_shutdown(struct request *request);

static const struct route routes[] = {
	{ METHOD_GET, "/livez", ROUTE_READS, route_livez },
	{ METHOD_GET, "/readyz", ROUTE_READS, route_readyz },
	{ METHOD_GET, "/metrics", ROUTE_READS, route_metrics },
	{ METHOD_GET, "/v1/status", ROUTE_READS, route_status },
	{ METHOD_GET, "/v1/workers", ROUTE_READS, route_worker_list },
	{ METHOD_GET, "/v1/workers/*", ROUTE_READS, route_worker_show },
	{ METHOD_POST, "/v1/workers/*/start", ROUTE_CHANGES, route_worker_start },
	{ METHOD_POST, "/v1/workers/*/stop", ROUTE_CHANGES, route_worker_stop },
	{ METHOD_POST, "/v1/workers/*/restart", ROUTE_CHANGES, route_worker_restart },
	{ METHOD_POST, "/v1/workers/*/call", ROUTE_CALLS, route_call },
	{ METHOD_GET, "/v1/calls", ROUTE_READS, route_call_list },
	{ METHOD_GET, "/v1/calls/*", ROUTE_READS, route_call_show },
	{ METHOD_DELETE, "/v1/calls/*", ROUTE_CALLS, route_call_cancel },
	{ METHOD_GET, "/v1/calls/*/answer", ROUTE_READS, route_call_answer },
	{ METHOD_GET, "/v1/events", ROUTE_READS, route_events },
	{ METHOD_GET, "/v1/shutdowns/last", ROUTE_READS, route_last_shutdown },
	{ METHOD_POST, "/v1/drain", ROUTE_CHANGES, route_drain },
	{ METHOD_POST, "/v1/resume", ROUTE_CHANGES, route_resume },
	{ METHOD_POST, "/v1/reload", ROUTE_CHANGES, route_reload },
	{ METHOD_POST, "/v1/shutdown", ROUTE_CHANGES, route_shutdown },
};

/* --- finding the place --- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-encoding; NUL cannot be written so. The length, -EINVAL, -ENOBUFS. */
static int decode(const char *text, size_t length, bool plus_is_space, char *buffer, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		int c = (unsigned char)text[i];

		if (c == '+' && plus_is_space)
			c = ' ';
		if (c == '%') {
			int high = i + 2 < length ? hex_value(text[i + 1]) : -1;
			int low = i + 2 < length ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0 || high + low == 0)
				return -EINVAL;
			c = high * 16 + low;
			i += 2;
		}
		if (used + 1 >= size)
			return -ENOBUFS;
		buffer[used++] = (char)c;
	}
	buffer[used] = '\0';
	return (int)used;
}

int query_get(const char *query, const char *key, char *buffer, size_t size)
{
	size_t key_length = strlen(key);

	while (*query) {
		size_t length = strcspn(query, "&");
		size_t name = strcspn(query, "&=");

		if (name == key_length && memcmp(query, key, name) == 0) {
			size_t skip = name < length ? name + 1 : name;
			int r = decode(query + skip, length - skip, true, buffer, size);

			return r < 0 ? r : 1;
		}
		query += length + (query[length] == '&');
	}
	return 0;
}

static const char *method_name(enum method method)
{
	switch (method) {
	case METHOD_GET:
		return "GET";
	case METHOD_POST:
		return "POST";
	case METHOD_DELETE:
		return "DELETE";
	case METHOD_OTHER:
		break;
	}
	return "?";
}

/* The argument is touched only if all of the path fits. */
static bool path_matches(const char *pattern, const char *path, char *argument, size_t size)
{
	const char *star = strchr(pattern, '*');

	if (!star)
		return strcmp(pattern, path) == 0;
	size_t before = (size_t)(star - pattern);
	if (strncmp(pattern, path, before) != 0)
		return false;
	size_t length = strcspn(path + before, "/");
	if (length == 0 || strcmp(star + 1, path + before + length) != 0)
		return false;
	return decode(path + before, length, false, argument, size) >= 0;
}

/* `methods` is a set of what a path knows. */
static const char *allow_of(unsigned methods)
{
	static const char *const names[] = { NULL, "GET, HEAD", "POST", "GET, HEAD, POST", "DELETE",
		"GET, HEAD, DELETE", "POST, DELETE", "GET, HEAD, POST, DELETE" };

	return names[methods];
}

static const struct route *find_route(struct request *request, const char **ret_allow)
{
	unsigned methods = 0;

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!path_matches(routes[i].path, request->path, request->argument,
		            sizeof(request->argument)))
			continue;
		if (routes[i].method == request->method)
			return &routes[i];
		methods |= 1U << routes[i].method;
	}
	*ret_allow = allow_of(methods);
	return NULL;
}

static void answer_no_route(struct request *request, const char *allow)
{
	if (allow)
		answer_wrong_method(request, allow);
	else
		answer_problem(request, 404, "there is nothing at this path");
}

static bool comes_from_here(struct request *request)
{
	if (request->origin)
		answer_problem(request, 403, "requests with an Origin are refused");
	else if (!access_host_is_ours(request->host))
		answer_problem(request, 403,
		        "a foreign Host is refused; accepted are localhost, quiesced, and none at "
		        "all");
	else
		return true;
	return false;
}

static bool may_change(struct request *request)
{
	int r = request->transport->identify(request, &request->peer);

	if (r < 0) {
		answer_problem(request, 403, "cannot tell who asks: %s", strerror(-r));
		return false;
	}
	if (!request->peer.may_change) {
		answer_problem(request, 403,
		        "changes are for root, the daemon's own user and its group, not for uid %u",
		        request->peer.uid);
		return false;
	}
	return true;
}

void routes_dispatch(struct request *request)
{
	const char *allow;

	if (!comes_from_here(request))
		return;
	const struct route *route = find_route(request, &allow);
	if (!route) {
		answer_no_route(request, allow);
		return;
	}
	if (route->kind != ROUTE_READS) {
		if (!may_change(request))
			return;
		if (route->kind == ROUTE_CHANGES)
			log_event(LOG_LEVEL_INFO, &(struct log_fields){ .event = LOG_CONTROL },
			        "control: %s %s from uid %u, pid %d", method_name(request->method),
			        request->path, request->peer.uid, (int)request->peer.pid);
	}
	route->handle(request);
}

/* --- health --- */

static void route_livez(struct request *request)
{
	answer_text(request, 200, "ok\n");
}

static void write_checks(const struct daemon *daemon, FILE *out)
{
	enum qs_phase phase = qs_coordinator_phase(&daemon->coordinator);

	if (phase == QS_PHASE_RUNNING)
		fprintf(out, "[+]phase ok\n");
	else
		fprintf(out, "[-]phase %s\n", qs_phase_name(phase));
	list_for_each (node, &daemon->fleet.workers) {
		const struct worker *worker = list_entry(node, struct worker, node);

		if (!worker->config->essential)
			continue;
		if (worker_is_satisfied(worker))
			fprintf(out, "[+]%s ok\n", worker->config->name);
		else
			fprintf(out, "[-]%s %s%s%s\n", worker->config->name,
			        worker_state_name(worker->state), *worker->detail ? ": " : "",
			        worker->detail);
	}
}

static void route_readyz(struct request *request)
{
	bool ready = daemon_is_ready(request->daemon);
	int status = ready ? 200 : 503;
	char value[8], *text = NULL;
	size_t size = 0;

	if (query_get(request->query, "verbose", value, sizeof(value)) == 0) {
		answer_text(request, status, ready ? "ok\n" : "not ready\n");
		return;
	}
	FILE *out = open_memstream(&text, &size);
	if (out) {
		write_checks(request->daemon, out);
		if (fclose(out) != 0)
			free(TAKE(text, NULL));
	}
	answer_owned(request, status, "text/plain; charset=utf-8", text, size);
}

static void route_metrics(struct request *request)
{
	char *text = NULL;
	size_t size = 0;

	if (metrics_write(request->daemon, &text, &size) < 0)
		text = NULL;
	answer_owned(request, 200, METRICS_TYPE, text, size);
}

/* --- reading --- */

static void route_status(struct request *request)
{
	answer_json(request, 200, view_status(request->daemon));
}

static void route_events(struct request *request)
{
	if (request->head)
		answer_owned(request, 200, "application/x-ndjson", strdup(""), 0);
	else
		stream_begin(request, &request->daemon->events);
}

static void route_last_shutdown(struct request *request)
{
	char *text = NULL;
	size_t size = 0;
	int r = state_read_report(&request->daemon->state, &text, &size);

	if (r == -ENOENT)
		answer_problem(request, 404, "there is no report of an earlier shutdown");
	else if (r < 0)
		answer_problem(request, 500, "cannot read the report: %s", strerror(-r));
	else
		answer_owned(request, 200, NULL, text, size);
}

/* --- changing --- */

static void answer_daemon(struct request *request, int status)
{
	answer_json(request, status,
	        json_pack("{s:o, s:o}", "daemon", view_daemon(request->daemon), "shutdown",
	                view_shutdown(request->daemon)));
}

static void route_drain(struct request *request)
{
	if (qs_coordinator_drain(&request->daemon->coordinator) < 0)
		answer_problem(request, 409, "a shutdown is under way");
	else
		answer_daemon(request, 200);
}

static void route_resume(struct request *request)
{
	if (qs_coordinator_resume(&request->daemon->coordinator) < 0)
		answer_problem(request, 409, "a shutdown is under way and cannot be taken back");
	else
		answer_daemon(request, 200);
}

/* One text a line of `lines`. */
static json_t *array_of_lines(const char *lines)
{
	json_t *array = json_array();

	while (array && lines && *lines) {
		size_t length = strcspn(lines, "\n");
		_cleanup_(freep) char *line = strndup(lines, length);

		if (!line || json_array_append_new(array, answer_string(line)) < 0) {
			json_decref(array);
			return NULL;
		}
		lines += length + (lines[length] == '\n');
	}
	return array;
}

static json_t *bad_configuration(const struct config_errors *errors)
{
	json_t *problem =
	        answer_problem_body(422, "the configuration has errors; nothing was changed");
	json_t *lines = array_of_lines(errors->text);

	if (json_object_set_new(problem, "errors", lines) == 0)
		return problem;
	json_decref(problem);
	return NULL;
}

static void route_reload(struct request *request)
{
	_cleanup_(config_errors_done) struct config_errors errors = { 0 };
	struct fleet_change change = { 0 };
	uint64_t span;

	if (wait_parse(request, &span) < 0)
		return;
	int r = daemon_reload(request->daemon, &change, &errors);
	if (r == -EBUSY)
		answer_problem(request, 409, "a shutdown or a drain is under way");
	else if (r == -EBADMSG)
		answer_json(request, 422, bad_configuration(&errors));
	else if (r < 0)
		answer_problem(request, 500, "cannot reload: %s", strerror(-r));
	else
		answer_json(request, 200,
		        json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "added",
		                (json_int_t)change.added, "removed", (json_int_t)change.removed,
		                "changed", (json_int_t)change.changed, "restarted",
		                (json_int_t)change.restarted, "unchanged",
		                (json_int_t)change.unchanged, "warnings",
		                array_of_lines(errors.warnings)));
}

/* The report of this run, once it is written; NULL before, or if that failed. New reference. */
static json_t *report_of_this_run(const struct daemon *daemon)
{
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;

	if (!atomic_load(&daemon->report_claimed) ||
	        state_read_report(&daemon->state, &text, &size) < 0)
		return NULL;
	return json_loadb(text, size, 0, NULL);
}

static bool answer_shutdown(struct request *request, int status)
{
	answer_json(request, status,
	        json_pack("{s:o, s:o, s:o*}", "daemon", view_daemon(request->daemon), "shutdown",
	                view_shutdown(request->daemon), "report",
	                report_of_this_run(request->daemon)));
	return true;
}

/* Over is only what has a report, which is written when the loop has been left. */
static bool shutdown_is_over(
        struct request *request, _unused_ uint64_t mark, enum wait_moment moment)
{
	return moment != WAIT_CHECK && answer_shutdown(request, moment == WAIT_CLOSING ? 200 : 202);
}

/* The request goes by way of the guard: who does not wait is answered when it has moved the phase.
 */
static bool shutdown_has_moved(struct request *request, uint64_t mark, enum wait_moment moment)
{
	enum qs_phase phase = qs_coordinator_phase(&request->daemon->coordinator);

	return (moment != WAIT_CHECK || phase != (enum qs_phase)mark) &&
	       answer_shutdown(request, 202);
}

static void route_shutdown(struct request *request)
{
	enum qs_phase before = qs_coordinator_phase(&request->daemon->coordinator);
	char detail[32];
	uint64_t span;

	if (wait_parse(request, &span) < 0)
		return;
	snprintf(detail, sizeof(detail), "api uid %u", request->peer.uid);
	daemon_shutdown(request->daemon, detail);
	if (span > 0)
		wait_begin(request, span, shutdown_is_over, 0);
	else
		wait_begin(request, MOVE_TIME, shutdown_has_moved, before);
}
