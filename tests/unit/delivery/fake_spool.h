/* SPDX-License-Identifier: Apache-2.0 */
/* A spool of one queue a client in memory, in place of the real one: writes end when the test says.
 */
#ifndef TEST_FAKE_SPOOL_H
#define TEST_FAKE_SPOOL_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "spool/spool.h"

#define FAKE_MAX 4096
#define FAKE_QUEUES 4

enum fake_place { FAKE_WRITING, FAKE_HELD, FAKE_OUT, FAKE_GONE };

struct fake_record {
	struct spool_record r;
	enum fake_place place;
	spool_done_fn done;
	void *ctx;
};

struct spool_queue {
	const struct spool_queue_ops *ops;
	void *ctx;
	enum spool_state state;
	struct fake_record *records[FAKE_MAX];
	size_t n;
	uint64_t version;
	int refuses; /* one failed: all do until none is being written; 0: it has not */
};

static struct spool_queue *fakes[FAKE_QUEUES];
static size_t n_fakes;
static enum spool_state fake_first_state = SPOOL_READY;

static inline void fake_record__free(struct fake_record *f)
{
	free((char *)f->r.payload);
	free((char *)f->r.tenant);
	free((uint64_t *)f->r.streams);
	free(f);
}

int spool_queue__new(struct spool_queue **ret, struct spool *s, const char *key,
		     const struct spool_queue_ops *ops, void *ctx)
{
	struct spool_queue *q = calloc(1, sizeof(*q));

	(void)s;
	(void)key;
	q->ops = ops;
	q->ctx = ctx;
	q->state = fake_first_state;
	fakes[n_fakes++] = *ret = q;
	return 0;
}

static inline struct fake_record *fake__copy(const struct spool_record *r)
{
	struct fake_record *f = calloc(1, sizeof(*f));
	char *payload = malloc(r->len + 1);
	uint64_t *streams = calloc(r->n_streams + 1, sizeof(*streams));

	memcpy(payload, r->payload, r->len);
	if (r->n_streams)
		memcpy(streams, r->streams, r->n_streams * sizeof(*streams));
	f->r = *r;
	f->r.payload = payload;
	f->r.tenant = r->tenant ? strdup(r->tenant) : NULL;
	f->r.streams = streams;
	return f;
}

int spool_queue__append(struct spool_queue *q, const struct spool_record *r, spool_done_fn done,
			void *ctx)
{
	struct fake_record *f;

	if (q->state != SPOOL_READY)
		return q->state == SPOOL_LOADING ? -EAGAIN : -EIO;
	if (q->n == FAKE_MAX)
		abort();
	f = fake__copy(r);
	f->r.id = q->n;
	f->done = done;
	f->ctx = ctx;
	q->records[q->n++] = f;
	q->version++;
	return 0;
}

static inline bool fake__writes(const struct spool_queue *q)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->records[i]->place == FAKE_WRITING)
			return true;
	return false;
}

/* The first that is being written is, or fails: then it is gone. False: there is none. */
static inline bool fake__write_one(struct spool_queue *q, int err)
{
	for (size_t i = 0; i < q->n; i++) {
		struct fake_record *f = q->records[i];

		if (f->place != FAKE_WRITING)
			continue;
		err = q->refuses ? q->refuses : err;
		f->place = err ? FAKE_GONE : FAKE_HELD;
		q->refuses = fake__writes(q) ? err : 0;
		f->done(f->ctx, err);
		if (!err)
			q->ops->ready(q->ctx);
		return true;
	}
	return false;
}

static inline void fake__write(struct spool_queue *q)
{
	while (fake__write_one(q, 0))
		;
}

static inline void fake__become(struct spool_queue *q, enum spool_state state)
{
	q->state = state;
	q->ops->changed(q->ctx);
	if (state == SPOOL_READY)
		q->ops->ready(q->ctx);
}

void spool_queue__free(struct spool_queue *q)
{
	if (!q)
		return;
	while (fake__write_one(q, -ECANCELED))
		;
	for (size_t i = 0; i < q->n; i++) {
		if (q->records[i]->place == FAKE_OUT)
			abort();
		fake_record__free(q->records[i]);
	}
	free(q);
	n_fakes = 0;
}

enum spool_state spool_queue__state(const struct spool_queue *q)
{
	return q->state;
}

struct spool_record *spool_queue__next(struct spool_queue *q)
{
	for (size_t i = 0; i < q->n; i++) {
		struct fake_record *f = q->records[i];

		if (f->place == FAKE_WRITING)
			return NULL;
		if (f->place == FAKE_HELD) {
			f->place = FAKE_OUT;
			return &f->r;
		}
	}
	return NULL;
}

static inline void fake__move(struct spool_queue *q, struct spool_record *r, enum fake_place place)
{
	struct fake_record *f = (struct fake_record *)r;

	if (f->place != FAKE_OUT)
		abort();
	f->place = place;
	q->version++;
}

void spool_queue__consumed(struct spool_queue *q, struct spool_record *r)
{
	fake__move(q, r, FAKE_GONE);
}

void spool_queue__put_back(struct spool_queue *q, struct spool_record *r)
{
	fake__move(q, r, FAKE_HELD);
}

bool spool_queue__empty(const struct spool_queue *q)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->records[i]->place != FAKE_GONE)
			return false;
	return true;
}

bool spool_queue__has_stream(const struct spool_queue *q, uint64_t hash)
{
	for (size_t i = 0; i < q->n; i++)
		for (size_t k = 0; k < q->records[i]->r.n_streams; k++)
			if (q->records[i]->place != FAKE_GONE &&
			    q->records[i]->r.streams[k] == hash)
				return true;
	return false;
}

int spool_queue__streams(struct spool_queue *q, uint64_t **ret, size_t *ret_n)
{
	uint64_t *all = NULL;
	size_t n = 0;

	for (size_t i = 0; i < q->n; i++) {
		const struct spool_record *r = &q->records[i]->r;

		if (q->records[i]->place == FAKE_GONE || !r->n_streams)
			continue;
		all = realloc(all, (n + r->n_streams) * sizeof(*all));
		memcpy(all + n, r->streams, r->n_streams * sizeof(*all));
		n += r->n_streams;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}

uint64_t spool_queue__streams_version(const struct spool_queue *q)
{
	return q->version;
}

void spool_queue__stats(struct spool_queue *q, struct spool_queue_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < q->n; i++) {
		const struct spool_record *r = &q->records[i]->r;

		if (q->records[i]->place == FAKE_GONE)
			continue;
		ret->held.batches++;
		ret->held.lines += r->lines;
		ret->held.bytes += r->len;
		if (!ret->oldest_ns || r->oldest_ns < ret->oldest_ns)
			ret->oldest_ns = r->oldest_ns;
	}
}

const char *spool__problem(struct spool *s)
{
	(void)s;
	return NULL;
}

#endif
