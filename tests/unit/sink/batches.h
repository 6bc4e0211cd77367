/* SPDX-License-Identifier: Apache-2.0 */
/* Batches as the sinks see them, and a record of what came back. */
#ifndef TEST_SINK_BATCHES_H
#define TEST_SINK_BATCHES_H

#include <stdlib.h>
#include <string.h>

#include "sink/sink.h"

#define MAX_RESULTS 64

struct results {
	size_t n;
	uint64_t sequence[MAX_RESULTS];
	enum sink_result result[MAX_RESULTS];
};

static inline struct batch *make_batch(uint64_t sequence, const void *data, size_t len)
{
	struct batch *b = calloc(1, sizeof(*b));

	b->sequence = sequence;
	b->lines = 10 + sequence;
	if (buf__append(&b->payload, data, len))
		abort();
	return b;
}

static inline void results__add(struct results *r, struct batch *b, enum sink_result result)
{
	if (r->n == MAX_RESULTS)
		abort();
	r->sequence[r->n] = b->sequence;
	r->result[r->n++] = result;
	buf__free(&b->payload);
	free(b);
}

#endif
