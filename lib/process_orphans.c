/*
 * What a tree consists of where no cgroup says so. A process that leaves its process group and
 * whose parent ends comes to us, the subreaper, as an orphan. Whose it is, it shows by itself: the
 * names in its environment that we gave to its ancestor, or else its process group or session, or
 * that it was seen below a leader when that was asked to end.
 *
 * Why one scan of our own children finds everything that is left of a tree: of each living member
 * the ancestors lead up to a child of ours. A child that ends hands its own children to us before
 * we hear of its end. So after the last end that we have heard of, whatever lives is below a child
 * that is in the list. If that one ends meanwhile, the scan is doubtful and is made again.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/process_members.h"

#define PIDS_MAX 65536 /* more are left for the next time */
#define TRIES    8     /* to read the environment of a process that has none yet */

/* --- sets of processes --- */

void qs_pids_add(struct qs_pids *pids, pid_t pid)
{
	if (pids->count == pids->capacity) {
		size_t capacity = MAX(pids->capacity * 2, 16U);
		pid_t *items = capacity > PIDS_MAX
		                       ? NULL
		                       : realloc(pids->items, capacity * sizeof(*items));
		if (!items)
			return;
		pids->items = items;
		pids->capacity = capacity;
	}
	pids->items[pids->count++] = pid;
}

bool qs_pids_contain(const struct qs_pids *pids, pid_t pid)
{
	for (size_t i = 0; i < pids->count; i++)
		if (pids->items[i] == pid)
			return true;
	return false;
}

void qs_pids_signal(const struct qs_pids *pids, int signo)
{
	for (size_t i = 0; i < pids->count; i++)
		(void)kill(pids->items[i], signo);
}

/* --- what /proc knows --- */

struct proc_stat {
	char state;
	pid_t parent, group, session;
};

