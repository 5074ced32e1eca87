/*
 * Hears of exits and looks, at the end of the turn, which trees have come to their end. With
 * `subreaper` one signalfd serves all children; a leader needs no descriptor for it, and its pid
 * cannot belong to another before it is reaped here. Without, each leader has a pidfd.
 *
 * When five hundred leaders end at once, their orphans are searched for a few times, not five
 * hundred times: a scan waits until the latest is SCAN_INTERVAL ago. The timer is armed only while
 * something is known to be on its way out that nobody announces.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "lib/process_members.h"

#define SCAN_INTERVAL (2 * QS_MSEC)
#define RETRY_FIRST   (1 * QS_MSEC)
#define RETRY_LAST    (32 * QS_MSEC)
#define REAP_PORTION  1024 /* exits that are heard of in one turn */
#define FIRST_SLOTS   64
#define SWEEP_PAUSE   (5 * QS_MSEC)

/* --- children by pid --- */

static struct qs_child **slot_of(const struct qs_reaper *reaper, pid_t pid)
{
	return &reaper->children[(size_t)pid & (reaper->child_slots - 1)];
}

struct qs_child *qs_reaper_find_child(const struct qs_reaper *reaper, pid_t pid)
{
	struct qs_child *child = *slot_of(reaper, pid);

	while (child && child->pid != pid)
		child = child->next;
	return child;
}

/* Without memory the chains become longer, that is all. */
static void grow(struct qs_reaper *reaper)
{
	size_t old_slots = reaper->child_slots;
	struct qs_child **old = reaper->children;
	struct qs_child **children = calloc(old_slots * 2, sizeof(struct qs_child *));

	if (!children)
		return;
	reaper->children = children;
	reaper->child_slots = old_slots * 2;
	for (size_t i = 0; i < old_slots; i++)
		for (struct qs_child *child = old[i], *next; child; child = next) {
			struct qs_child **slot = slot_of(reaper, child->pid);
			next = child->next;
			child->next = *slot;
			*slot = child;
		}
	free(old);
}

void qs_reaper_add_child(struct qs_reaper *reaper, struct qs_child *child, pid_t pid)
{
	if (reaper->child_count >= reaper->child_slots)
		grow(reaper);
	struct qs_child **slot = slot_of(reaper, pid);
	child->pid = pid;
	child->next = *slot;
	*slot = child;
	reaper->child_count++;
}

void qs_reaper_remove_child(struct qs_reaper *reaper, struct qs_child *child)
{
	if (child->pid == 0)
		return;
	struct qs_child **at = slot_of(reaper, child->pid);
	while (*at != child)
		at = &(*at)->next;
	*at = child->next;
	child->pid = 0;
	reaper->child_count--;
}

/* --- exits --- */

void qs_reaper_look_at(struct qs_process *process)
{
	struct qs_reaper *reaper = process->reaper;

	if (list_empty(&process->in_pending))
		list_append(&reaper->pending, &process->in_pending);
	reaper->retry_after = RETRY_FIRST;
	qs_job_schedule(reaper->context->loop, &reaper->job);
}

/* An unknown child may have handed us its own children, as any orphan. */
static void child_ended(struct qs_reaper *reaper, const siginfo_t *info)
{
	struct qs_child *child = qs_reaper_find_child(reaper, info->si_pid);

	if (child && child->is_leader) {
		struct qs_process *process = container_of(child, struct qs_process, leader);
		qs_reaper_remove_child(reaper, child);
		qs_process_set_exited(process, info->si_code, info->si_status);
		return;
	}
	if (child)
		qs_orphan_free(reaper, container_of(child, struct qs_orphan, child));
	if (!list_empty(&reaper->pending))
		qs_job_schedule(reaper->context->loop, &reaper->job);
}

/* 1 for a child that had ended, 0 for none, -ECHILD when there is no child at all. */
static int reap_one(struct qs_reaper *reaper, siginfo_t *info)
{
	info->si_pid = 0;
	if (waitid(P_ALL, 0, info, WEXITED | WNOHANG) < 0)
		return errno == EINTR ? 0 : -errno;
	if (info->si_pid == 0)
		return 0;
	child_ended(reaper, info);
	return 1;
}

/* In portions: a tree that forks without end must not keep the loop here. */
void qs_reaper_reap(struct qs_reaper *reaper)
{
	siginfo_t info;
	unsigned count = 0;

	while (count < REAP_PORTION && reap_one(reaper, &info) > 0)
		count++;
	reaper->more_exits = count == REAP_PORTION;
	if (reaper->more_exits)
		qs_timer_arm(&reaper->timer, qs_loop_now(reaper->context->loop));
}

/* The signal is one for any number of exits: it says no more than that there are some. */
static void child_signal_is_ready(struct qs_watch *watch, unsigned what _unused_)
{
	struct signalfd_siginfo info;

	if (read(watch->fd, &info, sizeof(info)) > 0)
		qs_reaper_reap(container_of(watch, struct qs_reaper, child_signal));
}

