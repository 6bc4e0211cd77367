/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records wait as bytes in one buffer and what else is known of them in another. Few streams have
 * any at a time and they wait for microseconds at full speed, so buffers that grew are given back
 * when they are empty.
 *
 * By line. Why a name is right:
 *
 * What the reader read is the truth: its order is the pipe's. Notes say who wrote, how much, and a
 * hash of what; they are made when a write returns, so neither the order in which they were counted
 * nor the one in which they come is the pipe's, and any may come after its bytes.
 *
 * Notes lie side by side in the order of counting. So none missing is seen as none missing: all up
 * to an offset are here when those that are here reach it without a hole.
 *
 * When the reader finds that what was ever put into the pipe (read before, read now, still in it)
 * is as much as was ever counted, no write is under way that has bytes in the pipe and no note. Up
 * to there, bytes and notes are the same writes: the stream is settled. The kernel looks at the
 * count first and at the pipe then: what happens in between makes them differ, never agree.
 *
 * Between two such offsets, a window, the bytes are those of the window's notes, all and nothing
 * else, only in an order that is not known. A write of PIPE_BUF at most is not interleaved, so the
 * window is a row of its notes' contents.
 *
 * A name is found by elimination. The hash is never believed; it only rules out. Of all rows of
 * notes that lengths and hashes allow, the true one is one. What all of them agree on is true. So
 * two processes' lines of equal length that the hash cannot tell apart have no name, whether they
 * are equal or not; and equal lines of one process have one. match.c does that. With one writer in
 * the window there is nothing to find out, whatever calls it wrote by.
 *
 * It rests on the hash being that of the bytes: a buffer that another thread changes while it is
 * written may have another one. Then that note finds no place, and nobody in the window has a name.
 *
 * A note that was lost leaves a hole for good, and bytes that nobody counted keep the stream from
 * being settled: what waits goes on without a name after ATTRIBUTE_WAIT_NS, and the next window
 * begins where the stream is settled next.
 *
 * Where the write tap copies, a record is one write's and says whose; its note adds thread and
 * trace.
 */
#include "assemble/attribute.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "assemble/match.h"
#include "base/buf.h"
#include "base/util.h"

#define KEEP_BYTES 16384
#define NEVER UINT64_MAX
#define SETTLED_MAX 64
#define UNSETTLED_NOTES 64 /* kept while it is not known where the next window begins */

struct waiting {
	uint64_t offset;
	uint64_t time_ns;
	uint64_t ring_pos;
	size_t len;
};

struct attribute {
	struct assembler *to;
	struct buf records;		 /* struct waiting */
	struct buf bytes;		 /* of all records */
	size_t done_records, done_bytes; /* of both buffers, delivered */
	/* By line. */
	struct match_note *notes; /* by `at`; none begins before `base` */
	size_t n_notes, max_notes;
	uint64_t base;	/* where the window begins; NEVER: where the stream is settled next */
	uint64_t noted; /* up to there the notes have no hole; if base is known */
	uint64_t settled[SETTLED_MAX]; /* ends of windows after base, rising */
	size_t n_settled;
};

int attribute__new(struct attribute **ret, struct assembler *to)
{
	struct attribute *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->to = to;
	*ret = a;
	return 0;
}

void attribute__free(struct attribute *a)
{
	if (!a)
		return;
	buf__free(&a->records);
	buf__free(&a->bytes);
	free(a->notes);
	free(a);
}

/* The oldest that waits; NULL: nothing does. */
static struct waiting *first(const struct attribute *a)
{
	size_t at = a->done_records * sizeof(struct waiting);

	return at < a->records.len ? (struct waiting *)(a->records.data + at) : NULL;
}

static size_t waiting_bytes(const struct attribute *a)
{
	return a->bytes.len - a->done_bytes;
}

/* Offset behind all that waits; something does. */
static uint64_t waiting_end(const struct attribute *a)
{
	return first(a)->offset + waiting_bytes(a);
}

static void drop(struct buf *b)
{
	b->len = 0;
	if (b->size > KEEP_BYTES)
		buf__free(b);
}

static void take_off(struct attribute *a, struct waiting *w, size_t len)
{
	w->offset += len;
	w->time_ns += len;
	w->len -= len;
	a->done_bytes += len;
	if (w->len)
		return;
	a->done_records++;
	if (first(a))
		return;
	a->done_records = a->done_bytes = 0;
	drop(&a->records);
	drop(&a->bytes);
}

