/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to seal, and which part of the ring a batch needs. How lines look is the encoder's.
 *
 * What is the same for all lines of a label set is encoded once and kept in the stream table, with
 * the last writer's name behind it: one copy for each line. The table is swept every SWEEP_SEALS
 * batches, and when it has grown, right after a seal, when no open batch refers to it.
 *
 * The age of a batch is by its first line's own time: a batcher has no clock, and a line that was
 * parked does not wait again.
 *
 * A line far behind its stream's newest goes to a batcher of its stream alone, made when there is
 * such a line and freed when its batch is sealed. There are at most BEHIND_MAX of them: then the
 * one that waits for longest is sealed. What was there of the stream before it is sealed first, so
 * that lines leave in their order: a wall clock that was set back makes all of them late.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "batch/batch.h"
#include "batch/encode.h"

#define LOKI_BYTES (1024 * 1024)
#define LOKI_WAIT_NS NS_PER_SEC
#define STDOUT_BYTES (64 * 1024)
#define SWEEP_SEALS 64
#define BEHIND_NS (30 * 60 * NS_PER_SEC)
#define BEHIND_MAX 16
#define JITTER_SHARE 10

struct batcher {
	struct batcher *parent;		    /* of one for what is behind; NULL: it is none */
	struct batcher *behind[BEHIND_MAX]; /* oldest first */
	size_t n_behind;
	uint64_t labels_hash; /* of one for what is behind: its stream */
	bool after_open;      /* likewise: its parent's open batch has earlier lines of it */
	uint64_t used_ns;
	struct batch_opts opts;
	batch_sealed_fn fn;
	void *ctx;
	struct encoder *encoder;
	struct stream_table *streams;
	struct batch *open;   /* there from its first line on */
	uint64_t deadline_ns; /* of `open`; UINT64_MAX: none */
	uint64_t sequence;
	unsigned seals; /* since the last sweep */
};

void batch__free(struct batch *b)
{
	if (!b || atomic_fetch_sub(&b->more_refs, 1))
		return;
	if (b->memory)
		atomic_fetch_sub_explicit(b->memory, b->memory_bytes, memory_order_relaxed);
	buf__free(&b->payload);
	free(b->streams);
	free(b->tenant);
	free(b);
}

struct batch *batch__ref(struct batch *b)
{
	atomic_fetch_add(&b->more_refs, 1);
	return b;
}

void batch__account(struct batch *b, _Atomic size_t *memory)
{
	b->memory = memory;
	b->memory_bytes = sizeof(*b) + MAX(b->payload.size, b->payload.len) +
			  b->n_streams * sizeof(*b->streams);
	atomic_fetch_add_explicit(memory, b->memory_bytes, memory_order_relaxed);
}

bool batch__shares_stream(const struct batch *a, const struct batch *b)
{
	if (!a->n_streams || !b->n_streams)
		return true;
	for (size_t i = 0, j = 0; i < a->n_streams && j < b->n_streams;) {
		if (a->streams[i] == b->streams[j])
			return true;
		if (a->streams[i] < b->streams[j])
			i++;
		else
			j++;
	}
	return false;
}

void batcher__free(struct batcher *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_behind; i++)
		batcher__free(b->behind[i]);
	batch__free(b->open);
	if (b->encoder)
		b->encoder->ops->free(b->encoder);
	stream_table__free(b->streams);
	free(b);
}

int batcher__new(struct batcher **ret, const struct batch_opts *opts, batch_sealed_fn fn, void *ctx)
{
	bool loki = opts->encoding == BATCH_LOKI;
	struct batcher *b;
	int err;

	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->opts = *opts;
	if (!b->opts.max_bytes)
		b->opts.max_bytes = loki ? LOKI_BYTES : STDOUT_BYTES;
	if (!b->opts.max_wait_ns)
		b->opts.max_wait_ns = loki ? LOKI_WAIT_NS : UINT64_MAX;
	b->fn = fn;
	b->ctx = ctx;
	b->deadline_ns = UINT64_MAX;
	err = stream_table__new(&b->streams);
	if (!err)
		err = loki ? encode_loki__new(&b->encoder, &b->opts)
			   : encode_text__new(&b->encoder, &b->opts);
	if (err) {
		batcher__free(b);
		return err;
	}
	*ret = b;
	return 0;
}

