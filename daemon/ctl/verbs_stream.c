/*
 * The verbs that go on until they are told to stop: events, and logs --follow. A reader of our
 * output that has gone is noticed even while nothing happens.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/render.h"
#include "daemon/ctl/verbs.h"
#include "lib/macro.h"

#define LINE_MAX_BYTES (1u << 20)

struct stream {
	struct ctl *ctl;
	const char *worker; /* only of this one; NULL: of all */
	void (*show)(struct stream *stream, const char *line, const json_t *event);
	int (*opened)(struct stream *stream); /* the daemon has begun to tell; may be NULL */
	enum ctl_status status;
	bool refused; /* what comes is a problem, not events */
	char *buffer; /* what has come of the next line */
	size_t size, capacity;
};

static int reader_is_there(void)
{
	struct pollfd descriptor = { .fd = STDOUT_FILENO };

	if (ferror(stdout))
		return -EPIPE;
	return poll(&descriptor, 1, 0) > 0 && (descriptor.revents & POLLERR) ? -EPIPE : 0;
}

static int take_line(struct stream *stream, const char *line, size_t length)
{
	_cleanup_(json_freep) json_t *event = json_loadb(line, length, 0, NULL);

	if (!event) {
		ctl_complain("the daemon tells what is no JSON");
		stream->status = CTL_FAILURE;
		return -ECANCELED;
	}
	if (strcmp(field_text(event, "event"), "lost") == 0) {
		ctl_complain("the daemon has cut the stream: it was not read fast enough");
		stream->status = CTL_FAILURE;
	}
	stream->show(stream, line, event);
	return fflush(stdout) == 0 ? 0 : -EPIPE;
}

static int keep(struct stream *stream, const char *data, size_t size)
{
	if (size > LINE_MAX_BYTES - stream->size)
		return -EMSGSIZE;
	if (stream->size + size >= stream->capacity) {
		size_t capacity = MAX((size_t)4096, 2 * (stream->size + size));
		char *buffer = realloc(stream->buffer, capacity);
		if (!buffer)
			return -ENOMEM;
		stream->buffer = buffer;
		stream->capacity = capacity;
	}
	memcpy(stream->buffer + stream->size, data, size);
	stream->size += size;
	stream->buffer[stream->size] = '\0';
	return 0;
}

static int end_line(struct stream *stream)
{
	size_t size = TAKE(stream->size, 0);

	return size > 0 ? take_line(stream, stream->buffer, size) : 0;
}

static int on_chunk(const char *data, size_t size, void *arg)
{
	struct stream *stream = arg;
	const char *end;
	int r = 0;

	while (r >= 0 && size > 0) {
		end = stream->refused ? NULL : memchr(data, '\n', size);
		size_t length = end ? (size_t)(end - data) : size;

		r = keep(stream, data, length);
		if (r >= 0 && end)
			r = end_line(stream);
		data += length + (end ? 1 : 0);
		size -= length + (end ? 1 : 0);
	}
	return r;
}

static int on_begun(long status, void *arg)
{
	struct stream *stream = arg;

	stream->refused = status != 200;
	return !stream->refused && stream->opened ? stream->opened(stream) : 0;
}

static int on_tick(void *arg)
{
	(void)arg;
	return reader_is_there();
}

/* Until the daemon ends it, or our reader is gone. */
static enum ctl_status run_stream(struct stream *stream)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	int r = qs_http_unix_perform(stream->ctl->http,
	        &(struct qs_http_unix_request){ .method = "GET",
	                .path = "/v1/events",
	                .deadline = QS_FOREVER,
	                .begun = on_begun,
	                .chunk = on_chunk,
	                .tick = on_tick,
	                .arg = stream },
	        &response);

	if (r >= 0 && stream->refused)
		stream->status = client_judge(stream->ctl,
		        &(struct qs_http_unix_response){ .status = response.status,
		                .body = stream->buffer,
		                .size = stream->size },
		        stream->ctl->options.verb->name);
	else if (r >= 0)
		r = end_line(stream);
	free(TAKE(stream->buffer, NULL));
	return r >= 0 || r == -ECANCELED ? stream->status : client_explain(stream->ctl, r);
}

/* --- events --- */

static const char *const known_keys[] = { "seq", "time", "event", "worker", "state", "before",
	"pid", "detail", "line", "verdict", "phase", "status" };

/* What an event says besides what everybody knows of it. */
static void print_rest(const struct style *style, const json_t *event)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)event, key, value) {
		_cleanup_(freep) char *dump = NULL;
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(known_keys); i++)
			known = known || strcmp(key, known_keys[i]) == 0;
		if (known || (json_is_string(value) && !*json_string_value(value)))
			continue;
		dump = json_is_string(value) ? strdup(json_string_value(value))
		                             : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		style_printf(style, stdout, TONE_DIM, " %s=%s", key, dump ? dump : "?");
	}
}

static void print_if(
        const struct style *style, const json_t *event, const char *key, enum tone tone)
{
	if (!*field_text(event, key))
		return;
	fputc(' ', stdout);
	style_put(style, stdout, tone, field_text(event, key));
}

