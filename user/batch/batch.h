/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines to sealed batches, already in the encoding that the receiver reads: each line is copied
 * once, here.
 *
 * A batcher has one open batch; it is sealed before a line that would make it larger than
 * `max_bytes`, when its first line is `max_wait_ns` old by its own time (batcher__tick) or when
 * asked. A sealed batch is handed to the callback, which owns it from then on. Batches carry the
 * ring range they need: [oldest_pos, end_pos). No malloc per line.
 *
 * Loki answers a request by its last stream, and may drop what is far behind its stream's newest
 * entry without a word: lines that are more than 30 minutes behind go into batches of one stream.
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
	_Atomic unsigned more_refs; /* owners but one */
	_Atomic size_t *memory;	    /* as batch__account has it */
	size_t memory_bytes;
	uint64_t sequence;  /* counts up within a batcher */
	struct buf payload; /* what goes out */
	size_t raw_bytes;   /* before compression */
	size_t lines;
	size_t log_bytes;    /* of the lines alone */
	size_t cut_metadata; /* lines that had more of it than Loki takes */
	uint64_t oldest_pos; /* ring position of the oldest byte in it */
	uint64_t end_pos;    /* past the first byte of the newest record in it, for a line knows no
			      * more */
	uint64_t sealed_ns;  /* CLOCK_BOOTTIME */
	uint64_t first_ns, last_ns; /* least and greatest time of a line's record, CLOCK_BOOTTIME;
				     * 0: not known */
	uint64_t canary_ns; /* time of the newest of notail's own lines in it, likewise; 0: none */
	uint64_t oldest_ns, newest_ns; /* times of its lines, Unix */
	char *tenant;		       /* as in struct batch_opts; its own */
	/* Loki: request__labels_hash of each of its streams, sorted; 0: not known. */
	uint64_t *streams;
	size_t n_streams;
};

struct batch_opts {
	enum batch_encoding encoding;
	size_t max_bytes;     /* before compression; one line alone may have more. 0: 1 MiB for
				 Loki, 64 KiB for the others */
	uint64_t max_wait_ns; /* 0: 1 s for Loki; the others are sealed by batcher__seal at the end
				 of each round */
	uint64_t jitter;      /* seed: up to a tenth is taken off each wait, that nodes do not
				 push all at once; 0: none */
	bool times;	      /* -t: text and raw lines begin with their time */
	bool color;	      /* text */
	const struct clock_anchor *anchor; /* borrowed for the batcher's life */
	/* Loki: labels of every stream that has none of the name. Borrowed likewise. */
	const struct label *external_labels;
	size_t n_external_labels;
	const char *tenant; /* of all lines; NULL: the client's. Borrowed likewise */
};

struct batcher;
/* Takes the batch over. */
typedef void (*batch_sealed_fn)(void *ctx, struct batch *b);

int batcher__new(struct batcher **ret, const struct batch_opts *opts, batch_sealed_fn fn,
		 void *ctx);
/* An open batch goes with it: seal before. NULL is fine. */
void batcher__free(struct batcher *b);
/* One more owner. Any thread. */
struct batch *batch__ref(struct batch *b);
/* The last owner frees it. Any thread. NULL is fine. */
void batch__free(struct batch *b);
/* What it holds is part of *memory until it is freed. Once. */
void batch__account(struct batch *b, _Atomic size_t *memory);
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
/* Of what is open, before compression. */
size_t batcher__open_bytes(const struct batcher *b);
/* The last line's time (CLOCK_BOOTTIME) in it; 0: none yet. */
uint64_t batcher__used_ns(const struct batcher *b);
/* request__labels_hash of what the set's labels are sent as; 0 where that is nothing. -ENOMEM. */
int batcher__stream(struct batcher *b, struct label_set *set, uint64_t *ret_hash);
/* Ring position of the oldest byte in the open batch; UINT64_MAX: none open. */
uint64_t batcher__oldest(const struct batcher *b);

#endif
