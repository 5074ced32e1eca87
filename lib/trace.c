/*
 * The signal carries the trace it is for, so the handler needs nothing else. libgcc, which walks
 * the stack, is loaded and the map of modules is drawn when the trace is made: both would take the
 * dynamic linker's lock later, and who is stuck may hold that too. Modules that are loaded after
 * that have no name here, only their addresses.
 */
#include "lib/trace.h"

#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/macro.h"

/* One that nobody uses: the kernel never sends it. */
#ifdef SIGSTKFLT
#define TRACE_SIGNAL SIGSTKFLT
#else
#define TRACE_SIGNAL SIGPROF
#endif

#define OWN_FRAMES 2 /* the handler, and what the kernel puts under it */

/* In the place of the number of frames. */
#define TRACE_WANTED    (-1)
#define TRACE_UNDER_WAY (-2)

static void note_where(int signo _unused_, siginfo_t *info, void *context _unused_)
{
	int saved = errno;

	if (info->si_code == SI_QUEUE && info->si_pid == getpid()) {
		struct qs_trace *trace = info->si_value.sival_ptr;

		int taken = TRACE_WANTED;

		/* One that comes late, when another was answered, must not write what is read. */
		if (atomic_compare_exchange_strong(&trace->taken, &taken, TRACE_UNDER_WAY))
			atomic_store(&trace->taken, backtrace(trace->addresses, QS_TRACE_DEPTH));
	}
	errno = saved;
}

static void keep_name(char name[static 40], const char *path)
{
	const char *base = strrchr(path, '/');

	snprintf(name, 40, "%s", base ? base + 1 : path[0] ? path : program_invocation_short_name);
}

static int note_module(struct dl_phdr_info *info, size_t size _unused_, void *arg)
{
	struct qs_trace *trace = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + header->p_vaddr;

		if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
			continue;
		if (trace->module_count == QS_TRACE_MODULES)
			return 1;
		trace->modules[trace->module_count].begin = begin;
		trace->modules[trace->module_count].end = begin + header->p_memsz;
		trace->modules[trace->module_count].base = info->dlpi_addr;
		keep_name(trace->modules[trace->module_count++].name, info->dlpi_name);
	}
	return 0;
}

int qs_trace_init(struct qs_trace *trace)
{
	const struct sigaction action = { .sa_sigaction = note_where,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	sigset_t set;
	int r;

	*trace = (struct qs_trace){ .thread = pthread_self() };
	r = qs_alt_stack_init(&trace->stack);
	if (r < 0)
		return r;
	(void)backtrace(trace->addresses, QS_TRACE_DEPTH);
	(void)dl_iterate_phdr(note_module, trace);
	if (sigaction(TRACE_SIGNAL, &action, NULL) < 0) {
		r = -errno;
		qs_alt_stack_done(&trace->stack);
		return r;
	}
	sigemptyset(&set);
	sigaddset(&set, TRACE_SIGNAL);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return 0;
}

/* A signal that is still on its way is handled when this system call returns, at the latest. */
void qs_trace_done(struct qs_trace *trace)
{
	(void)sched_yield();
	qs_alt_stack_done(&trace->stack);
}

void qs_trace_ask(struct qs_trace *trace)
{
	/* One that is on its way tells the present when it comes. */
	if (atomic_load(&trace->taken) < 0)
		return;
	atomic_store(&trace->taken, TRACE_WANTED);
	(void)pthread_sigqueue(trace->thread, TRACE_SIGNAL, (union sigval){ .sival_ptr = trace });
}

size_t qs_trace_lines(const struct qs_trace *trace)
{
	int taken = atomic_load(&trace->taken);

	return taken > OWN_FRAMES ? (size_t)(taken - OWN_FRAMES) : 0;
}

char *qs_trace_line(const struct qs_trace *trace, size_t index, char line[static QS_TRACE_LINE])
{
	uintptr_t address = (uintptr_t)trace->addresses[index + OWN_FRAMES];

	for (size_t i = 0; i < trace->module_count; i++) {
		if (address < trace->modules[i].begin || address >= trace->modules[i].end)
			continue;
		snprintf(line, QS_TRACE_LINE, "%s(+0x%zx) [0x%zx]", trace->modules[i].name,
		        (size_t)(address - trace->modules[i].base), (size_t)address);
		return line;
	}
	snprintf(line, QS_TRACE_LINE, "[0x%zx]", (size_t)address);
	return line;
}