/* What waits up to the offset `end`. `writer`: NULL: not known. */
static void deliver(struct attribute *a, uint64_t end, const struct match_writer *writer)
{
	struct waiting *w;

	while ((w = first(a)) && w->offset < end) {
		struct chunk chunk = {
			.bytes = a->bytes.data + a->done_bytes,
			.len = MIN(w->len, end - w->offset),
			.time_ns = w->time_ns,
			.ring_pos = w->ring_pos,
			.offset = w->offset,
		};

		if (writer && writer->pid) {
			chunk.pid = writer->pid;
			chunk.comm = writer->comm;
			chunk.tid = writer->tid;
			chunk.trace = &writer->trace;
		}
		assembler__feed(a->to, &chunk);
		take_off(a, w, chunk.len);
	}
}

/* The room of what was delivered is used again before more is asked for. */
static void compact(struct attribute *a)
{
	size_t records = a->done_records * sizeof(struct waiting);

	if (a->done_bytes < KEEP_BYTES || a->done_bytes < a->bytes.len / 2)
		return;
	a->records.len -= records;
	memmove(a->records.data, a->records.data + records, a->records.len);
	a->bytes.len -= a->done_bytes;
	memmove(a->bytes.data, a->bytes.data + a->done_bytes, a->bytes.len);
	a->done_records = a->done_bytes = 0;
}

static int wait(struct attribute *a, const struct chunk *chunk, uint64_t offset)
{
	const struct waiting w = {.offset = offset,
				  .time_ns = chunk->time_ns,
				  .ring_pos = chunk->ring_pos,
				  .len = chunk->len};
	int err;

	if (!chunk->len)
		return 0;
	compact(a);
	err = buf__reserve(&a->records, sizeof(w));
	if (!err)
		err = buf__append(&a->bytes, chunk->bytes, chunk->len);
	if (!err)
		err = buf__append(&a->records, &w, sizeof(w));
	return err;
}

/* ---- by stream ---- */

void attribute__prove(struct attribute *a, uint64_t from, uint32_t pid, const char *comm)
{
	struct match_writer writer = {.pid = pid};
	struct waiting *w;

	if (comm)
		memcpy(writer.comm, comm, strnlen(comm, LINE_COMM_LEN - 1));
	/* A record's name is all of the record's. */
	while ((w = first(a)))
		deliver(a, w->offset + w->len, w->offset >= from ? &writer : NULL);
}

/* ---- by line ---- */

static void forget_notes(struct attribute *a, size_t n)
{
	if (!n)
		return;
	a->n_notes -= n;
	memmove(a->notes, a->notes + n, a->n_notes * sizeof(*a->notes));
	if (a->n_notes || a->max_notes * sizeof(*a->notes) <= KEEP_BYTES)
		return;
	free(a->notes);
	a->notes = NULL;
	a->max_notes = 0;
}

/* How far the notes reach from `noted` on; notes before index `i` are known to lie before it. */
static void extend_noted(struct attribute *a, size_t i)
{
	for (; i < a->n_notes && a->notes[i].at == a->noted; i++)
		a->noted += a->notes[i].count;
}

static void set_base(struct attribute *a, uint64_t base)
{
	size_t gone = 0;

	while (gone < a->n_notes && a->notes[gone].at < base)
		gone++;
	forget_notes(a, gone);
	a->base = a->noted = base;
	extend_noted(a, 0);
}

/* What is not known any more where it begins. */
static void unsettle(struct attribute *a)
{
	a->base = NEVER;
	a->n_settled = 0;
	if (a->n_notes > UNSETTLED_NOTES)
		forget_notes(a, a->n_notes - UNSETTLED_NOTES);
}

struct telling {
	struct attribute *a;
	uint64_t from; /* offset of the window */
};

static void on_range(void *ctx, size_t end, const struct match_writer *writer)
{
	const struct telling *t = ctx;

	deliver(t->a, t->from + end, writer);
}

static void shift_settled(struct attribute *a)
{
	a->n_settled--;
	memmove(a->settled, a->settled + 1, a->n_settled * sizeof(*a->settled));
}

