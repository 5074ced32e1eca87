/*
 * Transfers: what is the same for all requests, and what differs.
 *
 * While one is paused libcurl keeps what has come already: with HTTP/2 that is a window of 32 MiB,
 * with compression whatever a block inflates to. So one whose bytes are handed on, and that may
 * therefore be paused, speaks HTTP/1.1 and is not compressed: then it is one read of 16 KiB.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "lib/http_curl_internal.h"

/*
 * What HTTP/2 lets anybody send before it is taken. A server may answer without taking more; then
 * libcurl goes on trying to send the rest until a timeout ends it. So more goes by HTTP/1.1.
 */
#define WINDOW 65535

#define SPARE 128 /* transfers that are kept for others */

/* libcurl would give up a connection after five minutes if it were not told otherwise. */
#define LATER_THAN_OURS (24L * 24 * 3600) /* seconds: the longest it takes */

/* --- transfers --- */

void qs_http_transfer_connected(struct qs_http_transfer *transfer, bool connected)
{
	if (transfer->connected == connected)
		return;
	transfer->connected = connected;
	transfer->owner->connected += connected ? 1U : -1U;
}

void qs_http_transfer_free(struct qs_http_transfer *transfer)
{
	transfer->owner->libcurl.easy_cleanup(transfer->easy);
	qs_free(transfer->headers);
	qs_free(transfer);
}

/* What is the same for all requests. */
static CURLcode set_up(struct qs_http_transfer *transfer)
{
	const struct qs_http_curl *curl = transfer->owner;
	CURLcode code = qs_http_transfer_listen(transfer);

	QS_HTTP_SET(transfer, code, PRIVATE, transfer);
	QS_HTTP_SET(transfer, code, NOSIGNAL, 1L);
	QS_HTTP_SET(transfer, code, QUICK_EXIT, 1L);
	QS_HTTP_SET(transfer, code, PROTOCOLS_STR, "http,https");
	QS_HTTP_SET(transfer, code, PATH_AS_IS, 1L);
	QS_HTTP_SET(transfer, code, SUPPRESS_CONNECT_HEADERS, 1L);
	QS_HTTP_SET(transfer, code, UPLOAD_BUFFERSIZE, 16384L);
	QS_HTTP_SET(transfer, code, USERAGENT, curl->user_agent);
	if (curl->ca_file)
		QS_HTTP_SET(transfer, code, CAINFO, curl->ca_file);
	if (curl->unix_socket) {
		QS_HTTP_SET(transfer, code, UNIX_SOCKET_PATH, curl->unix_socket);
		QS_HTTP_SET(transfer, code, PROXY, "");
	}
	return code;
}

static struct qs_http_transfer *new_transfer(struct qs_http_curl *curl)
{
	struct qs_http_transfer *transfer = qs_calloc(1, sizeof(*transfer));

	if (!transfer)
		return NULL;
	list_init(&transfer->node);
	transfer->owner = curl;
	transfer->easy = qs_refused(ENOMEM) ? NULL : transfer->owner->libcurl.easy_init();
	if (!transfer->easy || set_up(transfer) != CURLE_OK) {
		qs_http_transfer_free(transfer);
		return NULL;
	}
	return transfer;
}

static struct qs_http_transfer *spare_or_new(struct qs_http_curl *curl)
{
	struct qs_http_transfer *transfer;

	if (list_empty(&curl->spare))
		return new_transfer(curl);
	transfer = list_entry(curl->spare.next, struct qs_http_transfer, node);
	list_remove(&transfer->node);
	curl->spare_count--;
	return transfer;
}

void qs_http_transfer_put(struct qs_http_transfer *transfer)
{
	struct qs_http_curl *curl = transfer->owner;

	qs_http_transfer_connected(transfer, false);
	list_remove(&transfer->node);
	qs_free(TAKE(transfer->headers, NULL));
	if (curl->spare_count >= SPARE || transfer->worn) {
		qs_http_transfer_free(transfer);
		return;
	}
	transfer->call = NULL;
	transfer->failure = 0;
	transfer->opened = transfer->in_head = transfer->redirecting = false;
	transfer->error[0] = '\0';
	list_append(&curl->spare, &transfer->node);
	curl->spare_count++;
}

/* --- what differs from request to request --- */

static bool has_header(const struct qs_http_call *call, const char *name)
{
	for (const struct qs_http_header *header = call->headers; header->name; header++)
		if (strcasecmp(header->name, name) == 0)
			return true;
	return false;
}

static char *add_line(struct curl_slist **node, char *at, const char *name, const char *value)
{
	(*node)->data = at;
	(*node)->next = *node + 1;
	(*node)++;
	at = stpcpy(at, name);
	/* libcurl's way to say: with nothing in it. */
	if (*value)
		at = stpcpy(stpcpy(at, ": "), value);
	else
		*at++ = ';', *at = '\0';
	return at + 1;
}

