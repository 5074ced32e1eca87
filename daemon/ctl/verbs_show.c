/* The verb that shows one worker: every field that the daemon tells, in its order. */
#include <stdio.h>
#include <string.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/render.h"
#include "daemon/ctl/table.h"
#include "daemon/ctl/verbs.h"
#include "lib/macro.h"

static bool has_ending(const char *key, const char *ending)
{
	size_t length = strlen(key), tail = strlen(ending);

	return length >= tail && strcmp(key + length - tail, ending) == 0;
}

/* A value by what its name and type say of it, to the end of its line. */
static void print_value(const struct style *style, const char *key, const json_t *value)
{
	uint64_t at = json_is_string(value) ? wall_usec_parse(json_string_value(value)) : 0;
	const char *text = json_is_string(value) ? json_string_value(value) : NULL;
	enum tone tone = strcmp(key, "state") == 0          ? state_tone(text ? text : "")
	                 : strcmp(key, "last_verdict") == 0 ? verdict_tone(text ? text : "")
	                                                    : TONE_PLAIN;
	char span[SPAN_TEXT_SIZE], clock[64];

	if (at != 0) {
		bool ahead = *ahead_text(at, span) && strcmp(span, "0s") != 0;
		style_printf(style, stdout, TONE_PLAIN, "%s (%s%s%s)",
		        clock_text(at, true, clock, sizeof(clock)), ahead ? "in " : "",
		        ahead ? span : age_text(at, span), ahead ? "" : " ago");
	} else if (json_is_number(value) && has_ending(key, "_seconds")) {
		style_put(style, stdout, tone, span_text(json_number_value(value), span));
	} else if (text) {
		style_put(style, stdout, *text ? tone : TONE_DIM, *text ? text : "-");
	} else if (json_is_null(value)) {
		style_put(style, stdout, TONE_DIM, "-");
	} else if (json_is_boolean(value)) {
		style_put(style, stdout, TONE_PLAIN, json_is_true(value) ? "yes" : "no");
	} else {
		_cleanup_(freep) char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		style_put(style, stdout, TONE_PLAIN, dump ? dump : "?");
	}
	fputc('\n', stdout);
}

static bool is_counts(const json_t *value)
{
	const char *key;
	json_t *member;

	json_object_foreach ((json_t *)value, key, member)
		if (!json_is_number(member))
			return false;
	return json_is_object(value);
}

/* "next_restart_at" in the words of people, behind the name of what it belongs to. */
static void print_label(const struct style *style, const char *owner, const char *key)
{
	const char *unit = "_seconds"; /* stands in the value */
	size_t length = strlen(key) - (has_ending(key, unit) ? strlen(unit) : 0);
	char label[64];

	snprintf(label, sizeof(label), "%s%s%.*s", owner, *owner ? " " : "", (int)length, key);
	for (char *c = label; *c; c++)
		if (*c == '_')
			*c = ' ';
	style_printf(style, stdout, TONE_DIM, "%18s: ", label);
}

static void print_field(const struct style *style, const char *key, const json_t *value)
{
	_cleanup_(freep) char *counts = NULL;
	const char *inner_key;
	json_t *inner;

	if (is_counts(value)) {
		counts = counts_text(value);
		print_label(style, "", key);
		style_put(style, stdout, TONE_PLAIN, counts && *counts ? counts : "-");
		fputc('\n', stdout);
	} else if (json_is_object(value)) {
		json_object_foreach ((json_t *)value, inner_key, inner) {
			print_label(style, key, inner_key);
			print_value(style, inner_key, inner);
		}
	} else {
		print_label(style, "", key);
		print_value(style, key, value);
	}
}

static double seconds_between(const json_t *object, const char *from, const char *to)
{
	uint64_t began = field_wall_usec(object, from), ended = field_wall_usec(object, to);

	return began == 0 || ended < began ? 0 : (double)(ended - began) / 1e6;
}

static enum ctl_status print_endings(const struct ctl *ctl, const json_t *endings)
{
	static const struct column columns[] = {
		{ "ENDED", .right = false },
		{ "TASK", .right = true },
		{ "VERDICT", .right = false },
		{ "CAUSE", .right = false },
		{ "RAN", .right = true },
		{ "DETAIL", .least = 10 },
	};
	_cleanup_(table_freep) struct table *table = NULL;
	json_t *ending;
	size_t i;

	if (json_array_size(endings) == 0)
		return CTL_OK;
	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return ctl_out_of_memory();
	json_array_foreach ((json_t *)endings, i, ending) {
		const char *verdict = field_text(ending, "verdict"),
		           *cause = field_text(ending, "cause");
		char text[64];

		table_cell(table, TONE_PLAIN,
		        clock_text(field_wall_usec(ending, "ended_at"), true, text, sizeof(text)));
		table_cellf(
		        table, TONE_DIM, "%llu", (unsigned long long)field_unsigned(ending, "id"));
		table_cell(table, verdict_tone(verdict), verdict);
		table_cell(table, TONE_PLAIN, strcmp(cause, "none") == 0 ? "" : cause);
		table_cell(table, TONE_PLAIN,
		        span_text(seconds_between(ending, "started_at", "ended_at"), text));
		table_cell(table, TONE_PLAIN, field_text(ending, "detail"));
	}
	fputc('\n', stdout);
	return ctl_print_table(ctl, table, true);
}

static void print_lines(const struct ctl *ctl, const json_t *lines)
{
	json_t *line;
	size_t i;

	if (json_array_size(lines) == 0)
		return;
	fputc('\n', stdout);
	json_array_foreach ((json_t *)lines, i, line) {
		style_put(&ctl->style, stdout, TONE_DIM, style_choose(&ctl->style, "│ ", "| "));
		style_put(&ctl->style, stdout, TONE_PLAIN,
		        json_is_string(line) ? json_string_value(line) : "?");
		fputc('\n', stdout);
	}
}

enum ctl_status run_show(struct ctl *ctl)
{
	const char *name = ctl->options.arguments[0], *key;
	_cleanup_(freep) char *path = client_path("/v1/workers/", name, "");
	_cleanup_(json_freep) json_t *worker = NULL;
	enum ctl_status status = CTL_FAILURE;
	json_t *value;

	if (path)
		status = client_get(ctl, path, name, &worker);
	if (status != CTL_OK || !worker)
		return status;
	json_object_foreach (worker, key, value)
		if (strcmp(key, "endings") != 0 && strcmp(key, "lines") != 0)
			print_field(&ctl->style, key, value);
	status = print_endings(ctl, json_object_get(worker, "endings"));
	print_lines(ctl, json_object_get(worker, "lines"));
	return status;
}
