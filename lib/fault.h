/*
 * What a crash has to say of fibers. Each scope knows by whose stack an address was touched; the
 * handler of SIGSEGV, on a stack of its own, asks those of the thread that crashed, has the answer
 * told, and lets the crash happen. All functions: the thread that the scope is for.
 */
#ifndef QS_FAULT_H
#define QS_FAULT_H

#include <stdbool.h>

#include <quiesce/export.h>

/* A stack for signal handlers of the calling thread, unless it has one. */
struct qs_alt_stack {
	void *memory; /* NULL: it had one already */
};

QS_MUST_CHECK int qs_alt_stack_init(struct qs_alt_stack *stack); /* -ENOMEM */
void qs_alt_stack_done(struct qs_alt_stack *stack);

struct qs_fault_scope {
	/* Async-signal-safe: the name of the fiber, NULL if it is none's. */
	const char *(*name_at)(const void *address, void *arg);
	/* Async-signal-safe: last words. */
	void (*told)(const char *text, void *arg);
	void *arg;

	struct qs_fault_scope *outer;
	struct qs_alt_stack stack;
	bool entered;
};

/* The handler is there while any scope of the process is. -ENOMEM. */
QS_MUST_CHECK int qs_fault_enter(struct qs_fault_scope *scope);

/* One that was not entered is left alone. */
void qs_fault_leave(struct qs_fault_scope *scope);

#endif
