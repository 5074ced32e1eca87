/* Heartbeats: something promises to be heard from every so often; a miss is called out once. */
#ifndef QS_HEALTH_H
#define QS_HEALTH_H

#include <stdint.h>

#include "lib/loop.h"

struct qs_heartbeat {
	struct qs_timer timer;
	uint64_t span;    /* ns; 0: nothing is promised */
	uint64_t last_at; /* when it was last heard, absolute; 0: never */
	uint64_t due_at;  /* when it will have been missed, absolute; QS_FOREVER: nothing is due */
	void (*missed)(struct qs_heartbeat *heartbeat);
};

/* -ENOMEM. */
QS_MUST_CHECK int qs_heartbeat_init(struct qs_loop *loop, struct qs_heartbeat *heartbeat,
        void (*missed)(struct qs_heartbeat *));
void qs_heartbeat_done(struct qs_heartbeat *heartbeat);

/* The next beat is due `span` from now. Started again it begins anew. */
void qs_heartbeat_start(struct qs_heartbeat *heartbeat, uint64_t span);
void qs_heartbeat_stop(struct qs_heartbeat *heartbeat);

/* Heard from: the next is due `span` from now. After a miss it is noted, and nothing is due until
 * the next start. */
void qs_heartbeat_beat(struct qs_heartbeat *heartbeat);

/* Puts the present due time off to `span` from now, if that is later (EXTEND_TIMEOUT_USEC=); a beat
 * does not take that back. */
void qs_heartbeat_extend(struct qs_heartbeat *heartbeat, uint64_t span);

#endif
