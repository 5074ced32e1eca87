/* The verbs that show the daemon and all of its workers: status, list. */
#include <stdio.h>
#include <string.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/render.h"
#include "daemon/ctl/table.h"
#include "daemon/ctl/verbs.h"
#include "lib/macro.h"

#define STRAGGLERS_SHOWN 10
#define DETAIL_SIZE      1024

/* --- status: the head --- */

static enum tone daemon_tone(const json_t *daemon)
{
	enum tone tone = phase_tone(field_text(daemon, "phase"));

	return tone == TONE_GOOD && !json_is_true(json_object_get(daemon, "ready")) ? TONE_BUSY
	                                                                            : tone;
}

static void print_head(const struct style *style, const json_t *daemon)
{
	const char *phase = field_text(daemon, "phase");
	bool ready = json_is_true(json_object_get(daemon, "ready"));
	char uptime[SPAN_TEXT_SIZE];

	style_put(style, stdout, daemon_tone(daemon), style_choose(style, "●", "*"));
	fputc(' ', stdout);
	style_printf(style, stdout, TONE_BOLD, "quiesced %s", field_text(daemon, "version"));
	fputs("  ", stdout);
	style_put(style, stdout, phase_tone(phase), *phase ? phase : "?");
	fputs("  ", stdout);
	style_put(style, stdout, ready ? TONE_GOOD : TONE_BUSY, ready ? "ready" : "not ready");
	style_printf(style, stdout, TONE_PLAIN, "  up %s",
	        span_text(field_number(daemon, "uptime_seconds"), uptime));
	style_printf(style, stdout, TONE_DIM, "  pid %llu",
	        (unsigned long long)field_unsigned(daemon, "pid"));
	fputc('\n', stdout);
}

/* "7 workers: 5 running, 1 backoff, 1 failed", on as many lines as it takes. */
static void print_census(const struct style *style, const json_t *workers)
{
	static const char *const order[] = { "running", "starting", "waiting", "stopping",
		"backoff", "stopped", "failed" };
	size_t total = json_array_size(workers), i;
	int column = printf("  %zu worker%s", total, total == 1 ? "" : "s");
	const char *separator = ": ";
	json_t *worker;

	for (size_t state = 0; state < ARRAY_SIZE(order); state++) {
		size_t count = 0;
		char text[40];

		json_array_foreach ((json_t *)workers, i, worker)
			count += strcmp(field_text(worker, "state"), order[state]) == 0;
		if (count == 0)
			continue;
		snprintf(text, sizeof(text), "%zu %s", count, order[state]);
		fputs(separator, stdout);
		column += (int)(strlen(separator) + strlen(text));
		if ((unsigned)column >= style->width)
			column = printf("\n    ") - 1 + (int)strlen(text);
		style_put(style, stdout, state_tone(order[state]), text);
		separator = ", ";
	}
	fputc('\n', stdout);
}

/* --- status: a shutdown under way --- */

static void describe_shutdown(const json_t *shutdown, const char *phase, char *text, size_t size)
{
	const char *why = field_text(json_object_get(shutdown, "reason"), "detail");
	uint64_t cancel_at = field_wall_usec(shutdown, "cancel_at");
	char span[SPAN_TEXT_SIZE];

	text[0] = '\0';
	if (*age_text(field_wall_usec(shutdown, "requested_at"), span))
		text_join(text, size, ", ", "since %s", span);
	if (*why)
		text_join(text, size, " ", "(%s)", why);
	if (strcmp(phase, "draining") == 0 || strcmp(phase, "stopping") == 0)
		if (*ahead_text(cancel_at, span))
			text_join(text, size, ", ", "cancel in %s", span);
	if (json_is_number(json_object_get(shutdown, "seconds_left")))
		text_join(text, size, ", ", "gone in %s at the latest",
		        span_text(field_number(shutdown, "seconds_left"), span));
}

static void print_straggler(const struct style *style, const json_t *straggler)
{
	const char *waiting_on = field_text(straggler, "waiting_on");
	const char *name = field_text(straggler, "worker"), *rung = field_text(straggler, "rung");
	char text[DETAIL_SIZE] = "not asked yet", span[SPAN_TEXT_SIZE];
	unsigned taken = 6 + style_measure(style, name);

	if (json_is_number(json_object_get(straggler, "asked_seconds")))
		snprintf(text, sizeof(text), "asked %s ago",
		        span_text(field_number(straggler, "asked_seconds"), span));
	if (*rung && strcmp(rung, "none") != 0)
		text_join(text, sizeof(text), ", ", "rung %s", rung);
	if (*waiting_on)
		text_join(text, sizeof(text), ", ", "waits for %s", waiting_on);
	fputs("    ", stdout);
	style_put(style, stdout, TONE_BOLD, name);
	fputs("  ", stdout);
	style_put_cut(style, stdout, TONE_PLAIN, text, style->width - MIN(style->width, taken));
	fputc('\n', stdout);
}

static void print_stragglers(const struct style *style, const json_t *stragglers)
{
	size_t limit = style->terminal ? STRAGGLERS_SHOWN : SIZE_MAX, i;
	size_t count = json_array_size(stragglers);

	for (i = 0; i < MIN(count, limit); i++)
		print_straggler(style, json_array_get(stragglers, i));
	if (count > limit) {
		style_printf(style, stdout, TONE_DIM, "    and %zu more", count - limit);
		fputc('\n', stdout);
	}
}

