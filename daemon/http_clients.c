/* HTTP clients by the certificates they trust. */
#include "daemon/http_clients.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client {
	struct list node;
	qs_http *http;
	char *ca_file; /* "": the system's */
};

void http_clients_init(struct http_clients *clients, struct qs_group *group)
{
	clients->group = group;
	list_init(&clients->clients);
}

static void client_free(struct client *client)
{
	qs_http_free(client->http);
	free(client->ca_file);
	free(client);
}

void http_clients_done(struct http_clients *clients)
{
	list_for_each (node, &clients->clients) {
		list_remove(node);
		client_free(list_entry(node, struct client, node));
	}
}

static int client_new(struct http_clients *clients, const char *ca_file, struct client **ret_client)
{
	const struct qs_http_options options = {
		.ca_file = *ca_file ? ca_file : NULL,
		.user_agent = "quiesced/" QUIESCE_VERSION,
	};
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	client->ca_file = strdup(ca_file);
	int r = client->ca_file ? qs_http_new(clients->group, &options, &client->http) : -ENOMEM;
	if (r < 0) {
		client_free(client);
		return r;
	}
	list_append(&clients->clients, &client->node);
	*ret_client = client;
	return 0;
}

int http_clients_get(struct http_clients *clients, const char *ca_file, qs_http **ret_http)
{
	struct client *client = NULL;
	int r = 0;

	if (!ca_file)
		ca_file = "";
	list_for_each (node, &clients->clients)
		if (strcmp(list_entry(node, struct client, node)->ca_file, ca_file) == 0)
			client = list_entry(node, struct client, node);
	if (!client)
		r = client_new(clients, ca_file, &client);
	if (r == 0)
		*ret_http = client->http;
	return r;
}

const char *http_clients_explain(int error, const char *ca_file, char *buffer, size_t size)
{
	if (error == -ELIBACC)
		snprintf(buffer, size,
		        "libcurl.so.4 cannot be loaded: install libcurl 7.85 or newer");
	else if (error == -ENOENT && ca_file)
		snprintf(buffer, size, "%s: %s", strerror(-error), ca_file);
	else
		snprintf(buffer, size, "%s", strerror(-error));
	return buffer;
}
