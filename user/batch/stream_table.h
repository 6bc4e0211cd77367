/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batcher keeps of each label set that it sees lines of: the encoded bytes that are the same
 * for all of them. Bounded by use: stream_table__sweep drops what had no line for a while.
 *
 * Streams with equal labels (a service's replicas, a container started again) differ in their
 * metadata, and are one stream to Loki: they share a group.
 */
#ifndef NOTAIL_BATCH_STREAM_TABLE_H
#define NOTAIL_BATCH_STREAM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/line.h"
#include "process/labels.h"

struct group {
	struct buf head;      /* the encoder's, empty at first: the encoded labels */
	uint64_t labels_hash; /* the encoder's: request__labels_hash of them */
	uint64_t newest_ns;   /* the batcher's: of all its lines so far, Unix; 0: none */
	/* Of the open batch; the encoder's, zeroed at first. */
	size_t bytes; /* of its entries */
	struct group *next;
	char *end; /* while sealing: of what there is of them in the request */
	/* The table's. */
	struct label_set *set; /* a reference: one of those with its labels */
	struct group *chain;
	unsigned refs; /* streams of it */
};

/* In the order of use, from a cache line's begin: many streams are in no cache when a line comes.
 */
struct stream {
	struct group *group;
	/* The encoder's: `fixed` bytes, the same for all lines; behind them those that name the
	 * writer. */
	struct buf encoded;
	uint32_t pid, tid;
	char comm[LINE_COMM_LEN];
	struct line_trace trace;
	bool used; /* since the last sweep */
	size_t fixed;
	struct label_set *set; /* a reference */
};

struct stream_table;

int stream_table__new(struct stream_table **ret);
void stream_table__free(struct stream_table *t);
/* NULL: not there. */
struct stream *stream_table__find(struct stream_table *t, const struct label_set *set);
/* One that is not there yet. Takes a reference of the set. -ENOMEM. */
int stream_table__add(struct stream_table *t, struct label_set *set, struct stream **ret);
/* Takes back what stream_table__add did. */
void stream_table__remove(struct stream_table *t, struct stream *s);
/* By half since the last sweep, and some more: sets that change leave those that they were. */
bool stream_table__has_grown(const struct stream_table *t);
/* Drops the streams that were not used since the last sweep. */
void stream_table__sweep(struct stream_table *t);

#endif
