/* The names of the vocabulary, and outcomes in words. Static strings, no allocation, no locale. */
#include <quiesce/words.h>

#include <stdio.h>
#include <string.h>

#include "lib/macro.h"

#define NAME(value, name) [value] = (name),
static const char *const kind_names[] = { QS_KIND_MAP(NAME) };
static const char *const rung_names[] = { QS_RUNG_MAP(NAME) };
static const char *const cause_names[] = { QS_CAUSE_MAP(NAME) };
static const char *const verdict_names[] = { QS_VERDICT_MAP(NAME) };
static const char *const phase_names[] = { QS_PHASE_MAP(NAME) };
#undef NAME

/* The enums may come in with any value (a report of another version, a torn read): never index
 * past. */
#define NAME_OF(names, value) ((size_t)(value) < ARRAY_SIZE(names) ? (names)[(size_t)(value)] : "?")

const char *qs_kind_name(enum qs_kind kind)
{
	return NAME_OF(kind_names, kind);
}

const char *qs_rung_name(enum qs_rung rung)
{
	return NAME_OF(rung_names, rung);
}

const char *qs_cause_name(enum qs_cause cause)
{
	return NAME_OF(cause_names, cause);
}

const char *qs_verdict_name(enum qs_verdict verdict)
{
	return NAME_OF(verdict_names, verdict);
}

const char *qs_phase_name(enum qs_phase phase)
{
	return NAME_OF(phase_names, phase);
}

/* strsignal and strerror may allocate and translate; these two do neither. */
static const char *signal_text(int signo)
{
	const char *text = sigdescr_np(signo);

	return text ? text : "unknown";
}

static const char *error_text(int error)
{
	const char *text = strerrordesc_np(error);

	return text ? text : "unknown";
}

char *qs_outcome_describe(struct qs_outcome outcome, char *buffer, unsigned size)
{
	const char *memory = outcome.out_of_memory ? ", out of memory" : "";

	if (size == 0)
		return buffer;
	switch (outcome.type) {
	case QS_OUTCOME_NONE:
		(void)snprintf(buffer, size, "unknown%s", memory);
		break;
	case QS_OUTCOME_RETURN:
		if (outcome.value < 0)
			(void)snprintf(buffer, size, "error %u (%s)%s",
			        0U - (unsigned)outcome.value,
			        error_text((int)(0U - (unsigned)outcome.value)), memory);
		else
			(void)snprintf(buffer, size, "returned %d%s", outcome.value, memory);
		break;
	case QS_OUTCOME_EXIT:
		(void)snprintf(buffer, size, "exit status %d%s", outcome.value, memory);
		break;
	case QS_OUTCOME_SIGNAL:
		(void)snprintf(buffer, size, "signal %d (%s)%s%s", outcome.value,
		        signal_text(outcome.value), outcome.core_dumped ? ", core dumped" : "",
		        memory);
		break;
	}
	return buffer;
}
