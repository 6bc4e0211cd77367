/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loop walks over a value, with a bit for each open level (object or array) in place of a
 * recursion. What it takes is what json-iterator, Promtail's reader, takes: the JSON of RFC 8259,
 * and in strings, from the first escape on, control characters too.
 */
#include "process/json_text.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define EXACT_DIGITS \
	15 /* integers of so many digits, and powers of ten up to 22, are exact doubles */
#define NUMBER_MAX 64

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Behind the escape whose backslash is before p. */
static const char *skip_escape(const char *p, const char *end)
{
	if (p == end)
		return NULL;
	if (*p != 'u')
		return *p && strchr("\"\\/bfnrt", *p) ? p + 1 : NULL;
	if (end - p < 5)
		return NULL;
	for (int i = 1; i < 5; i++)
		if (hex_digit(p[i]) < 0)
			return NULL;
	return p + 5;
}

const char *json_text__skip_string(const char *p, const char *end, bool *ret_escaped)
{
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= ' ')
		p++;
	if (p == end || (*p != '"' && *p != '\\'))
		return NULL;
	*ret_escaped = *p == '\\';
	while (*p != '"') {
		if (*p++ == '\\')
			p = skip_escape(p, end);
		if (!p || p == end)
			return NULL;
	}
	return p + 1;
}

const char *json_text__skip_key(const char *p, const char *end, const char **ret_key,
				size_t *ret_len, bool *ret_escaped)
{
	const char *key;

	p = json_text__space(p, end);
	if (p == end || *p != '"')
		return NULL;
	key = p + 1;
	p = json_text__skip_string(key, end, ret_escaped);
	if (!p)
		return NULL;
	*ret_key = key;
	*ret_len = (size_t)(p - 1 - key);
	p = json_text__space(p, end);
	return p < end && *p == ':' ? p + 1 : NULL;
}

static const char *skip_digits(const char *p, const char *end)
{
	while (p < end && is_digit(*p))
		p++;
	return p;
}

static const char *skip_number(const char *p, const char *end)
{
	const char *digits = *p == '-' ? p + 1 : p;

	p = skip_digits(digits, end);
	if (p == digits || (*digits == '0' && p - digits > 1))
		return NULL;
	if (p < end && *p == '.') {
		digits = p + 1;
		p = skip_digits(digits, end);
		if (p == digits)
			return NULL;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		digits = p < end && (*p == '+' || *p == '-') ? p + 1 : p;
		p = skip_digits(digits, end);
		if (p == digits)
			return NULL;
	}
	return p;
}

static const char *skip_word(const char *p, const char *end, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(end - p) >= len && memcmp(p, word, len) == 0 ? p + len : NULL;
}

static const char *skip_scalar(const char *p, const char *end)
{
	bool escaped;

	switch (*p) {
	case '"':
		return json_text__skip_string(p + 1, end, &escaped);
	case 't':
		return skip_word(p, end, "true");
	case 'f':
		return skip_word(p, end, "false");
	case 'n':
		return skip_word(p, end, "null");
	default:
		return skip_number(p, end);
	}
}

struct levels {
	uint64_t objects[JSON_TEXT_DEPTH / 64];
	size_t depth;
};

static bool in_object(const struct levels *l)
{
	return l->objects[(l->depth - 1) / 64] >> (l->depth - 1) % 64 & 1;
}

static bool enter(struct levels *l, bool object)
{
	uint64_t bit = 1ull << l->depth % 64;

	if (l->depth == JSON_TEXT_DEPTH)
		return false;
	if (object)
		l->objects[l->depth / 64] |= bit;
	else
		l->objects[l->depth / 64] &= ~bit;
	l->depth++;
	return true;
}

/* Behind whatever ends at p, to where the next value begins, or with no level left. */
static const char *leave(struct levels *l, const char *p, const char *end)
{
	const char *key;
	size_t len;
	bool escaped;

	while (l->depth) {
		p = json_text__space(p, end);
		if (p == end)
			return NULL;
		if (*p == ',')
			return in_object(l) ? json_text__skip_key(p + 1, end, &key, &len, &escaped)
					    : p + 1;
		if (*p != (in_object(l) ? '}' : ']'))
			return NULL;
		p++;
		l->depth--;
	}
	return p;
}

const char *json_text__skip(const char *p, const char *end)
{
	struct levels l;
	const char *key;
	size_t len;
	bool escaped, object;

	l.depth = 0;
	do {
		p = json_text__space(p, end);
		if (p == end)
			return NULL;
		if (*p != '{' && *p != '[') {
			p = skip_scalar(p, end);
		} else {
			object = *p == '{';
			if (!enter(&l, object))
				return NULL;
			p = json_text__space(p + 1, end);
			if (p == end)
				return NULL;
			if (*p != (object ? '}' : ']')) {
				if (object)
					p = json_text__skip_key(p, end, &key, &len, &escaped);
				if (!p)
					return NULL;
				continue;
			}
			p++;
			l.depth--;
		}
		if (p)
			p = leave(&l, p, end);
	} while (p && l.depth);
	return p;
}

/* The four digits of a \u at p; -1: there is none. */
static int32_t unit(const char *p, const char *end)
{
	int32_t code = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		code = code * 16 + digit;
	}
	return code;
}

