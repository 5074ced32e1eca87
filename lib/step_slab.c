/*
 * Where steps lie: many to an allocation, so that they need no header each, and no pointer to whom
 * they belong. A slab that is empty goes back, unless it is the last one with room.
 */
#include <assert.h>
#include <stddef.h>

#include "lib/alloc.h"
#include "lib/macro.h"
#include "lib/step.h"

/* With AddressSanitizer each has an allocation of its own, so that a use after free is seen. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SLAB_STEPS 1U
#else
#define SLAB_STEPS 136U /* 16 KiB with what malloc needs */
#endif

struct slab {
	struct qs_steps *steps;
	struct list node;     /* among those with room */
	struct qs_step *free; /* were used and are not */
	unsigned used, fresh; /* places in use; from which on none was ever used */
	struct qs_step places[SLAB_STEPS];
};

static_assert(SLAB_STEPS <= STEP_PLACE_MASK + 1, "a step knows its place");

static struct slab *slab_of(const struct qs_step *step)
{
	const struct qs_step *first =
	        step - (step->timer.mark >> STEP_PLACE_SHIFT & STEP_PLACE_MASK);

	return container_of(first, struct slab, places[0]);
}

struct qs_steps *qs_steps_of(const struct qs_step *step)
{
	return slab_of(step)->steps;
}

static struct slab *roomy_slab(struct qs_steps *steps, struct list *slabs)
{
	struct slab *slab;

	if (!list_empty(slabs))
		return list_entry(slabs->next, struct slab, node);
	slab = qs_malloc(sizeof(*slab));
	if (!slab)
		return NULL;
	slab->steps = steps;
	slab->free = NULL;
	slab->used = slab->fresh = 0;
	list_append(slabs, &slab->node);
	return slab;
}

struct qs_step *qs_step_alloc(struct qs_steps *steps, struct list *slabs)
{
	struct slab *slab = roomy_slab(steps, slabs);
	struct qs_step *step;

	if (!slab)
		return NULL;
	step = slab->free;
	if (step)
		slab->free = step->next;
	else
		step = &slab->places[slab->fresh++];
	if (++slab->used == SLAB_STEPS)
		list_remove(&slab->node);
	*step = (struct qs_step){ .timer.mark = (uint32_t)(step - slab->places)
		                                << STEP_PLACE_SHIFT };
	return step;
}

void qs_step_free(struct qs_step *step, struct list *slabs)
{
	struct slab *slab = slab_of(step);

	if (slab->used-- == SLAB_STEPS)
		list_append(slabs, &slab->node);
	step->next = slab->free;
	slab->free = step;
	if (slab->used > 0)
		return;
	list_remove(&slab->node);
	if (SLAB_STEPS > 1 && list_empty(slabs))
		list_append(slabs, &slab->node);
	else
		qs_free(slab);
}

void qs_step_slabs_done(struct list *slabs)
{
	while (!list_empty(slabs)) {
		struct slab *slab = list_entry(slabs->next, struct slab, node);

		list_remove(&slab->node);
		qs_free(slab);
	}
}
