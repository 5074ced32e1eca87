/* A table of descriptors, each with a watch that lives as long as the table. */
#include "lib/http_sockets.h"

#include <errno.h>

#include "lib/alloc.h"
#include "lib/macro.h"

#define RETRY (20 * QS_MSEC)

struct qs_http_socket {
	struct qs_watch watch;
	struct qs_http_sockets *sockets;
	unsigned wanted, watched;
	bool is_connection;
};

static void stop(struct qs_http_socket *socket)
{
	qs_watch_stop(&socket->watch);
	socket->watched = 0;
}

static void socket_ready(struct qs_watch *watch, unsigned what)
{
	struct qs_http_socket *socket = container_of(watch, struct qs_http_socket, watch);

	/* Nobody has asked for it: an idle connection is closed by its peer. */
	if (socket->wanted == 0)
		stop(socket);
	else
		socket->sockets->ready(socket->sockets, watch->fd, what);
}

static int apply(struct qs_http_sockets *sockets, int fd)
{
	struct qs_http_socket *socket = sockets->table[fd];
	int r;

	if (socket->wanted == socket->watched)
		return 0;
	if (socket->wanted == 0 && socket->watched == QS_READ && socket->is_connection)
		return 0;
	stop(socket);
	if (socket->wanted == 0)
		return 0;
	socket->watch = (struct qs_watch){ .ready = socket_ready };
	r = qs_watch_start(sockets->loop, &socket->watch, fd, socket->wanted);
	if (r == 0)
		socket->watched = socket->wanted;
	return r;
}

/* There was no memory to watch one of them. */
static void retry(struct qs_timer *timer)
{
	struct qs_http_sockets *sockets = container_of(timer, struct qs_http_sockets, retry);
	int r = 0;

	for (size_t fd = 0; fd < sockets->room; fd++)
		if (sockets->table[fd] && sockets->table[fd]->wanted > 0)
			r = MIN(r, apply(sockets, (int)fd));
	if (r < 0)
		qs_timer_arm(timer, qs_time_add(qs_loop_now(sockets->loop), RETRY));
}

static int grow(struct qs_http_sockets *sockets, size_t room)
{
	struct qs_http_socket **table;

	if (room <= sockets->room)
		return 0;
	room = MAX(room, 2 * sockets->room);
	table = qs_reallocarray(sockets->table, room, sizeof(struct qs_http_socket *));
	if (!table)
		return -ENOMEM;
	for (size_t i = sockets->room; i < room; i++)
		table[i] = NULL;
	sockets->table = table;
	sockets->room = room;
	return 0;
}

static struct qs_http_socket *get(struct qs_http_sockets *sockets, int fd)
{
	struct qs_http_socket *socket;

	if (grow(sockets, (size_t)fd + 1) < 0)
		return NULL;
	socket = sockets->table[fd];
	if (socket)
		return socket;
	socket = qs_calloc(1, sizeof(*socket));
	if (!socket)
		return NULL;
	socket->sockets = sockets;
	sockets->table[fd] = socket;
	return socket;
}

int qs_http_sockets_init(struct qs_http_sockets *sockets, struct qs_loop *loop,
        void (*ready)(struct qs_http_sockets *, int, unsigned))
{
	sockets->loop = loop;
	sockets->ready = ready;
	return qs_timer_init(loop, &sockets->retry, retry);
}

void qs_http_sockets_done(struct qs_http_sockets *sockets)
{
	for (size_t fd = 0; fd < sockets->room; fd++) {
		if (sockets->table[fd])
			stop(sockets->table[fd]);
		qs_free(sockets->table[fd]);
	}
	qs_free(sockets->table);
	qs_timer_done(&sockets->retry);
}

int qs_http_sockets_opened(struct qs_http_sockets *sockets, int fd)
{
	struct qs_http_socket *socket = get(sockets, fd);

	if (!socket)
		return -ENOMEM;
	socket->is_connection = true;
	socket->wanted = 0;
	sockets->open++;
	return 0;
}

void qs_http_sockets_closed(struct qs_http_sockets *sockets, int fd)
{
	struct qs_http_socket *socket = sockets->table[fd];

	stop(socket);
	socket->wanted = 0;
	if (TAKE(socket->is_connection, false))
		sockets->open--;
}

void qs_http_sockets_want(struct qs_http_sockets *sockets, int fd, unsigned what)
{
	struct qs_http_socket *socket = get(sockets, fd);

	if (!socket)
		return;
	socket->wanted = what;
	if (apply(sockets, fd) < 0)
		qs_timer_arm(&sockets->retry, qs_time_add(qs_loop_now(sockets->loop), RETRY));
}
