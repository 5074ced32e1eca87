/*
 * What an `http` worker asks, and what can be called: part of the configuration. Spans are
 * nanoseconds, sizes bytes. Texts with a place for the payload are templates, parsed when the
 * configuration was read.
 */
#ifndef QUIESCED_CONFIG_HTTP_H
#define QUIESCED_CONFIG_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quiesce/gate.h>
#include <quiesce/http.h>

struct template;

struct http_header_config {
	char *name; /* NULL: the end */
	struct template *value;
};

struct http_config {
	struct template *url;               /* NULL: the worker is not of kind `http` */
	char *method;                       /* never NULL once the configuration is read */
	struct http_header_config *headers; /* NULL-name-ended, never NULL */
	struct template *body;              /* NULL: none; `when: call`: the payload itself */
	struct qs_http_limits limits;
	bool compressed;            /* the answer may come so */
	struct qs_retry_plan retry; /* its statuses point to retry_statuses */
	int *retry_statuses;        /* 0-ended; NULL: the library's */
	char *ca_file;              /* NULL: the system's certificates */
	int *expect_statuses;       /* 0-ended; NULL: 200 to 299 */
	char *expect_pointer;       /* a JSON pointer that must be there; NULL: no check */
	char *expect_equals;        /* ... with this value, JSON; NULL: with any */
	char *save;                 /* the file that takes the body of a good answer; NULL: none */
};

/* `when: call`, whatever it runs. */
struct call_config {
	unsigned concurrency; /* 0: no limit */
	unsigned backlog;     /* calls that may wait for their turn */
	unsigned rate_count;  /* 0: no limit */
	uint64_t rate_within;
	size_t cache_size; /* 0: no cache */
	uint64_t cache_ttl;
	char **cache_headers; /* NULL-ended, never NULL */
	uint64_t keep;        /* how long the outcome of a detached call can be asked for */
	size_t keep_size;     /* bytes of answers that are kept, all in all */
	char *type;           /* of the answer of an `exec` worker: a media type */
	size_t answer_max;    /* bytes an `exec` worker may answer */
	uint64_t timeout;     /* of one run of the program of an `exec` worker; QS_FOREVER: none */
};

#endif
