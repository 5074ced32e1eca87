/*
 * Trees in cgroups of their own: nothing gets out of one by forking, so "empty" and "killed" are
 * the kernel's word. Only below a cgroup that was delegated to us, and only version 2. Since a
 * cgroup with processes in it can have no controllers for others below it, we first move into a
 * leaf, `daemon`; the tree of task 7 is `task-7`.
 *
 * That one has become empty is looked up when its leader ends. Only if it has not, which is rare, a
 * watch is put on cgroup.events, so that a thousand quiet trees cost nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "lib/process_members.h"

#define LEAF        "daemon"
#define TREE_PREFIX "task-"
#define NAME_SIZE   32  /* of a tree's cgroup */
#define FILE_SIZE   96  /* of a file in it */
#define DEPTH_MAX   64  /* how deep a tree's own cgroups are followed */
#define MOVE_ROUNDS 100 /* how often new processes are looked for while moving into the leaf */

/* --- files of a cgroup --- */

static void name_of(const struct qs_process *process, char name[static NAME_SIZE])
{
	snprintf(name, NAME_SIZE, TREE_PREFIX "%" PRIu64, process->id);
}

static void file_of(const struct qs_process *process, const char *file, char path[static FILE_SIZE])
{
	char name[NAME_SIZE];

	name_of(process, name);
	snprintf(path, FILE_SIZE, "%s/%s", name, file);
}

static int write_file(int directory, const char *path, const char *text)
{
	_cleanup_(closep) int fd = openat(directory, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

/* The text of a small file; "" and a negative errno if it cannot be read. */
static int read_file(int directory, const char *path, char *text, size_t size)
{
	_cleanup_(closep) int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
	int r = length < 0 ? -errno : 0;

	text[MAX(length, 0)] = '\0';
	return r;
}

/* The number after "key " at the start of a line. */
static uint64_t value_of(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && line[length] == ' ')
			return strtoull(line + length + 1, NULL, 10);
	}
	return 0;
}

/* 1 if there is such a number above 0, 0 if not, a negative errno if the file cannot be read. */
static int has_value(const struct qs_process *process, const char *file, const char *key)
{
	char path[FILE_SIZE], text[512];

	file_of(process, file, path);
	int r = read_file(process->reaper->cgroup_fd, path, text, sizeof(text));
	return r < 0 ? r : value_of(text, key) > 0;
}

/* --- walking --- */

/* Calls `fn` for the cgroup, those inside it first. */
static void walk(int parent, const char *name, unsigned depth,
        void (*fn)(int parent, const char *name, int fd, void *arg), void *arg)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	_cleanup_(closedirp) DIR *directory = fdopendir(fd);
	if (!directory) {
		(void)close(fd);
		return;
	}
	for (const struct dirent *entry; depth > 0 && (entry = readdir(directory));)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			walk(fd, entry->d_name, depth - 1, fn, arg);
	fn(parent, name, fd, arg);
}

static void remove_one(int parent, const char *name, _unused_ int fd, _unused_ void *arg)
{
	(void)unlinkat(parent, name, AT_REMOVEDIR);
}

/* A cgroup of the usual kind, without any below, costs one call. */
static void remove_all(int parent, const char *name)
{
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno == EBUSY)
		walk(parent, name, DEPTH_MAX, remove_one, NULL);
}

static void collect_one(_unused_ int parent, _unused_ const char *name, int fd, void *arg)
{
	int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	_cleanup_(fclosep) FILE *file = procs < 0 ? NULL : fdopen(procs, "r");
	int pid;

	if (procs >= 0 && !file)
		(void)close(procs);
	while (file && fscanf(file, "%d", &pid) == 1)
		qs_pids_add(arg, pid);
}

void qs_pids_of_cgroup(struct qs_pids *pids, const struct qs_process *process)
{
	char name[NAME_SIZE];

	name_of(process, name);
	walk(process->reaper->cgroup_fd, name, DEPTH_MAX, collect_one, pids);
}

/* --- where we are --- */

/* Where cgroup2 is mounted, and which part of it: both malloc'ed. */
static int find_mount(char **ret_point, char **ret_root)
{
	_cleanup_(fclosep) FILE *file = fopen("/proc/self/mountinfo", "re");
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		char *root = NULL, *point = NULL, type[16] = "";
		const char *tail = strstr(line, " - ");
		if (tail && sscanf(tail, " - %15s", type) == 1 && strcmp(type, "cgroup2") == 0 &&
		        sscanf(line, "%*s %*s %*s %ms %ms", &root, &point) == 2) {
			*ret_root = root;
			*ret_point = point;
			return 0;
		}
		free(root);
		free(point);
	}
	return -ENOENT;
}