/* The name in parentheses may hold anything, a parenthesis as well. */
static int read_stat(pid_t pid, struct proc_stat *ret_stat)
{
	char path[32], text[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (size <= 0)
		return -ESRCH;
	text[size] = '\0';
	const char *rest = strrchr(text, ')');
	if (!rest || sscanf(rest, ") %c %d %d %d", &ret_stat->state, &ret_stat->parent,
	                     &ret_stat->group, &ret_stat->session) != 4)
		return -EBADMSG;
	return 0;
}

/* The children of one thread, "12 34 ", in portions that may cut a number. */
static int read_children(struct qs_pids *pids, int task, const char *thread)
{
	char path[300], text[4096];
	pid_t pid = 0;

	snprintf(path, sizeof(path), "%s/children", thread);
	_cleanup_(closep) int fd = openat(task, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (ssize_t size; (size = read(fd, text, sizeof(text))) > 0;)
		for (ssize_t i = 0; i < size; i++) {
			if (isdigit((unsigned char)text[i])) {
				pid = pid * 10 + (text[i] - '0');
			} else if (pid > 0) {
				qs_pids_add(pids, pid);
				pid = 0;
			}
		}
	return 0;
}

/* For kernels without lists of children: everybody is asked for their parent. */
static void search_children(struct qs_pids *pids, pid_t parent)
{
	_cleanup_(closedirp) DIR *proc = opendir("/proc");
	struct proc_stat stat;

	for (const struct dirent *entry; proc && (entry = readdir(proc));) {
		pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
		if (pid > 0 && read_stat(pid, &stat) == 0 && stat.parent == parent)
			qs_pids_add(pids, pid);
	}
}

static bool somebody_runs(pid_t group)
{
	_cleanup_(closedirp) DIR *proc = opendir("/proc");
	struct proc_stat stat;

	for (const struct dirent *entry; proc && (entry = readdir(proc));) {
		pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
		if (pid > 0 && read_stat(pid, &stat) == 0 && stat.group == group &&
		        stat.state != 'Z' && stat.state != 'X')
			return true;
	}
	return !proc;
}

/* Twice: one that forks and ends while all are looked at may pass unseen once. */
bool qs_process_group_runs(pid_t group)
{
	return somebody_runs(group) || somebody_runs(group);
}

/* Each thread has its own list. One that is gone has handed it on; a kernel without lists has none.
 */
static void read_threads(struct qs_pids *pids, pid_t pid, const char *path)
{
	_cleanup_(closedirp) DIR *task = opendir(path);

	for (const struct dirent *entry; task && (entry = readdir(task));) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (read_children(pids, dirfd(task), entry->d_name) == -ENOENT &&
		        faccessat(dirfd(task), entry->d_name, F_OK, 0) == 0) {
			search_children(pids, pid);
			return;
		}
	}
}

/* The directory of threads has one link for each of them and two more. Most have one thread. */
void qs_pids_of_children(struct qs_pids *pids, pid_t pid)
{
	char path[32], thread[48];
	struct stat task;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	snprintf(thread, sizeof(thread), "%s/%d", path, (int)pid);
	if (stat(path, &task) < 0)
		return;
	if (task.st_nlink != 3 || read_children(pids, AT_FDCWD, thread) < 0)
		read_threads(pids, pid, path);
}

void qs_pids_add_descendants(struct qs_pids *pids)
{
	for (size_t i = 0; i < pids->count; i++)
		qs_pids_of_children(pids, pids->items[i]);
}

void qs_pids_of_tree(struct qs_pids *pids, const struct qs_process *process)
{
	if (process->has_cgroup) {
		qs_pids_of_cgroup(pids, process);
		return;
	}
	if (!process->exited)
		qs_pids_add(pids, process->pid);
	list_for_each (node, &process->orphans)
		qs_pids_add(pids, list_entry(node, struct qs_orphan, in_owner)->child.pid);
	qs_pids_add_descendants(pids);
}

/* --- whose is it --- */

/* What the environment of an orphan says. */
struct marks {
	bool readable;
	bool foreign; /* it has a notify socket, and that is none of ours */
	uint64_t by_socket, by_task;
};

/*
 * The address of the notify socket names the reaper as well as the task, so it is the better mark:
 * a child may be such a daemon itself, whose tasks have numbers of their own.
 */
static struct marks read_marks(const struct qs_reaper *reaper, pid_t pid)
{
	char path[32];
	struct marks marks = { 0 };
	_cleanup_(freep) char *line = NULL;
	size_t size = 0, prefix = strlen(reaper->notify_prefix);

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	_cleanup_(fclosep) FILE *file = fopen(path, "re");
	while (file && getdelim(&line, &size, '\0', file) > 0) {
		marks.readable = true;
		if (strncmp(line, "QUIESCE_TASK=", 13) == 0)
			marks.by_task = strtoull(line + 13, NULL, 10);
		if (strncmp(line, "NOTIFY_SOCKET=", 14) != 0)
			continue;
		if (line[14] == '@' && strncmp(line + 15, reaper->notify_prefix, prefix) == 0)
			marks.by_socket = strtoull(line + 15 + prefix, NULL, 10);
		else
			marks.foreign = true;
	}
	return marks;
}

/*
 * What was seen of it, or a process group or session that began with what was seen of it. Our own
 * session, in which leaders begin, is never among them.
 */
static bool is_known(const struct qs_process *process, const struct qs_orphan *orphan)
{
	return orphan->group == process->pid ||
	       qs_pids_contain(&process->known, orphan->child.pid) ||
	       qs_pids_contain(&process->known, orphan->group) ||
	       qs_pids_contain(&process->known, orphan->session);
}

/* Its children may show nothing but that, once it is gone. Not for as long as a tree may live. */
static void remember(struct qs_process *process, const struct qs_orphan *orphan)
{
	if (!process->exited && qs_task_rung(&process->task) == QS_RUNG_NONE)
		return;
	if (orphan->group == orphan->child.pid || orphan->session == orphan->child.pid)
		qs_pids_add(&process->known, orphan->child.pid);
}

static struct qs_process *find_owner(
        const struct qs_reaper *reaper, const struct qs_orphan *orphan, const struct marks *marks)
{
	uint64_t id = marks->by_socket > 0 ? marks->by_socket : marks->foreign ? 0 : marks->by_task;
	struct qs_process *known = NULL;

	list_for_each (node, &reaper->processes) {
		struct qs_process *process = list_entry(node, struct qs_process, in_reaper);
		if (process->has_cgroup || !process->task.record)
			continue;
		if (id > 0 && process->id == id)
			return process;
		if (is_known(process, orphan))
			known = process;
	}
	return known;
}

/* --- orphans --- */

static void set_tries(struct qs_reaper *reaper, struct qs_orphan *orphan, uint8_t tries)
{
	reaper->undecided -= orphan->tries > 0;
	reaper->undecided += tries > 0;
	orphan->tries = tries;
}

/* It may have been looked at in the middle of an execve, when there is no environment. */
static void decide(struct qs_reaper *reaper, struct qs_orphan *orphan)
{
	struct marks marks = read_marks(reaper, orphan->child.pid);
	struct qs_process *process = find_owner(reaper, orphan, &marks);

	if (!process) {
		bool again = !marks.readable && orphan->tries > 0;
		set_tries(reaper, orphan, again ? (uint8_t)(orphan->tries - 1) : 0);
		return;
	}
	set_tries(reaper, orphan, 0);
	list_remove(&orphan->in_owner);
	list_append(&process->orphans, &orphan->in_owner);
	remember(process, orphan);
	process->kill_again = process->killing;
}

/*
 * A zombie shows no environment, and we are about to reap it. But its own children have come to us
 * just now, perhaps too late for the list that this scan goes through.
 */
static void adopt(struct qs_reaper *reaper, pid_t pid)
{
	struct proc_stat stat;

	if (read_stat(pid, &stat) < 0 || stat.state == 'Z' || stat.state == 'X') {
		reaper->doubtful = true;
		return;
	}
	struct qs_orphan *orphan = calloc(1, sizeof(*orphan));
	if (!orphan)
		return;
	orphan->group = stat.group;
	orphan->session = stat.session;
	list_init(&orphan->in_owner);
	list_append(&reaper->strays, &orphan->in_owner);
	qs_reaper_add_child(reaper, &orphan->child, pid);
	set_tries(reaper, orphan, TRIES);
	decide(reaper, orphan);
}

void qs_orphans_scan(struct qs_reaper *reaper)
{
	_cleanup_(qs_pids_done) struct qs_pids pids = { 0 };

	reaper->doubtful = false;
	qs_pids_of_children(&pids, reaper->pid);
	for (size_t i = 0; i < pids.count; i++) {
		struct qs_child *child = qs_reaper_find_child(reaper, pids.items[i]);
		if (!child) {
			adopt(reaper, pids.items[i]);
			continue;
		}
		struct qs_orphan *orphan = container_of(child, struct qs_orphan, child);
		if (!child->is_leader && orphan->tries > 0)
			decide(reaper, orphan);
	}
}

void qs_orphan_free(struct qs_reaper *reaper, struct qs_orphan *orphan)
{
	set_tries(reaper, orphan, 0);
	list_remove(&orphan->in_owner);
	qs_reaper_remove_child(reaper, &orphan->child);
	free(orphan);
}
