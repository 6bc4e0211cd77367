/* SPDX-License-Identifier: Apache-2.0 */
/* Whether it is JSON is the parser's to say, which gets each object whole. Only an object that
 * comes in several pieces is copied. */
#include "containers/json_stream.h"

#include <errno.h>

static bool space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The object is over max_bytes with `len` more. */
static int drop(struct json_stream *s, size_t len)
{
	s->dropping += s->object.len + len;
	s->object.len = 0;
	if (s->dropping > s->drop_bytes)
		return -EMSGSIZE;
	if (s->scan.depth == 0) {
		s->dropped++;
		s->dropping = 0;
	}
	return 0;
}

int json_stream__one(struct json_stream *s, const char *data, size_t len, size_t *ret_used,
		     void (*fn)(void *ctx, const char *object, size_t len), void *ctx)
{
	size_t used = json_scan__feed(&s->scan, data, len);
	int err = 0;

	*ret_used = used;
	if (s->dropping || s->object.len + used > s->max_bytes)
		return drop(s, used);
	if (s->scan.depth == 0 && !s->object.len) {
		fn(ctx, data, used);
		return 0;
	}
	err = buf__append(&s->object, data, used);
	if (!err && s->scan.depth == 0) {
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
		if (s->scan.depth == 0 && space(data[at])) {
			at++;
			continue;
		}
		if (s->scan.depth == 0 && data[at] != '{')
			return -EBADMSG;
		err = json_stream__one(s, data + at, len - at, &used, fn, ctx);
		at += used;
	}
	return err;
}

void json_stream__reset(struct json_stream *s)
{
	buf__free(&s->object);
	s->scan = (struct json_scan){0};
	s->dropped = 0;
	s->dropping = 0;
}
