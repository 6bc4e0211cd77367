/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layout is cut once into elements with the text before each; parsing goes through them. RFC 3339
 * as most programs write it has a path of its own; what it does not take goes through the elements.
 * The rules, the odd ones too (a fraction behind the seconds that the layout does not name, one
 * space for many, a zone's abbreviation that nobody knows is UTC), are those of Go's package time.
 */
#include "process/go_time_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

struct fields {
	const char *p, *end;
	int64_t year;
	int month, day, year_day; /* -1: not given */
	unsigned hour, minute, second, ns;
	int digits; /* of the fraction: as written; 0: none */
	bool exact; /* so many the layout asks for */
	bool am, pm;
	bool utc, has_offset;
	int32_t offset;
	const char *zone_name;
	size_t zone_len;
};

static const char *const months[] = {"January",	  "February", "March",	  "April",
				     "May",	  "June",     "July",	  "August",
				     "September", "October",  "November", "December"};
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
				       "Thursday", "Friday", "Saturday"};

static bool skip_prefix(struct fields *f, const struct element *e)
{
	const char *p = e->prefix, *end = p + e->prefix_len;

	while (p < end) {
		if (*p == ' ') {
			if (f->p < f->end && *f->p != ' ')
				return false;
			while (p < end && *p == ' ')
				p++;
			while (f->p < f->end && *f->p == ' ')
				f->p++;
			continue;
		}
		if (f->p == f->end || *f->p != *p)
			return false;
		p++;
		f->p++;
	}
	return true;
}

static bool digit_at(const struct fields *f, size_t i)
{
	return (size_t)(f->end - f->p) > i && is_digit(f->p[i]);
}

/* Of at most `max` digits, all of them when `fixed`: the number, or -1. */
static int read_number(struct fields *f, int max, bool fixed)
{
	int n = 0, value = 0;

	for (; n < max && digit_at(f, 0); n++)
		value = value * 10 + (*f->p++ - '0');
	return !n || (fixed && n < max) ? -1 : value;
}

static bool read_range(struct fields *f, bool fixed, int max, unsigned *ret)
{
	int value = read_number(f, 2, fixed);

	*ret = (unsigned)value;
	return value >= 0 && value <= max;
}

static int read_name(struct fields *f, const char *const *names, int n_names, bool whole)
{
	for (int i = 0; i < n_names; i++) {
		size_t len = whole ? strlen(names[i]) : 3;

		if ((size_t)(f->end - f->p) >= len && strncasecmp(f->p, names[i], len) == 0) {
			f->p += len;
			return i;
		}
	}
	return -1;
}

static void skip_space(struct fields *f)
{
	if (f->p < f->end && *f->p == ' ')
		f->p++;
}

/* The digits at f->p. More than nine say nothing. */
static void read_fraction_digits(struct fields *f, int n, bool exact)
{
	static const unsigned scale[] = {SECOND_NS, 100000000, 10000000, 1000000, 100000,
					 10000,	    1000,      100,	 10,	  1};
	unsigned value = 0;

	for (int i = 0; i < MIN(n, 9); i++)
		value = value * 10 + (unsigned)(f->p[i] - '0');
	f->ns = value * scale[MIN(n, 9)];
	f->digits = n;
	f->exact = exact;
	f->p += n;
}

static bool fraction_ahead(const struct fields *f)
{
	return f->p < f->end && (*f->p == '.' || *f->p == ',') && digit_at(f, 1);
}

static int count_digits(const struct fields *f)
{
	int n = 0;

	while (digit_at(f, (size_t)n) && n < 1000)
		n++;
	return n;
}

/* A fraction that the layout leaves open: FRACTION_9, or behind the seconds without any. */
static void read_open_fraction(struct fields *f)
{
	if (!fraction_ahead(f))
		return;
	f->p++;
	read_fraction_digits(f, count_digits(f), false);
}

static bool read_second(struct fields *f, const struct element *e)
{
	if (!read_range(f, e->kind == ZERO_SECOND, 59, &f->second))
		return false;
	if (e[1].kind != FRACTION_0 && e[1].kind != FRACTION_9)
		read_open_fraction(f);
	return true;
}

static bool read_fixed_fraction(struct fields *f, int n)
{
	if (f->end - f->p < n + 1 || (*f->p != '.' && *f->p != ','))
		return false;
	f->p++;
	for (int i = 0; i < n; i++)
		if (!is_digit(f->p[i]))
			return false;
	read_fraction_digits(f, n, true);
	return true;
}

