/* A connection: reads requests, writes answers at the pace that they ask for, and ends as told. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "tests/http/server.h"

#define IN_MAX  (128u << 20)
#define OUT_MAX (64u << 10) /* a producer is not asked beyond */

static void die(struct connection *connection)
{
	struct counters *counters = &connection->server->counters;

	if (connection->dead)
		return;
	connection->dead = true;
	if (connection->silent)
		counters->silent--;
	else if (!connection->observer)
		counters->open--;
	if (connection->answering && !connection->observer)
		counters->in_flight--;
	heap_remove(&connection->server->timers, &connection->timer);
	list_remove(&connection->watch);
	list_remove(&connection->link);
	list_append(&connection->server->dead, &connection->link);
	close(connection->source.fd);
	connection->source.fd = -1;
}

/* The other side has gone. */
static void leave(struct connection *connection)
{
	if (connection->answering && !connection->observer && !connection->dead)
		connection->server->counters.cut++;
	die(connection);
}

static void reset(struct connection *connection)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(connection->source.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	die(connection);
}

static void answer_done(struct answer *answer)
{
	if (answer->release)
		answer->release(answer);
	buffer_done(&answer->head);
	buffer_done(&answer->body);
	*answer = (struct answer){ 0 };
}

/* All is said: what now? */
static void end_answer(struct connection *connection)
{
	enum end end = connection->answer.end;

	if (end == END_KEEP && !connection->request.keep_alive)
		end = END_CLOSE;
	connection->over = end != END_KEEP;
	if (end == END_HANG)
		return;
	connection->answering = false;
	if (!connection->observer)
		connection->server->counters.in_flight--;
	answer_done(&connection->answer);
	request_done(&connection->request);
	switch (end) {
	case END_CLOSE:
		die(connection);
		break;
	case END_RESET:
		reset(connection);
		break;
	case END_HALF:
		(void)shutdown(connection->source.fd, SHUT_WR);
		break;
	case END_KEEP:
	case END_HANG:
		break;
	}
}

static void finish_head(struct connection *connection)
{
	if (buffer_size(&connection->answer.head) > 0)
		buffer_add(&connection->answer.head, "\r\n", 2);
}

static void begin_answer(struct connection *connection)
{
	struct counters *counters = &connection->server->counters;

	connection->answering = true;
	counters->requests++;
	counters->in_flight++;
	route_run(connection);
	finish_head(connection);
	if (connection->answer.delay > 0)
		connection->wake_at = qs_time_add(qs_time_now(), connection->answer.delay);
}

static void refuse(struct connection *connection, int status)
{
	connection->answering = true;
	connection->server->counters.in_flight++;
	answer_text(connection, status, "text/plain", "what is that?\n");
	connection->answer.end = END_CLOSE;
	finish_head(connection);
}

/* The next request, if it has come. Returns whether there is something to say. */
static bool next_request(struct connection *connection)
{
	struct buffer *in = &connection->in;
	int64_t size = buffer_size(in) > 0 ? request_measure(buffer_front(in), buffer_size(in)) : 0;

	if (size == 0)
		return false;
	if (size < 0 || !request_parse(&connection->request, buffer_front(in), (size_t)size))
		refuse(connection, size < 0 ? (int)-size : 400);
	else
		begin_answer(connection);
	buffer_take(in, size < 0 ? buffer_size(in) : (size_t)size);
	return true;
}

