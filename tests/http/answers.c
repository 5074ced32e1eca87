/* What answers are made of, and the paths that answer well. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <jansson.h>

#include "tests/http/server.h"

/* --- what answers are made of --- */

static const char *status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = { { 200, "OK" }, { 204, "No Content" }, { 302, "Found" }, { 404, "Not Found" },
		{ 429, "Too Many Requests" }, { 500, "Internal Server Error" },
		{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" } };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "As Asked";
}

void answer_headerf(struct connection *connection, const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	line[strcspn(line, "\r\n")] = '\0';
	buffer_addf(&connection->answer.head, "%s\r\n", line);
}

void answer_head(struct connection *connection, int status, const char *type, uint64_t size)
{
	answer_headerf(connection, "HTTP/1.1 %d %s", status, status_text(status));
	if (status == 204 || status == 304 || status < 200)
		return;
	answer_headerf(connection, "Content-Type: %s", type);
	if (size == UINT64_MAX)
		answer_headerf(connection, "Transfer-Encoding: chunked");
	else
		answer_headerf(connection, "Content-Length: %" PRIu64, size);
	if (!connection->request.keep_alive)
		answer_headerf(connection, "Connection: close");
}

enum produced produce_ready(struct connection *connection)
{
	struct answer *answer = &connection->answer;

	buffer_move(&connection->out, &answer->body, answer->piece > 0 ? answer->piece : 65536);
	return buffer_size(&answer->body) > 0 ? PRODUCED_MORE : PRODUCED_ALL;
}

void answer_text(struct connection *connection, int status, const char *type, const char *text)
{
	answer_head(connection, status, type, strlen(text));
	buffer_add(&connection->answer.body, text, strlen(text));
	connection->answer.produce = produce_ready;
}

/* The next bytes of the pattern. Returns how many. */
static size_t add_pattern(struct answer *answer, struct buffer *to)
{
	size_t size = (size_t)MIN(answer->left, answer->piece > 0 ? answer->piece : 32768);
	char *room = buffer_room(to, size);

	for (size_t i = 0; i < size; i++)
		room[i] = (char)('a' + (answer->position + i) % 26);
	buffer_grew(to, size);
	answer->position += size;
	answer->left -= size;
	return size;
}

enum produced produce_bytes(struct connection *connection)
{
	struct answer *answer = &connection->answer;

	if (answer->left == 0)
		return PRODUCED_ALL;
	add_pattern(answer, &connection->out);
	return answer->left > 0 ? PRODUCED_MORE : PRODUCED_ALL;
}

void add_chunk(struct connection *connection, const char *data, size_t size)
{
	buffer_addf(&connection->out, "%zx\r\n", size);
	buffer_add(&connection->out, data, size);
	buffer_add(&connection->out, "\r\n", 2);
}

enum produced produce_chunks(struct connection *connection)
{
	struct answer *answer = &connection->answer;

	if (answer->left == 0) {
		if (!answer->cut)
			add_chunk(connection, "", 0);
		return PRODUCED_ALL;
	}
	add_pattern(answer, &answer->body);
	add_chunk(connection, buffer_front(&answer->body), buffer_size(&answer->body));
	buffer_take(&answer->body, buffer_size(&answer->body));
	return PRODUCED_MORE;
}

void answer_bytes(struct connection *connection, uint64_t size)
{
	connection->answer.left = size;
	connection->answer.produce = produce_bytes;
}

uint64_t asked_size(const struct connection *connection, uint64_t fallback)
{
	return query_number(&connection->request.query, "size", fallback);
}

/* --- paths --- */

static void add_asked_headers(struct connection *connection)
{
	const struct query *query = &connection->request.query;

	for (size_t i = 0; i < query->count; i++)
		if (strcmp(query->items[i].name, "header") == 0)
			answer_headerf(connection, "%s", query->items[i].value);
}

/* /answer?status=200&size=N|body=TEXT&type=T&delay=SPAN&header=NAME:VALUE&close */
static void run_answer(struct connection *connection)
{
	const struct query *query = &connection->request.query;
	const char *type = query_text(query, "type", "text/plain");
	int status = (int)query_number(query, "status", 200);
	uint64_t size = asked_size(connection, 3);

	if (query_has(query, "close"))
		connection->request.keep_alive = false;
	connection->answer.delay = query_span(query, "delay", 0);
	if (query_has(query, "body")) {
		answer_text(connection, status, type, query_text(query, "body", ""));
	} else {
		answer_head(connection, status, type, size);
		if (status != 204 && status != 304)
			answer_bytes(connection, size);
	}
	add_asked_headers(connection);
}

/* /status/504: that status, for ever */
static void run_status(struct connection *connection)
{
	int status = atoi(connection->request.path + strlen("/status/"));

	answer_text(connection, status >= 100 && status <= 999 ? status : 400, "text/plain",
	        "for ever\n");
}

/* /echo: what was asked, as JSON */
static void run_echo(struct connection *connection)
{
	const struct request *request = &connection->request;
	json_t *headers = json_object(), *answer;
	char *text;

	for (size_t i = 0; i < request->header_count; i++)
		json_object_set_new(
		        headers, request->headers[i].name, json_string(request->headers[i].value));
	answer = json_pack("{s:s, s:s, s:s, s:o, s:I, s:o?}", "method", request->method, "target",
	        request->target, "path", request->path, "headers", headers, "size",
	        (json_int_t)request->body_size, "body",
	        json_stringn(request->body, request->body_size));
	text = need(json_dumps(answer, JSON_COMPACT));
	answer_text(connection, 200, "application/json", text);
	free(text);
	json_decref(answer);
}

/* "Retry-After: 3", or as a date. */
static void add_retry_after(struct connection *connection)
{
	const struct query *query = &connection->request.query;
	const char *after = query_text(query, "after", "1");
	time_t at = time(NULL) + (time_t)query_number(query, "seconds", 1);
	char date[64];

	if (strcmp(after, "date") != 0) {
		answer_headerf(connection, "Retry-After: %s", after);
		return;
	}
	(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&at));
	answer_headerf(connection, "Retry-After: %s", date);
}

