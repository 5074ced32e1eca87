/* From JSON to words: times as spans, states as colours and symbols. */
#include "daemon/ctl/render.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/macro.h"

const char *field_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

double field_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

uint64_t field_unsigned(const json_t *object, const char *key)
{
	double value = field_number(object, key);

	return value >= 1 && value < 0x1p63 ? (uint64_t)value : 0;
}

const json_t *field_array(const json_t *object, const char *key)
{
	const json_t *array = json_object_get(object, key);

	return json_is_array(array) ? array : NULL;
}

uint64_t wall_usec_parse(const char *text)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	uint64_t fraction = 0, weight = 100000;
	time_t seconds;

	if (!rest)
		return 0;
	if (*rest == '.')
		for (rest++; *rest >= '0' && *rest <= '9'; rest++, weight /= 10)
			fraction += (uint64_t)(*rest - '0') * weight;
	seconds = timegm(&tm);
	return seconds < 0 || strcmp(rest, "Z") != 0 ? 0 : (uint64_t)seconds * 1000000 + fraction;
}

uint64_t field_wall_usec(const json_t *object, const char *key)
{
	return wall_usec_parse(field_text(object, key));
}

static const struct {
	uint64_t seconds;
	const char *name;
} units[] = {
	{ 86400, "d" },
	{ 3600, "h" },
	{ 60, "min" },
	{ 1, "s" },
};

/* The larger unit, and the next one below it if asked for and not 0. */
static void whole_units(uint64_t seconds, bool two, char buffer[static SPAN_TEXT_SIZE])
{
	size_t i = 0;
	uint64_t first, second;
	int length;

	while (i + 1 < ARRAY_SIZE(units) && seconds < units[i].seconds)
		i++;
	first = seconds / units[i].seconds;
	length = snprintf(buffer, SPAN_TEXT_SIZE, "%" PRIu64 "%s", first, units[i].name);
	if (!two || i + 1 == ARRAY_SIZE(units))
		return;
	second = seconds % units[i].seconds / units[i + 1].seconds;
	if (second > 0)
		snprintf(buffer + length, SPAN_TEXT_SIZE - (size_t)length, " %" PRIu64 "%s", second,
		        units[i + 1].name);
}

char *span_text(double seconds, char buffer[static SPAN_TEXT_SIZE])
{
	const char *sign = seconds < 0 ? "-" : "";
	double span = seconds < 0 ? -seconds : seconds;
	char whole[SPAN_TEXT_SIZE];

	if (span < 0.9995) {
		snprintf(buffer, SPAN_TEXT_SIZE, "%s%.0fms", sign, span * 1000);
	} else if (span < 9.95) {
		snprintf(buffer, SPAN_TEXT_SIZE, "%s%.1fs", sign, span);
	} else {
		whole_units(span < 1e12 ? (uint64_t)span : UINT64_C(1000000000000), true, whole);
		snprintf(buffer, SPAN_TEXT_SIZE, "%s%.46s", sign, whole);
	}
	return buffer;
}

/* A clock that was set meanwhile makes no negative ages. */
static char *distance(uint64_t from, uint64_t to, char buffer[static SPAN_TEXT_SIZE])
{
	buffer[0] = '\0';
	if (from != 0 && to != 0)
		whole_units(qs_time_sub(to, from) / 1000000, false, buffer);
	return buffer;
}

char *age_text(uint64_t wall_usec, char buffer[static SPAN_TEXT_SIZE])
{
	return distance(wall_usec, qs_clock_wall_usec(), buffer);
}

char *ahead_text(uint64_t wall_usec, char buffer[static SPAN_TEXT_SIZE])
{
	return distance(qs_clock_wall_usec(), wall_usec, buffer);
}

char *clock_text(uint64_t wall_usec, bool date, char *buffer, size_t size)
{
	time_t seconds = (time_t)(wall_usec / 1000000);
	struct tm tm;

	buffer[0] = '\0';
	if (wall_usec != 0 && localtime_r(&seconds, &tm))
		(void)(date ? strftime(buffer, size, "%F %T", &tm)
		            : strftime(buffer, size, "%T", &tm));
	return buffer;
}

struct look {
	const char *word;
	enum tone tone;
	const char *symbol, *plain_symbol;
};

static const struct look states[] = {
	{ "running", TONE_GOOD, "●", "*" },
	{ "waiting", TONE_DIM, "◌", "." },
	{ "starting", TONE_BUSY, "◐", ">" },
	{ "stopping", TONE_BUSY, "◑", "<" },
	{ "backoff", TONE_BUSY, "↻", "~" },
	{ "stopped", TONE_DIM, "○", "o" },
	{ "failed", TONE_BAD, "✗", "x" },
};

static const struct look verdicts[] = {
	{ .word = "finished", .tone = TONE_GOOD },
	{ .word = "stopped", .tone = TONE_GOOD },
	{ .word = "failed", .tone = TONE_BAD },
	{ .word = "cancelled", .tone = TONE_BUSY },
	{ .word = "killed", .tone = TONE_BAD },
	{ .word = "abandoned", .tone = TONE_BAD },
};

static const struct look phases[] = {
	{ .word = "running", .tone = TONE_GOOD },
	{ .word = "draining", .tone = TONE_BUSY },
	{ .word = "stopping", .tone = TONE_BUSY },
	{ .word = "cancelling", .tone = TONE_BAD },
	{ .word = "killing", .tone = TONE_BAD },
	{ .word = "quiesced", .tone = TONE_GOOD },
};

static const struct look *find_look(const struct look *looks, size_t count, const char *word)
{
	static const struct look unknown = { "", TONE_PLAIN, "?", "?" };

	for (size_t i = 0; i < count; i++)
		if (strcmp(looks[i].word, word) == 0)
			return &looks[i];
	return &unknown;
}

enum tone state_tone(const char *state)
{
	return find_look(states, ARRAY_SIZE(states), state)->tone;
}

enum tone verdict_tone(const char *verdict)
{
	return find_look(verdicts, ARRAY_SIZE(verdicts), verdict)->tone;
}

enum tone phase_tone(const char *phase)
{
	return find_look(phases, ARRAY_SIZE(phases), phase)->tone;
}

const char *state_symbol(const struct style *style, const char *state)
{
	const struct look *look = find_look(states, ARRAY_SIZE(states), state);

	return style_choose(style, look->symbol, look->plain_symbol);
}

char *counts_text(const json_t *counts)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	const char *key, *separator = "";
	json_t *value;

	if (!out)
		return NULL;
	json_object_foreach ((json_t *)counts, key, value)
		if (json_number_value(value) > 0) {
			fprintf(out, "%s%.0f %s", separator, json_number_value(value), key);
			separator = ", ";
		}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

void text_join(char *text, size_t size, const char *separator, const char *format, ...)
{
	size_t length = strlen(text);
	va_list arguments;
	int r;

	if (length > 0)
		length += (size_t)snprintf(text + length, size - length, "%s", separator);
	if (length >= size)
		return;
	va_start(arguments, format);
	r = vsnprintf(text + length, size - length, format, arguments);
	va_end(arguments);
	if (r < 0)
		text[length] = '\0';
}
