/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed payloads on disk: what a client has not taken yet waits here, in order, until it does,
 * over restarts too. A directory has one owner at a time; each client has a queue of segment files
 * in it, which one thread writes and reads. When all that is held passes `max_bytes`, the oldest
 * segment of the queue that has most goes, is counted, and a gap record takes its place.
 *
 * All functions are for the loop's thread, callbacks come on it, and none waits for the disk but
 * spool__new (the directory alone) and spool__free. What cannot be written stays the caller's.
 */
#ifndef NOTAIL_SPOOL_SPOOL_H
#define NOTAIL_SPOOL_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct spool;
struct spool_queue;
struct spool_io;

/* When what was written is made to survive the machine; what was written survives the process. */
enum spool_fsync {
	SPOOL_FSYNC_INTERVAL, /* each second, and each segment when it is full */
	SPOOL_FSYNC_SEGMENT,  /* each segment when it is full */
	SPOOL_FSYNC_NONE,
};

#define SPOOL_DEFAULT_DIRECTORY "/var/lib/notail/spool"
#define SPOOL_DEFAULT_BYTES (1ull << 30)
#define SPOOL_DEFAULT_SEGMENT_BYTES (16ull << 20)
#define SPOOL_MIN_BYTES (1ull << 20)
#define SPOOL_MIN_SEGMENT_BYTES (64ull << 10)

struct spool_opts {
	const char *directory;	/* made when it is not there; copied */
	uint64_t max_bytes;	/* of all files; 0: the default */
	uint64_t segment_bytes; /* 0: the default; never over 1/16 of max_bytes */
	enum spool_fsync fsync;
	unsigned read_ahead;	   /* records read before they are asked for; 0: 2 */
	uint64_t min_backoff_ns;   /* after a failure; 0: 1 s */
	uint64_t max_backoff_ns;   /* 0: 1 min */
	const struct spool_io *io; /* NULL: system calls; see spool/io.h */
};

enum spool_state {
	SPOOL_LOADING, /* what is there is being counted */
	SPOOL_READY,
	SPOOL_FAILED, /* see spool__problem; it is tried again */
};

/* Why records that were held are gone. */
enum spool_loss {
	SPOOL_LOSS_FULL,
	SPOOL_LOSS_CORRUPT, /* damaged; where the damage hides how many, only its files are counted
			     */
	SPOOL_LOSS_REMOVED, /* somebody took the file away */
	SPOOL_LOSSES,
};

/* A sealed payload and what is to be known without opening it. */
struct spool_record {
	const char *payload;
	size_t len;
	const char *tenant; /* NULL: the client's */
	uint64_t sequence;  /* the batch's; not interpreted */
	uint64_t lines, log_bytes, raw_bytes;
	uint64_t oldest_ns, newest_ns; /* times of its lines, Unix; 0: not known */
	const uint64_t *streams;       /* hashes of its streams' labels */
	size_t n_streams;

	/* Of those that spool_queue__next returns. */
	uint64_t id; /* counts up within the queue, over restarts; gaps in it mean nothing */
	bool gap;    /* made here in place of what was dropped: its lines say how much that was */
};

struct spool_queue_ops {
	/* spool_queue__state is another. NULL: not of interest. */
	void (*changed)(void *ctx);
	/* spool_queue__next has something, after it had nothing. */
	void (*ready)(void *ctx);
};

/* 0: written; or -errno, and the record is in memory only. */
typedef void (*spool_done_fn)(void *ctx, int err);

/*
 * A directory that cannot be used (not ours, a symlink, open to others' writes, held by another
 * process, an error) is no failure: it is said once, queues are SPOOL_FAILED, and it is tried
 * again. `loop` must outlive it. 0, -ENOMEM, or -errno of the thread.
 */
int spool__new(struct spool **ret, struct loop *loop, const struct spool_opts *opts);
/* After its queues. Appends that are under way end; the cursors are written. At most some seconds.
 * NULL is fine. */
void spool__free(struct spool *s);
/* Why it cannot be used at present, NULL: it can. Valid until the loop goes on. */
const char *spool__problem(struct spool *s);

struct spool_stats {
	uint64_t bytes;				  /* of all files, those below among them */
	uint64_t corrupt_files, corrupt_bytes;	  /* moved aside and still there */
	uint64_t corrupt_found;			  /* since the start */
	uint64_t leftover_queues, leftover_bytes; /* of clients that have no queue now */
	uint64_t errors;			  /* since the start */
	char last_error[160];			  /* empty: none yet */
};

void spool__stats(struct spool *s, struct spool_stats *ret);

/*
 * `key` names the client for as long as its backlog shall find it again: no secrets, for a file in
 * the directory says it. -EEXIST: there is one of that key. -ENOMEM. At first it is SPOOL_LOADING.
 */
int spool_queue__new(struct spool_queue **ret, struct spool *s, const char *key,
		     const struct spool_queue_ops *ops, void *ctx);
/*
 * No callback comes any more; appends that have not been written are given back with -ECANCELED
 * from here. What is written stays. Records from spool_queue__next have gone back before.
 * NULL is fine.
 */
void spool_queue__free(struct spool_queue *q);
enum spool_state spool_queue__state(const struct spool_queue *q);

/*
 * Written in the order of the calls. The record and what it points to are borrowed until `done`,
 * which never comes from within the call. -EAGAIN: SPOOL_LOADING; -errno: SPOOL_FAILED, and the
 * time to try again has not come; -EFBIG: more than a record may have; -EINVAL; -ENOMEM: and there
 * will be no `done`.
 */
int spool_queue__append(struct spool_queue *q, const struct spool_record *r, spool_done_fn done,
			void *ctx);

/*
 * The oldest record that was not returned yet; NULL: none, or none has been read so far: `ready`
 * says when. It must come back by one of the other two.
 */
struct spool_record *spool_queue__next(struct spool_queue *q);
/* It is safe elsewhere: its place may be used again. Any order. */
void spool_queue__consumed(struct spool_queue *q, struct spool_record *r);
/* Not delivered: it is the next again, in its order. */
void spool_queue__put_back(struct spool_queue *q, struct spool_record *r);

/* Nothing is held or being appended. */
bool spool_queue__empty(const struct spool_queue *q);
/* A record that is held, or being appended, has the stream; at worst a little longer than so. */
bool spool_queue__has_stream(const struct spool_queue *q, uint64_t hash);
/* How many have one, and the hashes of all in *ret (to free; NULL for none). -ENOMEM. */
int spool_queue__streams(struct spool_queue *q, uint64_t **ret, size_t *ret_n);
/* Changes when the answers of the two above may have. */
uint64_t spool_queue__streams_version(const struct spool_queue *q);

struct spool_count {
	uint64_t batches, lines, bytes; /* bytes of payload */
};

/* written = consumed + lost + held, for what this process wrote or found; gap records are only in
 * `gaps` and `held_gaps`. */
struct spool_queue_stats {
	uint64_t file_bytes;
	struct spool_count found; /* at the start */
	struct spool_count written;
	struct spool_count consumed;
	struct spool_count lost[SPOOL_LOSSES];
	struct spool_count held;
	struct spool_count gaps; /* made */
	struct spool_count held_gaps;
	uint64_t failed_appends;
	uint64_t oldest_ns;    /* of the lines that are held, Unix; 0: none */
	uint64_t memory_bytes; /* of records that were read ahead or are out */
};

void spool_queue__stats(struct spool_queue *q, struct spool_queue_stats *ret);

#endif
