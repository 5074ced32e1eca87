/* The seam for memory and for refused system calls; see the header. */
#include "lib/alloc.h"

#include <errno.h>
#include <stdlib.h>

_Thread_local struct qs_seam *qs_seam;

bool qs_seam_draw(int error)
{
	struct qs_seam *seam = qs_seam;
	bool refuse = ++seam->chances == seam->fail_at;

	if (seam->rate > 0) {
		seam->random ^= seam->random << 13;
		seam->random ^= seam->random >> 7;
		seam->random ^= seam->random << 17;
		refuse |= (seam->random >> 16) % 1000000 < seam->rate;
	}
	if (!refuse)
		return false;
	seam->refused++;
	errno = error;
	return true;
}

static void *count(void *memory)
{
	if (memory && qs_seam)
		qs_seam->live++;
	return memory;
}

void *qs_malloc(size_t size)
{
	return qs_refused(ENOMEM) ? NULL : count(malloc(size));
}

void *qs_calloc(size_t members, size_t size)
{
	return qs_refused(ENOMEM) ? NULL : count(calloc(members, size));
}

void *qs_reallocarray(void *memory, size_t members, size_t size)
{
	void *moved = qs_refused(ENOMEM) ? NULL : reallocarray(memory, members, size);

	return memory ? moved : count(moved);
}

void qs_free(void *memory)
{
	if (memory && qs_seam)
		qs_seam->live--;
	free(memory);
}
