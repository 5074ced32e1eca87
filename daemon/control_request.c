/*
 * Requests as evhttp brings them, answers as evhttp takes them: the transport that handlers see.
 *
 * While a request is being answered nothing is read from its client, who could otherwise send
 * without limit, and whose half-close evhttp would take for a hang-up that costs it the answer.
 * evhttp turns reading on whenever it writes, so it is turned off after each write.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/control_http.h"
#include "daemon/routes.h"

#define BODY_COPIED 4096

static struct connection *connection_of(const struct request *request)
{
	return container_of(request, struct connection, request);
}

/* --- the transport --- */

static int http_identify(const struct request *request, struct peer *ret_peer)
{
	return access_read_peer(bufferevent_getfd(connection_of(request)->bev), ret_peer);
}

static const char *http_header(const struct request *request, const char *name)
{
	return evhttp_find_header(
	        evhttp_request_get_input_headers(connection_of(request)->evreq), name);
}

/* evhttp has just let go of the request; if more was sent with it, the next has begun. */
static void answer_is_sent(_unused_ struct evhttp_request *evreq, void *arg)
{
	struct connection *connection = arg;
	bool more = evbuffer_get_length(bufferevent_get_input(connection->bev)) > 0;

	if (connection->control->closing)
		connection_move(connection, CONNECTION_DOOMED);
	else
		connection_move(connection, more ? CONNECTION_READING : CONNECTION_IDLE);
}

/* Takes the request out of the handler's hands. */
static struct evhttp_request *begin_sending(struct connection *connection)
{
	struct evhttp_request *evreq = TAKE(connection->evreq, NULL);

	connection->request.gone = connection->request.drained = NULL;
	connection_ignore_hangup(connection);
	evhttp_request_set_on_complete_cb(evreq, answer_is_sent, connection);
	connection_move(connection, CONNECTION_SENDING);
	return evreq;
}

struct let_go {
	void (*fn)(void *arg);
	void *arg;
};

static void let_go_of_body(_unused_ const void *data, _unused_ size_t size, void *arg)
{
	struct let_go *let_go = arg;

	let_go->fn(let_go->arg);
	free(let_go);
}

static void free_body(const void *data, _unused_ size_t size, _unused_ void *arg)
{
	free((void *)data);
}

/* A body that is somebody else's is only borrowed; a short one is cheaper to copy. */
static void lend_body(struct evbuffer *buffer, const struct answer *answer)
{
	struct let_go *let_go = answer->size > BODY_COPIED ? malloc(sizeof(*let_go)) : NULL;

	if (let_go) {
		*let_go = (struct let_go){ answer->let_go, answer->arg };
		if (evbuffer_add_reference(
		            buffer, answer->body, answer->size, let_go_of_body, let_go) == 0)
			return;
		free(let_go);
	} else {
		(void)evbuffer_add(buffer, answer->body, answer->size);
	}
	answer->let_go(answer->arg);
}

/* Takes over a body that is owned; one that there is no memory for is lost. */
static void add_body(struct evbuffer *buffer, const struct answer *answer)
{
	evbuffer_ref_cleanup_cb cleanup = answer->owned ? free_body : NULL;

	if (!answer->owned && answer->let_go) {
		lend_body(buffer, answer);
		return;
	}
	if (answer->size > 0 &&
	        evbuffer_add_reference(buffer, answer->body, answer->size, cleanup, NULL) == 0)
		return;
	if (answer->owned)
		free((void *)answer->body);
}

static void add_headers(struct evkeyvalq *headers, const struct answer *answer)
{
	evhttp_add_header(
	        headers, "Content-Type", answer->type ? answer->type : "application/json");
	if (answer->allow)
		evhttp_add_header(headers, "Allow", answer->allow);
	for (const struct answer_header *more = answer->headers; more && more->name; more++)
		evhttp_add_header(headers, more->name, more->value);
}

static void http_respond(struct request *request, const struct answer *answer)
{
	struct connection *connection = connection_of(request);
	struct control *control = connection->control;
	struct evhttp_request *evreq = begin_sending(connection);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(evreq);
	char length[32];

	snprintf(length, sizeof(length), "%zu", answer->size);
	add_headers(headers, answer);
	evhttp_add_header(headers, "Content-Length", length);
	if (control->closing)
		evhttp_add_header(headers, "Connection", "close");
	add_body(control->scratch, answer);
	if (request->head)
		(void)evbuffer_drain(control->scratch, evbuffer_get_length(control->scratch));
	evhttp_send_reply(evreq, answer->status, answer_title(answer->status), control->scratch);
	(void)bufferevent_disable(connection->bev, EV_READ);
}

static void http_begin(struct request *request, const struct answer *head)
{
	struct connection *connection = connection_of(request);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(connection->evreq);

	add_headers(headers, head);
	evhttp_add_header(headers, "Connection", "close");
	evhttp_send_reply_start(connection->evreq, head->status, answer_title(head->status));
	(void)bufferevent_disable(connection->bev, EV_READ);
}

/*
 * Many a small line may have to wait for a slow reader. evhttp's chunks cost a few kilobytes each,
 * whatever is in them, so a chunk is put together here: the output takes it up without a gap.
 */
