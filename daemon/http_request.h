/* An HTTP request made of a worker's templates and a payload. */
#ifndef QUIESCED_HTTP_REQUEST_H
#define QUIESCED_HTTP_REQUEST_H

#include <stddef.h>

#include <jansson.h>
#include <quiesce/http.h>

#include "daemon/config_http.h"
#include "lib/macro.h"

struct http_memory;

struct http_made {
	struct qs_http_request request; /* valid until http_made_done */
	struct http_memory *memory;     /* private */
};

/*
 * `payload` may be NULL: none. -EINVAL: the payload lacks what a template names, or that does not
 * fit there; -EMSGSIZE: something would become too large; `problem` says which, for the caller,
 * without a secret or a value in it. -ENOMEM. The configuration outlives what is made.
 */
QS_MUST_CHECK int http_request_make(const struct http_config *config, const json_t *payload,
        struct http_made *ret_made, char *problem, size_t problem_size);
void http_made_done(struct http_made *made);

/*
 * Whether an answer is what the worker expects: 1, or 0 with `problem` saying what is wrong with
 * it. -ENOMEM.
 */
QS_MUST_CHECK int http_expected(const struct http_config *config,
        const struct qs_http_response *response, char *problem, size_t problem_size);

#endif
