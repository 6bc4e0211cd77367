/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing, at most three quarters full. Hashes are good ones, so that their low bits do. */
#include "spool/stream_map.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_MIN 64

void stream_map__free(struct stream_map *m)
{
	free(m->entries);
	*m = (struct stream_map){0};
}

static struct stream_entry *find(const struct stream_map *m, uint64_t hash)
{
	size_t i = hash & (m->size - 1);

	while (m->entries[i].id && m->entries[i].hash != hash)
		i = (i + 1) & (m->size - 1);
	return &m->entries[i];
}

/* What is not below `low`, in a table of `size`. */
static int rebuild(struct stream_map *m, size_t size, uint64_t low)
{
	struct stream_map next = {.entries = calloc(size, sizeof(*next.entries)), .size = size};

	if (!next.entries)
		return -ENOMEM;
	for (size_t i = 0; i < m->size; i++) {
		if (!m->entries[i].id || m->entries[i].id < low)
			continue;
		*find(&next, m->entries[i].hash) = m->entries[i];
		next.n++;
	}
	free(m->entries);
	*m = next;
	return 0;
}

int stream_map__put(struct stream_map *m, uint64_t hash, uint64_t id)
{
	struct stream_entry *e;

	if ((m->n + 1) * 4 > m->size * 3) {
		int err = rebuild(m, m->size ? 2 * m->size : SIZE_MIN, 0);

		if (err)
			return err;
	}
	e = find(m, hash);
	m->n += !e->id;
	e->hash = hash;
	if (e->id < id)
		e->id = id;
	return 0;
}

uint64_t stream_map__get(const struct stream_map *m, uint64_t hash)
{
	return m->size ? find(m, hash)->id : 0;
}

void stream_map__purge(struct stream_map *m, uint64_t low)
{
	size_t left = 0, size = SIZE_MIN;

	for (size_t i = 0; i < m->size; i++)
		left += m->entries[i].id && m->entries[i].id >= low;
	if (left == m->n)
		return;
	while (left * 2 > size)
		size *= 2;
	rebuild(m, size, low);
}
