/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What templates can call: Go's own functions, Promtail's, and of sprig those of texts, numbers and
 * lists. Not the ones that read the host (env, now, getHostByName), that are random, or that make
 * keys. Texts are made in the template's scratch buffer and copied to the arena at their final
 * size; what is only a part of its argument borrows it.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/expand.h"
#include "base/letter_case.h"
#include "base/util.h"
#include "process/template_internal.h"

#define LIST_MAX 65536

#define CALL(name)                                                              \
	static int name(struct trun *r _unused_, const struct expr *e _unused_, \
			struct tvalue *args _unused_, size_t n _unused_,        \
			struct tvalue *ret _unused_)

static int give_bool(struct tvalue *ret, bool value)
{
	*ret = (struct tvalue){.kind = T_BOOL, .boolean = value};
	return 0;
}

static int give_int(struct tvalue *ret, int64_t value)
{
	*ret = (struct tvalue){.kind = T_INT, .integer = value};
	return 0;
}

static int give_float(struct tvalue *ret, double value)
{
	*ret = (struct tvalue){.kind = T_FLOAT, .number = value};
	return 0;
}

static int give_part(struct tvalue *ret, const char *text, size_t len)
{
	ret->kind = T_STRING;
	ret->text = text;
	ret->len = len;
	return 0;
}

static struct buf *scratch(struct trun *r)
{
	r->t->scratch.len = 0;
	return &r->t->scratch;
}

/* What is in the scratch buffer, unless `err`. */
static int give_scratch(struct trun *r, int err, struct tvalue *ret)
{
	const char *copy;

	if (err)
		return err;
	copy = arena__copy(r->arena, r->t->scratch.data, r->t->scratch.len);
	return copy ? give_part(ret, copy, r->t->scratch.len) : -ENOMEM;
}

static int put_text(struct buf *b, const struct tvalue *v)
{
	return tbuf__put(b, v->text, v->len);
}

static bool same_text(const struct tvalue *a, const struct tvalue *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

static const char *find(const char *p, const char *end, const struct tvalue *what)
{
	return memmem(p, (size_t)(end - p), what->text, what->len);
}

/* The character at p, valid or one byte; returns its length. */
static size_t read_rune(const char *p, const char *end, uint32_t *ret)
{
	size_t len = MAX(utf8__sequence(p, end), 1);
	unsigned char c = (unsigned char)*p;

	*ret = len == 1 ? c : c & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++)
		*ret = *ret << 6 | ((unsigned char)p[i] & 0x3f);
	if (len == 1 && c >= 0x80)
		*ret = 0xfffd;
	return len;
}

