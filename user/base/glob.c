/* SPDX-License-Identifier: Apache-2.0 */
/* Backtracking over what is left of both, with a bound on the steps of all branches together. */
#include "base/glob.h"

#include <stddef.h>
#include <string.h>

#define STEPS_MAX 100000
#define DEPTH_MAX 200

struct glob {
	unsigned steps;
	unsigned depth;
};

/* What follows a group's alternative: what stands behind the group, up to where that ends. */
struct rest {
	const char *pattern, *end;
	const struct rest *next;
};

static bool match(struct glob *g, const char *p, const char *end, const struct rest *rest,
		  const char *s);

/* The `}` of the group whose inside begins at p; NULL: none. */
static const char *group_end(const char *p, const char *end)
{
	unsigned depth = 1;

	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == '{')
			depth++;
		else if (*p == '}' && !--depth)
			return p;
	}
	return NULL;
}

static bool match_group(struct glob *g, const char *p, const char *end, const struct rest *rest,
			const char *s)
{
	const char *close = group_end(p, end), *begin = p;
	const struct rest after = {.pattern = close ? close + 1 : end, .end = end, .next = rest};
	unsigned depth = 0;

	if (!close)
		return false;
	for (; p <= close; p++) {
		if (*p == '\\' && p < close)
			p++;
		else if (*p == '{')
			depth++;
		else if (*p == '}' && p < close)
			depth--;
		else if ((*p == ',' && !depth) || p == close) {
			if (match(g, begin, p, &after, s))
				return true;
			begin = p + 1;
		}
	}
	return false;
}

/* Behind `[`: whether c is in the class; *p goes behind it. -1: malformed. */
static int match_class(const char **p, const char *end, char c)
{
	const char *q = *p;
	bool negated = q < end && (*q == '!' || *q == '^'), found = false;

	q += negated;
	for (bool first = true; q < end && (*q != ']' || first); first = false) {
		unsigned char from, to;

		if (*q == '\\' && q + 1 < end)
			q++;
		from = to = (unsigned char)*q++;
		if (q + 1 < end && *q == '-' && q[1] != ']') {
			to = (unsigned char)q[1];
			q += 2;
		}
		found = found || ((unsigned char)c >= from && (unsigned char)c <= to);
	}
	if (q >= end)
		return -1;
	*p = q + 1;
	return found != negated;
}

/* `**` and what is left: this component and any number of further ones. */
static bool match_components(struct glob *g, const char *p, const char *end,
			     const struct rest *rest, const char *s)
{
	bool slash = p < end && *p == '/';

	if (slash && match(g, p + 1, end, rest, s))
		return true;
	for (; *s; s++)
		if (match(g, p, end, rest, s))
			return true;
	return match(g, p, end, rest, s);
}

static bool match_star(struct glob *g, const char *p, const char *end, const struct rest *rest,
		       const char *s)
{
	for (;; s++) {
		if (match(g, p, end, rest, s))
			return true;
		if (!*s || *s == '/')
			return false;
	}
}

static bool match_here(struct glob *g, const char *p, const char *end, const struct rest *rest,
		       const char *s)
{
	while (p < end) {
		int in;

		switch (*p) {
		case '*':
			if (p + 1 < end && p[1] == '*')
				return match_components(g, p + 2, end, rest, s);
			return match_star(g, p + 1, end, rest, s);
		case '{':
			return match_group(g, p + 1, end, rest, s);
		case '?':
			if (!*s || *s == '/')
				return false;
			p++;
			break;
		case '[':
			p++;
			in = match_class(&p, end, *s);
			if (in <= 0 || !*s || *s == '/')
				return false;
			break;
		case '\\':
			if (++p == end)
				return false;
			/* fallthrough */
		default:
			if (*p++ != *s)
				return false;
			break;
		}
		s++;
	}
	if (rest)
		return match(g, rest->pattern, rest->end, rest->next, s);
	return !*s;
}

static bool match(struct glob *g, const char *p, const char *end, const struct rest *rest,
		  const char *s)
{
	bool matches;

	if (++g->steps > STEPS_MAX || g->depth >= DEPTH_MAX)
		return false;
	g->depth++;
	matches = match_here(g, p, end, rest, s);
	g->depth--;
	return matches;
}

bool glob__match(const char *pattern, const char *path)
{
	struct glob g = {0};

	return match(&g, pattern, pattern + strlen(pattern), NULL, path);
}
