/*
 * Steps: tasks that are a callback, run by a list of the ready ones. All of a context's steps share
 * one job, one timer and one heap, so that a step is 120 bytes. Loop thread only.
 */
#ifndef QS_STEP_H
#define QS_STEP_H

#include <stdint.h>

#include <quiesce/step.h>

#include "lib/group.h"
#include "lib/heap.h"
#include "lib/task.h"

struct step_extra;

struct qs_step {
	struct qs_task task;
	qs_step_fn fn;          /* NULL: it has an extra */
	struct qs_step *next;   /* in the ready list, while the mark says that it is in it */
	struct heap_node timer; /* among the times of all steps; its mark: what has happened */
};

/* Places in the mark of a step's timer; the rest of it is step.c's. */
#define STEP_PLACE_SHIFT 10
#define STEP_PLACE_MASK  0xffU

/* --- step_slab.c: where they lie; `slabs` is the list of those with room --- */

struct qs_step *qs_step_alloc(struct qs_steps *steps, struct list *slabs);
void qs_step_free(struct qs_step *step, struct list *slabs);
void qs_step_slabs_done(struct list *slabs);
struct qs_steps *qs_steps_of(const struct qs_step *step);

/* With a seed above 0 those that are ready run in an order drawn from it. -ENOMEM. */
QS_MUST_CHECK int qs_steps_new(
        struct qs_context *context, uint64_t seed, struct qs_steps **ret_steps);

/* No step may live any more; those whose end was under way are ended without a verdict of theirs.
 */
void qs_steps_free(struct qs_steps *steps);

#endif
