/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to lines, one assembler for each (container, stream), fed in the ring's order.
 *
 * Lines end at '\n', which is not part of them; everything else passes through. A line over
 * max_line_size is cut there, marked and counted; the rest of it is dropped up to its newline (as
 * Loki would refuse it). A complete line inside one chunk is handed on without a copy; only a half
 * line is kept, in a buffer that the assembler owns and that never exceeds max_line_size.
 *
 * A line's time is its chunk's time + the offset of the line's end in the chunk: chunks of one
 * stream never overlap in time (see include/event.h), so times are strictly increasing within a
 * stream.
 *
 * A line's writer is that of all its bytes: where chunks have different ones it has none. A gap
 * first ends the half line before it (delivered as it is, for nobody knows what followed), then
 * becomes a line of its own: "notail: N bytes in M writes lost here: ring full", with line.gap =
 * "ring_full".
 */
#ifndef NOTAIL_ASSEMBLE_ASSEMBLE_H
#define NOTAIL_ASSEMBLE_ASSEMBLE_H

#include "assemble/crossing.h"
#include "base/line.h"

struct assembler;

struct assemble_opts {
	size_t max_line_size; /* bytes; 0: 256 KiB */
	/* Of the ring, for assembler__at_mark. Borrowed; NULL: none. */
	const struct marks *marks;
};

#define ASSEMBLE_MAX_LINE_SIZE (256 * 1024)

/* What arrived of a stream at once. Borrowed. */
struct chunk {
	const char *bytes;
	size_t len;
	uint64_t time_ns;
	uint64_t ring_pos;
	uint32_t pid;
	const char *comm; /* NUL-terminated, shorter than LINE_COMM_LEN; NULL or empty: not known */
	uint32_t tid;
	const struct line_trace *trace; /* NULL: none */
	uint64_t offset;		/* of the first byte in the stream */
};

struct assemble_stats {
	uint64_t lines;
	uint64_t bytes;
	uint64_t truncated;	  /* lines cut */
	uint64_t truncated_bytes; /* bytes dropped by that */
	uint64_t gaps;
	uint64_t gap_bytes;
};

typedef void (*assemble_line_fn)(void *ctx, const struct line *line);

/* 0 or -ENOMEM. `cgroup_id` and `stream` are put into each line. */
int assembler__new(struct assembler **ret, const struct assemble_opts *opts, uint64_t cgroup_id,
		   enum line_stream stream, assemble_line_fn fn, void *ctx);
void assembler__free(struct assembler *a);

/* -ENOMEM when a half line could not be kept: it is delivered as it is so far, and the rest follows
 * as a line. */
int assembler__feed(struct assembler *a, const struct chunk *chunk);
/* A hole of `bytes` in `calls` writes (0: not known, not said) before the next chunk. `reason` as
 * in line.gap, static storage. */
void assembler__gap(struct assembler *a, uint64_t bytes, uint64_t calls, const char *reason,
		    uint64_t time_ns, uint64_t ring_pos);
/* Delivers a half line: the stream ended, or notail does. `time_ns`: of the record that says so; 0:
 * none does. */
void assembler__flush(struct assembler *a, uint64_t time_ns);
/* Ring position of the half line's oldest byte; UINT64_MAX when there is none. */
uint64_t assembler__oldest(const struct assembler *a);
const struct assemble_stats *assembler__stats(const struct assembler *a);

/* What had begun at a mark and was not done: for an assembler that is fed the records from there
 * on, and makes the same lines of them as this one did. */
struct assemble_seed {
	/* Records before end_pos, and bytes of that one below the offset `end`, are skipped. */
	uint64_t end_pos, end;
	bool skipping;	  /* then follows the rest of a cut line */
	struct line half; /* bytes, len, time, writer, ring_pos; len 0: no half line */
};

/* False: there is nothing to know. What it points to is borrowed until the next call of any
 * function here. `mark` is one of opts.marks, and the chunks before it were fed. */
bool assembler__at_mark(const struct assembler *a, uint64_t mark, struct assemble_seed *ret);
/* Once, before the first chunk, all of which are at or behind `mark`. 0; -EINVAL; -ENOMEM. */
int assembler__restore(struct assembler *a, uint64_t mark, const struct assemble_seed *seed);
/* The notes, for assembler__at_mark's sake, outlive the assembler: the caller's, to be freed. */
struct crossings assembler__take_crossings(struct assembler *a);

#endif