static char *put_code(char *out, uint32_t code)
{
	return out + utf8__encode(code, out);
}

/* The \u escapes at *p, one or a pair. NULL: none. */
static char *put_units(char *out, const char **p, const char *end)
{
	int32_t code = unit(*p, end), low;

	if (code < 0)
		return NULL;
	*p += 6;
	if (code < 0xd800 || code > 0xdfff)
		return put_code(out, (uint32_t)code);
	low = unit(*p, end);
	if (code > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return put_code(out, 0xfffd);
	*p += 6;
	return put_code(out,
			0x10000u + ((uint32_t)(code - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
}

static char escaped_char(char c, bool apostrophe)
{
	switch (c) {
	case '"':
	case '\\':
	case '/':
		return c;
	case '\'':
		return apostrophe ? c : '\0';
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return '\0';
	}
}

size_t json_text__unescape(char *out, const char *text, size_t len, bool apostrophe)
{
	const char *end = text + len, *start = out;

	while (text < end) {
		const char *slash = memchr(text, '\\', (size_t)(end - text));
		size_t plain = (size_t)((slash ? slash : end) - text);

		memcpy(out, text, plain);
		out += plain;
		text += plain;
		if (!slash)
			break;
		if (end - text < 2)
			return SIZE_MAX;
		if (text[1] == 'u') {
			out = put_units(out, &text, end);
			if (!out)
				return SIZE_MAX;
			continue;
		}
		*out = escaped_char(text[1], apostrophe);
		if (!*out++)
			return SIZE_MAX;
		text += 2;
	}
	return (size_t)(out - start);
}

/* Digits, a point, digits: exact when all of them are a whole number that a double holds and the
 * power of ten is one too. */
static bool short_number(const char *text, size_t len, double *ret)
{
	static const double powers[] = {1e0, 1e1, 1e2,	1e3,  1e4,  1e5,  1e6,	1e7,
					1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
	size_t i = text[0] == '-', point = 0;
	uint64_t digits = 0;
	double number;

	if (len - i > EXACT_DIGITS)
		return false;
	for (; i < len; i++) {
		if (text[i] == '.')
			point = len - 1 - i;
		else if (is_digit(text[i]))
			digits = digits * 10 + (uint64_t)(text[i] - '0');
		else
			return false;
	}
	number = (double)digits / powers[point];
	*ret = text[0] == '-' ? -number : number;
	return true;
}

static int number(const char *text, size_t len, struct arena *arena, double *ret)
{
	char copy[NUMBER_MAX], *p = copy;
	double value;

	if (short_number(text, len, ret))
		return 0;
	if (len >= sizeof(copy)) {
		p = arena__copy(arena, text, len);
		if (!p)
			return -ENOMEM;
	} else {
		memcpy(copy, text, len);
		copy[len] = '\0';
	}
	value = strtod(p, NULL);
	if (isinf(value))
		return -ERANGE;
	*ret = value;
	return 0;
}

static int string(const char *text, size_t len, struct arena *arena, struct value *ret)
{
	char *out;

	if (memchr(text, '\\', len)) {
		out = arena__alloc(arena, len);
		if (!out)
			return -ENOMEM;
		len = json_text__unescape(out, text, len, false);
		text = out;
	}
	*ret = (struct value){.kind = VALUE_STRING, .text = text, .len = len};
	return 0;
}

/* Behind what has to stay together at p: a string, or one byte. */
static const char *piece(const char *p, const char *end)
{
	bool escaped;

	return *p == '"' ? json_text__skip_string(p + 1, end, &escaped) : p + 1;
}

static int compact(const char *text, size_t len, struct arena *arena, struct value *ret)
{
	const char *p = text, *end = text + len, *next;
	char *out, *start;

	while (p < end && json_text__space(p, end) == p)
		p = piece(p, end);
	if (p == end) {
		*ret = (struct value){.kind = VALUE_STRING, .text = text, .len = len};
		return 0;
	}
	start = arena__alloc(arena, len);
	if (!start)
		return -ENOMEM;
	memcpy(start, text, (size_t)(p - text));
	out = start + (p - text);
	for (p = json_text__space(p, end); p < end; p = json_text__space(next, end)) {
		next = piece(p, end);
		memcpy(out, p, (size_t)(next - p));
		out += next - p;
	}
	*ret = (struct value){.kind = VALUE_STRING, .text = start, .len = (size_t)(out - start)};
	return 0;
}

int json_text__value(const char *text, size_t len, struct arena *arena, struct value *ret)
{
	double d;
	int err;

	switch (*text) {
	case '"':
		return string(text + 1, len - 2, arena, ret);
	case '{':
	case '[':
		return compact(text, len, arena, ret);
	case 't':
	case 'f':
		*ret = (struct value){.kind = VALUE_BOOL, .boolean = *text == 't'};
		return 0;
	case 'n':
		*ret = (struct value){.kind = VALUE_NULL};
		return 0;
	default:
		err = number(text, len, arena, &d);
		if (!err)
			*ret = (struct value){.kind = VALUE_NUMBER, .number = d};
		return err;
	}
}
