/* What of a request is settled when the configuration is read: where it goes, and what its body
 * is. A payload changes neither. */
#ifndef QUIESCED_HTTP_SHAPE_H
#define QUIESCED_HTTP_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config_http.h"
#include "daemon/template.h"

struct http_target {
	bool tls;
	bool user;  /* it names a user, and maybe a password */
	bool local; /* this very machine */
};

/*
 * Whether it is the URL of a host, whatever the payload. -EINVAL: `problem` says what is wrong,
 * without a word of the URL, which may be secret. -ENOMEM.
 */
QS_MUST_CHECK int http_shape_url(const struct template *url, struct http_target *ret_target,
        char *problem, size_t problem_size);

/* Whether a path climbs: "." or "..", in whatever spelling, between slashes. `url` is one. */
bool http_shape_climbs(const char *url);

/* The header of that name, whatever its case; NULL: there is none. */
const struct http_header_config *http_shape_header(
        const struct http_config *config, const char *name);

/*
 * How values stand in a body: by its Content-Type, JSON without one. False: nobody knows, and there
 * can be no values in it.
 */
bool http_shape_body(const struct http_config *config, enum template_form *ret_form);

#endif
