/*
 * What joins us to a tree: one pipe for its standard output and error (or one for each), one pipe
 * that tells it to stop, and a notify socket of its own. Output is read in portions, one a turn, so
 * that a child that floods holds up nobody; at the end what lies in the pipe is read and no end is
 * waited for, since a process that has escaped may hold the other side open for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <quiesce/stop.h>

#include "lib/notify_message.h"
#include "lib/process_internal.h"

/* More than this cannot lie in a pipe. */
#define DRAIN_MAX (1024 * 1024 + OUTPUT_PORTION)

/* How many datagrams are read in one turn, and at the end: more than a socket can queue. */
#define NOTIFY_PORTION 16
#define NOTIFY_DRAIN   4096

#define NOTIFY_FDS_MAX 253 /* the kernel's SCM_MAX_FD */

int qs_lift_fd(int *fd)
{
	if (*fd >= CHILD_FD_COUNT)
		return 0;
	int higher = fcntl(*fd, F_DUPFD_CLOEXEC, CHILD_FD_COUNT);
	if (higher < 0)
		return -errno;
	(void)close(*fd);
	*fd = higher;
	return 0;
}

static void close_watch(struct qs_watch *watch)
{
	qs_watch_stop(watch);
	closep(&watch->fd);
	watch->fd = -1;
}

static struct qs_loop *loop_of(const struct qs_process *process)
{
	return process->reaper->context->loop;
}

/* --- output --- */

static int hand_out(
        struct qs_process *process, const struct qs_watch *from, const char *data, size_t size)
{
	const struct qs_process_events *events = &process->events;
	uint64_t before = qs_loop_hold(loop_of(process), process->id);
	int r = 0;

	if (from == &process->answer)
		r = events->answer(process, data, size, process->arg);
	else if (events->output)
		events->output(process, data, size, process->arg);
	(void)qs_loop_hold(loop_of(process), before);
	return r;
}

/* What read answers, -EAGAIN for nothing there. */
static ssize_t read_some(struct qs_process *process, struct qs_watch *from)
{
	char *buffer = process->reaper->buffer;
	ssize_t size;

	do
		size = read(from->fd, buffer, OUTPUT_PORTION);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	if (size == 0 || hand_out(process, from, buffer, (size_t)size) < 0)
		close_watch(from);
	return size;
}

static void output_is_ready(struct qs_watch *watch, unsigned what _unused_)
{
	ssize_t size = read_some(container_of(watch, struct qs_process, output), watch);

	if (size < 0 && size != -EAGAIN)
		close_watch(watch);
}

static void answer_is_ready(struct qs_watch *watch, unsigned what _unused_)
{
	ssize_t size = read_some(container_of(watch, struct qs_process, answer), watch);

	if (size < 0 && size != -EAGAIN)
		close_watch(watch);
}

static void drain_pipe(struct qs_process *process, struct qs_watch *from)
{
	for (size_t total = 0; total < DRAIN_MAX && from->fd >= 0;) {
		ssize_t size = read_some(process, from);
		if (size <= 0)
			break;
		total += (size_t)size;
	}
}

/* --- notify --- */

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(NOTIFY_FDS_MAX * sizeof(int))];
};

/* BARRIER=1 waits until the descriptor that came along is closed; others have no use here. */
static void close_received(const struct cmsghdr *header)
{
	size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int fd;
		memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
		(void)close(fd);
	}
}

static struct ucred take_control(struct msghdr *message)
{
	struct ucred sender = { .uid = (uid_t)-1 };

	for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
		if (at->cmsg_level != SOL_SOCKET)
			continue;
		if (at->cmsg_type == SCM_RIGHTS)
			close_received(at);
		else if (at->cmsg_type == SCM_CREDENTIALS &&
		         at->cmsg_len == CMSG_LEN(sizeof(sender)))
			memcpy(&sender, CMSG_DATA(at), sizeof(sender));
	}
	return sender;
}

/* Whoever has our uid may have sent it and be gone by now; the socket says to which tree it is. */
static bool is_trusted(const struct ucred *sender)
{
	return sender->uid == 0 || sender->uid == geteuid();
}

