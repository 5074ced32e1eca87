/*
 * Time spans and sizes as systemd writes them: numbers with units, combined at will, fractions
 * allowed. A number without a unit is seconds or bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/clock.h>

#include "daemon/config.h"
#include "lib/macro.h"

#define KIB (UINT64_C(1024))

struct unit {
	const char *name;
	uint64_t factor;
};

/* The empty name is what a number without a unit counts. */
static const struct unit span_units[] = {
	{ "", QS_SEC },
	{ "ns", QS_NSEC },
	{ "nsec", QS_NSEC },
	{ "us", QS_USEC },
	{ "usec", QS_USEC },
	{ "\u00b5s", QS_USEC },
	{ "\u03bcs", QS_USEC },
	{ "ms", QS_MSEC },
	{ "msec", QS_MSEC },
	{ "s", QS_SEC },
	{ "sec", QS_SEC },
	{ "second", QS_SEC },
	{ "seconds", QS_SEC },
	{ "m", QS_MIN },
	{ "min", QS_MIN },
	{ "minute", QS_MIN },
	{ "minutes", QS_MIN },
	{ "h", QS_HOUR },
	{ "hr", QS_HOUR },
	{ "hour", QS_HOUR },
	{ "hours", QS_HOUR },
	{ "d", 24 * QS_HOUR },
	{ "day", 24 * QS_HOUR },
	{ "days", 24 * QS_HOUR },
	{ "w", 7 * 24 * QS_HOUR },
	{ "week", 7 * 24 * QS_HOUR },
	{ "weeks", 7 * 24 * QS_HOUR },
	{ NULL, 0 },
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "K", KIB },
	{ "KiB", KIB },
	{ "M", KIB *KIB },
	{ "MiB", KIB *KIB },
	{ "G", KIB *KIB *KIB },
	{ "GiB", KIB *KIB *KIB },
	{ "T", KIB *KIB *KIB *KIB },
	{ "TiB", KIB *KIB *KIB *KIB },
	{ NULL, 0 },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
}

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t\n\r");
}

static const struct unit *unit_find(const struct unit *units, const char *name, size_t length)
{
	for (; units->name; units++)
		if (strlen(units->name) == length && memcmp(units->name, name, length) == 0)
			return units;
	return NULL;
}

/* One number with its unit, the fraction by digits of the unit: exact where the unit allows. */
static int quantity_parse(const struct unit *units, const char **text, uint64_t *ret_value)
{
	const char *whole = *text, *fraction = NULL;
	const char *end = whole + strspn(whole, "0123456789");
	bool has_digits = end > whole;
	if (*end == '.') {
		fraction = ++end;
		end += strspn(end, "0123456789");
		has_digits = has_digits || end > fraction;
	}
	if (!has_digits)
		return -EINVAL;
	const char *name = skip_blanks(end);
	end = name;
	while (is_letter(*end))
		end++;
	const struct unit *unit = unit_find(units, name, (size_t)(end - name));
	if (!unit)
		return -EINVAL;

	uint64_t value = 0;
	for (; is_digit(*whole); whole++)
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		        __builtin_add_overflow(value, (uint64_t)(*whole - '0'), &value))
			return -ERANGE;
	if (__builtin_mul_overflow(value, unit->factor, &value))
		return -ERANGE;
	uint64_t share = unit->factor;
	for (; fraction && is_digit(*fraction); fraction++) {
		uint64_t digit = (uint64_t)(*fraction - '0');
		if (__builtin_add_overflow(value, share * digit / 10, &value))
			return -ERANGE;
		share /= 10;
	}
	*text = end;
	*ret_value = value;
	return 0;
}

static int sum_parse(const struct unit *units, const char *text, uint64_t *ret_sum)
{
	uint64_t sum = 0;
	text = skip_blanks(text);
	do {
		uint64_t value;
		int r = quantity_parse(units, &text, &value);
		if (r < 0)
			return r;
		if (__builtin_add_overflow(sum, value, &sum))
			return -ERANGE;
		text = skip_blanks(text);
	} while (*text);
	/* The largest number means "for ever" and can be said by its name only. */
	if (sum == QS_FOREVER)
		return -ERANGE;
	*ret_sum = sum;
	return 0;
}

int span_parse(const char *text, uint64_t *ret_nanoseconds)
{
	if (strcmp(text, "infinity") == 0) {
		*ret_nanoseconds = QS_FOREVER;
		return 0;
	}
	return sum_parse(span_units, text, ret_nanoseconds);
}

int size_parse(const char *text, uint64_t *ret_bytes)
{
	return sum_parse(size_units, text, ret_bytes);
}

/* "2.345s": three places at most, without zeros at the end. */
static char *format_decimal(
        uint64_t value, uint64_t unit, const char *name, char *buffer, size_t size)
{
	uint64_t thousandths = value % unit / (unit / 1000);
	unsigned places = 3;
	while (places > 0 && thousandths % 10 == 0) {
		thousandths /= 10;
		places--;
	}
	if (places == 0)
		(void)snprintf(buffer, size, "%" PRIu64 "%s", value / unit, name);
	else
		(void)snprintf(buffer, size, "%" PRIu64 ".%0*" PRIu64 "%s", value / unit,
		        (int)places, thousandths, name);
	return buffer;
}

static char *format_parts(uint64_t value, char *buffer, size_t size)
{
	static const struct unit parts[] = {
		{ "w", 7 * 24 * QS_HOUR },
		{ "d", 24 * QS_HOUR },
		{ "h", QS_HOUR },
		{ "min", QS_MIN },
		{ "s", QS_SEC },
	};
	size_t length = 0;
	buffer[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		uint64_t count = value / parts[i].factor;
		value %= parts[i].factor;
		if (count == 0 || length >= size)
			continue;
		int r = snprintf(buffer + length, size - length, "%s%" PRIu64 "%s",
		        length > 0 ? " " : "", count, parts[i].name);
		if (r > 0)
			length += (size_t)r;
	}
	return buffer;
}

char *span_format(uint64_t nanoseconds, char *buffer, size_t size)
{
	if (size == 0)
		return buffer;
	if (nanoseconds == QS_FOREVER)
		(void)snprintf(buffer, size, "infinity");
	else if (nanoseconds == 0)
		(void)snprintf(buffer, size, "0s");
	else if (nanoseconds < QS_USEC)
		(void)snprintf(buffer, size, "%" PRIu64 "ns", nanoseconds);
	else if (nanoseconds < QS_MSEC)
		return format_decimal(nanoseconds, QS_USEC, "us", buffer, size);
	else if (nanoseconds < QS_SEC)
		return format_decimal(nanoseconds, QS_MSEC, "ms", buffer, size);
	else if (nanoseconds < QS_MIN)
		return format_decimal(nanoseconds, QS_SEC, "s", buffer, size);
	else
		return format_parts(nanoseconds, buffer, size);
	return buffer;
}
