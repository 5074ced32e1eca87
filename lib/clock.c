/*
 * Time: the kernel's clocks, the virtual clock, saturating arithmetic, and the wall time as text.
 * The text is made by hand: gmtime_r takes the lock of the time zone and may allocate, and the
 * report of a process whose loop is stuck can afford neither.
 */
#include "lib/clock.h"

#include <assert.h>
#include <time.h>

#include "lib/macro.h"

#define NSEC_PER_USEC  UINT64_C(1000)
#define USEC_PER_MSEC  UINT64_C(1000)
#define MSEC_PER_SEC   UINT64_C(1000)
#define SECONDS_A_DAY  UINT64_C(86400)
#define USEC_PER_SEC   (USEC_PER_MSEC * MSEC_PER_SEC)
#define LAST_WALL_USEC (UINT64_C(253402300800) * USEC_PER_SEC - 1) /* the end of the year 9999 */

static uint64_t read_kernel(clockid_t id)
{
	struct timespec now = { 0 };

	/* Cannot fail: both clocks exist everywhere and the pointer is good. */
	(void)clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * QS_SEC + (uint64_t)now.tv_nsec;
}

uint64_t qs_time_now(void)
{
	return read_kernel(CLOCK_MONOTONIC);
}

uint64_t qs_time_add(uint64_t at, uint64_t span)
{
	return span > QS_FOREVER - at ? QS_FOREVER : at + span;
}

uint64_t qs_time_sub(uint64_t later, uint64_t earlier)
{
	if (later == QS_FOREVER)
		return QS_FOREVER;
	return later > earlier ? later - earlier : 0;
}

void qs_clock_init(struct qs_clock *clock)
{
	atomic_init(&clock->virtual_now, 0);
	atomic_init(&clock->coarse, qs_time_now());
	clock->is_virtual = false;
}

void qs_clock_init_virtual(struct qs_clock *clock, uint64_t now)
{
	atomic_init(&clock->virtual_now, now);
	atomic_init(&clock->coarse, now);
	clock->is_virtual = true;
}

uint64_t qs_clock_read(struct qs_clock *clock)
{
	uint64_t now = clock->is_virtual
	                       ? atomic_load_explicit(&clock->virtual_now, memory_order_relaxed)
	                       : qs_time_now();

	atomic_store_explicit(&clock->coarse, now, memory_order_relaxed);
	return now;
}

void qs_clock_advance_to(struct qs_clock *clock, uint64_t now)
{
	if (now > atomic_load_explicit(&clock->virtual_now, memory_order_relaxed))
		atomic_store_explicit(&clock->virtual_now, now, memory_order_relaxed);
}

uint64_t qs_clock_wall_usec(void)
{
	return read_kernel(CLOCK_REALTIME) / NSEC_PER_USEC;
}

uint64_t qs_clock_wall_usec_of(uint64_t at)
{
	uint64_t now = qs_time_now(), wall = qs_clock_wall_usec();

	if (at >= now)
		return qs_time_add(wall, (at - now) / NSEC_PER_USEC);
	return qs_time_sub(wall, (now - at) / NSEC_PER_USEC);
}

static void put_digits(char *end, uint64_t value, unsigned digits)
{
	while (digits-- > 0) {
		*--end = (char)('0' + value % 10);
		value /= 10;
	}
}

/*
 * The Gregorian date of a number of days since 1970-01-01. Years are counted from March, so that
 * the leap day is the last of its year and the lengths of the months before it follow one rule.
 */
static void date_of_days(uint64_t days, uint64_t *ret_year, uint64_t *ret_month, uint64_t *ret_day)
{
	uint64_t since = days + 719468; /* 0000-03-01 */
	uint64_t era = since / 146097, day_of_era = since % 146097;
	uint64_t year_of_era =
	        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint64_t day_of_year =
	        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint64_t month = (5 * day_of_year + 2) / 153;

	*ret_day = day_of_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = era * 400 + year_of_era + (*ret_month <= 2);
}

char *qs_clock_format_wall(uint64_t wall_usec, char buffer[static QS_WALL_TEXT_SIZE])
{
	static const char form[] = "....-..-..T..:..:......Z";
	uint64_t usec = MIN(wall_usec, LAST_WALL_USEC), seconds = usec / USEC_PER_SEC;
	uint64_t of_day = seconds % SECONDS_A_DAY, year, month, day;

	static_assert(sizeof(form) <= QS_WALL_TEXT_SIZE, "the text fits");
	date_of_days(seconds / SECONDS_A_DAY, &year, &month, &day);
	for (size_t i = 0; i < sizeof(form); i++)
		buffer[i] = form[i];
	put_digits(buffer + 4, year, 4);
	put_digits(buffer + 7, month, 2);
	put_digits(buffer + 10, day, 2);
	put_digits(buffer + 13, of_day / 3600, 2);
	put_digits(buffer + 16, of_day / 60 % 60, 2);
	put_digits(buffer + 19, of_day % 60, 2);
	put_digits(buffer + 23, usec / USEC_PER_MSEC % MSEC_PER_SEC, 3);
	return buffer;
}