static void send_chunk(struct request *request, const void *data, size_t size, const char *last)
{
	struct connection *connection = connection_of(request);
	struct evbuffer *output = bufferevent_get_output(connection->bev);
	bool chunked = connection->evreq->chunked;
	size_t more = strlen(last);
	char head[32];
	int n = chunked ? snprintf(head, sizeof(head), "%zx\r\n", size + more) : 0;

	if (evbuffer_add(output, head, (size_t)n) < 0 || evbuffer_add(output, data, size) < 0 ||
	        evbuffer_add(output, last, more) < 0 ||
	        evbuffer_add(output, "\r\n", chunked ? 2 : 0) < 0)
		connection_move(connection, CONNECTION_DOOMED);
}

static void http_send(struct request *request, const char *line, size_t length)
{
	send_chunk(request, line, length, "\n");
}

/* An empty chunk would be the last one. */
static void http_write(struct request *request, const void *data, size_t size)
{
	if (size > 0)
		send_chunk(request, data, size, "");
}

static size_t http_unsent(const struct request *request)
{
	return evbuffer_get_length(bufferevent_get_output(connection_of(request)->bev));
}

/* An answer without chunks and with nothing left to send ends its connection right here. */
static void http_end(struct request *request, const char *trailer)
{
	struct connection *connection = connection_of(request);
	struct bufferevent *bev = connection->bev;
	struct evhttp_request *evreq = begin_sending(connection);

	/* evhttp knows of no trailers: it is left to close what is whole already. */
	if (trailer && evreq->chunked &&
	        evbuffer_add_printf(bufferevent_get_output(bev), "0\r\n%s\r\n", trailer) > 0)
		evreq->chunked = 0;
	bufferevent_incref(bev);
	evhttp_send_reply_end(evreq);
	(void)bufferevent_disable(bev, EV_READ);
	(void)bufferevent_decref(bev);
}

static const struct transport http_transport = {
	.identify = http_identify,
	.header = http_header,
	.respond = http_respond,
	.begin = http_begin,
	.send = http_send,
	.write = http_write,
	.unsent = http_unsent,
	.end = http_end,
};

/* --- requests --- */

static enum method method_of(const struct evhttp_request *evreq)
{
	enum evhttp_cmd_type type = evhttp_request_get_command(evreq);

	if (type == EVHTTP_REQ_GET || type == EVHTTP_REQ_HEAD)
		return METHOD_GET;
	if (type == EVHTTP_REQ_DELETE)
		return METHOD_DELETE;
	return type == EVHTTP_REQ_POST ? METHOD_POST : METHOD_OTHER;
}

static void take_request(struct connection *connection, struct evhttp_request *evreq)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(evreq);
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(evreq);
	struct evbuffer *body = evhttp_request_get_input_buffer(evreq);
	const char *path = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
	/* Of an absolute URI: it goes before the header. */
	const char *host = evhttp_uri_get_host(uri);

	connection->evreq = evreq;
	connection->request = (struct request){
		.transport = &http_transport,
		.daemon = connection->control->daemon,
		.pending = &connection->control->pending,
		.method = method_of(evreq),
		.head = evhttp_request_get_command(evreq) == EVHTTP_REQ_HEAD,
		.path = path ? path : "",
		.query = query ? query : "",
		.host = host ? host : evhttp_find_header(headers, "Host"),
		.origin = evhttp_find_header(headers, "Origin"),
		.body_size = evbuffer_get_length(body),
		.body = (const char *)evbuffer_pullup(body, -1),
	};
}

void request_came(struct evhttp_request *evreq, void *arg)
{
	struct control *control = arg;
	struct connection *connection;

	/* It may have come and asked within one turn. */
	connection_adopt_all(control);
	connection = connection_find(control, evhttp_request_get_connection(evreq));

	if (!connection) {
		evhttp_send_error(evreq, HTTP_SERVUNAVAIL, NULL);
		return;
	}
	control->requests++;
	connection_move(connection, CONNECTION_ANSWERING);
	take_request(connection, evreq);
	routes_dispatch(&connection->request);
	if (connection->state == CONNECTION_ANSWERING)
		connection_hear_hangup(connection);
}

/* --- refusals --- */

/* The status of the answer that the buffer begins with, 0 if it is none that evhttp knows. */
int request_status_in(struct evbuffer *buffer)
{
	char text[16] = "";
	int status = 0;

	if (evbuffer_copyout(buffer, text, sizeof(text) - 1) < 0 ||
	        sscanf(text, "HTTP/%*d.%*d %3d", &status) != 1)
		return 0;
	return status;
}

/* evhttp's page becomes a problem. Nothing of it has been sent: that happens in the next turn. */
void request_reword(struct connection *connection)
{
	struct evbuffer *output = bufferevent_get_output(connection->bev);
	int status = request_status_in(output);
	char body[256];

	/* For a method that it does not know evhttp has no status. */
	if (status < 400)
		status = 501;
	int length = snprintf(body, sizeof(body),
	        "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%s\"}\n",
	        answer_title(status), status,
	        status == 413   ? "the request is larger than is allowed"
	        : status == 501 ? "this method is not known here"
	                        : "this is no request that can be understood");
	(void)evbuffer_unfreeze(output, 1);
	(void)evbuffer_drain(output, evbuffer_get_length(output));
	(void)evbuffer_freeze(output, 1);
	connection_move(connection, CONNECTION_SENDING);
	if (evbuffer_add_printf(output,
	            "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\n"
	            "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
	            status, answer_title(status), length, body) < 0)
		connection_move(connection, CONNECTION_DOOMED);
	(void)bufferevent_disable(connection->bev, EV_READ);
}
