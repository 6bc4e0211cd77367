/* SPDX-License-Identifier: Apache-2.0 */
/* Functions from text to text. Promtail's take the text first, sprig's last. */
#include <ctype.h>
#include <string.h>

#include "base/letter_case.h"
#include "base/util.h"
#include "process/template_funcs.h"

/* The character at p, valid or one byte; returns its length. */
static size_t read_rune(const char *p, const char *end, uint32_t *ret)
{
	size_t len = MAX(utf8__sequence(p, end), 1);

	*ret = len == 1 && *p & 0x80 ? 0xfffd : utf8__code(p, len);
	return len;
}

/* As Unicode's White_Space. */
static bool is_white(uint32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

enum { CASE_LOWER, CASE_UPPER, CASE_TITLE, CASE_UNTITLE };

CALL(call_case)
{
	const char *p = args[0].text, *end = p + args[0].len;
	int how = e->func->number, err = 0;
	struct buf *b = scratch(r);
	bool begins = true;
	size_t len;
	uint32_t c;

	for (; p < end && !err; p += len) {
		len = read_rune(p, end, &c);
		if (how == CASE_LOWER || how == CASE_UPPER || begins)
			err = letter_case__append(b, p, len,
						  how == CASE_UPPER || how == CASE_TITLE);
		else
			err = tbuf__put(b, p, len);
		begins = how == CASE_TITLE && c < 0x80 ? !isalnum((int)c) && c != '_' : is_white(c);
	}
	return give_scratch(r, err, ret);
}

static bool in_set(const struct tvalue *set, const char *p, size_t len)
{
	const char *c = set->text, *end = c + set->len;
	size_t step;

	for (; c < end; c += step) {
		step = MAX(utf8__sequence(c, end), 1);
		if (step == len && memcmp(c, p, len) == 0)
			return true;
	}
	return false;
}

enum { TRIM_LEFT = 1, TRIM_RIGHT = 2, SET_FIRST = 4, SPACE = 8 };

/* The character that ends at `end`. */
static size_t last_rune(const char *begin, const char *end)
{
	for (size_t len = 2; len <= 4 && len <= (size_t)(end - begin); len++)
		if (utf8__sequence(end - len, end) == len)
			return len;
	return 1;
}

static bool is_trimmed(const struct tvalue *set, const char *p, size_t len)
{
	uint32_t c;

	if (set)
		return in_set(set, p, len);
	read_rune(p, p + len, &c);
	return is_white(c);
}

CALL(call_trim)
{
	int how = e->func->number;
	const struct tvalue *text = &args[how & SET_FIRST ? 1 : 0];
	const struct tvalue *set = how & SPACE ? NULL : &args[how & SET_FIRST ? 0 : 1];
	const char *begin = text->text, *end = begin + text->len;
	size_t len;

	while (how & TRIM_LEFT && begin < end) {
		len = MAX(utf8__sequence(begin, end), 1);
		if (!is_trimmed(set, begin, len))
			break;
		begin += len;
	}
	while (how & TRIM_RIGHT && begin < end) {
		len = last_rune(begin, end);
		if (!is_trimmed(set, end - len, len))
			break;
		end -= len;
	}
	return give_part(ret, begin, (size_t)(end - begin));
}

enum { AT_END = 1, ASKS = 2 };

/* TrimPrefix and TrimSuffix; with ASKS hasPrefix and hasSuffix. */
CALL(call_affix)
{
	int how = e->func->number;
	const struct tvalue *text = &args[how & SET_FIRST ? 1 : 0];
	const struct tvalue *affix = &args[how & SET_FIRST ? 0 : 1];
	bool has = affix->len <= text->len;

	if (has)
		has = memcmp(how & AT_END ? text->text + text->len - affix->len : text->text,
			     affix->text, affix->len) == 0;
	if (how & ASKS)
		return give_bool(ret, has);
	if (!has)
		return give_part(ret, text->text, text->len);
	return give_part(ret, text->text + (how & AT_END ? 0 : affix->len), text->len - affix->len);
}

CALL(call_contains)
{
	return give_bool(ret, find(args[1].text, args[1].text + args[1].len, &args[0]) != NULL);
}

/* An empty `from` stands before each character and at the end. */
static int replace(struct buf *b, const struct tvalue *text, const struct tvalue *from,
		   const struct tvalue *to, int64_t times)
{
	const char *p = text->text, *end = p + text->len;
	int err = 0;

	for (; times && !err; times--) {
		const char *at = find(p, end, from);
		size_t step = from->len;

		if (!at)
			break;
		err = tbuf__put(b, p, (size_t)(at - p)) ?: put_text(b, to);
		if (!step && at == end)
			return err;
		if (!step && !err) {
			step = MAX(utf8__sequence(at, end), 1);
			err = tbuf__put(b, at, step);
		}
		p = at + step;
	}
	return err ?: tbuf__put(b, p, (size_t)(end - p));
}

CALL(call_replace)
{
	return give_scratch(r, replace(scratch(r), &args[0], &args[1], &args[2], args[3].integer),
			    ret);
}

CALL(call_replace_sprig)
{
	return give_scratch(r, replace(scratch(r), &args[2], &args[0], &args[1], -1), ret);
}

CALL(call_substr)
{
	int64_t from = args[0].integer, to = args[1].integer, len = (int64_t)args[2].len;

	if (from < 0)
		from = 0;
	else if (to < 0 || to > len)
		to = len;
	if (to < from || to > len)
		return trun__fail(r, "slice bounds out of range");
	return give_part(ret, args[2].text + from, (size_t)(to - from));
}

CALL(call_trunc)
{
	int64_t count = args[0].integer, len = (int64_t)args[1].len;

	if (count < 0 && count > -len)
		return give_part(ret, args[1].text + len + count, (size_t)-count);
	return give_part(ret, args[1].text, (size_t)(count >= 0 ? MIN(count, len) : len));
}

CALL(call_abbrev)
{
	int64_t width = args[0].integer;
	struct buf *b = scratch(r);
	int err;

	if (width < 4 || (int64_t)args[1].len <= width)
		return give_part(ret, args[1].text, args[1].len);
	err = tbuf__put(b, args[1].text, (size_t)width - 3) ?: tbuf__char(b, '.', 3);
	return give_scratch(r, err, ret);
}

CALL(call_repeat)
{
	struct buf *b = scratch(r);
	int err = 0;

	if (args[0].integer < 0)
		return trun__fail(r, "negative repeat count");
	if (!args[1].len)
		return give_part(ret, args[1].text, 0);
	for (int64_t i = 0; i < args[0].integer && !err; i++)
		err = put_text(b, &args[1]);
	return give_scratch(r, err, ret);
}

/* indent, and with number 1 nindent */
CALL(call_indent)
{
	const char *p = args[1].text, *end = p + args[1].len, *line;
	struct buf *b = scratch(r);
	int err = tbuf__char(b, '\n', (size_t)e->func->number);

	if (args[0].integer < 0)
		return trun__fail(r, "negative repeat count");
	for (; !err; p = line + 1) {
		line = memchr(p, '\n', (size_t)(end - p));
		err = tbuf__char(b, ' ', (size_t)MIN(args[0].integer, TEMPLATE_TEXT_MAX + 1));
		if (!err)
			err = tbuf__put(b, p, (size_t)((line ? line + 1 : end) - p));
		if (!line)
			break;
	}
	return give_scratch(r, err, ret);
}

CALL(call_nospace)
{
	const char *p = args[0].text, *end = p + args[0].len;
	struct buf *b = scratch(r);
	int err = 0;
	size_t len;
	uint32_t c;

	for (; p < end && !err; p += len) {
		len = read_rune(p, end, &c);
		if (!is_white(c))
			err = tbuf__put(b, p, len);
	}
	return give_scratch(r, err, ret);
}

CALL(call_plural)
{
	*ret = args[args[2].integer == 1 ? 0 : 1];
	return 0;
}

CALL(call_base)
{
	const char *p = args[0].text, *slash;
	size_t len = args[0].len;

	if (!len)
		return give_part(ret, ".", 1);
	while (len && p[len - 1] == '/')
		len--;
	if (!len)
		return give_part(ret, "/", 1);
	slash = memrchr(p, '/', len);
	return give_part(ret, slash ? slash + 1 : p, slash ? (size_t)(p + len - slash - 1) : len);
}

CALL(call_ext)
{
	const char *p = args[0].text, *end = p + args[0].len;

	for (const char *c = end; c > p && c[-1] != '/'; c--)
		if (c[-1] == '.')
			return give_part(ret, c - 1, (size_t)(end - c + 1));
	return give_part(ret, "", 0);
}

CALL(call_b64enc)
{
	struct buf *b = scratch(r);

	if (args[0].len > TEMPLATE_TEXT_MAX / 2)
		return -E2BIG;
	return give_scratch(r, buf__append_base64(b, args[0].text, args[0].len), ret);
}

CALL(call_b64dec)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct buf *b = scratch(r);
	uint32_t bits = 0, count = 0, pads = 0;
	int err = 0;

	for (size_t i = 0; i < args[0].len && !err; i++) {
		char c = args[0].text[i];
		const char *at = c ? strchr(letters, c) : NULL;

		if (c == '\n' || c == '\r')
			continue;
		if ((!at || pads) && c != '=')
			return trun__fail(r, "illegal base64 data");
		pads += c == '=';
		bits = bits << 6 | (at ? (uint32_t)(at - letters) : 0);
		if (++count % 4 == 0) {
			char three[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};

			if (pads > 2)
				return trun__fail(r, "illegal base64 data");
			err = tbuf__put(b, three, 3 - pads);
		}
	}
	if (!err && (count % 4 || pads > 2))
		return trun__fail(r, "illegal base64 data");
	return give_scratch(r, err, ret);
}

