/*
 * The driver that is libcurl: one multi handle on the loop, and the only file with curl/ behind it.
 *
 * A transfer is an easy handle with what is around it. libcurl tells it what happens, and it tells
 * its call; one whose call was dropped answers everything with "no" until it is swept. Transfers
 * that are over are kept for others: to set up an easy handle costs as much as a small request.
 *
 * While a transfer is paused libcurl keeps what has come already: with HTTP/2 that is a window of
 * 32 MiB, with compression whatever a block inflates to. So one whose bytes are handed on, and that
 * may therefore be paused, speaks HTTP/1.1 and is not compressed: then it is one read of 16 KiB.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <curl/curl.h>

#include "lib/alloc.h"
#include "lib/http.h"
#include "lib/http_sockets.h"

#define KEEP  256 /* idle connections */
#define SPARE 128 /* transfers that are kept for others */

/* libcurl would give up a connection after five minutes if it were not told otherwise. */
#define LATER_THAN_OURS (24L * 24 * 3600) /* seconds: the longest it takes */

struct http_curl {
	struct qs_http http;
	CURLM *multi;
	struct qs_timer timer; /* libcurl's */
	struct qs_http_sockets sockets;
	struct list dropped, spare; /* transfers */
	unsigned spare_count, keep;
	unsigned connected; /* transfers that have a connection */
	char *unix_socket, *ca_file, *user_agent;
};

struct transfer {
	struct list node;
	struct http_curl *owner;
	struct qs_http_call *call; /* NULL once it was dropped */
	CURL *easy;
	struct curl_slist *headers; /* with their text behind them */
	int failure;                /* what a callback has ended it with */
	bool connected, in_head, redirecting;
	char error[CURL_ERROR_SIZE];
};

static struct http_curl *curl_of(struct qs_http *http)
{
	return container_of(http, struct http_curl, http);
}

/* --- what libcurl tells of a transfer: the connection --- */

static void has_connection(struct transfer *transfer, bool connected)
{
	if (transfer->connected == connected)
		return;
	transfer->connected = connected;
	transfer->owner->connected += connected ? 1U : -1U;
}

static int open_socket(struct transfer *transfer, const struct curl_sockaddr *address)
{
	int fd = qs_refused(EMFILE)
	                 ? -1
	                 : socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
	                           address->protocol);

	if (fd < 0)
		return errno == ENFILE ? -EMFILE : -errno;
	if (qs_http_sockets_opened(&transfer->owner->sockets, fd) < 0) {
		(void)close(fd);
		return -ENOMEM;
	}
	return fd;
}

/* The name is resolved, and an address is tried; there may be several. */
static curl_socket_t on_open(
        void *arg, curlsocktype purpose _unused_, struct curl_sockaddr *address)
{
	struct transfer *transfer = arg;
	int fd;

	if (!transfer->call)
		return CURL_SOCKET_BAD;
	fd = open_socket(transfer, address);
	/* A kernel without IPv6 is none of our failures. */
	if (fd < 0 && fd != -EAFNOSUPPORT)
		transfer->failure = fd;
	if (fd < 0)
		return CURL_SOCKET_BAD;
	transfer->failure = 0;
	has_connection(transfer, true);
	qs_http_call_reached(transfer->call, QS_HTTP_CONNECTING);
	return fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
	struct http_curl *curl = arg;

	qs_http_sockets_closed(&curl->sockets, fd);
	return close(fd);
}

static bool is_idempotent(const char *method)
{
	return strcmp(method, "POST") != 0 && strcmp(method, "PATCH") != 0;
}

static bool speaks_tls(CURL *easy)
{
	const char *scheme = NULL;

	return curl_easy_getinfo(easy, CURLINFO_SCHEME, &scheme) == CURLE_OK && scheme &&
	       strcasecmp(scheme, "https") == 0;
}

/*
 * The connection is there and the request is about to be sent. When a kept connection breaks
 * without an answer, libcurl tries again over a new one. But the server may have received it: what
 * must not happen twice does not.
 */
