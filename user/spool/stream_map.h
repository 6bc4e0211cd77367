/* SPDX-License-Identifier: Apache-2.0 */
/* The newest record of each stream, by the hash of its labels. Zeroed: empty. */
#ifndef NOTAIL_SPOOL_STREAM_MAP_H
#define NOTAIL_SPOOL_STREAM_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream_entry {
	uint64_t hash;
	uint64_t id; /* of the newest record that has it; 0: a free place */
};

struct stream_map {
	struct stream_entry *entries;
	size_t size; /* a power of two, or 0 */
	size_t n;
};

void stream_map__free(struct stream_map *m);
/* The greater of `id` and what is there; `id` is not 0. -ENOMEM. */
int stream_map__put(struct stream_map *m, uint64_t hash, uint64_t id);
/* 0: it is not in. */
uint64_t stream_map__get(const struct stream_map *m, uint64_t hash);
/* Leaves those out whose id is below `low`. Without memory for it, nothing. */
void stream_map__purge(struct stream_map *m, uint64_t low);

#endif
