/* SPDX-License-Identifier: Apache-2.0 */
/* A list and its size; the size counts what a batch really holds in memory, not what it sends. */
#include "sink/pending.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct pending_item {
	struct batch *batch;
	size_t bytes;
	struct pending_item *next;
};

int pending__push(struct pending *p, struct batch *b)
{
	struct pending_item *item = calloc(1, sizeof(*item));

	if (!item)
		return -ENOMEM;
	item->batch = b;
	item->bytes = sizeof(*b) + MAX(b->payload.size, b->payload.len);
	if (p->last)
		p->last->next = item;
	else
		p->first = item;
	p->last = item;
	atomic_fetch_add_explicit(&p->bytes, item->bytes, memory_order_relaxed);
	return 0;
}

struct batch *pending__first(const struct pending *p)
{
	return p->first ? p->first->batch : NULL;
}

struct batch *pending__pop(struct pending *p)
{
	struct pending_item *item = p->first;
	struct batch *b;

	if (!item)
		return NULL;
	p->first = item->next;
	if (!p->first)
		p->last = NULL;
	atomic_fetch_sub_explicit(&p->bytes, item->bytes, memory_order_relaxed);
	b = item->batch;
	free(item);
	return b;
}