/* The writer's name behind the stream's bytes. Nobody's name is the state of a new stream. */
static int set_writer(struct encoder *e, struct stream *s, const struct line *line)
{
	int err;

	s->encoded.len = s->fixed;
	s->pid = line->pid;
	s->tid = line->tid;
	s->trace = line->trace;
	memcpy(s->comm, line->comm, sizeof(s->comm));
	s->comm[sizeof(s->comm) - 1] = '\0';
	utf8__clean(s->comm, strlen(s->comm));
	err = e->ops->writer(e, s);
	memcpy(s->comm, line->comm, sizeof(s->comm)); /* to be compared with the next line's */
	if (err) {
		s->encoded.len = s->fixed;
		s->pid = s->tid = 0;
		s->trace = (struct line_trace){0};
		memset(s->comm, 0, sizeof(s->comm));
	}
	return err;
}

static bool is_other_writer(const struct stream *s, const struct line *line)
{
	return s->pid != line->pid || s->tid != line->tid ||
	       memcmp(s->comm, line->comm, sizeof(s->comm)) ||
	       memcmp(&s->trace, &line->trace, sizeof(s->trace));
}

static int add_stream(struct batcher *b, struct label_set *set, struct stream **ret)
{
	int err = stream_table__add(b->streams, set, ret);

	if (err)
		return err;
	err = b->encoder->ops->stream(b->encoder, *ret);
	if (err)
		stream_table__remove(b->streams, *ret);
	else
		(*ret)->fixed = (*ret)->encoded.len;
	return err;
}

static int find_stream(struct batcher *b, struct label_set *set, const struct line *line,
		       struct stream **ret)
{
	struct stream *s;
	int err;

	s = stream_table__find(b->streams, set);
	if (!s) {
		err = add_stream(b, set, &s);
		if (err)
			return err;
	}
	if (b->encoder->ops->writer && is_other_writer(s, line)) {
		err = set_writer(b->encoder, s, line);
		if (err)
			return err;
	}
	*ret = s;
	return 0;
}

/* splitmix64's step. */
static uint64_t next_wait(struct batcher *b)
{
	uint64_t z = b->opts.jitter, wait_ns = b->opts.max_wait_ns;

	if (!z || wait_ns == UINT64_MAX)
		return wait_ns;
	b->opts.jitter = z += 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return wait_ns - (z ^ (z >> 31)) % (wait_ns / JITTER_SHARE + 1);
}

static int open_batch(struct batcher *b, const struct line *line)
{
	struct batch *open;

	open = calloc(1, sizeof(*open));
	if (!open)
		return -ENOMEM;
	if (b->opts.tenant) {
		open->tenant = strdup(b->opts.tenant);
		if (!open->tenant) {
			free(open);
			return -ENOMEM;
		}
	}
	open->oldest_pos = UINT64_MAX;
	open->oldest_ns = UINT64_MAX;
	b->open = open;
	if (__builtin_add_overflow(line->time_ns, next_wait(b), &b->deadline_ns))
		b->deadline_ns = UINT64_MAX;
	return 0;
}

static void seal_open(struct batcher *b)
{
	struct batch *sealed;

	if (!b->open)
		return;
	b->encoder->ops->seal(b->encoder, b->open);
	b->open->sequence = b->parent ? b->parent->sequence++ : b->sequence++;
	b->open->sealed_ns = clock__boot_ns();
	b->deadline_ns = UINT64_MAX;
	if (++b->seals == SWEEP_SEALS || stream_table__has_grown(b->streams)) {
		stream_table__sweep(b->streams);
		b->seals = 0;
	}
	for (size_t i = 0; i < b->n_behind; i++)
		b->behind[i]->after_open = false;
	sealed = TAKE_PTR(b->open);
	b->fn(b->ctx, sealed);
}

/* Seals it and frees it. */
static void end_behind(struct batcher *b, size_t i)
{
	struct batcher *old = b->behind[i];

	if (old->after_open)
		seal_open(b);
	memmove(b->behind + i, b->behind + i + 1, (--b->n_behind - i) * sizeof(*b->behind));
	seal_open(old);
	batcher__free(old);
}

static int add_behind(struct batcher *b, const struct group *g, struct label_set *set,
		      const struct line *line)
{
	struct batcher *own;
	size_t i;
	int err;

	for (i = 0; i < b->n_behind; i++)
		if (b->behind[i]->labels_hash == g->labels_hash)
			break;
	if (i == b->n_behind) {
		err = batcher__new(&own, &b->opts, b->fn, b->ctx);
		if (err)
			return err;
		own->parent = b;
		own->labels_hash = g->labels_hash;
		if (b->n_behind == BEHIND_MAX)
			end_behind(b, 0);
		own->after_open = g->bytes;
		i = b->n_behind++;
		b->behind[i] = own;
	}
	return batcher__add(b->behind[i], set, line);
}

