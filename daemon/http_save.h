/* The file that takes an answer: as a whole or not at all. */
#ifndef QUIESCED_HTTP_SAVE_H
#define QUIESCED_HTTP_SAVE_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/task.h>

#include "lib/macro.h"

struct http_save {
	int directory_fd, fd; /* -1: none */
	char temporary[300];  /* the name in that directory, "": there is none */
};
#define HTTP_SAVE_NONE ((struct http_save){ .directory_fd = -1, .fd = -1 })

/*
 * Writes the bytes to a temporary file beside `path` and puts it in its place; relative to
 * `directory` (NULL: the daemon's). Lets others run in between: -ECANCELED. On failure the old file
 * is as it was, and `problem` says what went wrong. `id` tells temporary files apart.
 */
struct http_save_plan {
	const char *path, *directory;
	const void *data;
	size_t size;
	uint64_t id;
};
QS_MUST_CHECK int http_save(qs_task *self, struct http_save *save,
        const struct http_save_plan *plan, char *problem, size_t problem_size);

/* What is left of one that did not come to its end; also after http_save. */
void http_save_done(struct http_save *save);

#endif
