/*
 * The handler of SIGSEGV. It is the process's, so it is counted by those who want it, and gives way
 * to whoever was there before: a crash that is no fiber's is his, and one that is a fiber's is told
 * and then crashes again without us.
 */
#include "lib/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/macro.h"

#define ROOM     (32 * 1024) /* beside what the kernel itself needs */
#define TEXT_MAX 160

/* --- a stack for handlers --- */

int qs_alt_stack_init(struct qs_alt_stack *stack)
{
	long least = sysconf(_SC_MINSIGSTKSZ);
	size_t size = ROOM + (least > 0 ? (size_t)least : 0);
	stack_t present;

	stack->memory = NULL;
	if (sigaltstack(NULL, &present) < 0)
		return -errno;
	if (!(present.ss_flags & SS_DISABLE))
		return 0;
	stack->memory = malloc(size);
	if (!stack->memory)
		return -ENOMEM;
	(void)sigaltstack(&(const stack_t){ .ss_sp = stack->memory, .ss_size = size }, NULL);
	return 0;
}

void qs_alt_stack_done(struct qs_alt_stack *stack)
{
	stack_t present;

	if (!stack->memory)
		return;
	if (sigaltstack(NULL, &present) == 0 && present.ss_sp == stack->memory)
		(void)sigaltstack(&(const stack_t){ .ss_flags = SS_DISABLE }, NULL);
	free(TAKE(stack->memory, NULL));
}

/* --- the handler --- */

/* A handler has no argument, and signals are the process's: these cannot belong to a runtime. */
static _Thread_local struct qs_fault_scope *scopes __attribute__((tls_model("initial-exec")));
static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static struct sigaction before;

static void tell(const struct qs_fault_scope *scope, const char *name)
{
	char text[TEXT_MAX], *end = text;

	end = stpcpy(end, "fiber ");
	for (size_t i = 0; name[i] && i < TEXT_MAX / 2; i++)
		*end++ = name[i];
	(void)stpcpy(end, ": stack overflow");
	scope->told(text, scope->arg);
}

static bool is_a_fibers(const void *address)
{
	for (const struct qs_fault_scope *scope = scopes; scope; scope = scope->outer) {
		const char *name = scope->name_at(address, scope->arg);

		if (name) {
			tell(scope, name);
			return true;
		}
	}
	return false;
}

/* Returning from here, the instruction faults again, and then he is asked who was before us. */
static void crashed(int signo, siginfo_t *info, void *context)
{
	bool ours = info->si_code > 0 && is_a_fibers(info->si_addr);

	if (!ours && (before.sa_flags & SA_SIGINFO)) {
		before.sa_sigaction(signo, info, context);
		return;
	}
	(void)sigaction(signo, &before, NULL);
	if (info->si_code <= 0)
		(void)raise(signo);
}

static int install(void)
{
	struct sigaction ours = { .sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	int r = 0;

	pthread_mutex_lock(&users_lock);
	if (users == 0 && sigaction(SIGSEGV, &ours, &before) < 0)
		r = -errno;
	if (r == 0)
		users++;
	pthread_mutex_unlock(&users_lock);
	return r;
}

/* Whoever came after us stays. */
static void uninstall(void)
{
	struct sigaction present;

	pthread_mutex_lock(&users_lock);
	if (--users == 0 && sigaction(SIGSEGV, NULL, &present) == 0 &&
	        (present.sa_flags & SA_SIGINFO) && present.sa_sigaction == crashed)
		(void)sigaction(SIGSEGV, &before, NULL);
	pthread_mutex_unlock(&users_lock);
}

int qs_fault_enter(struct qs_fault_scope *scope)
{
	int r = qs_alt_stack_init(&scope->stack);

	if (r < 0)
		return r;
	r = install();
	if (r < 0) {
		qs_alt_stack_done(&scope->stack);
		return r;
	}
	scope->outer = scopes;
	scope->entered = true;
	scopes = scope;
	return 0;
}

void qs_fault_leave(struct qs_fault_scope *scope)
{
	struct qs_fault_scope **at = &scopes;

	if (!scope->entered)
		return;
	while (*at && *at != scope)
		at = &(*at)->outer;
	if (*at)
		*at = scope->outer;
	scope->entered = false;
	uninstall();
	qs_alt_stack_done(&scope->stack);
}
