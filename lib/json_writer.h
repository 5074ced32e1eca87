/*
 * JSON straight to a descriptor, without allocation: for reports that must be written while the
 * allocator's lock is held by a stuck thread. Errors stick; look at them once, at the end.
 */
#ifndef QS_JSON_WRITER_H
#define QS_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer {
	int fd, error; /* the first negative errno, 0 while all is well */
	unsigned depth;
	bool fresh; /* nothing stands in the present object or array yet */
	size_t used;
	char buffer[32 * 1024];
};

void json_writer_init(struct json_writer *writer, int fd);
int json_writer_finish(struct json_writer *writer); /* newline, flush; the first error or 0 */

/* `key` NULL inside arrays and at the top. Texts are made valid UTF-8; a NULL text is null. */
void qs_json_begin_object(struct json_writer *writer, const char *key);
void qs_json_end_object(struct json_writer *writer);
void qs_json_begin_array(struct json_writer *writer, const char *key);
void qs_json_end_array(struct json_writer *writer);
void qs_json_string(struct json_writer *writer, const char *key, const char *text);
void qs_json_unsigned(struct json_writer *writer, const char *key, uint64_t value);
void qs_json_signed(struct json_writer *writer, const char *key, int64_t value);
void qs_json_milliseconds(
        struct json_writer *writer, const char *key, int64_t nanoseconds); /* 12.345 */
void qs_json_bool(struct json_writer *writer, const char *key, bool value);
void qs_json_null(struct json_writer *writer, const char *key);

#endif
