/* Sockets, with 20 s of patience. */
#include "tests/http/raw.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int raw_connect(unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

void raw_send(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void raw_get(int fd, const char *path)
{
	char text[1024];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path);
	raw_send(fd, text);
}

char *raw_read(int fd, const char *until)
{
	size_t used = 0;
	char *text = strdup("");
	ssize_t n = 1;

	while (n > 0 && !(until && strstr(text, until))) {
		text = realloc(text, used + 65537);
		ck_assert_ptr_nonnull(text);
		n = recv(fd, text + used, 65536, 0);
		ck_assert_msg(n >= 0, "%s; so far: %s", strerror(errno), text);
		used += (size_t)n;
		text[used] = '\0';
	}
	ck_assert_msg(!until || n > 0, "it ended without '%s': %s", until, text);
	return text;
}

int raw_end(int fd)
{
	char buffer[4096];
	ssize_t n;

	do
		n = recv(fd, buffer, sizeof(buffer), 0);
	while (n > 0);
	return n < 0 ? errno : 0;
}

char *raw_ask(unsigned port, const char *path)
{
	int fd = raw_connect(port);
	char request[1024], *answer;

	snprintf(request, sizeof(request),
	        "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path);
	raw_send(fd, request);
	answer = raw_read(fd, NULL);
	close(fd);
	return answer;
}
