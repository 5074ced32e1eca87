/* Whether a request is sent again: a table of what may help, and a draw of when. See the header. */
#include "lib/retry.h"

#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/macro.h"

#define USUAL_BASE            (500 * QS_MSEC)
#define USUAL_CAP             (30 * QS_SEC)
#define USUAL_RETRY_AFTER_MAX (10 * QS_MIN)
#define USUAL_BUDGET          20

static const int usual_statuses[] = { 408, 425, 429, 500, 502, 503, 504, 0 };

/* Errors that may go away by themselves, and whether the server can have been asked by then. */
static const struct {
	int error;
	bool was_asked;
} passing[] = {
	{ EHOSTUNREACH, false },
	{ ECONNREFUSED, false },
	{ EPROTO, false },
	{ EMFILE, false },
	{ ECONNRESET, true },
	{ ETIME, true },
};

bool qs_retry_is_idempotent(const char *method)
{
	static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE" };

	if (!method)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (strcmp(method, methods[i]) == 0)
			return true;
	return false;
}

struct qs_retry_plan qs_retry_plan_of(const struct qs_retry_plan *plan)
{
	struct qs_retry_plan filled = *plan;

	filled.attempts = MAX(plan->attempts, 1U);
	if (plan->base == 0)
		filled.base = USUAL_BASE;
	if (plan->cap == 0)
		filled.cap = USUAL_CAP;
	if (plan->retry_after_max == 0)
		filled.retry_after_max = USUAL_RETRY_AFTER_MAX;
	if (plan->budget == 0)
		filled.budget = USUAL_BUDGET;
	return filled;
}

/* --- the budget --- */

void qs_retry_budget_init(struct qs_retry_budget *budget, unsigned percent)
{
	*budget = (struct qs_retry_budget){ .percent = percent };
}

/* The place of the present second; what is older than a minute is forgotten. */
static unsigned place(struct qs_retry_budget *budget, uint64_t now)
{
	uint64_t second = MAX(now / QS_SEC, budget->second);
	uint64_t passed = MIN(second - budget->second, (uint64_t)QS_RETRY_SECONDS);

	for (uint64_t i = 1; i <= passed; i++) {
		size_t old = (budget->second + i) % QS_RETRY_SECONDS;

		budget->call_sum -= TAKE(budget->calls[old], 0);
		budget->retry_sum -= TAKE(budget->retries[old], 0);
	}
	budget->second = second;
	return (unsigned)(second % QS_RETRY_SECONDS);
}

void qs_retry_budget_call(struct qs_retry_budget *budget, uint64_t now)
{
	budget->calls[place(budget, now)]++;
	budget->call_sum++;
}

bool qs_retry_budget_take(struct qs_retry_budget *budget, uint64_t now)
{
	unsigned at = place(budget, now);
	uint64_t granted = budget->call_sum * budget->percent / 100;

	if (budget->percent != QS_GATE_BUDGET_OFF &&
	        budget->retry_sum >= MAX(granted, (uint64_t)QS_RETRY_LEAST))
		return false;
	budget->retries[at]++;
	budget->retry_sum++;
	return true;
}

/* --- the decision --- */

static bool has_status(const struct qs_retry_plan *plan, int status)
{
	for (const int *at = plan->statuses ? plan->statuses : usual_statuses; *at != 0; at++)
		if (*at == status)
			return true;
	return false;
}

static enum qs_retry is_of_use(
        const struct qs_retry_plan *plan, const struct qs_retry_attempt *attempt)
{
	bool may_repeat = attempt->idempotent || plan->unsafe;

	if (attempt->error == 0 && !has_status(plan, attempt->status))
		return QS_RETRY_ANSWERED;
	if (attempt->error == 0)
		return may_repeat || attempt->status == 429 ? QS_RETRY_AGAIN : QS_RETRY_UNSAFE;
	for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
		if (passing[i].error == -attempt->error)
			return may_repeat || !passing[i].was_asked || !attempt->sent_any
			               ? QS_RETRY_AGAIN
			               : QS_RETRY_UNSAFE;
	return QS_RETRY_HOPELESS;
}

/*
 * A server that names a time is not asked earlier, and not by all at that very moment either: so
 * part of a back-off comes on top, as far as there is time for it.
 */
static uint64_t next_time(const struct qs_retry_plan *plan, const struct qs_retry_attempt *attempt,
        struct qs_random *random)
{
	const struct qs_backoff_plan backoff_plan = { .base = plan->base, .cap = plan->cap };
	struct qs_backoff backoff = { .failures =
		                              attempt->retry_after > 0 ? 0 : attempt->number - 1 };
	uint64_t delay = qs_backoff_next(&backoff, &backoff_plan, 0, random);
	uint64_t least = qs_time_add(attempt->now, attempt->retry_after);
	uint64_t at = qs_time_add(least, delay);

	return attempt->retry_after > 0 && at >= attempt->deadline ? least : at;
}

enum qs_retry qs_retry_decide(const struct qs_retry_plan *plan,
        const struct qs_retry_attempt *attempt, struct qs_retry_budget *budget,
        struct qs_random *random, uint64_t *ret_at)
{
	enum qs_retry use = is_of_use(plan, attempt);
	uint64_t at;

	if (use != QS_RETRY_AGAIN)
		return use;
	if (attempt->number >= plan->attempts)
		return QS_RETRY_EXHAUSTED;
	if (attempt->retry_after > plan->retry_after_max)
		return QS_RETRY_TOO_LATE;
	at = next_time(plan, attempt, random);
	if (at >= attempt->deadline)
		return QS_RETRY_TOO_LATE;
	if (budget && !qs_retry_budget_take(budget, attempt->now))
		return QS_RETRY_BUDGET;
	*ret_at = at;
	return QS_RETRY_AGAIN;
}
