/*
 * Retry-After: a number of seconds, or a date in one of the three forms that HTTP has had:
 *	Sun, 06 Nov 1994 08:49:37 GMT
 *	Sunday, 06-Nov-94 08:49:37 GMT
 *	Sun Nov  6 08:49:37 1994
 * Some servers say half seconds; why not.
 */
#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/macro.h"
#include "lib/retry.h"

#define USEC_PER_SEC UINT64_C(1000000)

struct reader {
	const char *at;
	bool good; /* all that was read so far */
};

static bool is_digit(char character)
{
	return character >= '0' && character <= '9';
}

static void expect(struct reader *reader, const char *text)
{
	size_t length = strlen(text);

	if (reader->good && strncmp(reader->at, text, length) == 0)
		reader->at += length;
	else
		reader->good = false;
}

/* Exactly so many digits. */
static unsigned number(struct reader *reader, unsigned digits)
{
	unsigned value = 0;

	for (unsigned i = 0; reader->good && i < digits; i++) {
		reader->good = is_digit(*reader->at);
		if (reader->good)
			value = value * 10 + (unsigned)(*reader->at++ - '0');
	}
	return value;
}

/* One of the words; its index. */
static unsigned word(struct reader *reader, const char *const *words, unsigned count)
{
	for (unsigned i = 0; reader->good && i < count; i++) {
		size_t length = strlen(words[i]);

		if (strncmp(reader->at, words[i], length) == 0) {
			reader->at += length;
			return i;
		}
	}
	reader->good = false;
	return 0;
}

struct date {
	unsigned year, month, day, hour, minute, second; /* month and day from 0 */
};

static void read_month(struct reader *reader, struct date *date)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
		"Aug", "Sep", "Oct", "Nov", "Dec" };

	date->month = word(reader, months, ARRAY_SIZE(months));
}

static void read_time(struct reader *reader, struct date *date)
{
	date->hour = number(reader, 2);
	expect(reader, ":");
	date->minute = number(reader, 2);
	expect(reader, ":");
	date->second = number(reader, 2);
}

static void read_day(struct reader *reader, struct date *date)
{
	date->day = number(reader, 2) - 1;
}

static bool is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_of(unsigned year, unsigned month)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month] + (month == 1 && is_leap(year) ? 1U : 0U);
}

/* Days from the beginning of the year 1 to that of another. */
static uint64_t days_until(unsigned year)
{
	uint64_t past = year - 1;

	return past * 365 + past / 4 - past / 100 + past / 400;
}

/* A leap second counts as the one after it. */
static bool is_possible(const struct date *date)
{
	return date->year >= 1 && date->year <= 9999 &&
	       date->day < days_of(date->year, date->month) && date->hour < 24 &&
	       date->minute < 60 && date->second <= 60;
}

/* Since 1970; 0 for what was before. */
static uint64_t seconds_of(const struct date *date)
{
	uint64_t days;

	if (date->year < 1970)
		return 0;
	days = days_until(date->year) - days_until(1970) + date->day;
	for (unsigned month = 0; month < date->month; month++)
		days += days_of(date->year, month);
	return ((days * 24 + date->hour) * 60 + date->minute) * 60 + date->second;
}

/* --- the three forms --- */

static void read_usual(struct reader *reader, struct date *date)
{
	static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

	(void)word(reader, days, ARRAY_SIZE(days));
	expect(reader, ", ");
	read_day(reader, date);
	expect(reader, " ");
	read_month(reader, date);
	expect(reader, " ");
	date->year = number(reader, 4);
	expect(reader, " ");
	read_time(reader, date);
	expect(reader, " GMT");
}

/* Of all years with these two last digits the one next to the present, at most fifty ahead. */
static unsigned full_year(unsigned short_year, uint64_t now)
{
	unsigned present = (unsigned)(1970 + now / USEC_PER_SEC / (86400 * 365 + 86400 / 4));
	unsigned year = present - present % 100 + short_year;

	if (year > present + 50)
		return year - 100;
	return year + 50 <= present ? year + 100 : year;
}

static void read_old(struct reader *reader, struct date *date, uint64_t now)
{
	static const char *const days[] = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
		"Saturday", "Sunday" };

	(void)word(reader, days, ARRAY_SIZE(days));
	expect(reader, ", ");
	read_day(reader, date);
	expect(reader, "-");
	read_month(reader, date);
	expect(reader, "-");
	date->year = full_year(number(reader, 2), now);
	expect(reader, " ");
	read_time(reader, date);
	expect(reader, " GMT");
}

static void read_asctime(struct reader *reader, struct date *date)
{
	static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

	(void)word(reader, days, ARRAY_SIZE(days));
	expect(reader, " ");
	read_month(reader, date);
	expect(reader, " ");
	if (reader->good && *reader->at == ' ') {
		reader->at++;
		date->day = number(reader, 1) - 1;
	} else {
		read_day(reader, date);
	}
	expect(reader, " ");
	read_time(reader, date);
	expect(reader, " ");
	date->year = number(reader, 4);
}

/* Nothing but blanks may follow. */
static bool is_read(struct reader *reader)
{
	return reader->good && reader->at[strspn(reader->at, " \t")] == '\0';
}

static uint64_t nanoseconds(uint64_t microseconds)
{
	return microseconds > QS_FOREVER / QS_USEC ? QS_FOREVER : microseconds * QS_USEC;
}

static int parse_date(const char *text, uint64_t now, uint64_t *ret_span)
{
	for (int form = 0; form < 3; form++) {
		struct reader reader = { .at = text, .good = true };
		struct date date = { 0 };

		if (form == 0)
			read_usual(&reader, &date);
		else if (form == 1)
			read_old(&reader, &date, now);
		else
			read_asctime(&reader, &date);
		if (!is_read(&reader))
			continue;
		if (!is_possible(&date))
			return -EINVAL;
		*ret_span = nanoseconds(qs_time_sub(seconds_of(&date) * USEC_PER_SEC, now));
		return 0;
	}
	return -EINVAL;
}

/* QS_FOREVER for more than there is. */
static int parse_seconds(const char *text, uint64_t *ret_span)
{
	struct reader reader = { .at = text, .good = true };
	uint64_t span = 0, unit = QS_SEC;

	for (; is_digit(*reader.at); reader.at++) {
		uint64_t digit = (uint64_t)(*reader.at - '0');

		if (span > (QS_FOREVER - digit * QS_SEC) / 10)
			span = QS_FOREVER;
		else
			span = span * 10 + digit * QS_SEC;
	}
	if (*reader.at == '.') {
		reader.good = is_digit(*++reader.at);
		for (; is_digit(*reader.at); reader.at++) {
			unit /= 10;
			span = qs_time_add(span, (uint64_t)(*reader.at - '0') * unit);
		}
	}
	if (!is_read(&reader))
		return -EINVAL;
	*ret_span = span;
	return 0;
}

int qs_retry_after_parse(const char *text, uint64_t now, uint64_t *ret_span)
{
	text += strspn(text, " \t");
	if (is_digit(*text))
		return parse_seconds(text, ret_span);
	return parse_date(text, now, ret_span);
}
