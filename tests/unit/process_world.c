#include "tests/unit/process_world.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

struct world world;

static void patience_is_over(_unused_ struct qs_timer *timer)
{
	ck_abort_msg("nothing came of it");
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

void world_open(const struct qs_reaper_options *options)
{
	sigset_t child_only;

	sigemptyset(&child_only);
	sigaddset(&child_only, SIGCHLD);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &child_only, NULL), 0);
	world = (struct world){ .descriptors = count_descriptors() };
	qs_clock_init(&world.clock);
	ck_assert_int_eq(qs_loop_new(&world.clock, &world.loop), 0);
	ck_assert_int_eq(qs_ledger_new(&world.ledger), 0);
	ck_assert_int_eq(qs_ledger_owner(world.ledger, "owner", &world.owner), 0);
	qs_context_init(&world.context, world.loop, world.ledger);
	qs_group_init(&world.group, &world.context, NULL);
	ck_assert_int_eq(qs_timer_init(world.loop, &world.patience, patience_is_over), 0);
	ck_assert_int_eq(qs_reaper_new(&world.context, options, &world.reaper), 0);
}

void world_close(void)
{
	siginfo_t info;

	ck_assert_uint_eq(qs_ledger_live(world.ledger), 0);
	qs_reaper_free(world.reaper);
	qs_timer_done(&world.patience);
	qs_group_done(&world.group);
	qs_ledger_free(world.ledger);
	qs_loop_free(world.loop);
	/* What has lost its place in the process group or cgroup may still be on its last steps. */
	(void)alarm(PATIENCE / QS_SEC);
	while (waitid(P_ALL, 0, &info, WEXITED) == 0)
		;
	ck_assert_int_eq(errno, ECHILD);
	(void)alarm(0);
	ck_assert_int_eq(count_descriptors(), world.descriptors);
}

void world_set_up(void)
{
	world_open(&(struct qs_reaper_options){ .subreaper = true, .no_cgroups = true });
}

void world_tear_down(void)
{
	world_close();
}

void world_turn(void)
{
	qs_timer_arm(&world.patience, qs_time_add(qs_time_now(), PATIENCE));
	(void)qs_loop_turn(world.loop, true);
	qs_timer_disarm(&world.patience);
	world.turns++;
}

/* --- cgroups --- */

#define PATH_SIZE 512

char world_cgroup[PATH_SIZE];
static char cgroup_before[PATH_SIZE]; /* where this process was */
static bool is_open;

static int write_text(const char *directory, const char *file, const char *text)
{
	char path[PATH_SIZE + 64];

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	FILE *stream = fopen(path, "we");
	if (!stream)
		return -errno;
	int r = fputs(text, stream) < 0 ? -errno : 0;
	return fclose(stream) < 0 ? -errno : r;
}

/* Where this process is in version 2, as a directory. */
static bool find_cgroup(char directory[static PATH_SIZE])
{
	char line[PATH_SIZE], point[PATH_SIZE / 2] = "", path[PATH_SIZE / 2] = "";

	FILE *file = fopen("/proc/self/mountinfo", "re");
	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, " - cgroup2 "))
			(void)sscanf(line, "%*s %*s %*s %*s %255s", point);
	if (file)
		fclose(file);
	file = fopen("/proc/self/cgroup", "re");
	while (file && fgets(line, sizeof(line), file))
		(void)sscanf(line, "0::%255s", path);
	if (file)
		fclose(file);
	snprintf(directory, PATH_SIZE, "%s%s", point, path);
	return *point && *path;
}

bool world_enter_cgroup(void)
{
	char *name = world_cgroup;

	if (find_cgroup(cgroup_before)) {
		snprintf(name, PATH_SIZE, "%.400s/quiesce-test-%ju", cgroup_before,
		        (uintmax_t)qs_time_now());
		if (mkdir(name, 0755) == 0) {
			if (setxattr(name, "user.delegate", "1", 1, 0) == 0 &&
			        write_text(name, "cgroup.procs", "0") == 0)
				return true;
			(void)rmdir(name);
		}
		name[0] = '\0';
	}
	fprintf(stderr, "no cgroup can be made here: %s\n", strerror(errno));
	ck_assert_msg(!getenv("CI"), "no cgroup can be made here");
	return false;
}

void world_leave_cgroup(void)
{
	char leaf[PATH_SIZE + 64];

	if (!*world_cgroup)
		return;
	snprintf(leaf, sizeof(leaf), "%s/daemon", world_cgroup);
	ck_assert_int_eq(write_text(cgroup_before, "cgroup.procs", "0"), 0);
	ck_assert(rmdir(leaf) == 0 || errno == ENOENT);
	ck_assert_msg(rmdir(world_cgroup) == 0, "%s: %s", world_cgroup, strerror(errno));
	world_cgroup[0] = '\0';
}

bool world_open_mode(int mode)
{
	if (mode != MODE_GROUPS && !world_enter_cgroup())
		return false;
	world_open(&(struct qs_reaper_options){ .subreaper = true,
	        .no_cgroups = mode == MODE_GROUPS,
	        .no_clone3 = mode == MODE_CLONE });
	ck_assert_int_eq(qs_reaper_cgroup(world.reaper) != NULL, mode != MODE_GROUPS);
	is_open = true;
	return true;
}