static void print_shutdown(const struct style *style, const json_t *status)
{
	const json_t *shutdown = json_object_get(status, "shutdown");
	const char *phase = field_text(json_object_get(status, "daemon"), "phase");
	char text[DETAIL_SIZE];
	unsigned taken = 3 + style_measure(style, phase);

	if (!json_is_object(shutdown))
		return;
	describe_shutdown(shutdown, phase, text, sizeof(text));
	fputs("  ", stdout);
	style_put(style, stdout, phase_tone(phase), phase);
	fputc(' ', stdout);
	style_put_cut(style, stdout, TONE_PLAIN, text, style->width - MIN(style->width, taken));
	fputc('\n', stdout);
	print_stragglers(style, json_object_get(shutdown, "stragglers"));
}

/* --- status: the workers --- */

static const struct column status_columns[] = {
	{ "STATE", .right = false },
	{ "NAME", .least = 12 },
	{ "PID", .right = true },
	{ "SINCE", .right = true },
	{ "RESTARTS", .brief = "RST", .right = true },
	{ "LAST", .right = false },
	{ "DETAIL", .least = 10 },
};

/* What it waits for, why it is in its state, and what it says of itself. */
static void describe_worker(const json_t *worker, char *text, size_t size)
{
	const char *waiting_on = field_text(worker, "waiting_on");
	const char *detail = field_text(worker, "detail");
	const char *status = field_text(worker, "status");
	uint64_t next = field_wall_usec(worker, "next_restart_at");
	char span[SPAN_TEXT_SIZE];

	text[0] = '\0';
	if (next != 0)
		text_join(text, size, "; ", "next in %s", ahead_text(next, span));
	if (*waiting_on && !strstr(detail, waiting_on) && next == 0)
		text_join(text, size, "; ", "waits for %s", waiting_on);
	if (*status)
		text_join(text, size, "; ", "%s", status);
	if (*detail)
		text_join(text, size, "; ", "%s", detail);
}

static void add_worker(struct table *table, const struct style *style, const json_t *worker)
{
	const char *state = field_text(worker, "state");
	const char *verdict = field_text(worker, "last_verdict");
	uint64_t pid = field_unsigned(worker, "pid"), restarts = field_unsigned(worker, "restarts");
	char since[SPAN_TEXT_SIZE], detail[DETAIL_SIZE];

	describe_worker(worker, detail, sizeof(detail));
	if (style->terminal)
		table_cellf(table, state_tone(state), "%s %s", state_symbol(style, state), state);
	else
		table_cell(table, TONE_PLAIN, state);
	table_cell(table, TONE_BOLD, field_text(worker, "name"));
	if (pid > 0)
		table_cellf(table, TONE_PLAIN, "%llu", (unsigned long long)pid);
	else
		table_cell(table, TONE_PLAIN, NULL);
	table_cell(table, TONE_PLAIN, age_text(field_wall_usec(worker, "since"), since));
	table_cellf(
	        table, restarts > 0 ? TONE_BUSY : TONE_DIM, "%llu", (unsigned long long)restarts);
	table_cell(table, verdict_tone(verdict), strcmp(verdict, "none") == 0 ? "" : verdict);
	table_cell(table, TONE_PLAIN, detail);
}

static enum ctl_status print_workers(const struct ctl *ctl, const json_t *workers)
{
	_cleanup_(table_freep) struct table *table = NULL;
	json_t *worker;
	size_t i;

	if (json_array_size(workers) == 0)
		return CTL_OK;
	if (table_new(status_columns, ARRAY_SIZE(status_columns), &table) < 0)
		return ctl_out_of_memory();
	json_array_foreach ((json_t *)workers, i, worker)
		add_worker(table, &ctl->style, worker);
	fputc('\n', stdout);
	return ctl_print_table(ctl, table, true);
}

enum ctl_status run_status(struct ctl *ctl)
{
	_cleanup_(json_freep) json_t *status = NULL;
	enum ctl_status result = client_get(ctl, "/v1/status", "status", &status);
	const json_t *workers;

	if (result != CTL_OK || !status)
		return result;
	workers = json_object_get(status, "workers");
	print_head(&ctl->style, json_object_get(status, "daemon"));
	print_census(&ctl->style, workers);
	print_shutdown(&ctl->style, status);
	return print_workers(ctl, workers);
}

/* --- list --- */

enum ctl_status run_list(struct ctl *ctl)
{
	static const struct column columns[] = {
		{ "NAME", .least = 12 },
		{ "STATE", .right = false },
		{ "PID", .right = true },
	};
	_cleanup_(json_freep) json_t *answer = NULL;
	_cleanup_(table_freep) struct table *table = NULL;
	enum ctl_status status = client_get(ctl, "/v1/workers", "list", &answer);
	json_t *workers, *worker;
	size_t i;

	if (status != CTL_OK || !answer)
		return status;
	workers = json_is_array(answer) ? answer : json_object_get(answer, "workers");
	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return ctl_out_of_memory();
	json_array_foreach (workers, i, worker) {
		const char *state = field_text(worker, "state");
		uint64_t pid = field_unsigned(worker, "pid");

		table_cell(table, TONE_BOLD, field_text(worker, "name"));
		table_cell(table, state_tone(state), state);
		if (pid > 0)
			table_cellf(table, TONE_PLAIN, "%llu", (unsigned long long)pid);
		else
			table_cell(table, TONE_PLAIN, NULL);
	}
	return ctl_print_table(ctl, table, ctl->style.terminal);
}