static int on_ready_to_send(void *arg, char *ip _unused_, char *local_ip _unused_,
        int port _unused_, int local_port _unused_)
{
	struct transfer *transfer = arg;
	struct qs_http_call *call = transfer->call;

	if (!call)
		return CURL_PREREQFUNC_ABORT;
	if (call->sent_any && !transfer->redirecting && !is_idempotent(call->method)) {
		transfer->failure = -ECONNRESET;
		return CURL_PREREQFUNC_ABORT;
	}
	transfer->redirecting = false;
	call->is_https = speaks_tls(transfer->easy);
	if (call->is_https &&
	        curl_easy_setopt(transfer->easy, CURLOPT_REDIR_PROTOCOLS_STR, "https") != CURLE_OK)
		return CURL_PREREQFUNC_ABORT;
	call->reused = call->phase == QS_HTTP_RESOLVING;
	has_connection(transfer, true);
	qs_http_call_reached(call, call->body_size > 0 ? QS_HTTP_SENDING : QS_HTTP_WAITING);
	return CURL_PREREQFUNC_OK;
}

/* --- the request's body --- */

static size_t on_read(char *buffer, size_t unit, size_t count, void *arg)
{
	struct qs_http_call *call = ((struct transfer *)arg)->call;
	size_t size;

	if (!call)
		return CURL_READFUNC_ABORT;
	size = MIN(unit * count, call->body_size - call->sent);
	memcpy(buffer, call->body + call->sent, size);
	call->sent += size;
	if (call->sent == call->body_size && call->phase == QS_HTTP_SENDING)
		qs_http_call_reached(call, QS_HTTP_WAITING);
	return size;
}

/* After a redirect, or when a kept connection broke, it is sent again. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct qs_http_call *call = ((struct transfer *)arg)->call;

	if (!call || origin != SEEK_SET || offset < 0 || (size_t)offset > call->body_size)
		return CURL_SEEKFUNC_FAIL;
	call->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* --- the answer --- */

static bool leads_on(const struct qs_http_call *call)
{
	const char *location;

	if (call->limits.redirects == 0 || call->status < 300 || call->status >= 400)
		return false;
	location = qs_http_call_find(call, "location");
	return location && *location;
}

static int head_is_over(struct transfer *transfer)
{
	struct qs_http_call *call = transfer->call;

	transfer->in_head = false;
	if (call->status < 200)
		return 0;
	if (!leads_on(call))
		return qs_http_call_head(call);
	transfer->redirecting = true;
	qs_http_call_reached(call, QS_HTTP_RESOLVING);
	/* "See other" is to be fetched, however one came to it. */
	if (call->status == 303 && strcmp(call->method, "HEAD") != 0 &&
	        curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, NULL) != CURLE_OK)
		return -ENOMEM;
	return 0;
}

static int status_of(const char *line, size_t size)
{
	const char *space = memchr(line, ' ', size), *end = line + size;
	int status = 0;

	for (const char *at = space ? space + 1 : end; at < end && *at >= '0' && *at <= '9'; at++)
		if (status < 1000)
			status = 10 * status + (*at - '0');
	return status;
}

static int take_header(struct qs_http_call *call, const char *line, size_t size)
{
	const char *colon = memchr(line, ':', size), *value, *end = line + size;

	/* A line that goes on with the one before has been out of use for long. */
	if (!colon || line[0] == ' ' || line[0] == '\t')
		return 0;
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t');)
		value++;
	while (end > value && strchr(" \t\r\n", end[-1]))
		end--;
	return qs_http_call_header(
	        call, line, (size_t)(colon - line), value, (size_t)(end - value));
}

static int take_line(struct transfer *transfer, const char *line, size_t size)
{
	if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		qs_http_call_status(transfer->call, status_of(line, size));
		transfer->in_head = true;
		return 0;
	}
	/* After the body come trailers: nobody has asked for them. */
	if (!transfer->in_head)
		return 0;
	if (line[0] == '\r' || line[0] == '\n')
		return head_is_over(transfer);
	return take_header(transfer->call, line, size);
}

static size_t on_header(char *line, size_t unit, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t size = unit * count;
	int r;

	if (!transfer->call)
		return 0;
	r = size > 0 ? take_line(transfer, line, size) : 0;
	if (r >= 0)
		return size;
	transfer->failure = r;
	return 0;
}

