/*
 * Templates to their texts. What comes out is bounded: many places for one large payload are an
 * error, not a heap without end. Problems name the place and never show the value.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/json_pointer.h"
#include "daemon/payload.h"
#include "daemon/template_internal.h"

#define NUMBER_SIZE  40
#define PROBLEM_SIZE 256

/* A text that grows; its first error sticks. */
struct output {
	char *data;
	size_t size, capacity, limit;
	unsigned depth; /* of JSON */
	int error;
};

struct rendering {
	struct output output;
	enum template_form form;
	const json_t *payload;
	char *problem;
	size_t problem_size;
};

static void output_done(struct output *output)
{
	if (output->data)
		explicit_bzero(output->data, output->size);
	free(output->data);
}

static void put(struct output *output, const char *data, size_t size)
{
	if (output->error == 0 && size > output->limit - output->size)
		output->error = -EMSGSIZE;
	if (output->error < 0)
		return;
	if (size >= output->capacity - output->size) {
		size_t capacity = MIN((output->size + size) * 2, output->limit) + 1;
		char *larger = malloc(capacity);
		if (!larger) {
			output->error = -ENOMEM;
			return;
		}
		if (output->size > 0)
			memcpy(larger, output->data, output->size);
		output_done(output);
		output->data = larger;
		output->capacity = capacity;
	}
	memcpy(output->data + output->size, data, size);
	output->size += size;
	output->data[output->size] = 0;
}

static void put_string(struct output *output, const char *text)
{
	put(output, text, strlen(text));
}

/* --- values as JSON --- */

static void put_escape(struct output *output, char byte)
{
	static const char names[] = "btn.fr"; /* from 8 on */
	unsigned char code = (unsigned char)byte;
	char text[8];
	if (byte == '"' || byte == '\\')
		(void)snprintf(text, sizeof(text), "\\%c", byte);
	else if (code >= 8 && code <= 13 && code != 11)
		(void)snprintf(text, sizeof(text), "\\%c", names[code - 8]);
	else
		(void)snprintf(text, sizeof(text), "\\u%04x", code);
	put_string(output, text);
}

static void put_characters(struct output *output, const char *text, size_t size)
{
	size_t plain = 0;
	for (size_t i = 0; i < size; i++) {
		unsigned char code = (unsigned char)text[i];
		if (code >= ' ' && code != '"' && code != '\\' && code != 0x7f)
			continue;
		put(output, text + plain, i - plain);
		put_escape(output, text[i]);
		plain = i + 1;
	}
	put(output, text + plain, size - plain);
}

/* The shortest that is read back as the same. */
static char *format_number(const json_t *number, char buffer[static NUMBER_SIZE])
{
	if (json_is_integer(number)) {
		(void)snprintf(
		        buffer, NUMBER_SIZE, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
		return buffer;
	}
	double value = json_real_value(number);
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(buffer, NUMBER_SIZE, "%.*g", digits, value);
		if (strtod(buffer, NULL) == value)
			break;
	}
	if (!strpbrk(buffer, ".e"))
		strcat(buffer, ".0");
	return buffer;
}

static void put_quoted(struct output *output, const char *text, size_t size)
{
	put(output, "\"", 1);
	put_characters(output, text, size);
	put(output, "\"", 1);
}

static void put_json(struct output *output, const json_t *value);

static void put_object(struct output *output, const json_t *object)
{
	const char *between = "{";
	/* Nothing is changed; the interface of iterators does not know. */
	json_t *writable = (json_t *)(uintptr_t)object;
	for (void *at = json_object_iter(writable); at && output->error == 0;
	        at = json_object_iter_next(writable, at)) {
		put_string(output, between);
		put_quoted(output, json_object_iter_key(at), json_object_iter_key_len(at));
		put(output, ":", 1);
		put_json(output, json_object_iter_value(at));
		between = ",";
	}
	put_string(output, json_object_size(object) > 0 ? "}" : "{}");
}

static void put_list(struct output *output, const json_t *list)
{
	put(output, "[", 1);
	for (size_t i = 0; i < json_array_size(list) && output->error == 0; i++) {
		if (i > 0)
			put(output, ",", 1);
		put_json(output, json_array_get(list, i));
	}
	put(output, "]", 1);
}

static const char *word_of(const json_t *value)
{
	if (json_is_null(value))
		return "null";
	return json_is_true(value) ? "true" : "false";
}

static void put_json(struct output *output, const json_t *value)
{
	char number[NUMBER_SIZE];
	if (output->depth++ > PAYLOAD_DEPTH_MAX)
		output->error = output->error < 0 ? output->error : -EINVAL;
	else if (json_is_object(value))
		put_object(output, value);
	else if (json_is_array(value))
		put_list(output, value);
	else if (json_is_string(value))
		put_quoted(output, json_string_value(value), json_string_length(value));
	else if (json_is_number(value))
		put_string(output, format_number(value, number));
	else
		put_string(output, word_of(value));
	output->depth--;
}

/* --- values in other dresses --- */

static void put_percent(struct output *output, const char *text, size_t size)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < size && output->error == 0; i++) {
		unsigned char code = (unsigned char)text[i];
		bool letter = (code | 0x20) >= 'a' && (code | 0x20) <= 'z';
		if (letter || (code >= '0' && code <= '9') || (code && strchr("-._~", code)))
			put(output, text + i, 1);
		else
			put(output, (char[]){ '%', digits[code >> 4], digits[code & 15] }, 3);
	}
}

/* The characters of a string, or JSON: what stands in a text of another kind. */
static void put_dressed(
        struct output *output, enum template_form form, bool quoted, const char *text, size_t size)
{
	if (form == TEMPLATE_JSON && quoted)
		put_characters(output, text, size);
	else if (form == TEMPLATE_FORM || form == TEMPLATE_URL)
		put_percent(output, text, size);
	else
		put(output, text, size);
}