static bool read_notify(struct qs_process *process)
{
	char data[QS_NOTIFY_MESSAGE_MAX];
	union control control;
	struct iovec part = { .iov_base = data, .iov_len = sizeof(data) };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	ssize_t size = recvmsg(process->notify.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (size < 0)
		return errno == EINTR;
	struct ucred sender = take_control(&message);
	if (size == 0 || (message.msg_flags & MSG_TRUNC) || !is_trusted(&sender))
		return true;
	if (process->events.notify) {
		uint64_t before = qs_loop_hold(loop_of(process), process->id);
		process->events.notify(process, data, (size_t)size, sender.pid, process->arg);
		(void)qs_loop_hold(loop_of(process), before);
	}
	return true;
}

static void notify_is_ready(struct qs_watch *watch, unsigned what _unused_)
{
	struct qs_process *process = container_of(watch, struct qs_process, notify);

	for (unsigned i = 0; i < NOTIFY_PORTION && read_notify(process); i++)
		;
}

/*
 * An abstract address, so that no file is left behind. It holds a random number, since anybody may
 * bind such an address; nobody else's datagrams pass in any case.
 */
static int open_notify(struct qs_process *process)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	static const int on = 1;
	int length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s%" PRIu64,
	        process->reaper->notify_prefix, process->id);
	socklen_t size =
	        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) + (socklen_t)length;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	process->notify.fd = fd;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
	        bind(fd, (const struct sockaddr *)&address, size) < 0)
		return -errno;
	process->notify.ready = notify_is_ready;
	return qs_watch_start(loop_of(process), &process->notify, fd, QS_READ);
}

/* --- all together --- */

static int open_reader(struct qs_process *process, struct qs_watch *watch, int *ret_fd)
{
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return -errno;
	watch->fd = pipe[0];
	*ret_fd = pipe[1];
	/* Only our end: the child's is a standard output like any other. */
	if (fcntl(pipe[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	watch->ready = watch == &process->answer ? answer_is_ready : output_is_ready;
	int r = qs_watch_start(loop_of(process), watch, pipe[0], QS_READ);
	return r < 0 ? r : qs_lift_fd(ret_fd);
}

static int open_stop(struct qs_process *process, int *ret_fd)
{
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return -errno;
	process->stop_fd = pipe[1];
	*ret_fd = pipe[0];
	return qs_lift_fd(ret_fd);
}

int qs_process_open_io(struct qs_process *process, const struct qs_process_options *options,
        int ret_seats[SEAT_COUNT])
{
	int r = open_reader(process, &process->output, &ret_seats[SEAT_OUTPUT]);

	if (r == 0 && options->events.answer)
		r = open_reader(process, &process->answer, &ret_seats[SEAT_ANSWER]);
	if (r == 0)
		r = open_stop(process, &ret_seats[SEAT_STOP]);
	if (r == 0)
		r = open_notify(process);
	if (r == 0 && options->input)
		r = qs_process_open_input(
		        process, options->input, options->input_size, &ret_seats[SEAT_INPUT]);
	return r;
}

void qs_process_close_io(struct qs_process *process)
{
	closep(&process->stop_fd);
	process->stop_fd = -1;
	qs_process_close_input(process);
	close_watch(&process->notify);
	close_watch(&process->answer);
	close_watch(&process->output);
	close_watch(&process->exit);
}

void qs_process_drain(struct qs_process *process)
{
	for (unsigned i = 0; i < NOTIFY_DRAIN && process->notify.fd >= 0; i++)
		if (!read_notify(process))
			break;
	drain_pipe(process, &process->answer);
	drain_pipe(process, &process->output);
}

/* --- the stop pipe --- */

/*
 * A child may have closed its end, and a library cannot ignore SIGPIPE for its host. So the signal
 * is blocked meanwhile and, unless one was pending before, taken away again.
 */
ssize_t qs_write_quietly(int fd, const char *data, size_t size)
{
	static const struct timespec at_once = { 0 };
	sigset_t pipe_only, pending, saved;
	ssize_t r;

	(void)sigemptyset(&pipe_only);
	(void)sigaddset(&pipe_only, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe_only, &saved);
	(void)sigpending(&pending);
	r = write(fd, data, size);
	if (r < 0)
		r = -errno;
	if (r == -EPIPE && sigismember(&pending, SIGPIPE) == 0)
		(void)sigtimedwait(&pipe_only, NULL, &at_once);
	(void)pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return r;
}

void qs_process_tell_stop(struct qs_process *process)
{
	struct qs_stop_reason reason = { .cause = qs_task_cause(&process->task),
		.at = qs_loop_now(loop_of(process)),
		.deadline = qs_task_next_rung_at(&process->task) };
	char line[128];
	int length = qs_stop_format(&reason, line, sizeof(line));

	if (process->stop_fd < 0)
		return;
	/* The pipe is empty, unless the child has opened and filled it by way of /proc. */
	if (length > 0 && fcntl(process->stop_fd, F_SETFL, O_NONBLOCK) == 0)
		(void)!qs_write_quietly(process->stop_fd, line, (size_t)length);
	(void)close(TAKE(process->stop_fd, -1));
}
