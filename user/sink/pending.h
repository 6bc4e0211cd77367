/* SPDX-License-Identifier: Apache-2.0 */
/* Batches that wait for a sink, first in, first out. It owns them until they are popped. */
#ifndef NOTAIL_SINK_PENDING_H
#define NOTAIL_SINK_PENDING_H

#include <stddef.h>

#include "batch/batch.h"

struct pending_item;

struct pending {
	struct pending_item *first, *last;
	_Atomic size_t bytes; /* of memory; may be read by any thread */
};

/* -ENOMEM: the batch is still the caller's. */
int pending__push(struct pending *p, struct batch *b);
/* NULL: empty. */
struct batch *pending__first(const struct pending *p);
struct batch *pending__pop(struct pending *p);

#endif
