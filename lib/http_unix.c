/*
 * The HTTP client, by libcurl's easy interface: one handle, one connection, one request at a time.
 * libcurl's codes become errno here and nowhere else.
 */
#include "lib/http_unix.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <curl/curl.h>

#include <quiesce/clock.h>

#include "lib/macro.h"

#define BODY_MAX (64u << 20)

struct qs_http_unix {
	CURL *curl;
	struct curl_slist *headers;
	curl_socket_t socket; /* of the latest connection; may be closed */
	pid_t peer;
};

/* One request under way. */
struct exchange {
	struct qs_http_unix *http;
	const struct qs_http_unix_request *request;
	struct qs_http_unix_response response;
	size_t capacity;
	bool begun;
	int error; /* of a callback */
};

int qs_http_unix_new(const char *socket_path, struct qs_http_unix **ret_http)
{
	struct qs_http_unix *http;

	if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	http = calloc(1, sizeof(*http));
	if (!http)
		goto fail_global;
	http->curl = curl_easy_init();
	http->headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (!http->curl || !http->headers ||
	        curl_easy_setopt(http->curl, CURLOPT_UNIX_SOCKET_PATH, socket_path) != CURLE_OK)
		goto fail_http;
	*ret_http = http;
	return 0;

fail_http:
	curl_slist_free_all(http->headers);
	curl_easy_cleanup(http->curl);
	free(http);
fail_global:
	curl_global_cleanup();
	return -ENOMEM;
}

void qs_http_unix_free(struct qs_http_unix *http)
{
	if (!http)
		return;
	curl_easy_cleanup(http->curl);
	curl_slist_free_all(http->headers);
	free(http);
	curl_global_cleanup();
}

/* curl's, for each new connection. */
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct qs_http_unix *http = arg;

	(void)purpose;
	http->socket = fd;
	return CURL_SOCKOPT_OK;
}

/* While an answer comes the socket is open for certain, and nobody else's. */
static void note_peer(struct qs_http_unix *http)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	http->peer = 0;
	if (getsockopt(http->socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0)
		http->peer = credentials.pid;
}

/* Once, when the head of the answer is complete. */
static int begin(struct exchange *exchange)
{
	if (exchange->begun)
		return 0;
	exchange->begun = true;
	note_peer(exchange->http);
	(void)curl_easy_getinfo(
	        exchange->http->curl, CURLINFO_RESPONSE_CODE, &exchange->response.status);
	if (exchange->request->begun)
		return exchange->request->begun(exchange->response.status, exchange->request->arg);
	return 0;
}

static int append(struct exchange *exchange, const char *data, size_t size)
{
	struct qs_http_unix_response *response = &exchange->response;

	if (size > BODY_MAX - response->size)
		return -EMSGSIZE;
	if (response->size + size >= exchange->capacity) {
		size_t capacity = MAX(2 * exchange->capacity, response->size + size + 1);
		char *body = realloc(response->body, capacity);
		if (!body)
			return -ENOMEM;
		response->body = body;
		exchange->capacity = capacity;
	}
	memcpy(response->body + response->size, data, size);
	response->size += size;
	response->body[response->size] = '\0';
	return 0;
}

/* curl's, once a line: the empty one ends the head, unless it was that of an interim answer. */
static size_t on_header(char *line, size_t unit, size_t count, void *arg)
{
	struct exchange *exchange = arg;
	size_t size = unit * count;
	long status = 0;

	if (size == 0 || (line[0] != '\r' && line[0] != '\n'))
		return size;
	(void)curl_easy_getinfo(exchange->http->curl, CURLINFO_RESPONSE_CODE, &status);
	exchange->error = status < 200 ? 0 : begin(exchange);
	return exchange->error < 0 ? 0 : size;
}

/* curl's: returns how much it took; less than all ends the request. */
static size_t on_body(char *data, size_t unit, size_t count, void *arg)
{
	struct exchange *exchange = arg;
	const struct qs_http_unix_request *request = exchange->request;
	size_t size = unit * count;

	exchange->error = request->chunk ? request->chunk(data, size, request->arg)
	                                 : append(exchange, data, size);
	return exchange->error < 0 ? 0 : size;
}

