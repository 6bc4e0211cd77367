/* SPDX-License-Identifier: Apache-2.0 */
/* What a scalar says: numbers, durations, sizes and booleans, as Prometheus and Promtail write
 * them. */
#include "config/schema_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

static const struct {
	const char *suffix;
	uint64_t ns;
} TIME_UNITS[] = {
	{"ns", 1},	   {"us", 1000},      {"\xc2\xb5s", 1000},    {"\xce\xbcs", 1000},
	{"ms", NS_PER_MS}, {"s", NS_PER_SEC}, {"m", 60 * NS_PER_SEC}, {"h", 3600 * NS_PER_SEC},
	{"d", DAY_NS},	   {"w", 7 * DAY_NS}, {"y", 365 * DAY_NS},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits with at most one dot among or around them, as exact as 18 digits are. */
static int read_decimal(const char **text, uint64_t *ret_whole, uint64_t *ret_fraction,
			uint64_t *ret_scale)
{
	uint64_t whole = 0, fraction = 0, scale = 1;
	const char *p = *text;
	size_t digits = 0;

	for (; is_digit(*p); p++, digits++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
			return -EINVAL;
	if (*p == '.') {
		for (p++; is_digit(*p); p++, digits++) {
			if (scale >= 1000000000)
				continue;
			fraction = fraction * 10 + (uint64_t)(*p - '0');
			scale *= 10;
		}
	}
	if (!digits)
		return -EINVAL;
	*text = p;
	*ret_whole = whole;
	*ret_fraction = fraction;
	*ret_scale = scale;
	return 0;
}

static int add_scaled(uint64_t *sum, uint64_t whole, uint64_t fraction, uint64_t scale,
		      uint64_t unit)
{
	uint64_t product;

	if (__builtin_mul_overflow(whole, unit, &product) ||
	    __builtin_add_overflow(*sum, product, sum))
		return -EINVAL;
	product = (uint64_t)((unsigned __int128)fraction * unit / scale);
	return __builtin_add_overflow(*sum, product, sum) ? -EINVAL : 0;
}

int schema__duration(const char *text, uint64_t *ret_ns)
{
	uint64_t sum = 0, whole, fraction, scale;
	size_t i, len;

	if (!strcmp(text, "0")) {
		*ret_ns = 0;
		return 0;
	}
	if (!*text)
		return -EINVAL;
	while (*text) {
		if (read_decimal(&text, &whole, &fraction, &scale))
			return -EINVAL;
		for (len = 0; text[len] && !is_digit(text[len]) && text[len] != '.';)
			len++;
		for (i = 0; i < ARRAY_SIZE(TIME_UNITS); i++)
			if (strlen(TIME_UNITS[i].suffix) == len &&
			    !strncmp(TIME_UNITS[i].suffix, text, len))
				break;
		if (i == ARRAY_SIZE(TIME_UNITS) ||
		    add_scaled(&sum, whole, fraction, scale, TIME_UNITS[i].ns))
			return -EINVAL;
		text += len;
	}
	if (sum > INT64_MAX)
		return -EINVAL;
	*ret_ns = sum;
	return 0;
}

int schema__size(const char *text, uint64_t *ret_bytes)
{
	static const char PREFIXES[] = "kmgt";
	uint64_t sum = 0, whole, fraction, scale, unit = 1;
	const char *prefix;

	if (read_decimal(&text, &whole, &fraction, &scale))
		return -EINVAL;
	while (*text == ' ')
		text++;
	prefix = *text ? strchr(PREFIXES, *text | 0x20) : NULL;
	if (prefix) {
		unit = 1ull << (10 * (prefix - PREFIXES + 1));
		text++;
		if (*text == 'i')
			text++;
		else if (!*text)
			text = "b";
	}
	if ((*text && strcasecmp(text, "b")) || (!prefix && scale > 1) ||
	    add_scaled(&sum, whole, fraction, scale, unit) || sum > INT64_MAX)
		return -EINVAL;
	*ret_bytes = sum;
	return 0;
}

int schema__bool(const char *text, bool *ret)
{
	static const char *const YES[] = {"true", "yes", "on", "y"};
	static const char *const NO[] = {"false", "no", "off", "n"};

	for (size_t i = 0; i < ARRAY_SIZE(YES); i++) {
		if (!strcasecmp(text, YES[i]) || !strcasecmp(text, NO[i])) {
			*ret = !strcasecmp(text, YES[i]);
			return 0;
		}
	}
	return -EINVAL;
}

int schema__int(const char *text, int64_t *ret)
{
	char *end;
	long long value;

	if (!is_digit(*text) && !((*text == '-' || *text == '+') && is_digit(text[1])))
		return -EINVAL;
	errno = 0;
	value = strtoll(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
	if (errno || *end)
		return -EINVAL;
	*ret = value;
	return 0;
}

int schema__float(const char *text, double *ret)
{
	char *end;
	double value;

	if (strspn(text, "+-.0123456789eE") != strlen(text) || !*text)
		return -EINVAL;
	value = strtod(text, &end);
	if (*end || !isfinite(value))
		return -EINVAL;
	*ret = value;
	return 0;
}
