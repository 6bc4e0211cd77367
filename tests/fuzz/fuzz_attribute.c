/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records in any order of names, times and proofs: no byte is lost, doubled or moved, nothing waits
 * longer or with more than it may, and a line has a name only if a proof covers its record. By
 * line: a pipe with racing writers, whose notes come late, in any order or not at all: a name is
 * right.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "assemble/attribute.h"
#include "assemble/match.h"
#include "base/buf.h"

#define NAMED 4096 /* offsets that a name was ever proven for */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct assembler *assembler;
	struct attribute *a;
	struct buf in, out;
	uint32_t proven[NAMED]; /* pid by offset; 0: none */
	uint64_t offset, time_ns;
	bool gaps;
};

static void on_line(void *ctx, const struct line *line)
{
	struct world *w = ctx;
	size_t at = w->out.len;

	if (line->pid && at < NAMED)
		assert(w->proven[at] == line->pid);
	buf__append(&w->out, line->bytes, line->len);
	buf__append(&w->out, "\n", 1);
}

static void prove(struct world *w, uint64_t from, uint64_t to, uint32_t pid)
{
	for (uint64_t i = from; i < to && i < NAMED; i++)
		w->proven[i] = pid;
}

/* A record of whole lines, one byte each. */
static void feed(struct world *w, const uint8_t *step)
{
	size_t lines = 1 + (step[0] & 15), len = 2 * lines;
	struct attribute_note note = {.offset = w->offset, .known = step[0] >> 4 & 3};
	char *bytes = malloc(len);
	struct chunk chunk = {.bytes = bytes, .len = len, .time_ns = w->time_ns};

	for (size_t i = 0; i < lines; i++) {
		bytes[2 * i] = (char)('a' + (step[1] + i) % 26);
		bytes[2 * i + 1] = '\n';
	}
	if (note.known == NT_KNOWN) {
		note.from = w->offset - (step[1] < w->offset ? step[1] : w->offset);
		chunk.pid = 1 + (step[2] & 3);
		chunk.comm = "sh";
		prove(w, note.from, w->offset + len, chunk.pid);
	}
	buf__append(&w->in, bytes, len);
	assert(!attribute__feed(w->a, &chunk, &note));
	w->offset += len;
	free(bytes);
}

/* ---- by line ---- */

#define UNDER_WAY 4
#define UNTOLD 8

/* The kernel's side. */
struct pipe {
	char bytes[NAMED];
	size_t put, read; /* into the pipe, out of it */
	uint64_t counted;
	struct nt_note under_way[UNDER_WAY]; /* in the pipe, not counted */
	size_t n_under_way;
	struct nt_note untold[UNTOLD]; /* counted, not delivered */
	size_t n_untold;
};

static void put(struct world *w, struct pipe *p, const uint8_t *step)
{
	size_t len = 1 + (step[1] & 7);
	struct nt_note note = {.count = len, .pid = 1 + (step[1] >> 3 & 3), .comm = "sh"};

	if (p->n_under_way == UNDER_WAY || p->put + len > NAMED)
		return;
	for (size_t i = 0; i < len; i++)
		p->bytes[p->put + i] = step[2] >> i & 1 ? 'a' : '\n';
	note.tid = note.pid;
	note.hashed = step[1] < 0xf0;
	note.hash = match__hash(p->bytes + p->put, len);
	if (step[1] >> 5 == 6)
		note.hash = 1; /* as of a buffer that changed: no bytes of ours have it */
	prove(w, p->put, p->put + len, note.pid);
	p->put += len;
	p->under_way[p->n_under_way++] = note;
}

static void count(struct pipe *p, const uint8_t *step)
{
	size_t i = p->n_under_way ? step[1] % p->n_under_way : 0;

	if (!p->n_under_way || p->n_untold == UNTOLD)
		return;
	p->under_way[i].at = p->counted;
	p->counted += p->under_way[i].count;
	if (step[2] < 0xf0) /* or lost */
		p->untold[p->n_untold++] = p->under_way[i];
	p->under_way[i] = p->under_way[--p->n_under_way];
}

static void tell(struct world *w, struct pipe *p, const uint8_t *step)
{
	size_t i = p->n_untold ? step[1] % p->n_untold : 0;

	if (!p->n_untold)
		return;
	attribute__note(w->a, &p->untold[i]);
	p->untold[i] = p->untold[--p->n_untold];
}

