/*
 * Texts with places for a payload and for credentials: "{{payload}}" for all of it,
 * "{{payload.prompt}}", "{{payload.list.0.name}}" or "{{payload/list/0/name}}" (a JSON pointer) for
 * a part, "${credential:NAME}" for a secret, "{{{{" for "{{" itself. Parsed once, when the
 * configuration is read; rendered for each request, every value in the dress of its place.
 */
#ifndef QUIESCED_TEMPLATE_H
#define QUIESCED_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "lib/macro.h"

#define TEMPLATE_VALUES_MAX (16 * 1024 * 1024) /* bytes that values may add to a text */

struct template;

enum template_part_kind {
	TEMPLATE_LITERAL,
	TEMPLATE_SECRET,  /* what a credential stood for */
	TEMPLATE_PAYLOAD, /* a JSON pointer into it */
};

struct template_part {
	enum template_part_kind kind;
	bool quoted; /* it stands in a JSON string, if this is JSON */
	size_t size;
	char *text;  /* what it is, with a NUL behind it; of a payload the pointer */
	char *shown; /* of a payload, for people: "payload.prompt"; else NULL */
};

/* How a value is written where it stands. */
enum template_form {
	TEMPLATE_JSON,   /* as JSON; in a string its characters, escaped */
	TEMPLATE_FORM,   /* percent-encoded, all but RFC 3986's unreserved characters */
	TEMPLATE_URL,    /* the same, and objects, lists and null are refused */
	TEMPLATE_HEADER, /* as it is; control characters are refused, and what TEMPLATE_URL refuses
	                  */
	TEMPLATE_TEXT,   /* as it is */
};

/* Resolves "${credential:NAME}", or a broken one: 1 with a malloc'ed text; 0: it has said what is
 * wrong; -ENOMEM. */
struct template_credentials {
	int (*resolve)(void *arg, const char *text, char **ret_text);
	void *arg;
};

/* 1; 0: the credentials are wrong; -EINVAL: `problem` says what is wrong with the places, and what
 * to write; -ENOMEM. */
QS_MUST_CHECK int template_parse(const char *text, const struct template_credentials *credentials,
        struct template **ret_template, char *problem, size_t problem_size);
void template_free(struct template *template);
void template_freep(struct template **template);

const struct template_part *template_parts(const struct template *template, size_t *ret_count);
bool template_is_secret(const struct template *template);
const char *template_payload(const struct template *template); /* the first "payload.x"; NULL */
bool template_equal(const struct template *a, const struct template *b); /* NULL is one too */

/* Whether all that can come out is JSON: 1 or 0. -ENOMEM. */
QS_MUST_CHECK int template_makes_json(const struct template *template);

/*
 * A malloc'ed text with a NUL behind it; `payload` NULL: there is none. -EINVAL: it lacks what a
 * place names, or that does not fit there; -EMSGSIZE: values would take more than
 * TEMPLATE_VALUES_MAX; `problem` says it, without what the values are. -ENOMEM.
 */
struct template_text {
	char *data;
	size_t size;
};
QS_MUST_CHECK int template_render(const struct template *template, enum template_form form,
        const json_t *payload, struct template_text *ret_text, char *problem, size_t problem_size);

/* A value as compact JSON. -EMSGSIZE: larger than TEMPLATE_VALUES_MAX; -EINVAL: deeper than any
 * payload may be; -ENOMEM. */
QS_MUST_CHECK int template_render_json(const json_t *value, struct template_text *ret_text);

#endif
