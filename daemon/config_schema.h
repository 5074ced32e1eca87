/*
 * The schema: one row per key of the configuration. Checking, defaults, suggestions and the
 * reference all come from it.
 */
#ifndef QUIESCED_CONFIG_SCHEMA_H
#define QUIESCED_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_type {
	VALUE_SPAN,
	VALUE_SIZE,
	VALUE_NUMBER,
	VALUE_FLAG,
	VALUE_TEXT,
	VALUE_PATH,
	VALUE_WORD,
	VALUE_UMASK,
	VALUE_SIGNAL,
	VALUE_WHEN,
	VALUE_COMMAND,
	VALUE_NAMES,
	VALUE_STATUSES,
	VALUE_ENVIRONMENT,
	VALUE_TREE, /* whatever one likes, kept as JSON */
	VALUE_METHOD,
	VALUE_TEMPLATE,
	VALUE_HEADERS, /* a mapping of their names to templates */
	VALUE_HEADER_NAMES,
	VALUE_HTTP_STATUSES,
	VALUE_POINTER, /* RFC 6901 */
	VALUE_JSON,    /* like VALUE_TREE, and null is a value too */
	VALUE_PERCENT,
	VALUE_MEDIA_TYPE,
	VALUE_REFUSED, /* known, and not allowed; the help says why */
};

/* A key: it is read, checked, defaulted and explained by this row alone. */
struct schema_key {
	const char *path;          /* "shutdown.deadline", "workers.NAME.stop.signal" */
	const char *help;          /* sentences for the reference */
	const char *fallback;      /* the default as one would write it; NULL: zero */
	const char *fallback_text; /* in the reference instead, where it is not a constant */
	const char *const *words;  /* of VALUE_WORD, in the order of the enum, NULL-ended */
	enum value_type type;
	size_t offset, size;       /* of the field in struct config or struct worker_config */
	uint64_t minimum, maximum; /* of spans, sizes and numbers; of texts the longest length */
};

#define IN_CONFIG(member) \
	.offset = offsetof(struct config, member), .size = sizeof(((struct config *)0)->member)
#define IN_WORKER(member)                                 \
	.offset = offsetof(struct worker_config, member), \
	.size = sizeof(((struct worker_config *)0)->member)
#define WORKER    "workers.NAME."
#define KIB       UINT64_C(1024)
#define SPAN_LONG (520 * 7 * 24 * QS_HOUR)

/* All rows, in the order of the reference: those of config_schema.c, then those of
 * config_schema_http.c. */
size_t schema_count(void);
const struct schema_key *schema_row(size_t index);
size_t schema_index(const struct schema_key *row);

extern const struct schema_key schema_http[];
extern const size_t schema_http_count;
extern const char *const when_words[], *const restart_words[];

const struct schema_key *schema_find(const char *path);
bool schema_has_section(const char *path);

/* What to do about an unknown key in a section: "did you mean 'x'?", "known here are a, b". */
char *schema_suggest(const char *section, const char *key, char *buffer, size_t size);

#endif
