/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events in, decisions elsewhere: after each one a client is looked at as a whole. What has to go
 * to the spool goes there (relieve.c), what may go to the sink goes there (drain.c), and who keeps
 * streams' order is told (order.c).
 */
#include "delivery/delivery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/internal.h"
#include "io/loop.h"
#include "status/counters.h"

#define MAX_MEMORY (64u * 1024 * 1024)
#define MAX_ITEMS 1024
#define MIN_ITEMS 32
#define WINDOW 8

uint64_t delivery__boot_ns(const struct delivery *d)
{
	return d->opts.boot_ns ? d->opts.boot_ns() : clock__boot_ns();
}

uint64_t delivery__real_ns(const struct delivery *d)
{
	return d->opts.real_ns ? d->opts.real_ns() : clock__real_ns();
}

/* A quarter is left for what is open, read back or on its way. */
size_t delivery__share(const struct delivery *d)
{
	return d->opts.max_memory / 4 * 3 / MAX(d->opts.n_clients, (size_t)1);
}

size_t delivery__max_items(const struct delivery *d)
{
	return MAX(MAX_ITEMS / MAX(d->opts.n_clients, (size_t)1), (size_t)MIN_ITEMS);
}

static void set_timer(struct delivery *d, uint64_t now_ns)
{
	uint64_t due_ns = delivery__publish(d, now_ns);
	struct delivery_client *c;

	LL_FOREACH(d->clients, c)
	due_ns = MIN(due_ns, c->due_ns);
	if (d->spool_at_ns > now_ns)
		due_ns = MIN(due_ns, d->spool_at_ns);
	if (due_ns != UINT64_MAX)
		loop_timer__set(d->timer, due_ns - MIN(due_ns, now_ns));
}

void client__work(struct delivery_client *c)
{
	uint64_t now_ns = delivery__boot_ns(c->d), due_ns;

	c->again = true;
	if (c->d->closed || c->pumping)
		return;
	c->due_ns = UINT64_MAX;
	client__relieve(c, now_ns);
	due_ns = client__pump(c, now_ns);
	c->due_ns = MIN(c->due_ns, due_ns);
	set_timer(c->d, now_ns);
}

void delivery__tick(struct delivery *d)
{
	struct delivery_client *c;

	LL_FOREACH(d->clients, c)
	client__work(c);
}

static void on_timer(void *ctx)
{
	delivery__tick(ctx);
}

int delivery__new(struct delivery **ret, const struct delivery_opts *opts)
{
	struct delivery *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->opts = *opts;
	if (!d->opts.max_memory)
		d->opts.max_memory = MAX_MEMORY;
	/* Unlike those of the process that left records in the spool. */
	if (getrandom(&d->sequence, sizeof(d->sequence), GRND_NONBLOCK) < 0)
		d->sequence = clock__real_ns();
	d->sequence >>= 1; /* it never wraps */
	err = loop__timer(opts->loop, on_timer, d, &d->timer);
	if (err) {
		free(d);
		return err;
	}
	*ret = d;
	return 0;
}

static void free_list(struct items *l)
{
	struct item *i, *next;

	DL_FOREACH_SAFE (l->first, i, next) {
		struct delivery *d = i->client->d;

		/* Only memory had it. */
		if (!i->written && (!i->parcel || !d->opts.durable))
			counters__add(d->opts.counters, dropped_undelivered, i->batch->lines);
		items__remove(i);
		if (i->parcel && !--i->parcel->unsafe) {
			batch__free(i->parcel->batch);
			free(i->parcel);
		}
		item__free(i);
	}
}

static void free_client(struct delivery_client *c)
{
	struct item *i;

	if (c->peeked)
		spool_queue__put_back(c->spool, TAKE_PTR(c->peeked));
	DL_FOREACH (c->sending.first, i) {
		i->written = i->written || i->back;
		if (i->back)
			readback__end(i, false);
	}
	spool_queue__free(c->spool);
	free_list(&c->sending);
	free_list(&c->live);
	free_list(&c->behind);
	noted__free(&c->streams);
	noted__free(&c->delivered);
	free(c);
}

void delivery__free(struct delivery *d)
{
	struct delivery_client *c, *next;

	if (!d)
		return;
	d->closed = true;
	LL_FOREACH_SAFE(d->clients, c, next)
	free_client(c);
	loop_timer__free(d->timer);
	free(d->backlog);
	free(d);
}

static void on_spool_changed(void *ctx)
{
	struct delivery_client *c = ctx;
	enum spool_state state = spool_queue__state(c->spool);

	if (c->d->closed)
		return;
	if (c->state != state) {
		c->state = state;
		client__reconsider(c);
	}
	client__work(c);
}

static void on_spool_ready(void *ctx)
{
	client__work(ctx);
}

