/*
 * call and answer: the body of an answer goes to standard output as it comes, byte for byte; on a
 * terminal without what could steer it. To hang up cancels a call, so does Ctrl+C.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "daemon/ctl/batch.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/render.h"
#include "daemon/ctl/verbs.h"
#include "lib/macro.h"

#define PAYLOAD_MAX  (16u << 20) /* what the control socket takes */
#define UPSTREAM_MAX 1024        /* bytes of a failed answer that are shown */
#define SLACK        (10 * QS_SEC)

/* An answer that comes. */
struct incoming {
	const struct ctl *ctl;
	struct progress progress;
	bool shown;         /* it goes to standard output, not into `text` */
	unsigned char last; /* byte that was shown */
	char *text;         /* what the daemon says of itself: a problem, or where a call stands */
	size_t size, capacity;
};

/* --- payloads --- */

static enum ctl_status read_stream(FILE *file, const char *name, char **ret_payload)
{
	_cleanup_(freep) char *text = malloc(PAYLOAD_MAX + 2);
	size_t size;

	if (!text)
		return ctl_out_of_memory();
	size = fread(text, 1, PAYLOAD_MAX + 1, file);
	text[size] = '\0';
	if (ferror(file)) {
		ctl_complain("%s: %s", name, strerror(errno));
		return CTL_FAILURE;
	}
	if (size > PAYLOAD_MAX || strlen(text) < size) {
		ctl_complain("%s: %s", name,
		        size > PAYLOAD_MAX ? "a payload has 16 MiB at most"
		                           : "it has a zero byte, so it is no JSON");
		return CTL_USAGE;
	}
	*ret_payload = TAKE(text, NULL);
	return CTL_OK;
}

static enum ctl_status read_file(const char *path, char **ret_payload)
{
	FILE *file = fopen(path, "re");
	enum ctl_status status;

	if (!file) {
		ctl_complain("%s: %s", path, strerror(errno));
		return CTL_USAGE;
	}
	status = read_stream(file, path, ret_payload);
	fclose(file);
	return status;
}

/* "…" itself, "@FILE" or "-"; NULL: there is none. */
static enum ctl_status read_payload(const struct ctl *ctl, char **ret_payload)
{
	const char *word = ctl->options.argument_count > 1 ? ctl->options.arguments[1] : "";

	*ret_payload = NULL;
	if (strcmp(word, "-") == 0)
		return read_stream(stdin, "standard input", ret_payload);
	if (*word == '@')
		return read_file(word + 1, ret_payload);
	if (!*word)
		return CTL_OK;
	*ret_payload = strdup(word);
	return *ret_payload ? CTL_OK : ctl_out_of_memory();
}

/* --- answers --- */

/* What a terminal would obey becomes '?': C0 but tab and newline, DEL, and C1 as UTF-8. */
static void put_clean(struct incoming *incoming, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)data[i];
		bool control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f ||
		               (incoming->last == 0xc2 && byte >= 0x80 && byte < 0xa0);

		putchar(control ? '?' : byte);
		incoming->last = byte;
	}
}

static int keep(struct incoming *incoming, const char *data, size_t size)
{
	if (incoming->size + size >= incoming->capacity) {
		size_t capacity = MAX((size_t)4096, 2 * (incoming->size + size));
		char *text = realloc(incoming->text, capacity);
		if (!text)
			return -ENOMEM;
		incoming->text = text;
		incoming->capacity = capacity;
	}
	memcpy(incoming->text + incoming->size, data, size);
	incoming->size += size;
	incoming->text[incoming->size] = '\0';
	return 0;
}

static int on_begun(long status, void *arg)
{
	struct incoming *incoming = arg;

	incoming->shown = status == 200;
	return 0;
}

static int on_chunk(const char *data, size_t size, void *arg)
{
	struct incoming *incoming = arg;

	if (!incoming->shown)
		return keep(incoming, data, size);
	progress_end(&incoming->progress);
	incoming->progress.text = NULL;
	if (incoming->ctl->style.terminal)
		put_clean(incoming, data, size);
	else
		fwrite(data, 1, size, stdout);
	return fflush(stdout) == 0 ? 0 : -EPIPE;
}

static int on_tick(void *arg)
{
	struct incoming *incoming = arg;

	progress_tick(&incoming->progress);
	return 0;
}

static int fetch(struct ctl *ctl, struct qs_http_unix_request request, const char *doing,
        struct incoming *ret_incoming, struct qs_http_unix_response *ret_response)
{
	int r;

	*ret_incoming = (struct incoming){ .ctl = ctl };
	progress_begin(&ret_incoming->progress, doing);
	request.begun = on_begun;
	request.chunk = on_chunk;
	request.tick = on_tick;
	request.arg = ret_incoming;
	r = qs_http_unix_perform(ctl->http, &request, ret_response);
	progress_end(&ret_incoming->progress);
	if (r >= 0 && ret_incoming->shown && ctl->style.terminal && ret_incoming->last != '\n')
		putchar('\n');
	return r;
}

/* --- what has failed --- */

/* What the server said to the daemon, a line at a time. */
static void tell_upstream(const json_t *upstream)
{
	const char *body = field_text(upstream, "body");
	size_t size = strlen(body);

	if (!json_is_object(upstream))
		return;
	ctl_complain("the server's answer: %llu %s%s%.*s%s",
	        (unsigned long long)field_unsigned(upstream, "status"),
	        field_text(upstream, "type"), size > 0 ? "\n" : "",
	        (int)MIN(size, (size_t)UPSTREAM_MAX), body, size > UPSTREAM_MAX ? "..." : "");
}

