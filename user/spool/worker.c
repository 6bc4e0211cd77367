/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread: opens what is to be opened, then one append, one read for each queue that wants to be
 * read ahead, once a second what fsync asks for, and so on. A queue is in the loop's hands until
 * the thread says that it is closed, so that one may be used here without the lock. Files are
 * synced by another thread, which appends do not wait for.
 *
 * After a failure appends are refused at once until it is time to try again; then the next one is
 * the try. A directory that is gone is made again.
 */
#include "spool/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/privileges.h"
#include "base/util.h"

#define TICK_NS NS_PER_SEC

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/*
 * With the lock
 */

static void tell(struct spool_queue *q, bool *what)
{
	*what = true;
	eventfd_write(q->spool->event_fd, 1);
}

static void set_state(struct spool_queue *q, enum spool_state state)
{
	if (q->state == state)
		return;
	q->state = state;
	tell(q, &q->changed);
}

/* What the loop sees. */
static void publish(struct spool_queue *q)
{
	uint64_t low = q->store ? store_queue__low(q->store) : q->low;
	struct item *i;

	store_queue__stats(q->store, &q->memory, &q->stats);
	q->stats.memory_bytes = 0;
	DL_FOREACH (q->memory.outs, i)
		q->stats.memory_bytes += i->memory_bytes;
	if (low != q->low) {
		q->low = low;
		tell(q, &q->changed);
	}
}

static void publish_store(struct spool *s)
{
	struct spool_stats *stats = &s->stats;
	char last[sizeof(stats->last_error)];

	memcpy(last, stats->last_error, sizeof(last));
	*stats = (struct spool_stats){0};
	if (s->store)
		store__stats(s->store, stats);
	if (!*stats->last_error)
		memcpy(stats->last_error, last, sizeof(last));
	stats->corrupt_found += s->before.corrupt_found;
	stats->errors += s->before.errors;
}

/*
 * Without
 */

static void close_store(struct spool *s)
{
	struct spool_queue *q;

	/* None leaves the list meanwhile: that takes this thread. */
	pthread_mutex_lock(&s->lock);
	DL_FOREACH (s->queues, q) {
		struct store_queue *store = TAKE_PTR(q->store);

		pthread_mutex_unlock(&s->lock);
		store_queue__close(store);
		pthread_mutex_lock(&s->lock);
		q->reads = false;
		publish(q);
	}
	publish_store(s);
	s->before = s->stats;
	pthread_mutex_unlock(&s->lock);
	store__close(TAKE_PTR(s->store));
}

/* Said when it begins, not each time that it is tried. */
static void fail(struct spool *s, int err, const char *why)
{
	uint64_t delay = backoff__next(&s->backoff);
	struct spool_queue *q;

	s->retry_at_ns = now_ns() + delay;
	pthread_mutex_lock(&s->lock);
	s->err = err;
	snprintf(s->problem, sizeof(s->problem), "%s: %s", s->opts.directory, why);
	DL_FOREACH (s->queues, q)
		set_state(q, SPOOL_FAILED);
	pthread_mutex_unlock(&s->lock);
	if (!s->told)
		log_error("spool: %s; what is not delivered stays in memory, and it is tried again",
			  s->problem);
	s->told = true;
}

static void work_again(struct spool *s)
{
	backoff__reset(&s->backoff);
	s->retry_at_ns = 0;
	pthread_mutex_lock(&s->lock);
	s->err = 0;
	*s->problem = '\0';
	pthread_mutex_unlock(&s->lock);
	if (s->told)
		log_info("spool: %s: works again", s->opts.directory);
	s->told = false;
}

static void open_queue(struct spool *s, struct spool_queue *q)
{
	struct stream_map found = {0};
	int err = store_queue__open(&q->store, s->store, q->key, &q->memory, &found);
	bool merged = false;

	if (err) {
		stream_map__free(&found);
		fail(s, err, strerror(-err));
		return;
	}
	if (s->err)
		work_again(s);
	s->touched = true;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < found.size; i++)
		if (found.entries[i].id)
			merged = stream_map__put(&q->found, found.entries[i].hash,
						 found.entries[i].id) ||
				 merged;
	q->next_id = MAX(q->next_id, q->memory.next_id);
	q->reads = true;
	publish(q);
	set_state(q, SPOOL_READY);
	pthread_mutex_unlock(&s->lock);
	stream_map__free(&found);
	if (merged)
		log_error("spool: no memory for the streams of %s", q->key);
	if (q->stats.found.lines)
		log_info("spool: %llu lines in %s for %s", (unsigned long long)q->stats.found.lines,
			 s->opts.directory, q->key);
}

