/* SPDX-License-Identifier: Apache-2.0 */
/* A batcher, the batches that it sealed, and lines to give it. */
#ifndef TEST_BATCH_WORLD_H
#define TEST_BATCH_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "batch/batch.h"

/* 2026-11-21T04:40:08.125461044Z is boot time 8125461044 */
#define OFFSET_NS (1795236000 * (int64_t)NS_PER_SEC)
#define TIME_NS 8125461044ull
#define MAX_BATCHES 4096

struct world {
	struct clock_anchor anchor;
	struct batcher *b;
	struct batch *sealed[MAX_BATCHES];
	size_t n;
};

static inline void on_sealed(void *ctx, struct batch *batch)
{
	struct world *w = ctx;

	assert_true(w->n < MAX_BATCHES);
	assert_int_equal(batch->sequence, w->n);
	assert_true(batch->lines > 0);
	w->sealed[w->n++] = batch;
}

static inline void setup_opts(struct world *w, struct batch_opts opts)
{
	memset(w, 0, sizeof(*w));
	w->anchor.offset_ns = OFFSET_NS;
	opts.anchor = &w->anchor;
	assert_int_equal(batcher__new(&w->b, &opts, on_sealed, w), 0);
}

static inline void setup(struct world *w, enum batch_encoding encoding)
{
	setup_opts(w, (struct batch_opts){.encoding = encoding});
}

static inline void teardown(struct world *w)
{
	batcher__free(w->b);
	for (size_t i = 0; i < w->n; i++)
		batch__free(w->sealed[i]);
}

static inline struct label_set *make_set(const char *container, const char *stream, const char *id)
{
	struct label_set *set = label_set__new();

	assert_non_null(set);
	assert_int_equal(label_set__add(set, "container", container), 0);
	assert_int_equal(label_set__add(set, "stream", stream), 0);
	if (id)
		assert_int_equal(label_set__add_metadata(set, "container_id", id), 0);
	assert_int_equal(label_set__display(set, container), 0);
	assert_int_equal(label_set__seal(set), 0);
	return set;
}

static inline struct line make_line(const char *text)
{
	return (struct line){
		.bytes = text,
		.len = strlen(text),
		.time_ns = TIME_NS,
		.cgroup_id = 1,
		.ring_pos = 100,
		.stream = LINE_STDOUT,
		.pid = 71,
		.comm = "nginx",
	};
}

static inline void add(struct world *w, struct label_set *set, struct line line)
{
	/* Of its own size, so that ASAN sees a read beyond it; freed, so that it sees a late one.
	 */
	char *copy = malloc(line.len ? line.len : 1);

	memcpy(copy, line.bytes, line.len);
	line.bytes = copy;
	assert_int_equal(batcher__add(w->b, set, &line), 0);
	free(copy);
}

static inline void assert_payload(const struct batch *b, const char *text)
{
	char *copy = strndup(b->payload.data, b->payload.len);

	assert_string_equal(copy, text);
	free(copy);
	assert_int_equal(b->payload.len, strlen(text));
	assert_int_equal(b->raw_bytes, strlen(text));
}

#endif