/* As Unicode's White_Space. */
static bool is_white(uint32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

/* Comparing */

static int equal(struct trun *r, const struct tvalue *a, const struct tvalue *b, bool *ret)
{
	if (a->kind == T_LIST || b->kind == T_LIST)
		return trun__fail(r, "lists cannot be compared");
	if (a->kind != b->kind && a->kind != T_NONE && b->kind != T_NONE)
		return trun__fail(r, "incompatible types for comparison");
	*ret = a->kind == b->kind &&
	       (a->kind == T_NONE || (a->kind == T_BOOL && a->boolean == b->boolean) ||
		(a->kind == T_INT && a->integer == b->integer) ||
		(a->kind == T_FLOAT && a->number == b->number) ||
		(a->kind == T_STRING && same_text(a, b)));
	return 0;
}

CALL(call_eq)
{
	bool same = false;

	for (size_t i = 1; i < n && !same; i++) {
		int err = equal(r, &args[0], &args[i], &same);

		if (err)
			return err;
	}
	return give_bool(ret, same != (e->func->number != 0));
}

enum { LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

CALL(call_order)
{
	const struct tvalue *a = &args[0], *b = &args[1];
	int order, which = e->func->number;

	if (a->kind != b->kind || (a->kind != T_INT && a->kind != T_FLOAT && a->kind != T_STRING))
		return trun__fail(r, "incompatible types for comparison");
	if (a->kind == T_FLOAT && (isnan(a->number) || isnan(b->number)))
		return give_bool(ret, which == GREATER || which == GREATER_EQUAL);
	if (a->kind == T_INT) {
		order = (a->integer > b->integer) - (a->integer < b->integer);
	} else if (a->kind == T_FLOAT) {
		order = (a->number > b->number) - (a->number < b->number);
	} else {
		order = memcmp(a->text, b->text, MIN(a->len, b->len));
		if (!order)
			order = (a->len > b->len) - (a->len < b->len);
	}
	return give_bool(ret, which == LESS	    ? order < 0
			      : which == LESS_EQUAL ? order <= 0
			      : which == GREATER    ? order > 0
						    : order >= 0);
}

CALL(call_not)
{
	return give_bool(ret, !tvalue__truth(&args[0]));
}

CALL(call_empty)
{
	return give_bool(ret, !tvalue__truth(&args[0]));
}

CALL(call_default)
{
	*ret = n > 1 && tvalue__truth(&args[1]) ? args[1] : args[0];
	return 0;
}

CALL(call_coalesce)
{
	ret->kind = T_NONE;
	for (size_t i = 0; i < n; i++) {
		if (tvalue__truth(&args[i])) {
			*ret = args[i];
			break;
		}
	}
	return 0;
}

/* all, and with number 1 any */
CALL(call_all)
{
	for (size_t i = 0; i < n; i++)
		if (tvalue__truth(&args[i]) == (e->func->number == 1))
			return give_bool(ret, e->func->number == 1);
	return give_bool(ret, e->func->number != 1);
}

CALL(call_ternary)
{
	if (args[2].kind != T_BOOL)
		return trun__fail(r, "wrong type for an argument: expected bool");
	*ret = args[2].boolean ? args[0] : args[1];
	return 0;
}

CALL(call_kind)
{
	static const char *const names[] = {
		[T_NONE] = "invalid",  [T_BOOL] = "bool",     [T_INT] = "int",
		[T_FLOAT] = "float64", [T_STRING] = "string", [T_LIST] = "slice",
	};
	const char *name = names[args[n - 1].kind];

	if (n == 1)
		return give_part(ret, name, strlen(name));
	return give_bool(ret, args[0].len == strlen(name) &&
				      memcmp(args[0].text, name, args[0].len) == 0);
}

CALL(call_fail)
{
	return trun__fail(r, "the template called fail");
}

/* Printing */

enum { PRINT, PRINTLN, PRINT_SPACED };

/* print: a space between two that are both no texts; println: between all. */
static int print_all(struct buf *b, const struct tvalue *args, size_t n, int how)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (i &&
		    (how != PRINT || (args[i].kind != T_STRING && args[i - 1].kind != T_STRING)))
			err = tbuf__char(b, ' ', 1);
		if (!err)
			err = tbuf__value(b, &args[i], "<nil>");
	}
	return err || how != PRINTLN ? err : tbuf__char(b, '\n', 1);
}

CALL(call_print)
{
	return give_scratch(r, print_all(scratch(r), args, n, e->func->number), ret);
}

CALL(call_printf)
{
	int err = tbuf__format(scratch(r), args[0].text, args[0].len, args + 1, n - 1);

	return give_scratch(r, err, ret);
}

CALL(call_html)
{
	static const char from[] = "<>&'\"";
	static const char *const to[] = {"&lt;", "&gt;", "&amp;", "&#39;", "&#34;"};
	struct tvalue text;
	struct buf *b = scratch(r);
	int err = give_scratch(r, print_all(b, args, n, PRINT), &text);

	scratch(r);
	for (size_t i = 0; !err && i < text.len; i++) {
		const char *at = text.text[i] ? strchr(from, text.text[i]) : NULL;
		const char *as = at ? to[at - from] : NULL;

		err = as ? tbuf__put(b, as, strlen(as)) : tbuf__char(b, text.text[i], 1);
	}
	return give_scratch(r, err, ret);
}

