/* How a task ended, decided from what is known of it. Pure: no I/O, no allocation, no clock. */
#ifndef QS_VERDICT_H
#define QS_VERDICT_H

#include <stdbool.h>

#include <quiesce/words.h>

struct qs_verdict_input {
	enum qs_rung rung;         /* the highest rung that was used on it */
	enum qs_cause cause;       /* QS_CAUSE_NONE: it was never asked */
	struct qs_outcome outcome; /* how it ended */
	bool well;                 /* without an ask, this outcome is a good end */
	bool well_when_asked;      /* after an ask, this outcome is a good end */
	bool left;                 /* something of it is still there while the process leaves */
};

/* The first line of the design's table that matches. */
enum qs_verdict qs_verdict_decide(const struct qs_verdict_input *input);

/* The process's exit status for such counts: 151, 150 or 0 (1 is for whoever knows of a failure).
 */
int qs_verdict_exit_status(const uint64_t counts[static QS_VERDICT_COUNT]);

#endif
