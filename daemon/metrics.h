/* The metrics in Prometheus' text format: prefix quiesced_, base units, no ids as labels. */
#ifndef QUIESCED_METRICS_H
#define QUIESCED_METRICS_H

#include <stddef.h>

#include <quiesce/export.h>

struct daemon;

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* malloc'ed. -ENOMEM. */
QS_MUST_CHECK int metrics_write(const struct daemon *daemon, char **ret_text, size_t *ret_size);

#endif