CALL(call_urlquery)
{
	struct tvalue text;
	struct buf *b = scratch(r);
	int err = give_scratch(r, print_all(b, args, n, PRINT), &text);

	scratch(r);
	for (size_t i = 0; !err && i < text.len; i++) {
		unsigned char c = (unsigned char)text.text[i];
		char code[4];

		if ((isascii(c) && isalnum(c)) || (c && strchr("-_.~", c)))
			err = tbuf__char(b, (char)c, 1);
		else if (c == ' ')
			err = tbuf__char(b, '+', 1);
		else
			err = tbuf__put(b, code, (size_t)snprintf(code, sizeof(code), "%%%02X", c));
	}
	return give_scratch(r, err, ret);
}

CALL(call_quote)
{
	struct buf *b = scratch(r), *all = b;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (args[i].kind == T_NONE)
			continue;
		if (all->len)
			err = tbuf__char(b, ' ', 1);
		if (err)
			break;
		if (e->func->number)
			err = tbuf__char(b, '\'', 1) ?: tbuf__value(b, &args[i], "") ?:
			      tbuf__char(b, '\'', 1);
		else if (args[i].kind == T_STRING)
			err = tbuf__quote(b, args[i].text, args[i].len);
		else
			err = tbuf__char(b, '"', 1) ?: tbuf__value(b, &args[i], "") ?:
			      tbuf__char(b, '"', 1);
	}
	return give_scratch(r, err, ret);
}

CALL(call_cat)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (args[i].kind != T_NONE)
			args[kept++] = args[i];
	return give_scratch(r, print_all(scratch(r), args, kept, PRINT_SPACED), ret);
}

CALL(call_to_string)
{
	return give_scratch(r, tbuf__value(scratch(r), &args[0], "<nil>"), ret);
}

/* Texts. Promtail's functions take the text first, sprig's last. */

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

enum { HASH_SHA3, HASH_SHA256, HASH_SHA1, HASH_SHA512 };

/* All arguments in a row: the salt of Hash comes first. */
CALL(call_hash)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	char *text;

	if (!EVP_DigestInit_ex2(e->md_ctx, e->md, NULL))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!EVP_DigestUpdate(e->md_ctx, args[i].text, args[i].len))
			return -ENOMEM;
	if (!EVP_DigestFinal_ex(e->md_ctx, digest, &len))
		return -ENOMEM;
	text = arena__alloc(r->arena, 2 * len + 1);
	if (!text)
		return -ENOMEM;
	for (unsigned i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return give_part(ret, text, 2 * len);
}

/* Regular expressions */

static int match_from(struct trun *r, const struct expr *e, const struct tvalue *text, size_t start,
		      const struct regex_span **ret_spans)
{
	int found = regex__match(e->regex, text->text, text->len, start, ret_spans);

	return found == -EINVAL ? trun__fail(r, "a regular expression failed") : found;
}

/* Of a replacement that is no constant: it is read for each run. */
static int expand_once(const struct expr *e, const struct tvalue *with,
		       const struct regex_span *spans, struct buf *b)
{
	struct expand *expand;
	_free_ char *text = strndup(with->text, with->len);
	int err;

	if (!text)
		return -ENOMEM;
	err = expand__new(&expand, text, e->regex);
	if (err)
		return err;
	err = expand__append(expand, spans, b);
	expand__free(expand);
	return err;
}

static int put_replacement(const struct expr *e, const struct tvalue *with,
			   const struct regex_span *spans, struct buf *b)
{
	int err;

	if (e->func->number)
		return put_text(b, with);
	err = e->expand ? expand__append(e->expand, spans, b) : expand_once(e, with, spans, b);
	return err || b->len <= TEMPLATE_TEXT_MAX ? err : -E2BIG;
}

/* With number 1 the replacement is taken as it stands. An empty match right behind another is
 * none. */
CALL(call_regex_replace)
{
	const struct tvalue *text = &args[1];
	const struct regex_span *m;
	size_t done = 0, from = 0, last = SIZE_MAX;
	struct buf *b = scratch(r);
	int err = 0, found = 0;

	while (!err && from <= text->len) {
		size_t at, end;

		found = match_from(r, e, text, from, &m);
		if (found <= 0)
			break;
		at = (size_t)(m[0].text - text->text);
		end = at + m[0].len;
		if (m[0].len || end != last) {
			err = tbuf__put(b, text->text + done, at - done);
			if (!err)
				err = put_replacement(e, &args[2], m, b);
			done = end;
		}
		last = end;
		from = end;
		if (!m[0].len)
			from += end < text->len ? MAX(utf8__sequence(text->text + end,
								     text->text + text->len),
						      1)
						: 1;
	}
	if (found < 0)
		return found;
	return give_scratch(r, err ?: tbuf__put(b, text->text + done, text->len - done), ret);
}