static bool read_pm(struct fields *f, char a, char p, char m)
{
	if (f->end - f->p < 2 || (f->p[0] != a && f->p[0] != p) || f->p[1] != m)
		return false;
	f->pm |= f->p[0] == p;
	f->am |= f->p[0] == a;
	f->p += 2;
	return true;
}

static bool read_offset(struct fields *f, int form)
{
	bool colons = form == ZONE_HH_MM || form == ZONE_HH_MM_SS;
	unsigned h, m = 0, s = 0;
	char sign;

	if (f->p == f->end || (*f->p != '+' && *f->p != '-'))
		return false;
	sign = *f->p++;
	if (!read_range(f, true, 24, &h))
		return false;
	if (form != ZONE_HH) {
		if (colons && (f->p == f->end || *f->p++ != ':'))
			return false;
		if (!read_range(f, true, 60, &m))
			return false;
	}
	if (form == ZONE_HHMMSS || form == ZONE_HH_MM_SS) {
		if (colons && (f->p == f->end || *f->p++ != ':'))
			return false;
		if (!read_range(f, true, 60, &s))
			return false;
	}
	f->offset = (int32_t)(h * 3600 + m * 60 + s);
	f->offset = sign == '-' ? -f->offset : f->offset;
	f->has_offset = true;
	return true;
}

/* +03, -1: how many bytes; 0: not an offset of at most 23 hours. */
static size_t signed_offset(const char *p, const char *end)
{
	const char *q = p + 1;
	unsigned value = 0;

	if (p == end || (*p != '+' && *p != '-'))
		return 0;
	for (; q < end && is_digit(*q); q++)
		value = MIN(value * 10 + (unsigned)(*q - '0'), 1000);
	return q == p + 1 || value > 23 ? 0 : (size_t)(q - p);
}

/* What looks like a zone's abbreviation: how many bytes. */
static size_t zone_name_len(const char *p, const char *end)
{
	size_t n = 0, len = (size_t)(end - p);

	if (len < 3)
		return 0;
	if (len >= 4 && (memcmp(p, "ChST", 4) == 0 || memcmp(p, "MeST", 4) == 0))
		return 4;
	if (memcmp(p, "GMT", 3) == 0)
		return 3 + signed_offset(p + 3, end);
	if (*p == '+' || *p == '-')
		return signed_offset(p, end);
	while (n < 6 && n < len && p[n] >= 'A' && p[n] <= 'Z')
		n++;
	if (n == 3 || (n == 4 && (p[3] == 'T' || memcmp(p, "WITA", 4) == 0)) ||
	    (n == 5 && p[4] == 'T'))
		return n;
	return 0;
}

static bool read_zone_name(struct fields *f)
{
	if (f->end - f->p >= 3 && memcmp(f->p, "UTC", 3) == 0) {
		f->p += 3;
		f->utc = true;
		return true;
	}
	f->zone_len = zone_name_len(f->p, f->end);
	f->zone_name = f->p;
	f->p += f->zone_len;
	return f->zone_len;
}

static bool read_zone_element(struct fields *f, const struct element *e)
{
	if (e->kind == ZONE_NAME)
		return read_zone_name(f);
	if (e->kind == ZONE_ISO && f->p < f->end && *f->p == 'Z') {
		f->p++;
		f->utc = true;
		return true;
	}
	return read_offset(f, e->number);
}

static bool read_date_element(struct fields *f, const struct element *e)
{
	switch (e->kind) {
	case YEAR:
		f->year = read_number(f, 2, true);
		if (f->year < 0)
			return false;
		f->year += f->year >= 69 ? 1900 : 2000;
		return true;
	case LONG_YEAR:
		f->year = read_number(f, 4, true);
		return f->year >= 0;
	case MONTH:
	case LONG_MONTH:
		f->month = read_name(f, months, 12, e->kind == LONG_MONTH) + 1;
		return f->month > 0;
	case NUM_MONTH:
	case ZERO_MONTH:
		f->month = read_number(f, 2, e->kind == ZERO_MONTH);
		return f->month >= 1 && f->month <= 12;
	case WEEKDAY:
	case LONG_WEEKDAY:
		return read_name(f, weekdays, 7, e->kind == LONG_WEEKDAY) >= 0;
	case DAY:
	case UNDER_DAY:
	case ZERO_DAY:
		if (e->kind == UNDER_DAY)
			skip_space(f);
		f->day = read_number(f, 2, e->kind == ZERO_DAY);
		return f->day >= 0;
	default:
		if (e->kind == UNDER_YEAR_DAY) {
			skip_space(f);
			skip_space(f);
		}
		f->year_day = read_number(f, 3, e->kind == ZERO_YEAR_DAY);
		return f->year_day >= 0;
	}
}

