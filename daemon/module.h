/*
 * The daemon's end of the socket pair to a module's host. It takes so many lines a moment and
 * leaves the rest to wait; what does not fit is the host's loss. Loop thread only.
 */
#ifndef QUIESCED_MODULE_H
#define QUIESCED_MODULE_H

#include "daemon/module_told.h"
#include "daemon/worker.h"

struct module_link;

/* Makes both ends; the host's is the caller's to close once it was handed over. */
QS_MUST_CHECK int module_link_new(
        struct worker *worker, struct module_link **ret_link, int *ret_host_fd);

/* NULL is fine. */
void module_link_free(struct module_link *link);

/* The host has begun; it is the task of the worker's present run. */
void module_link_begin(struct module_link *link, struct qs_task *task);

/* The host has ended like that: what it said last is read, and what it left alive ended with it. */
void module_link_end(struct module_link *link, enum qs_verdict verdict);

const struct module_told *module_link_told(const struct module_link *link);

#endif
