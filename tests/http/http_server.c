/* Starting, asking and ending the HTTP server for tests. */
#include "tests/http/http_server.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/macro.h"

#define PATIENCE 20 /* s */

static void run_server(const char *option, int input_fd, int output_fd)
{
	const char *build = getenv("QUIESCE_BUILD");
	char program[512];

	snprintf(program, sizeof(program), "%s/bin/http-server", build ? build : "build");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(input_fd, STDIN_FILENO) < 0 || dup2(output_fd, STDOUT_FILENO) < 0)
		_exit(126);
	execl(program, "http-server", option, NULL);
	_exit(127);
}

void http_server_start(struct http_server *server, const char *option)
{
	int input[2], output[2];
	char line[64] = "";
	FILE *from;

	*server = (struct http_server){ 0 };
	ck_assert(pipe2(input, O_CLOEXEC) == 0 && pipe2(output, O_CLOEXEC) == 0);
	server->pid = fork();
	if (server->pid == 0)
		run_server(option, input[0], output[1]);
	ck_assert_int_gt(server->pid, 0);
	close(input[0]);
	close(output[1]);
	server->input_fd = input[1];
	from = fdopen(output[0], "r");
	ck_assert(from && fgets(line, sizeof(line), from));
	fclose(from);
	ck_assert_msg(sscanf(line, "port %u silent %u", &server->port, &server->silent_port) == 2,
	        "the server says: %s", line);
	snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u", server->port);
	snprintf(server->silent_url, sizeof(server->silent_url), "http://127.0.0.1:%u",
	        server->silent_port);
}

void http_server_stop(struct http_server *server)
{
	int status = 0;

	if (server->pid <= 0)
		return;
	close(server->input_fd);
	ck_assert_int_eq(waitpid(TAKE(server->pid, 0), &status, 0) < 0, 0);
	ck_assert_msg(status == 0, "the server ended with status %#x", (unsigned)status);
}

static int connect_to(unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = PATIENCE };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0,
	        "no way to the server: %s", strerror(errno));
	return fd;
}

char *http_server_get(const struct http_server *server, const char *path)
{
	_cleanup_(closep) int fd = connect_to(server->port);
	_cleanup_(freep) char *all = NULL;
	size_t used = 0;
	ssize_t n;
	char *body;

	ck_assert_int_gt(
	        dprintf(fd, "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path), 0);
	do {
		all = realloc(all, used + 65537);
		ck_assert_ptr_nonnull(all);
		n = recv(fd, all + used, 65536, 0);
		ck_assert_msg(n >= 0, "no answer to %s: %s", path, strerror(errno));
		used += (size_t)n;
		all[used] = '\0';
	} while (n > 0);
	body = strstr(all, "\r\n\r\n");
	ck_assert_ptr_nonnull(body);
	return strdup(body + 4);
}

uint64_t http_server_count(const struct http_server *server, const char *name)
{
	_cleanup_(freep) char *counters = http_server_get(server, "/counters");
	char key[64];
	const char *place;

	snprintf(key, sizeof(key), "\"%s\": ", name);
	place = strstr(counters, key);
	ck_assert_msg(place != NULL, "no %s in %s", name, counters);
	return strtoull(place + strlen(key), NULL, 10);
}

static void await(
        const struct http_server *server, const char *name, const char *how, uint64_t value)
{
	char path[128];

	snprintf(path, sizeof(path), "/counters?until=%s&%s=%" PRIu64, name, how, value);
	free(http_server_get(server, path));
}

void http_server_await(const struct http_server *server, const char *name, uint64_t value)
{
	await(server, name, "is", value);
}

void http_server_await_least(const struct http_server *server, const char *name, uint64_t value)
{
	await(server, name, "least", value);
}
