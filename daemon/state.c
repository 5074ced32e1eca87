/*
 * Three files: `lock`, held by flock as long as the daemon lives, however it ends; `run.json`, the
 * marker of a run, there from its begin until its report is written; and the last report.
 */
#include "daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "lib/clock.h"
#include "lib/macro.h"
#include "lib/report.h"

#define LOCK_NAME   "lock"
#define MARKER_NAME "run.json"
#define FILE_MAX    (64 * 1024 * 1024)

/* --- files in the directory --- */

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		data += written;
		size -= (size_t)written;
	}
	return 0;
}

static int write_new(int directory_fd, const char *name, const char *text, size_t size)
{
	int fd = openat(
	        directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, text, size);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

/* The file is the old or the new one at any time, never a part of one. Takes ownership of `json`;
 * NULL is lack of memory. */
static int replace(int directory_fd, const char *name, json_t *json)
{
	char temporary[64];
	_cleanup_(json_decrefp) json_t *owned = json;
	_cleanup_(freep) char *text = owned ? json_dumps(owned, JSON_INDENT(2)) : NULL;
	if (!text)
		return -ENOMEM;
	snprintf(temporary, sizeof(temporary), "%s.new", name);
	size_t size = strlen(text);
	text[size] = '\n'; /* in the place of the NUL */
	int r = write_new(directory_fd, temporary, text, size + 1);
	if (r == 0 && renameat(directory_fd, temporary, directory_fd, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(directory_fd, temporary, 0);
	return r;
}

static int read_all(int fd, char *data, size_t size, size_t *ret_size)
{
	size_t used = 0;
	while (used < size) {
		ssize_t got = read(fd, data + used, size - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	*ret_size = used;
	return 0;
}

/* The text gets a NUL behind it. */
static int read_file(
        int directory_fd, const char *name, char **ret_text, size_t *ret_size, struct stat *status)
{
	_cleanup_(closep) int fd =
	        openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, status) < 0)
		return -errno;
	if (!S_ISREG(status->st_mode) || status->st_size > FILE_MAX)
		return -EFBIG;
	_cleanup_(freep) char *text = malloc((size_t)status->st_size + 1);
	if (!text)
		return -ENOMEM;
	int r = read_all(fd, text, (size_t)status->st_size, ret_size);
	if (r < 0)
		return r;
	text[*ret_size] = '\0';
	*ret_text = TAKE(text, NULL);
	return 0;
}

/* --- the directory --- */

static int make_directories(const char *path)
{
	char partial[PATH_MAX];
	size_t length = strlen(path);
	if (length == 0 || length >= sizeof(partial))
		return length == 0 ? -ENOENT : -ENAMETOOLONG;
	memcpy(partial, path, length + 1);
	for (char *slash = strchr(partial + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		if (mkdir(partial, 0755) < 0 && errno != EEXIST && (!slash || errno == ENOTDIR))
			return -errno;
		if (!slash)
			return 0;
		*slash = '/';
	}
}

static int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	int r = make_directories(path);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int lock(int directory_fd)
{
	int fd = openat(directory_fd, LOCK_NAME,
	        O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = -errno;
		(void)close(fd);
		return r;
	}
	return fd;
}

int state_open(struct state *state, const char *path)
{
	*state = (struct state){ .directory_fd = -1, .lock_fd = -1 };
	_cleanup_(closep) int directory_fd = open_directory(path);
	if (directory_fd < 0)
		return directory_fd;
	int lock_fd = lock(directory_fd);
	if (lock_fd < 0)
		return lock_fd;
	*state = (struct state){ .directory_fd = TAKE(directory_fd, -1), .lock_fd = lock_fd };
	return 0;
}

void state_close(struct state *state)
{
	closep(&state->lock_fd);
	closep(&state->directory_fd);
	*state = (struct state){ .directory_fd = -1, .lock_fd = -1 };
}

/* --- the marker and the report --- */

int state_mark(struct state *state, const char *invocation_id, uint64_t started_usec)
{
	const char *id = invocation_id && invocation_id[0] != '\0' ? invocation_id : NULL;
	return replace(state->directory_fd, MARKER_NAME,
	        json_pack("{s:i, s:i, s:s?, s:I}", "version", 1, "pid", (int)getpid(),
	                "invocation_id", id, "started_at", (json_int_t)started_usec));
}

void state_unmark(struct state *state)
{
	(void)unlinkat(state->directory_fd, MARKER_NAME, 0);
}

int state_read_report(const struct state *state, char **ret_text, size_t *ret_size)
{
	struct stat status;
	return read_file(state->directory_fd, QS_REPORT_NAME, ret_text, ret_size, &status);
}

/* What a marker says of its run; zeros where it says nothing that makes sense. */
struct marked_run {
	json_int_t pid;
	json_int_t started_usec;
	struct timespec written;
	const char *invocation_id; /* NULL: unknown; belongs to `json` */
	json_t *json;
};

static void marked_run_done(struct marked_run *run)
{
	json_decref(run->json);
}

static int read_marker(int directory_fd, struct marked_run *run)
{
	_cleanup_(freep) char *text = NULL;
	struct stat status;
	size_t size;
	int r = read_file(directory_fd, MARKER_NAME, &text, &size, &status);
	if (r < 0)
		return r;
	run->written = status.st_mtim;
	run->json = json_loadb(text, size, 0, NULL);
	run->pid = json_integer_value(json_object_get(run->json, "pid"));
	run->started_usec = json_integer_value(json_object_get(run->json, "started_at"));
	run->invocation_id = json_string_value(json_object_get(run->json, "invocation_id"));
	run->pid = MAX(run->pid, 0);
	run->started_usec = MAX(run->started_usec, 0);
	return 0;
}

/* A run may die between the writing of its report and the removal of its marker. */
static bool has_report(int directory_fd, const struct marked_run *run)
{
	_cleanup_(freep) char *text = NULL;
	struct stat status;
	size_t size;
	if (read_file(directory_fd, QS_REPORT_NAME, &text, &size, &status) < 0)
		return false;
	bool older = status.st_mtim.tv_sec < run->written.tv_sec ||
	             (status.st_mtim.tv_sec == run->written.tv_sec &&
	                     status.st_mtim.tv_nsec < run->written.tv_nsec);
	_cleanup_(json_decrefp) json_t *report = json_loadb(text, size, 0, NULL);
	return !older && run->pid > 0 &&
	       json_integer_value(json_object_get(report, "pid")) == run->pid;
}

static json_t *unknown_counts(void)
{
	json_t *counts = json_object();
	for (int i = QS_VERDICT_NONE + 1; counts && i < QS_VERDICT_COUNT; i++) {
		if (json_object_set_new(counts, qs_verdict_name((enum qs_verdict)i), json_null()) <
		        0) {
			json_decref(counts);
			return NULL;
		}
	}
	return counts;
}

static json_t *unclean_report(const struct marked_run *run)
{
	char started_at[QS_WALL_TEXT_SIZE];
	qs_clock_format_wall((uint64_t)run->started_usec, started_at);
	return json_pack(
	        "{s:i, s:s?, s:o, s:s?, s:b, s:n, s:n, s:n, s:n, s:[], s:o, s:[], s:i, s:{}}",
	        "version", 1, "invocation_id", run->invocation_id, "pid",
	        run->pid > 0 ? json_integer(run->pid) : json_null(), "started_at",
	        run->started_usec > 0 ? started_at : NULL, "unclean", 1, "reason", "requested_at",
	        "duration_ms", "exit_status", "phases", "counts", unknown_counts(), "tasks",
	        "tasks_omitted", 0, "totals");
}

int state_find_unclean(struct state *state, int64_t *ret_pid, uint64_t *ret_started_usec)
{
	_cleanup_(marked_run_done) struct marked_run run = { 0 };
	int r = read_marker(state->directory_fd, &run);
	*ret_pid = run.pid;
	*ret_started_usec = (uint64_t)run.started_usec;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	bool unclean = !has_report(state->directory_fd, &run);
	if (unclean)
		r = replace(state->directory_fd, QS_REPORT_NAME, unclean_report(&run));
	if (r == 0)
		state_unmark(state);
	return r < 0 ? r : unclean ? 1 : 0;
}
