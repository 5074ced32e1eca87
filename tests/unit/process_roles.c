/*
 * The programs that the tests of process.h run: what a shell cannot do or would do too slowly. They
 * say "up" once they are what they are meant to be.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/process_world.h"

static void say(const char *text)
{
	if (write(STDOUT_FILENO, text, strlen(text)) < 0)
		_exit(3);
}

static void sleep_for_ever(void)
{
	for (;;)
		(void)pause();
}

/*
 * A chain of processes: each leaves for a session of its own, has one child and ends. Whoever wants
 * to end it has to be quicker than that. Should nobody be, it blows itself out after a while.
 */
static void storm(void)
{
	for (unsigned generation = 0; generation < 100000; generation++) {
		pid_t pid = fork();
		if (pid > 0)
			_exit(0);
		if (pid == 0)
			(void)setsid();
	}
	_exit(0);
}

/* Several chains below one process that stays, or not. */
static int play_storm(bool stays)
{
	(void)signal(SIGTERM, SIG_IGN);
	(void)prctl(PR_SET_NAME, "storm");
	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			storm();
	say("up\n");
	if (stays)
		sleep_for_ever();
	return 0;
}

static int play_descriptors(void)
{
	for (int fd = 0; fd < 4096; fd++) {
		char text[16];
		snprintf(text, sizeof(text), "%d ", fd);
		if (fcntl(fd, F_GETFD) >= 0)
			say(text);
	}
	return 0;
}

static void send_message(const char *text, int passed)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *name = getenv("NOTIFY_SOCKET");
	struct iovec part = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
		              .cmsg_level = SOL_SOCKET,
		              .cmsg_type = SCM_RIGHTS } };
	struct msghdr message = { .msg_name = &address, .msg_iov = &part, .msg_iovlen = 1 };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!name || *name != '@' || fd < 0)
		_exit(4);
	size_t length = strlen(name);
	memcpy(address.sun_path, name, length);
	address.sun_path[0] = '\0';
	message.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (passed >= 0) {
		memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	if (sendmsg(fd, &message, 0) < 0)
		_exit(5);
	close(fd);
}

/* By a grandchild that is gone before anybody reads it. */
static int play_notify(void)
{
	send_message("READY=1\nSTATUS=here", -1);
	return 0;
}

/* The other end of a passed pipe reads the end once nobody holds what was passed. */
static int play_barrier(void)
{
	int ends[2];
	char byte;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return 6;
	send_message("BARRIER=1", ends[1]);
	close(ends[1]);
	return read(ends[0], &byte, 1) == 0 ? 0 : 7;
}

static int play_foreigner(void)
{
	send_message("STATUS=before", -1);
	if (setuid(65534) < 0)
		return 8;
	send_message("STATUS=forged", -1);
	return 0;
}

/* The end of its stop pipe and its parent's death both say that the parent is gone. */
static int play_mourner(void)
{
	struct pollfd stop = { .fd = 3, .events = POLLIN };
	char byte;

	(void)signal(SIGTERM, SIG_IGN);
	say("up\n");
	return poll(&stop, 1, -1) == 1 && read(3, &byte, 1) == 0 ? 9 : 10;
}

int play_role(const char *role)
{
	if (strcmp(role, "storm") == 0)
		return play_storm(true);
	if (strcmp(role, "storm-alone") == 0)
		return play_storm(false);
	if (strcmp(role, "descriptors") == 0)
		return play_descriptors();
	if (strcmp(role, "notify") == 0)
		return play_notify();
	if (strcmp(role, "barrier") == 0)
		return play_barrier();
	if (strcmp(role, "foreigner") == 0)
		return play_foreigner();
	if (strcmp(role, "mourner") == 0)
		return play_mourner();
	return 2;
}
