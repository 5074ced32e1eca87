/* The file of a batch: a payload a line, which are read one by one. */
#ifndef QUIESCECTL_BATCH_INPUT_H
#define QUIESCECTL_BATCH_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <quiesce/export.h>

#define BATCH_DIGEST_SIZE 65  /* sha256 in hexadecimal */
#define BATCH_NAME_SIZE   201 /* of what answers are called: at most 200 bytes */

struct batch_input {
	FILE *file;
	const char *path;
	struct stat begin;              /* what the file was like */
	uint64_t lines;                 /* that have a payload */
	uint64_t number;                /* of the latest line, from 1 on, empty ones counted */
	char digest[BATCH_DIGEST_SIZE]; /* of all of it */
};

struct batch_line {
	uint64_t number;
	char *text; /* its owner frees it */
	size_t size;
	char name[BATCH_NAME_SIZE]; /* its id, or its number in seven digits */
	const char *wrong;          /* why there can be no call; NULL: there can */
};

/* Opens it and reads it once, for its digest. A negative errno; -EINVAL: it is no regular file. */
QS_MUST_CHECK int batch_input_open(struct batch_input *input, const char *path);
void batch_input_close(struct batch_input *input);

/* The next line that has a payload: 1, 0 at the end, -ENOMEM, -EIO. */
QS_MUST_CHECK int batch_input_next(struct batch_input *input, struct batch_line *ret_line);

/* Whether the file is another than the one that was opened, or was written to. */
bool batch_input_changed(const struct batch_input *input);

#endif
