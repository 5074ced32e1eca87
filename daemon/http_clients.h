/*
 * The HTTP clients of the daemon: one for each set of certificates that workers trust, shared by
 * all that trust the same. Loop thread only.
 */
#ifndef QUIESCED_HTTP_CLIENTS_H
#define QUIESCED_HTTP_CLIENTS_H

#include <quiesce/http.h>

#include "lib/list.h"
#include "lib/macro.h"

struct http_clients {
	struct qs_group *group;
	struct list clients;
};

void http_clients_init(struct http_clients *clients, struct qs_group *group);

/* Nobody may use one of them any more: connections close after the tasks that use them. */
void http_clients_done(struct http_clients *clients);

/* The client that trusts these certificates (NULL: the system's), made if there is none. It lasts
 * until http_clients_done. Errors of qs_http_new. */
QS_MUST_CHECK int http_clients_get(
        struct http_clients *clients, const char *ca_file, qs_http **ret_http);

/* What such an error means, for people. Returns `buffer`. */
const char *http_clients_explain(int error, const char *ca_file, char *buffer, size_t size);

#endif
