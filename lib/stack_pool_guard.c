/*
 * Guard pages: by MADV_GUARD_INSTALL, which costs no mapping, else by mprotect, which costs two,
 * until a quarter of vm.max_map_count is spent. One system call serves a batch of stacks where the
 * kernel lets a process advise itself about a list of ranges (Linux 6.14).
 */
#include "lib/stack_pool_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/stack_pool_tools.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef PIDFD_SELF_THREAD_GROUP
#define PIDFD_SELF_THREAD_GROUP (-10001)
#endif

#define USUAL_MAPPINGS 65530

static size_t mprotect_quota(void)
{
	_cleanup_(closep) int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	char text[32] = "";

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return USUAL_MAPPINGS / 4;
	return strtoul(text, NULL, 10) / 4;
}

static bool kernel_has_guards(size_t page)
{
	void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool has;

	if (memory == MAP_FAILED)
		return false;
	has = madvise(memory, page, MADV_GUARD_INSTALL) == 0;
	(void)munmap(memory, page);
	return has;
}

void stack_guards_init(struct stack_guards *guards, enum qs_stack_guard best, size_t page)
{
	*guards = (struct stack_guards){
		.kind = best,
		.page = page,
		.mprotect_left = mprotect_quota(),
		.no_lists = tools_know_few_calls(),
	};
	/* LeakSanitizer reads whole regions; it skips protected pages but cannot see the other
	 * kind. */
	if (best == QS_STACK_GUARD_MADVISE && (QS_TOOLS_ASAN || !kernel_has_guards(page)))
		guards->kind = QS_STACK_GUARD_MPROTECT;
}

/* Advises one page per slot; returns for how many slots it was done. Refused once, never tried
 * again. */
static size_t advise(
        struct stack_guards *guards, char *pages, size_t slot_size, size_t count, int advice)
{
	struct iovec ranges[STACK_BATCH];
	long done;

	if (count < 2 || guards->no_lists)
		return 0;
	for (size_t i = 0; i < count; i++)
		ranges[i] = (struct iovec){ pages + i * slot_size, guards->page };
	done = syscall(SYS_process_madvise, PIDFD_SELF_THREAD_GROUP, ranges, count, advice, 0);
	guards->no_lists = done < 0;
	return done < 0 ? 0 : (size_t)done / guards->page;
}

size_t stack_guards_install(
        struct stack_guards *guards, char *slots, size_t slot_size, size_t count)
{
	if (guards->kind == QS_STACK_GUARD_MADVISE) {
		size_t done = advise(guards, slots, slot_size, count, MADV_GUARD_INSTALL);

		if (done == 0)
			done = madvise(slots, guards->page, MADV_GUARD_INSTALL) == 0;
		if (done > 0)
			return done;
		guards->kind = QS_STACK_GUARD_MPROTECT;
	}
	if (guards->kind == QS_STACK_GUARD_MPROTECT) {
		if (guards->mprotect_left > 0 && mprotect(slots, guards->page, PROT_NONE) == 0) {
			guards->mprotect_left--;
			return 1;
		}
		guards->kind = QS_STACK_GUARD_CANARY;
	}
	return 0;
}

void stack_populate(struct stack_guards *guards, char *slots, size_t slot_size, size_t count)
{
	(void)advise(
	        guards, slots + slot_size - guards->page, slot_size, count, MADV_POPULATE_WRITE);
}
