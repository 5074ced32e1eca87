/*
 * Names of hosts, and who looks them up: a thread each, which nothing can end while the resolver
 * hangs. So a name is looked up by one call at a time, and the others wait for that one: a name
 * that hangs takes one place among those that may be looked up at once, and no more.
 */
#ifndef QS_HTTP_NAMES_H
#define QS_HTTP_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include <quiesce/export.h>

#include "lib/list.h"

#define QS_HTTP_NAME_BUCKETS 256

struct qs_http_names {
	struct list buckets[QS_HTTP_NAME_BUCKETS];
	struct list all; /* who was asked for longest ago first */
	unsigned count;
};

struct qs_http_name {
	struct list in_bucket, in_all;
	struct list waiting; /* for the one that looks it up; whatever they are */
	bool looked_up;      /* somebody does */
	uint64_t known_until;
	char text[];
};

void qs_http_names_init(struct qs_http_names *names);
void qs_http_names_done(struct qs_http_names *names);

/* The one of that text, whatever its case; -ENOMEM. Those nobody needs may go. */
QS_MUST_CHECK int qs_http_names_get(struct qs_http_names *names, const char *text, uint64_t now,
        struct qs_http_name **ret_name);

/* An address, which is not looked up. */
bool qs_http_name_is_address(const char *host);

#endif
