/* What the control socket shows, as JSON. Each returns a new object, NULL for lack of memory. */
#ifndef QUIESCED_VIEW_H
#define QUIESCED_VIEW_H

#include <stdbool.h>

#include <jansson.h>

struct daemon;
struct worker;

/* `full`: with its latest lines and its last endings. */
json_t *view_worker(const struct worker *worker, bool full);
json_t *view_workers(const struct daemon *daemon);
json_t *view_daemon(const struct daemon *daemon);
/* null while no stop was asked for */
json_t *view_shutdown(const struct daemon *daemon);
json_t *view_status(const struct daemon *daemon);

#endif
