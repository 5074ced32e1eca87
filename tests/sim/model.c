/*
 * The search is depth first and keeps no states: it runs the scenario from its beginning again and
 * again, each time by the choices of the last run up to the last one that can be taken otherwise.
 */
#include "tests/sim/model.h"

#include <stdio.h>
#include <string.h>

#include "lib/fiber_context.h"
#include "lib/macro.h"

#define MOST_STEPS 512
#define MOST_FDS   16
#define STACK      (size_t)(64 * 1024)
#define ARENA      (size_t)(64 * 1024)
#define FIRST_FD   (1 << 20) /* no real descriptor: closing it does nothing */
#define OUTSIDE    MODEL_THREADS

enum kind {
	ACCESS,
	LOCK,     /* when it is free */
	COND,     /* when it was signalled and the mutex is free */
	CHANGE,   /* when the object has been written */
	READABLE, /* when the descriptor is raised or nobody is left to raise it */
};

struct step {
	enum kind kind;
	const volatile void *object;
	bool writes;
};

struct thread {
	struct qs_fiber_context context;
	void (*run)(void);
	struct step next;
	bool over, signalled, changed;
	const volatile void *read_last;
};

/* A place where the order was chosen. */
struct choice {
	unsigned enabled, asleep, chosen;
	struct step steps[MODEL_THREADS];
};

static struct {
	struct thread threads[MODEL_THREADS];
	struct qs_fiber_context scheduler;
	unsigned count, current;
	unsigned owner;   /* of the one mutex; OUTSIDE: nobody */
	const void *cond; /* the one condition */
	unsigned fds[MOST_FDS];
	int fd_count;
	int live; /* its address stands for "who still lives" */
	int all;  /* ... and this one for everything */
	size_t used;
	_Alignas(16) char arena[ARENA];
	_Alignas(16) char stacks[MODEL_THREADS][STACK];

	struct choice path[MOST_STEPS];
	unsigned path_length, depth;
	struct model_outcome *outcome;
} model;

static struct thread *self(void)
{
	return &model.threads[model.current];
}

static void note_broken(const char *what)
{
	char *text = model.outcome->broken;
	size_t size = sizeof(model.outcome->broken), used;

	if (text[0])
		return;
	used = (size_t)snprintf(text, size, "%s; order ", what);
	for (unsigned i = 0; i < model.depth && used + 2 < size; i++)
		text[used++] = (char)('0' + model.path[i].chosen);
	text[used] = '\0';
}

void model_hold(bool holds, const char *what)
{
	if (!holds)
		note_broken(what);
}

/* --- steps --- */

static void before(struct step step)
{
	if (model.current == OUTSIDE)
		return;
	self()->next = step;
	qs_fiber_context_switch(&self()->context, &model.scheduler);
}

void model_access(const volatile void *object, bool writes)
{
	if (model.current != OUTSIDE && !writes)
		self()->read_last = object;
	before((struct step){ ACCESS, object, writes });
}

void model_pause(void)
{
	before((struct step){ ACCESS, &model.all, true });
}

void model_lock(const void *mutex)
{
	before((struct step){ LOCK, mutex, true });
	model.owner = model.current;
}

void model_unlock(const void *mutex)
{
	before((struct step){ ACCESS, mutex, true });
	model.owner = OUTSIDE;
}

void model_cond_wait(const void *cond, const void *mutex)
{
	model.cond = cond;
	model_unlock(mutex);
	self()->signalled = false;
	before((struct step){ COND, mutex, true });
	model.owner = model.current;
}

/* By who holds the mutex: nobody goes on before that is given back. */
void model_cond_broadcast(const void *cond)
{
	model_hold(!model.cond || model.cond == cond, "the model knows of one condition");
	for (unsigned i = 0; i < model.count; i++)
		model.threads[i].signalled = true;
}

void model_yield(void)
{
	self()->changed = false;
	before((struct step){ CHANGE, self()->read_last, false });
}

unsigned long model_self(void)
{
	return model.current + 1;
}

int model_eventfd(unsigned raised)
{
	model.fds[model.fd_count] = raised;
	return FIRST_FD + model.fd_count++;
}

static unsigned *count_of(int fd)
{
	return &model.fds[fd - FIRST_FD];
}

void model_raise(int fd)
{
	if (fd < 0)
		return;
	model_access(count_of(fd), true);
	++*count_of(fd);
}

void model_lower(int fd)
{
	model_access(count_of(fd), true);
	*count_of(fd) = 0;
}

bool model_is_readable(int fd)
{
	return *count_of(fd) > 0;
}

bool model_wait_readable(int fd)
{
	before((struct step){ READABLE, count_of(fd), false });
	return model_is_readable(fd);
}

/* Memory lasts for a run. */
void *model_malloc(size_t size)
{
	void *memory = model.arena + model.used;

	model.used += (size + 15) / 16 * 16;
	model_hold(model.used <= ARENA, "the model has no memory left");
	return memory;
}

void *model_calloc(size_t count, size_t size)
{
	return memset(model_malloc(count * size), 0, count * size);
}

