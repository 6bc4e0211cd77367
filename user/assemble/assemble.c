/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One search for each newline; a line that lies whole in its chunk is handed on where it lies, and
 * only the half line at a chunk's end is copied. The half line is kept together with the line that
 * it would be if nothing more came: the time of its last byte, its writer, its ring position. So a
 * flush, a gap and a lack of memory all deliver it the same way.
 *
 * A cut line is delivered at its first byte too many, not at its newline: an application that never
 * writes one again still has its line. Its time is that byte's.
 *
 * Times are strictly increasing by what the kernel stamps; only a gap, which has the time of the
 * record behind it, may meet an empty line at that record's very first byte. The later one then
 * moves by a nanosecond. Both are of one record, so a replay from any position moves it again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assemble/assemble.h"
#include "base/buf.h"

/* A half line's buffer over this is given back: few streams have long lines at any one time. */
#define HALF_KEEP_BYTES 16384

struct assembler {
	assemble_line_fn fn;
	void *ctx;
	uint64_t cgroup_id;
	enum line_stream stream;
	bool skipping;	   /* the rest of a cut line, up to its newline */
	bool seeded;	   /* chunks may have bytes that are not to be read again */
	uint64_t skip_pos; /* of the record that the cut line ended with */
	size_t max_line_size;
	uint64_t last_ns; /* of the last line delivered */
	struct buf half;
	uint64_t half_pos; /* of the record of its last byte */
	struct assemble_stats stats;
	struct line half_line; /* without bytes and len; valid while half.len */
	const struct marks *marks;
	struct crossings crossings;
	uint64_t seed_pos, seed_end; /* as in struct assemble_seed */
};

int assembler__new(struct assembler **ret, const struct assemble_opts *opts, uint64_t cgroup_id,
		   enum line_stream stream, assemble_line_fn fn, void *ctx)
{
	static const struct marks no_marks;
	struct assembler *a;

	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->fn = fn;
	a->ctx = ctx;
	a->cgroup_id = cgroup_id;
	a->stream = stream;
	a->max_line_size = opts->max_line_size ? opts->max_line_size : ASSEMBLE_MAX_LINE_SIZE;
	a->marks = opts->marks ? opts->marks : &no_marks;
	*ret = a;
	return 0;
}

void assembler__free(struct assembler *a)
{
	if (!a)
		return;
	buf__free(&a->half);
	crossings__free(&a->crossings);
	free(a);
}

static void deliver(struct assembler *a, struct line *line, const char *bytes, size_t len,
		    uint64_t time_ns)
{
	if (time_ns <= a->last_ns)
		time_ns = a->last_ns + 1;
	a->last_ns = time_ns;
	line->time_ns = time_ns;
	line->bytes = bytes;
	line->len = len;
	a->fn(a->ctx, line);
}

static void deliver_log(struct assembler *a, struct line *line, const char *bytes, size_t len,
			uint64_t time_ns)
{
	a->stats.lines++;
	a->stats.bytes += len;
	deliver(a, line, bytes, len, time_ns);
}

static void half_done(struct assembler *a)
{
	a->half.len = 0;
	if (a->half.size > HALF_KEEP_BYTES)
		buf__free(&a->half);
}

/* What began in the record at `from` is done with that at `to`. */
static void cross(struct assembler *a, uint64_t from, uint64_t to, uint64_t end_pos, uint64_t end)
{
	const struct crossing c = {
		.from = from, .to = to, .end_pos = end_pos, .end = end, .skipping = a->skipping};

	if (marks__between(a->marks, from, to))
		crossings__add(&a->crossings, a->marks, &c);
}

/* The half line is done. It is no more than a look at a number while there are no marks. */
static void cross_half(struct assembler *a, uint64_t to, uint64_t end_pos, uint64_t end)
{
	crossings__close(&a->crossings);
	cross(a, a->half_line.ring_pos, to, end_pos, end);
}

void assembler__flush(struct assembler *a, uint64_t time_ns)
{
	if (!a->half.len)
		return;
	a->half_line.unterminated = true;
	a->half_line.seen_ns = time_ns;
	cross_half(a, marks__newest(a->marks), a->half_pos, a->half_line.end);
	deliver_log(a, &a->half_line, a->half.data, a->half.len, a->half_line.time_ns);
	half_done(a);
}

