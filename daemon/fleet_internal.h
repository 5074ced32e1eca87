/* What fleet.c and fleet_reload.c share. */
#ifndef QUIESCED_FLEET_INTERNAL_H
#define QUIESCED_FLEET_INTERNAL_H

#include "daemon/fleet.h"

/* Looks up who the worker waits for by this configuration. -ENOMEM: nothing changed. */
QS_MUST_CHECK int fleet_link(
        struct fleet *fleet, struct worker *worker, const struct worker_config *config);

/* Frees removed workers that have ended, and configurations that nobody uses any more. */
void fleet_free_removed(struct fleet *fleet);

#endif
