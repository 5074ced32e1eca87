/*
 * What a child reads on its standard input. As much as the pipe takes is in it before the child
 * runs, mostly all of it; the rest is copied and follows as the child reads. One that never reads
 * costs that copy and nothing else; one that closes its end has had enough.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/process_internal.h"

/* How much goes in in one turn, should a child read as fast as that. */
#define INPUT_PORTION (256 * 1024)

void qs_process_close_input(struct qs_process *process)
{
	qs_watch_stop(&process->input);
	closep(&process->input.fd);
	process->input.fd = -1;
	free(TAKE(process->unread, NULL));
}

/* Until the pipe is full: how much went in, or why none ever will. */
static ssize_t fill(int fd, const char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t r = qs_write_quietly(fd, data + done, size - done);
		if (r == -EAGAIN)
			break;
		if (r < 0 && r != -EINTR)
			return r;
		done += r > 0 ? (size_t)r : 0;
	}
	return (ssize_t)done;
}

static void input_is_ready(struct qs_watch *watch, unsigned what _unused_)
{
	struct qs_process *process = container_of(watch, struct qs_process, input);
	size_t left = process->unread_size - process->unread_done;
	ssize_t size = fill(watch->fd, process->unread + process->unread_done,
	        MIN(left, (size_t)INPUT_PORTION));

	if (size >= 0)
		process->unread_done += (size_t)size;
	if (size < 0 || process->unread_done == process->unread_size)
		qs_process_close_input(process);
}

static int keep_rest(struct qs_process *process, const char *rest, size_t size)
{
	process->unread = malloc(size);
	if (!process->unread)
		return -ENOMEM;
	memcpy(process->unread, rest, size);
	process->unread_size = size;
	process->input.ready = input_is_ready;
	return qs_watch_start(
	        process->reaper->context->loop, &process->input, process->input.fd, QS_WRITE);
}

int qs_process_open_input(struct qs_process *process, const void *input, size_t size, int *ret_fd)
{
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return -errno;
	process->input.fd = pipe[1];
	*ret_fd = pipe[0];
	if (fcntl(pipe[1], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	ssize_t done = fill(pipe[1], input, size);
	if (done < 0)
		return (int)done;
	if ((size_t)done < size) {
		int r = keep_rest(process, (const char *)input + done, size - (size_t)done);
		if (r < 0)
			return r;
	} else {
		qs_process_close_input(process);
	}
	return qs_lift_fd(ret_fd);
}
