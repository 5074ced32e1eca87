/*
 * The attendant: one thread that hears the stop and looks at the tasks, whatever the runtime's own
 * thread is doing.
 *
 * How a stop arrives: the daemon writes a line with the reason and the deadline into the stop pipe,
 * then sends the stop signal. The line is the request, and the signal that comes with it says
 * nothing more; a signal without a line is a request of its own, as is every further one, which
 * moves the shutdown on by a phase.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "daemon/host/host.h"

#define LOOK_SOON (100 * QS_MSEC)
#define LOOK_LATE QS_SEC

#define DEADLINE_OF_SIGNALS (20 * QS_SEC) /* of one that comes without a line */

void attendant_signals(sigset_t *ret_signals)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

	sigemptyset(ret_signals);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(ret_signals, signals[i]);
}

static void close_stop(struct attendant *attendant)
{
	(void)close(attendant->stop_fd);
	attendant->stop_fd = -1;
}

/* --- the line --- */

static void take_line(struct attendant *attendant)
{
	struct qs_stop_reason reason;

	if (qs_stop_parse(attendant->line, attendant->line_used, &reason) < 0)
		return;
	attendant->asked = attendant->signal_due = true;
	(void)qs_shutdown_for(attendant->runtime, &reason);
}

/* It comes whole, or as good as: then there is its newline, or the end. */
static void read_stop(struct attendant *attendant)
{
	size_t room = sizeof(attendant->line) - attendant->line_used;
	ssize_t size;

	if (attendant->stop_fd < 0)
		return;
	do
		size = read(attendant->stop_fd, attendant->line + attendant->line_used, room);
	while (size < 0 && errno == EINTR);
	if (size < 0 && errno == EAGAIN)
		return;
	attendant->line_used += size > 0 ? (size_t)size : 0;
	if (size > 0 && attendant->line_used < sizeof(attendant->line) &&
	        !memchr(attendant->line, '\n', attendant->line_used))
		return;
	take_line(attendant);
	close_stop(attendant);
}

/* --- signals --- */

static void ask_by_signal(struct attendant *attendant, const struct signalfd_siginfo *info)
{
	struct qs_stop_reason reason = { .cause = QS_CAUSE_SHUTDOWN };

	snprintf(reason.detail, sizeof(reason.detail), "signal SIG%s from pid %u uid %u",
	        sigabbrev_np((int)info->ssi_signo), info->ssi_pid, info->ssi_uid);
	if (!attendant->asked)
		reason.deadline = qs_time_add(qs_time_now(), DEADLINE_OF_SIGNALS);
	attendant->asked = true;
	(void)qs_shutdown_for(attendant->runtime, &reason);
}

static void read_signals(struct attendant *attendant)
{
	struct signalfd_siginfo info;

	while (read(attendant->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		/* The line was written first. */
		read_stop(attendant);
		if (attendant->signal_due)
			attendant->signal_due = false;
		else
			ask_by_signal(attendant, &info);
	}
}

/* --- the thread --- */

/* In a hurry while things change, and so that looking takes a small part of the time only. */
static uint64_t next_wait(struct attendant *attendant, uint64_t wait)
{
	uint64_t began = qs_time_now();
	bool changed = teller_look(&attendant->teller, attendant->runtime, false);
	uint64_t cost = qs_time_sub(qs_time_now(), began);

	wait = changed || attendant->asked ? LOOK_SOON : wait * 2;
	wait = wait > LOOK_LATE ? LOOK_LATE : wait;
	return wait < cost * 50 ? cost * 50 : wait;
}

static void *attend(void *arg)
{
	struct attendant *attendant = arg;
	uint64_t wait = LOOK_SOON;

	pthread_setname_np(pthread_self(), "attendant");
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = attendant->quit_fd, .events = POLLIN },
			{ .fd = attendant->stop_fd, .events = POLLIN },
			{ .fd = attendant->signal_fd, .events = POLLIN },
		};

		wait = next_wait(attendant, wait);
		(void)poll(fds, sizeof(fds) / sizeof(fds[0]), (int)(wait / QS_MSEC));
		if (fds[0].revents)
			return NULL;
		if (fds[1].revents)
			read_stop(attendant);
		if (fds[2].revents)
			read_signals(attendant);
	}
}

/* --- life --- */

/* A descriptor that the daemon has handed to us; nobody below shall have it. */
static int inherited(const char *name)
{
	const char *text = getenv(name);
	int fd = text ? atoi(text) : -1;

	if (fd <= STDERR_FILENO || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	return fd;
}

static int open_descriptors(struct attendant *attendant)
{
	sigset_t signals;

	attendant->teller.fd = inherited("QUIESCE_HOST_FD");
	attendant->stop_fd = inherited("QUIESCE_STOP_FD");
	if (attendant->stop_fd >= 0)
		(void)fcntl(attendant->stop_fd, F_SETFL, O_NONBLOCK);
	unsetenv("QUIESCE_HOST_FD");
	unsetenv("QUIESCE_STOP_FD");
	attendant_signals(&signals);
	attendant->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	attendant->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return attendant->signal_fd < 0 || attendant->quit_fd < 0 ? -errno : 0;
}

int attendant_start(struct attendant *attendant, qs_runtime *runtime)
{
	sigset_t all, before;

	attendant->runtime = runtime;
	int r = open_descriptors(attendant);
	if (r < 0)
		return r;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&attendant->thread, NULL, attend, attendant);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

void attendant_stop(struct attendant *attendant)
{
	(void)eventfd_write(attendant->quit_fd, 1);
	pthread_join(attendant->thread, NULL);
	(void)teller_look(&attendant->teller, attendant->runtime, true);
}
