/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of a lane, the first WINDOW items are looked at, in their order, each with all that are in front
 * of it: what is behind them waits a little longer than it would have to. Held items do not count:
 * they may be many, and are all of a few streams.
 *
 * Of those that may go, the one with the fewest failures goes: in a lane that fails, one request at
 * a time is under way, and one that never gets through must not be the only one that is tried.
 */
#include "sink/loki_queue.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#define WINDOW 32

static bool same_tenant(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void loki_lane__free(struct loki_queue *q, struct loki_lane *lane)
{
	DL_DELETE(q->lanes, lane);
	free(lane->tenant);
	free(lane);
}

static struct loki_lane *find_lane(struct loki_queue *q, const char *tenant)
{
	struct loki_lane *lane;

	DL_FOREACH (q->lanes, lane)
		if (same_tenant(lane->tenant, tenant))
			return lane;
	lane = calloc(1, sizeof(*lane));
	if (!lane)
		return NULL;
	if (tenant) {
		lane->tenant = strdup(tenant);
		if (!lane->tenant) {
			free(lane);
			return NULL;
		}
	}
	backoff__init(&lane->pause.backoff, q->min_backoff_ns, q->max_backoff_ns, q->seed++);
	DL_APPEND(q->lanes, lane);
	return lane;
}

static struct loki_item *new_item(struct loki_queue *q, struct loki_origin *origin,
				  struct loki_lane *lane)
{
	struct loki_item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	item->queue = q;
	item->origin = origin;
	item->lane = lane;
	backoff__init(&item->pause.backoff, q->min_backoff_ns, q->max_backoff_ns, q->seed++);
	origin->items++;
	return item;
}

int loki_queue__push(struct loki_queue *q, struct batch *b)
{
	struct loki_origin *origin = calloc(1, sizeof(*origin));
	struct loki_lane *lane = find_lane(q, b->tenant);
	struct loki_item *item = origin && lane ? new_item(q, origin, lane) : NULL;

	if (!item) {
		if (lane && !lane->items)
			loki_lane__free(q, lane);
		free(origin);
		return -ENOMEM;
	}
	origin->batch = b;
	origin->bytes = sizeof(*b) + MAX(b->payload.size, b->payload.len);
	DL_APPEND(lane->items, item);
	atomic_fetch_add_explicit(&q->bytes, origin->bytes, memory_order_relaxed);
	return 0;
}

const struct buf *loki_item__payload(const struct loki_item *item)
{
	return item->own.sealed.lines ? &item->own.sealed.payload : &item->origin->batch->payload;
}

size_t loki_item__lines(const struct loki_item *item)
{
	return item->own.sealed.lines ? item->own.sealed.lines : item->origin->batch->lines;
}

size_t loki_item__raw_bytes(const struct loki_item *item)
{
	return item->own.sealed.lines ? item->own.sealed.raw_bytes : item->origin->batch->raw_bytes;
}

const uint64_t *loki_item__streams(const struct loki_item *item, size_t *ret_n)
{
	*ret_n = item->own.sealed.lines ? item->own.n_streams : item->origin->batch->n_streams;
	return item->own.sealed.lines ? item->own.streams : item->origin->batch->streams;
}

static bool in_each_others_way(const struct loki_item *a, const struct loki_item *b)
{
	struct batch x = {0}, y = {0};

	x.streams = (uint64_t *)loki_item__streams(a, &x.n_streams);
	y.streams = (uint64_t *)loki_item__streams(b, &y.n_streams);
	return batch__shares_stream(&x, &y);
}

/* The first one in front of it that it has to wait for; one that is held only where no other is. */
static const struct loki_item *blocker(const struct loki_item *item)
{
	const struct loki_item *held = NULL;

	for (const struct loki_item *e = item->lane->items; e != item; e = e->next) {
		if ((e->held && held) || !in_each_others_way(e, item))
			continue;
		if (!e->held)
			return e;
		held = e;
	}
	return held;
}

static struct loki_item *loki_lane__next(const struct loki_lane *lane, uint64_t now_ns,
					 const struct loki_item **ret_behind, uint64_t *until_ns)
{
	struct loki_item *item, *best = NULL;
	size_t seen = 0, streams;

	DL_FOREACH (lane->items, item) {
		const struct loki_item *in_front;

		if (!item->held && seen++ == WINDOW)
			break;
		if (item->in_flight || (best && item->tries >= best->tries))
			continue;
		if (item->pause.until_ns > now_ns) {
			*until_ns = MIN(*until_ns, item->pause.until_ns);
			continue;
		}
		in_front = blocker(item);
		if (!in_front) {
			best = item;
			continue;
		}
		loki_item__streams(item, &streams);
		if (!in_front->held || item->held || best || streams == 0)
			continue;
		*ret_behind = in_front;
		return item;
	}
	return best;
}

struct loki_item *loki_queue__next(struct loki_queue *q, uint64_t now_ns,
				   const struct loki_item **ret_behind, uint64_t *ret_until_ns)
{
	struct loki_lane *lane;

	*ret_behind = NULL;
	*ret_until_ns = UINT64_MAX;
	DL_FOREACH (q->lanes, lane) {
		struct loki_item *item;

		if (lane->pause.until_ns > now_ns) {
			*ret_until_ns = MIN(*ret_until_ns, lane->pause.until_ns);
			continue;
		}
		if (lane->pause.failures && lane->in_flight)
			continue;
		item = loki_lane__next(lane, now_ns, ret_behind, ret_until_ns);
		if (!item)
			continue;
		/* The others' turn comes first then. */
		DL_DELETE(q->lanes, lane);
		DL_APPEND(q->lanes, lane);
		return item;
	}
	return NULL;
}

void loki_item__started(struct loki_item *item, uint64_t now_ns)
{
	item->in_flight = true;
	item->sent_ns = now_ns;
	item->lane->in_flight++;
	item->queue->in_flight++;
}

void loki_item__landed(struct loki_item *item)
{
	item->request = NULL;
	item->in_flight = false;
	item->lane->in_flight--;
	item->queue->in_flight--;
}

/* What an origin holds in memory besides the batch. */
static void set_own(struct loki_item *item, struct loki_part *part)
{
	size_t before = item->own.sealed.payload.size, after = part->sealed.payload.size;

	loki_part__free(&item->own);
	item->own = *part;
	*part = (struct loki_part){0};
	atomic_fetch_sub_explicit(&item->queue->bytes, before, memory_order_relaxed);
	atomic_fetch_add_explicit(&item->queue->bytes, after, memory_order_relaxed);
}

void loki_item__become(struct loki_item *item, struct loki_part *part)
{
	set_own(item, part);
}

int loki_item__divide(struct loki_item *item, struct loki_part *first, struct loki_part *second)
{
	struct loki_item *other = new_item(item->queue, item->origin, item->lane);

	if (!other)
		return -ENOMEM;
	set_own(item, first);
	set_own(other, second);
	item->tries = item->suspicions = 0;
	loki_pause__end(&item->pause);
	other->retries = item->retries;
	other->passes = item->passes;
	other->repairs = item->repairs;
	DL_APPEND_ELEM(item->lane->items, item, other);
	return 0;
}

struct batch *loki_item__end(struct loki_item *item, struct loki_origin *ret_origin)
{
	struct loki_part none = {0};
	struct loki_origin *origin = item->origin;
	struct loki_lane *lane = item->lane;
	struct loki_queue *q = item->queue;

	set_own(item, &none);
	DL_DELETE(lane->items, item);
	free(item);
	if (!lane->items)
		loki_lane__free(q, lane);
	*ret_origin = *origin;
	if (--origin->items)
		return NULL;
	atomic_fetch_sub_explicit(&q->bytes, origin->bytes, memory_order_relaxed);
	free(origin);
	return ret_origin->batch;
}

void loki_pause__fail(struct loki_pause *p, uint64_t sent_ns, uint64_t now_ns,
		      int64_t retry_after_ns)
{
	uint64_t delay_ns;

	p->failures++;
	if (p->failed_ns > sent_ns && p->until_ns > now_ns)
		return;
	delay_ns = backoff__next(&p->backoff);
	if (retry_after_ns >= 0)
		delay_ns = MIN((uint64_t)retry_after_ns, p->backoff.max_ns);
	p->failed_ns = now_ns;
	p->until_ns = now_ns + delay_ns;
}

void loki_pause__end(struct loki_pause *p)
{
	p->failures = 0;
	p->until_ns = 0;
	backoff__reset(&p->backoff);
}
