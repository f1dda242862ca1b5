/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/ref.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What four digits of a year can say: 0001-01-01 to 9999-12-31, in UTC. */
static const int64_t first_second = -62135596800, last_second = 253402300799;

/* Exactly `n` digits at `*s`, which moves behind them; -1: there are not. */
static int digits(const char **s, int n)
{
	int v = 0;
	for (int i = 0; i < n; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

static bool skip(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30,
				   31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

static bool parse_date(const char **s, struct tm *tm)
{
	int year = digits(s, 4);
	if (year < 0 || !skip(s, '-'))
		return false;
	int month = digits(s, 2);
	if (month < 1 || month > 12 || !skip(s, '-'))
		return false;
	int day = digits(s, 2);
	if (day < 1 || day > days_in_month(year, month))
		return false;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	tm->tm_mday = day;
	return true;
}

/* HH:MM[:SS[.fraction]] */
static bool parse_clock(const char **s, struct tm *tm, long *nsec)
{
	tm->tm_hour = digits(s, 2);
	if (tm->tm_hour < 0 || tm->tm_hour > 23 || !skip(s, ':'))
		return false;
	tm->tm_min = digits(s, 2);
	if (tm->tm_min < 0 || tm->tm_min > 59)
		return false;
	if (!skip(s, ':'))
		return true;
	tm->tm_sec = digits(s, 2);
	if (tm->tm_sec < 0 || tm->tm_sec > 60)
		return false;
	if (!skip(s, '.'))
		return true;
	const char *start = *s;
	for (long unit = 100000000; **s >= '0' && **s <= '9'; (*s)++) {
		*nsec += unit * (**s - '0');
		unit /= 10;
	}
	return *s > start;
}

/* Z or +HH:MM, in seconds east. */
static bool parse_zone(const char **s, long *east)
{
	if (skip(s, 'Z') || skip(s, 'z')) {
		*east = 0;
		return true;
	}
	int sign = **s == '+' ? 1 : **s == '-' ? -1 : 0;
	if (!sign)
		return false;
	(*s)++;
	int hours = digits(s, 2);
	if (hours < 0 || hours > 23 || !skip(s, ':'))
		return false;
	int minutes = digits(s, 2);
	if (minutes < 0 || minutes > 59)
		return false;
	*east = sign * (hours * 3600L + minutes * 60L);
	return true;
}

/* A point in time; `zone`: it must say its zone, else that is local time. */
static bool parse_point(const char *s, bool zone, struct timespec *out)
{
	struct tm tm = {.tm_isdst = -1};
	long nsec = 0, east;

	if (!parse_date(&s, &tm))
		return false;
	bool clock = skip(&s, 'T') || skip(&s, 't') || skip(&s, ' ');
	if (clock && !parse_clock(&s, &tm, &nsec))
		return false;
	if (clock && *s) {
		if (!parse_zone(&s, &east))
			return false;
		out->tv_sec = timegm(&tm) - east;
	} else if (!zone) {
		out->tv_sec = mktime(&tm);
	} else {
		return false;
	}
	out->tv_nsec = nsec;
	return *s == '\0' && out->tv_sec >= first_second &&
	       out->tv_sec <= last_second;
}

/* Seconds in "90s", "1h30m", "3d"; -1: that is no age. */
static int64_t parse_age(const char *s)
{
	static const char unit[] = "smhdw";
	static const int64_t seconds[] = {1, 60, 3600, 86400, 604800};
	int64_t sum = 0;

	do {
		int64_t n = 0;
		const char *start = s;
		for (; *s >= '0' && *s <= '9' && n < 100000000; s++)
			n = n * 10 + (*s - '0');
		const char *u = *s ? strchr(unit, *s) : NULL;
		if (s == start || !u)
			return -1;
		sum += n * seconds[u - unit];
		s++;
	} while (*s >= '0' && *s <= '9');
	return *s == '\0' || !strcmp(s, " ago") ? sum : -1;
}

int shale_time_parse(const char *text, struct timespec *out,
		     struct shale_err *err)
{
	struct timespec t;
	int64_t age = parse_age(text);

	if (!strcmp(text, "now"))
		age = 0;
	if (age >= 0) {
		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_sec -= age;
	} else if (!parse_point(text, false, &t)) {
		return shale_err_say(err, EINVAL,
				     "'%s' is not a time: 2026-01-31, "
				     "2026-01-31T12:00, RFC 3339, or an age "
				     "such as 2h or 3d",
				     text);
	}
	*out = t;
	return 0;
}

int shale_time_parse_utc(const char *text, struct timespec *out)
{
	struct timespec t;
	if (!parse_point(text, true, &t))
		return -EINVAL;
	*out = t;
	return 0;
}

void shale_time_format(const struct timespec *t, char *out)
{
	enum { SIZE = 40 };
	struct tm tm = {0};
	time_t sec = t->tv_sec < first_second  ? first_second
		     : t->tv_sec > last_second ? last_second
					       : t->tv_sec;
	gmtime_r(&sec, &tm);

	int n = snprintf(out, SIZE, "%04d-%02d-%02dT%02d:%02d:%02d",
			 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
			 tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (t->tv_nsec)
		n += snprintf(out + n, SIZE - (size_t)n, ".%09ld", t->tv_nsec);
	snprintf(out + n, SIZE - (size_t)n, "Z");
}
