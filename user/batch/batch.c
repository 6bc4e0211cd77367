/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to seal, and which part of the ring a batch needs. How lines look is the encoder's.
 *
 * What is the same for all lines of a label set is encoded once and kept in the stream table, with
 * the last writer's name behind it: one copy for each line. The table is swept every SWEEP_SEALS
 * batches, right after a seal, when no open batch refers to it.
 *
 * The age of a batch is by its first line's own time: a batcher has no clock, and a line that was
 * parked does not wait again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "batch/batch.h"
#include "batch/encode.h"

#define LOKI_BYTES (1024 * 1024)
#define LOKI_WAIT_NS NS_PER_SEC
#define STDOUT_BYTES (64 * 1024)
#define SWEEP_SEALS 64

struct batcher {
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
	if (!b)
		return;
	buf__free(&b->payload);
	free(b->streams);
	free(b);
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

static int find_stream(struct batcher *b, struct label_set *set, const struct line *line,
		       struct stream **ret)
{
	struct stream *s;
	int err;

	s = stream_table__find(b->streams, set);
	if (!s) {
		err = stream_table__add(b->streams, set, &s);
		if (err)
			return err;
		err = b->encoder->ops->stream(b->encoder, s);
		if (err) {
			stream_table__remove(b->streams, s);
			return err;
		}
		s->fixed = s->encoded.len;
	}
	if (b->encoder->ops->writer && is_other_writer(s, line)) {
		err = set_writer(b->encoder, s, line);
		if (err)
			return err;
	}
	*ret = s;
	return 0;
}

static int open_batch(struct batcher *b, const struct line *line)
{
	struct batch *open;

	open = calloc(1, sizeof(*open));
	if (!open)
		return -ENOMEM;
	open->oldest_pos = UINT64_MAX;
	b->open = open;
	if (__builtin_add_overflow(line->time_ns, b->opts.max_wait_ns, &b->deadline_ns))
		b->deadline_ns = UINT64_MAX;
	return 0;
}

int batcher__add(struct batcher *b, struct label_set *set, const struct line *line)
{
	struct stream *s;
	int err;

	/* Raw is what the container wrote and no other byte. */
	if (line->gap && b->opts.encoding == BATCH_RAW)
		return 0;
	err = find_stream(b, set, line, &s);
	if (err)
		return err;
	if (!b->open) {
		err = open_batch(b, line);
		if (err)
			return err;
	}
	err = b->encoder->ops->add(b->encoder, s, line);
	if (err) {
		if (!b->open->lines) {
			batch__free(TAKE_PTR(b->open));
			b->deadline_ns = UINT64_MAX;
		}
		return err;
	}
	b->open->lines++;
	b->open->log_bytes += line->len;
	b->open->oldest_pos = MIN(b->open->oldest_pos, line->ring_pos);
	b->open->end_pos = MAX(b->open->end_pos, line->ring_pos + 1);
	if (b->encoder->ops->bytes(b->encoder) >= b->opts.max_bytes)
		batcher__seal(b);
	return 0;
}

void batcher__seal(struct batcher *b)
{
	struct batch *sealed;

	if (!b->open)
		return;
	b->encoder->ops->seal(b->encoder, b->open);
	b->open->sequence = b->sequence++;
	b->open->sealed_ns = clock__boot_ns();
	b->open->tenant = b->opts.tenant;
	b->deadline_ns = UINT64_MAX;
	if (++b->seals == SWEEP_SEALS) {
		stream_table__sweep(b->streams);
		b->seals = 0;
	}
	sealed = TAKE_PTR(b->open);
	b->fn(b->ctx, sealed);
}

uint64_t batcher__tick(struct batcher *b, uint64_t now_ns)
{
	if (b->deadline_ns <= now_ns && b->deadline_ns != UINT64_MAX)
		batcher__seal(b);
	return b->deadline_ns;
}

uint64_t batcher__oldest(const struct batcher *b)
{
	return b->open ? b->open->oldest_pos : UINT64_MAX;
}