static int refuse(struct rendering *rendering, const char *format, ...) _printf_(2, 3);
static int refuse(struct rendering *rendering, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	(void)vsnprintf(rendering->problem, rendering->problem_size, format, ap);
	va_end(ap);
	return -EINVAL;
}

static bool has_controls(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return true;
	return false;
}

/* A place where one plain value can stand. */
static int check_plain(struct rendering *rendering, const char *shown, const json_t *value)
{
	bool header = rendering->form == TEMPLATE_HEADER;
	const char *where = header ? "a header" : "a URL";
	if (json_is_object(value) || json_is_array(value) || json_is_null(value))
		return refuse(rendering, "%s is %s, and %s takes a text, a number or a flag", shown,
		        json_is_null(value)    ? "null"
		        : json_is_array(value) ? "a list"
		                               : "an object",
		        where);
	if (!json_is_string(value))
		return 0;
	const char *text = json_string_value(value);
	size_t size = json_string_length(value);
	if (header && has_controls(text, size))
		return refuse(
		        rendering, "%s has control characters, which no header may have", shown);
	if (!header && memchr(text, 0, size))
		return refuse(rendering, "%s has a NUL byte, which no URL may have", shown);
	return 0;
}

static int put_value(
        struct rendering *rendering, const struct template_part *part, const json_t *value)
{
	struct output *output = &rendering->output;
	enum template_form form = rendering->form;
	if (form == TEMPLATE_JSON && !part->quoted) {
		put_json(output, value);
		return 0;
	}
	if (form == TEMPLATE_URL || form == TEMPLATE_HEADER) {
		int r = check_plain(rendering, part->shown, value);
		if (r < 0)
			return r;
	}
	if (json_is_string(value)) {
		put_dressed(output, form, part->quoted, json_string_value(value),
		        json_string_length(value));
		return 0;
	}
	struct output json __attribute__((cleanup(output_done))) = { .limit = output->limit };
	put_json(&json, value);
	if (json.error < 0)
		output->error = json.error;
	else
		put_dressed(output, form, part->quoted, json.data, json.size);
	return 0;
}

static int put_part(struct rendering *rendering, const struct template_part *part)
{
	struct output *output = &rendering->output;
	if (part->kind == TEMPLATE_LITERAL) {
		put(output, part->text, part->size);
		return 0;
	}
	if (part->kind == TEMPLATE_SECRET) {
		/* One that is a whole URL, or a part of one, is written as it must be. */
		enum template_form form =
		        rendering->form == TEMPLATE_URL ? TEMPLATE_TEXT : rendering->form;
		put_dressed(output, form, part->quoted, part->text, part->size);
		return 0;
	}
	if (!rendering->payload)
		return refuse(rendering, "there is no payload, and %s is needed", part->shown);
	const json_t *value = json_pointer_find(rendering->payload, part->text);
	if (!value)
		return refuse(rendering, "the payload has no %s", part->shown);
	return put_value(rendering, part, value);
}

static int render(const struct template *template, struct rendering *rendering)
{
	struct output *output = &rendering->output;
	output->limit = TEMPLATE_VALUES_MAX;
	for (size_t i = 0; i < template->count; i++)
		if (template->parts[i].kind != TEMPLATE_PAYLOAD)
			output->limit += template->parts[i].size * 6;
	put(output, "", 0);
	int r = output->error;
	for (size_t i = 0; r == 0 && i < template->count; i++) {
		r = put_part(rendering, &template->parts[i]);
		if (r == 0)
			r = output->error;
	}
	if (r == -EMSGSIZE)
		(void)refuse(rendering, "would be larger than %d MiB",
		        TEMPLATE_VALUES_MAX / (1024 * 1024));
	if (r == -EINVAL && output->error == r)
		(void)refuse(rendering, "has more than %d levels", PAYLOAD_DEPTH_MAX);
	return r;
}

int template_render_json(const json_t *value, struct template_text *ret_text)
{
	struct output output = { .limit = TEMPLATE_VALUES_MAX };
	put_json(&output, value);
	if (output.error == 0)
		*ret_text = (struct template_text){ output.data, output.size };
	else
		output_done(&output);
	return output.error;
}

int template_render(const struct template *template, enum template_form form, const json_t *payload,
        struct template_text *ret_text, char *problem, size_t problem_size)
{
	struct rendering rendering = {
		.form = form,
		.payload = payload,
		.problem = problem,
		.problem_size = problem_size,
	};
	problem[0] = 0;
	int r = render(template, &rendering);
	if (r == 0)
		*ret_text = (struct template_text){ TAKE(rendering.output.data, NULL),
			rendering.output.size };
	else
		output_done(&rendering.output);
	return r;
}

int template_makes_json(const struct template *template)
{
	struct output output __attribute__((cleanup(output_done))) = { .limit = SIZE_MAX };
	for (size_t i = 0; i < template->count; i++) {
		const struct template_part *part = &template->parts[i];
		if (part->kind == TEMPLATE_PAYLOAD)
			put_string(&output, part->quoted ? "x" : "null");
		else
			put_dressed(&output,
			        part->kind == TEMPLATE_SECRET ? TEMPLATE_JSON : TEMPLATE_TEXT,
			        part->quoted, part->text, part->size);
	}
	if (output.error < 0)
		return output.error;
	char problem[PROBLEM_SIZE];
	json_t *json = NULL;
	int r = payload_parse(
	        output.data ? output.data : "", output.size, &json, problem, sizeof(problem));
	json_decref(json);
	return r == -ENOMEM ? r : json != NULL;
}
