/* Holding a run back in bounded memory: the buffer goes to the digest each time it is full. */
#include "daemon/fold_run.h"

#include <stdio.h>
#include <string.h>

#include "lib/macro.h"

void fold_run_init(struct fold_run *run)
{
	run->size = run->held = 0;
	run->hashing = false;
}

void fold_run_add(struct fold_run *run, const char *data, size_t size)
{
	run->size += size;
	while (size > 0) {
		if (run->held == sizeof(run->bytes)) {
			if (!run->hashing)
				sha256_init(&run->digest);
			run->hashing = true;
			sha256_update(&run->digest, run->held, (const uint8_t *)run->bytes);
			run->held = 0;
		}
		size_t part = MIN(size, sizeof(run->bytes) - run->held);
		memcpy(run->bytes + run->held, data, part);
		run->held += part;
		data += part;
		size -= part;
	}
}

size_t fold_run_mark(struct fold_run *run, char mark[static FOLD_MARK_SIZE])
{
	uint8_t digest[4];
	sha256_update(&run->digest, run->held, (const uint8_t *)run->bytes);
	sha256_digest(&run->digest, sizeof(digest), digest);
	return (size_t)snprintf(mark, FOLD_MARK_SIZE, "…[%ju bytes, sha256 %02x%02x%02x%02x]…",
	        (uintmax_t)run->size, digest[0], digest[1], digest[2], digest[3]);
}
