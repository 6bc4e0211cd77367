/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The items of a List ({"kind": "PodList", "metadata": {...}, "items": [...]}), one by one as its
 * bytes come, cut anywhere: memory is bounded by one item. Pure; the bytes are hostile (fuzz
 * target). What is inside an item is not looked at beyond its strings and brackets.
 */
#ifndef NOTAIL_KUBE_ITEMS_H
#define NOTAIL_KUBE_ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "containers/json_stream.h"

#define KUBE_ITEM_BYTES ((size_t)1 << 20)
/* An item that is too large is read over, if it has no more than these. */
#define KUBE_DROP_BYTES ((size_t)64 << 20)
#define KUBE_VERSION_SIZE 64

/* Of one list; kube_items__begin makes it ready. The owner of the struct owns its memory. */
struct kube_items {
	struct json_stream item;
	struct json_stream other; /* metadata, and what is read over */
	int state;
	char key[16]; /* longer ones matter to nobody */
	size_t key_len;
	bool escaped;
	bool found; /* there are items, or none is said */
	char version[KUBE_VERSION_SIZE];
	char *next_page; /* what to ask on with; NULL: this was the last */
};

/* Whatever was there is freed. */
void kube_items__begin(struct kube_items *l, size_t max_item);
/* Calls fn with each item (borrowed). 0; -EBADMSG: no List; -EMSGSIZE; -ENOMEM: of no use any more.
 */
int kube_items__feed(struct kube_items *l, const char *data, size_t len,
		     void (*fn)(void *ctx, const char *json, size_t len), void *ctx);
/* There are no more bytes. -EBADMSG: half a List. */
int kube_items__end(const struct kube_items *l);
void kube_items__free(struct kube_items *l);

#endif
