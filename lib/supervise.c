/*
 * Back-off with full jitter: the delay is drawn from the whole range up to its bound, so that what
 * failed together does not come back together.
 */
#include "lib/supervise.h"

#include <errno.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/macro.h"

#define NO_TIME QS_FOREVER /* in a ring: nothing was added here yet */

uint64_t qs_random_next(struct qs_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* The high half of a product: as even as jitter needs, without a division. */
uint64_t qs_random_below(struct qs_random *random, uint64_t bound)
{
	return (uint64_t)((unsigned __int128)qs_random_next(random) * bound >> 64);
}

/* min(cap, base * 2^n), without overflow. */
static uint64_t longest_delay(const struct qs_backoff_plan *plan, unsigned n)
{
	if (n >= 64 || plan->base > plan->cap >> n)
		return plan->base == 0 ? 0 : plan->cap;
	return plan->base << n;
}

uint64_t qs_backoff_next(struct qs_backoff *backoff, const struct qs_backoff_plan *plan,
        uint64_t ran, struct qs_random *random)
{
	if (plan->reset_after > 0 && ran >= plan->reset_after)
		backoff->failures = 0;
	uint64_t longest = longest_delay(plan, backoff->failures);
	if (backoff->failures < UINT32_MAX)
		backoff->failures++;
	return qs_random_below(random, qs_time_add(longest, 1));
}

int qs_rate_init(struct qs_rate *rate, unsigned count, uint64_t within)
{
	uint64_t *times = NULL;

	if (count > 0) {
		times = qs_malloc(count * sizeof(*times));
		if (!times)
			return -ENOMEM;
		for (unsigned i = 0; i < count; i++)
			times[i] = NO_TIME;
	}
	*rate = (struct qs_rate){ .within = within, .times = times, .count = count };
	return 0;
}

void qs_rate_done(struct qs_rate *rate)
{
	qs_free(rate->times);
	*rate = (struct qs_rate){ 0 };
}

uint64_t qs_rate_free_at(const struct qs_rate *rate, uint64_t now)
{
	if (rate->count == 0 || rate->times[rate->next] == NO_TIME)
		return now;
	return MAX(now, qs_time_add(rate->times[rate->next], rate->within));
}

void qs_rate_add(struct qs_rate *rate, uint64_t now)
{
	if (rate->count == 0)
		return;
	rate->times[rate->next] = now;
	rate->next = (rate->next + 1) % rate->count;
}

/* The first of `count` restarts opens the window; a delay lies before each of the others. */
bool qs_backoff_can_reach(const struct qs_backoff_plan *plan, unsigned count, uint64_t within)
{
	uint64_t sum = 0;

	for (unsigned n = 1; n < count && sum <= within; n++)
		sum = qs_time_add(sum, longest_delay(plan, n) / 2);
	return sum <= within;
}
