/* What the threads of a runtime share, counted by its users. */
#include "lib/ground.h"

#include <errno.h>

#include "lib/alloc.h"
#include "lib/stop.h"

int qs_ground_new(struct qs_ground **ret_ground)
{
	struct qs_ground *ground = qs_calloc(1, sizeof(*ground));

	if (!ground)
		return -ENOMEM;
	atomic_init(&ground->users, 1);
	int r = qs_ledger_new(&ground->ledger);
	if (r == 0)
		r = qs_stop_new(NULL, &ground->stop);
	if (r < 0) {
		qs_ground_unref(ground);
		return r;
	}
	ground->stop_sets = qs_stop_sets(ground->stop);
	*ret_ground = ground;
	return 0;
}

struct qs_ground *qs_ground_ref(struct qs_ground *ground)
{
	atomic_fetch_add_explicit(&ground->users, 1, memory_order_relaxed);
	return ground;
}

void qs_ground_unref(struct qs_ground *ground)
{
	if (!ground || atomic_fetch_sub_explicit(&ground->users, 1, memory_order_acq_rel) != 1)
		return;
	qs_stop_free(ground->stop);
	qs_ledger_free(ground->ledger);
	qs_free(ground);
}
