/*
 * The directory of a batch: an answer is NAME.EXTENSION, what has failed is a line in failed.jsonl,
 * and .batch.json says what batch it is of. An answer is there as a whole or not at all.
 */
#ifndef QUIESCECTL_BATCH_OUTPUT_H
#define QUIESCECTL_BATCH_OUTPUT_H

#include <jansson.h>

#include "daemon/ctl/batch_input.h"
#include "daemon/ctl/batch_names.h"
#include "daemon/ctl/ctl.h"

struct batch_output {
	const char *path;
	int fd;                 /* of the directory; locked */
	int failed_fd;          /* of failed.jsonl */
	uint64_t failed_before; /* lines that failed in the run before */
	struct batch_names names;
};

/* Makes it or looks through it. What is wrong is told. */
enum ctl_status batch_output_open(struct batch_output *output, const struct options *options,
        const char *worker, const struct batch_input *input);
void batch_output_close(struct batch_output *output);

/* Any thread. A negative errno: nothing is there. */
QS_MUST_CHECK int batch_output_save(const struct batch_output *output, const char *name,
        const char *type, const void *data, size_t size);

/* Adds a line about one that failed: {"line", "name", "problem"}. -ENOMEM, or why it could not be
 * written: then nothing of it is. */
QS_MUST_CHECK int batch_output_fail(
        struct batch_output *output, const struct batch_line *line, json_t *problem);

#endif
