/* What stands behind the '?' of a request: names and values, decoded. */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUERY_MAX 32

struct query {
	struct {
		const char *name, *value; /* "" without a value */
	} items[QUERY_MAX];
	size_t count;
};

/* Decodes the text in place; the query points into it. */
void query_parse(struct query *query, char *text);

/* The value of the first of that name, else the fallback. */
const char *query_text(const struct query *query, const char *name, const char *fallback);
bool query_has(const struct query *query, const char *name);

/* A number, and one behind which k, M or G may stand (1024s). What is none counts as the fallback.
 */
uint64_t query_number(const struct query *query, const char *name, uint64_t fallback);

/* "20" (ms), "20ms", "3s", "500us": ns. */
uint64_t query_span(const struct query *query, const char *name, uint64_t fallback);

#endif
