/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool's files: a directory, in it one for each client, in that its segments and a cursor. No
 * thread and no callback: whoever calls waits for the disk. spool.c calls it from its thread.
 */
#ifndef NOTAIL_SPOOL_STORE_H
#define NOTAIL_SPOOL_STORE_H

#include "spool/format.h"
#include "spool/io.h"

struct store;
struct store_queue;
struct segment;

struct store_opts {
	const char *directory; /* copied */
	uint64_t max_bytes, segment_bytes;
	enum spool_fsync fsync;
	const struct spool_io *io;
	/* Syncs a file in a while, or at once: 0, or -errno, which store__sync_failed may say
	 * later. NULL: io->fdatasync. */
	int (*sync)(void *ctx, int fd);
	void *ctx;
};

/* A record in memory. `record` and what it points to belong to it. */
struct item {
	struct spool_record record;
	uint64_t first_id;
	size_t memory_bytes;
	/* The store's. */
	struct segment *segment; /* NULL: its file is gone */
	struct item *prev, *next;
	/* Its user's. */
	struct item *queue_next;
	char data[];
};

/* Of a queue, and longer than a store_queue, which a directory that comes back makes anew. Zeroed.
 */
struct store_memory {
	struct spool_queue_stats stats; /* failed_appends and memory_bytes are not counted here */
	uint64_t next_id;
	uint64_t last_id;	    /* that was written; failed appends leave gaps */
	struct item *outs;	    /* returned and not consumed, ascending */
	struct spool_count orphans; /* of outs without a file */
	struct spool_count closed;  /* what the last store held of it */
};

/* Text for people in `why`. -EBUSY: another process has it; -EPERM: not to be trusted; -errno. */
int store__open(struct store **ret, const struct store_opts *opts, char *why, size_t size);
/* After its queues. NULL is fine. */
void store__close(struct store *s);
/* false: its directory is not there any more. */
bool store__is_there(const struct store *s);
/* The cursors and, with `sync`, what fsync says. Once a second. 0, or the first -errno. */
int store__tick(struct store *s, bool sync);
/* opts.sync could not: what is written from now on goes to other files. */
void store__sync_failed(struct store *s, int err);
void store__stats(const struct store *s, struct spool_stats *ret);

/* `memory` outlives it. The streams of what is held are added to `streams`. */
int store_queue__open(struct store_queue **ret, struct store *s, const char *key,
		      struct store_memory *memory, struct stream_map *streams);
/* Items that are out stay their users', with what is counted of them. NULL is fine. */
void store_queue__close(struct store_queue *q);
/* `id`: memory->next_id or more. 0; -EFBIG; -ENOBUFS: there is no
 * room, and nothing that could be dropped; -ENOMEM; other -errno of the disk: it is not held. */
int store_queue__append(struct store_queue *q, const struct spool_record *r, uint64_t id);
/* -ENODATA: all was returned; -ENOMEM. What cannot be read is counted and passed over. */
int store_queue__read(struct store_queue *q, struct item **ret);
/* Frees the item. `q` NULL: there is no store at present. */
void store_queue__consumed(struct store_queue *q, struct store_memory *memory, struct item *item);
/* memory->stats with what is held. `q` NULL: there is no store at present. */
void store_queue__stats(const struct store_queue *q, const struct store_memory *memory,
			struct spool_queue_stats *ret);
/* Its directory is not there any more. */
bool store_queue__is_there(const struct store_queue *q);
/* All below is consumed. */
uint64_t store_queue__low(const struct store_queue *q);

#endif