/* The first window, whose bytes and notes are all here. */
static void name_window(struct attribute *a)
{
	struct telling t = {.a = a, .from = a->base};
	uint64_t end = a->settled[0];
	size_t n = 0;

	while (n < a->n_notes && a->notes[n].at < end)
		n++;
	shift_settled(a);
	/* One note across the end: what the kernel says cannot be. */
	if (a->notes[n - 1].at + a->notes[n - 1].count == end)
		match__ranges(a->bytes.data + a->done_bytes, end - a->base, a->notes, n, on_range,
			      &t);
	deliver(a, end, NULL);
	set_base(a, end);
}

static void name_windows(struct attribute *a)
{
	while (a->n_settled && first(a) && a->settled[0] <= waiting_end(a) &&
	       a->settled[0] <= a->noted)
		name_window(a);
}

/* The first window's bytes go without a name; all bytes where its end is not here. */
static void give_window_up(struct attribute *a)
{
	uint64_t end = NEVER;

	if (a->n_settled) {
		end = a->settled[0];
		shift_settled(a);
	}
	deliver(a, end, NULL);
	if (end == NEVER)
		unsettle(a);
	else
		set_base(a, end);
	name_windows(a);
}

void attribute__settle(struct attribute *a, uint64_t offset)
{
	if (a->base == NEVER) {
		set_base(a, offset);
		return;
	}
	if (offset <= (a->n_settled ? a->settled[a->n_settled - 1] : a->base))
		return;
	/* Windows may be longer than they had to be. */
	if (a->n_settled == SETTLED_MAX)
		a->n_settled--;
	a->settled[a->n_settled++] = offset;
	name_windows(a);
}

static int grow_notes(struct attribute *a)
{
	size_t max = a->max_notes ? 2 * a->max_notes : 16;
	struct match_note *notes;

	if (a->n_notes < a->max_notes)
		return 0;
	notes = reallocarray(a->notes, max, sizeof(*notes));
	if (!notes)
		return -ENOMEM;
	a->notes = notes;
	a->max_notes = max;
	return 0;
}

/* What one thread wrote in a row, for one trace, becomes one note: it serves as well where nobody
 * else writes. */
static void merge_notes(struct attribute *a)
{
	size_t last = 0;

	for (size_t i = 1; i < a->n_notes; i++) {
		struct match_note *n = &a->notes[last];

		if (n->writer.tid && n->at + n->count == a->notes[i].at &&
		    memcmp(&n->writer, &a->notes[i].writer, sizeof(n->writer)) == 0) {
			n->count += a->notes[i].count;
			n->hashed = false;
		} else {
			a->notes[++last] = a->notes[i];
		}
	}
	a->n_notes = MIN(a->n_notes, last + 1);
}

/* Too many, or no memory for more. */
static void give_notes_up(struct attribute *a)
{
	merge_notes(a);
	while (a->n_notes > ATTRIBUTE_MAX_NOTES / 2 || a->n_notes == a->max_notes) {
		give_window_up(a);
		if (a->base == NEVER)
			break;
	}
}

/* Where a note belongs; -EEXIST: it lies over another one. */
static int place_of(const struct attribute *a, const struct nt_note *note, size_t *ret)
{
	size_t i = a->n_notes;

	while (i && a->notes[i - 1].at > note->at)
		i--;
	if (i && a->notes[i - 1].at + a->notes[i - 1].count > note->at)
		return -EEXIST;
	if (i < a->n_notes && note->at + note->count > a->notes[i].at)
		return -EEXIST;
	*ret = i;
	return 0;
}

void attribute__note(struct attribute *a, const struct nt_note *note)
{
	struct match_note *n;
	size_t i;

	if (a->base == NEVER && a->n_notes >= 2 * UNSETTLED_NOTES)
		forget_notes(a, UNSETTLED_NOTES);
	if (a->n_notes == ATTRIBUTE_MAX_NOTES || grow_notes(a))
		give_notes_up(a);
	if (a->n_notes == a->max_notes || (a->base != NEVER && note->at < a->base) ||
	    place_of(a, note, &i))
		return;
	n = a->notes + i;
	memmove(n + 1, n, (a->n_notes - i) * sizeof(*n));
	a->n_notes++;
	*n = (struct match_note){
		.at = note->at, .count = note->count, .hash = note->hash, .hashed = note->hashed};
	if (note->pid) {
		n->writer.pid = note->pid;
		n->writer.tid = note->tid;
		memcpy(n->writer.comm, note->comm, strnlen(note->comm, LINE_COMM_LEN - 1));
		memcpy(n->writer.trace.trace_id, note->trace_id, sizeof(note->trace_id));
		memcpy(n->writer.trace.span_id, note->span_id, sizeof(note->span_id));
	}
	if (a->base == NEVER)
		return;
	extend_noted(a, i);
	name_windows(a);
}

