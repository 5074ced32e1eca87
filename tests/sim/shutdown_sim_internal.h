/* What the parts of the simulation share: all of one run, and the words it is written in. */
#ifndef QS_TESTS_SHUTDOWN_SIM_INTERNAL_H
#define QS_TESTS_SHUTDOWN_SIM_INTERNAL_H

#include "lib/coordinator.h"
#include "lib/macro.h"
#include "lib/supervise.h"
#include "tests/sim/shutdown_sim.h"

#define TASKS_MAX  48
#define STAGES_MAX 5
#define GROUPS_MAX 10
#define ACTS_MAX   16

/* A task that ends when its behaviour says so, after it was started, asked, cancelled, killed. */
struct fake {
	struct qs_task task;
	struct qs_task_terms terms;
	struct qs_timer end;
	struct sim *sim;
	uint64_t id;
	uint64_t after[QS_RUNG_COUNT]; /* QS_FOREVER: that rung does not impress it */
	bool well, well_when_asked, restarts;
	unsigned told;         /* how far up the ladder its kind was told to go */
	uint64_t rung_ends_at; /* by its own ladder */
	enum qs_cause cause;
	bool over, over_before_request;
	unsigned endings;
	enum qs_verdict verdict;
};

enum act_kind {
	ACT_STOP,
	ACT_DRAIN,
	ACT_RESUME,
	ACT_ASK,
	ACT_CANCEL,
	ACT_KILL,
	ACT_START,
	ACT_COUNT,
};

/* Something that happens from outside, at its time. */
struct act {
	struct qs_timer timer;
	struct sim *sim;
	enum act_kind kind;
};

/* The order of one rung over all tasks: within it ids must rise. */
struct sweep {
	uint64_t key, last_id;
};

struct sim {
	struct qs_loop *loop;
	struct qs_random random;
	struct qs_ledger *ledger;
	struct qs_owner *owner;
	struct qs_context context;
	struct qs_group root, groups[GROUPS_MAX];
	unsigned group_count, stages;
	struct qs_coordinator coordinator;
	struct shutdown_plan plan;
	struct fake fakes[TASKS_MAX];
	unsigned fake_count;
	struct act acts[ACTS_MAX];
	unsigned act_count;
	uint64_t began_at, requested_at, leave_at, wake_before;
	enum qs_phase phase;
	struct sweep asks, cancels, kills;
	bool requested, left, trace;
	struct sim_result *result;
};

uint64_t sim_now(const struct sim *sim);

/* Draws: a number below the bound; true so many times in a hundred; whole milliseconds. */
uint64_t sim_below(struct sim *sim, uint64_t bound);
bool sim_chance(struct sim *sim, unsigned percent);
uint64_t sim_span_below(struct sim *sim, uint64_t milliseconds);

/* Everything that happens goes through here, into the digest and, for a replay, to a person. */
void sim_note(struct sim *sim, const char *what, uint64_t id, const char *name);

/* An invariant: the first one that does not hold ends the run. */
void _printf_(3, 4) sim_require(struct sim *sim, bool holds, const char *format, ...);

/* Tries to start one more task in one of the groups: refused in any phase but running. */
void sim_start_fake(struct sim *sim);
unsigned long long sim_number(const struct fake *fake);

#endif