static size_t on_write(char *data, size_t unit, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t size = unit * count;
	int r;

	if (!transfer->call)
		return 0;
	if (transfer->redirecting || size == 0)
		return size;
	r = qs_http_call_data(transfer->call, data, size);
	if (r == QS_HTTP_PAUSE)
		return CURL_WRITEFUNC_PAUSE;
	if (r >= 0)
		return size;
	transfer->failure = r;
	return 0;
}

/* --- why a transfer has failed --- */

static int errno_of_connect(struct transfer *transfer)
{
	long system_error = 0;

	(void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &system_error);
	if (system_error > 0)
		qs_http_call_explain(transfer->call, "connect: %s", strerror((int)system_error));
	switch (system_error) {
	case ENETUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
	case EADDRNOTAVAIL:
	case ETIMEDOUT: /* the kernel's own patience */
		return -EHOSTUNREACH;
	default:
		return system_error > 0 ? -(int)system_error : -ECONNREFUSED;
	}
}

static int errno_of_protocol(const struct transfer *transfer)
{
	if (transfer->redirecting)
		return -EPERM;
	/* An answer without a head was HTTP/0.9. */
	return transfer->call->phase >= QS_HTTP_WAITING ? -EBADMSG : -EPROTONOSUPPORT;
}

static int errno_of_tls(struct transfer *transfer, int error)
{
	long system_error = 0;

	(void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &system_error);
	if (system_error == ECONNRESET || system_error == EPIPE)
		return -ECONNRESET;
	/* What libcurl says of certificates names neither the URL nor who asks. */
	qs_http_call_explain(transfer->call, "%s", transfer->error);
	return error;
}

