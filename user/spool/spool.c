/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop's side: hands appends and consumed records over, calls back, and knows which streams
 * the backlog has. For that the ids are given here: a stream is in the backlog from the call of
 * append on until everything up to its newest record is consumed.
 */
#include "spool/spool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "spool/io.h"
#include "spool/worker.h"

#define READ_AHEAD 2
#define SEGMENTS_MIN 16
#define CLOSE_SECONDS 5
#define PURGE_MIN 1024

static struct timespec in_seconds(time_t seconds, clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_sec += seconds;
	return ts;
}

/* The next append that is done, of `q` alone unless that is NULL. */
static struct append *take_done(struct spool *s, const struct spool_queue *q)
{
	struct append *a;

	pthread_mutex_lock(&s->lock);
	DL_FOREACH (s->done, a)
		if (!q || a->queue == q)
			break;
	if (a)
		DL_DELETE(s->done, a);
	pthread_mutex_unlock(&s->lock);
	return a;
}

static void call_done(struct append *a)
{
	struct spool_queue *q = a->queue;
	spool_done_fn done = a->done;
	void *ctx = a->ctx;
	int err = a->err;

	if (!--q->n_appends) {
		pthread_mutex_lock(&q->spool->lock);
		q->refuses = 0;
		pthread_mutex_unlock(&q->spool->lock);
	}
	q->failed_appends += err != 0;
	free(a);
	done(ctx, err);
}

/* One thing that a queue is to be told; false: nothing. A callback may free any queue. */
static bool call_one(struct spool *s)
{
	void (*fn)(void *ctx) = NULL;
	bool told = false;
	struct spool_queue *q;
	void *ctx = NULL;

	pthread_mutex_lock(&s->lock);
	DL_FOREACH (s->queues, q) {
		if (q->closing || (!q->changed && !q->readable))
			continue;
		fn = q->changed ? q->ops.changed : q->ops.ready;
		ctx = q->ctx;
		told = true;
		if (q->changed)
			q->changed = false;
		else
			q->readable = false;
		break;
	}
	pthread_mutex_unlock(&s->lock);
	if (fn)
		fn(ctx);
	return told;
}

static void on_event(void *ctx, int fd, int what)
{
	struct spool *s = ctx;
	struct append *a;
	eventfd_t count;

	(void)what;
	eventfd_read(fd, &count);
	while ((a = take_done(s, NULL)))
		call_done(a);
	while (call_one(s))
		;
}

static int start(struct spool *s)
{
	sigset_t all, before;
	int err = syncer__new(&s->syncer, s->opts.io, worker__sync_failed, s);

	if (err)
		return err;
	/* Signals are other threads' business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&s->thread, NULL, worker__run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->started = !err;
	if (s->started)
		pthread_setname_np(s->thread, "notail-spool");
	return err;
}

static void take_opts(struct spool *s, const struct spool_opts *opts)
{
	uint64_t max = opts->max_bytes ? opts->max_bytes : SPOOL_DEFAULT_BYTES;
	uint64_t segment = opts->segment_bytes ? opts->segment_bytes : SPOOL_DEFAULT_SEGMENT_BYTES;

	s->opts = (struct store_opts){
		.directory = strdup(opts->directory),
		.max_bytes = max,
		.segment_bytes = MIN(segment, max / SEGMENTS_MIN),
		.fsync = opts->fsync,
		.io = opts->io ? opts->io : &spool_io_system,
		.sync = worker__sync,
		.ctx = s,
	};
	s->read_ahead = opts->read_ahead ? opts->read_ahead : READ_AHEAD;
	backoff__init(&s->backoff, opts->min_backoff_ns ? opts->min_backoff_ns : NS_PER_SEC,
		      opts->max_backoff_ns ? opts->max_backoff_ns : 60 * NS_PER_SEC,
		      clock__boot_ns());
}

int spool__new(struct spool **ret, struct loop *loop, const struct spool_opts *opts)
{
	struct spool *s = calloc(1, sizeof(*s));
	pthread_condattr_t attributes;
	int err;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	take_opts(s, opts);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attributes);
	pthread_cond_init(&s->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = s->event_fd < 0 ? -errno : s->opts.directory ? 0 : -ENOMEM;
	if (!err)
		err = loop__watch(loop, s->event_fd, LOOP_READ, on_event, s, &s->watch);
	if (!err)
		err = start(s);
	if (err) {
		spool__free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void spool__free(struct spool *s)
{
	struct timespec until;

	if (!s)
		return;
	loop_watch__free(s->watch);
	if (s->started) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_signal(&s->wake);
		pthread_mutex_unlock(&s->lock);
		until = in_seconds(CLOSE_SECONDS, CLOCK_REALTIME);
		if (pthread_timedjoin_np(s->thread, NULL, &until)) {
			/* It has what would be freed; the process is about to end. */
			log_warn("spool: %s: the disk does not answer", s->opts.directory);
			return;
		}
	}
	syncer__free(s->syncer);
	close_p(&s->event_fd);
	pthread_cond_destroy(&s->wake);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free((char *)s->opts.directory);
	free(s);
}