CALL(call_regex_match)
{
	const struct regex_span *m;
	int found = match_from(r, e, &args[1], 0, &m);

	return found < 0 ? found : give_bool(ret, found);
}

CALL(call_regex_find)
{
	const struct regex_span *m;
	int found = match_from(r, e, &args[1], 0, &m);

	if (found <= 0)
		return found ?: give_part(ret, "", 0);
	return give_part(ret, m[0].text, m[0].len);
}

CALL(call_quote_meta)
{
	struct buf *b = scratch(r);
	int err = 0;

	for (size_t i = 0; i < args[0].len && !err; i++) {
		char c = args[0].text[i];

		if (c && strchr("\\.+*?()|[]{}^$", c))
			err = tbuf__char(b, '\\', 1);
		if (!err)
			err = tbuf__char(b, c, 1);
	}
	return give_scratch(r, err, ret);
}

/* Numbers */

/* A text as a number: digits with a sign, what is behind a point is cut; 0x, 0o and 0b. Nothing of
 * the kind is 0. Leading zeros do not make it octal, unlike in sprig. */
static int64_t text_to_int(const struct tvalue *v, bool plain)
{
	char text[72], *end;
	long long value;
	int base = 10;
	char *p = text;

	if (v->len >= sizeof(text))
		return 0;
	memcpy(text, v->text, v->len);
	text[v->len] = '\0';
	p += *p == '-' || *p == '+';
	if (!plain && p[0] == '0' && p[1] && strchr("xXoObB", p[1])) {
		base = strchr("xX", p[1]) ? 16 : strchr("oO", p[1]) ? 8 : 2;
		p += 2;
	}
	if (!isxdigit((unsigned char)*p))
		return 0;
	errno = 0;
	value = strtoll(p, &end, base);
	if (!plain && base == 10 && *end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	if (errno || *end || end != text + v->len)
		return 0;
	return *text == '-' ? -value : value;
}

static int64_t to_int(const struct tvalue *v)
{
	switch (v->kind) {
	case T_BOOL:
		return v->boolean;
	case T_INT:
		return v->integer;
	case T_FLOAT:
		return fabs(v->number) < 9.2e18 ? (int64_t)v->number : INT64_MIN;
	case T_STRING:
		return text_to_int(v, false);
	case T_NONE:
	case T_LIST:
		break;
	}
	return 0;
}

static double to_float(const struct tvalue *v)
{
	char text[400], *end;
	double value;

	if (v->kind == T_FLOAT)
		return v->number;
	if (v->kind != T_STRING)
		return (double)to_int(v);
	if (!v->len || v->len >= sizeof(text) || isspace((unsigned char)*v->text))
		return 0;
	memcpy(text, v->text, v->len);
	text[v->len] = '\0';
	value = strtod(text, &end);
	return end == text + v->len ? value : 0;
}

CALL(call_int)
{
	return give_int(ret, to_int(&args[0]));
}

CALL(call_float)
{
	return give_float(ret, to_float(&args[0]));
}

CALL(call_atoi)
{
	return give_int(ret, text_to_int(&args[0], true));
}

enum { ADD, SUB, MUL, DIV, MOD, MAXIMUM, MINIMUM, ADD_ONE };

static int64_t compute(int64_t a, int64_t b, int how)
{
	switch (how) {
	case ADD:
		return (int64_t)((uint64_t)a + (uint64_t)b);
	case SUB:
		return (int64_t)((uint64_t)a - (uint64_t)b);
	case MUL:
		return (int64_t)((uint64_t)a * (uint64_t)b);
	case DIV:
		return b == -1 ? (int64_t) - (uint64_t)a : a / b;
	case MOD:
		return b == -1 ? 0 : a % b;
	case MAXIMUM:
		return MAX(a, b);
	default:
		return MIN(a, b);
	}
}

CALL(call_integers)
{
	int how = e->func->number;
	int64_t value = n ? to_int(&args[0]) : 0;

	if (how == ADD_ONE)
		return give_int(ret, compute(value, 1, ADD));
	for (size_t i = 1; i < n; i++) {
		int64_t b = to_int(&args[i]);

		if (!b && (how == DIV || how == MOD))
			return trun__fail(r, "division by zero");
		value = compute(value, b, how);
	}
	return give_int(ret, value);
}

/* sprig computes with decimals: what doubles add behind the 15th digit goes. */
static double as_decimal(double value)
{
	char text[40];

	snprintf(text, sizeof(text), "%.15g", value);
	return strtod(text, NULL);
}

CALL(call_floats)
{
	int how = e->func->number;
	double value = n ? to_float(&args[0]) : 0;

	if (how == ADD_ONE)
		return give_float(ret, as_decimal(value + 1));
	for (size_t i = 1; i < n; i++) {
		double b = to_float(&args[i]);

		if (b == 0 && how == DIV)
			return trun__fail(r, "division by zero");
		value = how == ADD	 ? as_decimal(value + b)
			: how == SUB	 ? as_decimal(value - b)
			: how == MUL	 ? as_decimal(value * b)
			: how == DIV	 ? as_decimal(value / b)
			: how == MAXIMUM ? fmax(value, b)
					 : fmin(value, b);
	}
	return give_float(ret, value);
}

enum { FLOOR, CEIL, ROUND };

CALL(call_round)
{
	double value = to_float(&args[0]), power, whole;

	if (e->func->number != ROUND)
		return give_float(ret, e->func->number == FLOOR ? floor(value) : ceil(value));
	power = pow(10, (double)args[1].integer);
	value *= power;
	value = modf(value, &whole) >= (n > 2 ? to_float(&args[2]) : .5) ? ceil(value)
									 : floor(value);
	return give_float(ret, value / power);
}

/* Lists */

static int give_list(struct tvalue *ret, const struct tvalue *items, size_t n)
{
	ret->kind = T_LIST;
	ret->items = items;
	ret->n = n;
	return 0;
}

CALL(call_list)
{
	struct tvalue *items = arena__alloc(r->arena, n * sizeof(*items));

	if (!items)
		return -ENOMEM;
	memcpy(items, args, n * sizeof(*items));
	return give_list(ret, items, n);
}

/* What separates stands first. Nothing separates characters. */
CALL(call_split)
{
	const char *p = args[1].text, *end = p + args[1].len, *at;
	const struct tvalue *by = &args[0];
	struct tvalue *items;
	size_t count = 1;

	for (at = p; by->len && (at = find(at, end, by)); at += by->len)
		count++;
	if (!by->len)
		for (count = 0, at = p; at < end; count++)
			at += MAX(utf8__sequence(at, end), 1);
	if (count > LIST_MAX)
		return -E2BIG;
	items = arena__alloc(r->arena, count * sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		at = by->len ? find(p, end, by) : p + MAX(utf8__sequence(p, end), 1);
		give_part(&items[i], p, (size_t)((at ?: end) - p));
		p = (at ?: end) + (at ? by->len : 0);
	}
	return give_list(ret, items, count);
}

CALL(call_join)
{
	const struct tvalue *list = &args[1];
	struct buf *b = scratch(r);
	bool any = false;
	int err = 0;

	if (list->kind != T_LIST)
		return give_scratch(r, tbuf__value(b, list, ""), ret);
	for (size_t i = 0; i < list->n && !err; i++) {
		if (list->items[i].kind == T_NONE)
			continue;
		if (any)
			err = put_text(b, &args[0]);
		any = true;
		if (!err)
			err = tbuf__value(b, &list->items[i], "");
	}
	return give_scratch(r, err, ret);
}

enum { FIRST, LAST, REST, INITIAL };

CALL(call_ends)
{
	size_t n_items = args[0].n;
	const struct tvalue *items = args[0].items;

	if (e->func->number == REST || e->func->number == INITIAL)
		return give_list(ret, items + (n_items && e->func->number == REST),
				 n_items ? n_items - 1 : 0);
	ret->kind = T_NONE;
	if (n_items)
		*ret = items[e->func->number == FIRST ? 0 : n_items - 1];
	return 0;
}

CALL(call_reverse)
{
	struct tvalue *items = arena__alloc(r->arena, args[0].n * sizeof(*items));

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < args[0].n; i++)
		items[i] = args[0].items[args[0].n - 1 - i];
	return give_list(ret, items, args[0].n);
}

