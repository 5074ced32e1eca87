/*
 * As much of a URL as is told to people: where it leads, without user, password, path and query,
 * which may hold secrets.
 */
#ifndef QS_HTTP_URL_H
#define QS_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>

#include <quiesce/export.h>

struct qs_http_url {
	bool is_https;
	const char *shown; /* within the text: the host, and the port unless it is the scheme's */
	size_t shown_size;
};

/* -EPROTONOSUPPORT: neither http:// nor https://; -EINVAL. */
QS_MUST_CHECK int qs_http_url_parse(const char *text, struct qs_http_url *ret_url);

#endif
