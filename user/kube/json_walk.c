/* SPDX-License-Identifier: Apache-2.0 */
/* Ends of values are process/json_text's to find. */
#include "kube/json_walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "process/json_text.h"

static struct json_walk walk(struct json_span text, char open, char close)
{
	struct json_walk w = {.close = close, .malformed = true};
	const char *p, *end;

	if (!text.data)
		return w;
	end = w.end = text.data + text.len;
	p = json_text__space(text.data, end);
	if (p == end || *p != open)
		return w;
	p = json_text__space(p + 1, end);
	if (p < end && *p != close)
		w.p = p;
	w.malformed = p == end;
	return w;
}

struct json_walk json_walk__object(struct json_span text)
{
	return walk(text, '{', '}');
}

struct json_walk json_walk__array(struct json_span text)
{
	return walk(text, '[', ']');
}

bool json_walk__next(struct json_walk *w, struct json_span *ret_key, struct json_span *ret_value)
{
	const char *value = w->p, *behind = NULL;
	struct json_span key = {0};
	bool escaped;

	if (!value)
		return false;
	if (w->close == '}')
		value = json_text__skip_key(value, w->end, &key.data, &key.len, &escaped);
	if (value) {
		value = json_text__space(value, w->end);
		behind = json_text__skip(value, w->end);
	}
	w->p = behind ? json_text__space(behind, w->end) : NULL;
	if (!w->p || w->p == w->end || (*w->p != ',' && *w->p != w->close)) {
		w->malformed = true;
		w->p = NULL;
		return false;
	}
	w->p = *w->p == ',' ? w->p + 1 : NULL;
	if (ret_key)
		*ret_key = key;
	*ret_value = (struct json_span){value, (size_t)(behind - value)};
	return true;
}

bool json_span__is(struct json_span s, const char *text)
{
	return s.data && s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

struct json_span json_span__member(struct json_span object, const char *name)
{
	struct json_walk w = json_walk__object(object);
	struct json_span key, value;

	while (json_walk__next(&w, &key, &value)) {
		if (json_span__is(key, name))
			return value;
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
