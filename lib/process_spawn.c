/*
 * From options to a running program. The child shares our memory until execve, as after vfork, on a
 * stack of its own: that costs the same however big the parent is, and what goes wrong in the child
 * needs no pipe to be told. In return the child does nothing but plain system calls, with all
 * signals blocked until none of the parent's handlers is left in it.
 *
 * A tree with a cgroup is born in it (clone3). Where clone3 is refused or has no wrapper here, the
 * child writes itself into the cgroup before execve, so that it can have no child outside either.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/process_spawn.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

/* A sanitizer's books are the parent's; a frame that execve never leaves would spoil them. */
#if defined(__clang__)
#define _child_code_ __attribute__((disable_sanitizer_instrumentation, noinline))
#else
#define _child_code_ __attribute__((no_sanitize("address", "thread", "undefined"), noinline))
#endif

/* --- in the parent, before --- */

static const char *path_of(char *const *environment)
{
	for (; *environment; environment++)
		if (strncmp(*environment, "PATH=", 5) == 0)
			return *environment + 5;
	return DEFAULT_PATH;
}

/* Like execvp: a directory is no program, and "not allowed" is told only if nothing else is found.
 */
static int check_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return -EACCES;
	return 0;
}

int qs_spawn_find_program(
        const char *name, char *const *environment, char ret_path[static PATH_MAX])
{
	size_t length = strlen(name);
	int result = -ENOENT;

	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	if (length == 0)
		return -ENOENT;
	if (strchr(name, '/')) {
		/* It is relative to the working directory of the child, which looks for itself. */
		memcpy(ret_path, name, length + 1);
		return 0;
	}
	for (const char *at = path_of(environment), *end;; at = end + 1) {
		end = strchrnul(at, ':');
		const char *directory = end == at ? "." : at;
		size_t size = end == at ? 1 : (size_t)(end - at);
		if (size + 1 + length < PATH_MAX) {
			memcpy(ret_path, directory, size);
			ret_path[size] = '/';
			memcpy(ret_path + size + 1, name, length + 1);
			int r = check_program(ret_path);
			if (r == 0)
				return 0;
			if (r == -EACCES)
				result = r;
		}
		if (!*end)
			return result;
	}
}

/* --- in the child: every function returns -1 with errno set, as the system calls do --- */

struct launch {
	struct qs_spawn *spawn;
	const struct qs_reaper *reaper;
	int join_fd; /* cgroup.procs, -1 for none */
};

/*
 * The parent may have died before prctl was reached: then its death was not heard, and somebody
 * else is our parent by now.
 */
_child_code_ static int detach(const struct launch *launch)
{
	launch->spawn->what = "cgroup";
	if (launch->join_fd >= 0 && syscall(SYS_write, launch->join_fd, "0", 1) < 0)
		return -1;
	launch->spawn->what = "process group";
	if (setpgid(0, 0) < 0)
		return -1;
	launch->spawn->what = "parent-death signal";
	if (prctl(PR_SET_PDEATHSIG, launch->spawn->death_signal) < 0)
		return -1;
	if (getppid() != launch->reaper->pid) {
		errno = ESRCH;
		return -1;
	}
	return 0;
}

/* Past the C library, which keeps two signals to itself, and past a sanitizer, which keeps notes.
 */
_child_code_ static void reset_signals(void)
{
	const struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask[2];
	} action = { .handler = SIG_DFL };

	for (int signo = 1; signo < _NSIG; signo++)
		(void)syscall(SYS_rt_sigaction, signo, &action, NULL, _NSIG / 8);
}

_child_code_ static int set_open_files(const struct launch *launch)
{
	struct rlimit limit = launch->reaper->open_files;
	rlim_t wanted = launch->spawn->open_files;

	if (wanted > 0) {
		struct rlimit own = { .rlim_cur = wanted, .rlim_max = wanted };
		if (setrlimit(RLIMIT_NOFILE, &own) == 0)
			return 0;
		launch->spawn->capped = true;
		limit.rlim_cur = limit.rlim_max;
	}
	return setrlimit(RLIMIT_NOFILE, &limit);
}

_child_code_ static int set_surroundings(const struct launch *launch)
{
	struct qs_spawn *spawn = launch->spawn;

	spawn->what = "limits.open_files";
	if (set_open_files(launch) < 0)
		return -1;
	spawn->what = "working directory";
	if (spawn->working_directory && chdir(spawn->working_directory) < 0)
		return -1;
	if (spawn->umask >= 0)
		(void)umask((mode_t)spawn->umask);
	return 0;
}

/*
 * With a thousand workers the parent has several thousand descriptors. To copy its table and close
 * them one by one would cost each child more than its exec. So the child shares the table at first,
 * what it needs has a seat low in it, and the table becomes its own up to there only.
 */
_child_code_ static int set_descriptors(const struct launch *launch)
{
	const struct qs_reaper *reaper = launch->reaper;
	const int *seats = reaper->seats, *taken = launch->spawn->seats;
	const int sources[CHILD_FD_COUNT] = { seats[SEAT_INPUT],
		seats[taken[SEAT_ANSWER] >= 0 ? SEAT_ANSWER : SEAT_OUTPUT], seats[SEAT_OUTPUT],
		seats[SEAT_STOP], seats[SEAT_EXTRA] };
	int count = taken[SEAT_EXTRA] >= 0 ? CHILD_FD_COUNT : CHILD_FD_COUNT - 1;
	int last = reaper->null_fd;

	for (int seat = 0; seat < SEAT_COUNT; seat++)
		last = MAX(last, seats[seat]);
	launch->spawn->what = "descriptors";
	if (syscall(SYS_close_range, last + 1, ~0U, CLOSE_RANGE_UNSHARE) < 0)
		return -1;
	for (int fd = 0; fd < count; fd++)
		if (syscall(SYS_dup3, sources[fd], fd, 0) < 0)
			return -1;
	return (int)syscall(SYS_close_range, count, ~0U, 0);
}

