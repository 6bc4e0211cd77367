/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON where it stands, member by member, without a tree: each byte is looked at once, by whoever
 * wants it, or read over. Pure; the bytes are hostile.
 *
 *	struct json_walk w = json_walk__object(text), inner;
 *
 *	while (json_walk__next(&w, &key)) {
 *		if (json_span__is(key, "name"))
 *			name = json_walk__value(&w);
 *		else if (json_span__is(key, "labels")) {
 *			inner = json_walk__enter(&w, '{');
 *			while (json_walk__next(&inner, &key)) ...
 *			json_walk__leave(&w, &inner);
 *		}
 *	}
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
	const char *p; /* where the next member begins; NULL: there is none */
	const char *end;
	const char *value; /* of the member that was found and that nobody took yet; NULL: none */
	const char *after; /* behind the closing bracket; NULL: it was not come to */
	char close;
};

/* Of anything but an object (or array): nothing. What is behind it is not looked at. */
struct json_walk json_walk__object(struct json_span text);
struct json_walk json_walk__array(struct json_span text);
/* False: there are no more. ret_key: between the quotes, escapes and all; NULL: an array. */
bool json_walk__next(struct json_walk *w, struct json_span *ret_key);
/* The member's value, once. */
struct json_span json_walk__value(struct json_walk *w);
/* Through the member's value, `open` is '{' or '['; what is left of it is read over afterwards. */
struct json_walk json_walk__enter(struct json_walk *w, char open);
void json_walk__leave(struct json_walk *w, const struct json_walk *inner);
/* It was gone through to its end. */
static inline bool json_walk__whole(const struct json_walk *w)
{
	return w->after != NULL;
}

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
