/*
 * What a request says is checked here, without libcurl, because that would take more of a fiber's
 * stack than a fiber should need; and copied, all into one piece with the call.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "lib/http.h"
#include "lib/http_url.h"

#define METHOD_MAX 32
#define URL_MAX    (64U << 10)

/* --- the checks --- */

/* A token of RFC 9110: methods and names of headers. */
static bool is_token(const char *text)
{
	static const char letters[] = "!#$%&'*+-.^_`|~0123456789"
	                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return text[0] != '\0' && text[strspn(text, letters)] == '\0';
}

static bool is_value(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
			return false;
	return true;
}

/* What says where the body ends is the client's own. */
static bool frames_body(const char *name)
{
	return strcasecmp(name, "content-length") == 0 ||
	       strcasecmp(name, "transfer-encoding") == 0;
}

static int check_headers(const struct qs_http_header *headers)
{
	for (; headers && headers->name; headers++)
		if (!is_token(headers->name) || !headers->value || !is_value(headers->value) ||
		        frames_body(headers->name))
			return -EINVAL;
	return 0;
}

static int check(const struct qs_http_request *request, struct qs_http_url *ret_url)
{
	int r;

	if (!request->url || strnlen(request->url, URL_MAX) == URL_MAX)
		return -EINVAL;
	if (!request->body && request->body_size > 0)
		return -EINVAL;
	if (request->method &&
	        (!is_token(request->method) || strnlen(request->method, METHOD_MAX) == METHOD_MAX))
		return -EINVAL;
	r = check_headers(request->headers);
	return r < 0 ? r : qs_http_url_parse(request->url, ret_url);
}

/* --- the copy --- */

struct layout {
	size_t headers, text, size; /* where they begin, and the whole */
	size_t count;               /* of headers */
};

static struct layout lay_out(
        const struct qs_http_request *request, const char *method, const struct qs_http_url *url)
{
	struct layout layout = { .headers = sizeof(struct qs_http_call) };

	layout.size = strlen(method) + 1 + strlen(request->url) + 1 + url->shown_size + 1;
	for (const struct qs_http_header *h = request->headers; h && h->name; h++) {
		layout.size += strlen(h->name) + 1 + strlen(h->value) + 1;
		layout.count++;
	}
	layout.text = layout.headers + (layout.count + 1) * sizeof(struct qs_http_header);
	layout.size += layout.text;
	return layout;
}

static const char *put(char **at, const char *text, size_t size)
{
	char *begin = *at;

	memcpy(begin, text, size);
	begin[size] = '\0';
	*at = begin + size + 1;
	return begin;
}

static uint64_t or_default(uint64_t given, uint64_t standard)
{
	return given ? given : standard;
}

static struct qs_http_limits limits_of(const struct qs_http_request *request)
{
	struct qs_http_limits limits = request->limits;

	limits.connect_timeout = or_default(limits.connect_timeout, 10 * QS_SEC);
	limits.first_byte_timeout = or_default(limits.first_byte_timeout, QS_FOREVER);
	limits.idle_timeout = or_default(limits.idle_timeout, QS_MIN);
	limits.timeout = or_default(limits.timeout, 5 * QS_MIN);
	return limits;
}

static void copy_headers(struct qs_http_call *call, const struct qs_http_header *from,
        struct qs_http_header *to, char **at)
{
	call->headers = to;
	for (; from && from->name; from++, to++) {
		to->name = put(at, from->name, strlen(from->name));
		to->value = put(at, from->value, strlen(from->value));
	}
	*to = (struct qs_http_header){ 0 };
}

int qs_http_request_copy(const struct qs_http_request *request, struct qs_http_call **ret_call)
{
	const char *method = request->method;
	struct qs_http_call *call;
	struct layout layout;
	struct qs_http_url url;
	char *at;
	int r = check(request, &url);

	if (r < 0)
		return r;
	if (!method)
		method = request->body ? "POST" : "GET";
	layout = lay_out(request, method, &url);
	call = qs_malloc(layout.size);
	if (!call)
		return -ENOMEM;
	*call = (struct qs_http_call){
		.body = request->body,
		.body_size = request->body_size,
		.limits = limits_of(request),
		.compressed = request->compressed,
		.is_https = url.is_https,
	};
	at = (char *)call + layout.text;
	call->method = put(&at, method, strlen(method));
	call->url = put(&at, request->url, strlen(request->url));
	call->host = put(&at, url.shown, url.shown_size);
	copy_headers(call, request->headers,
	        (struct qs_http_header *)((char *)call + layout.headers), &at);
	*ret_call = call;
	return 0;
}