/* --- looking at what is pending --- */

/* It is not known when the last of it goes, so it has to be looked at again and again. */
static bool needs_retry(const struct qs_process *process)
{
	if (process->has_cgroup)
		return process->look || process->kills_by_hand;
	return process->killing || (process->exited && !process->reaper->subreaper);
}

static bool needs_scan(const struct qs_process *process)
{
	return !process->has_cgroup && (process->exited || process->killing);
}

void qs_reaper_scan(struct qs_reaper *reaper)
{
	uint64_t now = qs_loop_now(reaper->context->loop);

	if (!reaper->subreaper || reaper->scanned_at == now)
		return;
	reaper->scanned_at = now;
	qs_orphans_scan(reaper);
}

static enum scan scan(struct qs_reaper *reaper, uint64_t now)
{
	bool needed = false;

	list_for_each (node, &reaper->pending)
		needed = needed || needs_scan(list_entry(node, struct qs_process, in_pending));
	if (!needed || !reaper->subreaper)
		return SCAN_COMPLETE;
	if (reaper->scanned_at != now && now < qs_time_add(reaper->scanned_at, SCAN_INTERVAL))
		return SCAN_NONE;
	qs_reaper_scan(reaper);
	return reaper->undecided > 0 || reaper->doubtful ? SCAN_DOUBTFUL : SCAN_COMPLETE;
}

static void arm_timer(struct qs_reaper *reaper, uint64_t now, enum scan scanned)
{
	uint64_t at = scanned == SCAN_COMPLETE ? QS_FOREVER : qs_time_add(now, SCAN_INTERVAL);
	bool retry = false;

	list_for_each (node, &reaper->pending)
		retry = retry || needs_retry(list_entry(node, struct qs_process, in_pending));
	if (!retry)
		reaper->retry_at = QS_FOREVER;
	else if (reaper->retry_at == QS_FOREVER)
		reaper->retry_at = qs_time_add(now, reaper->retry_after);
	at = MIN(at, reaper->retry_at);
	qs_timer_arm(&reaper->timer, reaper->more_exits ? now : at);
}

/*
 * Any of the callbacks behind qs_process_look may free that process and others, and may push more
 * of them up the ladder. So each is taken from the list before it is looked at.
 */
static void look_at_pending(struct qs_job *job)
{
	struct qs_reaper *reaper = container_of(job, struct qs_reaper, job);
	uint64_t now = qs_loop_now(reaper->context->loop);
	bool retry = now >= reaper->retry_at;
	enum scan scanned = scan(reaper, now);
	struct list todo;

	if (retry) {
		reaper->retry_at = QS_FOREVER;
		reaper->retry_after = MIN(reaper->retry_after * 2, RETRY_LAST);
	}
	list_init(&todo);
	list_move_all(&todo, &reaper->pending);
	while (!list_empty(&todo)) {
		struct list *node = todo.next;
		struct qs_process *process = list_entry(node, struct qs_process, in_pending);
		list_remove(node);
		list_append(&reaper->pending, node);
		if (retry)
			process->kill_again = process->killing;
		qs_process_look(process, scanned);
	}
	arm_timer(reaper, now, scanned);
}

static void timer_is_due(struct qs_timer *timer)
{
	struct qs_reaper *reaper = container_of(timer, struct qs_reaper, timer);

	if (reaper->subreaper)
		qs_reaper_reap(reaper);
	qs_job_schedule(reaper->context->loop, &reaper->job);
}

/* --- making and unmaking --- */

