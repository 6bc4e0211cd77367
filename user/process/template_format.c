/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as Go's fmt and strconv write them. Verbs and flags that make sense of texts, numbers and
 * booleans are known; what is wrong with a format is in the result, as Go has it (%!d(string=x)).
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "process/template_internal.h"

#define DIGITS_MAX 17
#define WIDTH_MAX 4096
#define PRECISION_MAX 512
#define EXPONENT_SHORTEST 6 /* from here on %g without a precision has an exponent */

struct verb {
	bool minus, plus, sharp, space, zero;
	int width, precision; /* -1: not given */
	char c;
};

int tbuf__put(struct buf *b, const void *data, size_t len)
{
	if (len > TEMPLATE_TEXT_MAX - MIN(b->len, TEMPLATE_TEXT_MAX))
		return -E2BIG;
	return buf__append(b, data, len);
}

int tbuf__char(struct buf *b, char c, size_t times)
{
	int err;

	if (times > TEMPLATE_TEXT_MAX - MIN(b->len, TEMPLATE_TEXT_MAX))
		return -E2BIG;
	err = buf__reserve(b, times);
	if (err)
		return err;
	if (times)
		memset(b->data + b->len, c, times);
	b->len += times;
	return 0;
}

static int put_str(struct buf *b, const char *s)
{
	return tbuf__put(b, s, strlen(s));
}

/* The digits of |number| that %e gives for `precision` (-1: the shortest that read back the same),
 * without the point; its exponent. */
static int digits_of(double number, int precision, char digits[PRECISION_MAX + 16],
		     int *ret_exponent)
{
	char text[PRECISION_MAX + 32], *out = digits;
	int digits_wanted = precision < 0 ? 1 : precision + 1;

	for (;;) {
		snprintf(text, sizeof(text), "%.*e", digits_wanted - 1, fabs(number));
		if (precision >= 0 || digits_wanted >= DIGITS_MAX ||
		    strtod(text, NULL) == fabs(number))
			break;
		digits_wanted++;
	}
	for (const char *t = text; *t && *t != 'e'; t++)
		if (*t != '.')
			*out++ = *t;
	*out = '\0';
	*ret_exponent = atoi(strchr(text, 'e') + 1);
	return (int)(out - digits);
}

static int put_plain(struct buf *b, const char *digits, int n, int exponent)
{
	int whole = exponent + 1, err = 0;

	if (whole <= 0) {
		err = put_str(b, "0.") ?: tbuf__char(b, '0', (size_t)-whole);
		return err ?: tbuf__put(b, digits, (size_t)n);
	}
	err = tbuf__put(b, digits, (size_t)MIN(whole, n));
	if (!err && whole > n)
		err = tbuf__char(b, '0', (size_t)(whole - n));
	if (!err && whole < n)
		err = put_str(b, ".") ?: tbuf__put(b, digits + whole, (size_t)(n - whole));
	return err;
}

static int put_exponent(struct buf *b, const char *digits, int n, int exponent, char e)
{
	char text[16];
	int err = tbuf__put(b, digits, 1);

	if (!err && n > 1)
		err = put_str(b, ".") ?: tbuf__put(b, digits + 1, (size_t)(n - 1));
	snprintf(text, sizeof(text), "%c%c%02d", e, exponent < 0 ? '-' : '+', abs(exponent));
	return err ?: put_str(b, text);
}

int tbuf__float(struct buf *b, double number, char format, int precision)
{
	char digits[PRECISION_MAX + 16], text[PRECISION_MAX + 400];
	int n, exponent, err;

	if (isnan(number) || isinf(number))
		return put_str(b, isnan(number) ? "NaN" : number < 0 ? "-Inf" : "+Inf");
	precision = MIN(precision, PRECISION_MAX);
	if ((format == 'f' || format == 'F') && precision >= 0) {
		snprintf(text, sizeof(text), "%.*f", precision, number);
		return put_str(b, text);
	}
	if (signbit(number)) {
		err = put_str(b, "-");
		if (err)
			return err;
	}
	if (format == 'g' || format == 'G') {
		n = digits_of(number, precision < 0 ? -1 : MAX(precision, 1) - 1, digits,
			      &exponent);
		while (precision >= 0 && n > 1 && digits[n - 1] == '0')
			n--;
		if (exponent < -4 ||
		    exponent >= (precision < 0 ? EXPONENT_SHORTEST : MAX(precision, 1)))
			return put_exponent(b, digits, n, exponent, format == 'g' ? 'e' : 'E');
		return put_plain(b, digits, n, exponent);
	}
	n = digits_of(number, precision, digits, &exponent);
	return format == 'f' || format == 'F' ? put_plain(b, digits, n, exponent)
					      : put_exponent(b, digits, n, exponent, format);
}

