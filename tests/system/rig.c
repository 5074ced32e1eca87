/* See rig.h. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "lib/macro.h"
#include "tests/system/rig.h"

#define MAX_ARGUMENTS 16

uint64_t rig_now_ms(void)
{
	return qs_time_now() / QS_MSEC;
}

static int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	ck_assert_ptr_nonnull(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* --- files --- */

void rig_write(struct rig *rig, const char *name, const char *content)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", rig->directory, name);
	FILE *file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(content, file), 0);
	ck_assert_int_eq(fclose(file), 0);
	if (strncmp(content, "#!", 2) == 0)
		ck_assert_int_eq(chmod(path, 0755), 0);
}

void rig_configure(struct rig *rig, const char *yaml)
{
	rig_write(rig, "config.yaml", yaml);
}

void rig_init(struct rig *rig, const char *yaml)
{
	memset(rig, 0, offsetof(struct rig, log));
	rig->log_used = rig->log_seen = 0;
	rig->log[0] = '\0';
	rig->log_fd = -1;
	rig->descriptors = count_descriptors();
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	snprintf(rig->directory, sizeof(rig->directory), "/tmp/quiesced-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig->directory));
	snprintf(rig->socket, sizeof(rig->socket), "%s/control.sock", rig->directory);
	rig_configure(rig, yaml);
}

/* --- the process --- */

static void exec_daemon(struct rig *rig, int log_fd, const char **arguments)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	/* A test that fails leaves no daemon behind; the daemon's own children see to themselves.
	 */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir(rig->directory) < 0)
		_exit(125);
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("QUIESCED_SOCKET");
	execv(arguments[0], (char *const *)arguments);
	_exit(126);
}

void rig_launch(struct rig *rig, ...)
{
	char program[512];
	const char *arguments[MAX_ARGUMENTS] = { program, "--config", "config.yaml", "--state-dir",
		"state", "--control-socket", rig->socket };
	int count = 7, ends[2];
	va_list more;

	snprintf(program, sizeof(program), "%s/bin/quiesced", getenv("QUIESCE_BUILD"));
	va_start(more, rig);
	for (const char *argument;
	        count < MAX_ARGUMENTS - 1 && (argument = va_arg(more, const char *));)
		arguments[count++] = argument;
	va_end(more);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	rig->pid = fork();
	ck_assert_int_ge(rig->pid, 0);
	if (rig->pid == 0)
		exec_daemon(rig, ends[1], arguments);
	close(ends[1]);
	if (rig->log_fd >= 0)
		close(rig->log_fd);
	rig->log_fd = ends[0];
	ck_assert_int_eq(fcntl(rig->log_fd, F_SETFL, O_NONBLOCK), 0);
}

void rig_start(struct rig *rig)
{
	size_t seen = rig->log_used;

	rig_launch(rig, NULL);
	rig->log_seen = seen;
	rig_expect(rig, "quiesced: ready");
	/* What workers said before that counts as well. */
	rig->log_seen = seen;
}

void rig_signal(struct rig *rig, int signo)
{
	ck_assert_int_gt(rig->pid, 0);
	ck_assert_int_eq(kill(rig->pid, signo), 0);
}

/* --- the log --- */

static void make_room(struct rig *rig)
{
	size_t half = sizeof(rig->log) / 2;

	if (rig->log_used < sizeof(rig->log) - 4096)
		return;
	memmove(rig->log, rig->log + half, rig->log_used - half);
	rig->log_used -= half;
	rig->log_seen = rig->log_seen > half ? rig->log_seen - half : 0;
}

/* 1: something came; 0: nothing yet; -1: the end. */
static int read_log(struct rig *rig)
{
	make_room(rig);
	ssize_t n =
	        read(rig->log_fd, rig->log + rig->log_used, sizeof(rig->log) - rig->log_used - 1);
	if (n > 0) {
		rig->log_used += (size_t)n;
		rig->log[rig->log_used] = '\0';
		return 1;
	}
	return n < 0 && errno == EAGAIN ? 0 : -1;
}

static bool wait_log(struct rig *rig, uint64_t until)
{
	struct pollfd fd = { .fd = rig->log_fd, .events = POLLIN };
	uint64_t now = rig_now_ms();

	return now < until && poll(&fd, 1, (int)(until - now)) > 0;
}

void rig_expect(struct rig *rig, const char *text)
{
	uint64_t until = rig_now_ms() + RIG_PATIENCE_MS;

	for (;;) {
		const char *found = strstr(rig->log + rig->log_seen, text);
		if (found) {
			rig->log_seen = (size_t)(found - rig->log) + strlen(text);
			return;
		}
		if (!wait_log(rig, until) || read_log(rig) < 0)
			ck_abort_msg("'%s' never came in the log:\n%s", text, rig->log);
	}
}

bool rig_logged(struct rig *rig, const char *text)
{
	while (rig->log_fd >= 0 && read_log(rig) > 0)
		;
	return strstr(rig->log, text) != NULL;
}

/* The log is read all the while, so that a full pipe holds nobody up. */
int rig_wait(struct rig *rig)
{
	uint64_t until = rig_now_ms() + 3 * RIG_PATIENCE_MS;
	int status = 0;

	while (wait_log(rig, until) && read_log(rig) >= 0)
		;
	if (rig_now_ms() >= until) {
		kill(rig->pid, SIGABRT);
		ck_abort_msg("the daemon did not exit:\n%s", rig->log);
	}
	ck_assert_int_eq(waitpid(rig->pid, &status, 0), rig->pid);
	rig->pid = 0;
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

int rig_stop(struct rig *rig)
{
	rig_signal(rig, SIGTERM);
	return rig_wait(rig);
}

/* --- the control socket --- */

int rig_connect(struct rig *rig)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = RIG_PATIENCE_MS / 1000 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->socket);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static char *read_all(int fd)
{
	size_t size = 1 << 16, used = 0;
	char *text = malloc(size);

	for (ssize_t n; text && (n = read(fd, text + used, size - used - 1)) > 0;) {
		used += (size_t)n;
		if (used == size - 1)
			text = realloc(text, size *= 2);
	}
	ck_assert_ptr_nonnull(text);
	text[used] = '\0';
	return text;
}

