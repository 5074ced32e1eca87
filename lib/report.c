/*
 * The report. It looks at the ledger through copies only, since the loop may still turn while the
 * guard writes; who has no verdict at this moment is abandoned. The ledger is walked once for each
 * verdict, which sorts the tasks without a place to sort them in.
 */
#include "lib/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/json_writer.h"
#include "lib/macro.h"
#include "lib/verdict.h"

#define TASKS_LISTED  10000
#define NAMES_TOLD    3
#define DETAIL_SIZE   128
#define SIGNAL_PREFIX "signal "

/* What the report is about: from the request to the end, or to now while there is none. */
struct window {
	uint64_t begin, end;
	uint64_t counts[QS_VERDICT_COUNT];
	uint64_t total;
};

/* The next task that was alive at the request or started later. */
static bool next_task(const struct qs_report *report, uint64_t begin, uint64_t *cursor,
        struct qs_record_copy *ret_task)
{
	const struct qs_record *record;

	while ((record = qs_ledger_next(report->ledger, cursor)) != NULL) {
		if (!qs_ledger_read(record, ret_task))
			continue;
		if (ret_task->verdict == QS_VERDICT_NONE)
			ret_task->verdict = QS_VERDICT_ABANDONED;
		else if (ret_task->verdict != QS_VERDICT_ABANDONED && ret_task->ended_at < begin)
			continue;
		return true;
	}
	return false;
}

static struct window look(const struct qs_report *report)
{
	struct window window = { .begin = atomic_load(&report->chronicle->requested_at),
		.end = atomic_load(&report->chronicle->left_at) };
	struct qs_record_copy task;
	uint64_t cursor = 0;

	if (window.end == 0)
		window.end = qs_time_now();
	if (window.begin == 0)
		window.begin = window.end;
	while (next_task(report, window.begin, &cursor, &task)) {
		window.counts[task.verdict]++;
		window.total++;
	}
	return window;
}

void qs_report_count(const struct qs_report *report, uint64_t ret_counts[static QS_VERDICT_COUNT])
{
	struct window window = look(report);

	memcpy(ret_counts, window.counts, sizeof(window.counts));
}

static int exit_status(const struct qs_report *report, const struct window *window)
{
	int status = qs_verdict_exit_status(window->counts);

	return status == 0 && atomic_load(&report->chronicle->failure) ? 1 : status;
}

int qs_report_exit_status(const struct qs_report *report)
{
	struct window window = look(report);

	return exit_status(report, &window);
}

/* --- the JSON --- */

static void write_wall(struct json_writer *writer, const char *key, uint64_t at)
{
	char text[QS_WALL_TEXT_SIZE];

	qs_json_string(writer, key, qs_clock_format_wall(qs_clock_wall_usec_of(at), text));
}

/* Relative to the request; before it: negative. */
static void write_relative(
        struct json_writer *writer, const char *key, uint64_t at, const struct window *window)
{
	qs_json_milliseconds(writer, key, (int64_t)(at - window->begin));
}

/* The reason may be read once there is a request: it was written before. */
static void write_reason(struct json_writer *writer, const struct qs_chronicle *chronicle)
{
	bool requested = atomic_load(&chronicle->requested_at) != 0;
	const char *detail = requested ? chronicle->reason.detail : NULL;
	bool signalled = detail && strncmp(detail, SIGNAL_PREFIX, strlen(SIGNAL_PREFIX)) == 0;
	const char *kind = atomic_load(&chronicle->failure) ? "failure"
	                   : signalled                      ? "signal"
	                                                    : "api";

	qs_json_begin_object(writer, "reason");
	qs_json_string(writer, "kind", kind);
	qs_json_string(writer, "detail", detail);
	qs_json_end_object(writer);
}

/* A phase that was skipped began and ended when the next one did. */
static void write_phases(struct json_writer *writer, const struct qs_chronicle *chronicle,
        const struct window *window)
{
	uint64_t began[QS_PHASE_COUNT + 1] = { [QS_PHASE_COUNT] = window->end };

	for (int phase = QS_PHASE_QUIESCED; phase > QS_PHASE_DRAINING; phase--) {
		uint64_t at = atomic_load(&chronicle->phase_began[phase]);
		began[phase] = at == 0 ? began[phase + 1] : MIN(at, began[phase + 1]);
	}
	/* An administrator's drain may have begun long before. */
	began[QS_PHASE_DRAINING] = window->begin;
	qs_json_begin_array(writer, "phases");
	for (int phase = QS_PHASE_DRAINING; phase < QS_PHASE_COUNT; phase++) {
		qs_json_begin_object(writer, NULL);
		qs_json_string(writer, "name", qs_phase_name((enum qs_phase)phase));
		write_relative(writer, "began_ms", began[phase], window);
		write_relative(writer, "ended_ms", began[phase + 1], window);
		qs_json_end_object(writer);
	}
	qs_json_end_array(writer);
}