/* Of its stream, as Loki judges; of a stream's first line, by when it was written. */
static bool is_behind(struct batcher *b, struct group *g, const struct line *line, uint64_t real_ns)
{
	uint64_t newest_ns = g->newest_ns;

	if (!newest_ns)
		newest_ns = clock__to_real(b->opts.anchor, line->time_ns);
	g->newest_ns = MAX(g->newest_ns, real_ns);
	return real_ns < newest_ns && newest_ns - real_ns > BEHIND_NS;
}

int batcher__add(struct batcher *b, struct label_set *set, const struct line *line)
{
	uint64_t real_ns = line_real_ns(line, b->opts.anchor);
	struct stream *s;
	int err;

	/* Raw is what the container wrote and no other byte. */
	if (line->gap && b->opts.encoding == BATCH_RAW)
		return 0;
	err = find_stream(b, set, line, &s);
	if (err)
		return err;
	b->used_ns = line->time_ns;
	if (b->opts.encoding == BATCH_LOKI && !b->parent && is_behind(b, s->group, line, real_ns))
		return add_behind(b, s->group, set, line);
	if (!b->open) {
		err = open_batch(b, line);
		if (err)
			return err;
	}
	err = b->encoder->ops->add(b->encoder, s, line);
	if (err == -E2BIG) {
		/* The stream is in use, and stays. */
		batcher__seal(b);
		err = open_batch(b, line);
		if (err)
			return err;
		err = b->encoder->ops->add(b->encoder, s, line);
	}
	if (err) {
		if (!b->open->lines) {
			batch__free(TAKE_PTR(b->open));
			b->deadline_ns = UINT64_MAX;
		}
		return err;
	}
	b->open->lines++;
	b->open->log_bytes += line->len;
	b->open->oldest_ns = MIN(b->open->oldest_ns, real_ns);
	b->open->newest_ns = MAX(b->open->newest_ns, real_ns);
	b->open->first_ns =
		b->open->first_ns ? MIN(b->open->first_ns, line->time_ns) : line->time_ns;
	b->open->last_ns = MAX(b->open->last_ns, line->time_ns);
	if (line->canary)
		b->open->canary_ns = line->time_ns;
	b->open->oldest_pos = MIN(b->open->oldest_pos, line->ring_pos);
	b->open->end_pos = MAX(b->open->end_pos, line->ring_pos + 1);
	if (b->encoder->ops->bytes(b->encoder) >= b->opts.max_bytes)
		batcher__seal(b);
	return 0;
}

void batcher__seal(struct batcher *b)
{
	for (size_t i = 0; i < b->n_behind;) {
		if (b->behind[i]->after_open)
			i++;
		else
			end_behind(b, i);
	}
	seal_open(b);
	while (b->n_behind)
		end_behind(b, 0);
}

uint64_t batcher__tick(struct batcher *b, uint64_t now_ns)
{
	uint64_t next_ns;

	if (b->deadline_ns <= now_ns && b->deadline_ns != UINT64_MAX)
		batcher__seal(b);
	next_ns = b->deadline_ns;
	for (size_t i = b->n_behind; i-- > 0;) {
		if (b->behind[i]->deadline_ns <= now_ns)
			end_behind(b, i);
		else
			next_ns = MIN(next_ns, b->behind[i]->deadline_ns);
	}
	return next_ns;
}

uint64_t batcher__oldest(const struct batcher *b)
{
	uint64_t oldest = b->open ? b->open->oldest_pos : UINT64_MAX;

	for (size_t i = 0; i < b->n_behind; i++) {
		uint64_t other = batcher__oldest(b->behind[i]);

		oldest = MIN(oldest, other);
	}
	return oldest;
}

size_t batcher__open_bytes(const struct batcher *b)
{
	size_t bytes = b->open ? b->encoder->ops->bytes(b->encoder) : 0;

	for (size_t i = 0; i < b->n_behind; i++)
		bytes += batcher__open_bytes(b->behind[i]);
	return bytes;
}

uint64_t batcher__used_ns(const struct batcher *b)
{
	return b->used_ns;
}

int batcher__stream(struct batcher *b, struct label_set *set, uint64_t *ret_hash)
{
	struct stream *s = stream_table__find(b->streams, set);
	int err = s ? 0 : add_stream(b, set, &s);

	if (!err)
		*ret_hash = s->group->labels_hash;
	return err;
}
