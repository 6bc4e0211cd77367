/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte buffer that grows. The owner of the struct owns the bytes; buf__free leaves an empty,
 * usable buffer. Appending returns 0 or -ENOMEM and leaves the buffer as it was on failure.
 */
#ifndef NOTAIL_BASE_BUF_H
#define NOTAIL_BASE_BUF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/util.h"

struct buf {
	char *data; /* not NUL-terminated */
	size_t len;
	size_t size;
};

void buf__free(struct buf *b);
int buf__grow(struct buf *b, size_t more);
/* Room for `more` bytes behind the ones there are. */
static inline int buf__reserve(struct buf *b, size_t more)
{
	return more <= b->size - b->len ? 0 : buf__grow(b, more);
}
int buf__append(struct buf *b, const void *data, size_t len);
int buf__append_str(struct buf *b, const char *s);
int buf__printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
/* The inside of a JSON string: escapes ", \ and control characters; bytes over 0x7f go through as
 * they are. */
int buf__append_json(struct buf *b, const char *data, size_t len);
/* The same, and checks on the way: -EILSEQ when the bytes are not valid UTF-8. */
int buf__append_json_utf8(struct buf *b, const char *data, size_t len);
int buf__append_base64(struct buf *b, const void *data, size_t len);
/* A whole file, which is none that makes a reader wait. -errno; -EFBIG: more than `max_bytes`; with
 * an error something of it may be there. */
int buf__read_file(struct buf *b, const char *path, size_t max_bytes);

#define _buf_ _cleanup_(buf__free)

/* Bytes of the character at p, 0 when there is none: p < end, and no NUL needs to follow. */
size_t utf8__sequence(const char *p, const char *end);
/* What the character of `len` bytes at p stands for; `len` as utf8__sequence says, or 1. */
static inline uint32_t utf8__code(const char *p, size_t len)
{
	uint32_t code = (unsigned char)*p;

	if (len > 1)
		code &= 0x7fu >> len;
	for (size_t i = 1; i < len; i++)
		code = code << 6 | ((unsigned char)p[i] & 0x3fu);
	return code;
}
/* The character's bytes, at most 4; returns how many. `code` is at most U+10FFFF. */
size_t utf8__encode(uint32_t code, char *ret);
/* The bytes are valid UTF-8 (no surrogates, no overlong forms). */
bool utf8__valid(const char *data, size_t len);
/* Each byte that is not part of valid UTF-8 becomes `?`. */
void utf8__clean(char *data, size_t len);

#endif
