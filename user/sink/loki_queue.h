/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits for a Loki or is under way, and which request may go next. An item is one request: a
 * batch as it was sealed, or a part of one. Items of a tenant are in a lane, in the order of their
 * lines. One may go while others are under way or wait for another try only if no item in front of
 * it has a stream in common with it: so a stream stays in order, and only that.
 */
#ifndef NOTAIL_SINK_LOKI_QUEUE_H
#define NOTAIL_SINK_LOKI_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/batch.h"
#include "io/backoff.h"
#include "sink/loki_repair.h"

#define LOKI_PROBLEM_LEN 400

struct http_request;

/* A batch, until all of its items have ended. */
struct loki_origin {
	struct batch *batch;
	size_t items;
	size_t dropped; /* lines */
	bool changed;	/* some line was cut or dropped */
	unsigned refusals;
	size_t bytes; /* of memory */
};

/* Tries that failed one after the other, and the pause that follows. */
struct loki_pause {
	unsigned failures;
	uint64_t failed_ns; /* CLOCK_BOOTTIME, as all times here */
	uint64_t until_ns;
	struct backoff backoff;
};

/* A tenant's. */
struct loki_lane {
	char *tenant; /* NULL: the client's */
	struct loki_item *items;
	size_t in_flight;
	uint64_t passes; /* requests that got through */
	struct loki_pause pause;
	char problem[LOKI_PROBLEM_LEN]; /* of the last try; empty: none */
	struct loki_lane *prev, *next;
};

struct loki_item {
	struct loki_queue *queue;
	struct loki_origin *origin;
	struct loki_lane *lane;
	struct loki_part own;	      /* lines 0: the batch itself */
	struct http_request *request; /* NULL: not under way */
	bool in_flight;
	bool held; /* a stream that Loki slows down: others are taken out of its way */
	struct loki_pause pause;
	uint64_t sent_ns;
	unsigned tries;	       /* failed, since it is what it is */
	unsigned retries;      /* failed, since it was a batch */
	unsigned suspicions;   /* it failed while others got through */
	uint64_t passes;       /* of the lane, when it failed last */
	uint64_t suspected_ns; /* since when; 0: never */
	unsigned token;	       /* which one it was sent with */
	unsigned repairs;
	struct loki_item *prev, *next;
};

struct loki_queue {
	void *ctx; /* the owner's */
	struct loki_lane *lanes;
	size_t in_flight;
	uint64_t min_backoff_ns, max_backoff_ns, seed;
	_Atomic size_t bytes; /* of memory; may be read by any thread */
};

/* -ENOMEM: the batch is still the caller's. */
int loki_queue__push(struct loki_queue *q, struct batch *b);
/*
 * The item that may go at `now_ns`; it is not under way yet. NULL: none, and *ret_until_ns is when
 * there may be one, UINT64_MAX: when another one has ended. *ret_behind is not NULL where the item
 * has to be divided first: what it has of this one's streams waits behind it.
 */
struct loki_item *loki_queue__next(struct loki_queue *q, uint64_t now_ns,
				   const struct loki_item **ret_behind, uint64_t *ret_until_ns);
void loki_item__started(struct loki_item *item, uint64_t now_ns);
void loki_item__landed(struct loki_item *item);
/* Takes the part over in place of what it was. */
void loki_item__become(struct loki_item *item, struct loki_part *part);
/* The same, with another right behind it; both begin anew. -ENOMEM: nothing changed. */
int loki_item__divide(struct loki_item *item, struct loki_part *first, struct loki_part *second);
/* The batch, when it was its last item: the caller's, and *ret_origin is a copy. Else NULL. */
struct batch *loki_item__end(struct loki_item *item, struct loki_origin *ret_origin);

const struct buf *loki_item__payload(const struct loki_item *item);
size_t loki_item__lines(const struct loki_item *item);
size_t loki_item__raw_bytes(const struct loki_item *item);
const uint64_t *loki_item__streams(const struct loki_item *item, size_t *ret_n);

/* Another failure: until when nothing is tried. `retry_after_ns` < 0: as the backoff has it. One
 * that was sent before the last failure adds nothing. */
void loki_pause__fail(struct loki_pause *p, uint64_t sent_ns, uint64_t now_ns,
		      int64_t retry_after_ns);
void loki_pause__end(struct loki_pause *p);

#endif
