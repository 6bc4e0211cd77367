/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a client's batches have to leave memory, or the ring: to the spool, in the order in which
 * they would be sent. What the sink has is written too, and stays with it: when it gets through
 * after all, its record in the spool is passed over.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/internal.h"
#include "status/counters.h"

#define AGAIN_NS NS_PER_SEC
#define LOOK_NS (100 * NS_PER_MS)

static void on_written(void *ctx, int err)
{
	struct item *i = ctx;
	struct delivery_client *c = i->client;

	c->n_writing--;
	i->writing = false;
	if (!err) {
		i->written = true;
		c->spooled_lines += i->batch->lines;
		item__safe(i);
	}
	if (!i->list) {
		if (!err)
			noted__add(&c->delivered, i->sequence);
		item__free(i);
	} else if (!err && i->list == &c->behind) {
		item__from_behind(i);
		item__free(i);
	}
	client__work(c);
}

/* 0: it is being written. */
static int write_one(struct item *i)
{
	const struct batch *b = i->batch;
	const struct spool_record record = {
		.payload = b->payload.data,
		.len = b->payload.len,
		.tenant = b->tenant,
		.sequence = i->sequence,
		.lines = b->lines,
		.log_bytes = b->log_bytes,
		.raw_bytes = b->raw_bytes,
		.oldest_ns = b->oldest_ns,
		.newest_ns = b->newest_ns,
		.streams = b->streams,
		.n_streams = b->n_streams,
	};
	int err = spool_queue__append(i->client->spool, &record, on_written, i);

	if (err)
		return err;
	i->writing = true;
	i->client->n_writing++;
	return 0;
}

/* What else to do is no use, or has been done. */
static bool is_settled(const struct item *i)
{
	return i->writing || i->written || i->back;
}

/* In memory, and not on its way to the spool. */
static size_t memory_bytes(const struct delivery_client *c)
{
	size_t bytes = c->sending.bytes + c->live.bytes;
	const struct item *i;

	DL_FOREACH (c->behind.first, i)
		bytes += i->writing ? 0 : i->bytes;
	return bytes;
}

/* How much has to go, in the order of the lists. */
struct need {
	const struct item *last; /* that the ring wants; NULL: none */
	size_t bytes;
	bool all;
};

static void look_for_last(const struct items *l, uint64_t wanted, struct need *need)
{
	const struct item *i;

	DL_FOREACH (l->first, i)
		if (i->parcel && !i->writing && i->batch->oldest_pos < wanted)
			need->last = i;
}

static struct need look(const struct delivery_client *c, uint64_t now_ns)
{
	const struct delivery *d = c->d;
	size_t share = delivery__share(d), bytes = memory_bytes(c);
	struct need need = {0};

	look_for_last(&c->sending, d->wanted, &need);
	look_for_last(&c->live, d->wanted, &need);
	look_for_last(&c->behind, d->wanted, &need);
	if (bytes > share)
		need.bytes = bytes - share / 4 * 3;
	need.all = d->spool_at_ns && (now_ns >= d->spool_at_ns || client__has_backlog(c) ||
				      c->opts.failing(c->opts.ctx));
	return need;
}

/* False: the spool does not take it. */
static bool write_list(struct items *l, struct need *need)
{
	struct item *i, *next;

	DL_FOREACH_SAFE (l->first, i, next) {
		if (!need->all && !need->last && !need->bytes)
			return true;
		if (!is_settled(i)) {
			if ((l != &i->client->sending || i->parcel) && write_one(i))
				return false;
			if (l != &i->client->sending)
				need->bytes -= MIN(need->bytes, i->bytes);
		}
		if (i == need->last)
			need->last = NULL;
	}
	return true;
}

/* From now on it waits behind what is written of it. */
static void end_live(struct delivery_client *c)
{
	struct item *i, *next;

	DL_FOREACH_SAFE (c->live.first, i, next)
		item__to_behind(i);
}

static bool write_all(struct delivery_client *c, struct need *need)
{
	struct item *i;

	if (!c->spool || !write_list(&c->sending, need))
		return false;
	if (!need->all && !need->last && !need->bytes)
		return true;
	i = c->live.first;
	if (i) {
		if (write_one(i))
			return false;
		need->bytes -= MIN(need->bytes, i->bytes);
		end_live(c);
	}
	return write_list(&c->behind, need);
}

/* Memory is as safe as a ring that ends with the process; for others' sake, more than enough. */
static void let_ring_go(struct items *l, uint64_t wanted)
{
	struct item *i;

	DL_FOREACH (l->first, i)
		if (i->parcel && i->batch->oldest_pos < wanted)
			item__safe(i);
}

static struct item *oldest_waiting(const struct delivery_client *c)
{
	struct item *live = c->live.first, *behind = c->behind.first;

	while (behind && behind->writing)
		behind = behind->next;
	if (!live || !behind)
		return live ? live : behind;
	return behind->batch->sealed_ns < live->batch->sealed_ns ? behind : live;
}

static void drop_oldest(struct delivery_client *c, size_t bytes)
{
	struct item *i;

	for (size_t dropped = 0; dropped < bytes && (i = oldest_waiting(c));) {
		dropped += i->bytes;
		c->dropped_lines += i->batch->lines;
		counters__add(c->d->opts.counters, dropped_queue_full, i->batch->lines);
		if (i->list == &c->behind)
			item__from_behind(i);
		else
			items__remove(i);
		item__safe(i);
		item__free(i);
	}
}

static void do_without(struct delivery_client *c, uint64_t now_ns)
{
	const struct delivery *d = c->d;
	bool others = d->opts.n_clients > 1;
	size_t bytes = memory_bytes(c), share = delivery__share(d);

	if (others || !d->opts.durable) {
		let_ring_go(&c->sending, d->wanted);
		let_ring_go(&c->live, d->wanted);
		let_ring_go(&c->behind, d->wanted);
	}
	/* One that is slow may hold others, one that is down may not. */
	if (others && bytes > share && c->opts.failing(c->opts.ctx))
		drop_oldest(c, bytes - share);
	if (c->spool)
		c->due_ns = MIN(c->due_ns, now_ns + AGAIN_NS);
}

void client__relieve(struct delivery_client *c, uint64_t now_ns)
{
	struct need need = look(c, now_ns);

	if ((need.all || need.last || need.bytes) && !write_all(c, &need))
		do_without(c, now_ns);
	/* Nobody says that a try has failed. */
	if (c->d->spool_at_ns && c->spool && !need.all)
		c->due_ns = MIN(c->due_ns, now_ns + LOOK_NS);
}