_child_code_ static int child_main(void *arg)
{
	const struct launch *launch = arg;
	struct qs_spawn *spawn = launch->spawn;
	const uint64_t none[2] = { 0 };

	reset_signals();
	if (detach(launch) == 0 && set_surroundings(launch) == 0 && set_descriptors(launch) == 0) {
		spawn->what = "exec";
		(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, _NSIG / 8);
		(void)syscall(SYS_execve, spawn->path, spawn->argv, spawn->environment);
	}
	spawn->error = errno;
	(void)syscall(SYS_exit_group, 127);
	return 127;
}

/* --- in the parent again --- */

#if defined(__x86_64__)
/*
 * The C library has no wrapper for clone3, and the child needs another stack to return to: nothing
 * that C can say lies between the system call and the child's first function.
 */
static long clone3_on_stack(struct clone_args *args, int (*fn)(void *), void *arg)
{
	long result;

	__asm__ volatile(
	        "syscall\n\t"
	        "test %%rax, %%rax\n\t"
	        "jnz 1f\n\t"
	        "mov %[arg], %%rdi\n\t"
	        "call *%[fn]\n\t"
	        "hlt\n"
	        "1:"
	        : "=a"(result)
	        : "0"((long)SYS_clone3), "D"(args), "S"(sizeof(*args)), [fn] "r"(fn), [arg] "r"(arg)
	        : "rcx", "r11", "cc", "memory");
	return result;
}

static pid_t launch_in_cgroup(struct launch *launch, uint64_t flags)
{
	struct clone_args args = {
		.flags = flags | CLONE_INTO_CGROUP,
		.pidfd = (uint64_t)(uintptr_t)&launch->spawn->pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uint64_t)(uintptr_t)launch->reaper->stack,
		.stack_size = CHILD_STACK_SIZE,
		.cgroup = (unsigned)launch->spawn->cgroup_fd,
	};
	long pid = clone3_on_stack(&args, child_main, launch);

	return pid < 0 ? (errno = (int)-pid, -1) : (pid_t)pid;
}
#else
static pid_t launch_in_cgroup(_unused_ struct launch *launch, _unused_ uint64_t flags)
{
	errno = ENOSYS;
	return -1;
}
#endif

#ifdef QUIESCE_TSAN
/* ThreadSanitizer takes a child that shares our memory for a fork, and forgets its threads. */
extern int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define CLONE __clone
#else
#define CLONE clone
#endif

static pid_t launch_anywhere(struct launch *launch, uint64_t flags)
{
	return CLONE(child_main, launch->reaper->stack + CHILD_STACK_SIZE, (int)flags | SIGCHLD,
	        launch, &launch->spawn->pidfd, NULL, NULL);
}

/* Without clone3 the child is told where it belongs. */
static pid_t launch_and_join(struct launch *launch, uint64_t flags)
{
	_cleanup_(closep) int join_fd =
	        openat(launch->spawn->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	launch->spawn->what = "cgroup";
	if (join_fd < 0 || qs_lift_fd(&join_fd) < 0)
		return -1;
	launch->join_fd = join_fd;
	return launch_anywhere(launch, flags);
}

static pid_t launch_child(struct qs_reaper *reaper, struct launch *launch)
{
	uint64_t flags = CLONE_VM | CLONE_VFORK | CLONE_FILES |
	                 (launch->spawn->wants_pidfd ? CLONE_PIDFD : 0);

	launch->spawn->what = "clone";
	if (launch->spawn->cgroup_fd < 0)
		return launch_anywhere(launch, flags);
	if (!reaper->no_clone3) {
		pid_t pid = launch_in_cgroup(launch, flags);
		if (pid >= 0 || (errno != ENOSYS && errno != EPERM))
			return pid;
		reaper->no_clone3 = true;
	}
	return launch_and_join(launch, flags);
}

void qs_spawn_wait(pid_t pid)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 && errno == EINTR)
		;
}

/* Whoever has no descriptor for it sits there with /dev/null. NULL: nobody has any. */
static int take_seats(const struct qs_reaper *reaper, const int *sitters)
{
	for (int seat = 0; seat < SEAT_COUNT; seat++) {
		int fd = sitters && sitters[seat] >= 0 ? sitters[seat] : reaper->null_fd;
		if (dup3(fd, reaper->seats[seat], O_CLOEXEC) < 0)
			return -errno;
	}
	return 0;
}

int qs_spawn(struct qs_reaper *reaper, struct qs_spawn *spawn)
{
	struct launch launch = { .spawn = spawn, .reaper = reaper, .join_fd = -1 };
	sigset_t all, saved;

	spawn->error = 0;
	spawn->pidfd = -1;
	spawn->what = "descriptors";
	int r = take_seats(reaper, spawn->seats);
	if (r < 0)
		return r;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &saved);
	spawn->pid = launch_child(reaper, &launch);
	int error = errno;
	(void)pthread_sigmask(SIG_SETMASK, &saved, NULL);
	/* Nobody but the child keeps its ends open; this cannot fail where it has just succeeded.
	 */
	r = take_seats(reaper, NULL);
	(void)r;
	if (spawn->pid < 0)
		return -error;
	if (spawn->error == 0)
		return 0;
	qs_spawn_wait(spawn->pid);
	closep(&spawn->pidfd);
	return -spawn->error;
}