static void write_verdicts(
        struct json_writer *writer, const uint64_t counts[static QS_VERDICT_COUNT])
{
	for (int verdict = QS_VERDICT_FINISHED; verdict < QS_VERDICT_COUNT; verdict++)
		qs_json_unsigned(
		        writer, qs_verdict_name((enum qs_verdict)verdict), counts[verdict]);
}

static void write_stop_lag(struct json_writer *writer, const struct qs_record_copy *task,
        const struct window *window, bool ended)
{
	uint64_t until = ended ? task->ended_at : window->end;

	if (task->polled_at == 0)
		qs_json_null(writer, "stop_lag_ms");
	else
		qs_json_milliseconds(
		        writer, "stop_lag_ms", (int64_t)qs_time_sub(until, task->polled_at));
}

static void write_waiting(struct json_writer *writer, const struct qs_report *report,
        const struct qs_record_copy *task, bool ended)
{
	const char *note =
	        task->rung >= QS_RUNG_CANCEL ? qs_ledger_note_of(report->ledger, task->id) : NULL;
	char text[32];

	if (note) {
		qs_json_string(writer, "waiting_on", note);
	} else if (!ended && !task->waiting_on && task->kind == QS_KIND_PROCESS && task->pid > 0) {
		(void)snprintf(text, sizeof(text), "pid %" PRId32, task->pid);
		qs_json_string(writer, "waiting_on", text);
	} else {
		qs_json_string(writer, "waiting_on", ended ? NULL : task->waiting_on);
	}
}

static void write_task(struct json_writer *writer, const struct qs_report *report,
        const struct qs_record_copy *task, const struct window *window)
{
	bool ended = task->verdict != QS_VERDICT_ABANDONED;
	char detail[DETAIL_SIZE];

	qs_json_begin_object(writer, NULL);
	qs_json_unsigned(writer, "id", task->id);
	qs_json_string(writer, "name", task->name);
	qs_json_string(writer, "worker", task->owner ? task->owner->name : NULL);
	qs_json_string(writer, "kind", qs_kind_name(task->kind));
	qs_json_string(writer, "verdict", qs_verdict_name(task->verdict));
	qs_json_string(writer, "cause", qs_cause_name(task->cause));
	qs_json_string(writer, "rung", qs_rung_name(task->rung));
	if (task->asked_at == 0)
		qs_json_null(writer, "asked_ms");
	else
		write_relative(writer, "asked_ms", task->asked_at, window);
	if (ended)
		write_relative(writer, "ended_ms", task->ended_at, window);
	else
		qs_json_null(writer, "ended_ms");
	write_stop_lag(writer, task, window, ended);
	write_waiting(writer, report, task, ended);
	qs_json_string(writer, "detail",
	        task->outcome.type == QS_OUTCOME_NONE
	                ? NULL
	                : qs_outcome_describe(task->outcome, detail, sizeof(detail)));
	qs_json_end_object(writer);
}

static void write_tasks(
        struct json_writer *writer, const struct qs_report *report, const struct window *window)
{
	struct qs_record_copy task;
	uint64_t listed = 0;

	qs_json_begin_array(writer, "tasks");
	for (int verdict = QS_VERDICT_ABANDONED; verdict > QS_VERDICT_NONE; verdict--) {
		uint64_t cursor = 0;

		while (listed < TASKS_LISTED && window->counts[verdict] > 0 &&
		        next_task(report, window->begin, &cursor, &task)) {
			if ((int)task.verdict != verdict)
				continue;
			write_task(writer, report, &task, window);
			listed++;
		}
	}
	qs_json_end_array(writer);
	qs_json_unsigned(writer, "tasks_omitted", qs_time_sub(window->total, listed));
}

/* At the report what lives is abandoned: the verdicts add up to what was started. */
static void write_totals(struct json_writer *writer, const struct qs_ledger *ledger)
{
	qs_json_begin_object(writer, "totals");
	for (const struct qs_owner *owner = qs_ledger_first_owner(ledger); owner;
	        owner = owner->next) {
		uint64_t ended[QS_VERDICT_COUNT], started = 0;

		for (int verdict = 0; verdict < QS_VERDICT_COUNT; verdict++)
			started += ended[verdict] = atomic_load(&owner->ended[verdict]);
		uint64_t living = atomic_load(&owner->started) - started;
		ended[QS_VERDICT_ABANDONED] += living;
		qs_json_begin_object(writer, owner->name);
		qs_json_unsigned(writer, "started", started + living);
		write_verdicts(writer, ended);
		qs_json_end_object(writer);
	}
	qs_json_end_object(writer);
}