/* Our path in the hierarchy of version 2, malloc'ed. */
static int find_self(char **ret_path)
{
	_cleanup_(fclosep) FILE *file = fopen("/proc/self/cgroup", "re");
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		*ret_path = strdup(line + 3);
		return *ret_path ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

/* "/" is the root of the mount as of the hierarchy. */
static int strip_root(char *path, const char *root)
{
	size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0') ||
	        strstr(path, "/.."))
		return -ENOENT;
	memmove(path, path + length, strlen(path + length) + 1);
	return 0;
}

static bool is_delegated(const char *directory)
{
	static const char *const names[] = { "user.delegate", "trusted.delegate" };
	char value[2];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (getxattr(directory, names[i], value, sizeof(value)) == 1 && value[0] == '1')
			return true;
	return false;
}

/*
 * The delegated cgroup: the one we are in or, when an earlier reaper of this process has moved us
 * into the leaf, the one above.
 */
static int find_delegated(char **ret_path, int *ret_fd)
{
	_cleanup_(freep) char *point = NULL, *root = NULL, *path = NULL, *directory = NULL;

	if (find_mount(&point, &root) < 0 || find_self(&path) < 0 || strip_root(path, root) < 0)
		return -ENOENT;
	char *last = strrchr(path, '/');
	if (last && strcmp(last, "/" LEAF) == 0)
		*last = '\0';
	if (asprintf(&directory, "%s%s", point, path) < 0) {
		directory = NULL;
		return -ENOMEM;
	}
	if (!is_delegated(directory))
		return -ENOENT;
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_path = TAKE(path, NULL);
	*ret_fd = fd;
	return 0;
}

/* Also what else is in there; a process may fork while it is looked at, so until none is left. */
static int move_to_leaf(int fd)
{
	if (mkdirat(fd, LEAF, 0755) < 0 && errno != EEXIST)
		return -errno;
	for (unsigned round = 0; round < MOVE_ROUNDS; round++) {
		_cleanup_(qs_pids_done) struct qs_pids pids = { 0 };
		int r = 0;
		collect_one(fd, ".", fd, &pids);
		if (pids.count == 0)
			return 0;
		for (size_t i = 0; i < pids.count; i++) {
			char text[16];
			snprintf(text, sizeof(text), "%d", (int)pids.items[i]);
			r = write_file(fd, LEAF "/cgroup.procs", text);
			if (r < 0 && r != -ESRCH)
				return r;
		}
	}
	return -EBUSY;
}