CALL(call_has)
{
	bool same = false;

	for (size_t i = 0; i < args[1].n && !same; i++)
		same = args[0].kind == args[1].items[i].kind && args[0].kind != T_LIST &&
		       equal(r, &args[0], &args[1].items[i], &same) == 0 && same;
	return give_bool(ret, same);
}

CALL(call_len)
{
	if (args[0].kind != T_STRING && args[0].kind != T_LIST)
		return trun__fail(r, "len of what has none");
	return give_int(ret, (int64_t)(args[0].kind == T_LIST ? args[0].n : args[0].len));
}

/* An item of a list, a byte of a text. */
CALL(call_index)
{
	struct tvalue v = args[0];

	for (size_t i = 1; i < n; i++) {
		if (args[i].kind != T_INT || (v.kind != T_LIST && v.kind != T_STRING))
			return trun__fail(r, "cannot index that with that");
		if (args[i].integer < 0 ||
		    (uint64_t)args[i].integer >= (v.kind == T_LIST ? v.n : v.len))
			return trun__fail(r, "index out of range");
		if (v.kind == T_LIST)
			v = v.items[args[i].integer];
		else
			give_int(&v, (unsigned char)v.text[args[i].integer]);
	}
	*ret = v;
	return 0;
}

/* get and hasKey are of all fields only: the parser makes fields of them. */
CALL(call_no_map)
{
	ret->kind = T_NONE;
	return trun__fail(r, "no map");
}

