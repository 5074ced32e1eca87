/*
 * A template in the first line, a payload behind it: whatever they are, a value stays in its place.
 * What can become JSON is JSON, a URL keeps its literal parts and has no other character than those
 * that are allowed, and a header stays one line.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/payload.h"
#include "daemon/template.h"

#define TEMPLATE_SIZE 1500
#define PROBLEM_SIZE  300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Holds all that a credential must not do. */
static int resolve(void *arg, const char *text, char **ret_text)
{
	(void)arg;
	if (text[strlen(text) - 1] != '}')
		return 0;
	*ret_text = strdup("\"\\{{payload}}${credential:x}\n");
	return *ret_text ? 1 : -ENOMEM;
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static size_t count_controls(const char *text, size_t size)
{
	size_t count = 0;
	for (size_t i = 0; i < size; i++)
		count += is_control(text[i]);
	return count;
}

/* Those of the parts that are no payload. */
static size_t count_own_controls(const struct template *template)
{
	size_t parts, count = 0;
	const struct template_part *part = template_parts(template, &parts);
	for (size_t i = 0; i < parts; i++)
		if (part[i].kind != TEMPLATE_PAYLOAD)
			count += count_controls(part[i].text, part[i].size);
	return count;
}

/* The literal parts come in their order, and between them stands nothing that is special. */
static void check_url(const struct template *template, const char *text)
{
	size_t parts;
	const struct template_part *part = template_parts(template, &parts);
	for (size_t i = 0; i < parts; i++) {
		if (part[i].kind == TEMPLATE_PAYLOAD)
			continue;
		const char *found = strstr(text, part[i].text);
		require(found != NULL);
		for (const char *c = text; c < found; c++)
			require(*c > ' ' && *c < 0x7f &&
			        !strchr("\"#&'()*+,/:;<=>?@[\\]^`{|}!$", *c));
		text = found + part[i].size;
	}
}

static void check_result(
        const struct template *template, enum template_form form, const struct template_text *text)
{
	require(text->data[text->size] == 0);
	if (form == TEMPLATE_JSON && template_makes_json(template) == 1) {
		json_t *json = json_loadb(text->data, text->size, JSON_DECODE_ANY, NULL);
		require(json != NULL);
		json_decref(json);
	}
	if (form == TEMPLATE_HEADER)
		require(count_controls(text->data, text->size) == count_own_controls(template));
	if (form == TEMPLATE_URL)
		check_url(template, text->data);
}

static void render(const struct template *template, enum template_form form, const json_t *payload)
{
	char problem[PROBLEM_SIZE];
	struct template_text text = { 0 };
	int r = template_render(template, form, payload, &text, problem, sizeof(problem));
	require(r == 0 || r == -EINVAL || r == -EMSGSIZE);
	require((r == 0) == (problem[0] == 0) && (r == 0) == (text.data != NULL));
	if (r == 0)
		check_result(template, form, &text);
	free(text.data);
}

static void try_template(const char *text, const json_t *payload)
{
	static const struct template_credentials credentials = { resolve, NULL };
	static const enum template_form forms[] = { TEMPLATE_JSON, TEMPLATE_FORM, TEMPLATE_URL,
		TEMPLATE_HEADER, TEMPLATE_TEXT };
	char problem[PROBLEM_SIZE];
	struct template *template = NULL, *again = NULL;
	int r = template_parse(text, &credentials, &template, problem, sizeof(problem));
	require(r == 0 || r == 1 || r == -EINVAL);
	require((r == -EINVAL) == (problem[0] != 0) && (r == 1) == (template != NULL));
	if (r < 1)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		render(template, forms[i], payload);
	require(template_parse(text, &credentials, &again, problem, sizeof(problem)) == 1);
	require(template_equal(template, again));
	template_free(again);
	template_free(template);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEMPLATE_SIZE], problem[PROBLEM_SIZE];
	const char *line = memchr(data, '\n', size);
	size_t length = line ? (size_t)(line - (const char *)data) : size;
	json_t *payload = NULL;
	if (length >= sizeof(text))
		return 0;
	memcpy(text, data, length);
	text[length] = 0;
	if (line && payload_parse(line, size - length, &payload, problem, sizeof(problem)) < 0)
		require(problem[0] != 0);
	try_template(text, payload);
	json_decref(payload);
	return 0;
}