static int become_subreaper(struct qs_reaper *reaper)
{
	sigset_t child_only;

	(void)sigemptyset(&child_only);
	(void)sigaddset(&child_only, SIGCHLD);
	int fd = signalfd(-1, &child_only, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	reaper->child_signal.fd = fd;
	reaper->child_signal.ready = child_signal_is_ready;
	int r = qs_watch_start(reaper->context->loop, &reaper->child_signal, fd, QS_READ);
	if (r < 0)
		return r;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -errno;
	reaper->subreaper = true;
	return 0;
}

static int take_memory(struct qs_reaper *reaper)
{
	reaper->child_slots = FIRST_SLOTS;
	reaper->children = calloc(FIRST_SLOTS, sizeof(*reaper->children));
	reaper->buffer = malloc(OUTPUT_PORTION);
	void *stack = mmap(NULL, CHILD_STACK_SIZE, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	reaper->stack = stack == MAP_FAILED ? NULL : stack;
	return reaper->children && reaper->buffer && reaper->stack ? 0 : -ENOMEM;
}

static int look_around(struct qs_reaper *reaper)
{
	uint64_t number;

	reaper->pid = getpid();
	reaper->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (reaper->null_fd < 0 || getrlimit(RLIMIT_NOFILE, &reaper->open_files) < 0)
		return -errno;
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return -EIO;
	snprintf(reaper->notify_prefix, sizeof(reaper->notify_prefix), "quiesce-%016" PRIx64 "-",
	        number);
	int r = qs_lift_fd(&reaper->null_fd);
	for (int seat = 0; r == 0 && seat < SEAT_COUNT; seat++) {
		reaper->seats[seat] = fcntl(reaper->null_fd, F_DUPFD_CLOEXEC, CHILD_FD_COUNT);
		r = reaper->seats[seat] < 0 ? -errno : 0;
	}
	return r;
}

static int set_up(struct qs_reaper *reaper, const struct qs_reaper_options *options)
{
	int r = take_memory(reaper);

	if (r == 0)
		r = look_around(reaper);
	if (r == 0)
		r = qs_timer_init(reaper->context->loop, &reaper->timer, timer_is_due);
	if (r == 0 && !options->no_cgroups)
		r = qs_cgroup_open(reaper);
	/* Last, since only this changes what the process is. */
	if (r == 0 && options->subreaper)
		r = become_subreaper(reaper);
	return r;
}

int qs_reaper_new(struct qs_context *context, const struct qs_reaper_options *options,
        struct qs_reaper **ret_reaper)
{
	struct qs_reaper *reaper = calloc(1, sizeof(*reaper));

	if (!reaper)
		return -ENOMEM;
	reaper->context = context;
	reaper->no_clone3 = options->no_clone3;
	reaper->null_fd = reaper->child_signal.fd = reaper->cgroup_events.fd = -1;
	reaper->cgroup_fd = -1;
	for (int seat = 0; seat < SEAT_COUNT; seat++)
		reaper->seats[seat] = -1;
	reaper->retry_after = RETRY_FIRST;
	reaper->retry_at = QS_FOREVER;
	list_init(&reaper->processes);
	list_init(&reaper->pending);
	list_init(&reaper->strays);
	qs_job_init(&reaper->job, look_at_pending);
	int r = set_up(reaper, options);
	if (r < 0) {
		qs_reaper_free(reaper);
		return r;
	}
	*ret_reaper = reaper;
	return 0;
}

void qs_reaper_free(struct qs_reaper *reaper)
{
	if (!reaper)
		return;
	qs_job_cancel(&reaper->job);
	if (reaper->subreaper)
		(void)prctl(PR_SET_CHILD_SUBREAPER, 0);
	qs_watch_stop(&reaper->child_signal);
	closep(&reaper->child_signal.fd);
	qs_cgroup_close(reaper);
	qs_timer_done(&reaper->timer);
	list_for_each (node, &reaper->strays)
		qs_orphan_free(reaper, list_entry(node, struct qs_orphan, in_owner));
	for (int seat = 0; seat < SEAT_COUNT; seat++)
		closep(&reaper->seats[seat]);
	closep(&reaper->null_fd);
	if (reaper->stack)
		(void)munmap(reaper->stack, CHILD_STACK_SIZE);
	free(reaper->buffer);
	free(reaper->children);
	free(reaper);
}

const char *qs_reaper_cgroup(const struct qs_reaper *reaper)
{
	return reaper->cgroup_path;
}

/* --- the last resort --- */

static void kill_all_below(struct qs_reaper *reaper)
{
	_cleanup_(qs_pids_done) struct qs_pids pids = { 0 };

	qs_cgroup_sweep(reaper);
	qs_pids_of_children(&pids, reaper->pid);
	qs_pids_add_descendants(&pids);
	qs_pids_signal(&pids, SIGKILL);
}

/* Until a child ends, but not for long: one may have been born while the others were killed. */
static void await_exit(const struct qs_reaper *reaper, uint64_t deadline)
{
	uint64_t span = MIN(qs_time_sub(deadline, qs_time_now()), SWEEP_PAUSE);
	struct timespec pause = { .tv_nsec = (long)span };
	struct pollfd signal = { .fd = reaper->child_signal.fd, .events = POLLIN };
	struct signalfd_siginfo info;

	if (ppoll(&signal, 1, &pause, NULL) > 0 && read(signal.fd, &info, sizeof(info)) < 0)
		return;
}

/* What has ended by itself before was not killed here. */
int qs_reaper_sweep(struct qs_reaper *reaper, uint64_t deadline)
{
	siginfo_t info;
	int killed = 0, r = 0;

	if (!reaper->subreaper)
		return 0;
	while (reap_one(reaper, &info) > 0)
		;
	for (;;) {
		kill_all_below(reaper);
		while ((r = reap_one(reaper, &info)) > 0)
			killed += info.si_code != CLD_EXITED && info.si_status == SIGKILL;
		if (r == -ECHILD)
			break;
		if (qs_time_now() >= deadline)
			return -ETIMEDOUT;
		await_exit(reaper, deadline);
	}
	qs_cgroup_sweep(reaper);
	return killed;
}
