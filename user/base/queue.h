/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of pointers between threads, with an eventfd that is readable from when there is
 * an item until a pop finds none. The queue owns no item: who pops it owns it.
 */
#ifndef NOTAIL_BASE_QUEUE_H
#define NOTAIL_BASE_QUEUE_H

#include <stddef.h>

struct queue;

int queue__new(struct queue **ret, size_t max_items);
/* Items still in it are given to `free_item` (may be NULL). NULL is fine. */
void queue__free(struct queue *q, void (*free_item)(void *item));
/* -EAGAIN: full; the item is still the caller's. Never blocks. */
int queue__push(struct queue *q, void *item);
/* NULL: empty. Never blocks. */
void *queue__pop(struct queue *q);
size_t queue__len(struct queue *q);
/* Who is woken by it pops until there is nothing. Owned by the queue. */
int queue__fd(const struct queue *q);

#endif
