/* calls and cancel: which calls there are, and their end. */
#include <stdio.h>
#include <string.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/render.h"
#include "daemon/ctl/table.h"
#include "daemon/ctl/verbs.h"
#include "lib/macro.h"

static enum tone tone_of(const json_t *call)
{
	const char *verdict = field_text(call, "verdict"), *state = field_text(call, "state");

	if (*verdict)
		return verdict_tone(verdict);
	return strcmp(state, "backoff") == 0 ? TONE_BUSY : TONE_PLAIN;
}

/* "api.example: receiving, 1,024 bytes", or how it has ended. */
static void describe(const json_t *call, char *text, size_t size)
{
	const json_t *problem = json_object_get(call, "problem");
	const char *host = field_text(call, "host"), *phase = field_text(call, "phase");
	uint64_t status = field_unsigned(call, "status"),
	         received = field_unsigned(call, "received");

	text[0] = '\0';
	if (*host)
		text_join(text, size, "", "%s", host);
	if (status > 0)
		text_join(text, size, ": ", "HTTP %llu", (unsigned long long)status);
	if (!*field_text(call, "verdict") && *phase)
		text_join(text, size, ": ", "%s", phase);
	if (received > 0)
		text_join(text, size, ", ", "%llu bytes", (unsigned long long)received);
	if (json_is_object(problem))
		text_join(text, size, ", ", "%s", field_text(problem, "detail"));
	else if (json_is_string(problem))
		text_join(text, size, ", ", "%s", json_string_value(problem));
}

static void add_call(struct table *table, const json_t *call)
{
	const char *verdict = field_text(call, "verdict");
	char text[512], span[SPAN_TEXT_SIZE];

	table_cellf(table, TONE_BOLD, "%llu", (unsigned long long)field_unsigned(call, "id"));
	table_cell(table, TONE_PLAIN, field_text(call, "worker"));
	table_cell(table, tone_of(call), *verdict ? verdict : field_text(call, "state"));
	table_cell(table, TONE_PLAIN, span_text(field_number(call, "age_seconds"), span));
	table_cellf(
	        table, TONE_PLAIN, "%llu", (unsigned long long)field_unsigned(call, "attempts"));
	describe(call, text, sizeof(text));
	table_cell(table, TONE_PLAIN, text);
}

enum ctl_status run_calls(struct ctl *ctl)
{
	static const struct column columns[] = {
		{ .heading = "ID", .right = true },
		{ .heading = "WORKER", .least = 8 },
		{ .heading = "STATE" },
		{ .heading = "AGE", .right = true },
		{ .heading = "ATTEMPTS", .brief = "ATT", .right = true },
		{ .heading = "DETAIL", .least = 10 },
	};
	_cleanup_(table_freep) struct table *table = NULL;
	_cleanup_(json_freep) json_t *answer = NULL;
	enum ctl_status status = client_get(ctl, "/v1/calls", "calls", &answer);
	json_t *call;
	size_t i;

	if (status != CTL_OK || !answer)
		return status;
	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return ctl_out_of_memory();
	json_array_foreach (json_object_get(answer, "calls"), i, call)
		add_call(table, call);
	return ctl_print_table(ctl, table, ctl->style.terminal);
}

/* --- cancel --- */

static enum ctl_status cancel_one(struct ctl *ctl, const char *id)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	_cleanup_(freep) char *path = client_path("/v1/calls/", id, "");
	enum ctl_status status;

	if (!path)
		return ctl_out_of_memory();
	status = client_perform(ctl,
	        &(struct qs_http_unix_request){ .method = "DELETE", .path = path }, NULL,
	        &response);
	if (status == CTL_OK)
		status = client_judge(ctl, &response, id);
	if (status != CTL_OK)
		return status;
	if (ctl->options.json)
		client_print_body(&response);
	else
		style_printf(&ctl->style, stdout, TONE_PLAIN, "call %s is %s", id,
		        response.status == 202 ? "being cancelled" : "cancelled");
	if (!ctl->options.json)
		fputc('\n', stdout);
	return CTL_OK;
}

/* One that fails does not keep the others from their turn; the first failure is the exit status. */
enum ctl_status run_cancel(struct ctl *ctl)
{
	enum ctl_status result = CTL_OK;

	for (size_t i = 0; i < ctl->options.argument_count; i++) {
		enum ctl_status status = cancel_one(ctl, ctl->options.arguments[i]);
		if (result == CTL_OK)
			result = status;
		if (status == CTL_NOT_RUNNING)
			return result;
	}
	return result;
}