/* A record of the write tap: its note came before it. */
static int feed_written(struct attribute *a, const struct chunk *chunk, uint64_t at)
{
	struct chunk named = *chunk;

	deliver(a, NEVER, NULL);
	unsettle(a);
	for (size_t i = a->n_notes; i-- > 0 && a->notes[i].at >= at;) {
		const struct match_writer *w = &a->notes[i].writer;

		if (a->notes[i].at != at || w->pid != chunk->pid)
			continue;
		named.tid = w->tid;
		named.trace = &w->trace;
		break;
	}
	return assembler__feed(a->to, &named);
}

/* The part of a chunk from the offset `from` on waits. */
static int wait_from(struct attribute *a, const struct chunk *chunk, uint64_t offset, uint64_t from)
{
	size_t skip = from > offset ? MIN(chunk->len, from - offset) : 0;
	struct chunk part = *chunk;
	int err = 0;

	part.len = skip;
	if (skip)
		err = assembler__feed(a->to, &part);
	if (skip == chunk->len)
		return err;
	part.bytes += skip;
	part.len = chunk->len - skip;
	part.time_ns += skip;
	part.offset += skip;
	if (wait(a, &part, offset + skip) == 0)
		return err;
	give_window_up(a);
	while (a->base != NEVER)
		give_window_up(a);
	assembler__feed(a->to, &part);
	return -ENOMEM;
}

static int feed_read(struct attribute *a, const struct chunk *chunk,
		     const struct attribute_note *note)
{
	int err;

	while (first(a) && (waiting_bytes(a) + chunk->len > ATTRIBUTE_MAX_BYTES ||
			    waiting_end(a) != note->offset || a->base == NEVER))
		give_window_up(a);
	if (!first(a) && a->base < note->offset)
		unsettle(a);
	if (a->base == NEVER && note->from != NEVER && note->from >= note->offset)
		attribute__settle(a, note->from);
	if (a->base == NEVER)
		return assembler__feed(a->to, chunk);
	err = wait_from(a, chunk, note->offset, a->base);
	if (note->from != NEVER && a->base != NEVER)
		attribute__settle(a, note->from);
	name_windows(a);
	attribute__expire(a, chunk->time_ns); /* what even this record was no proof for */
	return err;
}

/* ---- */

void attribute__flush(struct attribute *a)
{
	deliver(a, NEVER, NULL);
	unsettle(a);
}

void attribute__expire(struct attribute *a, uint64_t now_ns)
{
	while (attribute__due_ns(a) <= now_ns)
		give_window_up(a);
}

int attribute__feed(struct attribute *a, const struct chunk *chunk,
		    const struct attribute_note *note)
{
	if (note->known == NT_KNOWN_NOTES)
		return note->tap == NT_TAP_WRITE ? feed_written(a, chunk, note->from)
						 : feed_read(a, chunk, note);
	attribute__expire(a, chunk->time_ns);
	if (note->known == NT_KNOWN_LATER) {
		if (waiting_bytes(a) + chunk->len > ATTRIBUTE_MAX_BYTES)
			attribute__flush(a);
		if (wait(a, chunk, note->offset) == 0)
			return 0;
		attribute__flush(a);
	}
	if (first(a) && note->known == NT_KNOWN)
		attribute__prove(a, note->from, chunk->pid, chunk->comm);
	else if (first(a))
		attribute__flush(a);
	return assembler__feed(a->to, chunk);
}

uint64_t attribute__due_ns(const struct attribute *a)
{
	const struct waiting *w = first(a);

	return w ? w->time_ns + ATTRIBUTE_WAIT_NS : NEVER;
}

uint64_t attribute__oldest(const struct attribute *a)
{
	const struct waiting *w = first(a);

	return w ? w->ring_pos : NEVER;
}
