/* Where the daemon is, how to ask it, and what to say when it does not answer well. */
#include "daemon/ctl/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "lib/macro.h"

#define DEFAULT_SOCKET "/run/quiesced/control.sock"
#define PATIENCE       (10 * QS_SEC)

/* Only what is surely not there is passed over: a socket that we may not see is the daemon's. */
static bool is_absent(const char *path)
{
	return access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

static int find_socket(struct ctl *ctl)
{
	const char *named = getenv("QUIESCED_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");

	ctl->socket = DEFAULT_SOCKET;
	if (ctl->options.socket)
		ctl->socket = ctl->options.socket;
	else if (named && *named)
		ctl->socket = named;
	else if (is_absent(DEFAULT_SOCKET) && runtime && *runtime) {
		if (asprintf(&ctl->socket_text, "%s/quiesced/control.sock", runtime) < 0) {
			ctl->socket_text = NULL;
			return -ENOMEM;
		}
		ctl->socket = ctl->socket_text;
	}
	return 0;
}

enum ctl_status client_open(struct ctl *ctl)
{
	int r = find_socket(ctl);

	if (r >= 0)
		r = qs_http_unix_new(ctl->socket, &ctl->http);
	return r < 0 ? client_explain(ctl, r) : CTL_OK;
}

void client_close(struct ctl *ctl)
{
	qs_http_unix_free(TAKE(ctl->http, NULL));
	free(TAKE(ctl->socket_text, NULL));
}

enum ctl_status client_explain(const struct ctl *ctl, int error)
{
	switch (-error) {
	case ENOENT:
	case ENOTDIR:
		ctl_complain("quiesced is not running: there is no %s", ctl->socket);
		return CTL_NOT_RUNNING;
	case ECONNREFUSED:
		ctl_complain("quiesced is not running: nobody listens at %s", ctl->socket);
		return CTL_NOT_RUNNING;
	case EACCES:
	case EPERM:
		ctl_complain("no permission to talk to quiesced at %s", ctl->socket);
		return CTL_REFUSED;
	case ETIMEDOUT:
		ctl_complain("quiesced does not answer at %s", ctl->socket);
		return CTL_FAILURE;
	case ECONNRESET:
		ctl_complain("quiesced hung up before the answer was complete");
		return CTL_FAILURE;
	case EBADMSG:
		ctl_complain("what answers at %s does not speak HTTP", ctl->socket);
		return CTL_FAILURE;
	case EPIPE: /* whoever read our output has seen enough */
		return CTL_OK;
	}
	ctl_complain("%s: %s", ctl->socket, strerror(-error));
	return CTL_FAILURE;
}

static int on_tick(void *arg)
{
	progress_tick(arg);
	return 0;
}

int client_try(struct ctl *ctl, const struct qs_http_unix_request *request, const char *doing,
        struct qs_http_unix_response *ret_response)
{
	struct qs_http_unix_request own = *request;
	struct progress progress;
	int r;

	progress_begin(&progress, doing);
	if (!own.tick) {
		own.tick = on_tick;
		own.arg = &progress;
	}
	if (own.deadline == 0)
		own.deadline = qs_time_add(qs_time_now(), PATIENCE);
	r = qs_http_unix_perform(ctl->http, &own, ret_response);
	progress_end(&progress);
	return r;
}

enum ctl_status client_perform(struct ctl *ctl, const struct qs_http_unix_request *request,
        const char *doing, struct qs_http_unix_response *ret_response)
{
	int r = client_try(ctl, request, doing, ret_response);

	return r < 0 ? client_explain(ctl, r) : CTL_OK;
}

static enum ctl_status status_of(long http_status)
{
	if (http_status < 300)
		return CTL_OK;
	switch (http_status) {
	case 404:
		return CTL_NOT_FOUND;
	case 403:
	case 409:
	case 422:
	case 429:
		return CTL_REFUSED;
	}
	return CTL_FAILURE;
}

/* A problem's own words: its detail, and the list of errors that a reload brings along. */
static void tell_problem(const char *what, const struct qs_http_unix_response *response)
{
	_cleanup_(json_freep) json_t *problem = json_loadb(response->body, response->size, 0, NULL);
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	json_t *errors = json_object_get(problem, "errors"), *error;
	size_t i;

	if (!detail)
		detail = json_string_value(json_object_get(problem, "title"));
	if (detail)
		ctl_complain("%s: %s", what, detail);
	else
		ctl_complain("%s: the daemon answers with HTTP status %ld", what, response->status);
	if (json_is_string(errors))
		ctl_complain("%s", json_string_value(errors));
	json_array_foreach (errors, i, error)
		if (json_is_string(error))
			ctl_complain("%s", json_string_value(error));
}

enum ctl_status client_judge(
        const struct ctl *ctl, const struct qs_http_unix_response *response, const char *what)
{
	enum ctl_status status = status_of(response->status);

	if (status == CTL_OK)
		return CTL_OK;
	if (ctl->options.json)
		client_print_body(response);
	tell_problem(what, response);
	return status;
}

enum ctl_status client_read(const struct qs_http_unix_response *response, json_t **ret_json)
{
	json_error_t error;
	json_t *json = json_loadb(response->body, response->size, JSON_DECODE_ANY, &error);

	if (!json) {
		ctl_complain("the daemon's answer is no JSON: %s", error.text);
		return CTL_FAILURE;
	}
	*ret_json = json;
	return CTL_OK;
}

enum ctl_status client_get(struct ctl *ctl, const char *path, const char *what, json_t **ret_json)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	_cleanup_(json_freep) json_t *json = NULL;
	enum ctl_status status;

	status = client_perform(ctl,
	        &(struct qs_http_unix_request){ .method = "GET", .path = path }, NULL, &response);
	if (status == CTL_OK)
		status = client_judge(ctl, &response, what);
	if (status == CTL_OK)
		status = client_read(&response, &json);
	if (status != CTL_OK)
		return status;
	if (ctl->options.json)
		client_print_body(&response);
	*ret_json = ctl->options.json ? NULL : TAKE(json, NULL);
	return CTL_OK;
}

void client_print_body(const struct qs_http_unix_response *response)
{
	fwrite(response->body, 1, response->size, stdout);
	if (response->size > 0 && response->body[response->size - 1] != '\n')
		fputc('\n', stdout);
}

char *client_path(const char *prefix, const char *name, const char *suffix)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "0123456789_.@-~";
	char *path = malloc(strlen(prefix) + 3 * strlen(name) + strlen(suffix) + 1), *end;

	if (!path)
		return NULL;
	end = stpcpy(path, prefix);
	for (; *name; name++)
		if (strchr(plain, *name))
			*end++ = *name;
		else
			end += sprintf(end, "%%%02X", (unsigned char)*name);
	strcpy(end, suffix);
	return path;
}
