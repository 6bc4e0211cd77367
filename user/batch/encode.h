/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the batcher and an encoding; private to this room. The batcher decides when; an encoder
 * knows only how a line looks.
 */
#ifndef NOTAIL_BATCH_ENCODE_H
#define NOTAIL_BATCH_ENCODE_H

#include "batch/batch.h"
#include "batch/stream_table.h"

/* Enough for the writer, truncated, notail_gap and notail_exec of any line. */
#define ENCODE_LINE_METADATA 8

struct encoder;

/* All functions return 0 or -errno, and on failure leave the open batch as it was. */
struct encoder_ops {
	void (*free)(struct encoder *e);
	/* A new stream: appends what all lines have in common to s->encoded. */
	int (*stream)(struct encoder *e, struct stream *s);
	/* Appends s' writer (see writer_pairs; s->comm is valid UTF-8) to it. NULL: not shown. */
	int (*writer)(struct encoder *e, struct stream *s);
	/* -E2BIG: there are lines in the open batch, and with this one max_bytes would be passed.
	 */
	int (*add)(struct encoder *e, struct stream *s, const struct line *line);
	/* Of the open batch, as max_bytes counts them. */
	size_t (*bytes)(const struct encoder *e);
	/* The open batch's payload and raw_bytes go to b; the next one is empty. Cannot fail: what
	 * it needs was reserved when lines were added. */
	void (*seal)(struct encoder *e, struct batch *b);
};

struct encoder {
	const struct encoder_ops *ops;
};

int encode_loki__new(struct encoder **ret, const struct batch_opts *opts);
/* The four formats of --stdout. */
int encode_text__new(struct encoder **ret, const struct batch_opts *opts);

/* The line's metadata says it otherwise. */
static inline bool line_has(const struct line *line, const char *name, size_t len)
{
	for (size_t i = 0; i < line->n_metadata; i++)
		if (strlen(line->metadata[i].name) == len &&
		    !memcmp(line->metadata[i].name, name, len))
			return true;
	return false;
}

static inline uint64_t line_real_ns(const struct line *line, const struct clock_anchor *anchor)
{
	return line->real_ns ? line->real_ns : clock__to_real(anchor, line->time_ns);
}

/* As runtimes label it: a tty is stdout. */
static inline const char *stream_name(enum line_stream stream)
{
	return stream == LINE_STDERR ? "stderr" : "stdout";
}

#endif