/* /retry?status=429&times=N&key=K&after=SECONDS|date&seconds=N: the first N of that key are told to
 * come again, then all is well */
static void run_retry(struct connection *connection)
{
	const struct query *query = &connection->request.query;
	struct tally_entry *entry =
	        tally_find(&connection->server->keys, query_text(query, "key", "retry"));

	if (++entry->count > query_number(query, "times", 1)) {
		answer_text(connection, 200, "text/plain", "well\n");
		return;
	}
	answer_text(connection, (int)query_number(query, "status", 429), "text/plain", "later\n");
	add_retry_after(connection);
}

/* /redirect?to=URL&status=302 */
static void run_redirect(struct connection *connection)
{
	const struct query *query = &connection->request.query;

	answer_text(connection, (int)query_number(query, "status", 302), "text/plain", "there\n");
	answer_headerf(connection, "Location: %s", query_text(query, "to", "/answer"));
}

/* /loop leads to /loop/next, and that to /loop */
static void run_loop(struct connection *connection)
{
	bool next = strcmp(connection->request.path, "/loop/next") == 0;

	answer_text(connection, 302, "text/plain", "there\n");
	answer_headerf(connection, "Location: %s", next ? "/loop" : "/loop/next");
}

static enum produced produce_held(struct connection *connection)
{
	const char *key = query_text(&connection->request.query, "key", "hold");

	if (tally_find(&connection->server->keys, key)->count == 0)
		return PRODUCED_LATER;
	answer_text(connection, 200, "text/plain", "released\n");
	buffer_add(&connection->answer.head, "\r\n", 2);
	return PRODUCED_MORE;
}

/* /hold?key=K: no answer before somebody asks for /release?key=K; then at once */
static void run_hold(struct connection *connection)
{
	connection->answer.produce = produce_held;
}

static void run_release(struct connection *connection)
{
	const char *key = query_text(&connection->request.query, "key", "hold");

	tally_find(&connection->server->keys, key)->count++;
	answer_text(connection, 200, "text/plain", "released\n");
}

const struct route good_routes[] = {
	{ "/answer", run_answer },
	{ "/echo", run_echo },
	{ "/echo/", run_echo },
	{ "/hold", run_hold },
	{ "/loop", run_loop },
	{ "/loop/", run_loop },
	{ "/redirect", run_redirect },
	{ "/release", run_release },
	{ "/retry", run_retry },
	{ "/status/", run_status },
	{ 0 },
};