const struct tfunc template_funcs_text[] = {
	{"ToLower", "s", call_case, CASE_LOWER},
	{"ToUpper", "s", call_case, CASE_UPPER},
	{"Replace", "sssi", call_replace, 0},
	{"Trim", "ss", call_trim, TRIM_LEFT | TRIM_RIGHT},
	{"TrimLeft", "ss", call_trim, TRIM_LEFT},
	{"TrimRight", "ss", call_trim, TRIM_RIGHT},
	{"TrimPrefix", "ss", call_affix, 0},
	{"TrimSuffix", "ss", call_affix, AT_END},
	{"TrimSpace", "s", call_trim, TRIM_LEFT | TRIM_RIGHT | SPACE},
	{"lower", "s", call_case, CASE_LOWER},
	{"upper", "s", call_case, CASE_UPPER},
	{"title", "s", call_case, CASE_TITLE},
	{"untitle", "s", call_case, CASE_UNTITLE},
	{"trim", "s", call_trim, TRIM_LEFT | TRIM_RIGHT | SPACE},
	{"trimAll", "ss", call_trim, TRIM_LEFT | TRIM_RIGHT | SET_FIRST},
	{"trimall", "ss", call_trim, TRIM_LEFT | TRIM_RIGHT | SET_FIRST},
	{"trimPrefix", "ss", call_affix, SET_FIRST},
	{"trimSuffix", "ss", call_affix, SET_FIRST | AT_END},
	{"hasPrefix", "ss", call_affix, SET_FIRST | ASKS},
	{"hasSuffix", "ss", call_affix, SET_FIRST | ASKS | AT_END},
	{"contains", "ss", call_contains, 0},
	{"replace", "sss", call_replace_sprig, 0},
	{"substr", "iis", call_substr, 0},
	{"trunc", "is", call_trunc, 0},
	{"abbrev", "is", call_abbrev, 0},
	{"repeat", "is", call_repeat, 0},
	{"nospace", "s", call_nospace, 0},
	{"indent", "is", call_indent, 0},
	{"nindent", "is", call_indent, 1},
	{"plural", "ssi", call_plural, 0},
	{"base", "s", call_base, 0},
	{"ext", "s", call_ext, 0},
	{"b64enc", "s", call_b64enc, 0},
	{"b64dec", "s", call_b64dec, 0},
	{0},
};
