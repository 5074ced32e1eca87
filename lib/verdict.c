/* The design's table of verdicts: the first line that matches. */
#include "lib/verdict.h"

/* What was left behind by its leader was asked to go, but the verdict is the leader's. */
static bool was_asked(const struct qs_verdict_input *input)
{
	return input->cause != QS_CAUSE_NONE && input->cause != QS_CAUSE_LEADER_EXIT;
}

/* Asked because it had failed already: however politely it goes, it is no success. */
static bool asked_for_failing(const struct qs_verdict_input *input)
{
	return input->cause == QS_CAUSE_HEARTBEAT || input->cause == QS_CAUSE_READY;
}

enum qs_verdict qs_verdict_decide(const struct qs_verdict_input *input)
{
	if (input->left)
		return QS_VERDICT_ABANDONED;
	if (input->rung == QS_RUNG_KILL)
		return QS_VERDICT_KILLED;
	if (input->rung == QS_RUNG_CANCEL)
		return QS_VERDICT_CANCELLED;
	if (!was_asked(input))
		return input->well ? QS_VERDICT_FINISHED : QS_VERDICT_FAILED;
	if (input->well_when_asked && !asked_for_failing(input))
		return QS_VERDICT_STOPPED;
	return QS_VERDICT_FAILED;
}

int qs_verdict_exit_status(const uint64_t counts[static QS_VERDICT_COUNT])
{
	if (counts[QS_VERDICT_ABANDONED] > 0)
		return 151;
	if (counts[QS_VERDICT_CANCELLED] > 0 || counts[QS_VERDICT_KILLED] > 0)
		return 150;
	return 0;
}
