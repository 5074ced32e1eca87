/* Keys of HTTP work and of calls that contradict each other, or those of other work. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config_internal.h"
#include "daemon/http_shape.h"
#include "lib/retry.h"

#define W          "workers.NAME."
#define WHY_SIZE   200
#define SHORT(key) ((key) + sizeof(W) - 1)

/* What one check looks at. */
struct check {
	struct reader *reader;
	struct worker_config *worker;
	const struct source *source;
};

static struct mark said(const struct check *check, const char *path)
{
	return source_mark(check->source, path);
}

static bool is_said(const struct check *check, const char *path)
{
	return said(check, path).line > 0;
}

/* Each of these keys that is said is wrong, for one reason. */
static int refuse_each(const struct check *check, const char *const *paths, const char *why)
{
	int r = 0;
	for (; r == 0 && *paths; paths++)
		if (is_said(check, *paths))
			r = problem_add(check->reader, said(check, *paths), "workers.%s.%s: %s",
			        check->worker->name, SHORT(*paths), why);
	return r;
}

/* --- what belongs to whom --- */

static int check_call(const struct check *check)
{
	static const char *const of_calls[] = { W "concurrency", W "backlog", W "rate.count",
		W "rate.within", W "cache.size", W "cache.ttl", W "cache.headers", W "call.keep",
		W "call.keep_size", W "call.type", W "call.max_answer", W "call.timeout", NULL };
	static const char *const of_http[] = { W "cache.size", W "cache.ttl", W "cache.headers",
		NULL };
	static const char *const of_exec[] = { W "call.type", W "call.max_answer", W "call.timeout",
		NULL };
	static const char *const of_others[] = { W "ready.notify", W "ready.timeout", W "heartbeat",
		W "http.save", NULL };
	const struct worker_config *worker = check->worker;
	int r;
	if (worker->when != WHEN_CALL)
		return refuse_each(check, of_calls, "is for workers with when: call: leave it out");
	if (worker->module_path)
		return problem_add(check->reader, said(check, W "when"),
		        "workers.%s.when: a module cannot be called: exec and http can",
		        worker->name);
	r = refuse_each(check, of_others, "means nothing with when: call: leave it out");
	/* What is said counts: a value that is wrong has been told of, and is no other work. */
	if (r == 0 && !is_said(check, W "exec"))
		r = refuse_each(
		        check, of_exec, "is for exec: the server says it with http; leave it out");
	else if (r == 0)
		r = refuse_each(check, of_http,
		        "is for http: what a program answers is not kept; leave it out");
	return r;
}

static int check_cache(const struct check *check)
{
	static const char *const paths[] = { W "cache.ttl", W "cache.headers", NULL };
	const struct worker_config *worker = check->worker;
	for (size_t i = 0; worker->call.cache_size == 0 && paths[i]; i++)
		if (is_said(check, paths[i]))
			return warning_add(check->reader, said(check, paths[i]),
			        "workers.%s.%s: has no effect without cache.size", worker->name,
			        SHORT(paths[i]));
	return 0;
}

/* No process, and somebody to say when. */
static int check_not_exec(const struct check *check)
{
	static const char why[] = "is for processes: leave it out with http";
	static const char *const told[] = { W "ready.notify", W "ready.timeout", W "heartbeat",
		NULL };
	/* What is saved goes there. */
	static const char *const paths[] = { W "working_directory", W "environment", W "umask",
		W "limits.memory", W "limits.pids", W "limits.open_files", W "stop.signal",
		W "stop.cancel_signal", W "stop.success", NULL };
	struct worker_config *worker = check->worker;
	struct mark mark = said(check, W "when");
	if (mark.line == 0)
		return problem_add(check->reader, worker->mark,
		        "workers.%s: has http and does not say when: add when: every 30s to poll, "
		        "when: once, or when: call to be called",
		        worker->name);
	if (worker->when == WHEN_ALWAYS)
		return problem_add(check->reader, mark,
		        "workers.%s.when: 'always' is refused with http, which has an end: write "
		        "every SPAN, once or call",
		        worker->name);
	if (worker->when == WHEN_CALL) /* it has been told so of the others */
		return refuse_each(check, paths, why);
	int r = refuse_each(check, told, why);
	return r < 0 ? r : refuse_each(check, paths + 1, why);
}

/* --- URL, headers and body --- */

/* {{payload}} where there is none. */
static int check_payload(
        const struct check *check, const char *path, const struct template *template)
{
	const char *place = template ? template_payload(template) : NULL;
	if (!place || check->worker->when == WHEN_CALL)
		return 0;
	return problem_add(check->reader, said(check, path),
	        "workers.%s.%s: '{{%.48s}}' has no payload to stand for: only calls bring one, "
	        "with when: call",
	        check->worker->name, SHORT(path), place);
}

static bool is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

static int check_header(const struct check *check, const struct http_header_config *header)
{
	size_t count;
	const struct template_part *parts = template_parts(header->value, &count);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; parts[i].kind != TEMPLATE_PAYLOAD && j < parts[i].size; j++)
			if (is_control(parts[i].text[j]))
				return problem_add(check->reader, said(check, W "http.headers"),
				        "workers.%s.http.headers.%s: has control characters, such "
				        "as a newline: no header may have them",
				        check->worker->name, header->name);
	return check_payload(check, W "http.headers", header->value);
}

