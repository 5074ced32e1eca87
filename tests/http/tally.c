/* Keys and their counts, in one growing table. */
#include "tests/http/tally.h"

#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "tests/http/buffer.h"

#define OUTCOME_NAME(value, name) [value] = (name),
static const char *const outcome_names[OUTCOME_COUNT] = { OUTCOME_MAP(OUTCOME_NAME) };
#undef OUTCOME_NAME

const char *outcome_name(enum outcome outcome)
{
	return outcome_names[outcome];
}

uint64_t tally_hash(uint64_t seed, const char *text)
{
	uint64_t hash = seed ^ UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	hash ^= hash >> 33;
	hash *= UINT64_C(0xff51afd7ed558ccd);
	return hash ^ (hash >> 33);
}

/* Its place, or the free one where it belongs. */
static struct tally_entry *place_of(const struct tally *tally, const char *key)
{
	size_t i = tally_hash(0, key) & (tally->capacity - 1);

	while (tally->entries[i].key && strcmp(tally->entries[i].key, key) != 0)
		i = (i + 1) & (tally->capacity - 1);
	return &tally->entries[i];
}

static void grow(struct tally *tally)
{
	struct tally old = *tally;

	tally->capacity = MAX((size_t)64, 2 * old.capacity);
	tally->entries = need(calloc(tally->capacity, sizeof(*tally->entries)));
	for (size_t i = 0; i < old.capacity; i++)
		if (old.entries[i].key)
			*place_of(tally, old.entries[i].key) = old.entries[i];
	free(old.entries);
}

struct tally_entry *tally_find(struct tally *tally, const char *key)
{
	struct tally_entry *entry;

	if (2 * tally->count >= tally->capacity)
		grow(tally);
	entry = place_of(tally, key);
	if (!entry->key) {
		entry->key = need(strdup(key));
		tally->count++;
	}
	return entry;
}

void tally_done(struct tally *tally)
{
	for (size_t i = 0; i < tally->capacity; i++)
		free(tally->entries[i].key);
	free(tally->entries);
	*tally = (struct tally){ 0 };
}
