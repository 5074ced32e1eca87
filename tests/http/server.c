/*
 * http-server [--stall-accept | --unix=PATH]: listens on two ports of 127.0.0.1 and says "port N
 * silent M". At the first all is answered as the path of the request asks for; the second accepts
 * and never hears or says anything. It ends with SIGTERM, or when its standard input does, if that
 * is a pipe.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "tests/http/server.h"

#define EVENTS 256

struct listener {
	struct source source; /* first */
	bool silent;
};

static bool ended;

static void give_up(const char *what)
{
	fprintf(stderr, "http-server: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	        listen(fd, 4096) < 0)
		give_up(path);
	return fd;
}

static void on_end(struct server *server, struct source *source, uint32_t events)
{
	char buffer[256];

	(void)server;
	(void)events;
	if (read(source->fd, buffer, sizeof(buffer)) <= 0 || source->fd != STDIN_FILENO)
		ended = true;
}

static void on_accept(struct server *server, struct source *source, uint32_t events)
{
	const struct listener *listener = (struct listener *)source;
	int fd;

	(void)events;
	while ((fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		(void)connection_new(server, fd, listener->silent);
	}
}

/* A program at its other end ends us when it goes; a file or device, such as /dev/zero, does not.
 */
static bool is_pipe(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

static void add_source(struct server *server, struct source *source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
		give_up("epoll");
}

static struct sockaddr_in address_of(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		give_up("getsockname");
	return address;
}

static int listen_at(int backlog)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	        listen(fd, backlog) < 0)
		give_up("listen");
	return fd;
}

/* A queue that is full, so that nobody's connect comes to an end. */
static void fill_queue(int fd)
{
	struct sockaddr_in address = address_of(fd);

	for (int i = 0; i < 4; i++) {
		int own = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (own < 0 || (connect(own, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		                       errno != EINPROGRESS))
			give_up("connect");
	}
}

static int stop_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* --- the loop --- */

static void run_timers(struct server *server)
{
	uint64_t now = qs_time_now();

	while (heap_first_key(&server->timers) <= now) {
		struct heap_node *node = heap_first(&server->timers);
		heap_remove(&server->timers, node);
		connection_go_on(container_of(node, struct connection, timer));
	}
}

static int wait_span(struct server *server)
{
	uint64_t first = heap_first_key(&server->timers), now = qs_time_now();

	if (first == UINT64_MAX)
		return -1;
	return (int)MIN((qs_time_sub(first, now) + QS_MSEC - 1) / QS_MSEC, UINT64_C(3600000));
}

static void free_dead(struct server *server)
{
	while (!list_empty(&server->dead))
		connection_free(list_entry(server->dead.next, struct connection, link));
}

static void run_turn(struct server *server)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(server->epoll_fd, events, EVENTS, wait_span(server));

	for (int i = 0; i < count; i++) {
		struct source *source = events[i].data.ptr;
		if (source->fd >= 0)
			source->ready(server, source, events[i].events);
	}
	run_timers(server);
	list_for_each (node, &server->watching)
		connection_go_on(list_entry(node, struct connection, watch));
	free_dead(server);
}

static void server_done(struct server *server)
{
	while (!list_empty(&server->alive))
		connection_free(list_entry(server->alive.next, struct connection, link));
	free_dead(server);
	heap_done(&server->timers);
	tally_done(&server->keys);
	tally_done(&server->faults);
	tally_done(&server->paths);
	close(server->epoll_fd);
}

int main(int argc, char **argv)
{
	bool stall = argc > 1 && strcmp(argv[1], "--stall-accept") == 0;
	struct server server = { .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	struct listener answering = { { on_accept, listen_at(4096) }, false };
	struct listener silent = { { on_accept, listen_at(stall ? 0 : 4096) }, true };
	const char *unix_path =
	        argc > 1 && strncmp(argv[1], "--unix=", 7) == 0 ? argv[1] + 7 : NULL;
	struct listener local = { { on_accept, unix_path ? listen_unix(unix_path) : -1 }, false };
	struct source input = { on_end, STDIN_FILENO }, signals = { on_end, stop_signals() };

	list_init(&server.watching);
	list_init(&server.dead);
	list_init(&server.alive);
	raise_limits();
	add_source(&server, &answering.source);
	if (unix_path)
		add_source(&server, &local.source);
	if (stall)
		fill_queue(silent.source.fd);
	else
		add_source(&server, &silent.source);
	if (is_pipe(STDIN_FILENO))
		add_source(&server, &input);
	add_source(&server, &signals);
	printf("port %u silent %u\n", ntohs(address_of(answering.source.fd).sin_port),
	        ntohs(address_of(silent.source.fd).sin_port));
	fflush(stdout);
	while (!ended)
		run_turn(&server);
	server_done(&server);
	return 0;
}
