/*
 * Templates from their text: a list of parts. What a credential holds is never looked at for
 * places, and a payload is never looked at at all: neither can bring in more than a value.
 */
#include "daemon/template.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/json_pointer.h"
#include "daemon/template_internal.h"

#define OPENING   "${credential:"
#define PARTS_MAX 1000
#define SHOWN_MAX 48
#define NAME      "payload"

/* What parsing goes along with. */
struct parser {
	const struct template_credentials *credentials;
	struct template *template;
	bool in_string, escaped; /* as JSON would see it */
	char *problem;
	size_t problem_size;
};

void template_free(struct template *template)
{
	if (!template)
		return;
	for (size_t i = 0; i < template->count; i++) {
		struct template_part *part = &template->parts[i];
		if (part->kind == TEMPLATE_SECRET)
			explicit_bzero(part->text, part->size);
		free(part->text);
		free(part->shown);
	}
	free(template->parts);
	free(template);
}

void template_freep(struct template **template)
{
	template_free(*template);
}

/* Takes the text, also on failure. */
static int append(struct parser *parser, enum template_part_kind kind, char *text, size_t size)
{
	struct template *template = parser->template;
	if (text && template->count == template->capacity) {
		size_t capacity = MAX(template->capacity * 2, 4);
		struct template_part *parts =
		        realloc(template->parts, capacity * sizeof(struct template_part));
		if (parts) {
			template->parts = parts;
			template->capacity = capacity;
		}
	}
	if (!text || template->count == template->capacity) {
		if (text && kind == TEMPLATE_SECRET)
			explicit_bzero(text, size);
		free(text);
		return -ENOMEM;
	}
	template->parts[template->count++] = (struct template_part){
		.kind = kind,
		.quoted = parser->in_string,
		.size = size,
		.text = text,
	};
	return 0;
}

/* Where strings begin and end; a secret in a string is escaped and ends none. */
static void follow_strings(struct parser *parser, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		bool escaped = TAKE(parser->escaped, false);
		if (parser->in_string && text[i] == '\\')
			parser->escaped = !escaped;
		else if (text[i] == '"' && !escaped)
			parser->in_string = !parser->in_string;
	}
}

static int append_literal(struct parser *parser, const char *text, size_t size)
{
	if (size == 0)
		return 0;
	int r = append(parser, TEMPLATE_LITERAL, strndup(text, size), size);
	follow_strings(parser, text, size);
	return r;
}

/* 1; 0: it is wrong, and that was told. */
static int append_secret(struct parser *parser, const char *text, size_t size)
{
	_cleanup_(freep) char *name = strndup(text, size);
	char *secret = NULL;
	if (!name)
		return -ENOMEM;
	int r = parser->credentials->resolve(parser->credentials->arg, name, &secret);
	if (r <= 0)
		return r;
	size = strlen(secret);
	bool quoted = parser->in_string;
	if (!quoted)
		follow_strings(parser, secret, size);
	r = append(parser, TEMPLATE_SECRET, secret, size);
	if (r < 0)
		return r;
	parser->template->parts[parser->template->count - 1].quoted = quoted;
	return 1;
}

/* --- places --- */

static int refuse(struct parser *parser, const char *text, size_t size, const char *why)
{
	(void)snprintf(parser->problem, parser->problem_size, "'%.*s%s' %s",
	        (int)MIN(size, (size_t)SHOWN_MAX), text, size > SHOWN_MAX ? "…" : "", why);
	return -EINVAL;
}

/* A slip of up to two letters. Names are short, so this may be simple. */
static bool is_nearly_payload(const char *name, size_t size)
{
	size_t front = 0, back = 0, length = strlen(NAME);
	if (size + 2 < length || size > length + 2)
		return false;
	while (front < MIN(size, length) && name[front] == NAME[front])
		front++;
	while (back < MIN(size, length) - front && name[size - 1 - back] == NAME[length - 1 - back])
		back++;
	return size - front - back <= 2 && length - front - back <= 2;
}

static int refuse_name(struct parser *parser, const char *inner, size_t size)
{
	size_t name = 0;
	char why[160];
	while (name < size && inner[name] != '.' && inner[name] != '/')
		name++;
	if (is_nearly_payload(inner, name))
		(void)snprintf(why, sizeof(why), "is unknown: did you mean {{payload%.*s}}?",
		        (int)MIN(size - name, 60UL), inner + name);
	else
		(void)snprintf(why, sizeof(why),
		        "is unknown: did you mean {{payload.%.*s}}? Known are {{payload}} and its "
		        "parts, such as {{payload.prompt}}; {{{{ stands for {{ itself",
		        (int)MIN(size, 40UL), inner);
	return refuse(parser, inner, size, why);
}

/* "payload.a.0" or "payload/a/0" as a JSON pointer; NULL: it is none. */
static bool make_pointer(const char *inner, size_t size, char pointer[static JSON_POINTER_MAX + 1])
{
	size_t at = strlen(NAME);
	pointer[0] = 0;
	if (at < size && inner[at] == '/') {
		if (size - at > JSON_POINTER_MAX)
			return false;
		memcpy(pointer, inner + at, size - at);
		pointer[size - at] = 0;
		return json_pointer_is_valid(pointer);
	}
	while (at < size) {
		const char *token = inner + at + 1, *end = memchr(token, '.', size - at - 1);
		size_t length = end ? (size_t)(end - token) : size - at - 1;
		if (length == 0 || !json_pointer_append(pointer, token, length))
			return false;
		at += length + 1;
	}
	return true;
}

