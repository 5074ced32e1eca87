/* JSON from outside, on its way in: payloads of calls, and answers that are looked into. It is not
 * deep, so that a fiber's stack can walk through it. */
#ifndef QUIESCED_PAYLOAD_H
#define QUIESCED_PAYLOAD_H

#include <stddef.h>

#include <jansson.h>

#include "lib/macro.h"

#define PAYLOAD_DEPTH_MAX 64

/*
 * Any JSON value; NULL when there is nothing but white space. The caller's to release. -EINVAL: it
 * is no JSON, or too deep, or says the same key twice; `problem` says what and where, and shows
 * nothing of it. -ENOMEM.
 */
QS_MUST_CHECK int payload_parse(
        const char *text, size_t size, json_t **ret_json, char *problem, size_t problem_size);

#endif
