/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TZif, RFC 8536: a table of transitions, found by bisection, and behind the last one a rule in the
 * form of POSIX' TZ. Version 1 files have 32 bits and no rule. Everything is checked when it is
 * read; a file is at most FILE_MAX.
 */
#include "process/time_zone.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define FILE_MAX (256u * 1024)
#define HEADER_SIZE 44
#define NAME_MAX_LEN 128
#define ABBREVIATION_MAX 15
#define DAY_S 86400
#define OFFSET_MAX (26 * 3600)

struct period {
	int32_t offset;
	bool dst;
	char name[ABBREVIATION_MAX + 1];
};

enum rule_kind { RULE_JULIAN, RULE_DAY, RULE_WEEKDAY };

/* When a year's change is: local seconds of the period before it. */
struct change {
	enum rule_kind kind;
	unsigned month, week, day;
	int32_t time;
};

struct rule {
	bool known, has_dst;
	struct period standard, summer;
	struct change begin, end;
};

struct time_zone {
	struct rule rule;
	size_t n_times, n_types;
	struct period *types;
	int64_t *times;
	uint8_t *type_of;
};

int64_t date__days(int64_t year, unsigned month, unsigned day)
{
	int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400, of_year = (153 * ((month + 9) % 12) + 2) / 5;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year + day - 1 - 719468;
}

void date__of_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era, y, of_year, m;

	of_era = z - era * 146097;
	y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * y + y / 4 - y / 100);
	m = (5 * of_year + 2) / 153;
	*ret_day = (unsigned)(of_year - (153 * m + 2) / 5 + 1);
	*ret_month = (unsigned)(m < 10 ? m + 3 : m - 9);
	*ret_year = era * 400 + y + (*ret_month <= 2);
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The change in that year, in local seconds as if they were Unix ones. */
static int64_t change_at(const struct change *c, int64_t year)
{
	int64_t first, days;
	unsigned month, day;
	int64_t unused;

	switch (c->kind) {
	case RULE_JULIAN: /* 1 to 365, never the 29th of February */
		days = date__days(year, 1, 1) + c->day - 1 + (is_leap(year) && c->day >= 60);
		break;
	case RULE_DAY:
		days = date__days(year, 1, 1) + c->day;
		break;
	default:
		first = date__days(year, c->month, 1);
		/* 1970-01-01 was a Thursday. */
		days = first + (((int64_t)c->day - (first + 4) % 7) % 7 + 7) % 7 +
		       7 * (c->week - 1);
		date__of_days(days, &unused, &month, &day);
		if (month != c->month)
			days -= 7;
	}
	return days * DAY_S + c->time;
}

static const struct period *rule_period(const struct rule *r, int64_t unix_s)
{
	int64_t local = unix_s + r->standard.offset, year, begin, end;
	unsigned month, day;

	if (!r->has_dst)
		return &r->standard;
	date__of_days((local >= 0 ? local : local - (DAY_S - 1)) / DAY_S, &year, &month, &day);
	begin = change_at(&r->begin, year) - r->standard.offset;
	end = change_at(&r->end, year) - r->summer.offset;
	if (begin < end)
		return unix_s >= begin && unix_s < end ? &r->summer : &r->standard;
	return unix_s >= end && unix_s < begin ? &r->standard : &r->summer;
}

/* Before the first transition: the type that no transition needs, or the first that is no summer
 * time. */
static const struct period *first_period(const struct time_zone *z)
{
	if (z->n_times && memchr(z->type_of, 0, z->n_times))
		for (size_t i = 0; i < z->n_types; i++)
			if (!z->types[i].dst)
				return &z->types[i];
	return &z->types[0];
}

static const struct period *find_period(const struct time_zone *z, int64_t unix_s)
{
	size_t low = 0, high = z->n_times;

	if (z->rule.known && (!high || unix_s >= z->times[high - 1]))
		return rule_period(&z->rule, unix_s);
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (z->times[middle] <= unix_s)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &z->types[z->type_of[low - 1]] : first_period(z);
}

int32_t time_zone__offset(const struct time_zone *z, int64_t unix_s, const char **ret_name)
{
	static const struct period utc = {.name = "UTC"};
	const struct period *p = z ? find_period(z, unix_s) : &utc;

	if (ret_name)
		*ret_name = p->name;
	return p->offset;
}

int32_t time_zone__offset_of_local(const struct time_zone *z, int64_t local_s)
{
	if (!z)
		return 0;
	return find_period(z, local_s - find_period(z, local_s)->offset)->offset;
}