/* Whoever uses it all the same sees it. */
void model_free(void *memory)
{
	(void)memory;
}

/* --- the scheduler --- */

static bool others_are_over(unsigned i)
{
	for (unsigned j = 0; j < model.count; j++)
		if (j != i && !model.threads[j].over)
			return false;
	return true;
}

static bool is_enabled(unsigned i)
{
	const struct thread *thread = &model.threads[i];

	if (thread->over)
		return false;
	switch (thread->next.kind) {
	case ACCESS:
		return true;
	case LOCK:
		return model.owner == OUTSIDE;
	case COND:
		return model.owner == OUTSIDE && thread->signalled;
	case CHANGE:
		return thread->changed;
	case READABLE:
		return *(const volatile unsigned *)thread->next.object > 0 || others_are_over(i);
	}
	return false;
}

static bool depend(const struct step *a, const struct step *b)
{
	if (a->object == &model.all || b->object == &model.all)
		return true;
	if (a->object == b->object)
		return a->writes || b->writes;
	return (a->kind == READABLE && b->object == &model.live) ||
	       (b->kind == READABLE && a->object == &model.live);
}

/* Those asleep stay so for as long as nothing happens that has to do with them. */
static unsigned still_asleep(const struct choice *before_it)
{
	unsigned asleep = 0;

	for (unsigned i = 0; i < model.count; i++)
		if ((before_it->asleep & 1U << i) &&
		        !depend(&before_it->steps[i], &before_it->steps[before_it->chosen]))
			asleep |= 1U << i;
	return asleep;
}

/* False: nothing is left that was not tried in another order. */
static bool choose(struct choice *choice)
{
	unsigned awake;

	*choice = (struct choice){ 0 };
	for (unsigned i = 0; i < model.count; i++) {
		choice->steps[i] = model.threads[i].next;
		choice->enabled |= (unsigned)is_enabled(i) << i;
	}
	if (model.depth > 0)
		choice->asleep = still_asleep(choice - 1);
	awake = choice->enabled & ~choice->asleep;
	if (awake)
		choice->chosen = (unsigned)__builtin_ctz(awake);
	model.path_length = model.depth + (awake != 0);
	return awake != 0;
}

static void resume(unsigned i)
{
	struct thread *thread = &model.threads[i];

	if (thread->next.writes)
		for (unsigned j = 0; j < model.count; j++)
			if (model.threads[j].next.object == thread->next.object)
				model.threads[j].changed = true;
	model.current = i;
	qs_fiber_context_switch(&model.scheduler, &thread->context);
	model.current = OUTSIDE;
}

static void thread_main(void *argument)
{
	struct thread *thread = argument;

	thread->run();
	before((struct step){ ACCESS, &model.live, true });
	thread->over = true;
	qs_fiber_context_switch(NULL, &model.scheduler);
}

static void begin(const struct model_scenario *scenario)
{
	model.count = model.depth = 0;
	model.current = model.owner = OUTSIDE;
	model.cond = NULL;
	model.fd_count = 0;
	model.used = 0;
	scenario->set_up();
	for (unsigned i = 0; i < MODEL_THREADS && scenario->threads[i]; i++) {
		struct thread *thread = &model.threads[model.count++];

		*thread = (struct thread){ .run = scenario->threads[i] };
		qs_fiber_context_make(
		        &thread->context, model.stacks[i], STACK, thread_main, thread);
		resume(i);
	}
}

/* Returns whether it came to an end, by itself or because the rest was tried already. */
static void run(const struct model_scenario *scenario)
{
	begin(scenario);
	while (!model.outcome->broken[0] && !others_are_over(OUTSIDE)) {
		struct choice *choice = &model.path[model.depth];

		if (model.depth == model.path_length && !choose(choice)) {
			if (choice->enabled == 0)
				note_broken("all wait for ever");
			break;
		}
		model.depth++;
		model.outcome->steps++;
		resume(choice->chosen);
		if (model.depth == MOST_STEPS)
			note_broken("it goes on and on");
	}
	for (unsigned i = 0; i < model.count; i++)
		qs_fiber_context_done(&model.threads[i].context);
	if (!model.outcome->broken[0] && others_are_over(OUTSIDE))
		scenario->check();
}

/* The last choice that can be taken otherwise. */
static bool step_back(void)
{
	while (model.path_length > 0) {
		struct choice *last = &model.path[model.path_length - 1];

		last->asleep |= 1U << last->chosen;
		unsigned awake = last->enabled & ~last->asleep;
		if (awake) {
			last->chosen = (unsigned)__builtin_ctz(awake);
			return true;
		}
		model.path_length--;
	}
	return false;
}

void model_explore(const struct model_scenario *scenario, struct model_outcome *ret_outcome)
{
	*ret_outcome = (struct model_outcome){ 0 };
	model.outcome = ret_outcome;
	model.path_length = 0;
	do {
		run(scenario);
		ret_outcome->runs++;
	} while (!ret_outcome->broken[0] && step_back());
}
