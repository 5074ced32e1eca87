#include "daemon/call_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fold.h"
#include "daemon/log.h"
#include "daemon/storm.h"
#include "daemon/template.h"

#define LINE_SIZE  640
#define BODY_SHOWN 2048
#define SECRET_MIN 4 /* a shorter one keeps no secret, and would blot out half of any text */
#define COUNT_SIZE 32

/* A line that is put together; what does not fit is left out. */
struct text {
	char data[LINE_SIZE];
	size_t used;
};

static void add(struct text *text, const char *format, ...) _printf_(2, 3);
static void add(struct text *text, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	int r = vsnprintf(text->data + text->used, LINE_SIZE - text->used, format, ap);
	va_end(ap);
	text->used = MIN(text->used + (r > 0 ? (size_t)r : 0), LINE_SIZE - 1);
}

/* "1,204": whoever the locale is. */
static const char *format_count(uint64_t count, char buffer[static COUNT_SIZE])
{
	char digits[COUNT_SIZE];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, count);
	char *to = buffer;
	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = 0;
	return buffer;
}

static bool is_said(const char *text)
{
	return text && text[0];
}

/* --- storms --- */

static void tell_storm(_unused_ void *arg, const struct storm_sum *sum)
{
	const struct log_call call = { .host = sum->host, .status = sum->status };
	const struct log_fields fields = {
		.event = LOG_STORM,
		.worker = sum->worker,
		.call = &call,
	};
	char count[COUNT_SIZE], span[64];
	bool whole = sum->span >= STORM_WINDOW;
	/* Rounded up: nobody wants to know of microseconds here. */
	uint64_t shown = (sum->span + QS_MSEC - 1) / QS_MSEC * QS_MSEC;
	log_event(LOG_LEVEL_WARNING, &fields, "%s, %s %s%s in the last %s", sum->text,
	        format_count(sum->count, count), whole ? "" : "more ",
	        sum->count == 1 ? "time" : "times",
	        whole ? "minute" : span_format(shown, span, sizeof(span)));
}

static void arm(struct call_log *log)
{
	uint64_t due = storms_due(log->storms);
	if (due == QS_FOREVER)
		qs_timer_disarm(&log->timer);
	else if (!qs_timer_armed(&log->timer))
		qs_timer_arm(&log->timer, due);
}

static void on_due(struct qs_timer *timer)
{
	struct call_log *log = container_of(timer, struct call_log, timer);
	storms_tell(log->storms, qs_loop_now(log->loop));
	arm(log);
}

int call_log_init(struct call_log *log, struct qs_loop *loop)
{
	*log = (struct call_log){ .loop = loop };
	int r = storms_new(tell_storm, NULL, &log->storms);
	if (r == 0)
		r = qs_timer_init(loop, &log->timer, on_due);
	if (r < 0) {
		storms_free(log->storms);
		log->storms = NULL;
	}
	return r;
}

void call_log_done(struct call_log *log)
{
	if (!log->storms)
		return;
	storms_flush(log->storms, qs_loop_now(log->loop));
	qs_timer_done(&log->timer);
	storms_free(log->storms);
	log->storms = NULL;
}

/* --- lines --- */

/* An unexpected status says it all by itself. */
static bool says_status_alone(const struct call_finished *finished)
{
	char text[48];
	(void)snprintf(text, sizeof(text), "status %d is not expected", finished->status);
	return strcmp(text, finished->problem) == 0;
}

/* What an error has in common with its like: "504 from api.example", "api.example: it hung up". */
static void add_outcome(struct text *text, const struct call_finished *finished)
{
	bool asked = is_said(finished->host);
	if (asked && finished->status > 0)
		add(text, "%d from %s", finished->status, finished->host);
	else if (asked)
		add(text, "%s", finished->host);
	if (!is_said(finished->problem) || says_status_alone(finished))
		return;
	add(text, "%s%.*s", text->used > 0 ? ": " : "", STORM_TEXT, finished->problem);
}

