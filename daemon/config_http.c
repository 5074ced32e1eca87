/* What an `http` worker asks, once it is read: its end, and whether two are the same. */
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"
#include "daemon/template.h"

void http_config_done(struct http_config *http)
{
	template_free(http->url);
	free(http->method);
	http_headers_free(http->headers);
	template_free(http->body);
	free(http->retry_statuses);
	free(http->ca_file);
	free(http->expect_statuses);
	free(http->expect_pointer);
	free(http->expect_equals);
	free(http->save);
}

void call_config_done(struct call_config *call)
{
	strings_free(call->cache_headers);
	free(call->type);
}

static bool same_headers(const struct http_header_config *a, const struct http_header_config *b)
{
	for (; a->name && b->name; a++, b++)
		if (strcmp(a->name, b->name) != 0 || !template_equal(a->value, b->value))
			return false;
	return !a->name && !b->name;
}

static bool same_statuses(const int *a, const int *b)
{
	if (!a || !b)
		return a == b;
	for (; *a && *a == *b; a++, b++)
		continue;
	return *a == *b;
}

static bool same_limits(const struct qs_http_limits *a, const struct qs_http_limits *b)
{
	return a->connect_timeout == b->connect_timeout &&
	       a->first_byte_timeout == b->first_byte_timeout &&
	       a->idle_timeout == b->idle_timeout && a->timeout == b->timeout &&
	       a->response_max == b->response_max && a->redirects == b->redirects;
}

static bool same_retry(const struct http_config *a, const struct http_config *b)
{
	return a->retry.attempts == b->retry.attempts && a->retry.base == b->retry.base &&
	       a->retry.cap == b->retry.cap &&
	       a->retry.retry_after_max == b->retry.retry_after_max &&
	       a->retry.unsafe == b->retry.unsafe && a->retry.budget == b->retry.budget &&
	       same_statuses(a->retry_statuses, b->retry_statuses);
}

bool http_config_same(const struct http_config *a, const struct http_config *b)
{
	return template_equal(a->url, b->url) && same_text(a->method, b->method) &&
	       same_headers(a->headers, b->headers) && template_equal(a->body, b->body) &&
	       same_limits(&a->limits, &b->limits) && a->compressed == b->compressed &&
	       same_retry(a, b) && same_text(a->ca_file, b->ca_file) &&
	       same_statuses(a->expect_statuses, b->expect_statuses) &&
	       same_text(a->expect_pointer, b->expect_pointer) &&
	       same_text(a->expect_equals, b->expect_equals) && same_text(a->save, b->save);
}

bool call_config_same(const struct call_config *a, const struct call_config *b)
{
	return a->concurrency == b->concurrency && a->backlog == b->backlog &&
	       a->rate_count == b->rate_count && a->rate_within == b->rate_within &&
	       a->cache_size == b->cache_size && a->cache_ttl == b->cache_ttl &&
	       same_strings(a->cache_headers, b->cache_headers) && a->keep == b->keep &&
	       a->keep_size == b->keep_size && same_text(a->type, b->type) &&
	       a->answer_max == b->answer_max && a->timeout == b->timeout;
}