static int write_report(const struct qs_report *report, int fd)
{
	struct window window = look(report);
	struct json_writer writer;

	json_writer_init(&writer, fd);
	qs_json_begin_object(&writer, NULL);
	qs_json_unsigned(&writer, "version", 1);
	qs_json_string(
	        &writer, "invocation_id", report->invocation_id[0] ? report->invocation_id : NULL);
	qs_json_signed(&writer, "pid", report->pid);
	write_wall(&writer, "started_at", report->started_at);
	qs_json_bool(&writer, "unclean", false);
	write_reason(&writer, report->chronicle);
	write_wall(&writer, "requested_at", window.begin);
	write_relative(&writer, "duration_ms", window.end, &window);
	qs_json_signed(&writer, "exit_status", exit_status(report, &window));
	write_phases(&writer, report->chronicle, &window);
	qs_json_begin_object(&writer, "counts");
	write_verdicts(&writer, window.counts);
	qs_json_end_object(&writer);
	write_tasks(&writer, report, &window);
	write_totals(&writer, report->ledger);
	qs_json_end_object(&writer);
	return json_writer_finish(&writer);
}

/*
 * The guard may come while the loop is stuck in this very function, in a write that hangs. A name
 * for each of the two keeps the one from renaming the other's half of a file.
 */
static const char *temporary_name(const struct qs_report *report)
{
	return gettid() == (report->loop > 0 ? report->loop : getpid()) ? "." QS_REPORT_NAME ".loop"
	                                                                : "." QS_REPORT_NAME
	                                                                  ".guard";
}

int qs_report_write(const struct qs_report *report, int directory_fd)
{
	const char *name = temporary_name(report);
	_cleanup_(closep) int fd = openat(
	        directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (fd < 0)
		return -errno;
	int r = write_report(report, fd);
	if (r == 0 && report->sync && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(directory_fd, name, directory_fd, QS_REPORT_NAME) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(directory_fd, name, 0);
	return r;
}

/* --- the summary --- */

struct text {
	char *at;
	size_t left;
};

static void _printf_(2, 3) add(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = vsnprintf(text->at, text->left, format, arguments);
	va_end(arguments);
	size_t taken = n < 0 ? 0 : MIN((size_t)n, text->left - 1);
	text->at += taken;
	text->left -= taken;
}

/* Who ended like this: the first few that have different names. */
static void add_names(struct text *text, const struct qs_report *report,
        const struct window *window, enum qs_verdict verdict)
{
	struct qs_record_copy task;
	char last[QS_NAME_MAX] = "";
	uint64_t cursor = 0;
	unsigned told = 0;

	while (told <= NAMES_TOLD && next_task(report, window->begin, &cursor, &task)) {
		const char *name = task.owner ? task.owner->name : task.name;

		if (task.verdict != verdict || strcmp(name, last) == 0)
			continue;
		(void)snprintf(last, sizeof(last), "%s", name);
		if (told == NAMES_TOLD)
			add(text, " and more");
		else
			add(text, "%s%s", told == 0 ? " (" : ", ", name);
		told++;
	}
	if (told > 0)
		add(text, ")");
}

static void add_duration(struct text *text, uint64_t span)
{
	if (span < QS_SEC)
		add(text, "quiesced in %" PRIu64 " ms: ", span / QS_MSEC);
	else
		add(text, "quiesced in %" PRIu64 ".%" PRIu64 " s: ", span / QS_SEC,
		        span % QS_SEC / (QS_SEC / 10));
}

void qs_report_summarise(const struct qs_report *report, char *buffer, size_t size)
{
	struct window window = look(report);
	struct text text = { .at = buffer, .left = size };
	const char *between = "";

	if (size == 0)
		return;
	add_duration(&text, qs_time_sub(window.end, window.begin));
	if (window.total == 0)
		add(&text, "nothing was running");
	for (int verdict = QS_VERDICT_FINISHED; verdict < QS_VERDICT_COUNT; verdict++) {
		if (window.counts[verdict] == 0)
			continue;
		add(&text, "%s%" PRIu64 " %s", between, window.counts[verdict],
		        qs_verdict_name((enum qs_verdict)verdict));
		between = ", ";
		if (verdict >= QS_VERDICT_FAILED)
			add_names(&text, report, &window, (enum qs_verdict)verdict);
	}
}
