/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the pattern that checks as Go's regexp/syntax does (Perl flags) and writes each
 * atom anew, so that nothing of PCRE2's own language gets through: a literal is escaped, a class is
 * made of code points. Where both write the same but mean something else, Go is followed: \s has no
 * vertical tab, \v is one, \C and \Z are none. `$` and `^` are PCRE2's with DOLLAR_ENDONLY and
 * ALT_CIRCUMFLEX.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/regex_syntax.h"

#include <ctype.h>
#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>

#define MAX_NESTING 200
#define MAX_REPEAT 1000
#define MAX_CODE 0x10ffffu

struct group {
	size_t at;	/* of its parenthesis in the pattern */
	size_t out;	/* where it begins in what is written */
	size_t repeats; /* the most that something within is repeated */
};

struct parser {
	struct regex_syntax *s;
	const char *pattern;
	const char *p;
	struct regex_error *error;
	struct group groups[MAX_NESTING];
	size_t depth;
	/* The last atom, for what may follow it. */
	bool atom;
	bool repeated;
	bool zero_width;
	size_t atom_out;
	size_t atom_repeats;
};

static int fail(struct parser *ps, const char *at, const char *text)
{
	ps->error->offset = (size_t)(at - ps->pattern);
	snprintf(ps->error->text, sizeof(ps->error->text), "%s", text);
	return -EINVAL;
}

static int emit(struct parser *ps, const char *text)
{
	return buf__append_str(&ps->s->out, text);
}

static int emit_code(struct parser *ps, uint32_t code)
{
	if (code > 0x7f)
		ps->s->ascii = false;
	if (code < 0x80 && isalnum((int)code))
		return buf__printf(&ps->s->out, "%c", (char)code);
	return buf__printf(&ps->s->out, "\\x{%x}", code);
}

static void begin_atom(struct parser *ps, bool zero_width)
{
	ps->atom = true;
	ps->repeated = false;
	ps->zero_width = zero_width;
	ps->atom_out = ps->s->out.len;
	ps->atom_repeats = 1;
}

static void no_atom(struct parser *ps)
{
	ps->atom = false;
	ps->repeated = false;
}

/* The character at p, which moves behind it. */
static int take_char(struct parser *ps, uint32_t *ret_code)
{
	const char *p = ps->p;
	size_t len = utf8__sequence(p, p + strnlen(p, 4));

	if (!len)
		return fail(ps, p, "invalid UTF-8");
	ps->p += len;
	*ret_code = utf8__code(p, len);
	return 0;
}

static bool octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Behind \x. */
static int take_hex(struct parser *ps, const char *at, uint32_t *ret_code)
{
	bool brace = *ps->p == '{';
	uint32_t code = 0;
	size_t n = 0;

	ps->p += brace;
	for (; isxdigit((unsigned char)*ps->p) && (brace || n < 2); n++) {
		char digit = *ps->p++;

		code = code * 16 + (uint32_t)(isdigit((unsigned char)digit)
						      ? digit - '0'
						      : (digit | 32) - 'a' + 10);
		if (code > MAX_CODE)
			return fail(ps, at, "invalid escape sequence");
	}
	if (brace ? !n || *ps->p++ != '}' : n != 2)
		return fail(ps, at, "invalid escape sequence");
	if (code >= 0xd800 && code < 0xe000)
		return fail(ps, at, "a surrogate is no character");
	*ret_code = code;
	return 0;
}

/* A backslash and what follows, where it stands for one character. */
static int take_escape(struct parser *ps, uint32_t *ret_code)
{
	static const char letters[] = "abtnvfr"; /* \a to \r, which follow each other but \b */
	const char *at = ps->p++, *letter;
	unsigned char c = (unsigned char)*ps->p;

	if (!c)
		return fail(ps, at, "trailing backslash at end of expression");
	ps->p++;
	if (c == 'x')
		return take_hex(ps, at, ret_code);
	if (c == '0' || (octal((char)c) && octal(*ps->p))) {
		*ret_code = c - '0';
		for (int i = 0; i < 2 && octal(*ps->p); i++)
			*ret_code = *ret_code * 8 + (uint32_t)(*ps->p++ - '0');
		return 0;
	}
	if (isdigit(c))
		return fail(ps, at, "backreferences are not supported");
	letter = strchr(letters, c);
	if (letter && c != 'b') {
		*ret_code = (uint32_t)(7 + letter - letters);
		return 0;
	}
	if (c >= 0x80 || isalnum(c))
		return fail(ps, at, "invalid escape sequence");
	*ret_code = c;
	return 0;
}