/* 0: written, or as much as goes; negative: the other side has gone. */
static int flush(struct connection *connection)
{
	struct buffer *out = &connection->out;

	while (buffer_size(out) > 0) {
		ssize_t n = send(connection->source.fd, buffer_front(out), buffer_size(out),
		        MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (!connection->observer)
			connection->server->counters.sent += (uint64_t)n;
		buffer_take(out, (size_t)n);
	}
	return 0;
}

static void say_head(struct connection *connection)
{
	struct answer *answer = &connection->answer;
	size_t piece = answer->head_every > 0 ? 1 : SIZE_MAX;

	buffer_move(&connection->out, &answer->head, piece);
	if (answer->head_every > 0)
		connection->wake_at = qs_time_add(qs_time_now(), answer->head_every);
}

/* Says the next of the answer. Returns whether to go on. */
static bool say_more(struct connection *connection)
{
	struct answer *answer = &connection->answer;
	enum produced produced = PRODUCED_ALL;

	if (buffer_size(&answer->head) > 0) {
		say_head(connection);
		return true;
	}
	if (answer->produce && !connection->request.head_only)
		produced = answer->produce(connection);
	if (produced != PRODUCED_LATER)
		list_remove(&connection->watch);
	switch (produced) {
	case PRODUCED_LATER:
		if (list_empty(&connection->watch))
			list_append(&connection->server->watching, &connection->watch);
		return false;
	case PRODUCED_MORE:
		if (answer->every > 0)
			connection->wake_at = qs_time_add(qs_time_now(), answer->every);
		return true;
	case PRODUCED_ALL:
		break;
	}
	answer->produce = NULL;
	if (flush(connection) < 0)
		leave(connection);
	else if (buffer_size(&connection->out) > 0)
		return false; /* comes back here when all of it has gone */
	else
		end_answer(connection);
	return true;
}

/* What to wait for. */
static void arm(struct connection *connection)
{
	uint32_t events = EPOLLRDHUP;

	if (connection->dead)
		return;
	if (connection->wake_at > 0 && connection->timer.index == HEAP_NOT_IN)
		need(heap_add(&connection->server->timers, &connection->timer,
		             connection->wake_at) < 0
		                ? NULL
		                : connection);
	if (!connection->silent && !connection->over && buffer_size(&connection->in) < IN_MAX)
		events |= EPOLLIN;
	if (buffer_size(&connection->out) > 0)
		events |= EPOLLOUT;
	if (events == connection->events)
		return;
	connection->events = events;
	(void)epoll_ctl(connection->server->epoll_fd, EPOLL_CTL_MOD, connection->source.fd,
	        &(struct epoll_event){ .events = events, .data.ptr = &connection->source });
}

void connection_go_on(struct connection *connection)
{
	bool more = true;

	while (more && !connection->dead) {
		if (flush(connection) < 0) {
			leave(connection);
			return;
		}
		if (connection->wake_at > 0 && connection->wake_at <= qs_time_now()) {
			heap_remove(&connection->server->timers, &connection->timer);
			connection->wake_at = 0;
		}
		if (connection->wake_at > 0 || connection->over || connection->silent ||
		        buffer_size(&connection->out) >= OUT_MAX)
			break;
		more = connection->answering ? say_more(connection) : next_request(connection);
	}
	arm(connection);
}

/* Returns false at the end of it. */
static bool read_some(struct connection *connection)
{
	for (;;) {
		char *room = buffer_room(&connection->in, 16384);
		ssize_t n = recv(connection->source.fd, room, 16384, MSG_DONTWAIT);

		if (n > 0)
			buffer_grew(&connection->in, (size_t)n);
		else if (n == 0)
			return false;
		else if (errno == EAGAIN)
			return true;
		else if (errno != EINTR)
			return false;
		if (buffer_size(&connection->in) >= IN_MAX)
			return true;
	}
}

/* Who will say no more does not listen either, as far as we know. */
static void on_ready(struct server *server, struct source *source, uint32_t events)
{
	struct connection *connection = (struct connection *)source;
	bool there = true;

	(void)server;
	if ((events & EPOLLIN) && !connection->silent && !connection->over)
		there = read_some(connection);
	if (!there || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		leave(connection);
	else
		connection_go_on(connection);
}

struct connection *connection_new(struct server *server, int fd, bool silent)
{
	struct connection *connection = need(calloc(1, sizeof(*connection)));

	connection->source = (struct source){ on_ready, fd };
	connection->server = server;
	connection->silent = silent;
	connection->events = silent ? EPOLLRDHUP : EPOLLRDHUP | EPOLLIN;
	list_init(&connection->watch);
	list_init(&connection->link);
	list_append(&server->alive, &connection->link);
	if (silent)
		server->counters.silent++;
	else {
		server->counters.open++;
		server->counters.accepted++;
	}
	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd,
	            &(struct epoll_event){
	                    .events = connection->events, .data.ptr = &connection->source }) < 0)
		die(connection);
	return connection;
}

void connection_free(struct connection *connection)
{
	if (connection->source.fd >= 0)
		close(connection->source.fd);
	list_remove(&connection->link);
	answer_done(&connection->answer);
	request_done(&connection->request);
	buffer_done(&connection->in);
	buffer_done(&connection->out);
	free(connection);
}
