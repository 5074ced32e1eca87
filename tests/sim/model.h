/*
 * A small model checker: runs a few threads of a scenario in every order that can make a
 * difference, one atomic step at a time. Its threads are contexts in one real thread; the code
 * under test says before each step what it is about to touch. Orders that differ only in steps
 * which have nothing to do with each other are tried once (sleep sets). Memory is sequentially
 * consistent here: what weaker orders do is for ThreadSanitizer and for the proofs in the comments.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_THREADS 3

struct model_scenario {
	const char *name;
	void (*set_up)(void);
	void (*threads[MODEL_THREADS])(void); /* NULL: fewer */
	void (*check)(void);                  /* when all have ended */
};

struct model_outcome {
	uint64_t runs, steps;
	char broken[256]; /* what did not hold, and in which order; empty: all did */
};

void model_explore(const struct model_scenario *scenario, struct model_outcome *ret_outcome);

/* For scenarios: what must hold, else the run is broken. */
void model_hold(bool holds, const char *what);

/* Between beginning and end of something that takes a while. */
void model_pause(void);

/* Waits until an eventfd is raised: true; or false, when it is not and all others have ended. */
bool model_wait_readable(int fd);
bool model_is_readable(int fd);

/* --- in place of what the code under test calls --- */

void model_access(const volatile void *object, bool writes);
void model_lock(const void *mutex);
void model_unlock(const void *mutex);
void model_cond_wait(const void *cond, const void *mutex);
void model_cond_broadcast(const void *cond);
void model_yield(void); /* until the last thing that was read has changed */
unsigned long model_self(void);
int model_eventfd(unsigned raised);
void model_raise(int fd);
void model_lower(int fd);
void *model_malloc(size_t size);
void *model_calloc(size_t count, size_t size);
void model_free(void *memory);

#endif