/* curl's: called at least once a second; not 0 ends the request. */
static int on_progress(
        void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	struct exchange *exchange = arg;
	int r;

	(void)down_total, (void)down, (void)up_total, (void)up;
	r = exchange->request->tick ? exchange->request->tick(exchange->request->arg) : 0;
	if (r >= 0)
		return 0;
	exchange->error = r;
	return 1;
}

static int error_of(CURLcode code, const struct exchange *exchange)
{
	long system_error = 0;

	if (exchange->error < 0)
		return exchange->error;
	switch ((int)code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
		(void)curl_easy_getinfo(exchange->http->curl, CURLINFO_OS_ERRNO, &system_error);
		return system_error > 0 ? -(int)system_error : -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return -ECONNRESET;
	case CURLE_UNSUPPORTED_PROTOCOL: /* an answer without a head, HTTP/0.9 */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_HTTP2:
		return -EBADMSG;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static long milliseconds_until(uint64_t deadline)
{
	uint64_t left;

	if (deadline == QS_FOREVER)
		return 0; /* curl's "no limit" */
	left = qs_time_sub(deadline, qs_time_now()) / QS_MSEC;
	return (long)MAX(UINT64_C(1), MIN(left, UINT64_C(1) << 30));
}

static int set_options(struct exchange *exchange)
{
	const struct qs_http_unix_request *request = exchange->request;
	struct qs_http_unix *http = exchange->http;
	const char *body = request->body ? request->body : "";
	bool is_post = request->body || strcmp(request->method, "POST") == 0;
	_cleanup_(freep) char *url = NULL;
	CURLcode code = CURLE_OK;

	if (asprintf(&url, "http://localhost%s", request->path) < 0)
		return -ENOMEM;
#define SET(option, value)                                                            \
	do {                                                                          \
		if (code == CURLE_OK)                                                 \
			code = curl_easy_setopt(http->curl, CURLOPT_##option, value); \
	} while (0)
	SET(URL, url);
	SET(NOSIGNAL, 1L);
	SET(SOCKOPTFUNCTION, on_socket);
	SET(SOCKOPTDATA, http);
	SET(PATH_AS_IS, 1L);
	SET(PROXY, "");
	SET(PROTOCOLS_STR, "http");
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(TIMEOUT_MS, milliseconds_until(request->deadline));
	SET(NOPROGRESS, 0L);
	SET(XFERINFOFUNCTION, on_progress);
	SET(XFERINFODATA, exchange);
	SET(HEADERFUNCTION, on_header);
	SET(HEADERDATA, exchange);
	SET(WRITEFUNCTION, on_body);
	SET(WRITEDATA, exchange);
	SET(HTTPHEADER, is_post ? http->headers : NULL);
	if (is_post) {
		SET(POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
		SET(POSTFIELDS, body);
	} else {
		SET(HTTPGET, 1L);
	}
	SET(CUSTOMREQUEST, request->method);
#undef SET
	return code == CURLE_OK ? 0 : -ENOMEM;
}

int qs_http_unix_perform(struct qs_http_unix *http, const struct qs_http_unix_request *request,
        struct qs_http_unix_response *ret_response)
{
	struct exchange exchange = { .http = http, .request = request };
	int r;

	r = append(&exchange, "", 0);
	if (r >= 0)
		r = set_options(&exchange);
	if (r >= 0)
		r = error_of(curl_easy_perform(http->curl), &exchange);
	if (r < 0) {
		free(exchange.response.body);
		return r;
	}
	*ret_response = exchange.response;
	return 0;
}

void qs_http_unix_response_done(struct qs_http_unix_response *response)
{
	free(TAKE(response->body, NULL));
	response->size = 0;
}

pid_t qs_http_unix_peer(const struct qs_http_unix *http)
{
	return http->peer;
}
