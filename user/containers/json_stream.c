/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only brackets outside strings are counted: whether [ and { pair up is the parser's to say, which
 * gets each object whole. Only an object that comes in several pieces is copied.
 */
#include "containers/json_stream.h"

#include <errno.h>

static bool space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Behind the string's end, or its last byte here. */
static const char *scan_string(struct json_stream *s, const char *p, const char *end)
{
	if (s->escaped && p < end) {
		s->escaped = false;
		p++;
	}
	while (p < end && *p != '"') {
		if (*p == '\\') {
			s->escaped = p + 1 == end;
			p++;
		}
		p += p < end;
	}
	if (p == end)
		return end;
	s->in_string = false;
	return p + 1;
}

/* How many of the bytes belong to the object under way. */
static size_t scan(struct json_stream *s, const char *data, size_t len)
{
	const char *p = data, *end = data + len;

	while (p < end) {
		if (s->in_string) {
			p = scan_string(s, p, end);
			continue;
		}
		switch (*p++) {
		case '"':
			s->in_string = true;
			break;
		case '{':
		case '[':
			s->depth++;
			break;
		case '}':
		case ']':
			if (--s->depth == 0)
				return (size_t)(p - data);
			break;
		}
	}
	return len;
}

/* The object is over max_bytes with `len` more. */
static int drop(struct json_stream *s, size_t len)
{
	s->dropping += s->object.len + len;
	s->object.len = 0;
	if (s->dropping > s->drop_bytes)
		return -EMSGSIZE;
	if (s->depth == 0) {
		s->dropped++;
		s->dropping = 0;
	}
	return 0;
}

int json_stream__one(struct json_stream *s, const char *data, size_t len, size_t *ret_used,
		     void (*fn)(void *ctx, const char *object, size_t len), void *ctx)
{
	size_t used = scan(s, data, len);
	int err = 0;

	*ret_used = used;
	if (s->dropping || s->object.len + used > s->max_bytes)
		return drop(s, used);
	if (s->depth == 0 && !s->object.len) {
		fn(ctx, data, used);
		return 0;
	}
	err = buf__append(&s->object, data, used);
	if (!err && s->depth == 0) {
		fn(ctx, s->object.data, s->object.len);
		s->object.len = 0;
	}
	return err;
}

int json_stream__feed(struct json_stream *s, const char *data, size_t len,
		      void (*fn)(void *ctx, const char *object, size_t len), void *ctx)
{
	size_t at = 0, used;
	int err = 0;

	while (at < len && !err) {
		if (s->depth == 0 && space(data[at])) {
			at++;
			continue;
		}
		if (s->depth == 0 && data[at] != '{')
			return -EBADMSG;
		err = json_stream__one(s, data + at, len - at, &used, fn, ctx);
		at += used;
	}
	return err;
}

void json_stream__reset(struct json_stream *s)
{
	buf__free(&s->object);
	s->depth = 0;
	s->in_string = false;
	s->escaped = false;
	s->dropped = 0;
	s->dropping = 0;
}
