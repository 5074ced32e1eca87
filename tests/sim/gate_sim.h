/*
 * A world of calls through a gate, drawn from a seed: its limits, a tree of fibers that call, a
 * server that answers well, late, wrongly or never; with a stop, failing allocations, cancels.
 */
#ifndef QUIESCE_GATE_SIM_H
#define QUIESCE_GATE_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/gate.h>
#include <quiesce/sim.h>

#include "lib/supervise.h"

#define GATE_CALLS_MAX 256

/* What became of a call; exactly one of these. */
enum call_end { CALL_NOT_BEGUN, CALL_UNDER_WAY, CALL_RETURNED, CALL_LOST };

struct call_record {
	enum call_end end;
	int result;
	struct qs_gate_answer answer;
	bool is_stream;
};

struct gate_world {
	struct qs_random random;
	struct qs_gate_options options;
	qs_http *http;
	qs_gate *gate;
	qs_group *group;
	unsigned fibers, calls;
	uint64_t asked; /* by the server's count */
	struct call_record records[GATE_CALLS_MAX];
	struct qs_gate_stats stats; /* at the end of the gate */
	bool has_stats, is_trace_wanted;
	/* Over all: of each kind there must be some. */
	uint64_t returned, lost, answered, hits, shared, retries, refused, streamed, late, stopped;
	char broken[160]; /* an invariant that does not hold; "" */
};

/* Plays the world of that seed. `stop_at` 0: as the seed says. */
void gate_world_run(struct gate_world *world, uint64_t seed, uint64_t stop_at, bool trace,
        struct qs_sim_result *ret_result);

#endif
