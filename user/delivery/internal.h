/* SPDX-License-Identifier: Apache-2.0 */
/* Private to this room. */
#ifndef NOTAIL_DELIVERY_INTERNAL_H
#define NOTAIL_DELIVERY_INTERNAL_H

#include <uthash.h>

#include "delivery/delivery.h"
#include "spool/spool.h"

/* A batch of the ring's, until it is safe for all its clients. */
struct parcel {
	struct batch *batch; /* a reference */
	unsigned unsafe;     /* clients */
};

/* A record that is out of the spool, sent as one batch or more. */
struct readback {
	struct spool_record *record;
	size_t parts; /* not delivered yet */
	bool failed;
};

/* A batch in one of a client's lists. */
struct item {
	struct delivery_client *client;
	struct batch *batch;   /* a reference */
	struct parcel *parcel; /* NULL: it is safe */
	struct readback *back; /* NULL: not from the spool */
	size_t bytes;	       /* of memory */
	uint64_t sequence;     /* its name in the spool */
	struct items *list;    /* that it is in; NULL: delivered, and freed when it is written */
	bool writing;	       /* to the spool */
	bool live;	       /* when it was sent */
	bool at_risk;	       /* it is counted as that */
	bool written;	       /* there */
	struct item *prev, *next;
};

/* Something with the sequence was delivered, or a stream has n batches. */
struct noted {
	uint64_t key;
	size_t n;
	UT_hash_handle hh;
};

struct items {
	struct item *first;
	size_t n;
	size_t bytes;
};

struct delivery_client {
	struct delivery *d;
	struct delivery_client_opts opts;
	struct spool_queue *spool; /* NULL: none */
	struct items sending;	   /* the sink has them */
	struct items live;	   /* to be sent, in order; no stream has a backlog */
	struct items behind;	   /* the backlog, behind what is in the spool */
	struct noted *streams;	   /* of `behind` */
	struct noted *delivered;   /* records of the spool that need not be sent */
	struct spool_record *peeked;
	size_t n_out; /* records out of the spool, the peeked one too */
	size_t n_writing;
	uint64_t drain_at_ns;	/* not before, by drain_rate */
	uint64_t version;	/* of `streams` */
	uint64_t due_ns;	/* there is something to do by then */
	uint64_t refused_ns;	/* the spool could not write something then; 0: it could since */
	enum spool_state state; /* that the spool was in */
	bool pumping, again;
	uint64_t spooled_lines, drained_lines, dropped_lines;
	struct delivery_client *next;
};

struct delivery {
	struct delivery_opts opts;
	struct delivery_client *clients;
	struct loop_timer *timer;
	uint64_t sequence;
	uint64_t wanted, pressed; /* positions of the ring */
	uint64_t spool_at_ns;	  /* 0: it does not end */
	uint64_t published_ns;
	uint64_t published;	 /* versions of what was */
	struct backlog *backlog; /* that was; NULL: none */
	bool closed;
};

/* items.c */
void items__append(struct items *l, struct item *i);
void items__remove(struct item *i);
void noted__add(struct noted **table, uint64_t key);
void noted__remove(struct noted **table, uint64_t key);
bool noted__has(struct noted *table, uint64_t key);
void noted__free(struct noted **table);
/* Takes the reference of b over, also on failure. NULL: no memory. */
struct item *item__new(struct delivery_client *c, struct batch *b);
/* In no list any more. */
void item__free(struct item *i);
/* For its client. */
void item__safe(struct item *i);
/* From now on, or no longer, memory alone has it. */
void item__risk(struct item *i, bool at_risk);
/* To its place there: batches that were live may be older than some that wait, with which they
 * share a stream. */
void item__to_behind(struct item *i);
void item__from_behind(struct item *i);

/* delivery.c */
/* Bytes that may wait for one client, and batches: many small ones come of many tenants, or of a
 * long time. */
size_t delivery__share(const struct delivery *d);
size_t delivery__max_items(const struct delivery *d);
uint64_t delivery__boot_ns(const struct delivery *d);
uint64_t delivery__real_ns(const struct delivery *d);
/* Whatever there is to do for it now. */
void client__work(struct delivery_client *c);

/* order.c: which batches wait behind others, and who is told */
bool client__spool_is(const struct delivery_client *c, enum spool_state state);
bool client__has_backlog(const struct delivery_client *c);
bool client__is_backlogged(const struct delivery_client *c, const struct batch *b);
/* The spool's answers are others. */
void client__reconsider(struct delivery_client *c);
/* Returns when to come again. */
uint64_t delivery__publish(struct delivery *d, uint64_t now_ns);

/* relieve.c: to the spool, or what is done without one */
void client__relieve(struct delivery_client *c, uint64_t now_ns);

/* drain.c: to the sink */
/* Returns when to come again. */
uint64_t client__pump(struct delivery_client *c, uint64_t now_ns);
/* The sink has it no more. */
void readback__end(struct item *i, bool delivered);

/*
 * parts.c: a record as batches, the caller's: one; a stream each where they go `apart`; with the
 * label backfill="true". What cannot be read is one as it is. *ret is to free. 0 or -ENOMEM.
 */
int parts__make(const struct spool_record *r, bool apart, bool backfill, struct batch ***ret,
		size_t *ret_n);

#endif