void world_close_mode(void)
{
	if (!is_open)
		return;
	is_open = false;
	world_close();
	world_leave_cgroup();
}

/* --- one child --- */

static void on_output(_unused_ struct qs_process *process, const char *data, size_t size, void *arg)
{
	struct child *child = arg;
	size_t used = MIN(child->output_size, sizeof(child->output) - 1);
	size_t room = sizeof(child->output) - 1 - used;

	memcpy(child->output + used, data, MIN(size, room));
	child->output_size += size;
	if (child->on_output)
		child->on_output(child);
}

static void on_notify(_unused_ struct qs_process *process, const char *message, size_t size,
        pid_t sender, void *arg)
{
	struct child *child = arg;

	snprintf(child->message, sizeof(child->message), "%.*s", (int)size, message);
	child->sender = sender;
	child->messages++;
}

static void on_leader_exited(struct qs_process *process, struct qs_outcome outcome, void *arg)
{
	struct child *child = arg;

	ck_assert(!child->leader_exited);
	ck_assert_ptr_nonnull(qs_process_leader_outcome(process));
	child->leader_exited = true;
	child->leader = outcome;
}

static void on_warning(_unused_ struct qs_process *process, const char *text, void *arg)
{
	struct child *child = arg;
	size_t used = strlen(child->warnings);

	snprintf(child->warnings + used, sizeof(child->warnings) - used, "%s\n", text);
}

static void on_ended(struct qs_task *task, enum qs_verdict verdict, void *arg)
{
	struct child *child = arg;

	ck_assert_ptr_eq(qs_process_of_task(task), child->process);
	ck_assert(child->leader_exited);
	ck_assert_int_eq(child->verdict, QS_VERDICT_NONE);
	child->verdict = verdict;
	if (!child->keep) {
		qs_process_free(child->process);
		child->process = NULL;
	}
	if (child->on_ended)
		child->on_ended(child);
}

/* Terms outlive the tasks on them: these live as long as the test. */
const struct qs_task_terms *child_terms(struct qs_ladder ladder)
{
	static struct qs_task_terms terms[16];
	static size_t used;

	struct qs_task_terms *slot = &terms[used++ % ARRAY_SIZE(terms)];
	*slot = (struct qs_task_terms){ .ladder = ladder, .ended = on_ended };
	return slot;
}

struct qs_process_options child_options(char *const *argv)
{
	return (struct qs_process_options){
		.task = { .name = "test",
		        .owner = world.owner,
		        .terms = child_terms((struct qs_ladder){ QS_FOREVER, QS_FOREVER }) },
		.argv = argv,
		.environment = environ,
		.umask = -1,
		.events = { .output = on_output,
		        .notify = on_notify,
		        .leader_exited = on_leader_exited,
		        .warning = on_warning },
	};
}

int child_try(struct child *child, struct qs_process_options options, const char **ret_what)
{
	options.task.arg = options.arg = child;
	int r = qs_process_start(world.reaper, &world.group, &options, &child->process, ret_what);
	if (r == 0)
		child->pid = qs_process_pid(child->process);
	return r;
}

void child_start(struct child *child, struct qs_process_options options)
{
	const char *what = NULL;
	int r = child_try(child, options, &what);

	ck_assert_msg(r == 0, "%s: %s", what ? what : "?", strerror(-r));
}

void child_sh(struct child *child, const char *script)
{
	char shell[] = "sh", option[] = "-c", *text = strdup(script);
	char *argv[] = { shell, option, text, NULL };

	child_start(child, child_options(argv));
	free(text);
}

void child_role(struct child *child, const char *role)
{
	char self[] = "/proc/self/exe", option[] = "role", *text = strdup(role);
	char *argv[] = { self, option, text, NULL };

	child_start(child, child_options(argv));
	free(text);
}

void child_ask(struct child *child)
{
	qs_task_ask(qs_process_task(child->process), QS_CAUSE_API, QS_FOREVER);
}

void child_await_output(struct child *child, const char *text)
{
	while (!strstr(child->output, text)) {
		ck_assert_msg(child->verdict == QS_VERDICT_NONE, "it ended and said \"%s\"",
		        child->output);
		world_turn();
	}
}

void child_await_end(struct child *child)
{
	AWAIT(child->verdict != QS_VERDICT_NONE);
}

void child_end(struct child *child, enum qs_verdict verdict)
{
	child_ask(child);
	child_await_end(child);
	ck_assert_str_eq(qs_verdict_name(child->verdict), qs_verdict_name(verdict));
}

pid_t child_number(const struct child *child, const char *text)
{
	const char *at = strstr(child->output, text);

	ck_assert_msg(at, "no \"%s\" in \"%s\"", text, child->output);
	return atoi(at + strlen(text));
}

bool is_alive(pid_t pid)
{
	char path[32], state = 'X';

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 'X';
	fclose(file);
	return state != 'X' && state != 'Z';
}

int process_test_main(int argc, char **argv, Suite *(*make_suite)(void))
{
	if (argc == 3 && strcmp(argv[1], "role") == 0)
		return play_role(argv[2]);
	SRunner *runner = srunner_create(make_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