const char *spool__problem(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	memcpy(s->shown, s->problem, sizeof(s->shown));
	pthread_mutex_unlock(&s->lock);
	return *s->shown ? s->shown : NULL;
}

void spool__stats(struct spool *s, struct spool_stats *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->stats;
	pthread_mutex_unlock(&s->lock);
}

int spool_queue__new(struct spool_queue **ret, struct spool *s, const char *key,
		     const struct spool_queue_ops *ops, void *ctx)
{
	struct spool_queue *q = calloc(1, sizeof(*q)), *other;
	int err = 0;

	if (q)
		q->key = strdup(key);
	if (!q || !q->key) {
		free(q);
		return -ENOMEM;
	}
	q->spool = s;
	q->ops = *ops;
	q->ctx = ctx;
	pthread_mutex_lock(&s->lock);
	DL_FOREACH (s->queues, other)
		if (!strcmp(other->key, key))
			err = -EEXIST;
	if (!err) {
		q->state = s->err ? SPOOL_FAILED : SPOOL_LOADING;
		DL_APPEND(s->queues, q);
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	if (err) {
		free(q->key);
		free(q);
		return err;
	}
	*ret = q;
	return 0;
}

/* Those that the thread has not begun with. */
static struct append *take_appends(struct spool *s, struct spool_queue *q)
{
	struct append *a, *next, *taken = NULL;

	DL_FOREACH_SAFE (s->appends, a, next) {
		if (a->queue != q)
			continue;
		DL_DELETE(s->appends, a);
		a->err = -ECANCELED;
		DL_APPEND(taken, a);
	}
	return taken;
}

void spool_queue__free(struct spool_queue *q)
{
	struct timespec until = in_seconds(CLOSE_SECONDS, CLOCK_MONOTONIC);
	struct append *a, *next, *cancelled;
	struct spool *s;
	bool closed;

	if (!q)
		return;
	s = q->spool;
	pthread_mutex_lock(&s->lock);
	cancelled = take_appends(s, q);
	q->closing = true;
	pthread_cond_signal(&s->wake);
	while (!q->closed && !pthread_cond_timedwait(&s->changed, &s->lock, &until))
		;
	closed = q->closed;
	pthread_mutex_unlock(&s->lock);
	while ((a = take_done(s, q)))
		call_done(a);
	DL_FOREACH_SAFE (cancelled, a, next)
		call_done(a);
	/* Or the thread has it still, in a call that does not end. */
	if (!closed)
		return;
	stream_map__free(&q->found);
	stream_map__free(&q->streams);
	free(q->key);
	free(q);
}

enum spool_state spool_queue__state(const struct spool_queue *q)
{
	enum spool_state state;

	pthread_mutex_lock(&q->spool->lock);
	state = q->state;
	pthread_mutex_unlock(&q->spool->lock);
	return state;
}

static uint64_t get_low(const struct spool_queue *q)
{
	uint64_t low;

	pthread_mutex_lock(&q->spool->lock);
	low = q->low;
	pthread_mutex_unlock(&q->spool->lock);
	return low;
}

/* What the thread found on disk; with the lock. -ENOMEM: not all of it. */
static int merge_found(struct spool_queue *q)
{
	int err = 0;

	for (size_t i = 0; i < q->found.size && !err; i++)
		if (q->found.entries[i].id)
			err = stream_map__put(&q->streams, q->found.entries[i].hash,
					      q->found.entries[i].id);
	if (q->found.n)
		q->n_put++;
	stream_map__free(&q->found);
	return err;
}

static int note_streams(struct spool_queue *q, const struct spool_record *r, uint64_t id,
			uint64_t low)
{
	int err = 0;

	if (q->streams.n >= PURGE_MIN)
		stream_map__purge(&q->streams, low);
	for (size_t i = 0; i < r->n_streams && !err; i++)
		err = stream_map__put(&q->streams, r->streams[i], id);
	q->n_put++;
	return err;
}

int spool_queue__append(struct spool_queue *q, const struct spool_record *r, spool_done_fn done,
			void *ctx)
{
	struct append *a = calloc(1, sizeof(*a));
	struct spool *s = q->spool;
	int err;

	if (!a)
		return -ENOMEM;
	*a = (struct append){.queue = q, .record = *r, .done = done, .ctx = ctx};
	pthread_mutex_lock(&s->lock);
	err = q->state == SPOOL_READY ? 0 : q->state == SPOOL_FAILED && s->err ? s->err : -EAGAIN;
	if (!err)
		err = merge_found(q);
	if (!err)
		err = note_streams(q, r, q->next_id, q->low);
	if (!err) {
		a->id = q->next_id++;
		DL_APPEND(s->appends, a);
		q->n_appends++;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	if (err) {
		q->failed_appends++;
		free(a);
	}
	return err;
}

struct spool_record *spool_queue__next(struct spool_queue *q)
{
	struct spool *s = q->spool;
	struct item *item;

	pthread_mutex_lock(&s->lock);
	item = q->ready;
	if (item) {
		LL_DELETE2(q->ready, item, queue_next);
		q->n_ready--;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	return item ? &item->record : NULL;
}

/* The record is the first member. */
static struct item *item_of(struct spool_record *r)
{
	return (struct item *)(void *)r;
}

void spool_queue__consumed(struct spool_queue *q, struct spool_record *r)
{
	struct spool *s = q->spool;

	pthread_mutex_lock(&s->lock);
	LL_PREPEND2(q->consumed, item_of(r), queue_next);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

static int by_id(const struct item *a, const struct item *b)
{
	return a->record.id < b->record.id ? -1 : a->record.id > b->record.id;
}

void spool_queue__put_back(struct spool_queue *q, struct spool_record *r)
{
	pthread_mutex_lock(&q->spool->lock);
	LL_INSERT_INORDER2(q->ready, item_of(r), by_id, queue_next);
	q->n_ready++;
	pthread_mutex_unlock(&q->spool->lock);
}

bool spool_queue__empty(const struct spool_queue *q)
{
	struct spool *s = q->spool;
	bool empty;

	pthread_mutex_lock(&s->lock);
	empty = !q->n_appends && !q->stats.held.batches && !q->stats.held_gaps.batches &&
		!q->ready && !q->consumed;
	pthread_mutex_unlock(&s->lock);
	return empty;
}

bool spool_queue__has_stream(const struct spool_queue *q, uint64_t hash)
{
	uint64_t id, found;

	pthread_mutex_lock(&q->spool->lock);
	id = stream_map__get(&q->streams, hash);
	found = stream_map__get(&q->found, hash);
	id = MAX(id, found) >= q->low ? MAX(id, found) : 0;
	pthread_mutex_unlock(&q->spool->lock);
	return id;
}

int spool_queue__streams(struct spool_queue *q, uint64_t **ret, size_t *ret_n)
{
	uint64_t *hashes, low = get_low(q);
	size_t n = 0;
	int err;

	pthread_mutex_lock(&q->spool->lock);
	err = merge_found(q);
	pthread_mutex_unlock(&q->spool->lock);
	if (err)
		return err;
	stream_map__purge(&q->streams, low);
	hashes = reallocarray(NULL, q->streams.n + 1, sizeof(*hashes));
	if (!hashes)
		return -ENOMEM;
	for (size_t i = 0; i < q->streams.size; i++)
		if (q->streams.entries[i].id >= MAX(low, 1u))
			hashes[n++] = q->streams.entries[i].hash;
	if (!n)
		free(TAKE_PTR(hashes));
	*ret = hashes;
	*ret_n = n;
	return 0;
}

uint64_t spool_queue__streams_version(const struct spool_queue *q)
{
	uint64_t version;

	pthread_mutex_lock(&q->spool->lock);
	version = q->n_put + q->low + (q->found.n != 0);
	pthread_mutex_unlock(&q->spool->lock);
	return version;
}

void spool_queue__stats(struct spool_queue *q, struct spool_queue_stats *ret)
{
	pthread_mutex_lock(&q->spool->lock);
	*ret = q->stats;
	pthread_mutex_unlock(&q->spool->lock);
	ret->failed_appends = q->failed_appends;
}
