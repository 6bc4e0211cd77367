/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules are go-logfmt's: whatever is not over ' ' separates; a key is anything else up to a
 * separator or `=`, without quotes, in valid UTF-8; a value has neither `"` nor `=`, or stands in
 * quotes, in which the escapes are JSON's and \'. A newline ends a record, hence quotes too.
 */
#include "process/logfmt.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "process/json_text.h"

static bool separates(char c)
{
	return (unsigned char)c <= ' ';
}

/* go-logfmt takes U+FFFD for what a decoder makes of invalid bytes. */
static bool key_valid(const char *key, size_t len)
{
	return utf8__valid(key, len) && !memmem(key, len, "\xef\xbf\xbd", 3);
}

/* Behind the opening quote. */
static int quoted(struct logfmt *l, struct arena *arena, struct logfmt_pair *pair)
{
	const char *start = l->p, *p = l->p;
	bool escaped = false;
	char *out;

	for (; p < l->end && *p != '"' && *p != '\n'; p++) {
		if (*p != '\\')
			continue;
		escaped = true;
		if (++p == l->end || *p == '\n')
			break;
	}
	if (p == l->end || *p == '\n')
		return -EINVAL;
	l->p = p + 1;
	pair->value = start;
	pair->value_len = (size_t)(p - start);
	if (!escaped)
		return 1;
	out = arena__alloc(arena, pair->value_len);
	if (!out)
		return -ENOMEM;
	pair->value_len = json_text__unescape(out, start, pair->value_len, true);
	pair->value = out;
	return pair->value_len == SIZE_MAX ? -EINVAL : 1;
}

/* Behind the =. */
static int value(struct logfmt *l, struct arena *arena, struct logfmt_pair *pair)
{
	const char *start = l->p;

	if (l->p < l->end && *l->p == '"') {
		l->p++;
		return quoted(l, arena, pair);
	}
	while (l->p < l->end && !separates(*l->p) && *l->p != '=' && *l->p != '"')
		l->p++;
	if (l->p < l->end && !separates(*l->p))
		return -EINVAL;
	pair->value = start;
	pair->value_len = (size_t)(l->p - start);
	return 1;
}

int logfmt__next(struct logfmt *l, struct arena *arena, struct logfmt_pair *ret)
{
	struct logfmt_pair pair = {.value = ""};
	bool high = false;
	int result = 1;

	while (l->p < l->end && separates(*l->p))
		l->p++;
	if (l->p == l->end)
		return 0;
	pair.key = l->p;
	while (l->p < l->end && !separates(*l->p) && *l->p != '=' && *l->p != '"')
		high |= (*l->p++ & 0x80) != 0;
	pair.key_len = (size_t)(l->p - pair.key);
	if (!pair.key_len || (high && !key_valid(pair.key, pair.key_len)))
		return -EINVAL;
	if (l->p < l->end && *l->p == '"')
		return -EINVAL;
	if (l->p < l->end && *l->p == '=') {
		l->p++;
		result = value(l, arena, &pair);
	}
	if (result == 1)
		*ret = pair;
	return result;
}
