/* Requests of HTTP/1.0 and 1.1, with a Content-Length or without a body. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/macro.h"
#include "tests/http/server.h"

#define HEAD_MAX (64u << 10)
#define BODY_MAX (64u << 20)

/* The value of a header in a head that was not taken apart yet; NULL: it is not there. */
static const char *find_header(const char *head, size_t size, const char *name)
{
	size_t length = strlen(name);
	const char *line = head, *end = head + size;

	while ((line = memchr(line, '\n', (size_t)(end - line)))) {
		line++;
		if ((size_t)(end - line) > length && strncasecmp(line, name, length) == 0 &&
		        line[length] == ':')
			return line + length + 1;
	}
	return NULL;
}

int64_t request_measure(const char *data, size_t size)
{
	const char *end = memmem(data, size, "\r\n\r\n", 4), *length;
	size_t head = end ? (size_t)(end - data) + 4 : 0;
	uint64_t body;

	if (!end)
		return size > HEAD_MAX ? -431 : 0;
	if (find_header(data, head, "Transfer-Encoding"))
		return -411;
	length = find_header(data, head, "Content-Length");
	body = length ? strtoull(length, NULL, 10) : 0;
	if (body > BODY_MAX)
		return -413;
	return size < head + body ? 0 : (int64_t)(head + body);
}

/* The target is kept whole for /echo: the copy is decoded in place. */
void request_redirect(struct request *request, const char *target)
{
	char *query = need(strdup(target)), *path = strsep(&query, "?");

	free((char *)request->path);
	request->path = path;
	request->query.count = 0;
	if (query)
		query_parse(&request->query, query);
}

static bool parse_first_line(struct request *request, char *line)
{
	char *method = strsep(&line, " "), *target = strsep(&line, " ");

	if (!target || !line || strncmp(line, "HTTP/1.", 7) != 0)
		return false;
	request->method = method;
	request->target = target;
	request->head_only = strcmp(method, "HEAD") == 0;
	request->keep_alive = strcmp(line, "HTTP/1.0") != 0;
	request_redirect(request, target);
	return true;
}

static void parse_headers(struct request *request, char *head)
{
	char *line;

	while ((line = strsep(&head, "\n")) && *line && *line != '\r') {
		char *value = line, *name = strsep(&value, ":");

		if (!value || request->header_count == ARRAY_SIZE(request->headers))
			continue;
		value += strspn(value, " \t");
		value[strcspn(value, "\r")] = '\0';
		request->headers[request->header_count].name = name;
		request->headers[request->header_count++].value = value;
	}
}

bool request_parse(struct request *request, const char *data, size_t size)
{
	const char *connection;
	char *head, *end;

	*request = (struct request){ .memory = need(malloc(size + 1)) };
	head = request->memory;
	memcpy(head, data, size);
	head[size] = '\0';
	end = memmem(head, size, "\r\n\r\n", 4);
	request->body = end + 4;
	request->body_size = size - (size_t)(request->body - head);
	end[2] = '\0';
	end = strchr(head, '\n');
	*end = '\0';
	if (end > head && end[-1] == '\r')
		end[-1] = '\0';
	if (!parse_first_line(request, head))
		return false;
	parse_headers(request, end + 1);
	connection = request_header(request, "Connection");
	if (connection && strcasecmp(connection, "close") == 0)
		request->keep_alive = false;
	return true;
}

const char *request_header(const struct request *request, const char *name)
{
	for (size_t i = 0; i < request->header_count; i++)
		if (strcasecmp(request->headers[i].name, name) == 0)
			return request->headers[i].value;
	return NULL;
}

void request_done(struct request *request)
{
	free((char *)request->path);
	free(request->memory);
	*request = (struct request){ 0 };
}