/* `inner` is what stands between the braces. */
static int append_place(struct parser *parser, const char *inner, size_t size)
{
	char pointer[JSON_POINTER_MAX + 1];
	while (size > 0 && (*inner == ' ' || *inner == '\t')) {
		inner++;
		size--;
	}
	while (size > 0 && (inner[size - 1] == ' ' || inner[size - 1] == '\t'))
		size--;
	size_t length = strlen(NAME);
	if (size < length || memcmp(inner, NAME, length) != 0 ||
	        (size > length && inner[length] != '.' && inner[length] != '/'))
		return refuse_name(parser, inner, size);
	if (!make_pointer(inner, size, pointer))
		return refuse(parser, inner, size,
		        "names no part of the payload: write {{payload.a.0}}, or a JSON pointer "
		        "as in {{payload/a/0}}");
	int r = append(parser, TEMPLATE_PAYLOAD, strdup(pointer), strlen(pointer));
	if (r < 0)
		return r;
	struct template_part *part = &parser->template->parts[parser->template->count - 1];
	part->shown = strndup(inner, size);
	return part->shown ? 1 : -ENOMEM;
}

/* --- the text --- */

/* The next that is not plain; NULL: nothing is. */
static const char *find_special(const char *text)
{
	const char *place = strstr(text, "{{"), *secret = strstr(text, OPENING);
	return place && (!secret || place < secret) ? place : secret;
}

/* Takes the special text at `*text` and moves behind it. 1, 0 or an error. */
static int take_place(struct parser *parser, const char **text)
{
	const char *inner = *text + 2, *end = strstr(inner, "}}");
	if (strncmp(inner, "{{", 2) == 0) {
		*text = inner + 2;
		int r = append_literal(parser, inner, 2);
		return r < 0 ? r : 1;
	}
	if (!end)
		return refuse(parser, *text, strlen(*text),
		        "has no end: write {{payload.NAME}}, or {{{{ for {{ itself");
	*text = end + 2;
	return append_place(parser, inner, (size_t)(end - inner));
}

static int take_secret(struct parser *parser, const char **text)
{
	const char *end = strchr(*text, '}');
	size_t size = end ? (size_t)(end - *text) + 1 : strlen(*text);
	int r = append_secret(parser, *text, size);
	*text += size;
	return r;
}

static int parse(struct parser *parser, const char *text)
{
	const char *special;
	int r = 1;
	while (r > 0 && (special = find_special(text)) != NULL) {
		if (parser->template->count > PARTS_MAX)
			return refuse(parser, text, strlen(text), "is one place too many");
		/* $${credential: stands for ${credential: itself. */
		bool escaped = special[0] == '$' && special > text && special[-1] == '$';
		r = append_literal(parser, text, (size_t)(special - text));
		text = special;
		if (r == 0 && escaped) {
			r = append_literal(parser, text + 1, strlen(OPENING) - 1);
			text += strlen(OPENING);
			r = r < 0 ? r : 1;
		} else if (r == 0) {
			r = text[0] == '{' ? take_place(parser, &text) : take_secret(parser, &text);
		}
	}
	if (r > 0)
		r = append_literal(parser, text, strlen(text));
	else
		return r;
	return r < 0 ? r : 1;
}

int template_parse(const char *text, const struct template_credentials *credentials,
        struct template **ret_template, char *problem, size_t problem_size)
{
	_cleanup_(template_freep) struct template *template = calloc(1, sizeof(*template));
	struct parser parser = {
		.credentials = credentials,
		.template = template,
		.problem = problem,
		.problem_size = problem_size,
	};
	problem[0] = 0;
	int r = template ? parse(&parser, text) : -ENOMEM;
	if (r > 0)
		*ret_template = TAKE(template, NULL);
	return r;
}

/* --- what it is --- */

const struct template_part *template_parts(const struct template *template, size_t *ret_count)
{
	*ret_count = template->count;
	return template->parts;
}

bool template_is_secret(const struct template *template)
{
	for (size_t i = 0; i < template->count; i++)
		if (template->parts[i].kind == TEMPLATE_SECRET)
			return true;
	return false;
}

const char *template_payload(const struct template *template)
{
	for (size_t i = 0; i < template->count; i++)
		if (template->parts[i].kind == TEMPLATE_PAYLOAD)
			return template->parts[i].shown;
	return NULL;
}

bool template_equal(const struct template *a, const struct template *b)
{
	if (!a || !b || a->count != b->count)
		return a == b;
	for (size_t i = 0; i < a->count; i++) {
		const struct template_part *left = &a->parts[i], *right = &b->parts[i];
		if (left->kind != right->kind || left->size != right->size ||
		        memcmp(left->text, right->text, left->size) != 0)
			return false;
	}
	return true;
}
