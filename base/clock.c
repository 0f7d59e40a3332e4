/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#define MS_PER_SECOND   INT64_C(1000)
#define MS_PER_DAY      INT64_C(86400000)
#define YEAR_0000_MS    INT64_C(-62167219200000)
#define YEAR_9999_MS    INT64_C(253402300799999)
#define DAYS_PER_ERA    146097 /* 400 years */
#define DAYS_TO_1970    719468 /* from 0000-03-01 */
#define FRACTION_DIGITS 9

static int64_t clock_read_ms(clockid_t id)
{
	struct timespec now;
	(void)clock_gettime(id, &now);
	return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / 1000000;
}

static int64_t system_wall_ms(void *user)
{
	(void)user;
	return clock_read_ms(CLOCK_REALTIME);
}

static int64_t system_monotonic_ms(void *user)
{
	(void)user;
	return clock_read_ms(CLOCK_MONOTONIC);
}

const struct clock clock_system = { system_wall_ms, system_monotonic_ms, NULL };

/*
 * The civil calendar by H. Hinnant's method: years start in March, so that the leap day is the last
 * day of a year, and come in eras of 400 years, counted from 0000-03-01.
 */
static int64_t days_from_date(int year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static void date_from_days(int64_t days, int *year, int *month, int *day)
{
	days += DAYS_TO_1970;
	int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
	int64_t day_of_era = days - era * DAYS_PER_ERA;
	int64_t year_of_era =
	        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted_month = (5 * day_of_year + 2) / 153;
	*day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
	*month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
	*year = (int)(year_of_era + era * 400 + (*month <= 2));
}

void clock_rfc3339_format(int64_t unix_ms, char out[static CLOCK_RFC3339_SIZE])
{
	unix_ms = unix_ms < YEAR_0000_MS ? YEAR_0000_MS : unix_ms > YEAR_9999_MS ? YEAR_9999_MS : unix_ms;
	int64_t since_0000 = unix_ms - YEAR_0000_MS;
	int ms = (int)(since_0000 % MS_PER_DAY);
	int year, month, day;
	date_from_days((unix_ms - ms) / MS_PER_DAY, &year, &month, &day);
	(void)snprintf(out, CLOCK_RFC3339_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)year % 10000,
	               (unsigned)month % 100, (unsigned)day % 100, (unsigned)ms / 3600000,
	               (unsigned)ms / 60000 % 60, (unsigned)ms / 1000 % 60, (unsigned)ms % 1000);
}

struct reader {
	const char *p;
	const char *end;
	bool failed;
};

static bool reader_is_digit(const struct reader *r)
{
	return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

/* A number of exactly @digits digits from @min to @max. */
static int read_number(struct reader *r, int digits, int min, int max)
{
	int value = 0;
	for (int i = 0; i < digits; i++) {
		if (!reader_is_digit(r)) {
			r->failed = true;
			return min;
		}
		value = value * 10 + (*r->p++ - '0');
	}
	if (value < min || value > max) {
		r->failed = true;
		return min;
	}
	return value;
}

/* One of the two characters; RFC 3339 allows `t` and `z` for `T` and `Z`. */
static bool read_char(struct reader *r, char c, char alternative)
{
	if (r->p < r->end && (*r->p == c || *r->p == alternative)) {
		r->p++;
		return true;
	}
	return false;
}

static void read_must_be(struct reader *r, char c, char alternative)
{
	r->failed |= !read_char(r, c, alternative);
}

static int64_t read_date_ms(struct reader *r)
{
	static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = read_number(r, 4, 0, 9999);
	read_must_be(r, '-', '-');
	int month = read_number(r, 2, 1, 12);
	read_must_be(r, '-', '-');
	bool is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	int day = read_number(r, 2, 1, month == 2 && !is_leap_year ? 28 : month_days[month - 1]);
	return days_from_date(year, month, day) * MS_PER_DAY;
}

static int64_t read_fraction_ms(struct reader *r)
{
	int64_t ms = 0;
	int digits = 0;
	for (; reader_is_digit(r); r->p++, digits++) {
		static const int weights[] = { 100, 10, 1 };
		ms += digits < 3 ? (*r->p - '0') * weights[digits] : 0;
	}
	r->failed |= digits == 0 || digits > FRACTION_DIGITS;
	return ms;
}

/* What has to be subtracted to get UTC. */
static int64_t read_offset_ms(struct reader *r)
{
	if (read_char(r, 'Z', 'z')) {
		return 0;
	}
	bool is_west = read_char(r, '-', '-');
	if (!is_west) {
		read_must_be(r, '+', '+');
	}
	int64_t minutes = read_number(r, 2, 0, 23) * 60;
	read_must_be(r, ':', ':');
	minutes += read_number(r, 2, 0, 59);
	return (is_west ? -minutes : minutes) * 60 * MS_PER_SECOND;
}

bool clock_rfc3339_parse(const char *text, size_t length, int64_t *ret_unix_ms)
{
	struct reader r = { text, text + length, false };
	int64_t unix_ms = read_date_ms(&r);
	if (r.p == r.end) {
		*ret_unix_ms = r.failed ? *ret_unix_ms : unix_ms;
		return !r.failed;
	}
	read_must_be(&r, 'T', 't');
	unix_ms += read_number(&r, 2, 0, 23) * 60 * 60 * MS_PER_SECOND;
	read_must_be(&r, ':', ':');
	unix_ms += read_number(&r, 2, 0, 59) * 60 * MS_PER_SECOND;
	read_must_be(&r, ':', ':');
	int second = read_number(&r, 2, 0, 60);
	unix_ms += second * MS_PER_SECOND;
	if (read_char(&r, '.', '.')) {
		unix_ms += read_fraction_ms(&r);
	}
	unix_ms -= read_offset_ms(&r);
	/* A leap second ends a day of UTC, and counts as the first second of the next one. */
	int64_t second_of_day = ((unix_ms - YEAR_0000_MS + MS_PER_DAY) % MS_PER_DAY) / MS_PER_SECOND;
	r.failed |= second == 60 && second_of_day != 0;
	if (r.failed || r.p != r.end) {
		return false;
	}
	*ret_unix_ms = unix_ms;
	return true;
}