static void tell_how_far(const json_t *problem, const char *verdict)
{
	unsigned long long attempts = field_unsigned(problem, "attempts");
	const char *phase = field_text(problem, "phase");
	bool over = !*phase || strcmp(phase, "over") == 0;

	ctl_complain("call %llu: %s after %llu attempt%s%s%s, %llu bytes received",
	        (unsigned long long)field_unsigned(problem, "call"), verdict, attempts,
	        attempts == 1 ? "" : "s", over ? "" : ", while ", over ? "" : phase,
	        (unsigned long long)field_unsigned(problem, "received"));
}

/* A 503 says either that the call was ended, then it has a verdict, or that none can begin. */
static enum ctl_status judge_call(
        const struct ctl *ctl, const struct qs_http_unix_response *response, const char *what)
{
	_cleanup_(json_freep) json_t *problem = json_loadb(response->body, response->size, 0, NULL);
	enum ctl_status status = client_judge(ctl, response, what);
	const char *verdict = field_text(problem, "verdict");

	if (status == CTL_OK)
		return status;
	if (!ctl->options.json && *verdict)
		tell_how_far(problem, verdict);
	if (!ctl->options.json)
		tell_upstream(json_object_get(problem, "upstream"));
	return response->status == 503 && !*verdict ? CTL_REFUSED : status;
}

/* --- call --- */

static void on_interrupt(int signo)
{
	static const char text[] = "quiescectl: interrupted: hung up, which cancels the call\n";
	int before = errno;

	if (isatty(STDERR_FILENO))
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)signal(signo, SIG_DFL);
	(void)raise(signo);
	errno = before;
}

static enum ctl_status print_id(const struct ctl *ctl, const struct incoming *incoming)
{
	_cleanup_(json_freep) json_t *call = NULL;
	struct qs_http_unix_response response = { .body = incoming->text, .size = incoming->size };
	enum ctl_status status = client_read(&response, &call);

	if (status != CTL_OK)
		return status;
	if (ctl->options.json)
		client_print_body(&response);
	else
		printf("%llu\n", (unsigned long long)field_unsigned(call, "id"));
	return CTL_OK;
}

/* What was said instead of an answer. */
static enum ctl_status conclude(
        const struct ctl *ctl, const struct incoming *incoming, long status, const char *what)
{
	struct qs_http_unix_response response = { .status = status,
		.body = incoming->text ? incoming->text : (char *)"",
		.size = incoming->size };

	return judge_call(ctl, &response, what);
}

static enum ctl_status call_once(struct ctl *ctl, const char *name)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	_cleanup_(freep) char *payload = NULL, *path = NULL, *doing = NULL;
	bool detach = ctl->options.detach;
	struct incoming incoming;
	enum ctl_status status = read_payload(ctl, &payload);
	int r;

	if (status != CTL_OK)
		return status;
	path = client_path("/v1/workers/", name, detach ? "/call?detach" : "/call");
	if (!path || asprintf(&doing, "%s %s", ctl->options.verb->doing, name) < 0)
		return ctl_out_of_memory();
	if (!detach) {
		(void)signal(SIGINT, on_interrupt);
		(void)signal(SIGTERM, on_interrupt);
	}
	r = fetch(ctl,
	        (struct qs_http_unix_request){
	                .method = "POST", .path = path, .body = payload, .deadline = QS_FOREVER },
	        doing, &incoming, &response);
	if (r < 0)
		status = client_explain(ctl, r);
	else if (response.status == 202)
		status = print_id(ctl, &incoming);
	else if (!incoming.shown)
		status = conclude(ctl, &incoming, response.status, name);
	free(incoming.text);
	return status;
}

enum ctl_status run_call(struct ctl *ctl)
{
	const char *name = ctl->options.arguments[0];

	return ctl->options.batch ? batch_run(ctl, name) : call_once(ctl, name);
}

/* --- answer --- */

static enum ctl_status tell_not_over(const struct ctl *ctl, const struct incoming *incoming)
{
	_cleanup_(json_freep) json_t *call =
	        json_loadb(incoming->text ? incoming->text : "", incoming->size, 0, NULL);
	const char *state = field_text(call, "state");

	ctl_complain("call %s is not over yet%s%s", ctl->options.arguments[0], *state ? ": " : "",
	        state);
	return CTL_TIMED_OUT;
}

enum ctl_status run_answer(struct ctl *ctl)
{
	_cleanup_(qs_http_unix_response_done) struct qs_http_unix_response response = { 0 };
	uint64_t span = ctl->options.wait ? ctl->options.wait_span : 0;
	_cleanup_(freep) char *path = NULL, *doing = NULL;
	const char *id = ctl->options.arguments[0];
	char suffix[64] = "/answer";
	struct incoming incoming;
	enum ctl_status status = CTL_OK;
	int r;

	if (span > 0)
		snprintf(suffix, sizeof(suffix), "/answer?wait=%llums",
		        (unsigned long long)MAX(UINT64_C(1), span / QS_MSEC));
	path = client_path("/v1/calls/", id, suffix);
	if (!path || asprintf(&doing, "%s %s", ctl->options.verb->doing, id) < 0)
		return ctl_out_of_memory();
	r = fetch(ctl,
	        (struct qs_http_unix_request){ .method = "GET",
	                .path = path,
	                .deadline = qs_time_add(qs_time_now(), qs_time_add(span, SLACK)) },
	        doing, &incoming, &response);
	if (r < 0)
		status = client_explain(ctl, r);
	else if (response.status == 202)
		status = tell_not_over(ctl, &incoming);
	else if (!incoming.shown)
		status = conclude(ctl, &incoming, response.status, id);
	free(incoming.text);
	return status;
}