int time_zone__abbreviation(const struct time_zone *z, const char *name, size_t len,
			    int64_t local_s, int32_t *ret_offset)
{
	const struct period *any = NULL;

	for (size_t i = 0; z && i < z->n_types; i++) {
		const struct period *p = &z->types[i], *then;

		if (strlen(p->name) != len || memcmp(p->name, name, len) != 0)
			continue;
		then = find_period(z, local_s - p->offset);
		if (strcmp(then->name, p->name) == 0) {
			*ret_offset = then->offset;
			return 0;
		}
		any = any ?: p;
	}
	if (!any)
		return -ENOENT;
	*ret_offset = any->offset;
	return 0;
}

static bool read_name(const char **p, char ret[ABBREVIATION_MAX + 1])
{
	bool quoted = **p == '<';
	const char *begin = *p + quoted, *end = begin;

	while (quoted ? *end && *end != '>' : isalpha((unsigned char)*end))
		end++;
	if (end - begin < 3 || end - begin > ABBREVIATION_MAX || (quoted && !*end))
		return false;
	memcpy(ret, begin, (size_t)(end - begin));
	ret[end - begin] = '\0';
	*p = end + quoted;
	return true;
}

static bool read_number(const char **p, unsigned max, unsigned *ret)
{
	unsigned n = 0, digits = 0;

	for (; isdigit((unsigned char)**p) && digits < 4; (*p)++, digits++)
		n = n * 10 + (unsigned)(**p - '0');
	*ret = n;
	return digits && n <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(const char **p, unsigned hours_max, int32_t *ret)
{
	int sign = **p == '-' ? -1 : 1;
	unsigned h, m = 0, s = 0;

	*p += **p == '-' || **p == '+';
	if (!read_number(p, hours_max, &h))
		return false;
	if (**p == ':' && (++*p, !read_number(p, 59, &m)))
		return false;
	if (**p == ':' && (++*p, !read_number(p, 59, &s)))
		return false;
	*ret = sign * (int32_t)(h * 3600 + m * 60 + s);
	return true;
}

static bool read_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/* ,Mm.w.d or ,Jn or ,n, each with /time */
static bool read_change(const char **p, struct change *ret)
{
	struct change c = {.kind = RULE_DAY, .time = 2 * 3600};
	bool ok;

	if (!read_char(p, ','))
		return false;
	if (read_char(p, 'M')) {
		c.kind = RULE_WEEKDAY;
		ok = read_number(p, 12, &c.month) && c.month && read_char(p, '.') &&
		     read_number(p, 5, &c.week) && c.week && read_char(p, '.') &&
		     read_number(p, 6, &c.day);
	} else {
		if (read_char(p, 'J'))
			c.kind = RULE_JULIAN;
		ok = read_number(p, 365, &c.day) && (c.kind == RULE_DAY || c.day);
	}
	if (ok && read_char(p, '/'))
		ok = read_time(p, 167, &c.time);
	*ret = c;
	return ok;
}

/* As POSIX' TZ has it; nothing at all is no rule. */
static bool read_rule(const char *p, struct rule *r)
{
	int32_t west;

	if (!*p)
		return true;
	if (!read_name(&p, r->standard.name) || !read_time(&p, 24, &west))
		return false;
	r->known = true;
	r->standard.offset = -west;
	if (!*p)
		return true;
	if (!read_name(&p, r->summer.name))
		return false;
	r->has_dst = true;
	r->summer.dst = true;
	r->summer.offset = r->standard.offset + 3600;
	if (*p && *p != ',') {
		if (!read_time(&p, 24, &west))
			return false;
		r->summer.offset = -west;
	}
	return read_change(&p, &r->begin) && read_change(&p, &r->end) && !*p;
}

static uint64_t big_endian(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

struct counts {
	size_t utc, standard, leaps, times, types, chars;
};

/* The header and the size of the block behind it, whose times have `width` bytes. */
static bool read_header(const uint8_t *p, size_t len, unsigned width, struct counts *c,
			size_t *ret_block)
{
	if (len < HEADER_SIZE || memcmp(p, "TZif", 4) != 0)
		return false;
	c->utc = big_endian(p + 20, 4);
	c->standard = big_endian(p + 24, 4);
	c->leaps = big_endian(p + 28, 4);
	c->times = big_endian(p + 32, 4);
	c->types = big_endian(p + 36, 4);
	c->chars = big_endian(p + 40, 4);
	if (c->utc > 256 || c->standard > 256 || c->leaps > FILE_MAX || c->times > FILE_MAX ||
	    !c->types || c->types > 256 || !c->chars || c->chars > FILE_MAX)
		return false;
	*ret_block = c->times * (width + 1) + c->types * 6 + c->chars + c->leaps * (width + 4) +
		     c->standard + c->utc;
	return *ret_block <= len - HEADER_SIZE;
}

static bool read_types(struct time_zone *z, const uint8_t *p, const char *chars, size_t n_chars)
{
	for (size_t i = 0; i < z->n_types; i++, p += 6) {
		struct period *t = &z->types[i];
		size_t name = p[5], len;

		t->offset = (int32_t)big_endian(p, 4);
		t->dst = p[4];
		if (name >= n_chars || t->offset > OFFSET_MAX || t->offset < -OFFSET_MAX)
			return false;
		len = strnlen(chars + name, n_chars - name);
		memcpy(t->name, chars + name, MIN(len, ABBREVIATION_MAX));
	}
	return true;
}

static int read_block(struct time_zone *z, const uint8_t *p, const struct counts *c, unsigned width)
{
	const uint8_t *types = p + c->times * (width + 1);

	z->n_times = c->times;
	z->n_types = c->types;
	z->times = calloc(MAX(c->times, 1), sizeof(*z->times));
	z->type_of = calloc(MAX(c->times, 1), 1);
	z->types = calloc(c->types, sizeof(*z->types));
	if (!z->times || !z->type_of || !z->types)
		return -ENOMEM;
	for (size_t i = 0; i < c->times; i++) {
		uint64_t v = big_endian(p + i * width, width);

		z->times[i] = width == 4 ? (int32_t)v : (int64_t)v;
		z->type_of[i] = p[c->times * width + i];
		if (z->type_of[i] >= c->types || (i && z->times[i] <= z->times[i - 1]))
			return -EINVAL;
	}
	return read_types(z, types, (const char *)types + c->types * 6, c->chars) ? 0 : -EINVAL;
}

static int read_footer(struct time_zone *z, const uint8_t *p, size_t len)
{
	char text[128];
	const uint8_t *end;

	if (!len || *p != '\n')
		return -EINVAL;
	end = memchr(p + 1, '\n', len - 1);
	if (!end || end - p > (ptrdiff_t)sizeof(text) || memchr(p, '\0', (size_t)(end - p)))
		return -EINVAL;
	memcpy(text, p + 1, (size_t)(end - p - 1));
	text[end - p - 1] = '\0';
	return read_rule(text, &z->rule) ? 0 : -EINVAL;
}

static int read_file(struct time_zone *z, const uint8_t *p, size_t len)
{
	struct counts c;
	size_t block;
	int err;

	if (!read_header(p, len, 4, &c, &block))
		return -EINVAL;
	if (!p[4])
		return read_block(z, p + HEADER_SIZE, &c, 4);
	p += HEADER_SIZE + block;
	len -= HEADER_SIZE + block;
	if (!read_header(p, len, 8, &c, &block))
		return -EINVAL;
	err = read_block(z, p + HEADER_SIZE, &c, 8);
	return err ?: read_footer(z, p + HEADER_SIZE + block, len - HEADER_SIZE - block);
}

int time_zone__parse(struct time_zone **ret, const void *data, size_t len)
{
	struct time_zone *z = calloc(1, sizeof(*z));
	int err;

	if (!z)
		return -ENOMEM;
	err = read_file(z, data, len);
	if (err) {
		time_zone__free(z);
		return err;
	}
	*ret = z;
	return 0;
}

void time_zone__free(struct time_zone *z)
{
	if (!z)
		return;
	free(z->times);
	free(z->type_of);
	free(z->types);
	free(z);
}

static int load_file(struct time_zone **ret, const char *path)
{
	_free_ char *data = NULL;
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	data = malloc(FILE_MAX);
	if (!data)
		return -ENOMEM;
	while (len < FILE_MAX && (n = read(fd, data + len, FILE_MAX - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EISDIR ? -ENOENT : -errno;
		len += (size_t)n;
	}
	return len == FILE_MAX ? -EINVAL : time_zone__parse(ret, data, len);
}

static const char *const dirs[] = {"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo",
				   "/etc/zoneinfo"};

bool time_zone__missing(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (access(dirs[i], X_OK) == 0)
			return false;
	return true;
}

/* Names are paths below the database's directory: not out of it. */
static bool name_ok(const char *name)
{
	if (!*name || *name == '/' || strlen(name) > NAME_MAX_LEN || strstr(name, "..") ||
	    strchr(name, '\\'))
		return false;
	return true;
}

int time_zone__load(struct time_zone **ret, const char *name, const char *dir)
{
	char path[PATH_MAX];
	int err = -ENOENT;

	if (!*name || strcmp(name, "UTC") == 0) {
		*ret = NULL;
		return 0;
	}
	if (strcmp(name, "Local") == 0) {
		err = load_file(ret, "/etc/localtime");
		if (err == -ENOENT) {
			*ret = NULL;
			err = 0;
		}
		return err;
	}
	if (!name_ok(name))
		return -EINVAL;
	for (size_t i = 0; i < (dir ? 1 : ARRAY_SIZE(dirs)); i++) {
		int n = snprintf(path, sizeof(path), "%s/%s", dir ?: dirs[i], name);

		if (n < 0 || n >= (int)sizeof(path))
			return -EINVAL;
		err = load_file(ret, path);
		if (err != -ENOENT && err != -ENOTDIR)
			return err;
	}
	return -ENOENT;
}
