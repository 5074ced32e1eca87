/*
 * Responses: of a call that is over, or how far it came. The headers lie in one piece of memory,
 * the body in another, which it takes over from the call.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "lib/http.h"
#include "lib/http_url.h"

static const struct qs_http_header no_headers[1];
static const char no_body[1];

#define NAME(value, name) name,
static const char *const phase_names[] = { QS_HTTP_PHASE_MAP(NAME) };
#undef NAME
static_assert(ARRAY_SIZE(phase_names) == QS_HTTP_PHASE_COUNT, "each has a name");

const char *qs_http_phase_name(enum qs_http_phase phase)
{
	return (unsigned)phase < QS_HTTP_PHASE_COUNT ? phase_names[phase] : "";
}

/* --- buffers --- */

int qs_http_buffer_reserve(struct qs_http_buffer *buffer, size_t size)
{
	char *data;

	if (size < buffer->capacity)
		return 0;
	data = qs_reallocarray(buffer->data, size + 1, 1);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->data[buffer->size] = '\0';
	buffer->capacity = size + 1;
	return 0;
}

int qs_http_buffer_append(struct qs_http_buffer *buffer, const void *data, size_t size)
{
	size_t needed = buffer->size + size;

	if (needed >= buffer->capacity) {
		int r = qs_http_buffer_reserve(buffer, MAX(needed, 2 * buffer->capacity));

		if (r < 0)
			return r;
	}
	memcpy(buffer->data + buffer->size, data, size);
	buffer->size = needed;
	buffer->data[needed] = '\0';
	return 0;
}

void qs_http_buffer_done(struct qs_http_buffer *buffer)
{
	qs_free(buffer->data);
	*buffer = (struct qs_http_buffer){ 0 };
}

/* --- responses --- */

void qs_http_response_init(struct qs_http_response *response)
{
	memset(response, 0, sizeof(*response));
	response->headers = (struct qs_http_header *)no_headers;
	response->body = no_body;
}

void qs_http_response_done(struct qs_http_response *response)
{
	qs_free(response->memory);
	if (response->body != no_body)
		qs_free((char *)response->body);
	response->memory = NULL;
	response->headers = (struct qs_http_header *)no_headers;
	response->body = no_body;
	response->body_size = 0;
}

static void copy_text(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = '\0';
}

/* What nobody has said better; "" for what is nobody's fault. */
const char *qs_http_error_text(int error)
{
	switch (error) {
	case -EINVAL:
		return "the URL, the method or a header is none";
	case -EPROTONOSUPPORT:
		return "neither http nor https";
	case -ECONNRESET:
		return "the peer hung up too early";
	case -EBADMSG:
		return "what the peer says is not HTTP";
	case -ELOOP:
		return "more redirects than allowed";
	case -EPERM:
		return "a redirect to where none is allowed";
	case 0:
	case -ECANCELED:
	case -ESHUTDOWN:
	case -ETIMEDOUT:
		return "";
	default:
		return strerrordesc_np(-error);
	}
}

void qs_http_response_refuse(
        struct qs_http_response *response, const struct qs_http_request *request, int error)
{
	struct qs_http_url url;

	qs_http_response_init(response);
	copy_text(response->error, sizeof(response->error), qs_http_error_text(error));
	if (!request->url || qs_http_url_parse(request->url, &url) < 0)
		return;
	memcpy(response->host, url.shown, url.shown_size);
	response->host[url.shown_size] = '\0';
}

void qs_http_response_fill(struct qs_http_response *response, const struct qs_http_call *call)
{
	response->status = call->head_is_whole ? call->status : 0;
	response->phase = call->phase;
	response->received = call->received;
	response->sent = call->sent;
	response->times = call->times;
	response->times.total = qs_time_sub(qs_loop_now(call->http->loop), call->began_at);
	response->reused = call->reused;
	response->sent_any = call->sent_any;
	copy_text(response->host, sizeof(response->host), call->host);
	copy_text(response->error, sizeof(response->error), call->error);
}

/* One piece: the array, then the text of `size` bytes, with `count` pairs in it. */
static int set_headers(
        struct qs_http_response *response, const char *text, size_t size, size_t count)
{
	size_t array_size = (count + 1) * sizeof(struct qs_http_header);
	struct qs_http_header *headers;
	char *at;

	if (count == 0)
		return 0;
	headers = qs_malloc(array_size + size);
	if (!headers)
		return -ENOMEM;
	at = memcpy((char *)headers + array_size, text, size);
	for (size_t i = 0; i < count; i++) {
		headers[i].name = at;
		headers[i].value = at + strlen(at) + 1;
		at += strlen(at) + 1;
		at += strlen(at) + 1;
	}
	headers[count] = (struct qs_http_header){ 0 };
	response->headers = headers;
	response->memory = headers;
	return 0;
}

int qs_http_response_take_headers(
        struct qs_http_response *response, const struct qs_http_call *call)
{
	return set_headers(response, call->head.data, call->head.size, call->header_count);
}

void qs_http_response_take_body(struct qs_http_response *response, struct qs_http_call *call)
{
	if (!call->answer.data)
		return;
	response->body_size = call->answer.size;
	response->body = TAKE(call->answer.data, NULL);
}

/* --- copies --- */

static int copy_headers(struct qs_http_response *copy, const struct qs_http_header *headers)
{
	struct qs_http_buffer text = { 0 };
	size_t count = 0;
	int r = 0;

	for (; headers[count].name && r == 0; count++) {
		r = qs_http_buffer_append(
		        &text, headers[count].name, strlen(headers[count].name) + 1);
		if (r == 0)
			r = qs_http_buffer_append(
			        &text, headers[count].value, strlen(headers[count].value) + 1);
	}
	if (r == 0)
		r = set_headers(copy, text.data, text.size, count);
	qs_http_buffer_done(&text);
	return r;
}

static int copy_body(struct qs_http_response *copy, const char *body, size_t size)
{
	char *memory;

	if (size == 0)
		return 0;
	memory = qs_malloc(size + 1);
	if (!memory)
		return -ENOMEM;
	copy->body = memcpy(memory, body, size);
	memory[size] = '\0';
	copy->body_size = size;
	return 0;
}

int qs_http_response_copy(
        const struct qs_http_response *response, struct qs_http_response *ret_copy)
{
	struct qs_http_response copy = *response;
	int r;

	copy.headers = (struct qs_http_header *)no_headers;
	copy.body = no_body;
	copy.body_size = 0;
	copy.memory = NULL;
	r = copy_headers(&copy, response->headers);
	if (r == 0)
		r = copy_body(&copy, response->body, response->body_size);
	if (r < 0) {
		qs_http_response_done(&copy);
		qs_http_response_init(&copy);
	}
	*ret_copy = copy;
	return r;
}

/* --- headers --- */

const char *qs_http_response_header(const struct qs_http_response *response, const char *name)
{
	for (const struct qs_http_header *header = response->headers; header->name; header++)
		if (strcasecmp(header->name, name) == 0)
			return header->value;
	return NULL;
}

const char *qs_http_call_find(const struct qs_http_call *call, const char *name)
{
	const char *at = call->head.data;

	for (unsigned i = 0; i < call->header_count; i++) {
		const char *value = at + strlen(at) + 1;

		if (strcasecmp(at, name) == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}