/* `line` goes on where the half line ends: it has the writer, thread and trace that both have. */
static void join(struct assembler *a, struct line *line)
{
	const struct line *half = &a->half_line;

	line->ring_pos = half->ring_pos;
	if (line->pid != half->pid || memcmp(line->comm, half->comm, sizeof(line->comm))) {
		line->pid = 0;
		memset(line->comm, 0, sizeof(line->comm));
	}
	if (!line->pid || line->tid != half->tid)
		line->tid = 0;
	if (!line->pid || memcmp(&line->trace, &half->trace, sizeof(line->trace)))
		memset(&line->trace, 0, sizeof(line->trace));
}

/* A line ends with these bytes of a chunk. */
static int complete(struct assembler *a, struct line *line, const char *bytes, size_t len,
		    uint64_t time_ns)
{
	struct line whole;
	int err = 0;

	if (a->half.len) {
		err = buf__append(&a->half, bytes, len);
		if (err)
			assembler__flush(a, 0);
	}
	if (!a->half.len) {
		deliver_log(a, line, bytes, len, time_ns);
		return err;
	}
	whole = *line;
	join(a, &whole);
	cross_half(a, line->ring_pos, line->ring_pos, line->end);
	deliver_log(a, &whole, a->half.data, a->half.len, time_ns);
	half_done(a);
	return 0;
}

/* A chunk ends with these bytes of a line. `time_ns` is that of the last of them. */
static int keep(struct assembler *a, struct line *line, const char *bytes, size_t len,
		uint64_t time_ns)
{
	struct line half = *line;
	const struct crossing c = {
		.from = a->half_pos, .to = line->ring_pos, .half = a->half.len, .open = true};
	int err;

	if (a->half.len)
		join(a, &half);
	if (a->half.len && marks__between(a->marks, c.from, c.to))
		crossings__add(&a->crossings, a->marks, &c);
	err = buf__append(&a->half, bytes, len);
	if (err) {
		assembler__flush(a, 0);
		deliver_log(a, line, bytes, len, time_ns);
		return err;
	}
	a->half_line = half;
	/* As deliver would do it: whoever goes on with a copy has no line before it. */
	a->half_line.time_ns = MAX(time_ns, a->last_ns + 1);
	a->half_pos = line->ring_pos;
	return 0;
}

/* `len` bytes of a line that the chunk has; `ends`: a newline follows them. */
static int take(struct assembler *a, struct line *line, const char *bytes, size_t len, bool ends,
		uint64_t time_ns)
{
	size_t room = a->max_line_size - a->half.len;
	int err;

	if (a->skipping) {
		a->stats.truncated_bytes += len;
		a->skipping = !ends;
		if (ends)
			cross(a, a->skip_pos, line->ring_pos, line->ring_pos, line->end);
		return 0;
	}
	if (len <= room)
		return ends ? complete(a, line, bytes, len, time_ns + len)
			    : keep(a, line, bytes, len, time_ns + len - 1);
	a->stats.truncated++;
	a->stats.truncated_bytes += len - room;
	a->skipping = !ends;
	a->skip_pos = line->ring_pos;
	line->truncated = true;
	err = complete(a, line, bytes, room, time_ns + room);
	line->truncated = false;
	return err;
}

/* Bytes at the chunk's begin that a process before has made lines of, and that are delivered. */
static size_t seeded_bytes(struct assembler *a, const struct chunk *chunk)
{
	uint64_t skip = a->seed_end - MIN(a->seed_end, chunk->offset);

	if (chunk->ring_pos < a->seed_pos)
		return chunk->len;
	if (chunk->ring_pos == a->seed_pos)
		return MIN(skip, chunk->len);
	a->seeded = false;
	return 0;
}

int assembler__feed(struct assembler *a, const struct chunk *chunk)
{
	/* Copied, for an initializer of this size becomes `rep stos`, which is slow to begin. */
	static const struct line none;
	struct line line = none;
	const char *p = chunk->bytes, *end = p + chunk->len;
	int err = 0, err_take;

	line.cgroup_id = a->cgroup_id;
	line.ring_pos = chunk->ring_pos;
	line.stream = a->stream;
	line.pid = chunk->pid;
	line.tid = chunk->tid;
	for (size_t i = 0; chunk->comm && chunk->comm[i] && i < LINE_COMM_LEN - 1; i++)
		line.comm[i] = chunk->comm[i];
	if (chunk->trace)
		line.trace = *chunk->trace;
	if (a->seeded)
		p += seeded_bytes(a, chunk);
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline ? newline : end;

		line.end = chunk->offset + (uint64_t)(stop - chunk->bytes) + (newline != NULL);
		err_take = take(a, &line, p, (size_t)(stop - p), newline != NULL,
				chunk->time_ns + (uint64_t)(p - chunk->bytes));
		if (err_take)
			err = err_take;
		p = newline ? newline + 1 : end;
	}
	return err;
}