static void read_some(struct world *w, struct pipe *p, const uint8_t *step)
{
	size_t len = p->put - p->read < step[1] ? p->put - p->read : step[1];
	const struct attribute_note note = {.offset = p->read,
					    .from = p->n_under_way ? UINT64_MAX : p->counted,
					    .known = NT_KNOWN_NOTES,
					    .tap = NT_TAP_READ};
	const struct chunk chunk = {.bytes = p->bytes + p->read, .len = len, .time_ns = w->time_ns};

	if (step[2] >= 0xf8 && len) { /* the ring was full */
		attribute__flush(w->a);
		assembler__gap(w->assembler, len, 1, "ring_full", w->time_ns, 0);
		w->gaps = true;
	} else {
		assert(!attribute__feed(w->a, &chunk, &note));
	}
	p->read += len;
	w->time_ns += len + 1;
}

/* A line's bytes are where it was found, if none was lost: all of them have its writer. */
static void on_named_line(void *ctx, const struct line *line)
{
	struct world *w = ctx;

	if (line->gap)
		return;
	for (size_t i = 0; line->pid && !w->gaps && i < line->len + !line->unterminated; i++)
		assert(w->proven[w->out.len + i] == line->pid);
	buf__append(&w->out, line->bytes, line->len);
	if (!line->unterminated)
		buf__append(&w->out, "\n", 1);
}

static void by_line(const uint8_t *data, size_t size)
{
	const struct assemble_opts opts = {0};
	struct world w = {.time_ns = 1000};
	struct pipe p = {0};

	assert(!assembler__new(&w.assembler, &opts, 1, LINE_STDOUT, on_named_line, &w));
	assert(!attribute__new(&w.a, w.assembler));
	for (; size >= 3; data += 3, size -= 3) {
		switch (data[0] & 7) {
		case 0:
		case 1:
			put(&w, &p, data);
			break;
		case 2:
		case 3:
			count(&p, data);
			break;
		case 4:
		case 5:
			tell(&w, &p, data);
			break;
		case 6:
			read_some(&w, &p, data);
			break;
		default:
			w.time_ns += (uint64_t)data[2] * (ATTRIBUTE_WAIT_NS / 200);
			attribute__expire(w.a, w.time_ns);
			assert(attribute__due_ns(w.a) > w.time_ns);
		}
	}
	attribute__flush(w.a);
	assembler__flush(w.assembler, 0);
	assert(w.gaps ||
	       (w.out.len == p.read && (!p.read || !memcmp(w.out.data, p.bytes, p.read))));
	attribute__free(w.a);
	assembler__free(w.assembler);
	buf__free(&w.out);
}

static void by_stream(const uint8_t *data, size_t size)
{
	const struct assemble_opts opts = {0};
	struct world w = {.time_ns = 1000};

	assert(!assembler__new(&w.assembler, &opts, 1, LINE_STDOUT, on_line, &w));
	assert(!attribute__new(&w.a, w.assembler));
	for (; size >= 3 && w.offset < NAMED; data += 3, size -= 3) {
		if (data[0] >= 0xc0) {
			uint64_t from = data[1] < w.offset ? w.offset - data[1] : 0;

			prove(&w, from, w.offset, 1 + (data[2] & 3));
			attribute__prove(w.a, from, 1 + (data[2] & 3), "sh");
		} else {
			feed(&w, data);
		}
		assert(w.in.len - w.out.len <= ATTRIBUTE_MAX_BYTES);
		assert((attribute__due_ns(w.a) == UINT64_MAX) == (w.in.len == w.out.len));
		assert(w.in.len == w.out.len || attribute__due_ns(w.a) > w.time_ns);
		w.time_ns += 64 + (uint64_t)data[2] * (ATTRIBUTE_WAIT_NS / 200);
	}
	attribute__flush(w.a);
	assert(w.in.len == w.out.len);
	assert(!w.in.len || !memcmp(w.in.data, w.out.data, w.in.len));
	attribute__free(w.a);
	assembler__free(w.assembler);
	buf__free(&w.in);
	buf__free(&w.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && *data & 1)
		by_line(data + 1, size - 1);
	else if (size)
		by_stream(data + 1, size - 1);
	return 0;
}