/* "10:01:02 worker-state   ticker starting → running pid 4711: detail" */
static void show_event(struct stream *stream, const char *line, const json_t *event)
{
	const struct style *style = &stream->ctl->style;
	const char *state = field_text(event, "state"), *detail = field_text(event, "detail");
	uint64_t pid = field_unsigned(event, "pid");
	char clock[32];

	if (stream->ctl->options.json) {
		puts(line);
		return;
	}
	clock_text(field_wall_usec(event, "time"), false, clock, sizeof(clock));
	style_printf(style, stdout, TONE_DIM, "%-8s %-14s", clock, field_text(event, "event"));
	print_if(style, event, "worker", TONE_BOLD);
	print_if(style, event, "before", TONE_DIM);
	if (*field_text(event, "before"))
		style_put(style, stdout, TONE_DIM, style_choose(style, " →", " ->"));
	print_if(style, event, "state", state_tone(state));
	print_if(style, event, "phase", phase_tone(field_text(event, "phase")));
	print_if(style, event, "verdict", verdict_tone(field_text(event, "verdict")));
	if (pid > 0)
		printf(" pid %llu", (unsigned long long)pid);
	print_rest(style, event);
	if (*detail)
		style_printf(style, stdout, TONE_PLAIN, ": %s", detail);
	print_if(style, event, "status", TONE_PLAIN);
	print_if(style, event, "line", TONE_PLAIN);
	fputc('\n', stdout);
}

enum ctl_status run_events(struct ctl *ctl)
{
	struct stream stream = { .ctl = ctl, .show = show_event };

	return run_stream(&stream);
}

/* --- logs --- */

static void print_line(const struct ctl *ctl, const char *worker, const char *line)
{
	if (ctl->options.argument_count == 0) {
		style_put(&ctl->style, stdout, TONE_BOLD, worker);
		fputs(": ", stdout);
	}
	style_put(&ctl->style, stdout, TONE_PLAIN, line);
	fputc('\n', stdout);
}

static void show_output(struct stream *stream, const char *line, const json_t *event)
{
	const char *worker = field_text(event, "worker");

	if (strcmp(field_text(event, "event"), "worker-output") != 0 ||
	        (stream->worker && strcmp(worker, stream->worker) != 0))
		return;
	if (stream->ctl->options.json)
		puts(line);
	else
		print_line(stream->ctl, worker, field_text(event, "line"));
}

/* With --json as the events that they once were, so that a reader sees one kind of line only. */
static enum ctl_status show_recent(struct ctl *ctl, const char *name)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	_cleanup_(freep) char *path = client_path("/v1/workers/", name, "");
	_cleanup_(json_freep) json_t *worker = NULL;
	enum ctl_status status;
	json_t *line;
	size_t i;

	if (!path)
		return ctl_out_of_memory();
	status = client_perform(ctl,
	        &(struct qs_http_unix_request){ .method = "GET", .path = path }, NULL, &response);
	if (status == CTL_OK)
		status = client_judge(ctl, &response, name);
	if (status == CTL_OK)
		status = client_read(&response, &worker);
	if (status != CTL_OK)
		return status;
	json_array_foreach (json_object_get(worker, "lines"), i, line) {
		const char *text = json_is_string(line) ? json_string_value(line) : "";
		if (!ctl->options.json) {
			print_line(ctl, name, text);
			continue;
		}
		_cleanup_(json_freep) json_t *event = json_pack(
		        "{s:s, s:s, s:s}", "event", "worker-output", "worker", name, "line", text);
		(void)json_dumpf(event, stdout, JSON_COMPACT);
		fputc('\n', stdout);
	}
	return CTL_OK;
}

static enum ctl_status show_recent_of_all(struct ctl *ctl)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	_cleanup_(json_freep) json_t *answer = NULL;
	enum ctl_status status;
	json_t *worker;
	size_t i;

	status = client_perform(ctl,
	        &(struct qs_http_unix_request){ .method = "GET", .path = "/v1/workers" }, NULL,
	        &response);
	if (status == CTL_OK)
		status = client_judge(ctl, &response, "logs");
	if (status == CTL_OK)
		status = client_read(&response, &answer);
	json_array_foreach (json_object_get(answer, "workers"), i, worker)
		if (status == CTL_OK)
			status = show_recent(ctl, field_text(worker, "name"));
	return status;
}

static enum ctl_status show_recent_lines(struct ctl *ctl)
{
	return ctl->options.argument_count > 0 ? show_recent(ctl, ctl->options.arguments[0])
	                                       : show_recent_of_all(ctl);
}

/*
 * The stream is open already when the recent lines are asked for, over a connection of their own:
 * what is written in between may be seen twice, but it is not missed.
 */
static int show_recent_first(struct stream *stream)
{
	struct ctl other = { .options = stream->ctl->options, .style = stream->ctl->style };

	stream->status = client_open(&other);
	if (stream->status == CTL_OK)
		stream->status = show_recent_lines(&other);
	client_close(&other);
	(void)fflush(stdout);
	return stream->status == CTL_OK ? 0 : -ECANCELED;
}

enum ctl_status run_logs(struct ctl *ctl)
{
	struct stream stream = {
		.ctl = ctl,
		.worker = ctl->options.argument_count > 0 ? ctl->options.arguments[0] : NULL,
		.show = show_output,
		.opened = show_recent_first,
	};

	return ctl->options.follow ? run_stream(&stream) : show_recent_lines(ctl);
}
