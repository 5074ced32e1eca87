/* The daemon that is none, and running quiescectl against it in pipes or on a terminal. */
#include "tests/unit/fake_daemon.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/macro.h"

#define REQUESTS_KEPT 16
#define DEADLINE      20000 /* ms without a word */

struct fake_log {
	_Atomic unsigned count;
	char lines[REQUESTS_KEPT][256], bodies[REQUESTS_KEPT][256];
};

/* --- the process --- */

static bool is_complete(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n"),
	           *length = strcasestr(text, "\r\nContent-Length:");

	return end &&
	       (!length || length > end || strlen(end + 4) >= strtoul(length + 17, NULL, 10));
}

static void read_request(int fd, char *head, size_t size)
{
	size_t used = 0;

	head[0] = '\0';
	while (used + 1 < size && !is_complete(head)) {
		ssize_t n = read(fd, head + used, size - used - 1);
		if (n <= 0)
			return;
		used += (size_t)n;
		head[used] = '\0';
	}
}

static const struct canned *find_canned(const struct canned *canned, const char *head)
{
	static const struct canned nothing = { .request = "", 404, "{\"detail\": \"not there\"}" };

	for (; canned->request; canned++)
		if (strncmp(head, canned->request, strlen(canned->request)) == 0)
			return canned;
	return &nothing;
}

static void note_request(struct fake_log *log, const char *head)
{
	unsigned i = atomic_load(&log->count);

	if (i == REQUESTS_KEPT)
		return;
	snprintf(log->lines[i], sizeof(log->lines[i]), "%.*s", (int)strcspn(head, "\r"), head);
	if (strstr(head, "\r\n\r\n"))
		snprintf(
		        log->bodies[i], sizeof(log->bodies[i]), "%s", strstr(head, "\r\n\r\n") + 4);
	atomic_store(&log->count, i + 1);
}

static void answer(int fd, const struct canned *canned)
{
	char head[128];
	struct iovec parts[2];
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	const char *body = canned->status ? canned->body : canned->raw;

	head[0] = '\0';
	if (canned->status)
		snprintf(head, sizeof(head),
		        "HTTP/1.1 %d Fine\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
		        canned->status, strlen(body));
	parts[0] = (struct iovec){ head, strlen(head) };
	parts[1] = (struct iovec){ (char *)body, strlen(body) };
	(void)sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void serve(int listen_fd, int go_fd, const struct canned *table, struct fake_log *log)
{
	char head[4096], word;

	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		const struct canned *canned;

		if (fd < 0)
			_exit(1);
		read_request(fd, head, sizeof(head));
		canned = find_canned(table, head);
		note_request(log, head);
		if (canned->on_word && read(go_fd, &word, 1) != 1)
			_exit(1);
		answer(fd, canned);
		if (canned->after == AFTER_DIE)
			_exit(0);
		if (canned->after == AFTER_CLOSE)
			close(fd);
	}
}

