/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matchers compare a label's whole value, filters look for something in the line: two lists of the
 * same tests. Strings are Go's: with escapes in double quotes, as they stand in backquotes. What a
 * regular expression could not decide does not match, `!~` neither: a stage then leaves the line
 * alone.
 */
#include "process/logql.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/regex.h"

#define TESTS_MAX 64 /* of each list */

enum test_op { TEST_EQUAL, TEST_NOT_EQUAL, TEST_REGEX, TEST_NOT_REGEX };

struct test {
	enum test_op op;
	char *label; /* of matchers */
	char *text;
	size_t len;
	struct regex *regex;
};

struct logql {
	struct test matchers[TESTS_MAX];
	struct test filters[TESTS_MAX];
	size_t n_matchers, n_filters;
};

struct parser {
	const char *start, *p;
	struct syntax_error *error;
};

/* Of filters; a matcher's equality is a plain `=`. */
static const char *const ops[] = {"|=", "!=", "|~", "!~"};
static const char *const matcher_ops[] = {"=", "!=", "=~", "!~"};

static int fail(struct parser *s, const char *what)
{
	return syntax__fail(s->error, (size_t)(s->p - s->start), "%s", what);
}

static bool take(struct parser *s, const char *token)
{
	size_t len = strlen(token);

	s->p += strspn(s->p, " \t\r\n");
	if (strncmp(s->p, token, len) != 0)
		return false;
	s->p += len;
	return true;
}

/* `n` digits of the base; -1: they are not there. */
static long digits(const char *p, int n, int base)
{
	static const char all[] = "0123456789abcdef";
	long code = 0;

	for (int i = 0; i < n; i++) {
		char c = p[i] >= 'A' && p[i] <= 'F' ? (char)(p[i] | 0x20) : p[i];
		const char *digit = c ? strchr(all, c) : NULL;

		if (!digit || digit - all >= base)
			return -1;
		code = code * base + (digit - all);
	}
	return code;
}

/* What is behind the backslash at *p, and over it. NULL: no such escape. */
static char *unescape(char *out, const char **p)
{
	static const char from[] = "abfnrtv\\\"", to[] = "\a\b\f\n\r\t\v\\\"";
	const char *s = *p, *simple = *s ? strchr(from, *s) : NULL;
	int n = *s == 'x' ? 2 : *s == 'u' ? 4 : *s == 'U' ? 8 : 0;
	long code;

	if (simple) {
		*out = to[simple - from];
		*p = s + 1;
		return out + 1;
	}
	code = n ? digits(s + 1, n, 16) : digits(s, 3, 8);
	*p = n ? s + 1 + n : s + 3;
	if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return NULL;
	if (n > 2)
		return out + utf8__encode((uint32_t)code, out);
	if (code > 0xff)
		return NULL;
	*out = (char)code;
	return out + 1;
}

static int string(struct parser *s, struct test *t)
{
	const char *p;
	char quote, *out;

	s->p += strspn(s->p, " \t\r\n");
	quote = *s->p;
	if (quote != '"' && quote != '`')
		return fail(s, "expected a string, in double quotes or backquotes");
	t->text = malloc(strlen(s->p));
	if (!t->text)
		return -ENOMEM;
	out = t->text;
	for (p = s->p + 1; *p && *p != quote && (*p != '\n' || quote == '`');) {
		if (*p != '\\' || quote == '`') {
			*out++ = *p++;
			continue;
		}
		s->p = p++;
		out = unescape(out, &p);
		if (!out)
			return fail(s,
				    "no such escape; a backslash itself is \\\\ in double quotes, "
				    "or \\ in backquotes");
	}
	if (*p != quote)
		return fail(s, "a string that does not end");
	*out = '\0';
	t->len = (size_t)(out - t->text);
	if (memchr(t->text, '\0', t->len) && t->op >= TEST_REGEX)
		return fail(s, "a regular expression with a NUL");
	s->p = p + 1;
	return 0;
}

/* The string, and the regular expression that it may be. */
static int operand(struct parser *s, struct test *t, bool anchored)
{
	const char *at;
	struct regex_error why;
	int err;

	s->p += strspn(s->p, " \t\r\n");
	at = s->p;
	err = string(s, t);
	if (err || t->op < TEST_REGEX)
		return err;
	err = regex__new(&t->regex, t->text, anchored, &why);
	if (err == -EINVAL)
		syntax__fail(s->error, (size_t)(at - s->start),
			     "invalid regular expression at its byte %zu: %s", why.offset,
			     why.text);
	return err;
}

static bool label_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