/* HTTP/1.0, so that the body ends with the connection. */
char *rig_request(struct rig *rig, const char *method, const char *target, int *ret_status)
{
	char request[1024];
	int fd = rig_connect(rig);

	*ret_status = 0;
	if (fd < 0)
		return NULL;
	int n = snprintf(request, sizeof(request), "%s %s HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
	        method, target);
	char *answer = send(fd, request, (size_t)n, MSG_NOSIGNAL) == n ? read_all(fd) : NULL;
	close(fd);
	char *body = answer ? strstr(answer, "\r\n\r\n") : NULL;
	if (!body || sscanf(answer, "HTTP/%*s %d", ret_status) != 1) {
		free(answer);
		return NULL;
	}
	memmove(answer, body + 4, strlen(body + 4) + 1);
	return answer;
}

json_t *rig_json(struct rig *rig, const char *method, const char *target, int status)
{
	int answered;
	char *body = rig_request(rig, method, target, &answered);

	ck_assert_msg(body, "%s %s: no answer\n%s", method, target, rig->log);
	ck_assert_msg(answered == status, "%s %s: %d %s", method, target, answered, body);
	json_t *json = json_loads(body, 0, NULL);
	ck_assert_msg(json, "%s %s: no JSON: %s", method, target, body);
	free(body);
	return json;
}

static bool is_in_state(struct rig *rig, const char *worker, const char *state)
{
	char target[256];

	snprintf(target, sizeof(target), "/v1/workers/%s", worker);
	json_t *json = rig_json(rig, "GET", target, 200);
	bool is = strcmp(json_string_value(json_object_get(json, "state")), state) == 0;
	json_decref(json);
	return is;
}

/* The stream is opened before the first look, so that no change can slip through between. */
void rig_await_state(struct rig *rig, const char *worker, const char *state)
{
	static const char request[] = "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
	uint64_t until = rig_now_ms() + RIG_PATIENCE_MS;
	char buffer[4096];
	int fd = rig_connect(rig);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), 0);
	ck_assert_int_gt(read(fd, buffer, sizeof(buffer)), 0);
	while (!is_in_state(rig, worker, state)) {
		struct pollfd events = { .fd = fd, .events = POLLIN };

		if (rig_now_ms() >= until)
			ck_abort_msg("%s never came to be %s\n%s", worker, state, rig->log);
		if (poll(&events, 1, 1000) > 0)
			ck_assert_int_gt(read(fd, buffer, sizeof(buffer)), 0);
	}
	close(fd);
}

/* --- the report --- */

json_t *rig_report(struct rig *rig)
{
	char path[256];
	json_error_t error;

	snprintf(path, sizeof(path), "%s/state/last-shutdown.json", rig->directory);
	json_t *report = json_load_file(path, 0, &error);
	ck_assert_msg(report, "%s: %s\n%s", path, error.text, rig->log);
	return report;
}

const char *rig_verdict(const json_t *report, const char *worker)
{
	const char *verdict = "";
	json_t *task;
	size_t i;

	json_array_foreach (json_object_get(report, "tasks"), i, task) {
		const char *owner = json_string_value(json_object_get(task, "worker"));

		if (owner && strcmp(owner, worker) == 0)
			verdict = json_string_value(json_object_get(task, "verdict"));
	}
	return verdict;
}

/* --- processes --- */

static bool command_line_has(const char *pid, const char *text)
{
	char path[64], line[4096];

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	for (ssize_t i = 0; i < n; i++)
		line[i] = line[i] ? line[i] : ' ';
	line[n] = '\0';
	return strstr(line, text) != NULL;
}

bool rig_process_exists(const char *text)
{
	DIR *processes = opendir("/proc");
	bool found = false;

	ck_assert_ptr_nonnull(processes);
	for (struct dirent *entry; !found && (entry = readdir(processes));)
		if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid())
			found = command_line_has(entry->d_name, text);
	closedir(processes);
	return found;
}

/* The kernel tells nobody of a stranger's beginning or end: this is the one place that looks again.
 */
void rig_await_process(const char *text, bool exists)
{
	uint64_t until = rig_now_ms() + RIG_PATIENCE_MS;

	while (rig_process_exists(text) != exists) {
		if (rig_now_ms() >= until)
			ck_abort_msg("'%s' is %s", text, exists ? "not there" : "still there");
		(void)poll(NULL, 0, 5);
	}
}

static void assert_no_children(struct rig *rig)
{
	siginfo_t info = { 0 };

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
		ck_assert_int_eq(errno, ECHILD);
		return;
	}
	(void)system("ps -ejH >&2");
	ck_abort_msg("processes were left behind (pid %d)\n%s", info.si_pid, rig->log);
}

void rig_done(struct rig *rig)
{
	char command[128];

	if (rig->pid > 0) {
		kill(rig->pid, SIGTERM);
		(void)rig_wait(rig);
	}
	if (rig->log_fd >= 0)
		close(rig->log_fd);
	assert_no_children(rig);
	snprintf(command, sizeof(command), "rm -rf %s", rig->directory);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(count_descriptors(), rig->descriptors);
}
