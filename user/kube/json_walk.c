/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends of strings and numbers are process/json_text's to find. Of objects and arrays that nobody
 * goes through only the brackets count: most of a pod is of no use here.
 */
#include "kube/json_walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_scan.h"
#include "base/util.h"
#include "process/json_text.h"

static struct json_walk walk(const char *p, const char *end, char open)
{
	struct json_walk w = {.end = end, .close = open == '{' ? '}' : ']'};

	if (!p)
		return w;
	p = json_text__space(p, end);
	if (p == end || *p != open)
		return w;
	p = json_text__space(p + 1, end);
	if (p < end && *p == w.close)
		w.after = p + 1;
	else if (p < end)
		w.p = p;
	return w;
}

struct json_walk json_walk__object(struct json_span text)
{
	return walk(text.data, text.data ? text.data + text.len : NULL, '{');
}

struct json_walk json_walk__array(struct json_span text)
{
	return walk(text.data, text.data ? text.data + text.len : NULL, '[');
}

/* The member's value ends before `behind`; NULL: it is malformed, and so is all that follows. */
static void take(struct json_walk *w, const char *behind)
{
	const char *p = behind ? json_text__space(behind, w->end) : NULL;

	w->value = NULL;
	w->p = NULL;
	if (!p || p == w->end)
		return;
	if (*p == ',')
		w->p = p + 1;
	else if (*p == w->close)
		w->after = p + 1;
}

/* NULL: it is malformed, or does not end. */
static const char *skip(const char *value, const char *end)
{
	struct json_scan scan = {0};
	size_t len;

	if (*value != '{' && *value != '[')
		return json_text__skip(value, end);
	len = json_scan__feed(&scan, value, (size_t)(end - value));
	return scan.depth ? NULL : value + len;
}

struct json_span json_walk__value(struct json_walk *w)
{
	const char *value = w->value, *behind;

	if (!value)
		return (struct json_span){0};
	behind = skip(value, w->end);
	take(w, behind);
	return behind ? (struct json_span){value, (size_t)(behind - value)} : (struct json_span){0};
}

bool json_walk__next(struct json_walk *w, struct json_span *ret_key)
{
	const char *value;
	bool escaped;

	json_walk__value(w);
	value = w->p;
	*ret_key = (struct json_span){0};
	if (value && w->close == '}')
		value = json_text__skip_key(value, w->end, &ret_key->data, &ret_key->len, &escaped);
	if (value)
		value = json_text__space(value, w->end);
	if (!value || value == w->end) {
		w->p = NULL;
		return false;
	}
	w->value = value;
	return true;
}

struct json_walk json_walk__enter(struct json_walk *w, char open)
{
	return walk(w->value, w->end, open);
}

void json_walk__leave(struct json_walk *w, const struct json_walk *inner)
{
	if (inner->after)
		take(w, inner->after);
}

bool json_span__is(struct json_span s, const char *text)
{
	return s.data && s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

struct json_span json_span__member(struct json_span object, const char *name)
{
	struct json_walk w = json_walk__object(object);
	struct json_span key;

	while (json_walk__next(&w, &key)) {
		if (json_span__is(key, name))
			return json_walk__value(&w);
	}
	return (struct json_span){0};
}

/* As much room as the text has. */
static bool decode(struct json_span s, char *out, size_t *ret_len)
{
	size_t len = json_text__unescape(out, s.data + 1, s.len - 2, false);

	if (len == SIZE_MAX)
		return false;
	for (char *nul = memchr(out, '\0', len); nul; nul = memchr(nul, '\0', len - (nul - out)))
		*nul = '?';
	utf8__clean(out, len);
	out[len] = '\0';
	*ret_len = len;
	return true;
}

static bool is_string(struct json_span s)
{
	return s.data && s.len >= 2 && s.data[0] == '"';
}

char *json_span__string(struct json_span s)
{
	_free_ char *out = NULL;
	size_t len;

	if (!is_string(s))
		return NULL;
	out = malloc(s.len);
	if (!out || !decode(s, out, &len))
		return NULL;
	return TAKE_PTR(out);
}

void json_span__copy(struct json_span s, char *ret, size_t size)
{
	_free_ char *text = json_span__string(s);

	if (text && strlen(text) < size)
		strcpy(ret, text);
	else
		*ret = '\0';
}

long json_span__number(struct json_span s, long max)
{
	char text[24];
	char *end;
	long n;

	if (!s.data || !s.len || s.len >= sizeof(text) || *s.data < '0' || *s.data > '9')
		return -1;
	memcpy(text, s.data, s.len);
	text[s.len] = '\0';
	n = strtol(text, &end, 10);
	return *end || n > max ? -1 : n;
}