/* Without a value libcurl leaves out a header of its own. */
static void leave_out(struct curl_slist **node, const char *line)
{
	(*node)->data = (char *)line;
	(*node)->next = *node + 1;
	(*node)++;
}

static int make_headers(struct qs_http_transfer *transfer)
{
	const struct qs_http_call *call = transfer->call;
	struct curl_slist *node;
	size_t count = 2, size = 0;
	char *at;

	for (const struct qs_http_header *header = call->headers; header->name; header++) {
		size += strlen(header->name) + strlen(header->value) + sizeof(": ");
		count++;
	}
	node = qs_malloc(count * sizeof(*node) + size);
	if (!node)
		return -ENOMEM;
	transfer->headers = node;
	at = (char *)(node + count);
	for (const struct qs_http_header *header = call->headers; header->name; header++)
		at = add_line(&node, at, header->name, header->value);
	if (!has_header(call, "content-type"))
		leave_out(&node, "Content-Type:");
	leave_out(&node, "Expect:");
	node[-1].next = NULL;
	return 0;
}

/* Each of the first two also takes back what an earlier request has set. */
static CURLcode set_method(const struct qs_http_transfer *transfer)
{
	const struct qs_http_call *call = transfer->call;
	const char *method = call->method, *custom = method;
	CURLcode code = CURLE_OK;

	QS_HTTP_SET(transfer, code, HTTPGET, 1L);
	if (strcmp(method, "POST") == 0) {
		QS_HTTP_SET(transfer, code, POST, 1L);
		QS_HTTP_SET(transfer, code, POSTFIELDSIZE_LARGE, (curl_off_t)call->body_size);
		custom = NULL;
	} else if (call->body || strcmp(method, "PUT") == 0) {
		QS_HTTP_SET(transfer, code, UPLOAD, 1L);
		QS_HTTP_SET(transfer, code, INFILESIZE_LARGE, (curl_off_t)call->body_size);
	} else if (strcmp(method, "HEAD") == 0) {
		QS_HTTP_SET(transfer, code, NOBODY, 1L);
		custom = NULL;
	} else if (strcmp(method, "GET") == 0) {
		custom = NULL;
	}
	QS_HTTP_SET(transfer, code, CUSTOMREQUEST, custom);
	return code;
}

static CURLcode set_limits(const struct qs_http_transfer *transfer)
{
	const struct qs_http_call *call = transfer->call;
	bool handed_on = call->handlers.data;
	bool version_1 = handed_on || call->body_size > WINDOW;
	CURLcode code = CURLE_OK;

	QS_HTTP_SET(transfer, code, FOLLOWLOCATION, call->limits.redirects > 0 ? 1L : 0L);
	QS_HTTP_SET(transfer, code, MAXREDIRS, (long)MIN(call->limits.redirects, 1000U));
	QS_HTTP_SET(transfer, code, REDIR_PROTOCOLS_STR, call->is_https ? "https" : "http,https");
	QS_HTTP_SET(transfer, code, CONNECTTIMEOUT, LATER_THAN_OURS);
	QS_HTTP_SET(transfer, code, ACCEPT_ENCODING, call->compressed && !handed_on ? "" : NULL);
	QS_HTTP_SET(transfer, code, HTTP_VERSION,
	        version_1 ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
	QS_HTTP_SET(transfer, code, PIPEWAIT, call->is_https && !version_1 ? 1L : 0L);
	return code;
}

/*
 * Where all connections are in use libcurl need not look through them for one that is not: among
 * ten thousand to one host that takes longer than all else. TLS may share one.
 */
static bool has_idle_connections(const struct qs_http_curl *curl)
{
	return curl->sockets.open > curl->connected;
}

static int prepare(struct qs_http_transfer *transfer)
{
	const struct qs_http_call *call = transfer->call;
	CURLcode code;
	int r = make_headers(transfer);

	if (r < 0)
		return r;
	code = set_method(transfer);
	if (code == CURLE_OK)
		code = set_limits(transfer);
	QS_HTTP_SET(transfer, code, URL, call->url);
	QS_HTTP_SET(transfer, code, HTTPHEADER, transfer->headers);
	QS_HTTP_SET(transfer, code, FRESH_CONNECT,
	        !call->is_https && !has_idle_connections(transfer->owner) ? 1L : 0L);
	return code == CURLE_OK ? 0 : -ENOMEM;
}

int qs_http_transfer_get(struct qs_http_call *call, struct qs_http_transfer **ret_transfer)
{
	struct qs_http_transfer *transfer =
	        spare_or_new(container_of(call->http, struct qs_http_curl, http));
	int r;

	if (!transfer)
		return -ENOMEM;
	transfer->call = call;
	r = prepare(transfer);
	if (r < 0) {
		qs_http_transfer_put(transfer);
		return r;
	}
	*ret_transfer = transfer;
	return 0;
}
