/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is given back at once: a pointer that moves, in chunks that are kept when the arena
 * is reset. What is allocated lives until arena__reset or arena__free. One thread.
 */
#ifndef NOTAIL_BASE_ARENA_H
#define NOTAIL_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* the one in use first */
	struct arena_chunk *spare;
	size_t used;	    /* of the first chunk */
	size_t total;	    /* bytes given out since the last reset */
	size_t max;	    /* of total; more is refused. 0: no bound */
	uint64_t n_mallocs; /* of the arena's life: what the benchmark counts */
};

#define _arena_ _cleanup_(arena__free)

void arena__free(struct arena *a);
/* Keeps the chunks. */
void arena__reset(struct arena *a);
/* Aligned to 16, not zeroed. NULL: no memory, or over `max`. */
void *arena__alloc(struct arena *a, size_t size);
void *arena__zalloc(struct arena *a, size_t size);
/* A copy with a NUL behind it. NULL as arena__alloc. */
char *arena__copy(struct arena *a, const char *data, size_t len);

#endif
