/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of batches, and what it means for one to be safe: its parcel counts the clients that do not
 * have it yet, and ends with the last.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <utlist.h>

/* uthash calls this when there is no memory; the entry is then not in the table (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1

#include "delivery/internal.h"

void items__append(struct items *l, struct item *i)
{
	DL_APPEND(l->first, i);
	l->n++;
	l->bytes += i->bytes;
	i->list = l;
}

/* By age: nearly always the last place. */
static void items__insert(struct items *l, struct item *i)
{
	struct item *at = l->first ? l->first->prev : NULL;

	if (!at || at->sequence < i->sequence) {
		items__append(l, i);
		return;
	}
	while (at != l->first && at->prev->sequence > i->sequence)
		at = at->prev;
	DL_PREPEND_ELEM(l->first, at, i);
	l->n++;
	l->bytes += i->bytes;
	i->list = l;
}

void items__remove(struct item *i)
{
	struct items *l = i->list;

	DL_DELETE(l->first, i);
	l->n--;
	l->bytes -= i->bytes;
	i->list = NULL;
}

/* Without memory for it, a stream's order is not kept, or a batch is sent twice: Loki takes both.
 */
void noted__add(struct noted **table, uint64_t key)
{
	struct noted *n;

	HASH_FIND(hh, *table, &key, sizeof(key), n);
	if (n) {
		n->n++;
		return;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return;
	n->key = key;
	n->n = 1;
	HASH_ADD(hh, *table, key, sizeof(n->key), n);
	if (!n->hh.tbl)
		free(n);
}

void noted__remove(struct noted **table, uint64_t key)
{
	struct noted *n;

	HASH_FIND(hh, *table, &key, sizeof(key), n);
	if (!n || --n->n)
		return;
	HASH_DELETE(hh, *table, n);
	free(n);
}

bool noted__has(struct noted *table, uint64_t key)
{
	struct noted *n;

	HASH_FIND(hh, table, &key, sizeof(key), n);
	return n;
}

void noted__free(struct noted **table)
{
	struct noted *n, *next;

	HASH_ITER (hh, *table, n, next) {
		HASH_DELETE(hh, *table, n);
		free(n);
	}
}

struct item *item__new(struct delivery_client *c, struct batch *b)
{
	struct item *i = calloc(1, sizeof(*i));

	if (!i) {
		batch__free(b);
		return NULL;
	}
	i->client = c;
	i->batch = b;
	i->bytes = sizeof(*i) + sizeof(*b) + MAX(b->payload.size, b->payload.len);
	i->sequence = c->d->sequence++;
	return i;
}

void item__risk(struct item *i, bool at_risk)
{
	_Atomic size_t *lines = i->client->d->opts.at_risk;

	if (i->at_risk == at_risk)
		return;
	i->at_risk = at_risk;
	if (at_risk)
		atomic_fetch_add(lines, i->batch->lines);
	else
		atomic_fetch_sub(lines, i->batch->lines);
}

void item__free(struct item *i)
{
	item__risk(i, false);
	batch__free(i->batch);
	free(i);
}

void item__safe(struct item *i)
{
	struct parcel *p = TAKE_PTR(i->parcel);
	struct delivery *d = i->client->d;

	if (!p || --p->unsafe)
		return;
	d->opts.ops->safe(d->opts.ctx, p->batch);
	free(p);
}

void item__to_behind(struct item *i)
{
	struct delivery_client *c = i->client;

	if (i->list)
		items__remove(i);
	items__insert(&c->behind, i);
	for (size_t k = 0; k < i->batch->n_streams; k++)
		noted__add(&c->streams, i->batch->streams[k]);
	c->version++;
}

void item__from_behind(struct item *i)
{
	struct delivery_client *c = i->client;

	items__remove(i);
	for (size_t k = 0; k < i->batch->n_streams; k++)
		noted__remove(&c->streams, i->batch->streams[k]);
	c->version++;
}
