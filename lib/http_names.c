/* A table of names, bounded: what is neither known nor being looked up any more may go. */
#include "lib/http_names.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "lib/macro.h"

#define NAMES_MAX 1024

void qs_http_names_init(struct qs_http_names *names)
{
	for (unsigned i = 0; i < QS_HTTP_NAME_BUCKETS; i++)
		list_init(&names->buckets[i]);
	list_init(&names->all);
	names->count = 0;
}

static void forget(struct qs_http_names *names, struct qs_http_name *name)
{
	list_remove(&name->in_bucket);
	list_remove(&name->in_all);
	names->count--;
	qs_free(name);
}

void qs_http_names_done(struct qs_http_names *names)
{
	while (names->count > 0)
		forget(names, list_entry(names->all.next, struct qs_http_name, in_all));
}

static struct list *bucket_of(struct qs_http_names *names, const char *text)
{
	uint32_t hash = 2166136261U;

	for (; *text; text++)
		hash = (hash ^ (uint32_t)tolower((unsigned char)*text)) * 16777619U;
	return &names->buckets[(hash ^ hash >> 16) % QS_HTTP_NAME_BUCKETS];
}

/* The oldest, if they are not needed; not all, or this would take long each time. */
static void make_room(struct qs_http_names *names, uint64_t now)
{
	unsigned looked_at = 0;

	list_for_each (node, &names->all) {
		struct qs_http_name *name = list_entry(node, struct qs_http_name, in_all);

		if (names->count < NAMES_MAX || ++looked_at > 8)
			return;
		if (!name->looked_up && (name->known_until <= now || names->count >= 2 * NAMES_MAX))
			forget(names, name);
	}
}

int qs_http_names_get(
        struct qs_http_names *names, const char *text, uint64_t now, struct qs_http_name **ret_name)
{
	struct list *bucket = bucket_of(names, text);
	struct qs_http_name *name;

	list_for_each (node, bucket) {
		name = list_entry(node, struct qs_http_name, in_bucket);
		if (strcasecmp(name->text, text) != 0)
			continue;
		list_remove(&name->in_all);
		list_append(&names->all, &name->in_all);
		*ret_name = name;
		return 0;
	}
	make_room(names, now);
	name = qs_malloc(sizeof(*name) + strlen(text) + 1);
	if (!name)
		return -ENOMEM;
	*name = (struct qs_http_name){ .known_until = 0 };
	(void)strcpy(name->text, text);
	list_init(&name->waiting);
	list_append(bucket, &name->in_bucket);
	list_append(&names->all, &name->in_all);
	names->count++;
	*ret_name = name;
	return 0;
}

bool qs_http_name_is_address(const char *host)
{
	return host[0] == '[' || host[strspn(host, "0123456789.:")] == '\0';
}
