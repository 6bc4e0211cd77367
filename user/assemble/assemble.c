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
	bool skipping; /* the rest of a cut line, up to its newline */
	size_t max_line_size;
	uint64_t last_ns; /* of the last line delivered */
	struct buf half;
	struct assemble_stats stats;
	struct line half_line; /* without bytes and len; valid while half.len */
};

int assembler__new(struct assembler **ret, const struct assemble_opts *opts, uint64_t cgroup_id,
		   enum line_stream stream, assemble_line_fn fn, void *ctx)
{
	struct assembler *a;

	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->fn = fn;
	a->ctx = ctx;
	a->cgroup_id = cgroup_id;
	a->stream = stream;
	a->max_line_size = opts->max_line_size ? opts->max_line_size : ASSEMBLE_MAX_LINE_SIZE;
	*ret = a;
	return 0;
}

void assembler__free(struct assembler *a)
{
	if (!a)
		return;
	buf__free(&a->half);
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

void assembler__flush(struct assembler *a)
{
	if (!a->half.len)
		return;
	a->half_line.unterminated = true;
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
			assembler__flush(a);
	}
	if (!a->half.len) {
		deliver_log(a, line, bytes, len, time_ns);
		return err;
	}
	whole = *line;
	join(a, &whole);
	deliver_log(a, &whole, a->half.data, a->half.len, time_ns);
	half_done(a);
	return 0;
}

/* A chunk ends with these bytes of a line. `time_ns` is that of the last of them. */
static int keep(struct assembler *a, struct line *line, const char *bytes, size_t len,
		uint64_t time_ns)
{
	struct line half = *line;
	int err;

	if (a->half.len)
		join(a, &half);
	err = buf__append(&a->half, bytes, len);
	if (err) {
		assembler__flush(a);
		deliver_log(a, line, bytes, len, time_ns);
		return err;
	}
	a->half_line = half;
	a->half_line.time_ns = time_ns;
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
		return 0;
	}
	if (len <= room)
		return ends ? complete(a, line, bytes, len, time_ns + len)
			    : keep(a, line, bytes, len, time_ns + len - 1);
	a->stats.truncated++;
	a->stats.truncated_bytes += len - room;
	a->skipping = !ends;
	line->truncated = true;
	err = complete(a, line, bytes, room, time_ns + room);
	line->truncated = false;
	return err;
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
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline ? newline : end;

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

	assembler__flush(a);
	a->skipping = false; /* its newline may be among what is lost */
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
