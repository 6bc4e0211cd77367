/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sink has at a time is bounded for each tenant, so that one whose requests are refused
 * for a while keeps no other waiting. Live batches go first, the backlog takes the rest: records of
 * the spool in their order, then what waits behind them in memory.
 */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/internal.h"

#define HELD_ITEMS 64 /* besides the window */
#define BLOCKED_MAX 16
#define APART_NS (30 * 60 * NS_PER_SEC)
#define AGAIN_NS NS_PER_SEC

static bool same_tenant(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool fits(const struct delivery_client *c, const char *tenant, size_t bytes, bool live)
{
	size_t window = delivery__share(c->d) / 2, own = 0, n = 0, n_like = 0, n_held = 0;
	size_t max = c->opts.window;
	const struct item *i;

	DL_FOREACH (c->sending.first, i) {
		if (!same_tenant(i->batch->tenant, tenant))
			continue;
		if (c->opts.held && n_held < HELD_ITEMS && c->opts.held(c->opts.ctx, i->batch)) {
			n_held++;
			continue;
		}
		own += i->bytes;
		n++;
		n_like += i->live == live;
	}
	if (!c->sending.first)
		return true;
	/* Neither live ones nor the backlog have all of it. */
	if (!live || client__has_backlog(c))
		max -= max / 4;
	return n < c->opts.window && n_like < max && c->sending.bytes + bytes <= window &&
	       (!n || own + bytes <= window / 2);
}

/* In no list. */
static void send_one(struct delivery_client *c, struct item *i, bool live)
{
	i->live = live;
	items__append(&c->sending, i);
	c->opts.send(c->opts.ctx, batch__ref(i->batch));
}

/* A tenant's go in their order. */
static void send_live(struct delivery_client *c)
{
	const char *waiting[BLOCKED_MAX];
	struct item *i, *next;
	size_t n = 0, k;

	DL_FOREACH_SAFE (c->live.first, i, next) {
		for (k = 0; k < n && !same_tenant(waiting[k], i->batch->tenant); k++)
			;
		if (k < n)
			continue;
		if (!fits(c, i->batch->tenant, i->bytes, true)) {
			if (n == BLOCKED_MAX)
				return;
			waiting[n++] = i->batch->tenant;
			continue;
		}
		items__remove(i);
		send_one(c, i, true);
	}
}

static void consume(struct delivery_client *c, struct spool_record *r)
{
	c->n_out--;
	spool_queue__consumed(c->spool, r);
}

void readback__end(struct item *i, bool delivered)
{
	struct readback *b = TAKE_PTR(i->back);
	struct delivery_client *c = i->client;

	b->failed = b->failed || !delivered;
	if (delivered)
		c->drained_lines += i->batch->lines;
	if (--b->parts)
		return;
	if (b->failed) {
		c->n_out--;
		spool_queue__put_back(c->spool, b->record);
	} else {
		consume(c, b->record);
	}
	free(b);
}

/* The sink has it, since it was written. */
static struct item *find_sending(const struct delivery_client *c, const struct spool_record *r)
{
	struct item *i;

	DL_FOREACH (c->sending.first, i)
		if (i->written && !i->back && i->sequence == r->sequence)
			return i;
	return NULL;
}

static struct readback *new_readback(struct spool_record *r, size_t parts)
{
	struct readback *b = calloc(1, sizeof(*b));

	if (b)
		*b = (struct readback){.record = r, .parts = parts};
	return b;
}

static bool send_parts(struct delivery_client *c, struct spool_record *r)
{
	const struct delivery_opts *o = &c->d->opts;
	bool apart = o->order == DELIVERY_LIVE_FIRST &&
		     r->oldest_ns + APART_NS < delivery__real_ns(c->d);
	_free_ struct batch **parts = NULL;
	_free_ struct item **items = NULL;
	struct readback *back;
	size_t n, made = 0;

	if (parts__make(r, apart, o->order == DELIVERY_BACKFILL, &parts, &n))
		return false;
	back = new_readback(r, n);
	items = calloc(n, sizeof(*items));
	for (size_t k = 0; k < n; k++) {
		struct item *i;

		batch__account(parts[k], o->memory);
		i = back && items ? item__new(c, batch__ref(parts[k])) : NULL;
		batch__free(parts[k]);
		if (i)
			items[made++] = i;
	}
	if (made < n) {
		for (size_t k = 0; k < made; k++)
			item__free(items[k]);
		free(back);
		return false;
	}
	for (size_t k = 0; k < n; k++) {
		items[k]->back = back;
		send_one(c, items[k], false);
	}
	return true;
}

static uint64_t rate_ns(const struct delivery_client *c, const struct spool_record *r)
{
	uint64_t rate = c->d->opts.drain_rate;

	return rate ? (uint64_t)((double)r->log_bytes * NS_PER_SEC / (double)rate) : 0;
}

/* False: not now. */
static bool drain_record(struct delivery_client *c, uint64_t now_ns, uint64_t *due_ns)
{
	struct spool_record *r = c->peeked;
	struct item *i;

	if (!r->gap && noted__has(c->delivered, r->sequence)) {
		noted__remove(&c->delivered, r->sequence);
		c->peeked = NULL;
		consume(c, r);
		return true;
	}
	i = r->gap ? NULL : find_sending(c, r);
	if (i) {
		i->back = new_readback(r, 1);
		if (i->back)
			c->peeked = NULL;
		return i->back;
	}
	if (now_ns < c->drain_at_ns) {
		*due_ns = c->drain_at_ns;
		return false;
	}
	if (!fits(c, r->tenant, r->len, false))
		return false;
	c->peeked = NULL;
	c->drain_at_ns = MAX(c->drain_at_ns, now_ns) + rate_ns(c, r);
	if (!send_parts(c, r)) {
		c->peeked = r;
		*due_ns = now_ns + AGAIN_NS;
		return false;
	}
	return true;
}

/* Nothing that was written before is still to be read. */
static bool is_spool_read(const struct delivery_client *c)
{
	struct spool_queue_stats stats;

	if (!c->spool || client__spool_is(c, SPOOL_FAILED))
		return true;
	if (client__spool_is(c, SPOOL_LOADING))
		return false;
	spool_queue__stats(c->spool, &stats);
	return stats.held.batches + stats.held_gaps.batches <= c->n_out;
}

/* What was there before it, and could be sent at once, has not been. */
static bool is_overtaking(const struct delivery_client *c, const struct item *i)
{
	const struct item *l;

	DL_FOREACH (c->live.first, l)
		if (l->sequence < i->sequence && batch__shares_stream(l->batch, i->batch))
			return true;
	return false;
}

static bool send_behind(struct delivery_client *c)
{
	struct item *i = c->behind.first;

	if (!i || i->writing || !fits(c, i->batch->tenant, i->bytes, false) || !is_spool_read(c) ||
	    is_overtaking(c, i))
		return false;
	item__from_behind(i);
	send_one(c, i, false);
	return true;
}

static uint64_t drain(struct delivery_client *c, uint64_t now_ns)
{
	uint64_t due_ns = UINT64_MAX;

	for (;;) {
		if (!c->peeked && client__spool_is(c, SPOOL_READY)) {
			c->peeked = spool_queue__next(c->spool);
			c->n_out += c->peeked ? 1 : 0;
		}
		if (c->peeked ? !drain_record(c, now_ns, &due_ns) : !send_behind(c))
			return due_ns;
	}
}

/* A sink may give a batch back before it returns. */
uint64_t client__pump(struct delivery_client *c, uint64_t now_ns)
{
	uint64_t due_ns = UINT64_MAX;

	c->again = true;
	if (c->pumping || c->d->closed)
		return due_ns;
	c->pumping = true;
	while (c->again) {
		c->again = false;
		send_live(c);
		due_ns = drain(c, now_ns);
	}
	c->pumping = false;
	return due_ns;
}
