/* JSON pointers (RFC 6901): "" is all of a document, "/a/0/b~1c" a part of it. */
#ifndef QUIESCED_JSON_POINTER_H
#define QUIESCED_JSON_POINTER_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define JSON_POINTER_MAX 1023 /* bytes of one */

bool json_pointer_is_valid(const char *pointer);

/* What it points to, of the document's; NULL: there is nothing. */
const json_t *json_pointer_find(const json_t *document, const char *pointer);

/* Appends "/TOKEN" with what must be escaped escaped. False: it becomes too long. */
bool json_pointer_append(char pointer[static JSON_POINTER_MAX + 1], const char *token, size_t size);

#endif
