/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What spool.c (the loop's side) and worker.c (the thread) share. What lies between them is under
 * one lock, which is never held over a call that may wait for a disk: the thread sleeps on a
 * condition, the loop on an eventfd. A disk that hangs holds the thread alone.
 */
#ifndef NOTAIL_SPOOL_WORKER_H
#define NOTAIL_SPOOL_WORKER_H

#include <pthread.h>

#include "io/backoff.h"
#include "io/loop.h"
#include "spool/store.h"
#include "spool/syncer.h"

#define PROBLEM_MAX 256

struct append {
	struct spool_queue *queue;
	struct spool_record record;
	uint64_t id;
	spool_done_fn done;
	void *ctx;
	int err;
	struct append *prev, *next;
};

struct spool_queue {
	struct spool *spool;
	char *key;
	struct spool_queue_ops ops;
	void *ctx;
	struct spool_queue *prev, *next;

	/* Under the lock. */
	enum spool_state state;
	bool changed, readable; /* to be told */
	bool closing;
	bool closed; /* by the thread, which took it off the list, too */
	bool reads;  /* there may be more to be read */
	int refuses; /* as the append before did, until the loop knows; 0: it does not */
	struct item *ready;
	unsigned n_ready;
	struct item *consumed; /* for the thread */
	struct spool_queue_stats stats;
	struct stream_map found; /* streams that the loop does not know yet */
	uint64_t next_id, low;

	/* The thread's. */
	struct store_queue *store; /* NULL: none at present */
	struct store_memory memory;

	/* The loop's. */
	struct stream_map streams;
	uint64_t n_put; /* how often something was put in them */
	size_t n_appends;
	uint64_t failed_appends;
};

struct spool {
	struct loop *loop;
	struct loop_watch *watch;
	int event_fd;
	struct store_opts opts;
	unsigned read_ahead;
	pthread_t thread;
	bool started;
	struct syncer *syncer; /* the thread's, when that was started */

	pthread_mutex_t lock;
	pthread_cond_t wake;	/* of the thread */
	pthread_cond_t changed; /* a queue is closed */
	struct spool_queue *queues;
	struct append *appends, *done;
	bool stop;
	int err;      /* that appends fail with at present; 0: none */
	int sync_err; /* of the syncer, for the thread; 0: none */
	struct spool_stats stats;
	char problem[PROBLEM_MAX];

	/* The thread's. */
	struct store *store;	   /* NULL: the directory cannot be used at present */
	struct spool_stats before; /* of stores that are closed: what counts up */
	struct backoff backoff;
	uint64_t retry_at_ns, tick_at_ns; /* CLOCK_MONOTONIC */
	bool touched;			  /* since the last tick */
	bool told;			  /* that it fails */
	bool leftovers_told;

	char shown[PROBLEM_MAX]; /* the loop's copy */
};

/* The thread. */
void *worker__run(void *spool);
/* store_opts.sync, and what the syncer says. */
int worker__sync(void *spool, int fd);
void worker__sync_failed(void *spool, int err);

#endif
