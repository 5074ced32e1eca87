/*
 * A connection's beginning and end, and what is to be noticed between. evhttp says when it is about
 * to make one and when it has closed one; how much of a request has come, and that it refuses one
 * by itself, is seen in the buffers.
 */
#include <fcntl.h>
#include <poll.h>

#include "daemon/control_http.h"

#define LITTLE (32 << 10) /* bytes unsent: whoever sends may go on */

void connection_move(struct connection *connection, enum connection_state state)
{
	struct control *control = connection->control;

	list_remove(&connection->node);
	list_append(&control->lists[state], &connection->node);
	connection->state = state;
	connection->since = qs_loop_now(control->loop);
	qs_job_schedule(control->loop, &control->settle);
}

/* NULL while it is new. */
static struct evhttp_connection **evcon_of(const struct connection *connection)
{
	return &connection->control->evcons[connection - connection->control->slots];
}

/* --- hanging up --- */

/* The edge tells of a half-close too, and once more when the client is gone. */
static void hangup_seen(evutil_socket_t fd, _unused_ short what, void *arg)
{
	struct pollfd poll_fd = { .fd = fd };

	if (poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR)))
		connection_move(arg, CONNECTION_DOOMED);
}

/*
 * Without descriptors or memory a hang-up is noticed only when something is sent. EV_READ is for
 * one who leaves something unread behind: that is an error of the socket, of which libevent makes
 * "may be read" and not "was closed".
 */
void connection_hear_hangup(struct connection *connection)
{
	int fd = fcntl(bufferevent_getfd(connection->bev), F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return;
	connection->hangup = event_new(qs_loop_base(connection->control->loop), fd,
	        EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, hangup_seen, connection);
	if (!connection->hangup)
		(void)close(fd);
	else if (event_add(connection->hangup, NULL) < 0)
		connection_ignore_hangup(connection);
}

/* --- the end --- */

void connection_ignore_hangup(struct connection *connection)
{
	struct event *event = TAKE(connection->hangup, NULL);

	if (!event)
		return;
	int fd = event_get_fd(event);
	event_free(event);
	(void)close(fd);
}

static void forget_request(struct connection *connection)
{
	void (*gone)(struct request *) = TAKE(connection->request.gone, NULL);

	connection_ignore_hangup(connection);
	if (gone)
		gone(&connection->request);
}

static void release(struct connection *connection)
{
	struct control *control = connection->control;
	struct evbuffer *input = bufferevent_get_input(connection->bev);

	forget_request(connection);
	control->input -= evbuffer_get_length(input);
	evbuffer_remove_cb_entry(input, connection->input_entry);
	evbuffer_remove_cb_entry(bufferevent_get_output(connection->bev), connection->output_entry);
	connection->bev = NULL;
	*evcon_of(connection) = NULL;
	control->count--;
	connection_move(connection, CONNECTION_FREE);
}

/* Whoever ends it, evhttp calls this last. */
static void connection_closed(_unused_ struct evhttp_connection *evcon, void *arg)
{
	struct connection *connection = arg;
	struct evhttp_request *evreq = TAKE(connection->evreq, NULL);

	/* A request that evhttp has let go of, because we have not answered it, is ours to free. */
	if (evreq && !evhttp_request_get_connection(evreq))
		evhttp_request_free(evreq);
	release(connection);
}

/* Never from evhttp's callbacks: those doom it. */
void connection_cut(struct connection *connection)
{
	evhttp_connection_free(*evcon_of(connection));
}

void connection_cut_all(struct control *control, enum connection_state state)
{
	list_for_each (node, &control->lists[state])
		connection_cut(list_entry(node, struct connection, node));
}

/* --- the beginning --- */

static void input_changed(
        _unused_ struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
	struct connection *connection = arg;
	struct control *control = connection->control;

	control->input += info->n_added;
	control->input -= info->n_deleted;
	if (info->n_added > 0 && connection->state == CONNECTION_IDLE)
		connection_move(connection, CONNECTION_READING);
	if (info->n_added > 0 && control->input > control->limits.input &&
	        connection->state == CONNECTION_READING)
		connection_move(connection, CONNECTION_DOOMED);
}

static void tell_drained(struct request *request)
{
	void (*drained)(struct request *) = TAKE(request->drained, NULL);

	if (drained)
		drained(request);
}

/* What is written before a request has come to us, evhttp says by itself. */
static void output_changed(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
	struct connection *connection = arg;
	bool ours = connection->state != CONNECTION_IDLE && connection->state != CONNECTION_READING;

	if (info->n_added > 0 && !ours && request_status_in(buffer) != 100)
		connection_move(connection, CONNECTION_REFUSED);
	if (info->n_deleted > 0 && connection->state == CONNECTION_ANSWERING &&
	        evbuffer_get_length(buffer) <= LITTLE)
		tell_drained(&connection->request);
}

/* evhttp asks for the bufferevent of a connection that it is about to make. */
struct bufferevent *connection_make_bufferevent(struct event_base *base, void *arg)
{
	struct control *control = arg;
	struct connection *connection;
	struct bufferevent *bev;

	if (list_empty(&control->lists[CONNECTION_FREE]))
		return NULL;
	bev = bufferevent_socket_new(base, -1, 0);
	if (!bev)
		return NULL;
	connection = list_entry(control->lists[CONNECTION_FREE].next, struct connection, node);
	connection->input_entry =
	        evbuffer_add_cb(bufferevent_get_input(bev), input_changed, connection);
	connection->output_entry =
	        evbuffer_add_cb(bufferevent_get_output(bev), output_changed, connection);
	if (!connection->input_entry || !connection->output_entry) {
		bufferevent_free(bev);
		return NULL;
	}
	connection->bev = bev;
	control->count++;
	connection_move(connection, CONNECTION_NEW);
	/* evhttp may fail before it tells us what it has made of it. */
	bufferevent_incref(bev);
	if (list_empty(&control->lists[CONNECTION_FREE]))
		control_pause(control);
	return bev;
}

/* evhttp has set itself as its bufferevent's argument, or has given the connection up already. */
static void adopt(struct connection *connection)
{
	struct bufferevent *bev = connection->bev;
	void *evcon = NULL;

	bufferevent_getcb(bev, NULL, NULL, NULL, &evcon);
	if (evcon) {
		*evcon_of(connection) = evcon;
		evhttp_connection_set_closecb(evcon, connection_closed, connection);
		connection_move(connection, evbuffer_get_length(bufferevent_get_input(bev)) > 0
		                                    ? CONNECTION_READING
		                                    : CONNECTION_IDLE);
	} else {
		release(connection);
	}
	(void)bufferevent_decref(bev);
}

void connection_adopt_all(struct control *control)
{
	list_for_each (node, &control->lists[CONNECTION_NEW])
		adopt(list_entry(node, struct connection, node));
}

struct connection *connection_find(
        const struct control *control, const struct evhttp_connection *evcon)
{
	for (unsigned i = 0; i < control->limits.connections; i++)
		if (control->evcons[i] == evcon)
			return &control->slots[i];
	return NULL;
}
