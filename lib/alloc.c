/* The seam for memory and for refused system calls; see the header. */
#include "lib/alloc.h"

#include <errno.h>
#include <stdlib.h>

_Thread_local struct qs_faults *qs_faults;

bool qs_faults_draw(int error)
{
	struct qs_faults *faults = qs_faults;
	bool refuse = ++faults->chances == faults->fail_at;

	if (faults->rate > 0) {
		faults->random ^= faults->random << 13;
		faults->random ^= faults->random >> 7;
		faults->random ^= faults->random << 17;
		refuse |= (faults->random >> 16) % 1000000 < faults->rate;
	}
	if (!refuse)
		return false;
	faults->refused++;
	errno = error;
	return true;
}

static void *count(void *memory)
{
	if (memory && qs_faults)
		qs_faults->live++;
	return memory;
}

void *qs_malloc(size_t size)
{
	return qs_fault(ENOMEM) ? NULL : count(malloc(size));
}

void *qs_calloc(size_t members, size_t size)
{
	return qs_fault(ENOMEM) ? NULL : count(calloc(members, size));
}

void *qs_reallocarray(void *memory, size_t members, size_t size)
{
	void *moved = qs_fault(ENOMEM) ? NULL : reallocarray(memory, members, size);

	return memory ? moved : count(moved);
}

void qs_free(void *memory)
{
	if (memory && qs_faults)
		qs_faults->live--;
	free(memory);
}
