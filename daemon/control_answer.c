/* The shapes that answers have: text, JSON, and problems as RFC 9457 describes them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control_internal.h"
#include "daemon/fold.h"

#define PROBLEM_TYPE "application/problem+json"

static const struct {
	int status;
	const char *title;
} titles[] = {
	{ 200, "OK" },
	{ 202, "Accepted" },
	{ 400, "Bad Request" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
};

const char *answer_title(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Unknown";
}

void answer_text(struct request *request, int status, const char *text)
{
	struct answer answer = {
		.status = status,
		.type = "text/plain; charset=utf-8",
		.body = text,
		.size = strlen(text),
	};

	request->transport->respond(request, &answer);
}

static void answer_no_memory(struct request *request)
{
	static const char text[] = "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\","
	                           "\"status\":500,\"detail\":\"out of memory\"}\n";
	struct answer answer = {
		.status = 500,
		.type = PROBLEM_TYPE,
		.body = text,
		.size = sizeof(text) - 1,
	};

	request->transport->respond(request, &answer);
}

void answer_owned(struct request *request, int status, const char *type, char *body, size_t size)
{
	struct answer answer = {
		.status = status,
		.type = type,
		.body = body,
		.size = size,
		.owned = true,
	};

	if (!body)
		answer_no_memory(request);
	else
		request->transport->respond(request, &answer);
}

/* The text's NUL gives way to a newline, for people with curl. NULL: no memory. */
static char *line_of(json_t *json, size_t *ret_size)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
	size_t size = text ? strlen(text) : 0;

	json_decref(json);
	if (text)
		text[size++] = '\n';
	*ret_size = size;
	return text;
}

void answer_json(struct request *request, int status, json_t *json)
{
	size_t size;
	char *text = line_of(json, &size);

	answer_owned(request, status, status < 400 ? NULL : PROBLEM_TYPE, text, size);
}

void answer_json_with(struct request *request, struct answer *answer, json_t *json)
{
	answer->body = line_of(json, &answer->size);
	answer->owned = true;
	if (answer->body)
		request->transport->respond(request, answer);
	else
		answer_no_memory(request);
}

json_t *answer_string(const char *text)
{
	json_t *string = json_string(text);

	if (string)
		return string;
	_cleanup_(freep) char *folded = fold_text(text, strlen(text), 4096);
	return folded ? json_string(folded) : NULL;
}

json_t *answer_problem_body(int status, const char *detail)
{
	return json_pack("{s:s, s:s, s:i, s:o}", "type", "about:blank", "title",
	        answer_title(status), "status", status, "detail", answer_string(detail));
}

void answer_problem(struct request *request, int status, const char *format, ...)
{
	char detail[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	answer_json(request, status, answer_problem_body(status, detail));
}

void answer_wrong_method(struct request *request, const char *allow)
{
	struct answer answer = {
		.status = 405, .type = PROBLEM_TYPE, .allow = allow, .owned = true
	};

	answer.body = line_of(
	        answer_problem_body(405, "this path does not know that method"), &answer.size);
	request->transport->respond(request, &answer);
}