/* The longest one that stands there; false: none. */
static bool take_op(struct parser *s, const char *const names[4], enum test_op *ret)
{
	static const enum test_op by_length[] = {TEST_NOT_EQUAL, TEST_REGEX, TEST_NOT_REGEX,
						 TEST_EQUAL};

	for (size_t i = 0; i < ARRAY_SIZE(by_length); i++) {
		if (take(s, names[by_length[i]])) {
			*ret = by_length[i];
			return true;
		}
	}
	return false;
}

static int matcher(struct parser *s, struct logql *q)
{
	struct test *t = &q->matchers[q->n_matchers];
	const char *name;

	if (q->n_matchers == TESTS_MAX)
		return fail(s, "too many matchers");
	s->p += strspn(s->p, " \t\r\n");
	name = s->p;
	while (label_char(*s->p, s->p == name))
		s->p++;
	if (s->p == name)
		return fail(s, "expected a label's name");
	q->n_matchers++;
	t->label = strndup(name, (size_t)(s->p - name));
	if (!t->label)
		return -ENOMEM;
	if (!take_op(s, matcher_ops, &t->op))
		return fail(s, "expected =, !=, =~ or !~");
	return operand(s, t, true);
}

static int selector(struct parser *s, struct logql *q)
{
	int err;

	if (!take(s, "{"))
		return fail(s, "expected a selector: {label=\"value\"}");
	if (take(s, "}")) {
		s->p--;
		return fail(s, "a selector needs a matcher, such as label=\"value\"");
	}
	do {
		err = matcher(s, q);
	} while (!err && take(s, ","));
	if (!err && !take(s, "}"))
		err = fail(s, "expected } or ,");
	return err;
}

static int filter(struct parser *s, struct logql *q)
{
	struct test *t = &q->filters[q->n_filters];
	enum test_op op;

	if (!take_op(s, ops, &op)) {
		if (*s->p == '|')
			return fail(s, "only line filters can follow: |=, !=, |~ or !~");
		return fail(s, "expected |=, !=, |~ or !~");
	}
	if (q->n_filters == TESTS_MAX)
		return fail(s, "too many filters");
	t->op = op;
	q->n_filters++;
	return operand(s, t, false);
}

int logql__new(struct logql **ret, const char *text, struct syntax_error *ret_error)
{
	struct parser s = {.start = text, .p = text, .error = ret_error};
	struct logql *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		return -ENOMEM;
	err = selector(&s, q);
	while (!err && (take(&s, ""), *s.p))
		err = filter(&s, q);
	if (err)
		logql__free(q);
	else
		*ret = q;
	return err;
}

static void tests__free(struct test *tests, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(tests[i].label);
		free(tests[i].text);
		regex__free(tests[i].regex);
	}
}

void logql__free(struct logql *q)
{
	if (!q)
		return;
	tests__free(q->matchers, q->n_matchers);
	tests__free(q->filters, q->n_filters);
	free(q);
}

size_t logql__matchers(const struct logql *q)
{
	return q->n_matchers;
}

const char *logql__label(const struct logql *q, size_t matcher)
{
	return q->matchers[matcher].label;
}

static bool regex_test(struct test *t, const char *text, size_t len)
{
	const struct regex_span *spans;
	int result = regex__match(t->regex, text, len, 0, &spans);

	return result == (t->op == TEST_REGEX ? 1 : 0);
}

bool logql__label_matches(struct logql *q, size_t matcher, const char *value, size_t len)
{
	struct test *t = &q->matchers[matcher];

	if (t->op >= TEST_REGEX)
		return regex_test(t, value, len);
	return (len == t->len && memcmp(value, t->text, len) == 0) == (t->op == TEST_EQUAL);
}

bool logql__line_matches(struct logql *q, const char *line, size_t len)
{
	for (size_t i = 0; i < q->n_filters; i++) {
		struct test *t = &q->filters[i];
		bool passes;

		if (t->op >= TEST_REGEX)
			passes = regex_test(t, line, len);
		else
			passes = !memmem(line, len, t->text, t->len) == (t->op == TEST_NOT_EQUAL);
		if (!passes)
			return false;
	}
	return true;
}

uint64_t logql__limited(const struct logql *q)
{
	uint64_t n = 0;

	for (size_t i = 0; i < q->n_matchers; i++)
		n += q->matchers[i].regex ? regex__limited(q->matchers[i].regex) : 0;
	for (size_t i = 0; i < q->n_filters; i++)
		n += q->filters[i].regex ? regex__limited(q->filters[i].regex) : 0;
	return n;
}
