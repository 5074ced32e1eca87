/* What libcurl tells of a transfer, and why it has failed. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/http_curl_internal.h"
#include "lib/http_url.h"

/* --- the connection --- */

static int open_socket(struct qs_http_transfer *transfer, const struct curl_sockaddr *address)
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

static bool is_idempotent(const char *method)
{
	return strcmp(method, "POST") != 0 && strcmp(method, "PATCH") != 0;
}

/*
 * When a kept connection breaks without an answer, libcurl tries again over another. But the server
 * may have received it: what must not happen twice does not.
 */
static bool is_sent_twice(struct qs_http_transfer *transfer)
{
	const struct qs_http_call *call = transfer->call;

	if (!call->sent_any || transfer->redirecting)
		return false;
	transfer->worn = true;
	if (is_idempotent(call->method))
		return false;
	transfer->failure = -ECONNRESET;
	return true;
}

/* The name is resolved, and an address is tried; there may be several. */
static curl_socket_t on_open(
        void *arg, curlsocktype purpose _unused_, struct curl_sockaddr *address)
{
	struct qs_http_transfer *transfer = arg;
	int fd;

	if (!transfer->call || is_sent_twice(transfer))
		return CURL_SOCKET_BAD;
	fd = open_socket(transfer, address);
	/* A kernel without IPv6 is none of our failures. */
	if (fd < 0 && fd != -EAFNOSUPPORT)
		transfer->failure = fd;
	if (fd < 0)
		return CURL_SOCKET_BAD;
	transfer->failure = 0;
	transfer->owner->http.socket = fd;
	transfer->opened = true;
	qs_http_transfer_connected(transfer, true);
	qs_http_call_reached(transfer->call, QS_HTTP_CONNECTING);
	return fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
	struct qs_http_curl *curl = arg;

	qs_http_sockets_closed(&curl->sockets, fd);
	return close(fd);
}

static const struct qs_curl *libcurl_of(const struct qs_http_transfer *transfer)
{
	return &transfer->owner->libcurl;
}

static bool speaks_tls(const struct qs_http_transfer *transfer)
{
	const char *scheme = NULL;
	CURLcode code =
	        libcurl_of(transfer)->easy_getinfo(transfer->easy, CURLINFO_SCHEME, &scheme);

	return code == CURLE_OK && scheme && strcasecmp(scheme, "https") == 0;
}

/* Those that say nothing of us, and those that libcurl itself keeps from another host. */
static bool may_go_anywhere(const char *name)
{
	static const char *const names[] = { "Accept", "Accept-Language", "Authorization", "Cookie",
		"Content-Type", "User-Agent" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool is_same_host(const struct qs_http_transfer *transfer)
{
	struct qs_http_url from, to;
	char *url = NULL;

	(void)libcurl_of(transfer)->easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
	return url && qs_http_url_parse(transfer->call->url, &from) == 0 &&
	       qs_http_url_parse(url, &to) == 0 && from.shown_size == to.shown_size &&
	       strncasecmp(from.shown, to.shown, to.shown_size) == 0;
}

static bool keeps_method(const struct qs_http_call *call)
{
	return call->status != 303 && (call->status > 303 || strcmp(call->method, "POST") != 0);
}

/*
 * libcurl keeps Authorization and Cookie from a host that a redirect leads to, and sends it all
 * other headers: also the X-Api-Key that was meant for the first. And a body that is
 * sent again may have a key in it as well.
 */
static bool would_tell_a_stranger(const struct qs_http_transfer *transfer)
{
	const struct qs_http_call *call = transfer->call;
	const struct qs_http_header *header = call->headers;
	bool sends_body = call->body_size > 0 && keeps_method(call);

	while (header->name && may_go_anywhere(header->name))
		header++;
	if (!transfer->redirecting || (!header->name && !sends_body) || is_same_host(transfer))
		return false;
	qs_http_call_explain(transfer->call,
	        "redirected to another host, which must not have the %s%.64s",
	        header->name ? "header " : "body", header->name ? header->name : "");
	return true;
}

/* The connection is there and the request is about to be sent. */
static int on_ready_to_send(void *arg, char *ip _unused_, char *local_ip _unused_,
        int port _unused_, int local_port _unused_)
{
	struct qs_http_transfer *transfer = arg;
	struct qs_http_call *call = transfer->call;
	CURLcode code = CURLE_OK;

	if (!call)
		return CURL_PREREQFUNC_ABORT;
	if (is_sent_twice(transfer))
		return CURL_PREREQFUNC_ABORT;
	if (would_tell_a_stranger(transfer)) {
		transfer->failure = -EPERM;
		return CURL_PREREQFUNC_ABORT;
	}
	transfer->redirecting = false;
	call->is_https = speaks_tls(transfer);
	if (call->is_https)
		QS_HTTP_SET(transfer, code, REDIR_PROTOCOLS_STR, "https");
	if (code != CURLE_OK)
		return CURL_PREREQFUNC_ABORT;
	call->reused = !TAKE(transfer->opened, false);
	qs_http_transfer_connected(transfer, true);
	qs_http_call_reached(call, call->body_size > 0 ? QS_HTTP_SENDING : QS_HTTP_WAITING);
	return CURL_PREREQFUNC_OK;
}

/* --- the request's body --- */

static size_t on_read(char *buffer, size_t unit, size_t count, void *arg)
{
	struct qs_http_call *call = ((struct qs_http_transfer *)arg)->call;
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
	struct qs_http_call *call = ((struct qs_http_transfer *)arg)->call;

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

static int head_is_over(struct qs_http_transfer *transfer)
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
	        libcurl_of(transfer)->easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, NULL) !=
	                CURLE_OK)
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

static int take_line(struct qs_http_transfer *transfer, const char *line, size_t size)
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
	struct qs_http_transfer *transfer = arg;
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
	struct qs_http_transfer *transfer = arg;
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

static int errno_of_connect(struct qs_http_transfer *transfer)
{
	long system_error = 0;

	(void)libcurl_of(transfer)->easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &system_error);
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

/* What errno's own words would not explain. */
static int explained(struct qs_http_transfer *transfer, int error, const char *why)
{
	qs_http_call_explain(transfer->call, "%s", why);
	return error;
}

static int errno_of_protocol(struct qs_http_transfer *transfer)
{
	if (transfer->redirecting)
		return explained(transfer, -EPERM,
		        "redirected to what is neither https nor, from http, http");
	/* An answer without a head was HTTP/0.9. */
	return transfer->call->phase >= QS_HTTP_WAITING ? -EBADMSG : -EPROTONOSUPPORT;
}

static int errno_of_tls(struct qs_http_transfer *transfer, int error)
{
	long system_error = 0;

	(void)libcurl_of(transfer)->easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &system_error);
	if (system_error == ECONNRESET || system_error == EPIPE)
		return -ECONNRESET;
	/* What libcurl says of certificates names neither the URL nor who asks. */
	qs_http_call_explain(transfer->call, "%s", transfer->error);
	return error;
}

