/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed batches to clients, each at its own pace. A batch is safe for a client when its sink has
 * delivered it, when its receiver refused it, or when it lies in the client's queue of the spool;
 * when it is safe for all clients that it is for, its part of the ring is free (`safe`).
 *
 * A client's batches go to its sink in order, a few at a time for each tenant. What its sink cannot
 * take waits in memory. When that passes the client's share, when the ring needs its room, or at
 * the end, all of it goes to the spool, the oldest first. From then on the client has a backlog:
 * batches with a stream that has older lines there wait behind it, others go live. One that is
 * spooled too has its stream's next lines wait: the ring leaves those under way more time.
 *
 * Without a spool that works what waits is in memory alone. With several clients, or where nothing
 * outlives the process anyway, it does not hold the ring then; and of a client that fails the
 * oldest is dropped, and counted, when it passes its share and there are others.
 *
 * All functions are for the loop's thread.
 */
#ifndef NOTAIL_DELIVERY_DELIVERY_H
#define NOTAIL_DELIVERY_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/batch.h"
#include "delivery/backlog.h"
#include "sink/sink.h"

struct counters;
struct delivery;
struct delivery_client;
struct loop;
struct spool;

enum delivery_order {
	DELIVERY_OLDEST_FIRST,
	DELIVERY_LIVE_FIRST, /* while the backlog is younger than 45 minutes */
	DELIVERY_BACKFILL,   /* live first; the backlog gets the label backfill="true" */
};

struct delivery_ops {
	/* Takes the reference over. */
	void (*safe)(void *ctx, struct batch *b);
	/* Which streams have a backlog, from malloc, taken over; NULL: none. */
	void (*backlog)(void *ctx, struct backlog *b);
};

struct delivery_opts {
	struct loop *loop;
	struct spool *spool; /* NULL: none */
	struct counters *counters;
	_Atomic size_t *memory;	 /* counts what is read back */
	_Atomic size_t *at_risk; /* counts lines that memory alone has: neither ring nor spool */
	size_t max_memory;	 /* 0: 64 MiB */
	size_t n_clients;	 /* that there will be */
	bool durable;		 /* the ring outlives the process; see delivery__durable */
	enum delivery_order order;
	uint64_t drain_rate;	   /* bytes of lines a second, for each client; 0: no bound */
	uint64_t (*boot_ns)(void); /* NULL: the clock's */
	uint64_t (*real_ns)(void);
	const struct delivery_ops *ops;
	void *ctx;
};

struct delivery_client_opts {
	const char *key; /* of its queue in the spool */
	size_t window;	 /* batches that the sink has at a time, of each tenant; 0: 8 */
	/* Takes the reference over, and gives it back by delivery__sent. */
	void (*send)(void *ctx, struct batch *b);
	/* It waits for streams that its receiver slows down, and nothing else does for it. NULL:
	 * none ever does. */
	bool (*held)(void *ctx, const struct batch *b);
	/* The last try did not get through. */
	bool (*failing)(void *ctx);
	void *ctx;
};

/* Everything borrowed in opts must outlive it. */
int delivery__new(struct delivery **ret, const struct delivery_opts *opts);
/*
 * After delivery__close and the sinks, before the spool. What is not safe is counted as
 * undelivered, unless the ring has it. NULL is fine.
 */
void delivery__free(struct delivery *d);
int delivery__add_client(struct delivery *d, const struct delivery_client_opts *opts,
			 struct delivery_client **ret);

/* Takes the reference over; for these clients, at least one. */
void delivery__submit(struct delivery *d, struct batch *b, struct delivery_client *const *clients,
		      size_t n);
/* What became of a batch that the sink had. */
void delivery__sent(struct delivery_client *c, struct batch *b, enum sink_result result);
/* What needs the ring before `pos` should be safe soon; but not what a client sends past a backlog,
 * and gets through with: that is spooled when it needs the ring before what delivery__press says.
 */
void delivery__want(struct delivery *d, uint64_t pos);
void delivery__press(struct delivery *d, uint64_t pos);
/*
 * It ends: clients that fail, or have a backlog, spool what they have and get; the others from
 * `spool_at_ns` (CLOCK_BOOTTIME) on.
 */
void delivery__end(struct delivery *d, uint64_t spool_at_ns);
/* Known once the ring is there. */
void delivery__durable(struct delivery *d, bool durable);
/* Nothing is sent any more: sinks may give back what they have. */
void delivery__close(struct delivery *d);
/* What is due by the clock; a timer of the loop's calls it. */
void delivery__tick(struct delivery *d);

struct delivery_stats {
	uint64_t queued_batches, queued_lines,
		queued_bytes;				  /* in memory, with what is being sent */
	uint64_t oldest_ns;				  /* of their lines, Unix; 0: none */
	uint64_t spool_batches, spool_lines, spool_bytes; /* waiting in the spool */
	uint64_t spool_oldest_ns;			  /* likewise */
	uint64_t spooled_lines;				  /* written to it since the start */
	uint64_t drained_lines;				  /* delivered from it */
	uint64_t dropped_lines;				  /* for want of memory, without a spool */
	uint64_t spool_lost_lines; /* dropped from the spool: full, damaged, removed */
	uint64_t spool_lost_bytes;
	bool backlog;		   /* there is something in the spool, or waiting behind it */
	const char *spool_problem; /* why it is in memory alone; NULL: it is not. Until the loop
				      goes on */
};

void delivery_client__stats(struct delivery_client *c, struct delivery_stats *ret);

#endif
