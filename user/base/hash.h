/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a: to tell what is the same from what is not. Files have some of it: it stays as it is. */
#ifndef NOTAIL_BASE_HASH_H
#define NOTAIL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START 0xcbf29ce484222325ull

static inline uint64_t hash__byte(uint64_t hash, char byte)
{
	return (hash ^ (unsigned char)byte) * 0x100000001b3;
}

static inline uint64_t hash__bytes(uint64_t hash, const void *data, size_t len)
{
	const char *bytes = data;

	for (size_t i = 0; i < len; i++)
		hash = hash__byte(hash, bytes[i]);
	return hash;
}

/* With its NUL: of two texts it says where one ends. */
static inline uint64_t hash__text(uint64_t hash, const char *text)
{
	do {
		hash = hash__byte(hash, *text);
	} while (*text++);
	return hash;
}

/* Its high bits are poor before. Never 0. */
static inline uint64_t hash__mix(uint64_t hash)
{
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccd;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53;
	hash ^= hash >> 33;
	return hash ? hash : 1;
}

#endif