static void events_are_ready(struct qs_watch *watch, unsigned what _unused_)
{
	struct qs_reaper *reaper = container_of(watch, struct qs_reaper, cgroup_events);
	_Alignas(struct inotify_event) char buffer[4096];
	ssize_t size = read(watch->fd, buffer, sizeof(buffer));

	for (ssize_t at = 0; at < size;) {
		const struct inotify_event *event = (const void *)(buffer + at);
		list_for_each (node, &reaper->pending) {
			struct qs_process *process =
			        list_entry(node, struct qs_process, in_pending);
			if (process->cgroup_watch == event->wd || (event->mask & IN_Q_OVERFLOW))
				process->look = true;
		}
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	qs_job_schedule(reaper->context->loop, &reaper->job);
}

/*
 * Where something of this is refused, trees are process groups as without delegation: what was
 * delegated in name only is no reason not to start.
 */
int qs_cgroup_open(struct qs_reaper *reaper)
{
	_cleanup_(freep) char *path = NULL;
	_cleanup_(closep) int fd = -1, events = -1;
	int r = find_delegated(&path, &fd);

	if (r == 0)
		r = move_to_leaf(fd);
	if (r < 0)
		return r == -ENOMEM || r == -EMFILE || r == -ENFILE ? r : 0;
	events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (events < 0)
		return -errno;
	reaper->cgroup_events.ready = events_are_ready;
	r = qs_watch_start(reaper->context->loop, &reaper->cgroup_events, events, QS_READ);
	if (r < 0)
		return r;
	reaper->cgroup_events.fd = TAKE(events, -1);
	reaper->cgroup_path = TAKE(path, NULL);
	reaper->cgroup_fd = TAKE(fd, -1);
	return 0;
}

void qs_cgroup_close(struct qs_reaper *reaper)
{
	qs_watch_stop(&reaper->cgroup_events);
	closep(&reaper->cgroup_events.fd);
	closep(&reaper->cgroup_fd);
	free(reaper->cgroup_path);
}

/* --- one tree --- */

static bool enable_controller(
        const struct qs_reaper *reaper, const char *word, const char *available)
{
	char text[16];

	snprintf(text, sizeof(text), "+%s", word);
	return strstr(available, word) &&
	       write_file(reaper->cgroup_fd, "cgroup.subtree_control", text) == 0;
}

/* Only once a limit needs them: the memory controller costs every process a little. */
static void enable_controllers(struct qs_reaper *reaper)
{
	char available[256];

	if (reaper->controllers_known)
		return;
	reaper->controllers_known = true;
	(void)read_file(reaper->cgroup_fd, "cgroup.controllers", available, sizeof(available));
	reaper->has_memory = enable_controller(reaper, "memory", available);
	reaper->has_pids = enable_controller(reaper, "pids", available);
}

static int set_limit(const struct qs_process *process, const char *file, uint64_t value)
{
	char path[FILE_SIZE], text[32];

	file_of(process, file, path);
	snprintf(text, sizeof(text), "%" PRIu64, value);
	return write_file(process->reaper->cgroup_fd, path, text);
}

static int set_limits(struct qs_process *process, const struct qs_process_limits *limits)
{
	struct qs_reaper *reaper = process->reaper;
	int r = 0;

	if (limits->memory > 0 && reaper->has_memory)
		r = set_limit(process, "memory.max", limits->memory);
	if (r == 0 && limits->pids > 0 && reaper->has_pids)
		r = set_limit(process, "pids.max", limits->pids);
	return r;
}

int qs_cgroup_make(struct qs_process *process, const struct qs_process_limits *limits, int *ret_fd)
{
	struct qs_reaper *reaper = process->reaper;
	char name[NAME_SIZE];

	if (limits->memory > 0 || limits->pids > 0)
		enable_controllers(reaper);
	name_of(process, name);
	int r = mkdirat(reaper->cgroup_fd, name, 0755);
	if (r < 0 && errno == EEXIST) {
		/* Of an earlier run. If something lives in there it is not ours to take over. */
		remove_all(reaper->cgroup_fd, name);
		r = mkdirat(reaper->cgroup_fd, name, 0755);
	}
	if (r < 0)
		return -errno;
	process->has_cgroup = true;
	r = set_limits(process, limits);
	if (r < 0)
		return r;
	*ret_fd = openat(reaper->cgroup_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

void qs_cgroup_warn(struct qs_process *process, const struct qs_process_limits *limits)
{
	const struct qs_reaper *reaper = process->reaper;
	const char *why = process->has_cgroup
	                          ? "the delegated cgroup has no such controller"
	                          : "no cgroup was delegated (Delegate=yes in the unit does that)";
	char text[128];

	if (limits->memory > 0 && !(process->has_cgroup && reaper->has_memory)) {
		snprintf(text, sizeof(text), "limits.memory is not enforced: %s", why);
		process->events.warning(process, text, process->arg);
	}
	if (limits->pids > 0 && !(process->has_cgroup && reaper->has_pids)) {
		snprintf(text, sizeof(text), "limits.pids is not enforced: %s", why);
		process->events.warning(process, text, process->arg);
	}
}

int qs_cgroup_is_empty(const struct qs_process *process)
{
	int r = has_value(process, "cgroup.events", "populated");

	return r == -ENOENT ? 1 : r < 0 ? r : !r;
}

bool qs_cgroup_ran_out_of_memory(const struct qs_process *process)
{
	return process->reaper->has_memory && has_value(process, "memory.events", "oom_kill") > 0;
}

void qs_cgroup_watch(struct qs_process *process)
{
	const struct qs_reaper *reaper = process->reaper;
	char file[FILE_SIZE], path[FILE_SIZE + 32];

	if (process->cgroup_watch >= 0)
		return;
	file_of(process, "cgroup.events", file);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", reaper->cgroup_fd, file);
	process->cgroup_watch = inotify_add_watch(reaper->cgroup_events.fd, path, IN_MODIFY);
}

int qs_cgroup_kill(const struct qs_process *process)
{
	char path[FILE_SIZE];

	file_of(process, "cgroup.kill", path);
	return write_file(process->reaper->cgroup_fd, path, "1");
}

/* The watch goes with the cgroup; only one that is abandoned has to be taken off. */
void qs_cgroup_remove(struct qs_process *process)
{
	char name[NAME_SIZE];

	if (!process->has_cgroup)
		return;
	process->has_cgroup = false;
	name_of(process, name);
	remove_all(process->reaper->cgroup_fd, name);
	if (process->cgroup_watch >= 0)
		(void)inotify_rm_watch(process->reaper->cgroup_events.fd, process->cgroup_watch);
	process->cgroup_watch = -1;
}

void qs_cgroup_sweep(struct qs_reaper *reaper)
{
	int fd = reaper->cgroup_fd < 0
	                 ? -1
	                 : openat(reaper->cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !directory)
		(void)close(fd);
	for (const struct dirent *entry; directory && (entry = readdir(directory));) {
		char path[FILE_SIZE];
		if (strncmp(entry->d_name, TREE_PREFIX, strlen(TREE_PREFIX)) != 0)
			continue;
		snprintf(path, sizeof(path), "%.63s/cgroup.kill", entry->d_name);
		(void)write_file(fd, path, "1");
		remove_all(fd, entry->d_name);
	}
}
