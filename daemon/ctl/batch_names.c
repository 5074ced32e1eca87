/* An open-addressing table of hashes. Two names of a million share one once in ten million runs. */
#include "daemon/ctl/batch_names.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/macro.h"

#define FLAGS UINT64_C(3)

/* FNV-1a, then mixed; never 0 without its flags. */
static uint64_t hash_of(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	hash = (hash ^ (hash >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ (hash >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	hash = (hash ^ (hash >> 33)) & ~FLAGS;
	return hash ? hash : FLAGS + 1;
}

static uint64_t *place_of(const struct batch_names *names, uint64_t hash)
{
	size_t mask = names->capacity - 1, i = (size_t)(hash >> 2) & mask;

	while (names->entries[i] && (names->entries[i] & ~FLAGS) != hash)
		i = (i + 1) & mask;
	return &names->entries[i];
}

static int grow(struct batch_names *names)
{
	struct batch_names grown = { .capacity = MAX((size_t)1024, 2 * names->capacity) };

	grown.entries = calloc(grown.capacity, sizeof(*grown.entries));
	if (!grown.entries)
		return -ENOMEM;
	grown.count = names->count;
	for (size_t i = 0; i < names->capacity; i++)
		if (names->entries[i])
			*place_of(&grown, names->entries[i] & ~FLAGS) = names->entries[i];
	free(names->entries);
	*names = grown;
	return 0;
}

int batch_names_mark(
        struct batch_names *names, const char *name, unsigned flags, unsigned *ret_before)
{
	uint64_t hash = hash_of(name), *place;

	if (4 * (names->count + 1) > 3 * names->capacity && grow(names) < 0)
		return -ENOMEM;
	place = place_of(names, hash);
	names->count += *place == 0;
	*ret_before = (unsigned)(*place & FLAGS);
	*place |= hash | flags;
	return 0;
}

void batch_names_done(struct batch_names *names)
{
	free(names->entries);
	*names = (struct batch_names){ 0 };
}
