/*
 * A batch: one call for each line of a file, so many at once, each answer in a file of its own.
 * What has been answered is seen from the directory, so that a run that was stopped can be gone on
 * with.
 */
#ifndef QUIESCECTL_BATCH_H
#define QUIESCECTL_BATCH_H

#include "daemon/ctl/ctl.h"

/* --batch, --out, --jobs and --force are in the options. */
enum ctl_status batch_run(struct ctl *ctl, const char *worker);

#endif
