/*
 * From templates and a payload to a request. Nothing that a payload says may leave its place: see
 * template_render.c for values, and below for what a value can do to a path.
 */
#include "daemon/http_request.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/http_shape.h"
#include "daemon/json_pointer.h"
#include "daemon/payload.h"

#define URL_MAX     (64 * 1024)
#define HEADER_MAX  (64 * 1024)
#define PROBLEM_MAX 256

/* What a request points to. */
struct http_memory {
	struct template_text url, body;
	struct qs_http_header *headers; /* their values are ours, their names the configuration's */
	size_t header_count;
};

struct making {
	const struct http_config *config;
	const json_t *payload;
	struct http_memory *memory;
	char *problem;
	size_t problem_size;
};

/* It may have held a secret. */
static void wipe(char *text, size_t size)
{
	if (text)
		explicit_bzero(text, size);
	free(text);
}

static void memory_free(struct http_memory *memory)
{
	if (!memory)
		return;
	for (size_t i = 0; i < memory->header_count; i++) {
		char *value = (char *)(uintptr_t)memory->headers[i].value;
		wipe(value, strlen(value));
	}
	free(memory->headers);
	wipe(memory->url.data, memory->url.size);
	wipe(memory->body.data, memory->body.size);
	free(memory);
}

static void memory_freep(struct http_memory **memory)
{
	memory_free(*memory);
}

void http_made_done(struct http_made *made)
{
	memory_free(made->memory);
	*made = (struct http_made){ 0 };
}

/* A problem of one part of it: "URL: the payload has no payload.id". */
static int render(struct making *making, const char *part, const struct template *template,
        enum template_form form, struct template_text *ret_text)
{
	char problem[PROBLEM_MAX];
	int r = template_render(
	        template, form, making->payload, ret_text, problem, sizeof(problem));
	if (r == -EINVAL || r == -EMSGSIZE)
		(void)snprintf(making->problem, making->problem_size, "%s: %s", part, problem);
	return r;
}

static int refuse(struct making *making, int error, const char *part, const char *why)
{
	(void)snprintf(making->problem, making->problem_size, "%s: %s", part, why);
	return error;
}

/* --- the URL --- */

static bool is_empty_value(struct making *making, const struct template_part *part)
{
	const json_t *value = json_pointer_find(making->payload, part->text);
	return json_is_string(value) && json_string_length(value) == 0;
}

/* Whether a segment of the path is nothing but places, and these nothing at all: "/items/" is not
 * what "/items/{{payload.id}}" was meant to be. */
static bool loses_segment(struct making *making)
{
	size_t count;
	const struct template_part *parts = template_parts(making->config->url, &count);
	bool fresh = false, places = false; /* since the last slash: nothing yet; a place */
	for (size_t i = 0; i < count; i++) {
		const struct template_part *part = &parts[i];
		if (part->kind == TEMPLATE_PAYLOAD) {
			places = true;
			fresh = fresh && is_empty_value(making, part);
			continue;
		}
		if (part->size == 0)
			continue;
		if (fresh && places && strchr("/?", part->text[0]))
			return true;
		if (memchr(part->text, '?', part->size))
			return false;
		fresh = part->text[part->size - 1] == '/';
		places = false;
	}
	return fresh && places;
}

static int make_url(struct making *making)
{
	const struct http_config *config = making->config;
	struct template_text *url = &making->memory->url;
	int r = render(making, "URL", config->url, TEMPLATE_URL, url);
	if (r < 0 || !template_payload(config->url))
		return r;
	if (url->size > URL_MAX)
		return refuse(making, -EMSGSIZE, "URL", "would be longer than 64 KiB");
	if (http_shape_climbs(url->data))
		return refuse(making, -EINVAL, "URL",
		        "the payload makes a segment of its path . or .., which is not allowed");
	if (loses_segment(making))
		return refuse(making, -EINVAL, "URL",
		        "the payload leaves a segment of its path empty, which is not allowed");
	return 0;
}

/* --- headers and body --- */

static int make_header(struct making *making, const struct http_header_config *header)
{
	struct http_memory *memory = making->memory;
	struct template_text value;
	char part[80];
	(void)snprintf(part, sizeof(part), "header %.60s", header->name);
	int r = render(making, part, header->value, TEMPLATE_HEADER, &value);
	if (r < 0)
		return r;
	memory->headers[memory->header_count++] =
	        (struct qs_http_header){ .name = header->name, .value = value.data };
	if (value.size > HEADER_MAX)
		return refuse(making, -EMSGSIZE, part, "would be longer than 64 KiB");
	return 0;
}

