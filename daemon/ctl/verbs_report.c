/* The verb that shows the report of the last shutdown. */
#include <stdio.h>
#include <string.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/render.h"
#include "daemon/ctl/report.h"
#include "daemon/ctl/table.h"
#include "daemon/ctl/verbs.h"
#include "lib/macro.h"

#define TASKS_SHOWN 40
#define BAR_COLUMNS 40u

static enum tone status_tone(const json_t *report)
{
	switch (field_unsigned(report, "exit_status")) {
	case 0:
		return TONE_GOOD;
	case 150:
		return TONE_BUSY;
	}
	return TONE_BAD;
}

/* "● quiesced in 3.2s: 3 stopped, 1 killed" */
void report_print_summary(const struct style *style, const json_t *report)
{
	_cleanup_(freep) char *counts = counts_text(json_object_get(report, "counts"));
	char span[SPAN_TEXT_SIZE];

	style_put(style, stdout, status_tone(report), style_choose(style, "●", "*"));
	style_printf(style, stdout, TONE_BOLD, " quiesced in %s",
	        span_text(field_number(report, "duration_ms") / 1000, span));
	style_printf(style, stdout, status_tone(report), ": %s",
	        counts && *counts ? counts : "nothing was running");
	fputc('\n', stdout);
}

/* Nothing is known of its end but that there was none. */
static void print_unclean(const struct style *style, const json_t *report)
{
	char clock[64];

	style_put(style, stdout, TONE_BAD, style_choose(style, "✗ ", "x "));
	style_put(style, stdout, TONE_BAD, "the last run ended without a report");
	fputs(": it was killed, or the power was lost\n", stdout);
	clock_text(field_wall_usec(report, "started_at"), true, clock, sizeof(clock));
	if (*clock)
		printf("  it had started at %s as pid %llu\n", clock,
		        (unsigned long long)field_unsigned(report, "pid"));
}

static void print_reason(const struct style *style, const json_t *report)
{
	const json_t *reason = json_object_get(report, "reason");
	const char *why = field_text(reason, "detail");
	char clock[64];

	clock_text(field_wall_usec(report, "requested_at"), true, clock, sizeof(clock));
	style_printf(style, stdout, TONE_PLAIN, "  %s at %s, exit status %llu",
	        *why ? why : field_text(reason, "kind"), clock,
	        (unsigned long long)field_unsigned(report, "exit_status"));
	fputc('\n', stdout);
}

/* --- the phases --- */

/* A piece of the time line: at least one column for what took any time. */
static void make_bar(
        const struct style *style, double began, double ended, double total, char *bar, size_t size)
{
	unsigned from = (unsigned)(began / total * BAR_COLUMNS);
	unsigned to = (unsigned)(ended / total * BAR_COLUMNS + 0.5);

	bar[0] = '\0';
	from = MIN(from, BAR_COLUMNS - 1);
	to = MIN(MAX(to, from + 1), BAR_COLUMNS);
	for (unsigned i = 0; i < to; i++)
		text_join(bar, size, "", "%s", i < from ? " " : style_choose(style, "━", "="));
}

static enum ctl_status print_phases(const struct ctl *ctl, const json_t *report)
{
	static const struct column columns[] = {
		{ "PHASE", .right = false },
		{ "BEGAN", .right = true },
		{ "LASTED", .right = true },
		{ "", .least = 1 },
	};
	_cleanup_(table_freep) struct table *table = NULL;
	double total = field_number(report, "duration_ms");
	bool bars = ctl->style.terminal && total > 0;
	json_t *phase;
	size_t i;

	if (table_new(columns, bars ? ARRAY_SIZE(columns) : ARRAY_SIZE(columns) - 1, &table) < 0)
		return ctl_out_of_memory();
	json_array_foreach (json_object_get(report, "phases"), i, phase) {
		double began = field_number(phase, "began_ms"),
		       ended = field_number(phase, "ended_ms");
		const char *name = field_text(phase, "name");
		char text[4 * BAR_COLUMNS];

		table_cell(table, TONE_PLAIN, name);
		table_cell(table, TONE_PLAIN, span_text(began / 1000, text));
		table_cell(table, TONE_PLAIN, span_text((ended - began) / 1000, text));
		if (!bars)
			continue;
		make_bar(&ctl->style, began, ended, total, text, sizeof(text));
		table_cell(table, phase_tone(name), ended > began ? text : " ");
	}
	fputc('\n', stdout);
	return ctl_print_table(ctl, table, true);
}