void fake_daemon_start(struct fake_daemon *fake, const struct canned *canned)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), go[2];

	strcpy(fake->directory, "/tmp/quiescectl.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fake->directory));
	snprintf(fake->socket, sizeof(fake->socket), "%s/sock", fake->directory);
	strcpy(address.sun_path, fake->socket);
	fake->log = mmap(NULL, sizeof(*fake->log), PROT_READ | PROT_WRITE,
	        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(fake->log, MAP_FAILED);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	fake->pid = fork();
	if (fake->pid == 0) {
		/* It listens itself, so that it is the peer that a client sees. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || listen(fd, 8) < 0 || raise(SIGSTOP))
			_exit(1);
		serve(fd, go[0], canned, fake->log);
	}
	ck_assert_int_gt(fake->pid, 0);
	ck_assert_int_eq(waitpid(fake->pid, NULL, WUNTRACED), fake->pid);
	ck_assert_int_eq(kill(fake->pid, SIGCONT), 0);
	close(fd);
	close(go[0]);
	fake->go_fd = go[1];
}

void fake_daemon_stop(struct fake_daemon *fake)
{
	kill(fake->pid, SIGKILL);
	ck_assert_int_eq(waitpid(fake->pid, NULL, 0), fake->pid);
	close(fake->go_fd);
	munmap(fake->log, sizeof(*fake->log));
	unlink(fake->socket);
	ck_assert_int_eq(rmdir(fake->directory), 0);
}

void fake_daemon_go(struct fake_daemon *fake)
{
	ck_assert_int_eq(write(fake->go_fd, "!", 1), 1);
}

const char *fake_daemon_request(const struct fake_daemon *fake, unsigned i)
{
	return i < atomic_load(&fake->log->count) ? fake->log->lines[i] : NULL;
}

const char *fake_daemon_body(const struct fake_daemon *fake, unsigned i)
{
	return i < atomic_load(&fake->log->count) ? fake->log->bodies[i] : NULL;
}

/* --- quiescectl --- */

static void exec_ctl(const char *socket, const struct ctl_where *where, const char *words)
{
	char program[4096], copy[1024], *arguments[32] = { program }, *rest = copy;
	const char *build = getenv("QUIESCE_BUILD");
	size_t count = 1;

	snprintf(program, sizeof(program), "%s/bin/quiescectl", build ? build : "build");
	snprintf(copy, sizeof(copy), "%s", words);
	while (count + 1 < ARRAY_SIZE(arguments) && (arguments[count] = strsep(&rest, " ")))
		count++;
	unsetenv("NO_COLOR");
	unsetenv("COLUMNS");
	setenv("TERM", "xterm", 1);
	setenv("TZ", "UTC", 1);
	setenv("LC_ALL", where->locale ? where->locale : "C.UTF-8", 1);
	setenv("QUIESCED_SOCKET", socket, 1);
	for (size_t i = 0; i < ARRAY_SIZE(where->environment) && where->environment[i]; i++)
		putenv((char *)where->environment[i]);
	if (where->unprivileged && geteuid() == 0 && prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE) < 0)
		_exit(126);
	execv(program, arguments);
	_exit(127);
}

struct ctl_run ctl_begin(const char *socket, const struct ctl_where *where, const char *words)
{
	struct ctl_run run = { .err_fd = -1 };
	struct winsize size = { .ws_row = 24, .ws_col = (unsigned short)where->columns };
	int out[2], err[2];

	if (where->columns > 0) {
		run.pid = forkpty(&run.out_fd, NULL, NULL, &size);
		if (run.pid == 0)
			exec_ctl(socket, where, words);
		ck_assert_int_gt(run.pid, 0);
		return run;
	}
	ck_assert(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
	run.pid = fork();
	if (run.pid == 0) {
		if (dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0)
			_exit(126);
		exec_ctl(socket, where, words);
	}
	ck_assert_int_gt(run.pid, 0);
	close(out[1]);
	close(err[1]);
	run.out_fd = out[0];
	run.err_fd = err[0];
	return run;
}

/* Takes what has come; at the end closes the descriptor and leaves -1. */
static void gather(int *fd, char **text, size_t *size)
{
	char buffer[4096];
	ssize_t n = read(*fd, buffer, sizeof(buffer));

	if (n <= 0) {
		close(*fd);
		*fd = -1;
		return;
	}
	*text = realloc(*text, *size + (size_t)n + 1);
	ck_assert_ptr_nonnull(*text);
	memcpy(*text + *size, buffer, (size_t)n);
	*size += (size_t)n;
	(*text)[*size] = '\0';
}

static void gather_some(struct ctl_run *run)
{
	struct pollfd fds[] = { { run->out_fd, POLLIN, 0 }, { run->err_fd, POLLIN, 0 } };

	if (poll(fds, 2, DEADLINE) <= 0) {
		kill(run->pid, SIGKILL);
		ck_abort_msg("quiescectl says nothing more; so far: %s", run->out ? run->out : "");
	}
	if (fds[0].revents)
		gather(&run->out_fd, &run->out, &run->out_size);
	if (fds[1].revents)
		gather(&run->err_fd, &run->err, &run->err_size);
}

void ctl_await(struct ctl_run *run, const char *text)
{
	while (!run->out || !strstr(run->out, text)) {
		ck_assert_msg(run->out_fd >= 0, "it ended without \"%s\": %s", text,
		        run->out ? run->out : "");
		gather_some(run);
	}
}

void ctl_finish(struct ctl_run *run)
{
	int status;

	while (run->out_fd >= 0 || run->err_fd >= 0)
		gather_some(run);
	ck_assert_int_eq(waitpid(run->pid, &status, 0), run->pid);
	run->status = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
	if (!run->out)
		run->out = strdup("");
	if (!run->err)
		run->err = strdup("");
}

void ctl_done(struct ctl_run *run)
{
	free(TAKE(run->out, NULL));
	free(TAKE(run->err, NULL));
}

struct ctl_run ctl(const char *socket, const char *words)
{
	struct ctl_run run = ctl_begin(socket, &(struct ctl_where){ 0 }, words);

	ctl_finish(&run);
	return run;
}
