/*
 * The line that tells a child process to stop, and the reading of it. Who reads it may be older or
 * newer than who wrote it, so that words which are not known pass; numbers are taken strictly.
 */
#include <quiesce/stop.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/clock.h>

int qs_stop_format(const struct qs_stop_reason *reason, char *buffer, size_t size)
{
	uint64_t usec = reason->deadline == QS_FOREVER ? UINT64_MAX : reason->deadline / QS_USEC;
	int length = snprintf(buffer, size, "stop reason=%s deadline_usec=%" PRIu64 "\n",
	        qs_cause_name(reason->cause), usec);

	return length < 0 || (size_t)length >= size ? -ENOBUFS : length;
}

struct text {
	const char *start;
	size_t length;
};

/* Cuts `prefix` off the front of `text`, if it is there. */
static bool skip(struct text *text, const char *prefix)
{
	size_t length = strlen(prefix);

	if (text->length < length || memcmp(text->start, prefix, length) != 0)
		return false;
	text->start += length;
	text->length -= length;
	return true;
}

/* Cuts the next word off the front of `text`; an empty one at its end. */
static struct text next_word(struct text *text)
{
	struct text word;

	while (skip(text, " "))
		;
	word.start = text->start;
	while (text->length > 0 && *text->start != ' ') {
		text->start++;
		text->length--;
	}
	word.length = (size_t)(text->start - word.start);
	return word;
}

static int parse_number(struct text text, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (text.length == 0)
		return -EBADMSG;
	for (size_t i = 0; i < text.length; i++) {
		unsigned digit = (unsigned)(unsigned char)text.start[i] - '0';

		if (digit > 9 || __builtin_mul_overflow(number, 10U, &number) ||
		        __builtin_add_overflow(number, digit, &number))
			return -EBADMSG;
	}
	*ret_number = number;
	return 0;
}

/* A newer writer may know more causes than we do: they count as none. */
static enum qs_cause parse_cause(struct text text)
{
	for (int i = 0; i < QS_CAUSE_COUNT; i++) {
		const char *name = qs_cause_name((enum qs_cause)i);

		if (strlen(name) == text.length && memcmp(name, text.start, text.length) == 0)
			return (enum qs_cause)i;
	}
	return QS_CAUSE_NONE;
}

int qs_stop_parse(const char *line, size_t length, struct qs_stop_reason *ret_reason)
{
	struct text rest = { .start = line, .length = length }, word;
	struct qs_stop_reason reason = { .deadline = QS_FOREVER };
	uint64_t usec;

	if (!skip(&rest, "stop "))
		return -EBADMSG;
	if (rest.length > 0 && rest.start[rest.length - 1] == '\n')
		rest.length--;
	while ((word = next_word(&rest)).length > 0) {
		if (skip(&word, "reason=")) {
			reason.cause = parse_cause(word);
		} else if (skip(&word, "deadline_usec=")) {
			if (parse_number(word, &usec) < 0)
				return -EBADMSG;
			if (__builtin_mul_overflow(usec, QS_USEC, &reason.deadline))
				reason.deadline = QS_FOREVER;
		}
	}
	*ret_reason = reason;
	return 0;
}
