/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON where it stands: finding the ends of values and turning one into what it says, without a
 * tree and without memory of its own. Bounded by the text's length and by JSON_TEXT_DEPTH.
 */
#ifndef NOTAIL_PROCESS_JSON_TEXT_H
#define NOTAIL_PROCESS_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "process/value.h"

#define JSON_TEXT_DEPTH 512

static inline const char *json_text__space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* Behind the value at p, which white space may precede. NULL: there is none, it is malformed or too
 * deep. Strings may hold any bytes. */
const char *json_text__skip(const char *p, const char *end);
/* Behind the string whose opening quote is before p; NULL as above. */
const char *json_text__skip_string(const char *p, const char *end, bool *ret_escaped);
/* Behind the key at p and its colon. The key is what stands between the quotes. */
const char *json_text__skip_key(const char *p, const char *end, const char **ret_key,
				size_t *ret_len, bool *ret_escaped);
/*
 * The inside of a string without its escapes, into `out`, which needs `len` bytes. `apostrophe`:
 * \' is one of them. Half a surrogate pair becomes U+FFFD. Returns the length; SIZE_MAX: no such
 * escape.
 */
size_t json_text__unescape(char *out, const char *text, size_t len, bool apostrophe);
/*
 * What a valid value says: strings without their escapes, numbers as doubles, objects and arrays as
 * their text without white space. Borrows the text where it can. 0; -ENOMEM; -ERANGE: a number that
 * no double comes near.
 */
int json_text__value(const char *text, size_t len, struct arena *arena, struct value *ret);

#endif