static void open_store(struct spool *s)
{
	char why[160] = "";
	int err = store__open(&s->store, &s->opts, why, sizeof(why));

	if (err)
		fail(s, err, *why ? why : strerror(-err));
	else if (s->err)
		work_again(s);
}

/* Somebody removed it: what was in it is lost and counted. */
static bool is_gone(struct spool *s)
{
	struct spool_queue *q;
	bool gone = !store__is_there(s->store);

	pthread_mutex_lock(&s->lock);
	DL_FOREACH (s->queues, q) {
		pthread_mutex_unlock(&s->lock);
		gone = gone || (q->store && !store_queue__is_there(q->store));
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return gone;
}

static bool close_if_gone(struct spool *s)
{
	if (!s->store || !is_gone(s))
		return false;
	log_error("spool: %s was removed", s->opts.directory);
	close_store(s);
	return true;
}

static void run_append(struct spool *s, struct append *a)
{
	struct spool_queue *q = a->queue;

	s->touched = true;
	if (!q->store || (s->err && now_ns() < s->retry_at_ns)) {
		a->err = s->err ? s->err : -EAGAIN;
		return;
	}
	a->err = store_queue__append(q->store, &a->record, a->id);
	if (!a->err && s->err)
		work_again(s);
	if (!a->err || a->err == -EFBIG || a->err == -ENOBUFS || a->err == -ENOMEM)
		return;
	if (a->err == -ENOENT && close_if_gone(s)) {
		open_store(s);
		return;
	}
	fail(s, a->err, strerror(-a->err));
}

static void tick(struct spool *s)
{
	bool busy = syncer__busy(s->syncer);
	struct spool_stats stats;
	int err;

	/* What is dirty behind what is being synced has another second. */
	s->touched = busy;
	s->tick_at_ns = now_ns() + TICK_NS;
	if (close_if_gone(s)) {
		open_store(s);
		return;
	}
	err = store__tick(s->store, !busy);
	if (err)
		fail(s, err, strerror(-err));
	store__stats(s->store, &stats);
	if (stats.leftover_bytes && !s->leftovers_told)
		log_warn("spool: %s has %llu bytes for clients that are not configured any more",
			 s->opts.directory, (unsigned long long)stats.leftover_bytes);
	s->leftovers_told = true;
}

int worker__sync(void *spool, int fd)
{
	struct spool *s = spool;

	return syncer__add(s->syncer, fd);
}

void worker__sync_failed(void *spool, int err)
{
	struct spool *s = spool;

	pthread_mutex_lock(&s->lock);
	s->sync_err = err;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

static void read_ahead(struct spool *s, struct spool_queue *q)
{
	struct item *item;
	int err = store_queue__read(q->store, &item);

	s->touched = true;
	pthread_mutex_lock(&s->lock);
	if (err) {
		q->reads = false;
	} else {
		item->queue_next = NULL;
		if (!q->ready)
			tell(q, &q->readable);
		LL_APPEND2(q->ready, item, queue_next);
		q->n_ready++;
	}
	publish(q);
	pthread_mutex_unlock(&s->lock);
	if (err && err != -ENODATA)
		log_warn("spool: %s: cannot read: %s", s->opts.directory, strerror(-err));
}

static void consume(struct spool *s, struct spool_queue *q, struct item *items)
{
	struct item *item, *next;

	s->touched = true;
	LL_FOREACH_SAFE2(items, item, next, queue_next)
	store_queue__consumed(q->store, &q->memory, item);
	pthread_mutex_lock(&s->lock);
	publish(q);
	pthread_mutex_unlock(&s->lock);
}

static void close_queue(struct spool *s, struct spool_queue *q)
{
	struct item *item, *next;

	/* What is out is not consumed, so that the cursor stays before it. */
	store_queue__close(TAKE_PTR(q->store));
	DL_FOREACH_SAFE (q->memory.outs, item, next)
		free(item);
	q->memory.outs = NULL;
	pthread_mutex_lock(&s->lock);
	q->ready = NULL;
	q->closed = true;
	DL_DELETE(s->queues, q);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Anything that one queue wants; the lock is held before and after. */
static bool serve_queue(struct spool *s, struct spool_queue *q)
{
	struct item *consumed = TAKE_PTR(q->consumed);
	bool closes = q->closing && !q->closed;
	bool opens = s->store && !q->store && !q->closing && !(s->err && s->retry_at_ns);
	bool reads = q->store && q->reads && q->n_ready < s->read_ahead && !q->closing;

	if (!consumed && !closes && !opens && !reads)
		return false;
	pthread_mutex_unlock(&s->lock);
	if (consumed)
		consume(s, q, consumed);
	if (opens)
		open_queue(s, q);
	if (reads)
		read_ahead(s, q);
	if (closes)
		close_queue(s, q);
	pthread_mutex_lock(&s->lock);
	return true;
}

static bool serve_queues(struct spool *s)
{
	struct spool_queue *q, *next;
	bool served = false;

	DL_FOREACH_SAFE (s->queues, q, next)
		served = serve_queue(s, q) || served;
	return served;
}

static bool serve_append(struct spool *s)
{
	struct append *a = s->appends;
	struct spool_queue *q;

	if (!a)
		return false;
	DL_DELETE(s->appends, a);
	a->err = a->queue->refuses;
	pthread_mutex_unlock(&s->lock);
	if (!a->err)
		run_append(s, a);
	pthread_mutex_lock(&s->lock);
	/* A smaller one behind it would find room, and a place before it. */
	if (a->err != -EFBIG)
		a->queue->refuses = a->err;
	if (!a->err && a->queue->store)
		a->queue->reads = true;
	/* Others may have given way. */
	DL_FOREACH (s->queues, q)
		publish(q);
	publish_store(s);
	DL_APPEND(s->done, a);
	eventfd_write(s->event_fd, 1);
	return true;
}

static bool serve_sync_failure(struct spool *s)
{
	int err = s->sync_err;

	if (!err)
		return false;
	s->sync_err = 0;
	pthread_mutex_unlock(&s->lock);
	if (s->store)
		store__sync_failed(s->store, err);
	fail(s, err, strerror(-err));
	pthread_mutex_lock(&s->lock);
	publish_store(s);
	return true;
}

/* It is time to try again: the next append does. */
static void retry(struct spool *s)
{
	struct spool_queue *q;

	s->retry_at_ns = 0;
	if (!s->store) {
		pthread_mutex_unlock(&s->lock);
		open_store(s);
		pthread_mutex_lock(&s->lock);
		return;
	}
	DL_FOREACH (s->queues, q)
		if (q->store)
			set_state(q, SPOOL_READY);
}

static void wait(struct spool *s)
{
	uint64_t until = s->retry_at_ns;
	struct timespec ts;

	if (s->store && s->touched && (!until || s->tick_at_ns < until))
		until = s->tick_at_ns;
	if (!until) {
		pthread_cond_wait(&s->wake, &s->lock);
		return;
	}
	ts.tv_sec = (time_t)(until / NS_PER_SEC);
	ts.tv_nsec = (long)(until % NS_PER_SEC);
	pthread_cond_timedwait(&s->wake, &s->lock, &ts);
}

void *worker__run(void *spool)
{
	struct spool *s = spool;
	int err;

	open_store(s);
	/* Its directories are there, and its own. */
	err = privileges__drop(false);
	if (err)
		log_debug("spool: capabilities are kept: %s", strerror(-err));
	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		bool served = serve_append(s);

		served = serve_queues(s) || served;
		served = serve_sync_failure(s) || served;
		if (s->retry_at_ns && now_ns() >= s->retry_at_ns) {
			retry(s);
			served = true;
		}
		if (s->store && s->touched && now_ns() >= s->tick_at_ns) {
			pthread_mutex_unlock(&s->lock);
			tick(s);
			pthread_mutex_lock(&s->lock);
			publish_store(s);
			served = true;
		}
		if (!served && !s->stop)
			wait(s);
	}
	pthread_mutex_unlock(&s->lock);
	close_store(s);
	syncer__free(TAKE_PTR(s->syncer));
	return NULL;
}