static void add_figures(struct text *text, const struct call_finished *finished)
{
	const char *between = text->used > 0 ? ", " : "";
	char count[COUNT_SIZE];
	if (finished->attempts > 1)
		add(text, "%s%u attempts", between, finished->attempts);
	between = text->used > 0 ? ", " : "";
	add(text, "%s%" PRIu64 " ms", between, finished->duration / QS_MSEC);
	add(text, ", %s bytes", format_count(finished->bytes, count));
	if (is_said(finished->source) && strcmp(finished->source, "server") != 0)
		add(text, ", %s",
		        strcmp(finished->source, "cache") == 0 ? "from the cache"
		                                               : finished->source);
}

/* Who was ended because everything ends has not failed. */
static enum log_level level_of(const struct call_finished *finished)
{
	if (finished->verdict == QS_VERDICT_STOPPED || finished->verdict == QS_VERDICT_CANCELLED)
		return LOG_LEVEL_INFO;
	return finished->verdict == QS_VERDICT_FINISHED ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING;
}

/* Whether it is like one that was told just now. */
static bool is_folded(
        struct call_log *log, const struct call_finished *finished, const char *outcome)
{
	const struct storm_key key = {
		.worker = finished->worker,
		.host = finished->host ? finished->host : "",
		.status = finished->status,
		.error = finished->error != 0 ? finished->error : (int)finished->verdict,
	};
	/* Who was asked to stop and had his answer all the same is none of a storm. */
	bool answered = finished->verdict == QS_VERDICT_STOPPED && finished->error == 0;
	if (finished->verdict == QS_VERDICT_FINISHED || answered || !log->storms)
		return false;
	struct text text = { .used = 0 };
	/* Those that were ended by the ladder have that in common. */
	if (finished->verdict != QS_VERDICT_FAILED)
		add(&text, "%s: ", qs_verdict_name(finished->verdict));
	add(&text, "%s", outcome);
	bool news = storms_count(log->storms, &key, text.data, qs_loop_now(log->loop));
	arm(log);
	return !news;
}

void call_log_finished(struct call_log *log, const struct call_finished *finished)
{
	const struct log_call call = {
		.host = finished->host,
		.source = finished->source,
		.status = finished->status,
		.attempts = finished->attempts,
		.duration = finished->duration,
		.bytes = finished->bytes,
	};
	const struct log_fields fields = {
		.event = LOG_CALL,
		.worker = finished->worker,
		.task = finished->task,
		.verdict = qs_verdict_name(finished->verdict),
		.call = &call,
	};
	struct text text = { .used = 0 };
	add_outcome(&text, finished);
	bool folded = is_folded(log, finished, text.data);
	add_figures(&text, finished);
	log_event(folded ? LOG_LEVEL_DEBUG : level_of(finished), &fields, "%s %" PRIu64 " %s: %s",
	        finished->polled ? "poll" : "call", finished->task,
	        qs_verdict_name(finished->verdict), text.data);
}

/* --- bodies --- */

static void blot_out(const struct template *template, char *data, size_t size)
{
	size_t count = 0;
	const struct template_part *part = template ? template_parts(template, &count) : NULL;
	for (; count > 0; count--, part++) {
		if (part->kind != TEMPLATE_SECRET || part->size < SECRET_MIN)
			continue;
		char *at = data;
		while ((at = memmem(at, size - (size_t)(at - data), part->text, part->size))) {
			memset(at, '*', part->size);
			at += part->size;
		}
	}
}

/* NULL: no memory. */
static char *fold_body(const struct http_config *http, const char *data, size_t size)
{
	_cleanup_(freep) char *copy = malloc(size);
	if (!copy)
		return NULL;
	memcpy(copy, data, size);
	blot_out(http->url, copy, size);
	blot_out(http->body, copy, size);
	for (const struct http_header_config *header = http->headers; header->name; header++)
		blot_out(header->value, copy, size);
	return fold_text(copy, size, BODY_SHOWN);
}

void call_log_body(const struct worker_config *worker, uint64_t task, const char *what,
        const char *data, size_t size)
{
	const struct log_fields fields = {
		.event = LOG_CALL, .worker = worker->name, .task = task
	};
	if (!log_bodies() || size == 0)
		return;
	_cleanup_(freep) char *folded = fold_body(&worker->http, data, size);
	log_event(LOG_LEVEL_INFO, &fields, "%s %" PRIu64 ", %s: %s",
	        worker->when == WHEN_CALL ? "call" : "poll", task, what,
	        folded ? folded : "(no memory to show it)");
}
