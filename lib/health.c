/* Heartbeats over one timer each. Time put off is kept: a beat never makes the next one due
 * earlier. */
#include "lib/health.h"

#include "lib/macro.h"

static uint64_t now_of(const struct qs_heartbeat *heartbeat)
{
	return qs_loop_now(heartbeat->timer.loop);
}

static void set_due(struct qs_heartbeat *heartbeat, uint64_t at)
{
	heartbeat->due_at = at;
	qs_timer_arm(&heartbeat->timer, at);
}

static void due(struct qs_timer *timer)
{
	struct qs_heartbeat *heartbeat = container_of(timer, struct qs_heartbeat, timer);

	heartbeat->due_at = QS_FOREVER;
	heartbeat->missed(heartbeat);
}

int qs_heartbeat_init(
        struct qs_loop *loop, struct qs_heartbeat *heartbeat, void (*missed)(struct qs_heartbeat *))
{
	*heartbeat = (struct qs_heartbeat){ .due_at = QS_FOREVER, .missed = missed };
	return qs_timer_init(loop, &heartbeat->timer, due);
}

void qs_heartbeat_done(struct qs_heartbeat *heartbeat)
{
	qs_timer_done(&heartbeat->timer);
}

void qs_heartbeat_start(struct qs_heartbeat *heartbeat, uint64_t span)
{
	heartbeat->span = span;
	heartbeat->last_at = 0;
	set_due(heartbeat, span == 0 ? QS_FOREVER : qs_time_add(now_of(heartbeat), span));
}

void qs_heartbeat_stop(struct qs_heartbeat *heartbeat)
{
	heartbeat->span = 0;
	set_due(heartbeat, QS_FOREVER);
}

void qs_heartbeat_beat(struct qs_heartbeat *heartbeat)
{
	heartbeat->last_at = now_of(heartbeat);
	qs_heartbeat_extend(heartbeat, heartbeat->span);
}

void qs_heartbeat_extend(struct qs_heartbeat *heartbeat, uint64_t span)
{
	uint64_t at = qs_time_add(now_of(heartbeat), span);

	if (heartbeat->due_at != QS_FOREVER && at > heartbeat->due_at)
		set_due(heartbeat, at);
}
