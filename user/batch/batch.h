/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines to sealed batches, already in the encoding that the receiver reads: each line is copied
 * once, here.
 *
 * A batcher has one open batch; it is sealed when it has `max_bytes`, when its first line is
 * `max_wait_ns` old by its own time (batcher__tick) or when asked. A sealed batch is handed to the
 * callback, which owns it from then on. Batches carry the ring range they need: [oldest_pos,
 * end_pos). No malloc per line.
 */
#ifndef NOTAIL_BATCH_BATCH_H
#define NOTAIL_BATCH_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/line.h"
#include "process/labels.h"

enum batch_encoding {
	BATCH_LOKI, /* snappy(protobuf PushRequest) */
	BATCH_TEXT,
	BATCH_JSON, /* one object per line: ts, stream, line | line_base64, labels, metadata */
	BATCH_LOGFMT,
	BATCH_RAW, /* the bytes alone */
};

struct batch {
	uint64_t sequence;  /* counts up within a batcher */
	struct buf payload; /* what goes out */
	size_t raw_bytes;   /* before compression */
	size_t lines;
	size_t log_bytes;    /* of the lines alone */
	uint64_t oldest_pos; /* ring position of the oldest byte in it */
	uint64_t end_pos;    /* past the first byte of the newest record in it, for a line knows no
			      * more */
	uint64_t sealed_ns;  /* CLOCK_BOOTTIME */
	const char *tenant;  /* as in struct batch_opts */
	/* Loki: request__labels_hash of each of its streams, sorted; 0: not known. */
	uint64_t *streams;
	size_t n_streams;
};

struct batch_opts {
	enum batch_encoding encoding;
	size_t max_bytes;     /* 0: 1 MiB for Loki, 64 KiB for the others */
	uint64_t max_wait_ns; /* 0: 1 s for Loki; the others are sealed by batcher__seal at the end
				 of each round */
	bool times;	      /* -t: text and raw lines begin with their time */
	bool color;	      /* text */
	const struct clock_anchor *anchor; /* borrowed for the batcher's life */
	/* Loki: labels of every stream that has none of the name. Borrowed likewise. */
	const struct label *external_labels;
	size_t n_external_labels;
	const char *tenant; /* of all lines; NULL: the client's. Borrowed as long as a batch is */
};

struct batcher;
/* Takes the batch over. */
typedef void (*batch_sealed_fn)(void *ctx, struct batch *b);

int batcher__new(struct batcher **ret, const struct batch_opts *opts, batch_sealed_fn fn,
		 void *ctx);
/* An open batch goes with it: seal before. NULL is fine. */
void batcher__free(struct batcher *b);
void batch__free(struct batch *b);
/* Or it is not known that they have none in common. */
bool batch__shares_stream(const struct batch *a, const struct batch *b);

/*
 * `set` is borrowed; the batcher takes references of its own for what it keeps. 0; -ENOMEM: the
 * line is not in the batch (the caller counts it).
 */
int batcher__add(struct batcher *b, struct label_set *set, const struct line *line);
/* Seals by age. Returns CLOCK_BOOTTIME ns of the next deadline, UINT64_MAX when nothing is open. */
uint64_t batcher__tick(struct batcher *b, uint64_t now_ns);
void batcher__seal(struct batcher *b);
/* Ring position of the oldest byte in the open batch; UINT64_MAX: none open. */
uint64_t batcher__oldest(const struct batcher *b);

#endif
