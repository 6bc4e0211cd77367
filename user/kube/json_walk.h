/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON where it stands, member by member, without a tree: only what is asked for is looked at
 * twice. Pure; the bytes are hostile.
 */
#ifndef NOTAIL_KUBE_JSON_WALK_H
#define NOTAIL_KUBE_JSON_WALK_H

#include <stdbool.h>
#include <stddef.h>

/* A value's text, borrowed; data NULL: there is none. */
struct json_span {
	const char *data;
	size_t len;
};

/* Through an object or an array. */
struct json_walk {
	const char *p, *end; /* p NULL: it is over */
	char close;
	bool malformed; /* it was, somewhere: what came before stands */
};

/* Of anything but an object (or array): nothing, malformed. */
struct json_walk json_walk__object(struct json_span text);
struct json_walk json_walk__array(struct json_span text);
/* False: there are no more. ret_key: between the quotes, escapes and all; NULL in an array. */
bool json_walk__next(struct json_walk *w, struct json_span *ret_key, struct json_span *ret_value);

bool json_span__is(struct json_span s, const char *text);
/* The first of that name of an object. */
struct json_span json_span__member(struct json_span object, const char *name);
/*
 * What a string says: valid UTF-8 without NUL (`?` in their place); to free. NULL: it is no string,
 * or no memory.
 */
char *json_span__string(struct json_span s);
/* The same into a buffer; "" when it is no string or too long. */
void json_span__copy(struct json_span s, char *ret, size_t size);
/* -1: it is no number from 0 to `max`. */
long json_span__number(struct json_span s, long max);

#endif
