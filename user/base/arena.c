/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks double up to CHUNK_MAX; what is larger than a chunk has one of its own size. A reset keeps
 * the chunks, so that a line costs no malloc once the longest one was seen.
 */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define CHUNK_MIN 4096u
#define CHUNK_MAX (256u * 1024)
#define ALIGN 16u

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	_Alignas(ALIGN) char bytes[];
};

static void free_chunks(struct arena_chunk *c)
{
	struct arena_chunk *next;

	for (; c; c = next) {
		next = c->next;
		free(c);
	}
}

void arena__free(struct arena *a)
{
	free_chunks(a->chunks);
	free_chunks(a->spare);
	a->chunks = NULL;
	a->spare = NULL;
	a->used = 0;
	a->total = 0;
}

void arena__reset(struct arena *a)
{
	struct arena_chunk *c;

	while (a->chunks && a->chunks->next) {
		c = a->chunks;
		a->chunks = c->next;
		c->next = a->spare;
		a->spare = c;
	}
	a->used = 0;
	a->total = 0;
}

/* A chunk with room for `size`, in front of the others. */
static int add_chunk(struct arena *a, size_t size)
{
	size_t room = a->chunks ? MIN(a->chunks->size * 2, CHUNK_MAX) : CHUNK_MIN;
	struct arena_chunk **p = &a->spare, *c;

	while (*p && (*p)->size < size)
		p = &(*p)->next;
	c = *p;
	if (c) {
		*p = c->next;
	} else {
		room = MAX(room, size);
		c = malloc(sizeof(*c) + room);
		if (!c)
			return -1;
		c->size = room;
		a->n_mallocs++;
	}
	c->next = a->chunks;
	a->chunks = c;
	a->used = 0;
	return 0;
}

void *arena__alloc(struct arena *a, size_t size)
{
	char *p;

	if (size > SIZE_MAX / 2 || (a->max && size > a->max - MIN(a->total, a->max)))
		return NULL;
	size = (MAX(size, 1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if ((!a->chunks || a->chunks->size - a->used < size) && add_chunk(a, size))
		return NULL;
	p = a->chunks->bytes + a->used;
	a->used += size;
	a->total += size;
	return p;
}

void *arena__zalloc(struct arena *a, size_t size)
{
	void *p = arena__alloc(a, size);

	if (p)
		memset(p, 0, size);
	return p;
}

char *arena__copy(struct arena *a, const char *data, size_t len)
{
	char *p = arena__alloc(a, len + 1);

	if (!p)
		return NULL;
	if (len)
		memcpy(p, data, len);
	p[len] = '\0';
	return p;
}
