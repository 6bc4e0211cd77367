/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a: to tell what is the same from what is not, nothing more. */
#ifndef NOTAIL_CAPTURE_DIGEST_H
#define NOTAIL_CAPTURE_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIGEST_NONE 0xcbf29ce484222325ull

static inline uint64_t digest__bytes(uint64_t digest, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		digest = (digest ^ p[i]) * 0x100000001b3ull;
	return digest;
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