static bool read_element(struct fields *f, const struct element *e)
{
	switch (e->kind) {
	case HOUR:
		return read_range(f, false, 23, &f->hour);
	case HOUR12:
	case ZERO_HOUR12:
		return read_range(f, e->kind == ZERO_HOUR12, 12, &f->hour);
	case MINUTE:
	case ZERO_MINUTE:
		return read_range(f, e->kind == ZERO_MINUTE, 59, &f->minute);
	case SECOND:
	case ZERO_SECOND:
		return read_second(f, e);
	case UPPER_PM:
		return read_pm(f, 'A', 'P', 'M');
	case LOWER_PM:
		return read_pm(f, 'a', 'p', 'm');
	case FRACTION_0:
		return read_fixed_fraction(f, e->number);
	case FRACTION_9:
		read_open_fraction(f);
		return true;
	case ZONE_NAME:
	case ZONE_ISO:
	case ZONE_NUM:
		return read_zone_element(f, e);
	default:
		return read_date_element(f, e);
	}
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in(int64_t year, int month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* The day of the year as month and day, which must be those that were given, if any. */
static bool resolve_year_day(struct fields *f)
{
	int month = 1, day = f->year_day;

	if (day < 1 || day > 365 + is_leap(f->year))
		return false;
	while (day > days_in(f->year, month))
		day -= days_in(f->year, month++);
	if ((f->month >= 0 && f->month != month) || (f->day >= 0 && f->day != day))
		return false;
	f->month = month;
	f->day = day;
	return true;
}

/* A December line in January is last year's, a January line in December next year's. The day is
 * one of year 0, which has a 29th of February: in another year that is the 1st of March. */
static void resolve_year(struct fields *f, uint64_t now_ns)
{
	int64_t year;
	unsigned month, day;

	date__of_days((int64_t)(now_ns / SECOND_NS / DAY_S), &year, &month, &day);
	f->year = year + (f->month == 1 && month == 12) - (f->month == 12 && month == 1);
}

static uint64_t resolution_of(const struct fields *f, uint64_t dflt)
{
	static const unsigned units[] = {SECOND_NS, 100000000, 10000000, 1000000, 100000,
					 10000,	    1000,      100,	 10,	  1};
	int digits = MIN(f->digits, 9);

	return !digits ? dflt : units[f->exact ? digits : (digits + 2) / 3 * 3];
}

/* Seconds and ns of Unix as the result. */
static int give(int64_t unix_s, unsigned ns, uint64_t resolution_ns, struct go_time_result *ret)
{
	if (unix_s < 0 || unix_s >= INT64_MAX / (int64_t)SECOND_NS)
		return -ERANGE;
	ret->ns = (uint64_t)unix_s * SECOND_NS + ns;
	ret->resolution_ns = resolution_ns;
	return 0;
}

static int finish(const struct go_time *t, struct fields *f, uint64_t now_ns,
		  struct go_time_result *ret)
{
	int64_t local;
	int32_t offset = 0;

	if (f->pm && f->hour < 12)
		f->hour += 12;
	else if (f->am && f->hour == 12)
		f->hour = 0;
	if (f->year_day >= 0 && !resolve_year_day(f))
		return -EINVAL;
	f->month = f->month < 0 ? 1 : f->month;
	f->day = f->day < 0 ? 1 : f->day;
	if (f->day < 1 || f->day > days_in(f->year, f->month))
		return -EINVAL;
	if (t->yearless)
		resolve_year(f, now_ns);
	local = date__days(f->year, (unsigned)f->month, (unsigned)f->day) * DAY_S + f->hour * 3600 +
		f->minute * 60 + f->second;
	if (f->utc)
		offset = 0;
	else if (f->has_offset)
		offset = f->offset;
	else if (!f->zone_len)
		offset = time_zone__offset_of_local(t->zone, local);
	else if (time_zone__abbreviation(t->zone, f->zone_name, f->zone_len, local, &offset))
		offset = 0;
	return give(local - offset, f->ns, resolution_of(f, t->resolution_ns), ret);
}

static int parse_layout(const struct go_time *t, const char *text, size_t len, uint64_t now_ns,
			struct go_time_result *ret)
{
	struct fields f = {.p = text, .end = text + len, .month = -1, .day = -1, .year_day = -1};
	const struct element *e = t->elements;

	for (; e->kind != END; e++)
		if (!skip_prefix(&f, e) || !read_element(&f, e))
			return -EINVAL;
	if (!skip_prefix(&f, e) || f.p != f.end)
		return -EINVAL;
	return finish(t, &f, now_ns, ret);
}

static bool two_digits(const char *p, unsigned min, unsigned max, unsigned *ret)
{
	unsigned high = (unsigned)p[0] - '0', low = (unsigned)p[1] - '0';

	*ret = high * 10 + low;
	return high < 10 && low < 10 && *ret >= min && *ret <= max;
}

/* false: not as everybody writes it; that is no error yet. */
static bool parse_rfc3339(const char *text, size_t len, struct go_time_result *ret)
{
	struct fields f = {.p = text + 19, .end = text + len};
	unsigned century, year, month, day, hours, minutes;
	int64_t unix_s;

	if (len < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
	    text[16] != ':')
		return false;
	if (!two_digits(text, 0, 99, &century) || !two_digits(text + 2, 0, 99, &year) ||
	    !two_digits(text + 5, 1, 12, &month) || !two_digits(text + 8, 1, 31, &day) ||
	    !two_digits(text + 11, 0, 23, &f.hour) || !two_digits(text + 14, 0, 59, &f.minute) ||
	    !two_digits(text + 17, 0, 59, &f.second))
		return false;
	year += century * 100;
	if ((int)day > days_in(year, (int)month))
		return false;
	if (*f.p == '.')
		read_open_fraction(&f);
	unix_s = date__days(year, month, day) * DAY_S + f.hour * 3600 + f.minute * 60 + f.second;
	if (f.end - f.p == 6) {
		if ((*f.p != '+' && *f.p != '-') || f.p[3] != ':' ||
		    !two_digits(f.p + 1, 0, 23, &hours) || !two_digits(f.p + 4, 0, 59, &minutes))
			return false;
		unix_s -= (*f.p == '-' ? -1 : 1) * (int64_t)(hours * 3600 + minutes * 60);
	} else if (f.end - f.p != 1 || *f.p != 'Z') {
		return false;
	}
	return give(unix_s, f.ns, resolution_of(&f, SECOND_NS), ret) == 0;
}

/* As strconv.ParseInt(text, 10, 64). */
static int read_int64(const char *p, const char *end, int64_t *ret)
{
	bool negative = p < end && *p == '-';
	uint64_t value = 0;

	p += p < end && (*p == '-' || *p == '+');
	if (p == end)
		return -EINVAL;
	for (; p < end; p++) {
		if (!is_digit(*p))
			return -EINVAL;
		if (value > (INT64_MAX - (uint64_t)(*p - '0')) / 10)
			return -EINVAL;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return 0;
}

/* Only seconds may have a fraction. */
static int parse_unix(const struct go_time *t, const char *text, size_t len,
		      struct go_time_result *ret)
{
	struct fields f = {.p = text, .end = text + len};
	const char *point = t->unit_ns == SECOND_NS ? memchr(text, '.', len) : NULL;
	uint64_t per_second = SECOND_NS / t->unit_ns;
	int64_t value;
	int err = read_int64(text, point ?: f.end, &value);

	if (err)
		return err;
	if (point) {
		f.p = point + 1;
		read_fraction_digits(&f, count_digits(&f), false);
		if (!f.digits || f.p != f.end)
			return -EINVAL;
	}
	if (value < 0)
		return -ERANGE;
	return give(value / (int64_t)per_second,
		    (unsigned)((uint64_t)value % per_second * t->unit_ns) + f.ns,
		    resolution_of(&f, t->unit_ns), ret);
}

int go_time__parse(const struct go_time *t, const char *text, size_t len, uint64_t now_ns,
		   struct go_time_result *ret)
{
	if (t->form == FORM_UNIX)
		return parse_unix(t, text, len, ret);
	if (t->form == FORM_RFC3339 && parse_rfc3339(text, len, ret))
		return 0;
	return parse_layout(t, text, len, now_ns, ret);
}