/* --- the tasks --- */

static void add_moment(struct table *table, const json_t *task, const char *key)
{
	const json_t *value = json_object_get(task, key);
	char span[SPAN_TEXT_SIZE];

	table_cell(table, TONE_PLAIN,
	        json_is_number(value) ? span_text(json_number_value(value) / 1000, span) : "");
}

static void add_task(struct table *table, const json_t *task)
{
	const char *verdict = field_text(task, "verdict"), *cause = field_text(task, "cause");
	const char *rung = field_text(task, "rung"), *waiting_on = field_text(task, "waiting_on");
	const char *worker = field_text(task, "worker"), *name = field_text(task, "name");
	char detail[512] = "";

	if (*field_text(task, "detail"))
		text_join(detail, sizeof(detail), "; ", "%s", field_text(task, "detail"));
	if (*waiting_on)
		text_join(detail, sizeof(detail), "; ", "waited for %s", waiting_on);
	if (*worker && strcmp(worker, name) != 0)
		text_join(detail, sizeof(detail), "; ", "of worker %s", worker);
	table_cell(table, verdict_tone(verdict), verdict);
	table_cell(table, TONE_BOLD, name);
	table_cell(table, TONE_PLAIN, strcmp(cause, "none") == 0 ? "" : cause);
	table_cell(table, TONE_PLAIN, strcmp(rung, "none") == 0 ? "" : rung);
	add_moment(table, task, "asked_ms");
	add_moment(table, task, "ended_ms");
	table_cell(table, TONE_PLAIN, detail);
}

/* The daemon lists the worst first. */
static enum ctl_status print_tasks(const struct ctl *ctl, const json_t *report)
{
	static const struct column columns[] = {
		{ "VERDICT", .right = false },
		{ "TASK", .least = 12 },
		{ "CAUSE", .right = false },
		{ "RUNG", .right = false },
		{ "ASKED", .right = true },
		{ "ENDED", .right = true },
		{ "DETAIL", .least = 10 },
	};
	_cleanup_(table_freep) struct table *table = NULL;
	const json_t *tasks = json_object_get(report, "tasks");
	size_t shown = json_array_size(tasks), total = shown;
	enum ctl_status status;

	if (total == 0)
		return CTL_OK;
	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return ctl_out_of_memory();
	if (ctl->style.terminal)
		shown = MIN(shown, (size_t)TASKS_SHOWN);
	for (size_t i = 0; i < shown; i++)
		add_task(table, json_array_get(tasks, i));
	fputc('\n', stdout);
	status = ctl_print_table(ctl, table, true);
	total += field_unsigned(report, "tasks_omitted");
	if (total > shown) {
		style_printf(&ctl->style, stdout, TONE_DIM, "and %zu more", total - shown);
		fputc('\n', stdout);
	}
	return status;
}

static enum ctl_status read_report(const struct ctl *ctl, json_t **ret_report)
{
	json_error_t error;
	json_t *report = json_load_file(ctl->options.file, 0, &error);

	if (!report) {
		ctl_complain("%s: %s", ctl->options.file, error.text);
		return CTL_FAILURE;
	}
	if (ctl->options.json) {
		json_dumpf(report, stdout, JSON_COMPACT);
		fputc('\n', stdout);
		json_decref(report);
		report = NULL;
	}
	*ret_report = report;
	return CTL_OK;
}

enum ctl_status run_last_shutdown(struct ctl *ctl)
{
	_cleanup_(json_freep) json_t *report = NULL;
	enum ctl_status status =
	        ctl->options.file ? read_report(ctl, &report)
	                          : client_get(ctl, "/v1/shutdowns/last", "last-shutdown", &report);

	if (status != CTL_OK || !report)
		return status;
	if (json_is_true(json_object_get(report, "unclean"))) {
		print_unclean(&ctl->style, report);
		return CTL_OK;
	}
	report_print_summary(&ctl->style, report);
	print_reason(&ctl->style, report);
	status = print_phases(ctl, report);
	return status == CTL_OK ? print_tasks(ctl, report) : status;
}