int delivery__add_client(struct delivery *d, const struct delivery_client_opts *opts,
			 struct delivery_client **ret)
{
	static const struct spool_queue_ops ops = {
		.changed = on_spool_changed,
		.ready = on_spool_ready,
	};
	struct delivery_client *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c)
		return -ENOMEM;
	c->d = d;
	c->opts = *opts;
	if (!c->opts.window)
		c->opts.window = WINDOW;
	c->due_ns = UINT64_MAX;
	if (d->opts.spool)
		err = spool_queue__new(&c->spool, d->opts.spool, opts->key, &ops, c);
	if (err) {
		free(c);
		return err;
	}
	if (c->spool)
		c->state = spool_queue__state(c->spool);
	/* Nodes that start together do not send what they have all at once. */
	c->drain_at_ns = delivery__boot_ns(d) + d->sequence % NS_PER_SEC;
	LL_APPEND(d->clients, c);
	*ret = c;
	return 0;
}

static void submit_to(struct delivery_client *c, struct batch *b, struct parcel *p)
{
	struct item *i = item__new(c, batch__ref(b));

	if (!i) {
		counters__add(c->d->opts.counters, dropped_no_memory, b->lines);
		return;
	}
	i->parcel = p;
	p->unsafe++;
	if (client__is_backlogged(c, b))
		item__to_behind(i);
	else
		items__append(&c->live, i);
}

void delivery__submit(struct delivery *d, struct batch *b, struct delivery_client *const *clients,
		      size_t n)
{
	struct parcel *p = calloc(1, sizeof(*p));

	if (!p)
		counters__add(d->opts.counters, dropped_no_memory, b->lines * n);
	for (size_t k = 0; p && k < n; k++)
		submit_to(clients[k], b, p);
	if (!p || !p->unsafe) {
		free(p);
		d->opts.ops->safe(d->opts.ctx, b);
		return;
	}
	p->batch = b;
	for (size_t k = 0; k < n; k++)
		client__work(clients[k]);
}

static struct item *find(const struct delivery_client *c, const struct batch *b)
{
	struct item *i;

	DL_FOREACH (c->sending.first, i)
		if (i->batch == b)
			return i;
	return NULL;
}

/* The sink is done with it, for good or at its end. */
static void end_item(struct delivery_client *c, struct item *i, bool lost)
{
	bool was_read = i->back;

	if (was_read) {
		readback__end(i, !lost);
	} else if (lost && !i->written && (!i->parcel || !c->d->opts.durable || !c->d->closed)) {
		counters__add(c->d->opts.counters, dropped_undelivered, i->batch->lines);
	}
	/* What the ring has stays there. */
	if (lost && c->d->closed && i->parcel && !--i->parcel->unsafe) {
		batch__free(i->parcel->batch);
		free(i->parcel);
		i->parcel = NULL;
	}
	if (!lost || !c->d->closed)
		item__safe(i);
	if (i->writing)
		return; /* its list is NULL: freed when it is written */
	if (i->written && !lost && !was_read)
		noted__add(&c->delivered, i->sequence);
	item__free(i);
}

void delivery__sent(struct delivery_client *c, struct batch *b, enum sink_result result)
{
	struct item *i = find(c, b);

	batch__free(b);
	if (!i)
		return;
	if (result == SINK_REFUSED)
		counters__add(c->d->opts.counters, dropped_refused, i->batch->lines);
	items__remove(i);
	end_item(c, i, result == SINK_UNDELIVERED);
	client__work(c);
}

void delivery__want(struct delivery *d, uint64_t pos)
{
	if (pos <= d->wanted)
		return;
	d->wanted = pos;
	delivery__tick(d);
}

void delivery__press(struct delivery *d, uint64_t pos)
{
	if (pos <= d->pressed)
		return;
	d->pressed = pos;
	delivery__tick(d);
}

void delivery__end(struct delivery *d, uint64_t spool_at_ns)
{
	d->spool_at_ns = spool_at_ns ? spool_at_ns : 1;
	delivery__tick(d);
}

void delivery__durable(struct delivery *d, bool durable)
{
	d->opts.durable = durable;
}

void delivery__close(struct delivery *d)
{
	d->closed = true;
}

static void add_list(const struct items *l, struct delivery_stats *s)
{
	const struct item *i;

	s->queued_batches += l->n;
	s->queued_bytes += l->bytes;
	DL_FOREACH (l->first, i) {
		s->queued_lines += i->batch->lines;
		if (!s->oldest_ns || i->batch->oldest_ns < s->oldest_ns)
			s->oldest_ns = i->batch->oldest_ns;
	}
}

void delivery_client__stats(struct delivery_client *c, struct delivery_stats *ret)
{
	struct delivery_stats s = {
		.spooled_lines = c->spooled_lines,
		.drained_lines = c->drained_lines,
		.dropped_lines = c->dropped_lines,
		.backlog = client__has_backlog(c),
	};
	struct spool_queue_stats spool;

	add_list(&c->sending, &s);
	add_list(&c->live, &s);
	add_list(&c->behind, &s);
	if (c->spool) {
		spool_queue__stats(c->spool, &spool);
		s.spool_batches = spool.held.batches;
		s.spool_lines = spool.held.lines;
		s.spool_bytes = spool.held.bytes;
		s.spool_oldest_ns = spool.oldest_ns;
		for (int loss = 0; loss < SPOOL_LOSSES; loss++) {
			s.spool_lost_lines += spool.lost[loss].lines;
			s.spool_lost_bytes += spool.lost[loss].bytes;
		}
		s.spool_problem = spool__problem(c->d->opts.spool);
	}
	*ret = s;
}