/* Room for all, for a Content-Type of our own, and the end. */
static int make_headers(struct making *making)
{
	const struct http_header_config *header = making->config->headers;
	size_t count = 0;
	while (header[count].name)
		count++;
	making->memory->headers = calloc(count + 2, sizeof(*making->memory->headers));
	if (!making->memory->headers)
		return -ENOMEM;
	int r = 0;
	for (; r == 0 && header->name; header++)
		r = make_header(making, header);
	return r;
}

static int add_type(struct making *making)
{
	struct http_memory *memory = making->memory;
	if (http_shape_header(making->config, "Content-Type"))
		return 0;
	char *type = strdup("application/json");
	if (!type)
		return -ENOMEM;
	memory->headers[memory->header_count++] =
	        (struct qs_http_header){ .name = "Content-Type", .value = type };
	return 0;
}

/* Of a method that brings something along. */
static bool takes_payload(const char *method)
{
	return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
	       strcmp(method, "PATCH") == 0;
}

static int make_body(struct making *making)
{
	const struct http_config *config = making->config;
	struct template_text *body = &making->memory->body;
	enum template_form form = TEMPLATE_JSON;
	int r = 0;
	if (config->body) {
		(void)http_shape_body(config, &form);
		r = render(making, "body", config->body, form, body);
	} else if (making->payload && takes_payload(config->method)) {
		r = template_render_json(making->payload, body);
		if (r == -EMSGSIZE)
			return refuse(making, r, "body", "would be larger than 16 MiB");
	} else {
		return 0;
	}
	return r < 0 ? r : add_type(making);
}

static int make(struct making *making)
{
	int r = make_url(making);
	if (r == 0)
		r = make_headers(making);
	return r < 0 ? r : make_body(making);
}

int http_request_make(const struct http_config *config, const json_t *payload,
        struct http_made *ret_made, char *problem, size_t problem_size)
{
	_cleanup_(memory_freep) struct http_memory *memory = calloc(1, sizeof(*memory));
	struct making making = {
		.config = config,
		.payload = payload,
		.memory = memory,
		.problem = problem,
		.problem_size = problem_size,
	};
	problem[0] = 0;
	int r = memory ? make(&making) : -ENOMEM;
	if (r < 0)
		return r;
	*ret_made = (struct http_made){
		.request = {
			.method = config->method,
			.url = memory->url.data,
			.headers = memory->headers,
			.body = memory->body.data,
			.body_size = memory->body.size,
			.limits = config->limits,
			.compressed = config->compressed,
		},
		.memory = memory,
	};
	memory = NULL;
	return 0;
}

/* --- answers --- */

static bool is_status_expected(const struct http_config *config, int status)
{
	if (!config->expect_statuses)
		return status >= 200 && status <= 299;
	for (const int *expected = config->expect_statuses; *expected; expected++)
		if (*expected == status)
			return true;
	return false;
}

/* 1 and 1.0 are the same number. */
static bool is_same_value(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b))
		return json_is_integer(a) == json_is_integer(b)
		               ? json_equal(a, b)
		               : json_number_value(a) == json_number_value(b);
	return json_equal(a, b);
}

static int look_into(
        const struct http_config *config, const json_t *body, char *problem, size_t problem_size)
{
	const char *pointer = config->expect_pointer;
	const json_t *value = json_pointer_find(body, pointer);
	if (!value) {
		(void)snprintf(problem, problem_size, "the answer has no %.80s", pointer);
		return 0;
	}
	if (!config->expect_equals)
		return 1;
	json_t *expected = json_loads(config->expect_equals, JSON_DECODE_ANY, NULL);
	if (!expected)
		return -ENOMEM;
	bool same = is_same_value(value, expected);
	json_decref(expected);
	if (!same)
		(void)snprintf(problem, problem_size, "the answer has another %s than is expected",
		        pointer[0] ? pointer : "value");
	return same;
}

int http_expected(const struct http_config *config, const struct qs_http_response *response,
        char *problem, size_t problem_size)
{
	json_t *body = NULL;
	char why[PROBLEM_MAX];
	problem[0] = 0;
	if (!is_status_expected(config, response->status)) {
		(void)snprintf(
		        problem, problem_size, "status %d is not expected", response->status);
		return 0;
	}
	if (!config->expect_pointer)
		return 1;
	int r = payload_parse(response->body, response->body_size, &body, why, sizeof(why));
	if (r == -ENOMEM)
		return r;
	if (r < 0 || !body) {
		(void)snprintf(problem, problem_size, "the answer %s", r < 0 ? why : "is empty");
		return 0;
	}
	r = look_into(config, body, problem, problem_size);
	json_decref(body);
	return r;
}
