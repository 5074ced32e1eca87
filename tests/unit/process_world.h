/*
 * A loop, a ledger, a group and a reaper with real processes below them, for the tests of
 * process.h; and the other programs of these tests, which are this one with other words.
 */
#ifndef PROCESS_WORLD_H
#define PROCESS_WORLD_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/process.h"

#define PATIENCE (30 * QS_SEC)

extern struct world {
	struct qs_clock clock;
	struct qs_loop *loop;
	struct qs_ledger *ledger;
	struct qs_owner *owner;
	struct qs_context context;
	struct qs_group group;
	struct qs_reaper *reaper;
	struct qs_timer patience;
	unsigned turns;
	int descriptors; /* before */
} world;

/* What was seen of one process tree. Zeroed before child_start. */
struct child {
	struct qs_process *process; /* NULL once it has ended and was freed */
	pid_t pid;
	enum qs_verdict verdict; /* QS_VERDICT_NONE while it lives */
	struct qs_outcome leader;
	bool leader_exited, keep; /* keep: it is not freed when it ends */
	char output[4096];        /* the beginning of it, NUL-ended */
	size_t output_size;       /* of all of it */
	char message[512];        /* the latest */
	pid_t sender;
	unsigned messages;
	char warnings[512];
	void (*on_output)(struct child *child);
	void (*on_ended)(struct child *child);
};

/* With subreaper or without, as the options say. Fails the test if anything cannot be had. */
void world_open(const struct qs_reaper_options *options);

/* Asserts that nothing is left: no task, no child, no descriptor, no memory of ours. */
void world_close(void);

/* The usual fixture: a subreaper that looks for no cgroup. */
void world_set_up(void);
void world_tear_down(void);

/* How trees are held together and how their leaders are made. */
enum world_mode { MODE_GROUPS, MODE_CLONE3, MODE_CLONE, MODE_COUNT };

/*
 * Opens the world in that enum world_mode. With cgroups this process moves into a delegated one of
 * its own. False, with a word about it, where nobody can make a cgroup; in CI the test fails then.
 */
bool world_open_mode(int mode);

/* The usual end of a test that opened a world by mode: also leaves and removes the cgroup. */
void world_close_mode(void);

/* The same alone: a fresh delegated cgroup with this process in it, and back. */
bool world_enter_cgroup(void);
void world_leave_cgroup(void);

/* Where it is, "" for nowhere. */
extern char world_cgroup[];

/* One turn of the loop. The test fails if nothing comes of it for PATIENCE. */
void world_turn(void);

#define AWAIT(condition)              \
	do {                          \
		while (!(condition))  \
			world_turn(); \
	} while (0)

/* Terms with that ladder, for options.task.terms. */
const struct qs_task_terms *child_terms(struct qs_ladder ladder);

/* Options with the defaults of these tests: our environment, a ladder that never moves by itself.
 */
struct qs_process_options child_options(char *const *argv);
int child_try(struct child *child, struct qs_process_options options, const char **ret_what);
void child_start(struct child *child, struct qs_process_options options);

void child_sh(struct child *child, const char *script);

/* This program in another role: see process_roles.c. */
void child_role(struct child *child, const char *role);

void child_ask(struct child *child);

/* Awaits that its output contains the text / that it has ended. */
void child_await_output(struct child *child, const char *text);
void child_await_end(struct child *child);

/* Asks, awaits the end, and checks the verdict. */
void child_end(struct child *child, enum qs_verdict verdict);

/* The number after the text in its output. */
pid_t child_number(const struct child *child, const char *text);

/* Whether there is such a process that is not a zombie. */
bool is_alive(pid_t pid);

/* The main function of these tests: plays a role if there are words for it, else runs the suite. */
int process_test_main(int argc, char **argv, Suite *(*make_suite)(void));
int play_role(const char *role);

#endif
