/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of which older lines wait somewhere, as the I/O thread tells the capture thread. */
#ifndef NOTAIL_DELIVERY_BACKLOG_H
#define NOTAIL_DELIVERY_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Immutable; from malloc. */
struct backlog {
	bool all; /* every stream */
	size_t n;
	uint64_t streams[]; /* request__labels_hash of each, sorted */
};

static inline bool backlog__has(const struct backlog *b, uint64_t stream)
{
	size_t begin = 0, end = b->n;

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;

		if (b->streams[middle] < stream)
			begin = middle + 1;
		else
			end = middle;
	}
	return b->all || (begin < b->n && b->streams[begin] == stream);
}

#endif