/* PCRE2 knows the names; asked here, so that the error has its place. */
static bool property_known(const char *text)
{
	PCRE2_SIZE offset;
	pcre2_code *code;
	int err;

	code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &err, &offset,
			     NULL);
	pcre2_code_free(code);
	return code != NULL;
}

/* \pN, \p{Name}, \P..., \p{^Name}: p stands at the backslash. */
static int property(struct parser *ps)
{
	const char *at = ps->p, *name = at + 2;
	bool negated = at[1] == 'P';
	char text[80];
	size_t len = 1;

	if (*name == '{') {
		name++;
		len = strcspn(name, "}");
		if (!name[len])
			return fail(ps, at, "invalid character class range");
		ps->p = name + len + 1;
	} else {
		ps->p = name + (*name != '\0');
	}
	if (len && *name == '^') {
		negated = !negated;
		name++;
		len--;
	}
	if (!len || len > 40 ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") < len)
		return fail(ps, at, "invalid character class range");
	/* Longer names are scripts: for PCRE2 without `sc:` their extensions too. */
	snprintf(text, sizeof(text), "\\%c{%s%.*s}", negated ? 'P' : 'p',
		 len > 2 && strncmp(name, "Any", len) != 0 ? "sc:" : "", (int)len, name);
	if (!property_known(text))
		return fail(ps, at, "invalid character class range");
	return emit(ps, text);
}

/* \d \s \w and their opposites. False: not one of them. */
static const char *perl_class(char c, bool in_class)
{
	switch (c) {
	case 'd':
		return "\\d";
	case 'D':
		return "\\D";
	case 'w':
		return "\\w";
	case 'W':
		return "\\W";
	case 's':
		return in_class ? "\\t\\n\\f\\r\\x20" : "[\\t\\n\\f\\r\\x20]";
	case 'S':
		return in_class ? "\\S\\x0b" : "[^\\t\\n\\f\\r\\x20]";
	}
	return NULL;
}

/* [:alpha:] in a class. 1: it was one. */
static int posix_class(struct parser *ps)
{
	static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl",
					    "digit", "graph", "lower", "print", "punct",
					    "space", "upper", "word",  "xdigit"};
	const char *name = ps->p + 2, *end = strstr(ps->p + 2, ":]");
	size_t len;

	if (!end)
		return 0;
	if (*name == '^')
		name++;
	len = (size_t)(end - name);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0) {
			int err = buf__append(&ps->s->out, ps->p, (size_t)(end + 2 - ps->p));

			ps->p = end + 2;
			return err ? err : 1;
		}
	}
	return fail(ps, ps->p, "invalid character class range");
}

static int class_char(struct parser *ps, const char *open, uint32_t *ret_code)
{
	if (!*ps->p)
		return fail(ps, open, "missing closing ]");
	return *ps->p == '\\' ? take_escape(ps, ret_code) : take_char(ps, ret_code);
}

/* One character, or a range of them. */
static int class_range(struct parser *ps, const char *open)
{
	const char *at = ps->p;
	uint32_t from, to;
	int err = class_char(ps, open, &from);

	if (err)
		return err;
	if (ps->p[0] != '-' || !ps->p[1] || ps->p[1] == ']')
		return emit_code(ps, from);
	ps->p++;
	err = class_char(ps, open, &to);
	if (err)
		return err;
	if (to < from)
		return fail(ps, at, "invalid character class range");
	err = emit_code(ps, from);
	if (!err)
		err = emit(ps, "-");
	return err ? err : emit_code(ps, to);
}

static int class_item(struct parser *ps, const char *open)
{
	const char *perl;
	int err = 0;

	if (ps->p[0] == '[' && ps->p[1] == ':') {
		err = posix_class(ps);
		if (err)
			return MIN(err, 0);
	}
	if (ps->p[0] == '\\' && (ps->p[1] == 'p' || ps->p[1] == 'P'))
		return property(ps);
	perl = ps->p[0] == '\\' ? perl_class(ps->p[1], true) : NULL;
	if (perl) {
		ps->p += 2;
		return emit(ps, perl);
	}
	return class_range(ps, open);
}

static int class(struct parser *ps)
{
	const char *open = ps->p++;
	bool first = true;
	int err;

	begin_atom(ps, false);
	err = emit(ps, "[");
	if (!err && *ps->p == '^') {
		ps->p++;
		err = emit(ps, "^");
	}
	for (; !err && (first || *ps->p != ']'); first = false) {
		if (!*ps->p)
			return fail(ps, open, "missing closing ]");
		err = class_item(ps, open);
	}
	if (err)
		return err;
	ps->p++;
	return emit(ps, "]");
}

