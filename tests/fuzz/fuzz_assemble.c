/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes in any chunks, with gaps and flushes between: the lines are those that splitting all
 * the bytes at once gives, their times increase, and each goes through every encoder.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "assemble/assemble.h"
#include "base/buf.h"
#include "base/util.h"
#include "batch/batch.h"

#define MAX_LINE_SIZE 24
#define ENCODINGS (BATCH_RAW + 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct assembler *a;
	struct batcher *batchers[ENCODINGS];
	struct label_set *set;
	struct buf lines;    /* what came out, each line with a newline */
	struct buf expected; /* what has to */
	struct buf open;     /* the line so far, as it has to be */
	bool skipping;
	uint64_t last_ns;
	uint64_t oldest_pos;
};

static void on_line(void *ctx, const struct line *line)
{
	struct world *w = ctx;

	assert(line->time_ns > w->last_ns);
	w->last_ns = line->time_ns;
	assert(line->gap || line->len <= MAX_LINE_SIZE);
	if (!line->gap) {
		buf__append(&w->lines, line->bytes, line->len);
		buf__append(&w->lines, "\n", 1);
	}
	for (size_t i = 0; i < ENCODINGS; i++)
		assert(!batcher__add(w->batchers[i], w->set, line));
}

static void on_sealed(void *ctx _unused_, struct batch *b)
{
	assert(b->payload.len && b->lines);
	batch__free(b);
}

static void expect_end(struct world *w)
{
	buf__append(&w->expected, w->open.data, w->open.len);
	buf__append(&w->expected, "\n", 1);
	w->open.len = 0;
}

/* The slow and obvious form: a byte at a time. */
static void expect(struct world *w, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n' && w->skipping) {
			w->skipping = false;
		} else if (bytes[i] == '\n') {
			expect_end(w);
		} else if (!w->skipping && w->open.len == MAX_LINE_SIZE) {
			expect_end(w);
			w->skipping = true;
		} else if (!w->skipping) {
			buf__append(&w->open, bytes + i, 1);
		}
	}
}

static void expect_flush(struct world *w)
{
	if (w->open.len)
		expect_end(w);
}

/* One step: a byte says what, and how many bytes follow. */
static size_t step(struct world *w, const uint8_t *data, size_t size, uint64_t *time_ns)
{
	size_t len = MIN((size_t)(data[0] & 63), size - 1);
	struct chunk chunk = {(const char *)data + 1, len,     *time_ns,
			      w->oldest_pos++,	      data[0], NULL};

	if (data[0] == 0xff) {
		assembler__flush(w->a, 0);
		expect_flush(w);
		return 1;
	}
	if (data[0] >= 0xc0) {
		assembler__gap(w->a, len, data[0], "ring_full", *time_ns, w->oldest_pos);
		expect_flush(w);
		w->skipping = false;
		return 1;
	}
	if (data[0] & 64)
		chunk.comm = "a\xff\"b";
	assert(!assembler__feed(w->a, &chunk));
	expect(w, data + 1, len);
	assert((assembler__oldest(w->a) == UINT64_MAX) == !w->open.len);
	*time_ns += len + (data[0] & 64);
	return 1 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct assemble_opts opts = {.max_line_size = MAX_LINE_SIZE};
	const struct clock_anchor anchor = {.offset_ns = 1795236000000000000};
	uint64_t time_ns = 1000;
	struct world w = {0};

	w.set = label_set__new();
	assert(w.set && !label_set__add(w.set, "container", "web") && !label_set__seal(w.set));
	assert(!assembler__new(&w.a, &opts, 1, LINE_STDOUT, on_line, &w));
	for (size_t i = 0; i < ENCODINGS; i++) {
		struct batch_opts batch_opts = {
			.encoding = (enum batch_encoding)i,
			.max_bytes = 500,
			.times = true,
			.anchor = &anchor,
		};

		assert(!batcher__new(&w.batchers[i], &batch_opts, on_sealed, NULL));
	}
	for (size_t at = 0; at < size;)
		at += step(&w, data + at, size - at, &time_ns);
	assembler__flush(w.a, 0);
	expect_flush(&w);
	assert(w.lines.len == w.expected.len);
	assert(!w.lines.len || !memcmp(w.lines.data, w.expected.data, w.lines.len));
	for (size_t i = 0; i < ENCODINGS; i++) {
		batcher__seal(w.batchers[i]);
		batcher__free(w.batchers[i]);
	}
	assembler__free(w.a);
	label_set__unref(w.set);
	buf__free(&w.lines);
	buf__free(&w.expected);
	buf__free(&w.open);
	return 0;
}