static int put_integer(struct buf *b, int64_t value)
{
	char text[24];

	return tbuf__put(b, text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)value));
}

int tbuf__value(struct buf *b, const struct tvalue *v, const char *none)
{
	int err;

	switch (v->kind) {
	case T_NONE:
		return put_str(b, none);
	case T_BOOL:
		return put_str(b, v->boolean ? "true" : "false");
	case T_INT:
		return put_integer(b, v->integer);
	case T_FLOAT:
		return tbuf__float(b, v->number, 'g', -1);
	case T_STRING:
		return tbuf__put(b, v->text, v->len);
	case T_LIST:
		break;
	}
	err = put_str(b, "[");
	for (size_t i = 0; i < v->n && !err; i++)
		err = (i ? put_str(b, " ") : 0) ?: tbuf__value(b, &v->items[i], "<nil>");
	return err ?: put_str(b, "]");
}

/* One character; returns how many bytes it took. */
static size_t put_quoted(struct buf *b, const char *s, const char *end, int *ret_err)
{
	static const char from[] = "\a\b\f\n\r\t\v\\\"", to[] = "abfnrtv\\\"";
	const char *at = *s ? strchr(from, *s) : NULL;
	size_t len = utf8__sequence(s, end);
	char text[8];

	if (at)
		snprintf(text, sizeof(text), "\\%c", to[at - from]);
	else if (!len || (unsigned char)*s < ' ' || *s == 0x7f)
		snprintf(text, sizeof(text), "\\x%02x", (unsigned char)*s);
	else
		text[0] = '\0';
	*ret_err = text[0] ? put_str(b, text) : tbuf__put(b, s, len);
	return text[0] ? 1 : len;
}

int tbuf__quote(struct buf *b, const char *text, size_t len)
{
	int err = put_str(b, "\"");

	for (size_t i = 0; i < len && !err;)
		i += put_quoted(b, text + i, text + len, &err);
	return err ?: put_str(b, "\"");
}

static const char *type_name(const struct tvalue *v)
{
	static const char *const names[] = {
		[T_NONE] = "<nil>",    [T_BOOL] = "bool",     [T_INT] = "int",
		[T_FLOAT] = "float64", [T_STRING] = "string", [T_LIST] = "[]interface {}",
	};

	return names[v->kind];
}

static int put_bad(struct buf *b, char verb, const struct tvalue *v)
{
	char text[] = {'%', '!', verb, '(', '\0'};
	int err = put_str(b, text) ?: put_str(b, type_name(v));

	if (!err && v->kind != T_NONE)
		err = put_str(b, "=") ?: tbuf__value(b, v, "");
	return err ?: put_str(b, ")");
}

static int put_hex(struct buf *b, const char *s, size_t len, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	int err = 0;

	for (size_t i = 0; i < len && !err; i++) {
		unsigned char c = (unsigned char)s[i];
		char pair[2] = {digits[c >> 4], digits[c & 15]};

		err = tbuf__put(b, pair, 2);
	}
	return err;
}

/* Characters: valid ones count as one, other bytes each. */
static size_t count_runes(const char *s, size_t len, size_t max, size_t *ret_bytes)
{
	const char *p = s, *end = s + len;
	size_t n = 0;

	for (; p < end && n < max; n++)
		p += MAX(utf8__sequence(p, end), 1);
	*ret_bytes = (size_t)(p - s);
	return n;
}

