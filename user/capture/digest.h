/* SPDX-License-Identifier: Apache-2.0 */
/* Of several values in a row, by base/hash.h: to tell what is the same from what is not. */
#ifndef NOTAIL_CAPTURE_DIGEST_H
#define NOTAIL_CAPTURE_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"

#define DIGEST_NONE HASH_START

static inline uint64_t digest__bytes(uint64_t digest, const void *data, size_t size)
{
	return hash__bytes(digest, data, size);
}

static inline uint64_t digest__number(uint64_t digest, uint64_t number)
{
	return digest__bytes(digest, &number, sizeof(number));
}

/* NULL is none. */
static inline uint64_t digest__text(uint64_t digest, const char *text)
{
	return text ? digest__bytes(digest, text, strlen(text) + 1) : digest__number(digest, 0);
}

#endif