void assembler__gap(struct assembler *a, uint64_t bytes, uint64_t calls, const char *reason,
		    uint64_t time_ns, uint64_t ring_pos)
{
	struct line line = {
		.cgroup_id = a->cgroup_id,
		.ring_pos = ring_pos,
		.stream = a->stream,
		.gap = reason,
	};
	char text[160];
	int prefix, len;

	assembler__flush(a, time_ns);
	if (a->skipping) { /* its newline may be among what is lost */
		a->skipping = false;
		cross(a, a->skip_pos, marks__newest(a->marks), ring_pos, 0);
	}
	a->stats.gaps++;
	a->stats.gap_bytes += bytes;
	len = snprintf(text, sizeof(text), "notail: %" PRIu64 " bytes ", bytes);
	if (calls)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "in %" PRIu64 " writes ",
				calls);
	prefix = len + (int)strlen("lost here: ");
	len += snprintf(text + len, sizeof(text) - (size_t)len, "lost here: %s", reason);
	len = MIN(len, (int)sizeof(text) - 1);
	for (int i = prefix; i < len; i++)
		if (text[i] == '_')
			text[i] = ' ';
	deliver(a, &line, text, (size_t)len, time_ns);
}

uint64_t assembler__oldest(const struct assembler *a)
{
	return a->half.len ? a->half_line.ring_pos : UINT64_MAX;
}

const struct assemble_stats *assembler__stats(const struct assembler *a)
{
	return &a->stats;
}

bool assembler__at_mark(const struct assembler *a, uint64_t mark, struct assemble_seed *ret)
{
	const struct crossing *c = crossings__at(&a->crossings, mark);
	struct assemble_seed seed = {.half = a->half_line};

	seed.half.bytes = a->half.data;
	seed.half.len = 0;
	if (c && c->open) {
		seed.half.len = c->half;
	} else if (c) {
		seed.end_pos = c->end_pos;
		seed.end = c->end;
		seed.skipping = c->skipping;
	} else if (a->half.len && a->half_line.ring_pos < mark) {
		seed.half.len = a->half.len;
	} else if (a->skipping && a->skip_pos < mark) {
		seed.skipping = true;
	} else {
		return false;
	}
	*ret = seed;
	return true;
}

int assembler__restore(struct assembler *a, uint64_t mark, const struct assemble_seed *seed)
{
	size_t len = MIN(seed->half.len, a->max_line_size);
	int err = -EINVAL;

	if (!a->half.len && !a->skipping && !a->seeded)
		err = len ? buf__append(&a->half, seed->half.bytes, len) : 0;
	if (err)
		return err;
	a->half_line = seed->half;
	a->half_line.bytes = NULL;
	a->half_line.len = 0;
	a->half_line.cgroup_id = a->cgroup_id;
	a->half_line.stream = a->stream;
	a->half_pos = a->skip_pos = mark - 1; /* it may as well have been the last one before */
	a->skipping = seed->skipping;
	a->seeded = seed->end_pos >= mark;
	a->seed_pos = seed->end_pos;
	a->seed_end = seed->end;
	if (!a->seeded)
		return 0;
	/* A mark that is made on the way needs it as well. */
	return crossings__add(&a->crossings, a->marks,
			      &(struct crossing){.from = mark - 1,
						 .to = seed->end_pos,
						 .end_pos = seed->end_pos,
						 .end = seed->end,
						 .skipping = seed->skipping});
}

struct crossings assembler__take_crossings(struct assembler *a)
{
	struct crossings c;

	/* What it was in the middle of is so for good. */
	crossings__close(&a->crossings);
	if (a->skipping)
		cross(a, a->skip_pos, marks__newest(a->marks), 0, 0);
	c = a->crossings;
	a->crossings = (struct crossings){0};
	return c;
}