static int format_string(struct buf *b, const struct verb *verb, const struct tvalue *v)
{
	size_t len = v->len;

	if (verb->precision >= 0)
		count_runes(v->text, v->len, (size_t)verb->precision, &len);
	switch (verb->c) {
	case 's':
	case 'v':
		return verb->c == 'v' && verb->sharp ? tbuf__quote(b, v->text, len)
						     : tbuf__put(b, v->text, len);
	case 'q':
		return tbuf__quote(b, v->text, len);
	case 'x':
	case 'X':
		return put_hex(b, v->text, len, verb->c == 'X');
	}
	return put_bad(b, verb->c, v);
}

static int put_sign(struct buf *b, const struct verb *verb, bool negative)
{
	return negative	     ? put_str(b, "-")
	       : verb->plus  ? put_str(b, "+")
	       : verb->space ? put_str(b, " ")
			     : 0;
}

/* A number as the character that it stands for, in quotes. */
static int put_rune(struct buf *b, uint64_t number)
{
	char text[4];
	size_t len = utf8__encode(number <= 0x10ffff ? (uint32_t)number : 0xfffd, text);
	int err = put_str(b, "'");

	if (err)
		return err;
	if (*text == '\'')
		err = put_str(b, "\\'");
	else if (*text == '"')
		err = put_str(b, "\"");
	else
		put_quoted(b, text, text + len, &err);
	return err ?: put_str(b, "'");
}

static int put_code_point(struct buf *b, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "U+%04" PRIX64, number);
	return put_str(b, text);
}

static int format_integer(struct buf *b, const struct verb *verb, const struct tvalue *v)
{
	const char *digits = verb->c == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	uint64_t u = v->integer < 0 ? -(uint64_t)v->integer : (uint64_t)v->integer;
	unsigned base = verb->c == 'b'			   ? 2
			: verb->c == 'o' || verb->c == 'O' ? 8
			: verb->c == 'x' || verb->c == 'X' ? 16
							   : 10;
	char text[80], *p = text + sizeof(text);
	int err, precision = verb->precision;

	if (verb->c == 'c')
		return tbuf__put(b, text, utf8__encode(u <= 0x10ffff ? (uint32_t)u : 0xfffd, text));
	if (verb->c == 'q')
		return put_rune(b, (uint64_t)v->integer);
	if (verb->c == 'U')
		return put_code_point(b, (uint64_t)v->integer);
	if (!strchr("vdboOxX", verb->c))
		return put_bad(b, verb->c, v);
	if (!u && !precision)
		return 0;
	do {
		*--p = digits[u % base];
		u /= base;
	} while (u);
	err = put_sign(b, verb, v->integer < 0);
	if (!err && verb->sharp && base == 16)
		err = put_str(b, verb->c == 'x' ? "0x" : "0X");
	if (!err && verb->sharp && base == 2)
		err = put_str(b, "0b");
	if (!err && (verb->c == 'O' || (verb->sharp && base == 8)))
		err = put_str(b, verb->c == 'O' ? "0o" : "0");
	if (precision < 0 && verb->zero && !verb->minus && verb->width >= 0)
		precision = verb->width - (v->integer < 0 || verb->plus || verb->space);
	if (!err && precision > text + sizeof(text) - p)
		err = tbuf__char(b, '0', (size_t)(precision - (text + sizeof(text) - p)));
	return err ?: tbuf__put(b, p, (size_t)(text + sizeof(text) - p));
}

static int format_float(struct buf *b, const struct verb *verb, const struct tvalue *v)
{
	size_t begin = b->len, pad;
	int err, precision = verb->precision;
	char format = verb->c == 'v' ? 'g' : verb->c;

	if (!strchr("veEfFgG", verb->c))
		return put_bad(b, verb->c, v);
	if (precision < 0 && strchr("eEfF", verb->c))
		precision = 6;
	err = signbit(v->number) ? 0 : put_sign(b, verb, false);
	if (!err)
		err = tbuf__float(b, v->number, format, precision);
	if (err || !verb->zero || verb->minus || verb->width < 0 ||
	    b->len - begin >= (size_t)verb->width)
		return err;
	/* Zeros go between the sign and the digits. */
	pad = (size_t)verb->width - (b->len - begin);
	begin += strchr("+- ", b->data[begin]) != NULL;
	err = tbuf__char(b, '0', pad);
	if (err)
		return err;
	memmove(b->data + begin + pad, b->data + begin, b->len - pad - begin);
	memset(b->data + begin, '0', pad);
	return 0;
}

