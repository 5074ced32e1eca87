/*
 * The way to the daemon: finds its socket, sends requests, and turns whatever goes wrong into one
 * text on standard error and an exit status.
 */
#ifndef QUIESCECTL_CLIENT_H
#define QUIESCECTL_CLIENT_H

#include <jansson.h>

#include "daemon/ctl/ctl.h"
#include "lib/http_unix.h"

/* Decides where the socket is and makes ctl->http. Connects nothing yet. */
enum ctl_status client_open(struct ctl *ctl);
void client_close(struct ctl *ctl);

/* What a failed request means, told on standard error. */
enum ctl_status client_explain(const struct ctl *ctl, int error);

/* Sends a request, telling `doing` while it takes long (may be NULL). Errors as qs_http_unix_perform's.
 */
QS_MUST_CHECK int client_try(struct ctl *ctl, const struct qs_http_unix_request *request,
        const char *doing, struct qs_http_unix_response *ret_response);

/* The same, with what fails explained. */
enum ctl_status client_perform(struct ctl *ctl, const struct qs_http_unix_request *request,
        const char *doing, struct qs_http_unix_response *ret_response);

/* The exit status that the HTTP status asks for; tells why if it is a refusal. `what`: of what. */
enum ctl_status client_judge(
        const struct ctl *ctl, const struct qs_http_unix_response *response, const char *what);

/* Reads the answer's JSON; told if it is none. */
enum ctl_status client_read(const struct qs_http_unix_response *response, json_t **ret_json);

/*
 * All of it for a GET. With --json the answer is printed as it is and `*ret_json` is NULL. `what`:
 * as the problem is told.
 */
enum ctl_status client_get(struct ctl *ctl, const char *path, const char *what, json_t **ret_json);

/* Prints a body as it is, on a line of its own. */
void client_print_body(const struct qs_http_unix_response *response);

/* PREFIX NAME SUFFIX, with whatever is odd in the name escaped. NULL: no memory. */
char *client_path(const char *prefix, const char *name, const char *suffix);

static inline void json_freep(json_t **json)
{
	json_decref(*json);
}

#endif