static const struct tfunc funcs[] = {
	{"ToLower", "s", call_case, CASE_LOWER},
	{"ToUpper", "s", call_case, CASE_UPPER},
	{"Replace", "sssi", call_replace, 0},
	{"Trim", "ss", call_trim, TRIM_LEFT | TRIM_RIGHT},
	{"TrimLeft", "ss", call_trim, TRIM_LEFT},
	{"TrimRight", "ss", call_trim, TRIM_RIGHT},
	{"TrimPrefix", "ss", call_affix, 0},
	{"TrimSuffix", "ss", call_affix, AT_END},
	{"TrimSpace", "s", call_trim, TRIM_LEFT | TRIM_RIGHT | SPACE},
	{"Hash", "ss", call_hash, HASH_SHA3},
	{"Sha2Hash", "ss", call_hash, HASH_SHA256},
	{"regexReplaceAll", "rss", call_regex_replace, 0},
	{"regexReplaceAllLiteral", "rss", call_regex_replace, 1},

	{"eq", "aa+", call_eq, 0},
	{"ne", "aa", call_eq, 1},
	{"lt", "aa", call_order, LESS},
	{"le", "aa", call_order, LESS_EQUAL},
	{"gt", "aa", call_order, GREATER},
	{"ge", "aa", call_order, GREATER_EQUAL},
	{"not", "a", call_not, 0},
	{"len", "a", call_len, 0},
	{"index", "aa*", call_index, 0},
	{"print", "a*", call_print, PRINT},
	{"println", "a*", call_print, PRINTLN},
	{"printf", "sa*", call_printf, 0},
	{"html", "a*", call_html, 0},
	{"urlquery", "a*", call_urlquery, 0},

	{"default", "aa*", call_default, 0},
	{"empty", "a", call_empty, 0},
	{"coalesce", "a*", call_coalesce, 0},
	{"all", "a*", call_all, 0},
	{"any", "a*", call_all, 1},
	{"ternary", "aaa", call_ternary, 0},
	{"kindOf", "a", call_kind, 0},
	{"kindIs", "sa", call_kind, 0},
	{"fail", "s", call_fail, 0},
	{"get", "aa", call_no_map, 0},
	{"hasKey", "aa", call_no_map, 0},

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
	{"quote", "a*", call_quote, 0},
	{"squote", "a*", call_quote, 1},
	{"cat", "a*", call_cat, 0},
	{"toString", "a", call_to_string, 0},
	{"base", "s", call_base, 0},
	{"ext", "s", call_ext, 0},
	{"b64enc", "s", call_b64enc, 0},
	{"b64dec", "s", call_b64dec, 0},
	{"sha1sum", "s", call_hash, HASH_SHA1},
	{"sha256sum", "s", call_hash, HASH_SHA256},
	{"sha512sum", "s", call_hash, HASH_SHA512},
	{"regexMatch", "rs", call_regex_match, 0},
	{"mustRegexMatch", "rs", call_regex_match, 0},
	{"regexFind", "rs", call_regex_find, 0},
	{"mustRegexFind", "rs", call_regex_find, 0},
	{"mustRegexReplaceAll", "rss", call_regex_replace, 0},
	{"mustRegexReplaceAllLiteral", "rss", call_regex_replace, 1},
	{"regexQuoteMeta", "s", call_quote_meta, 0},

	{"atoi", "s", call_atoi, 0},
	{"int", "a", call_int, 0},
	{"int64", "a", call_int, 0},
	{"float64", "a", call_float, 0},
	{"add", "a*", call_integers, ADD},
	{"add1", "a", call_integers, ADD_ONE},
	{"sub", "aa", call_integers, SUB},
	{"mul", "aa*", call_integers, MUL},
	{"div", "aa", call_integers, DIV},
	{"mod", "aa", call_integers, MOD},
	{"max", "aa*", call_integers, MAXIMUM},
	{"biggest", "aa*", call_integers, MAXIMUM},
	{"min", "aa*", call_integers, MINIMUM},
	{"addf", "a*", call_floats, ADD},
	{"add1f", "a", call_floats, ADD_ONE},
	{"subf", "aa*", call_floats, SUB},
	{"mulf", "aa*", call_floats, MUL},
	{"divf", "aa*", call_floats, DIV},
	{"maxf", "aa*", call_floats, MAXIMUM},
	{"minf", "aa*", call_floats, MINIMUM},
	{"floor", "a", call_round, FLOOR},
	{"ceil", "a", call_round, CEIL},
	{"round", "aia*", call_round, ROUND},

	{"list", "a*", call_list, 0},
	{"tuple", "a*", call_list, 0},
	{"split", "ss", call_split, 0},
	{"splitList", "ss", call_split, 0},
	{"join", "sa", call_join, 0},
	{"first", "l", call_ends, FIRST},
	{"last", "l", call_ends, LAST},
	{"rest", "l", call_ends, REST},
	{"initial", "l", call_ends, INITIAL},
	{"reverse", "l", call_reverse, 0},
	{"has", "al", call_has, 0},
};

const struct tfunc *template_func__find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(funcs); i++)
		if (strlen(funcs[i].name) == len && memcmp(funcs[i].name, name, len) == 0)
			return &funcs[i];
	return NULL;
}

void template_func__arity(const struct tfunc *f, size_t *ret_min, size_t *ret_max)
{
	size_t n = strcspn(f->params, "*+");
	char more = f->params[n];

	*ret_min = more == '*' ? n - 1 : n;
	*ret_max = more ? TEMPLATE_ARGS : n;
}

int template_func__prepare(struct expr *e)
{
	static const char *const hashes[] = {
		[HASH_SHA3] = "SHA3-256",
		[HASH_SHA256] = "SHA256",
		[HASH_SHA1] = "SHA1",
		[HASH_SHA512] = "SHA512",
	};

	if (e->func->call == call_regex_replace && e->args[2]->kind == EXPR_LITERAL)
		return expand__new(&e->expand, e->args[2]->literal.text, e->regex);
	if (e->func->call != call_hash)
		return 0;
	e->md = EVP_MD_fetch(NULL, hashes[e->func->number], NULL);
	e->md_ctx = EVP_MD_CTX_new();
	return e->md && e->md_ctx ? 0 : -ENOMEM;
}
