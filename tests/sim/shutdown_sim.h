/*
 * One shutdown in simulation: the real coordinator, groups, tasks and ledger on a virtual clock,
 * with tasks that behave as a seed says. The same seed gives the same shutdown.
 */
#ifndef QS_TESTS_SHUTDOWN_SIM_H
#define QS_TESTS_SHUTDOWN_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"

/* What came of it. */
struct sim_result {
	uint64_t digest;   /* of all that happened, in order */
	unsigned tasks;    /* that were ever started */
	unsigned verdicts; /* one bit for each that was given */
	unsigned overdue;  /* stages that were overtaken */
	char broken[160];  /* the first invariant that did not hold, "" when all did */
};

/* The loop must have a virtual clock. With `trace` everything that happens is printed. */
void sim_run(struct qs_loop *loop, uint64_t seed, bool trace, struct sim_result *ret_result);

#endif
