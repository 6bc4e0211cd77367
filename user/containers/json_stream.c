/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only brackets outside strings are counted: whether [ and { pair up is the parser's to say, which
 * gets each object whole. An object that lies in one piece is still copied; events are rare.
 */
#include "containers/json_stream.h"

#include <errno.h>

static bool space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* True: c is the object's last character. */
static bool step(struct json_stream *s, char c)
{
	if (s->escaped) {
		s->escaped = false;
	} else if (s->in_string) {
		s->escaped = c == '\\';
		s->in_string = c != '"';
	} else if (c == '"') {
		s->in_string = true;
	} else if (c == '{' || c == '[') {
		s->depth++;
	} else if (c == '}' || c == ']') {
		s->depth--;
	}
	return s->depth == 0;
}

int json_stream__feed(struct json_stream *s, const char *data, size_t len,
		      void (*fn)(void *ctx, const char *object, size_t len), void *ctx)
{
	size_t start = 0;

	for (size_t i = 0; i < len; i++) {
		bool last;
		int err;

		if (s->depth == 0) {
			start = i;
			if (space(data[i])) {
				start = i + 1;
				continue;
			}
			if (data[i] != '{')
				return -EBADMSG;
		}
		last = step(s, data[i]);
		if (!last && i + 1 < len)
			continue;
		if (s->object.len + (i + 1 - start) > s->max_bytes)
			return -EMSGSIZE;
		err = buf__append(&s->object, data + start, i + 1 - start);
		if (err)
			return err;
		if (last) {
			fn(ctx, s->object.data, s->object.len);
			s->object.len = 0;
		}
	}
	return 0;
}

void json_stream__reset(struct json_stream *s)
{
	buf__free(&s->object);
	s->depth = 0;
	s->in_string = false;
	s->escaped = false;
}