/* Digits at *p, which moves; -1: none, or too many. */
static int number(const char **p)
{
	int n = -1;

	if (**p == '0' && isdigit((unsigned char)(*p)[1]))
		return -1;
	for (; isdigit((unsigned char)**p); (*p)++)
		n = MIN((MAX(n, 0) * 10) + (**p - '0'), MAX_REPEAT + 1);
	return n;
}

/* {n}, {n,} or {n,m} at p. Returns its length, 0: a brace that is only a character. */
static size_t braces(const char *p, int *ret_min, int *ret_max)
{
	const char *q = p + 1;
	int min = number(&q), max = min;

	if (min < 0)
		return 0;
	if (*q == ',') {
		q++;
		max = *q == '}' ? -1 : number(&q);
		if (max < 0 && *q != '}')
			return 0;
	}
	if (*q != '}')
		return 0;
	*ret_min = min;
	*ret_max = max;
	return (size_t)(q + 1 - p);
}

static int insert(struct buf *b, size_t at, const char *text)
{
	size_t len = strlen(text);
	int err = buf__reserve(b, len);

	if (err)
		return err;
	memmove(b->data + at + len, b->data + at, b->len - at);
	memcpy(b->data + at, text, len);
	b->len += len;
	return 0;
}

/* `len` bytes at p repeat what is before them. */
static int repeat(struct parser *ps, size_t len, int min, int max)
{
	struct regex_syntax *s = ps->s;
	const char *at = ps->p;
	size_t most = (size_t)(max < 0 ? min : max);
	int err = 0;

	if (ps->repeated)
		return fail(ps, at, "invalid nested repetition operator");
	if (!ps->atom)
		return fail(ps, at, "missing argument to repetition operator");
	if (min > MAX_REPEAT || max > MAX_REPEAT || (max >= 0 && max < min) ||
	    ps->atom_repeats * MAX(most, 1) > MAX_REPEAT)
		return fail(ps, at, "invalid repeat count");
	ps->atom_repeats *= MAX(most, 1);
	if (ps->zero_width) {
		err = insert(&s->out, ps->atom_out, "(?:");
		if (!err)
			err = emit(ps, ")");
	}
	if (!err)
		err = buf__append(&s->out, at, len);
	ps->p += len;
	if (!err && *ps->p == '?') {
		ps->p++;
		err = emit(ps, "?");
	}
	ps->repeated = true;
	ps->groups[ps->depth].repeats = MAX(ps->groups[ps->depth].repeats, ps->atom_repeats);
	return err;
}

