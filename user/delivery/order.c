/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream's lines stay in order: where older ones wait, newer ones wait behind them. The capture
 * thread is told which streams those are, at most every PUBLISH_NS, for each change seals what is
 * open. Until it knows, and where two streams share a batch, a batch waits when one of its streams
 * has to: the check for each batch is what keeps the order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/internal.h"

#define PUBLISH_NS (500 * NS_PER_MS)
#define BACKLOG_MAX 65536
/* Loki refuses what is more than an hour behind its stream's newest. */
#define LIVE_FIRST_NS (45 * 60 * NS_PER_SEC)

bool client__spool_is(const struct delivery_client *c, enum spool_state state)
{
	return c->spool && spool_queue__state(c->spool) == state;
}

/* Of a spool that cannot be read nothing is waited for. */
bool client__has_backlog(const struct delivery_client *c)
{
	return c->behind.first || c->peeked || client__spool_is(c, SPOOL_LOADING) ||
	       (client__spool_is(c, SPOOL_READY) && !spool_queue__empty(c->spool));
}

static uint64_t oldest_ns(const struct delivery_client *c)
{
	struct spool_queue_stats stats = {0};
	uint64_t oldest = c->behind.first ? c->behind.first->batch->oldest_ns : 0;

	if (c->spool)
		spool_queue__stats(c->spool, &stats);
	return stats.oldest_ns ? stats.oldest_ns : oldest;
}

/* Newer lines wait for older ones. */
static bool in_order(const struct delivery_client *c)
{
	uint64_t oldest = 0;

	if (c->d->opts.order == DELIVERY_LIVE_FIRST)
		oldest = oldest_ns(c);
	return c->d->opts.order == DELIVERY_OLDEST_FIRST ||
	       (oldest && oldest + LIVE_FIRST_NS < delivery__real_ns(c->d));
}

bool client__is_backlogged(const struct delivery_client *c, const struct batch *b)
{
	bool spooled = c->spool && !client__spool_is(c, SPOOL_FAILED);

	if (!client__has_backlog(c))
		return false;
	if (client__spool_is(c, SPOOL_LOADING))
		return true;
	if (!in_order(c))
		return false;
	for (size_t i = 0; i < b->n_streams; i++)
		if (noted__has(c->streams, b->streams[i]) ||
		    (spooled && spool_queue__has_stream(c->spool, b->streams[i])))
			return true;
	return !b->n_streams;
}

void client__reconsider(struct delivery_client *c)
{
	struct item *all = TAKE_PTR(c->behind.first), *i, *next;

	c->behind = (struct items){0};
	noted__free(&c->streams);
	c->version++;
	DL_FOREACH_SAFE (all, i, next) {
		i->list = NULL;
		if (i->writing || client__is_backlogged(c, i->batch))
			item__to_behind(i);
		else
			items__append(&c->live, i);
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int add_streams(const struct delivery_client *c, struct backlog **b)
{
	size_t n = HASH_COUNT(c->streams), n_spooled = 0;
	_free_ uint64_t *spooled = NULL;
	struct backlog *bigger;
	struct noted *s;

	if (client__spool_is(c, SPOOL_READY) &&
	    spool_queue__streams(c->spool, &spooled, &n_spooled))
		return -ENOMEM;
	bigger = realloc(*b, sizeof(**b) + ((*b)->n + n + n_spooled) * sizeof((*b)->streams[0]));
	if (!bigger)
		return -ENOMEM;
	*b = bigger;
	if (n_spooled)
		memcpy(bigger->streams + bigger->n, spooled, n_spooled * sizeof(*spooled));
	bigger->n += n_spooled;
	for (s = c->streams; s; s = s->hh.next)
		bigger->streams[bigger->n++] = s->key;
	return 0;
}

/* NULL: no memory. */
static struct backlog *gather(const struct delivery *d)
{
	struct backlog *b = calloc(1, sizeof(*b));
	struct delivery_client *c;
	size_t n = 0;
	int err = b ? 0 : -ENOMEM;

	LL_FOREACH(d->clients, c)
	{
		if (!err && in_order(c))
			err = add_streams(c, &b);
	}
	if (err) {
		free(b);
		return NULL;
	}
	qsort(b->streams, b->n, sizeof(b->streams[0]), by_value);
	for (size_t i = 0; i < b->n; i++)
		if (!i || b->streams[i] != b->streams[i - 1])
			b->streams[n++] = b->streams[i];
	b->all = n > BACKLOG_MAX;
	b->n = b->all ? 0 : n;
	return b;
}

static bool is_same(const struct backlog *a, const struct backlog *b)
{
	return a->all == b->all && a->n == b->n &&
	       !memcmp(a->streams, b->streams, a->n * sizeof(a->streams[0]));
}

static struct backlog *copy(const struct backlog *b)
{
	struct backlog *copied = malloc(sizeof(*b) + b->n * sizeof(b->streams[0]));

	if (copied)
		memcpy(copied, b, sizeof(*b) + b->n * sizeof(b->streams[0]));
	return copied;
}

static void tell(struct delivery *d, struct backlog *b)
{
	struct backlog *theirs = NULL;

	if (d->backlog ? b && is_same(d->backlog, b) : !b) {
		free(b);
		return;
	}
	if (b)
		theirs = copy(b);
	if (b && !theirs)
		log_debug("delivery: no memory to say which streams wait");
	free(d->backlog);
	d->backlog = b;
	d->opts.ops->backlog(d->opts.ctx, theirs);
}

uint64_t delivery__publish(struct delivery *d, uint64_t now_ns)
{
	uint64_t version = 1;
	struct delivery_client *c;
	struct backlog *b;
	bool any = false;

	if (d->opts.order == DELIVERY_BACKFILL)
		return UINT64_MAX;
	LL_FOREACH(d->clients, c)
	{
		any = any || (client__has_backlog(c) && in_order(c));
		version += c->version + c->state;
		version += c->spool ? spool_queue__streams_version(c->spool) : 0;
	}
	if (version == d->published && any == !!d->backlog)
		return UINT64_MAX;
	if (d->published_ns && now_ns < d->published_ns + PUBLISH_NS)
		return d->published_ns + PUBLISH_NS;
	d->published = version;
	d->published_ns = now_ns;
	if (!any) {
		tell(d, NULL);
		return UINT64_MAX;
	}
	b = gather(d);
	if (b)
		tell(d, b);
	return UINT64_MAX;
}
