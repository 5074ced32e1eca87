#include "daemon/http_shape.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A template with a letter for each place, and how much comes before the first of them. */
static int example_of(const struct template *template, char **ret_text, size_t *ret_fixed)
{
	size_t count, size = 1, fixed = SIZE_MAX;
	const struct template_part *parts = template_parts(template, &count);
	for (size_t i = 0; i < count; i++)
		size += parts[i].size + 1;
	/* Never less than a scheme, so that what compilers know of sizes is no riddle. */
	char *text = malloc(size + sizeof("https://")), *to = text;
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		bool place = parts[i].kind == TEMPLATE_PAYLOAD;
		if (place)
			fixed = MIN(fixed, (size_t)(to - text));
		to = place ? mempcpy(to, "x", 1) : mempcpy(to, parts[i].text, parts[i].size);
	}
	*to = 0;
	*ret_text = text;
	*ret_fixed = fixed;
	return 0;
}

static void wipep(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

static int refuse(char *problem, size_t problem_size, const char *why)
{
	(void)snprintf(problem, problem_size, "%s", why);
	return -EINVAL;
}

/* --- URLs --- */

static bool all_characters_fit(const struct template *url)
{
	size_t count;
	const struct template_part *parts = template_parts(url, &count);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; parts[i].kind != TEMPLATE_PAYLOAD && j < parts[i].size; j++) {
			char c = parts[i].text[j];
			if (c <= ' ' || c > '~' || strchr("\"<>\\^`{|}#", c))
				return false;
		}
	return true;
}

static bool is_port(const char *text)
{
	size_t length = strspn(text, "0123456789");
	long port = length > 0 && length <= 5 && text[length] == 0 ? strtol(text, NULL, 10) : 0;
	return port >= 1 && port <= 65535;
}

/* "name", "name:8080" or "[::1]:8080". */
static bool is_host(const char *host)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                              "0123456789-._";
	size_t length = strspn(host, letters);
	if (host[0] == '[') {
		length = 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
		if (length < 3 || host[length++] != ']')
			return false;
	}
	if (length == 0)
		return false;
	return host[length] == 0 || (host[length] == ':' && is_port(host + length + 1));
}

static bool is_local(const char *host)
{
	size_t length = strcspn(host, ":");
	return (length == 9 && strncasecmp(host, "localhost", 9) == 0) ||
	       strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0;
}

/* "." or "..", in whatever spelling. */
static bool is_dots(const char *segment, size_t size)
{
	size_t dots = 0;
	while (size > 0 && dots < 3) {
		size_t length = 1;
		if (size >= 3 && strncasecmp(segment, "%2e", 3) == 0)
			length = 3;
		else if (segment[0] != '.')
			return false;
		segment += length;
		size -= length;
		dots++;
	}
	return size == 0 && (dots == 1 || dots == 2);
}

bool http_shape_climbs(const char *url)
{
	const char *scheme = strstr(url, "://"), *at = scheme ? scheme + 3 : url;
	at += strcspn(at, "/?#");
	while (*at == '/') {
		size_t size = strcspn(at + 1, "/?#");
		if (is_dots(at + 1, size))
			return true;
		at += size + 1;
	}
	return false;
}

static int check_authority(
        char *authority, struct http_target *target, char *problem, size_t problem_size)
{
	char *user = strrchr(authority, '@');
	const char *host = user ? user + 1 : authority;
	target->user = user != NULL;
	target->local = is_local(host);
	if (!is_host(host))
		return refuse(problem, problem_size,
		        "names no host: write http://HOST/ or https://HOST:PORT/");
	return 0;
}

/* Where the authority begins, behind the scheme. 0: there is no scheme that is known. */
static size_t find_authority(const char *text, bool *ret_tls)
{
	*ret_tls = strncasecmp(text, "https://", 8) == 0;
	if (!*ret_tls && strncasecmp(text, "http://", 7) != 0)
		return 0;
	return *ret_tls ? 8 : 7;
}

int http_shape_url(const struct template *url, struct http_target *ret_target, char *problem,
        size_t problem_size)
{
	struct http_target target = { 0 };
	_cleanup_(wipep) char *text = NULL;
	size_t fixed;
	int r = example_of(url, &text, &fixed);
	if (r < 0)
		return r;
	size_t begin = find_authority(text, &target.tls);
	size_t end = begin + strcspn(text + begin, "/?#");
	if (begin == 0 && fixed == SIZE_MAX)
		return refuse(problem, problem_size,
		        "is no URL that is known: begin it with http:// or https://");
	if (begin == 0 || fixed <= end)
		return refuse(problem, problem_size,
		        "has a place for the payload before its path: no payload may choose where "
		        "a request goes; write scheme, host and a / behind them");
	if (!all_characters_fit(url))
		return refuse(problem, problem_size,
		        "has characters that no URL has: percent-encode them, and leave out # and "
		        "what follows it");
	if (http_shape_climbs(text))
		return refuse(problem, problem_size,
		        "has . or .. in its path: write the path that is meant");
	text[end] = 0;
	r = check_authority(text + begin, &target, problem, problem_size);
	if (r == 0)
		*ret_target = target;
	return r;
}

/* --- bodies --- */

const struct http_header_config *http_shape_header(
        const struct http_config *config, const char *name)
{
	for (const struct http_header_config *header = config->headers; header->name; header++)
		if (strcasecmp(header->name, name) == 0)
			return header;
	return NULL;
}

static bool is_json_type(const char *type, size_t length)
{
	return (length == 16 && strncasecmp(type, "application/json", 16) == 0) ||
	       (length > 5 && strncasecmp(type + length - 5, "+json", 5) == 0);
}

bool http_shape_body(const struct http_config *config, enum template_form *ret_form)
{
	static const char form[] = "application/x-www-form-urlencoded";
	const struct http_header_config *header = http_shape_header(config, "Content-Type");
	*ret_form = TEMPLATE_JSON;
	if (!header)
		return true;
	size_t count;
	const struct template_part *part = template_parts(header->value, &count);
	*ret_form = TEMPLATE_TEXT;
	if (count != 1 || part->kind != TEMPLATE_LITERAL)
		return false;
	const char *type = part->text + strspn(part->text, " ");
	size_t length = strcspn(type, "; ");
	if (is_json_type(type, length))
		*ret_form = TEMPLATE_JSON;
	else if (length == sizeof(form) - 1 && strncasecmp(type, form, length) == 0)
		*ret_form = TEMPLATE_FORM;
	else
		return length == 10 && strncasecmp(type, "text/plain", 10) == 0;
	return true;
}