static int format_argument(struct buf *b, const struct verb *verb, const struct tvalue *v)
{
	if (verb->c == 'T')
		return put_str(b, type_name(v));
	switch (v->kind) {
	case T_STRING:
		return format_string(b, verb, v);
	case T_INT:
		return format_integer(b, verb, v);
	case T_FLOAT:
		return format_float(b, verb, v);
	case T_BOOL:
		return verb->c == 't' || verb->c == 'v' ? tbuf__value(b, v, "")
							: put_bad(b, verb->c, v);
	case T_NONE:
		return verb->c == 'v' ? put_str(b, "<nil>") : put_bad(b, verb->c, v);
	case T_LIST:
		break;
	}
	return tbuf__value(b, v, "<nil>");
}

/* Spaces around what was written from `begin` on, up to the width. */
static int pad_to_width(struct buf *b, const struct verb *verb, size_t begin)
{
	/* Of nothing yet there is no memory. */
	const char *text = b->len > begin ? b->data + begin : "";
	size_t bytes, runes = count_runes(text, b->len - begin, SIZE_MAX, &bytes), pad;
	int err;

	if (verb->width < 0 || runes >= (size_t)verb->width)
		return 0;
	pad = (size_t)verb->width - runes;
	err = tbuf__char(b, ' ', pad);
	if (err || verb->minus)
		return err;
	memmove(b->data + begin + pad, b->data + begin, bytes);
	memset(b->data + begin, ' ', pad);
	return 0;
}

static int read_number(const char **p, const char *end, int max)
{
	int n = 0;

	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++)
		n = MIN(n * 10 + (**p - '0'), max);
	return n;
}

/* Behind the %; *p is left behind the verb. false: there is none. */
static bool read_verb(const char **p, const char *end, struct verb *verb)
{
	*verb = (struct verb){.width = -1, .precision = -1};
	for (; *p < end && strchr("+-# 0", **p) && **p; (*p)++) {
		verb->plus |= **p == '+';
		verb->minus |= **p == '-';
		verb->sharp |= **p == '#';
		verb->space |= **p == ' ';
		verb->zero |= **p == '0';
	}
	if (*p < end && **p >= '1' && **p <= '9')
		verb->width = read_number(p, end, WIDTH_MAX);
	if (*p < end && **p == '.') {
		(*p)++;
		verb->precision = read_number(p, end, PRECISION_MAX);
	}
	if (*p == end)
		return false;
	verb->c = *(*p)++;
	return true;
}

static int format_one(struct buf *b, const char **p, const char *end, const struct tvalue *args,
		      size_t n_args, size_t *next)
{
	struct verb verb;
	size_t begin = b->len;
	int err;

	if (!read_verb(p, end, &verb))
		return put_str(b, "%!(NOVERB)");
	if (verb.c == '%')
		return put_str(b, "%");
	if (*next >= n_args) {
		char text[] = {'%', '!', verb.c, '\0'};

		return put_str(b, text) ?: put_str(b, "(MISSING)");
	}
	err = format_argument(b, &verb, &args[(*next)++]);
	return err ?: pad_to_width(b, &verb, begin);
}

int tbuf__format(struct buf *b, const char *format, size_t len, const struct tvalue *args,
		 size_t n_args)
{
	const char *p = format, *end = format + len;
	size_t next = 0;
	int err = 0;

	while (p < end && !err) {
		const char *percent = memchr(p, '%', (size_t)(end - p));

		err = tbuf__put(b, p, (size_t)((percent ?: end) - p));
		p = percent ? percent + 1 : end;
		if (percent && !err)
			err = format_one(b, &p, end, args, n_args, &next);
	}
	if (err || next >= n_args)
		return err;
	err = put_str(b, "%!(EXTRA ");
	for (size_t i = next; i < n_args && !err; i++) {
		err = (i > next ? put_str(b, ", ") : 0) ?: put_str(b, type_name(&args[i]));
		if (!err && args[i].kind != T_NONE)
			err = put_str(b, "=") ?: tbuf__value(b, &args[i], "");
	}
	return err ?: put_str(b, ")");
}