static int check_body(const struct check *check)
{
	const struct http_config *http = &check->worker->http;
	struct mark mark = said(check, W "http.body");
	enum template_form form;
	bool known = http_shape_body(http, &form);
	if (!http->body)
		return 0;
	if (!known && template_payload(http->body))
		return problem_add(check->reader, mark,
		        "workers.%s.http.body: how values stand in a body of this Content-Type is "
		        "not known: write application/json, text/plain or "
		        "application/x-www-form-urlencoded",
		        check->worker->name);
	int r = form == TEMPLATE_JSON ? template_makes_json(http->body) : 1;
	if (r == 0)
		r = problem_add(check->reader, mark,
		        "workers.%s.http.body: is no JSON: correct it, or say what it is by a "
		        "header, such as Content-Type: text/plain",
		        check->worker->name);
	return r < 0 ? r : check_payload(check, W "http.body", http->body);
}

static bool sends_secrets(const struct http_config *http)
{
	bool secret = template_is_secret(http->url) ||
	              (http->body && template_is_secret(http->body)) ||
	              http_shape_header(http, "Authorization") || http_shape_header(http, "Cookie");
	for (size_t i = 0; !secret && http->headers[i].name; i++)
		secret = template_is_secret(http->headers[i].value);
	return secret;
}

static int check_url(const struct check *check)
{
	const struct worker_config *worker = check->worker;
	struct mark mark = said(check, W "http.url");
	struct http_target target;
	char why[WHY_SIZE];
	int r = http_shape_url(worker->http.url, &target, why, sizeof(why));
	if (r == -EINVAL)
		return problem_add(
		        check->reader, mark, "workers.%s.http.url: %s", worker->name, why);
	if (r == 0 && !target.tls && !target.local && (target.user || sends_secrets(&worker->http)))
		r = warning_add(check->reader, mark,
		        "workers.%s.http.url: sends credentials over plain http, where everybody "
		        "on the way can read them: write https",
		        worker->name);
	return r < 0 ? r : check_payload(check, W "http.url", worker->http.url);
}

static int check_request(const struct check *check)
{
	const struct http_config *http = &check->worker->http;
	int r = check_url(check);
	for (size_t i = 0; r == 0 && http->headers[i].name; i++)
		r = check_header(check, &http->headers[i]);
	return r < 0 ? r : check_body(check);
}

/* --- the rest --- */

static int check_retry(const struct check *check)
{
	static const char *const paths[] = { W "http.retry.base", W "http.retry.cap",
		W "http.retry.retry_after_max", W "http.retry.statuses", W "http.retry.unsafe",
		W "http.retry.budget", NULL };
	const struct worker_config *worker = check->worker;
	const struct qs_retry_plan *retry = &worker->http.retry;
	char base[64], cap[64];
	for (size_t i = 0; retry->attempts == 1 && paths[i]; i++)
		if (is_said(check, paths[i]))
			return warning_add(check->reader, said(check, paths[i]),
			        "workers.%s.%s: has no effect: retry.attempts is 1", worker->name,
			        SHORT(paths[i]));
	if (retry->attempts > 1 && !is_said(check, W "http.retry.unsafe") &&
	        !qs_retry_is_idempotent(worker->http.method))
		return warning_add(check->reader, said(check, W "http.retry.attempts"),
		        "workers.%s.http.retry: %s is not idempotent: what the server may have "
		        "received is not tried again, an answer such as 504 neither: write unsafe: "
		        "true if it may be, unsafe: false if not",
		        worker->name, worker->http.method);
	if (retry->cap >= retry->base)
		return 0;
	return warning_add(check->reader,
	        said(check, is_said(check, paths[1]) ? paths[1] : paths[0]),
	        "workers.%s.http.retry: cap (%s) is below base (%s), so every back-off is up to "
	        "cap: raise cap or lower base",
	        worker->name, span_format(retry->cap, cap, sizeof(cap)),
	        span_format(retry->base, base, sizeof(base)));
}

static int check_expect(const struct check *check)
{
	if (!check->worker->http.expect_equals || check->worker->http.expect_pointer)
		return 0;
	return problem_add(check->reader, said(check, W "http.expect.equals"),
	        "workers.%s.http.expect.equals: means nothing without expect.pointer: write "
	        "pointer: \"\" for the whole answer, or leave it out",
	        check->worker->name);
}

/* What was left out, and depends on what was not. */
static int complete(struct worker_config *worker)
{
	struct http_config *http = &worker->http;
	http->retry.statuses = http->retry_statuses;
	if (http->method)
		return 0;
	http->method = strdup(http->body || worker->when == WHEN_CALL ? "POST" : "GET");
	return http->method ? 0 : -ENOMEM;
}

int config_check_http(
        struct reader *reader, struct worker_config *worker, const struct source *source)
{
	const struct check check = { reader, worker, source };
	int r = check_call(&check);
	if (r == 0)
		r = check_cache(&check);
	if (r < 0 || !worker->http.url || worker->exec || worker->module_path)
		return r;
	r = check_not_exec(&check);
	if (r == 0)
		r = check_request(&check);
	if (r == 0)
		r = complete(worker);
	if (r == 0)
		r = check_retry(&check);
	return r < 0 ? r : check_expect(&check);
}
