#include "daemon/storm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/clock.h>

#include "lib/utf8.h"

struct entry {
	struct storm_sum sum; /* its span is unused */
	uint64_t began_at;    /* of the window; what comes in it is counted */
	uint64_t last_at;
};

struct storms {
	void (*tell)(void *arg, const struct storm_sum *sum);
	void *arg;
	size_t count;
	struct entry entries[STORMS_MAX];
};

int storms_new(
        void (*tell)(void *arg, const struct storm_sum *sum), void *arg, struct storms **ret_storms)
{
	struct storms *storms = calloc(1, sizeof(*storms));
	if (!storms)
		return -ENOMEM;
	storms->tell = tell;
	storms->arg = arg;
	*ret_storms = storms;
	return 0;
}

void storms_free(struct storms *storms)
{
	free(storms);
}

static void copy(char *to, size_t size, const char *text)
{
	size_t length = qs_utf8_cut(text, strlen(text), size - 1);
	memcpy(to, text, length);
	to[length] = 0;
}

static bool is_same(const struct entry *entry, const struct storm_key *key)
{
	const struct storm_sum *sum = &entry->sum;
	return sum->status == key->status && sum->error == key->error &&
	       strncmp(sum->worker, key->worker, sizeof(sum->worker) - 1) == 0 &&
	       strncmp(sum->host, key->host, sizeof(sum->host) - 1) == 0;
}

static void sum_up(struct storms *storms, struct entry *entry, uint64_t now)
{
	uint64_t end = qs_time_add(entry->began_at, STORM_WINDOW);
	if (entry->sum.count > 0) {
		entry->sum.span = qs_time_sub(MIN(now, end), entry->began_at);
		storms->tell(storms->arg, &entry->sum);
	}
	entry->sum.count = 0;
	entry->began_at = now;
}

static struct entry *find(struct storms *storms, const struct storm_key *key)
{
	for (size_t i = 0; i < storms->count; i++)
		if (is_same(&storms->entries[i], key))
			return &storms->entries[i];
	return NULL;
}

/* A place for a new one, maybe that of the one that was quiet for longest. */
static struct entry *place(struct storms *storms, uint64_t now)
{
	if (storms->count < STORMS_MAX)
		return &storms->entries[storms->count++];
	struct entry *quietest = &storms->entries[0];
	for (size_t i = 1; i < STORMS_MAX; i++)
		if (storms->entries[i].last_at < quietest->last_at)
			quietest = &storms->entries[i];
	sum_up(storms, quietest, now);
	return quietest;
}

bool storms_count(
        struct storms *storms, const struct storm_key *key, const char *text, uint64_t now)
{
	struct entry *entry = find(storms, key);
	if (entry && qs_time_add(entry->began_at, STORM_WINDOW) <= now) {
		bool lasting = entry->sum.count > 0;
		sum_up(storms, entry, now);
		if (!lasting) {
			entry->last_at = now;
			copy(entry->sum.text, sizeof(entry->sum.text), text);
			return true;
		}
	}
	if (entry) {
		entry->sum.count++;
		entry->last_at = now;
		return false;
	}
	entry = place(storms, now);
	entry->sum = (struct storm_sum){ .status = key->status, .error = key->error };
	copy(entry->sum.worker, sizeof(entry->sum.worker), key->worker);
	copy(entry->sum.host, sizeof(entry->sum.host), key->host);
	copy(entry->sum.text, sizeof(entry->sum.text), text);
	entry->began_at = entry->last_at = now;
	return true;
}

uint64_t storms_due(const struct storms *storms)
{
	uint64_t due = QS_FOREVER;
	for (size_t i = 0; i < storms->count; i++) {
		const struct entry *entry = &storms->entries[i];
		if (entry->sum.count > 0)
			due = MIN(due, qs_time_add(entry->began_at, STORM_WINDOW));
	}
	return due;
}

void storms_tell(struct storms *storms, uint64_t now)
{
	for (size_t i = 0; i < storms->count; i++) {
		struct entry *entry = &storms->entries[i];
		if (entry->sum.count > 0 && qs_time_add(entry->began_at, STORM_WINDOW) <= now)
			sum_up(storms, entry, now);
	}
}

void storms_flush(struct storms *storms, uint64_t now)
{
	for (size_t i = 0; i < storms->count; i++)
		sum_up(storms, &storms->entries[i], now);
}