static int add_group(struct parser *ps, const char *name, size_t len)
{
	struct regex_syntax *s = ps->s;
	char **grown = reallocarray(s->names, s->n_groups + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	s->names = grown;
	grown[s->n_groups] = strndup(name, len);
	if (!grown[s->n_groups])
		return -ENOMEM;
	s->n_groups++;
	return 0;
}

static int open_group(struct parser *ps, const char *at, const char *text)
{
	struct group *g;

	if (ps->depth + 1 == MAX_NESTING)
		return fail(ps, at, "expression nests too deeply");
	g = &ps->groups[++ps->depth];
	g->at = (size_t)(at - ps->pattern);
	g->out = ps->s->out.len;
	g->repeats = 1;
	no_atom(ps);
	return emit(ps, text);
}

/* (?P<name> and (?<name>: `name` stands behind the <. */
static int named_group(struct parser *ps, const char *at, const char *name)
{
	size_t len = 0;
	int err;

	if (*name == '=' || *name == '!')
		return fail(ps, at, "look-around is not supported");
	while (isalnum((unsigned char)name[len]) || name[len] == '_')
		len++;
	if (!len || name[len] != '>')
		return fail(ps, at, "invalid named capture");
	ps->p = name + len + 1;
	err = add_group(ps, name, len);
	return err ? err : open_group(ps, at, "(");
}

/* (?flags) and (?flags:...): p stands behind the question mark. */
static int flags(struct parser *ps, const char *at)
{
	const char *p = ps->p;
	bool minus = false, some = false;
	char text[64];

	for (; *p && strchr("imsU-", *p); p++) {
		if (*p == '-' && minus)
			break;
		some = *p != '-';
		minus |= *p == '-';
	}
	if (*p == '=' || *p == '!')
		return fail(ps, at, "look-around is not supported");
	if ((*p != ')' && *p != ':') || (minus && !some) || p - at > 32)
		return fail(ps, at,
			    *p ? "invalid or unsupported Perl syntax" : "missing closing )");
	snprintf(text, sizeof(text), "%.*s", (int)(p + 1 - at), at);
	ps->p = p + 1;
	if (*p == ':')
		return open_group(ps, at, text);
	no_atom(ps);
	return emit(ps, text);
}

static int group(struct parser *ps)
{
	const char *at = ps->p++;
	int err;

	if (*ps->p != '?') {
		err = add_group(ps, "", 0);
		return err ? err : open_group(ps, at, "(");
	}
	ps->p++;
	if (ps->p[0] == 'P' && ps->p[1] == '<')
		return named_group(ps, at, ps->p + 2);
	if (ps->p[0] == 'P' && (ps->p[1] == '=' || ps->p[1] == '>'))
		return fail(ps, at, "backreferences are not supported");
	if (ps->p[0] == '<')
		return named_group(ps, at, ps->p + 1);
	return flags(ps, at);
}

static int close_group(struct parser *ps)
{
	struct group *g = &ps->groups[ps->depth];

	if (!ps->depth)
		return fail(ps, ps->p, "unexpected )");
	ps->p++;
	ps->depth--;
	begin_atom(ps, false);
	ps->atom_out = g->out;
	ps->atom_repeats = g->repeats;
	ps->groups[ps->depth].repeats = MAX(ps->groups[ps->depth].repeats, g->repeats);
	return emit(ps, ")");
}

/* \Q...\E, or to the end. */
static int quoted(struct parser *ps)
{
	uint32_t code;
	int err = 0;

	no_atom(ps);
	for (ps->p += 2; !err && *ps->p;) {
		if (ps->p[0] == '\\' && ps->p[1] == 'E') {
			ps->p += 2;
			return 0;
		}
		err = take_char(ps, &code);
		begin_atom(ps, false);
		if (!err)
			err = emit_code(ps, code);
	}
	return err;
}

static int escape(struct parser *ps)
{
	static const char zero_width[] = "AbBz";
	char c = ps->p[1], text[3] = {'\\', c, '\0'};
	uint32_t code;
	int err;

	if (c == 'Q')
		return quoted(ps);
	begin_atom(ps, c && strchr(zero_width, c));
	if (ps->zero_width || perl_class(c, false)) {
		ps->p += 2;
		return emit(ps, ps->zero_width ? text : perl_class(c, false));
	}
	if (c == 'p' || c == 'P')
		return property(ps);
	err = take_escape(ps, &code);
	return err ? err : emit_code(ps, code);
}

static int literal(struct parser *ps)
{
	uint32_t code;
	int err = take_char(ps, &code);

	begin_atom(ps, false);
	return err ? err : emit_code(ps, code);
}

static int plain(struct parser *ps, bool atom, bool zero_width)
{
	char text[2] = {*ps->p++, '\0'};

	if (atom)
		begin_atom(ps, zero_width);
	else
		no_atom(ps);
	return emit(ps, text);
}

static int item(struct parser *ps)
{
	int min, max;
	size_t len;

	switch (*ps->p) {
	case '(':
		return group(ps);
	case ')':
		return close_group(ps);
	case '[':
		return class(ps);
	case '\\':
		return escape(ps);
	case '|':
		return plain(ps, false, false);
	case '^':
	case '$':
		return plain(ps, true, true);
	case '.':
		return plain(ps, true, false);
	case '*':
		return repeat(ps, 1, 0, -1);
	case '+':
		return repeat(ps, 1, 1, -1);
	case '?':
		return repeat(ps, 1, 0, 1);
	case '{':
		len = braces(ps->p, &min, &max);
		return len ? repeat(ps, len, min, max) : literal(ps);
	}
	return literal(ps);
}

int regex_syntax__translate(struct regex_syntax *s, const char *pattern,
			    struct regex_error *ret_error)
{
	struct parser ps = {.s = s, .pattern = pattern, .p = pattern, .error = ret_error};
	int err = 0;

	s->ascii = true;
	ps.groups[0].repeats = 1;
	while (!err && *ps.p)
		err = item(&ps);
	if (!err && ps.depth)
		err = fail(&ps, pattern + ps.groups[ps.depth].at, "missing closing )");
	return err ? err : buf__reserve(&s->out, 1);
}

void regex_syntax__free(struct regex_syntax *s)
{
	buf__free(&s->out);
	for (size_t i = 0; i < s->n_groups; i++)
		free(s->names[i]);
	free(s->names);
	s->names = NULL;
	s->n_groups = 0;
}