int qs_http_transfer_errno(struct qs_http_transfer *transfer, CURLcode code)
{
	if (code == CURLE_OK || transfer->failure < 0)
		return code == CURLE_OK ? 0 : transfer->failure;
	switch ((int)code) {
	case CURLE_UNSUPPORTED_PROTOCOL:
		return errno_of_protocol(transfer);
	case CURLE_URL_MALFORMAT:
		if (!transfer->redirecting)
			return -EINVAL;
		return explained(transfer, -EBADMSG, "redirected to what is no URL");
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		qs_http_call_explain(transfer->call, "the name cannot be resolved");
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return errno_of_connect(transfer);
	case CURLE_GOT_NOTHING:
		return explained(transfer, -ECONNRESET, "it hung up without an answer");
	case CURLE_PARTIAL_FILE:
		return explained(transfer, -ECONNRESET, "it hung up before the end of its answer");
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2_STREAM:
		return -ECONNRESET;
	case CURLE_BAD_CONTENT_ENCODING:
		return explained(transfer, -EBADMSG, "the answer cannot be decompressed");
	case CURLE_WEIRD_SERVER_REPLY:
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

/* --- who listens --- */

CURLcode qs_http_transfer_listen(struct qs_http_transfer *transfer)
{
	CURLcode code = CURLE_OK;

	QS_HTTP_SET(transfer, code, ERRORBUFFER, transfer->error);
	QS_HTTP_SET(transfer, code, OPENSOCKETFUNCTION, on_open);
	QS_HTTP_SET(transfer, code, OPENSOCKETDATA, transfer);
	QS_HTTP_SET(transfer, code, CLOSESOCKETFUNCTION, on_close);
	QS_HTTP_SET(transfer, code, CLOSESOCKETDATA, transfer->owner);
	QS_HTTP_SET(transfer, code, PREREQFUNCTION, on_ready_to_send);
	QS_HTTP_SET(transfer, code, PREREQDATA, transfer);
	QS_HTTP_SET(transfer, code, READFUNCTION, on_read);
	QS_HTTP_SET(transfer, code, READDATA, transfer);
	QS_HTTP_SET(transfer, code, SEEKFUNCTION, on_seek);
	QS_HTTP_SET(transfer, code, SEEKDATA, transfer);
	QS_HTTP_SET(transfer, code, HEADERFUNCTION, on_header);
	QS_HTTP_SET(transfer, code, HEADERDATA, transfer);
	QS_HTTP_SET(transfer, code, WRITEFUNCTION, on_write);
	QS_HTTP_SET(transfer, code, WRITEDATA, transfer);
	return code;
}