static int errno_of(struct transfer *transfer, CURLcode code)
{
	if (code == CURLE_OK || transfer->failure < 0)
		return code == CURLE_OK ? 0 : transfer->failure;
	switch ((int)code) {
	case CURLE_UNSUPPORTED_PROTOCOL:
		return errno_of_protocol(transfer);
	case CURLE_URL_MALFORMAT:
		return transfer->redirecting ? -EBADMSG : -EINVAL;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		qs_http_call_explain(transfer->call, "the name cannot be resolved");
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return errno_of_connect(transfer);
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2_STREAM:
		return -ECONNRESET;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_HTTP2:
		return -EBADMSG;
	case CURLE_TOO_MANY_REDIRECTS:
		return -ELOOP;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIME;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ENGINE_INITFAILED:
		return errno_of_tls(transfer, -EPROTO);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return errno_of_tls(transfer, -EKEYREJECTED);
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* --- transfers --- */

static void free_transfer(struct transfer *transfer)
{
	curl_easy_cleanup(transfer->easy);
	qs_free(transfer->headers);
	qs_free(transfer);
}

#define SET(easy, code, option, value)                                            \
	do {                                                                      \
		if ((code) == CURLE_OK)                                           \
			(code) = curl_easy_setopt(easy, CURLOPT_##option, value); \
	} while (0)

/* What is the same for all requests. */
static CURLcode set_up(const struct transfer *transfer)
{
	const struct http_curl *curl = transfer->owner;
	CURL *easy = transfer->easy;
	CURLcode code = CURLE_OK;

	SET(easy, code, PRIVATE, transfer);
	SET(easy, code, NOSIGNAL, 1L);
	SET(easy, code, QUICK_EXIT, 1L);
	SET(easy, code, PROTOCOLS_STR, "http,https");
	SET(easy, code, PATH_AS_IS, 1L);
	SET(easy, code, SUPPRESS_CONNECT_HEADERS, 1L);
	SET(easy, code, UPLOAD_BUFFERSIZE, 16384L);
	SET(easy, code, ERRORBUFFER, transfer->error);
	SET(easy, code, USERAGENT, curl->user_agent);
	SET(easy, code, OPENSOCKETFUNCTION, on_open);
	SET(easy, code, OPENSOCKETDATA, transfer);
	SET(easy, code, CLOSESOCKETFUNCTION, on_close);
	SET(easy, code, CLOSESOCKETDATA, transfer->owner);
	SET(easy, code, PREREQFUNCTION, on_ready_to_send);
	SET(easy, code, PREREQDATA, transfer);
	SET(easy, code, READFUNCTION, on_read);
	SET(easy, code, READDATA, transfer);
	SET(easy, code, SEEKFUNCTION, on_seek);
	SET(easy, code, SEEKDATA, transfer);
	SET(easy, code, HEADERFUNCTION, on_header);
	SET(easy, code, HEADERDATA, transfer);
	SET(easy, code, WRITEFUNCTION, on_write);
	SET(easy, code, WRITEDATA, transfer);
	if (curl->ca_file)
		SET(easy, code, CAINFO, curl->ca_file);
	if (curl->unix_socket)
		SET(easy, code, UNIX_SOCKET_PATH, curl->unix_socket);
	return code;
}

static struct transfer *new_transfer(struct http_curl *curl)
{
	struct transfer *transfer = qs_calloc(1, sizeof(*transfer));

	if (!transfer)
		return NULL;
	list_init(&transfer->node);
	transfer->owner = curl;
	transfer->easy = qs_refused(ENOMEM) ? NULL : curl_easy_init();
	if (!transfer->easy || set_up(transfer) != CURLE_OK) {
		free_transfer(transfer);
		return NULL;
	}
	return transfer;
}

static struct transfer *get_transfer(struct http_curl *curl)
{
	struct transfer *transfer;

	if (list_empty(&curl->spare))
		return new_transfer(curl);
	transfer = list_entry(curl->spare.next, struct transfer, node);
	list_remove(&transfer->node);
	curl->spare_count--;
	return transfer;
}

static void put_transfer(struct transfer *transfer)
{
	struct http_curl *curl = transfer->owner;

	has_connection(transfer, false);
	list_remove(&transfer->node);
	qs_free(TAKE(transfer->headers, NULL));
	if (curl->spare_count >= SPARE) {
		free_transfer(transfer);
		return;
	}
	transfer->call = NULL;
	transfer->failure = 0;
	transfer->in_head = transfer->redirecting = false;
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

static int make_headers(struct transfer *transfer)
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
static CURLcode set_method(const struct transfer *transfer)
{
	const struct qs_http_call *call = transfer->call;
	const char *method = call->method, *custom = method;
	CURL *easy = transfer->easy;
	CURLcode code = CURLE_OK;

	SET(easy, code, HTTPGET, 1L);
	if (strcmp(method, "POST") == 0) {
		SET(easy, code, POST, 1L);
		SET(easy, code, POSTFIELDSIZE_LARGE, (curl_off_t)call->body_size);
		custom = NULL;
	} else if (call->body || strcmp(method, "PUT") == 0) {
		SET(easy, code, UPLOAD, 1L);
		SET(easy, code, INFILESIZE_LARGE, (curl_off_t)call->body_size);
	} else if (strcmp(method, "HEAD") == 0) {
		SET(easy, code, NOBODY, 1L);
		custom = NULL;
	} else if (strcmp(method, "GET") == 0) {
		custom = NULL;
	}
	SET(easy, code, CUSTOMREQUEST, custom);
	return code;
}

static CURLcode set_limits(const struct transfer *transfer)
{
	const struct qs_http_call *call = transfer->call;
	bool handed_on = call->handlers.data;
	CURL *easy = transfer->easy;
	CURLcode code = CURLE_OK;

	SET(easy, code, FOLLOWLOCATION, call->limits.redirects > 0 ? 1L : 0L);
	SET(easy, code, MAXREDIRS, (long)MIN(call->limits.redirects, 1000U));
	SET(easy, code, REDIR_PROTOCOLS_STR, call->is_https ? "https" : "http,https");
	SET(easy, code, CONNECTTIMEOUT, LATER_THAN_OURS);
	SET(easy, code, ACCEPT_ENCODING, call->compressed && !handed_on ? "" : NULL);
	SET(easy, code, HTTP_VERSION,
	        handed_on ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
	SET(easy, code, PIPEWAIT, call->is_https && !handed_on ? 1L : 0L);
	return code;
}

/*
 * Where all connections are in use libcurl need not look through them for one that is not: among
 * ten thousand to one host that takes longer than all else. TLS may share one.
 */
static bool has_idle_connections(const struct http_curl *curl)
{
	return curl->sockets.open > curl->connected;
}

static int prepare(struct transfer *transfer)
{
	const struct qs_http_call *call = transfer->call;
	CURL *easy = transfer->easy;
	CURLcode code;
	int r = make_headers(transfer);

	if (r < 0)
		return r;
	code = set_method(transfer);
	if (code == CURLE_OK)
		code = set_limits(transfer);
	SET(easy, code, URL, call->url);
	SET(easy, code, HTTPHEADER, transfer->headers);
	SET(easy, code, FRESH_CONNECT,
	        !call->is_https && !has_idle_connections(transfer->owner) ? 1L : 0L);
	return code == CURLE_OK ? 0 : -ENOMEM;
}

/* --- the multi handle --- */

static void finish(struct transfer *transfer, CURLcode code)
{
	struct http_curl *curl = transfer->owner;
	struct qs_http_call *call = transfer->call;
	int result = errno_of(transfer, code);

	if (call->compressed) {
		curl_off_t size = 0;

		if (curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &size) == CURLE_OK)
			call->received = (uint64_t)size;
	}
	(void)curl_multi_remove_handle(curl->multi, transfer->easy);
	put_transfer(transfer);
	call->transfer = NULL;
	qs_http_call_over(call, result);
}

/* What has been dropped meanwhile is swept. */
static void finish_all(struct http_curl *curl)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(curl->multi, &left))) {
		struct transfer *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		if (transfer->call)
			finish(transfer, message->data.result);
	}
}

static void act(struct http_curl *curl, curl_socket_t fd, int what)
{
	int running;

	(void)curl_multi_socket_action(curl->multi, fd, what, &running);
	finish_all(curl);
}

static void socket_ready(struct qs_http_sockets *sockets, int fd, unsigned what)
{
	static_assert(CURL_CSELECT_IN == QS_READ && CURL_CSELECT_OUT == QS_WRITE, "as ours");
	act(container_of(sockets, struct http_curl, sockets), fd, (int)what);
}

static int on_socket(CURL *easy _unused_, curl_socket_t fd, int what, void *arg, void *own _unused_)
{
	struct http_curl *curl = arg;

	static_assert(CURL_POLL_IN == QS_READ && CURL_POLL_OUT == QS_WRITE &&
	                      CURL_POLL_INOUT == (QS_READ | QS_WRITE),
	        "as ours");
	qs_http_sockets_want(&curl->sockets, fd, what == CURL_POLL_REMOVE ? 0 : (unsigned)what);
	return 0;
}

static void timer_due(struct qs_timer *timer)
{
	act(container_of(timer, struct http_curl, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi _unused_, long milliseconds, void *arg)
{
	struct http_curl *curl = arg;
	uint64_t now = qs_loop_now(curl->http.loop);

	qs_timer_arm(&curl->timer,
	        milliseconds < 0 ? QS_FOREVER : qs_time_add(now, (uint64_t)milliseconds * QS_MSEC));
	return 0;
}

/* --- the driver --- */

/* libcurl's limit is for all connections, those in use too. */
static void limit_connections(struct http_curl *curl)
{
	(void)curl_multi_setopt(
	        curl->multi, CURLMOPT_MAXCONNECTS, (long)(curl->http.active_count + curl->keep));
}

static int curl_add(struct qs_http_call *call)
{
	struct http_curl *curl = curl_of(call->http);
	struct transfer *transfer = get_transfer(curl);
	int r;

	if (!transfer)
		return -ENOMEM;
	transfer->call = call;
	r = prepare(transfer);
	if (r == 0 && curl_multi_add_handle(curl->multi, transfer->easy) != CURLM_OK)
		r = -ENOMEM;
	if (r < 0) {
		put_transfer(transfer);
		return r;
	}
	call->transfer = transfer;
	return 0;
}

static void curl_begin(struct qs_http *http)
{
	limit_connections(curl_of(http));
	act(curl_of(http), CURL_SOCKET_TIMEOUT, 0);
}

static void curl_resume(struct qs_http_call *call)
{
	struct http_curl *curl = curl_of(call->http);
	struct transfer *transfer = call->transfer;

	(void)curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
	finish_all(curl);
}

static void curl_drop(struct qs_http_call *call)
{
	struct transfer *transfer = call->transfer;

	transfer->call = NULL;
	list_append(&transfer->owner->dropped, &transfer->node);
}

static bool curl_sweep(struct qs_http *http)
{
	struct http_curl *curl = curl_of(http);
	struct transfer *transfer;

	if (list_empty(&curl->dropped))
		return false;
	transfer = list_entry(curl->dropped.next, struct transfer, node);
	(void)curl_multi_remove_handle(curl->multi, transfer->easy);
	put_transfer(transfer);
	return !list_empty(&curl->dropped);
}

/* The connections go with the multi handle, and only then what watches them. */
static void curl_free_client(struct qs_http *http)
{
	struct http_curl *curl = curl_of(http);

	while (curl_sweep(http))
		;
	list_for_each (node, &curl->spare)
		free_transfer(list_entry(node, struct transfer, node));
	if (curl->multi)
		(void)curl_multi_cleanup(curl->multi);
	qs_http_sockets_done(&curl->sockets);
	qs_timer_done(&curl->timer);
	qs_http_done(http);
	qs_free(curl->unix_socket);
	qs_free(curl->ca_file);
	qs_free(curl->user_agent);
	qs_free(curl);
}

static const struct qs_http_driver curl_driver = {
	.add = curl_add,
	.begin = curl_begin,
	.resume = curl_resume,
	.drop = curl_drop,
	.sweep = curl_sweep,
	.free = curl_free_client,
};

/* --- making one --- */

static int copy_text(const char *text, char **ret_copy)
{
	size_t size;

	if (!text)
		return 0;
	size = strlen(text) + 1;
	*ret_copy = qs_malloc(size);
	if (!*ret_copy)
		return -ENOMEM;
	memcpy(*ret_copy, text, size);
	return 0;
}

static int copy_options(struct http_curl *curl, const struct qs_http_options *options)
{
	const char *agent = options->user_agent;
	int r;

	curl->keep = options->keep ? options->keep : KEEP;
	r = copy_text(options->unix_socket, &curl->unix_socket);
	if (r == 0)
		r = copy_text(options->ca_file, &curl->ca_file);
	if (r == 0)
		r = copy_text(agent ? agent : "libquiesce/" QUIESCE_VERSION, &curl->user_agent);
	return r;
}

static int open_multi(struct http_curl *curl)
{
	CURLMcode code;

	curl->multi = qs_refused(ENOMEM) ? NULL : curl_multi_init();
	if (!curl->multi)
		return -ENOMEM;
	code = curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	if (code == CURLM_OK)
		code = curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
	if (code == CURLM_OK)
		code = curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	if (code == CURLM_OK)
		code = curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
	return code == CURLM_OK ? 0 : -ENOMEM;
}

static int check_options(const struct qs_http_options *options)
{
	const char *path = options->unix_socket;

	if (path && *path == '\0')
		return -EINVAL;
	if (path && strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	if (options->ca_file && access(options->ca_file, R_OK) < 0)
		return -ENOENT;
	return 0;
}

int qs_http_new_on(struct qs_loop *loop, const struct qs_http_options *options, qs_http **ret_http)
{
	struct qs_http_options given = options ? *options : (struct qs_http_options){ 0 };
	struct http_curl *curl;
	int r = check_options(&given);

	if (r < 0)
		return r;
	/* Once is enough, more often does no harm; it is never undone, because a thread that hangs
	 * in the resolver may outlive every client. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	curl = qs_calloc(1, sizeof(*curl));
	if (!curl)
		return -ENOMEM;
	curl->http.driver = &curl_driver;
	curl->http.loop = loop;
	list_init(&curl->dropped);
	list_init(&curl->spare);
	r = qs_http_init(&curl->http, &given);
	if (r == 0)
		r = qs_timer_init(loop, &curl->timer, timer_due);
	if (r == 0)
		r = qs_http_sockets_init(&curl->sockets, loop, socket_ready);
	if (r == 0)
		r = copy_options(curl, &given);
	if (r == 0)
		r = open_multi(curl);
	if (r < 0) {
		curl_free_client(&curl->http);
		return r;
	}
	*ret_http = &curl->http;
	return 0;
}
