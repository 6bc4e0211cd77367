/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a client's batches have to leave memory, or the ring: to the spool, in the order in which
 * they would be sent. What the sink has is written too, and stays with it: when it gets through
 * after all, its record in the spool is passed over.
 *
 * When one is not written, those behind it that the spool has already are not either, and all of
 * them begin anew, in their order.
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
		item__risk(i, false);
		c->spooled_lines += i->batch->lines;
		item__safe(i);
	} else {
		c->refused_ns = delivery__boot_ns(c->d);
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
static struct items in_memory(const struct delivery_client *c)
{
	struct items sum = {.n = c->live.n, .bytes = c->sending.bytes + c->live.bytes};
	const struct item *i;

	DL_FOREACH (c->behind.first, i) {
		sum.n += i->writing ? 0 : 1;
		sum.bytes += i->writing ? 0 : i->bytes;
	}
	return sum;
}

/* How much has to go, in the order of the lists. */
struct need {
	const struct item *last; /* that the ring wants; NULL: none */
	size_t bytes, items;
	bool all;
	bool behind; /* it is enough to write what waits behind the spool */
};

static bool is_more(const struct need *need)
{
	return need->all || need->last || need->bytes || need->items;
}

static void look_for_last(const struct items *l, uint64_t wanted, struct need *need)
{
	const struct item *i;

	DL_FOREACH (l->first, i)
		if (i->parcel && !i->writing && i->batch->oldest_pos < wanted)
			need->last = i;
}

/* One of `l`, and not in the spool, is older. */
static bool has_older(const struct items *l, const struct item *i)
{
	const struct item *older;

	DL_FOREACH (l->first, older)
		if (older->sequence < i->sequence && !is_settled(older) && older->parcel &&
		    batch__shares_stream(older->batch, i->batch))
			return true;
	return false;
}

/* In the spool nothing is before what is older, of a stream. */
static bool is_apart(const struct delivery_client *c, const struct item *last)
{
	const struct item *i;

	DL_FOREACH (c->behind.first, i) {
		if (!is_settled(i) && (has_older(&c->sending, i) || has_older(&c->live, i)))
			return false;
		if (i == last)
			break;
	}
	return true;
}

static struct need look(const struct delivery_client *c, uint64_t now_ns)
{
	const struct delivery *d = c->d;
	bool drains = client__has_backlog(c) && !c->opts.failing(c->opts.ctx);
	size_t share = delivery__share(d), max_items = delivery__max_items(d);
	uint64_t wanted = drains ? d->pressed : d->wanted;
	struct items memory = in_memory(c);
	struct need need = {0};

	look_for_last(&c->sending, wanted, &need);
	look_for_last(&c->live, wanted, &need);
	need.behind = !need.last;
	look_for_last(&c->behind, d->wanted, &need);
	need.behind = need.behind && need.last && is_apart(c, need.last);
	if (memory.bytes > share)
		need.bytes = memory.bytes - share / 4 * 3;
	if (memory.n > max_items)
		need.items = memory.n - max_items / 4 * 3;
	need.all = d->spool_at_ns && (now_ns >= d->spool_at_ns || client__has_backlog(c) ||
				      c->opts.failing(c->opts.ctx));
	return need;
}

static void need__less(struct need *need, const struct item *i)
{
	need->bytes -= MIN(need->bytes, i->bytes);
	need->items -= MIN(need->items, 1u);
}

/* False: the spool does not take it. */
static bool write_list(struct items *l, struct need *need)
{
	struct item *i, *next;

	DL_FOREACH_SAFE (l->first, i, next) {
		if (!is_more(need))
			return true;
		if (!is_settled(i)) {
			if ((l != &i->client->sending || i->parcel) && write_one(i))
				return false;
			if (l != &i->client->sending)
				need__less(need, i);
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

	if (!c->spool)
		return false;
	if (need->behind && !need->bytes && !need->items && !need->all)
		return write_list(&c->behind, need);
	if (!write_list(&c->sending, need))
		return false;
	if (!is_more(need))
		return true;
	i = c->live.first;
	if (i) {
		if (write_one(i))
			return false;
		need__less(need, i);
		end_live(c);
	}
	return write_list(&c->behind, need);
}

/* Memory is as safe as a ring that ends with the process; for others' sake, more than enough. */
static void let_ring_go(struct items *l, uint64_t wanted)
{
	struct item *i;

	DL_FOREACH (l->first, i) {
		if (i->parcel && i->batch->oldest_pos < wanted) {
			item__safe(i);
			item__risk(i, !i->written && !i->back);
		}
	}
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

static void do_without(struct delivery_client *c, const struct need *need, uint64_t now_ns)
{
	const struct delivery *d = c->d;
	uint64_t wanted = need->items ? UINT64_MAX : d->wanted;
	bool others = d->opts.n_clients > 1;
	size_t bytes = in_memory(c).bytes, share = delivery__share(d);

	if (others || !d->opts.durable) {
		let_ring_go(&c->sending, wanted);
		let_ring_go(&c->live, wanted);
		let_ring_go(&c->behind, wanted);
	}
	/* One that is slow may hold others, one that is down may not. */
	if (others && bytes > share && c->opts.failing(c->opts.ctx))
		drop_oldest(c, bytes - share);
	if (c->spool)
		c->due_ns = MIN(c->due_ns, now_ns + AGAIN_NS);
}

/* Not before the spool has told of all that it had. */
static bool is_refused(struct delivery_client *c, uint64_t now_ns)
{
	if (!c->refused_ns || c->n_writing)
		return c->refused_ns;
	if (now_ns < c->refused_ns + LOOK_NS) {
		c->due_ns = MIN(c->due_ns, c->refused_ns + LOOK_NS);
		return true;
	}
	c->refused_ns = 0;
	return false;
}

void client__relieve(struct delivery_client *c, uint64_t now_ns)
{
	struct need need;

	if (is_refused(c, now_ns))
		return;
	need = look(c, now_ns);
	if (is_more(&need) && !write_all(c, &need))
		do_without(c, &need, now_ns);
	/* Nobody says that a try has failed. */
	if (c->d->spool_at_ns && c->spool && !need.all)
		c->due_ns = MIN(c->due_ns, now_ns + LOOK_NS);
}
